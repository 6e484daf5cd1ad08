"""What the sandbox remembers: requests, counters and profiles, each request taken in whole or not at all."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from .checks import RequestProblem
from .profiles import ProfileStore

__all__ = ["Follower", "Recorder", "SandboxCounts", "SandboxRequest"]

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SandboxRequest:
    """One request and what became of it.

    Attributes:
        method: The HTTP method.
        path: The path as requested.
        headers: The headers; looking one up ignores case.
        body: The parsed body, ``None`` if it is not JSON.
        raw: The body's bytes.
        time: When it came in, seconds since the epoch.
        status: The status it was answered with; 0 if it was not answered.
        problems: Why it was refused.
        recorded: Whether its events and attributes were taken in.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any
    raw: bytes
    time: float
    status: int
    problems: tuple[RequestProblem, ...]
    recorded: bool

    def to_json(self) -> JsonObject:
        """The request as plain JSON values."""
        return {
            "method": self.method,
            "path": self.path,
            "headers": dict(self.headers.items()),
            "body": self.body,
            "time": self.time,
            "status": self.status,
            "problems": [str(problem) for problem in self.problems],
            "recorded": self.recorded,
        }


@dataclass(slots=True)
class SandboxCounts:
    """Totals since the start or the last reset, whatever has been forgotten of the requests themselves.

    Attributes:
        requests: All requests to the SDK's paths.
        accepted: Those taken in.
        refused: Those refused by a check.
        scripted: Those answered by a script or a fault without being taken in.
        events: Events taken in, session starts and ends included.
        attributes: Attribute objects taken in.
        bytes: Bytes of all bodies.
    """

    requests: int = 0
    accepted: int = 0
    refused: int = 0
    scripted: int = 0
    events: int = 0
    attributes: int = 0
    bytes: int = 0


class Follower(Protocol):
    """Who wants to see every request."""

    def follow(self, request: SandboxRequest) -> None:
        """A request came; called in order, one at a time."""

    def clear(self) -> None:
        """Everything was forgotten."""


class Recorder:
    """Remembers requests under one lock and wakes those who wait for them.

    Args:
        keep_requests: How many requests are remembered; ``None`` for all of them. Counters and profiles
            cover every request in any case.
    """

    def __init__(self, keep_requests: int | None = None) -> None:
        self._changed = threading.Condition(threading.RLock())
        self._requests: deque[SandboxRequest] = deque(maxlen=keep_requests)
        self._problems: deque[RequestProblem] = deque(maxlen=keep_requests)
        self._counts = SandboxCounts()
        self._profiles = ProfileStore()
        self._follower: Follower | None = None

    def follow(self, follower: Follower) -> None:
        """Hand the remembered requests and every later one to a follower, in order; there is one at most."""
        with self._changed:
            for request in self._requests:
                follower.follow(request)
            self._follower = follower

    def add(self, request: SandboxRequest) -> None:
        """Remember a request; apply it if it is recorded."""
        with self._changed:
            self._requests.append(request)
            counts = self._counts
            counts.requests += 1
            counts.bytes += len(request.raw)
            if request.recorded:
                counts.accepted += 1
                counts.events += len(request.body.get("events", ()))
                counts.attributes += len(request.body.get("attributes", ()))
                self._profiles.apply(request.body)
            elif request.problems:
                counts.refused += 1
                self._problems.extend(request.problems)
            else:
                counts.scripted += 1
            if self._follower is not None:
                self._follower.follow(request)
            self._changed.notify_all()

    def clear(self) -> None:
        """Forget everything."""
        with self._changed:
            self._requests.clear()
            self._problems.clear()
            self._counts = SandboxCounts()
            self._profiles.clear()
            if self._follower is not None:
                self._follower.clear()
            self._changed.notify_all()

    def requests(self) -> list[SandboxRequest]:
        """The remembered requests, oldest first."""
        with self._changed:
            return list(self._requests)

    def problems(self) -> list[RequestProblem]:
        """Why requests were refused, oldest first."""
        with self._changed:
            return list(self._problems)

    def counts(self) -> SandboxCounts:
        """A copy of the totals."""
        with self._changed:
            return SandboxCounts(**asdict(self._counts))

    def items(self, name: str) -> list[JsonObject]:
        """The members of one list (``events`` or ``attributes``) of all remembered, recorded requests, in order."""
        return [item for request in self.requests() if request.recorded for item in request.body.get(name, ())]

    def with_profiles(self, read: Callable[[ProfileStore], Any]) -> Any:
        """Read the profiles while nothing changes them."""
        with self._changed:
            return read(self._profiles)

    def wait_for(self, predicate: Callable[[], object], timeout: float) -> bool:
        """Wait until ``predicate`` is true; it is asked again after every request, and now and then."""
        deadline = time.monotonic() + timeout
        while not predicate():  # asked without the lock: it may wait for an answer of this very server
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return bool(predicate())
            with self._changed:
                self._changed.wait(min(remaining, 0.02))
        return True
