"""Requests without records: on delivery's thread, beside its queue."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from mparticle_kit_braze.delivery import Delivery, DeliveryOptions, Request, Response
from mparticle_kit_braze.storage import Storage
from tests.delivery.server import Reply, Server
from tests.delivery.support import JsonDestination, Problems, until


class OneShot:
    """Posts an empty list once."""

    def __init__(self, url: str, *, fails_in: str = "", wanted: bool = True) -> None:
        self.url = url
        self.fails_in = fails_in
        self.wanted = wanted
        self.answers: list[Response] = []
        self.threads: set[str] = set()

    def build(self, *, now: float) -> Request | None:
        """An empty list, or what the test wants."""
        self.threads.add(threading.current_thread().name)
        if self.fails_in == "build":
            raise ValueError
        return Request(self.url, {"X-Attempt": "1"}, b"[]", 0) if self.wanted else None

    def interpret(self, request: Request, response: Response) -> None:
        """Remember the answer."""
        self.answers.append(response)
        if self.fails_in == "interpret":
            raise ValueError


@pytest.fixture
def problems() -> Problems:
    """What was reported."""
    return Problems()


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that takes lists."""
    with Server() as made:
        yield made


@pytest.fixture
def destination(server: Server) -> JsonDestination:
    """Where records go."""
    return JsonDestination(server.url)


@pytest.fixture
def delivery(destination: JsonDestination, problems: Problems) -> Iterator[Delivery]:
    """A delivery in memory that sends at once."""
    storage = Storage(None, problems.reporter)
    made = Delivery(destination, storage=storage, options=DeliveryOptions(flush_interval=0))
    yield made
    made.close(1)


def test_it_is_made_without_any_record(delivery: Delivery, server: Server) -> None:
    """It starts the thread, and its answer comes back there."""
    exchange = OneShot(server.url)
    assert delivery.call_soon(exchange)
    until(lambda: exchange.answers)
    assert exchange.answers[0].status == 200
    (name,) = exchange.threads
    assert "delivery" in name


def test_it_does_not_wait_for_a_back_off(delivery: Delivery, server: Server) -> None:
    """While records back off after a failure, it goes all the same."""
    server.script.append(Reply(status=503))
    delivery.append("e", b"1")
    until(lambda: delivery.stats().last_error)
    exchange = OneShot(server.url)
    delivery.call_soon(exchange)
    until(lambda: exchange.answers)
    assert delivery.stats().queued == 1


def test_it_waits_for_the_rate_limit_and_while_paused(
    delivery: Delivery, destination: JsonDestination, server: Server
) -> None:
    """Neither paused nor without a token is anything made; afterwards it is."""
    exchange = OneShot(server.url)
    delivery.pause()
    delivery.call_soon(exchange)
    assert not delivery.flush(0.05).sent
    assert not exchange.threads
    destination.rate_limit_wait = 3600
    delivery.unpause()
    delivery.flush(0.05)
    assert not exchange.threads
    destination.rate_limit_wait = 0
    delivery.flush_soon()
    until(lambda: exchange.answers)


@pytest.mark.parametrize("fails_in", ["build", "interpret"])
def test_a_fault_in_one_costs_nothing_else(
    delivery: Delivery, server: Server, problems: Problems, fails_in: str
) -> None:
    """What it raises is reported; records and other exchanges go on."""
    delivery.call_soon(OneShot(server.url, fails_in=fails_in))
    good = OneShot(server.url)
    delivery.call_soon(OneShot(server.url, wanted=False))
    delivery.call_soon(good)
    delivery.append("e", b"1")
    until(lambda: good.answers)
    assert delivery.flush(5).complete
    assert problems.codes() == ["destination_failed"]


def test_after_close_none_is_taken(delivery: Delivery, server: Server) -> None:
    """A closed delivery says so."""
    delivery.close(1)
    assert not delivery.call_soon(OneShot(server.url))
