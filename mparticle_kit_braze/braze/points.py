"""The data point meter: what accepted requests cost under Braze's legacy measure, and what was saved.

Source: Braze's list of what uses data points. Session start and end, custom events and purchases cost one each,
a standard or custom attribute one, an object one per key in it, a list one, an addition or removal one; recommended
eCommerce events, aliases, subscriptions and push tokens cost nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..clock import Clock
from ..locks import ForkSafeLock

__all__ = ["DataPoints", "PointMeter", "attribute_points", "event_points"]

DAY = 86_400
_ONE_POINT_EVENTS = {
    b"ss": "sessions",
    b"se": "sessions",
    b"p": "purchases",
    b"set": "attributes",
    b"add": "attributes",
    b"rem": "attributes",
    b"inc": "attributes",
    b"lcaa": "attributes",
    b"lcar": "attributes",
    b"lr": "attributes",
}
_FREE_FIELDS = frozenset({"user_id", "email_subscribe", "push_subscribe", "push_token", "custom"})
_NAME_AT = len('{"name":"')
_CUSTOM_EVENT = b'{"name":"ce"'
_ECOMMERCE = b'"data":{"n":"ecommerce.'


@dataclass(frozen=True, slots=True)
class DataPoints:
    """A reading of the meter. Counted when a request is accepted, so what is still queued is not in it.

    Attributes:
        since_start: Points by kind (``sessions``, ``custom_events``, ``purchases``, ``attributes``).
        today: The same for the current day, UTC.
        saved: Points not spent since the start, because an attribute was unchanged or set again before sending.
        saved_today: The same for the current day.
    """

    since_start: Mapping[str, int]
    today: Mapping[str, int]
    saved: int
    saved_today: int


class PointMeter:
    """Adds up data points, with a separate count for the current day (UTC)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = ForkSafeLock()
        self._total: Counter[str] = Counter()
        self._today: Counter[str] = Counter()
        self._saved = self._saved_today = 0
        self._day = 0

    def spend(self, points: Mapping[str, int], saved: int = 0) -> None:
        """Count an accepted request."""
        with self._lock.held:
            self._roll()
            self._total.update(points)
            self._today.update(points)
            self._saved += saved
            self._saved_today += saved

    def save(self, points: int) -> None:
        """Count points that were not spent."""
        self.spend({}, points)

    def read(self) -> DataPoints:
        """The counts now."""
        with self._lock.held:
            self._roll()
            return DataPoints(dict(self._total), dict(self._today), self._saved, self._saved_today)

    def _roll(self) -> None:
        day = int(self._clock.time() // DAY)
        if day != self._day:
            self._day = day
            self._today.clear()
            self._saved_today = 0


def event_points(payloads: Iterable[bytes]) -> Counter[str]:
    """Points by kind of events as they are stored."""
    points: Counter[str] = Counter()
    custom_events = 0
    for payload in payloads:
        if payload.startswith(_CUSTOM_EVENT):
            custom_events += payload.find(_ECOMMERCE, 0, 80) < 0
            continue
        code = payload[_NAME_AT : payload.find(b'"', _NAME_AT)]
        if code == b"ncam":
            points["attributes"] += _merge_points(payload)
        else:
            kind = _ONE_POINT_EVENTS.get(code)
            if kind is not None:
                points[kind] += 1
    if custom_events:
        points["custom_events"] = custom_events
    return points


def _merge_points(payload: bytes) -> int:
    try:
        return value_points(json.loads(payload)["data"]["value"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return 1


def attribute_points(attributes: Mapping[str, Any]) -> int:
    """Points of one attribute object."""
    fields = sum(1 for field in attributes if field not in _FREE_FIELDS)
    custom = attributes.get("custom") or {}
    return fields + sum(map(value_points, custom.values()))


def value_points(value: Any) -> int:
    """Points of one custom attribute: one, or one per key of an object at every depth."""
    return max(1, _keys_in(value))


def _keys_in(value: Any) -> int:
    if isinstance(value, dict):
        return len(value) + sum(map(_keys_in, value.values()))
    if isinstance(value, list):
        return sum(map(_keys_in, value))
    return 0
