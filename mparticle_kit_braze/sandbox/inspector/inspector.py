"""The inspector: what arrives at a sandbox and what clients tell, joined into one stream of entries."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from ..recorder import SandboxRequest
from ..values import JsonObject
from .matching import Match, Matcher
from .records import records_of, request_entry
from .stream import Stream
from .told import Told

__all__ = ["Inspector"]

_MAX_CLIENTS = 100
_MAX_CALLS = 20_000


class Inspector:
    """Follows a sandbox. Everything is in memory and gone with the sandbox: it is personal data.

    Args:
        keep: How many entries are kept.

    Attributes:
        stream: What consumers read.
    """

    def __init__(self, keep: int = 50_000) -> None:
        self.stream: Stream = Stream(keep)
        self._lock = threading.RLock()
        self._matcher = Matcher()
        self._requests = 0
        self._clients: OrderedDict[str, JsonObject] = OrderedDict()
        self._calls: OrderedDict[tuple[str, Any], JsonObject] = OrderedDict()

    # -- what arrives -----------------------------------------------------------------------------------------------
    def follow(self, request: SandboxRequest) -> None:
        """Take one request."""
        with self._lock:
            self._requests += 1
            records = list(records_of(request, self._requests))
            matches = [(record, match) for record in records if (match := self._matcher.match(record)) is not None]
            for record, match in matches:
                record.update(match.origin["told"])
            self.stream.add([request_entry(request, self._requests), *records])
            self._arrived(match for _, match in matches)

    def clear(self) -> None:
        """The sandbox forgot everything; clients that tell go on telling."""
        with self._lock:
            self._requests = 0
            self._matcher.clear()
            self._clients.clear()
            self._calls.clear()
            self.stream.clear()

    # -- what clients tell ------------------------------------------------------------------------------------------
    def tell(self, told: Told) -> None:
        """Take a client's message."""
        with self._lock:
            client = told.client["id"]
            calls = [
                {"t": "call", **call, "client": client, "made": 0, "arrived": 0, "replaced": 0, "warnings": []}
                for call in told.calls
            ]
            self.stream.add(calls)
            for call in calls:
                self._calls[client, call["number"]] = call
            while len(self._calls) > _MAX_CALLS:
                self._calls.popitem(last=False)
            self._queued(told)
            self._warn(told.warnings, client)
            self._keep_client(told)

    def _queued(self, told: Told) -> None:
        """Records a client queued: they may have arrived already."""
        made: list[JsonObject] = []
        for item in told.records:
            call = self._calls.get((told.client["id"], item["call"]))
            count = self._matcher.tell(item["record"], told.client["device"], _origin(call, item, told.client))
            made += [] if call is None else [call] * count
        self._count("made", made)
        settled = list(self._matcher.settled())
        self.stream.update((record, match.origin["told"]) for record, match in settled)
        self._arrived(match for _, match in settled)

    def _arrived(self, matches: Iterable[Match]) -> None:
        found = list(matches)
        self._count("arrived", (match.origin["call"] for match in found))
        self._count("replaced", (origin["call"] for match in found for origin in match.replaced))

    def _count(self, what: str, calls: Iterable[JsonObject | None]) -> None:
        """Count at each call, once for every time it is named."""
        counted: dict[int, JsonObject] = {}
        for call in calls:
            if call is not None:
                call[what] += 1
                counted[call["id"]] = call
        self.stream.update((call, {what: call[what]}) for call in counted.values())

    def _warn(self, warnings: Iterable[JsonObject], client: str) -> None:
        for warning in warnings:
            call = self._calls.get((client, warning["call"]))
            said = {key: warning[key] for key in ("code", "message", "count")}
            if call is None:
                self.stream.add([{"t": "warning", "client": client, "time": warning["time"], **said}])
            else:
                self.stream.update([(call, {"warnings": [*call["warnings"], said]})])

    def _keep_client(self, told: Told) -> None:
        name = told.client["id"]
        known = self._clients.pop(name, {"stats": None, "lost": 0, "calls": 0})
        self._clients[name] = now = {
            "t": "client",
            "client": name,
            **{key: told.client[key] for key in ("process", "version", "profile", "device")},
            "lost": known["lost"] + told.lost,
            "calls": known["calls"] + len(told.calls),
            "stats": told.stats or known["stats"],
        }
        while len(self._clients) > _MAX_CLIENTS:
            self._clients.popitem(last=False)
        self.stream.add([now])


def _origin(call: JsonObject | None, item: JsonObject, client: JsonObject) -> JsonObject:
    """What a record learns from the client: its call, the profile, and the rule if a kit made it."""
    told: JsonObject = {"told": True, "call": call and call["id"], "profile": client["profile"] or None}
    if item["rule"]:
        rule = {key: item[key] for key in ("text", "particular", "source") if item[key]}
        told["rule"] = {"name": item["rule"], **rule}
    return {"call": call, "told": told}
