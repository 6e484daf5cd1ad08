"""A destination, a clock moved by hand, a reporter that remembers, and waiting on conditions."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from mparticle_kit_braze.clock import Wakeup
from mparticle_kit_braze.delivery import Backoff, Outcome, Record, Request, Response, judge
from mparticle_kit_braze.diagnostics import Problem, Reporter


class JsonDestination:
    """The body is a JSON list of the payloads; answers are judged by their status."""

    name = "test"

    def __init__(self, url: str, backoff: Backoff | None = None) -> None:
        self.url = url
        self.backoff = backoff or Backoff()
        self.rate_limit_wait = 0.0
        self.given_up: list[tuple[list[bytes], str]] = []
        self.poison: bytes | None = None
        self.on_build: Callable[[], object] = lambda: None

    def build(self, records: Sequence[Record], *, attempt: int, now: float) -> Request:
        """A JSON list of the payloads."""
        self.on_build()
        if self.poison is not None and any(self.poison in record.payload for record in records):
            raise ValueError("cannot build this")
        body = b"[" + b",".join(record.payload for record in records) + b"]"
        headers = {"Content-Type": "application/json", "X-Attempt": str(attempt)}
        return Request(self.url, headers, body, len(records))

    def interpret(self, request: Request, response: Response) -> Outcome:
        """By status alone."""
        return judge(response, time.time())

    def wait_before_request(self, now: float) -> float:
        """As the test says."""
        return self.rate_limit_wait

    def undeliverable(self, records: Sequence[Record], reason: str) -> None:
        """Remember what was given up."""
        self.given_up.append(([record.payload for record in records], reason))


class ManualClock:
    """A clock that stands still until it is moved; sleepers wake when their time has come."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._wall = now
        self._monotonic = 1000.0
        self._sleepers: dict[int, tuple[float | None, Wakeup]] = {}
        self._changed = threading.Condition()

    def time(self) -> float:
        """The wall clock."""
        return self._wall

    def monotonic(self) -> float:
        """The clock that only advances."""
        return self._monotonic

    def wait(self, wakeup: Wakeup, timeout: float | None) -> None:
        """Sleep until woken or until the clock was moved far enough."""
        due = None if timeout is None else self._monotonic + timeout
        with self._changed:
            self._sleepers[id(wakeup)] = (due, wakeup)
            self._changed.notify_all()
        if due is None or due > self._monotonic:
            wakeup.wait()
        with self._changed:
            self._sleepers.pop(id(wakeup), None)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        with self._changed:
            self._monotonic += seconds
            self._wall += seconds
            due = [wakeup for when, wakeup in self._sleepers.values() if when is not None and when <= self._monotonic]
        for wakeup in due:
            wakeup.set()

    def jump(self, seconds: float) -> None:
        """Set the wall clock."""
        self._wall += seconds

    def wait_for_sleeper(self, timeout: float | None = 0.0, patience: float = 10.0) -> None:
        """Wait until the dispatcher sleeps for about ``timeout`` seconds (``None``: without end; 0.0: any)."""

        def asleep() -> bool:
            for due, _ in self._sleepers.values():
                if timeout == 0.0 or (timeout is None and due is None):
                    return True
                if timeout and due is not None and abs(due - self._monotonic - timeout) < 1e-6:
                    return True
            return False

        with self._changed:
            assert self._changed.wait_for(asleep, patience), f"sleeping: {self._sleepers}, now {self._monotonic}"


class Problems:
    """A reporter that remembers what it was told."""

    def __init__(self) -> None:
        self.all: list[Problem] = []
        self.reporter = Reporter(self.all.append)

    def codes(self) -> list[str]:
        """The codes in the order in which they were reported."""
        return [problem.code for problem in self.all]


def until(condition: Callable[[], Any], timeout: float = 20.0) -> None:
    """Wait on a condition that nothing announces."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "condition not met in time"
        time.sleep(0.002)


def payloads(numbers: Sequence[int] | range) -> list[bytes]:
    return [json.dumps({"n": number}).encode() for number in numbers]


def numbers(items: Sequence[Any]) -> list[int]:
    return [item["n"] for item in items]
