"""Brings the records that arrived and those a client says it queued together: by what is in them.

An event is known by its code, time, session and data; the user may be filled in on the way. Attributes carry no time
and are merged on the way: the latest call that set the value which arrived made it, and replaced those before it.
"""

from __future__ import annotations

import json
from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import NamedTuple

from ..values import JsonObject

__all__ = ["Matcher"]

Key = tuple[str, ...]
Value = str
_MAX_KEYS = 20_000
_MAX_SAME = 10_000


class Match(NamedTuple):
    """What was told of a record that arrived.

    Attributes:
        origin: What is known of it.
        replaced: The origins of earlier values of the same attribute, which will never arrive.
    """

    origin: JsonObject
    replaced: tuple[JsonObject, ...] = ()


class Matcher:
    """Remembers records that were told but have not arrived, and the reverse; a bounded number of each."""

    def __init__(self) -> None:
        self._told: OrderedDict[Key, deque[tuple[Value, JsonObject]]] = OrderedDict()
        self._waiting: OrderedDict[Key, deque[tuple[Value, JsonObject]]] = OrderedDict()
        self._ready: dict[Key, None] = {}

    def clear(self) -> None:
        """Forget everything."""
        self._told.clear()
        self._waiting.clear()
        self._ready.clear()

    def tell(self, record: JsonObject, device: str, origin: JsonObject) -> int:
        """A client queued a record; ``origin`` is what is known of it. Returns how many entries it will become."""
        places = list(_told_places(record, device))
        for key, value in places:
            _remember(self._told, key, (value, origin))
            if key in self._waiting:
                self._ready[key] = None
        return len(places)

    def match(self, entry: JsonObject) -> Match | None:
        """What was told of a record that arrived; one that has not been told of yet is waited for."""
        place = _arrived_place(entry)
        if place is None:
            return None
        key, value = place
        found = self._taken(key, value)
        if found is None:
            _remember(self._waiting, key, (value, entry))
        return found

    def settled(self) -> Iterator[tuple[JsonObject, Match]]:
        """Records that waited and have been told of since this was last asked for."""
        ready, self._ready = self._ready, {}
        for key in ready:
            for value, entry in self._waiting.pop(key, ()):
                if (found := self._taken(key, value)) is None:
                    _remember(self._waiting, key, (value, entry))
                else:
                    yield entry, found

    def _taken(self, key: Key, value: Value) -> Match | None:
        told = self._told.get(key)
        if told is None:
            return None
        found = Match(told.popleft()[1]) if key[0] == "event" else _latest(told, value)
        if not told:
            del self._told[key]
        return found


def _remember(
    by_key: OrderedDict[Key, deque[tuple[Value, JsonObject]]], key: Key, item: tuple[Value, JsonObject]
) -> None:
    by_key.setdefault(key, deque(maxlen=_MAX_SAME)).append(item)
    by_key.move_to_end(key)
    while len(by_key) > _MAX_KEYS:
        by_key.popitem(last=False)


def _latest(told: deque[tuple[Value, JsonObject]], value: Value) -> Match | None:
    """Take the latest with this value, and all before it."""
    index = next((index for index in reversed(range(len(told))) if told[index][0] == value), None)
    if index is None:
        return None
    replaced = tuple(told.popleft()[1] for _ in range(index))
    return Match(told.popleft()[1], replaced)


def _told_places(record: JsonObject, device: str) -> Iterator[tuple[Key, Value]]:
    if "data" in record:
        yield _event_key(record, device), ""
        return
    custom = record.get("custom")
    for name, value in custom.items() if isinstance(custom, dict) else ():
        yield ("attribute", device, "custom", name), _canonical(value)
    for name, value in record.items():
        if name not in ("custom", "user_id"):
            yield ("attribute", device, "standard", name), _canonical(value)


def _arrived_place(entry: JsonObject) -> tuple[Key, Value] | None:
    if entry["source"] != "sdk" or entry["state"] != "accepted":
        return None
    wire, code, name, device = entry["wire"], entry["code"], entry["name"], entry["device"] or ""
    if entry["list"] == "events":
        return _event_key(wire, device), ""
    return ("attribute", device, code, name), _canonical(wire["custom"][name] if code == "custom" else wire[name])


def _event_key(event: JsonObject, device: str) -> Key:
    return "event", device, _canonical([event.get(part) for part in ("name", "time", "session_id", "data")])


def _canonical(value: object) -> Value:
    return json.dumps(value, sort_keys=True)
