"""A sandbox, clients that talk to it, and a clock moved by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mparticle_kit_braze.braze import Braze
from mparticle_kit_braze.braze.messaging.in_app_messages import InAppMessage
from mparticle_kit_braze.diagnostics import Problem
from mparticle_kit_braze.sandbox import Sandbox, SandboxRequest
from tests.delivery.support import ManualClock

KEY = "app-key-1"
START = 1_700_000_000
"""What the clients' clock says at first."""


class Lab:
    """A sandbox with the clients that talk to it.

    Attributes:
        sandbox: The sandbox.
        clock: The clients' clock; moved by hand.
        problems: Everything that clients reported.
    """

    def __init__(self, sandbox: Sandbox, directory: Path) -> None:
        self.sandbox = sandbox
        self.clock = ManualClock()
        self.problems: list[Problem] = []
        self._directory = directory
        self._clients: list[Braze] = []

    def client(self, **settings: Any) -> Braze:
        """A client; those of one lab share their storage."""
        chosen = {"storage": self._directory, "clock": self.clock, "on_error": self.problems.append, **settings}
        made = Braze(KEY, self.sandbox.url, **chosen)
        self._clients.append(made)
        return made

    def close(self) -> None:
        """Close all clients."""
        for client in self._clients:
            client.close(0)

    def requests(self, endpoint: str) -> list[SandboxRequest]:
        """The requests to one endpoint, by the end of its path."""
        return [one for one in self.sandbox.requests if one.path.rstrip("/").endswith(endpoint.rstrip("/"))]

    def wait_for(self, endpoint: str, count: int = 1) -> SandboxRequest:
        """Wait until that many requests to the endpoint came; gives the last of them."""
        assert self.sandbox.wait_for(lambda: len(self.requests(endpoint)) >= count), (
            endpoint,
            [one.path for one in self.sandbox.requests],
        )
        return self.requests(endpoint)[count - 1]

    def until(self, condition: Callable[[], object]) -> None:
        """Wait for anything."""
        assert self.sandbox.wait_for(condition)

    def wait_for_sleep(self, least: float, most: float) -> None:
        """Wait until a thread of a client sleeps for so many seconds of the clock."""

        def asleep() -> bool:
            ends = [due - self.clock.monotonic() for due, _ in list(self.clock._sleepers.values()) if due is not None]
            return any(least <= left <= most for left in ends)

        assert self.sandbox.wait_for(asleep), self.clock._sleepers

    @property
    def faults(self) -> list[Problem]:
        """Reports that should never be seen: something of ours raised."""
        wrong = {"messaging_failed", "destination_failed", "dispatcher_failed", "callback_failed", "record_dropped"}
        return [problem for problem in self.problems if problem.code in wrong]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox of one's own, without the client-side rate limit."""
    with Sandbox(KEY, limiter=False) as made:
        yield made


@pytest.fixture
def lab(sandbox: Sandbox, tmp_path: Path) -> Iterator[Lab]:
    """A lab; at its end no client may have reported a fault of its own, and every request must have been in order."""
    made = Lab(sandbox, tmp_path / "storage")
    yield made
    made.close()
    assert not made.faults
    assert not [str(problem) for problem in sandbox.problems]


def braze_headers(request: SandboxRequest) -> dict[str, str]:
    """The headers that are Braze's, by their names in lower case."""
    return {name.lower(): value for name, value in request.headers.items() if "braze" in name.lower()}


def own_members(body: dict[str, Any]) -> dict[str, Any]:
    """A body without what every request has and what is made up anew each time."""
    common = {"api_key", "sdk_version", "device_id", "time", "device"}
    return {key: value for key, value in body.items() if key not in common}


def shown(braze: Braze, lab: Lab, event: str = "show") -> InAppMessage:
    """Log an event and take the message it brings up."""
    with braze.in_app_messages.stream() as stream:
        braze.log_custom_event(event)
        message = stream.take(5)
    assert message is not None
    return message
