"""A Braze client whose delivery is a list, so that tests decide when a request leaves and what is answered."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from mparticle_kit_braze.braze import Braze
from mparticle_kit_braze.delivery.destination import Destination, Exchange, Outcome, Record, Request, Response, Verdict
from mparticle_kit_braze.diagnostics import Problem

START = 1_795_281_145.0


class ManualClock:
    """A clock that only moves when told to."""

    def __init__(self) -> None:
        self.wall = START
        self.steady = 100.0

    def time(self) -> float:
        """Wall-clock seconds."""
        return self.wall

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return self.steady

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.wall += seconds
        self.steady += seconds


class ListDelivery:
    """Stands in for delivery: keeps records in a list and sends them when a test says so."""

    def __init__(self, destination: Destination, *, clock: ManualClock, **_settings: Any) -> None:
        self.destination = destination
        self.clock = clock
        self.records: list[Record] = []
        self.requests: list[Request] = []
        self.outcomes: list[Outcome] = []
        self.last_activity: float | None = None
        self.wanted_soon = self.resumed = 0
        self.revived: list[str | None] = []
        self.paused = False
        self.full = False
        self.attempt = 1
        self.answer: Callable[[Request], Response] = lambda _request: Response(200, {}, b"{}")

    def append(self, kind: str, payload: bytes) -> bool:
        """Keep a record."""
        if self.full:
            return False
        self.records.append(Record(len(self.records) + 1, kind, payload))
        return True

    def call_soon(self, exchange: Exchange) -> bool:
        """Requests without records are not made here."""
        return False

    def send(self) -> Outcome:
        """One request with what is queued."""
        request = self.destination.build(tuple(self.records), attempt=self.attempt, now=self.clock.time())
        outcome = self.destination.interpret(request, self.answer(request))
        self.requests.append(request)
        self.outcomes.append(outcome)
        if outcome.verdict is Verdict.ACCEPTED:
            del self.records[: request.used]
            self.attempt = 1
        else:
            self.attempt += 1
        return outcome

    def flush_soon(self, *, ignore_backoff: bool = False) -> None:
        """Count the wish."""
        self.wanted_soon += 1

    def resume(self) -> None:
        """Count the wish."""
        self.resumed += 1

    def retry_dead_letters(self, reason: str | None = None) -> int:
        """Note for what reason."""
        self.revived.append(reason)
        return 0

    def pause(self) -> None:
        """Remember it."""
        self.paused = True

    def unpause(self) -> None:
        """Remember it."""
        self.paused = False

    def clear(self) -> int:
        """Drop everything."""
        count = len(self.records)
        self.records.clear()
        return count

    def close(self, _timeout: float) -> None:
        """Nothing to release."""


class Client:
    """A Braze client on a :class:`ListDelivery`, with what it queued and sent in decoded form."""

    def __init__(self, storage: str | Path, clock: ManualClock, **settings: Any) -> None:
        self.problems: list[Problem] = []
        self.clock = clock
        self.braze = Braze(
            "key-1",
            "https://sdk.example",
            storage=str(storage),
            clock=clock,
            **{"on_error": self.problems.append, **settings},
        )
        self.user = self.braze.current_user

    @property
    def delivery(self) -> ListDelivery:
        """The stand-in."""
        delivery: Any = self.braze.delivery
        assert isinstance(delivery, ListDelivery)
        return delivery

    def send(
        self, answer: Mapping[str, Any] | bytes | None = None, status: int = 200, **headers: str
    ) -> dict[str, Any]:
        """Send what is queued and answer; gives the body that left."""
        body = answer if isinstance(answer, bytes) else json.dumps(answer or {}).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.delivery.answer = lambda _request: Response(status, named, body)
        self.delivery.send()
        return self.last_body

    @property
    def last_body(self) -> dict[str, Any]:
        """The body of the last request."""
        body: dict[str, Any] = json.loads(self.delivery.requests[-1].body)
        return body

    @property
    def last_headers(self) -> Mapping[str, str]:
        """The headers of the last request."""
        return self.delivery.requests[-1].headers

    def queued(self) -> list[dict[str, Any]]:
        """All records in the queue, decoded."""
        return [json.loads(record.payload) for record in self.delivery.records]

    def codes(self) -> list[str]:
        """The codes of the queued events."""
        return [record["name"] for record in self.queued() if "name" in record]

    def refusals(self) -> list[str]:
        """Messages of refused values."""
        return [problem.message for problem in self.problems if problem.code == "value_refused"]


@pytest.fixture
def clock() -> ManualClock:
    """A clock at a fixed instant."""
    return ManualClock()


@pytest.fixture
def make_client(monkeypatch: pytest.MonkeyPatch, clock: ManualClock, tmp_path: Path) -> Callable[..., Client]:
    """Makes clients; those made without ``storage`` share one directory, as restarts of one app do."""
    monkeypatch.setattr("mparticle_kit_braze.braze.client.Delivery", ListDelivery)

    def make(storage: str | Path = tmp_path, **settings: Any) -> Client:
        return Client(storage, clock, **settings)

    return make


@pytest.fixture
def client(make_client: Callable[..., Client]) -> Client:
    """A client in memory."""
    return make_client(":memory:")
