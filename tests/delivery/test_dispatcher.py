"""When requests leave, by a clock moved by hand."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from mparticle_kit_braze.delivery import (
    Backoff,
    Delivery,
    DeliveryOptions,
    DeliveryReport,
    FlushResult,
    Outcome,
    Request,
    Response,
    Verdict,
)

from .server import Reply, Server
from .support import JsonDestination, ManualClock, Problems, numbers, payloads, until

Make = Callable[..., Delivery]


def append(delivery: Delivery, values: range | list[int]) -> None:
    for payload in payloads(values):
        assert delivery.append("e", payload)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("mparticle_kit_braze.delivery")]


def test_no_thread_before_the_first_record(make: Make) -> None:
    """Making a delivery starts nothing; the first record starts one thread."""
    delivery = make()
    assert threads() == []
    assert delivery.flush(1).complete
    append(delivery, [1])
    assert threads() == ["mparticle_kit_braze.delivery-test"]
    append(delivery, [2])
    assert len(threads()) == 1


def test_the_first_record_arms_the_interval(make: Make, clock: ManualClock, server: Server) -> None:
    """Records leave together one interval after the first of them, and an idle delivery sleeps without end."""
    delivery = make(clock=clock)
    append(delivery, [1])
    clock.wait_for_sleeper(10.0)
    clock.advance(6)
    append(delivery, [2])
    clock.advance(3.9)
    clock.wait_for_sleeper(0.1)
    assert server.requests == []
    clock.advance(0.2)
    server.wait_for(lambda: len(server.requests) == 1)
    assert numbers(server.requests[0].items) == [1, 2]
    clock.wait_for_sleeper(None)
    append(delivery, [3])
    clock.wait_for_sleeper(10.0)


@pytest.mark.parametrize("options", [{"max_batch_records": 5}, {"max_batch_bytes": 40}])
def test_a_full_batch_leaves_at_once(make: Make, clock: ManualClock, server: Server, options: dict[str, Any]) -> None:
    """Records or bytes for a whole request do not wait for the interval."""
    delivery = make(clock=clock, options=DeliveryOptions(**options))
    append(delivery, range(4))
    append(delivery, range(4, 6))
    server.wait_for(lambda: len(server.accepted) >= 4)
    assert all(len(request.items) <= 5 for request in server.requests)
    assert delivery.flush(5).complete
    assert numbers(server.accepted) == list(range(6))


def test_flush_soon_does_not_wait_for_the_interval(make: Make, clock: ManualClock, server: Server) -> None:
    """A request asked for leaves without the clock moving."""
    delivery = make(clock=clock)
    append(delivery, [1])
    delivery.flush_soon()
    server.wait_for(lambda: len(server.accepted) == 1)


def test_failures_back_off_and_attempts_count_up(
    make: Make, clock: ManualClock, server: Server, problems: Problems, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waits grow as measured on the Web SDK, the attempt is passed on, success resets both, one log line an episode."""
    monkeypatch.setattr("random.random", lambda: 0.5)
    server.script.extend([Reply(500), Reply(404), Reply(302), Reply(close=True)])
    delivery = make(clock=clock)
    append(delivery, [1])
    clock.wait_for_sleeper(10.0)
    clock.advance(10)
    for wait in (20, 35, 57.5, 91.25):
        clock.wait_for_sleeper(wait)
        assert delivery.stats().next_attempt == pytest.approx(clock.time() + wait)
        clock.advance(wait)
    server.wait_for(lambda: len(server.accepted) == 1)
    assert [request.attempt for request in server.requests] == [1, 2, 3, 4, 5]
    clock.wait_for_sleeper(None)
    assert problems.codes() == ["delivery_failed"] * 4
    stats = delivery.stats()
    assert (stats.sent, stats.retried, stats.last_error, stats.queued) == (1, 4, None, 0)
    append(delivery, [2])
    clock.wait_for_sleeper(10.0)
    clock.advance(10)
    server.wait_for(lambda: len(server.accepted) == 2)
    assert server.requests[-1].attempt == 1


def test_records_that_come_during_a_backoff_go_with_the_retry(
    make: Make, clock: ManualClock, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A retry carries newer records too, in order; newer records do not shorten the wait."""
    monkeypatch.setattr("random.random", lambda: 0.5)
    server.script.append(Reply(503))
    delivery = make(clock=clock, options=DeliveryOptions(max_batch_records=100))
    append(delivery, [0])
    delivery.flush_soon()
    clock.wait_for_sleeper(20.0)
    append(delivery, range(1, 150))
    delivery.flush_soon()
    until(lambda: delivery.stats().bytes > 100 and not delivery._engine.intake.pending)
    clock.wait_for_sleeper(20.0)
    assert len(server.requests) == 1
    clock.advance(20)
    server.wait_for(lambda: len(server.accepted) == 150)
    assert numbers(server.accepted) == list(range(150))


def test_retry_after_binds_even_a_flush(make: Make, clock: ManualClock, server: Server) -> None:
    """What the server asked for is waited for, also when somebody flushes; our own back-off is not."""
    server.script.extend([Reply(429, {"Retry-After": "400"}), Reply(500)])
    delivery = make(clock=clock)
    append(delivery, [1])
    assert delivery.flush(5).kept == 1
    clock.wait_for_sleeper(400.0)
    assert delivery.flush(5).kept == 1
    assert len(server.requests) == 1
    clock.wait_for_sleeper(400.0)
    clock.advance(400)
    server.wait_for(lambda: len(server.requests) == 2)
    clock.wait_for_sleeper()
    assert delivery.flush(5).complete
    assert len(server.accepted) == 1


def test_flush_soon_ignores_the_backoff_only_when_told(make: Make, clock: ManualClock, server: Server) -> None:
    """A change of user does not hammer a server that fails; an explicit request may try again."""
    server.script.append(Reply(500))
    delivery = make(clock=clock)
    append(delivery, [1])
    delivery.flush_soon()
    server.wait_for(lambda: len(server.requests) == 1)
    clock.wait_for_sleeper()
    delivery.flush_soon()
    until(lambda: not delivery._engine.dispatcher._requested)
    clock.wait_for_sleeper()
    assert len(server.requests) == 1
    delivery.flush_soon(ignore_backoff=True)
    server.wait_for(lambda: len(server.accepted) == 1)


def test_the_rate_limit_delays_without_counting_as_failure(
    make: Make, clock: ManualClock, server: Server, destination: JsonDestination
) -> None:
    """Without a token the request waits until one is due, and a flush waits with it if its time allows."""
    destination.rate_limit_wait = 30.0
    delivery = make(clock=clock)
    append(delivery, [1])
    assert delivery.flush(5).kept == 1
    clock.wait_for_sleeper(30.0)
    assert (server.requests, delivery.stats().retried) == ([], 0)
    results = []
    waiter = threading.Thread(target=lambda: results.append(delivery.flush(40)))
    waiter.start()
    until(lambda: delivery._engine.dispatcher.flushes.waiting)
    clock.wait_for_sleeper(30.0)
    destination.rate_limit_wait = 0.0
    clock.advance(30)
    waiter.join(10)
    assert results[0].sent == 1
    assert server.requests[0].attempt == 1


def test_an_authentication_failure_holds_until_resume(
    make: Make, clock: ManualClock, server: Server, problems: Problems
) -> None:
    """401 and 403 stop sending without a retry, say so once, keep everything; new credentials send it."""
    server.script.append(Reply(401))
    delivery = make(clock=clock)
    append(delivery, [1])
    assert delivery.flush(5).kept == 1
    clock.wait_for_sleeper(None)
    append(delivery, [2])
    assert delivery.flush(5).kept == 2
    assert delivery.stats().next_attempt is None
    assert len(server.requests) == 1
    assert problems.codes() == ["delivery_unauthorized"]
    delivery.resume()
    server.wait_for(lambda: numbers(server.accepted) == [1, 2])


def test_pause_keeps_and_unpause_sends(make: Make, clock: ManualClock, server: Server) -> None:
    """While paused records are taken and kept; afterwards they leave."""
    delivery = make(clock=clock)
    delivery.pause()
    append(delivery, range(3))
    assert delivery.flush(5).kept == 3
    assert server.requests == []
    delivery.unpause()
    server.wait_for(lambda: len(server.accepted) == 3)


def test_a_clock_that_jumps_changes_nothing(make: Make, clock: ManualClock, server: Server) -> None:
    """Wall-clock jumps by years neither delay nor reorder anything, and no age is negative."""
    delivery = make(clock=clock)
    append(delivery, [1])
    clock.wait_for_sleeper(10.0)
    clock.jump(-10 * 365 * 86400)
    delivery.pause()
    delivery.flush(5)
    append(delivery, [2])
    clock.jump(20 * 365 * 86400)
    delivery.flush(5)
    append(delivery, [3])
    clock.jump(-15 * 365 * 86400)
    assert (delivery.stats().oldest_age or 0) >= 0
    delivery.unpause()
    assert delivery.flush(5).complete
    assert numbers(server.accepted) == [1, 2, 3]


def test_a_fault_of_the_request_keeps_everything(
    make: Make, clock: ManualClock, server: Server, problems: Problems
) -> None:
    """When every record is refused alone nothing is dead, it is said once an episode, and recovery sends all."""
    server.decide = lambda _items: Reply(400)
    delivery = make(clock=clock)
    append(delivery, range(100))
    result = delivery.flush(5)
    assert (result.sent, result.kept, result.dead) == (0, 100, 0)
    assert problems.codes() == ["request_refused"]
    assert len(server.requests) < 20
    clock.wait_for_sleeper()
    server.decide = lambda _items: Reply()
    assert delivery.flush(5).sent == 100
    assert numbers(server.accepted) == list(range(100))
    assert delivery.dead_letters() == []


def test_a_refused_record_becomes_a_dead_letter(
    make: Make, server: Server, problems: Problems, destination: JsonDestination
) -> None:
    """The offender is set aside with its reason and announced; all others arrive once; it can be retried or deleted."""
    server.decide = lambda items: Reply(400 if any(number in {7, 8} for number in numbers(items)) else 200)
    reports: list[DeliveryReport] = []
    delivery = make(on_delivery=reports.append)
    append(delivery, range(50))
    result = delivery.flush(10)
    assert (result.sent, result.dead, result.kept) == (48, 2, 0)
    assert numbers(server.accepted) == [number for number in range(50) if number not in {7, 8}]
    letters = delivery.dead_letters()
    assert [letter.payload for letter in letters] == payloads([7, 8])
    assert letters[0].reason == "HTTP 400"
    assert sum(report.accepted for report in reports) == 48
    assert sum(report.dead for report in reports) == 2
    assert problems.codes() == ["record_refused"] * 2
    assert [(given[0], reason) for given, reason in destination.given_up] == [
        (payload, "HTTP 400") for payload in payloads([7, 8])
    ]
    server.decide = lambda _items: Reply()
    assert delivery.retry_dead_letters() == 2
    assert delivery.flush(5).sent == 2
    assert delivery.stats().dead == 0
    assert delivery.delete_dead_letters() == 0


def test_too_large_halves(make: Make, server: Server) -> None:
    """413 sends ever smaller batches until they fit; nothing is lost and order is kept."""
    server.decide = lambda items: Reply(413 if len(items) > 6 else 200)
    delivery = make()
    append(delivery, range(100))
    assert delivery.flush(10).sent == 100
    assert numbers(server.accepted) == list(range(100))
    assert sum(request.status == 413 for request in server.requests) < 12


def test_a_record_that_cannot_be_built_does_not_block_the_others(
    make: Make, server: Server, destination: JsonDestination, problems: Problems
) -> None:
    """A destination that raises over one record loses that record to the dead letters and no other."""
    destination.poison = b'"n": 5}'
    delivery = make()
    append(delivery, range(20))
    result = delivery.flush(5)
    assert (result.sent, result.dead) == (19, 1)
    assert "destination_failed" in problems.codes()


def test_callbacks_may_call_anything_and_raise(make: Make, server: Server, problems: Problems) -> None:
    """on_delivery may append, flush, ask for figures and raise, on our thread, without a deadlock."""
    holder: list[Delivery] = []
    results: list[FlushResult] = []

    def on_delivery(_report: DeliveryReport) -> None:
        delivery = holder[0]
        if not results:
            append(delivery, [2])
            results.append(delivery.flush(5))
            delivery.stats()
            delivery.dead_letters()
        raise RuntimeError("host code")

    holder.append(make(on_delivery=on_delivery))
    append(holder[0], [1])
    holder[0].flush(5)
    server.wait_for(lambda: numbers(server.accepted) == [1, 2])
    until(lambda: problems.codes().count("callback_failed") == 2)
    assert results[0].kept >= 1


def test_close_from_a_callback_ends_the_thread(make: Make, server: Server) -> None:
    """A callback that closes the delivery neither hangs nor leaves the thread behind."""
    holder: list[Delivery] = []
    holder.append(make(on_delivery=lambda _report: holder[0].close(5)))
    append(holder[0], [1])
    holder[0].flush_soon()
    server.wait_for(lambda: len(server.accepted) == 1)
    until(lambda: threads() == [])


def test_a_backoff_of_the_destination_is_used(
    make: Make, clock: ManualClock, server: Server, destination: JsonDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The destination's own numbers (a server configuration) replace the defaults."""
    monkeypatch.setattr("random.random", lambda: 1.0)
    destination.backoff = Backoff(minimum=1.0, maximum=4.0, scale=2.0)
    server.script.extend([Reply(500)] * 3)
    delivery = make(clock=clock)
    append(delivery, [1])
    delivery.flush_soon()
    for wait in (2.0, 4.0, 4.0):
        clock.wait_for_sleeper(wait)
        clock.advance(wait)
    server.wait_for(lambda: len(server.accepted) == 1)


def test_some_records_of_an_accepted_request_may_be_refused(
    make: Make, server: Server, destination: JsonDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A destination that names the refused records of an accepted request sends exactly those to the dead letters."""
    monkeypatch.setattr(
        destination,
        "interpret",
        lambda _request, _response: Outcome(Verdict.ACCEPTED, refused={1: "no", 99: "out of range"}),
    )
    reports: list[DeliveryReport] = []
    delivery = make(on_delivery=reports.append)
    append(delivery, range(3))
    assert delivery.flush(5) == FlushResult(sent=2, dead=1)
    assert [(letter.payload, letter.reason) for letter in delivery.dead_letters()] == [(payloads([1])[0], "no")]
    assert reports == [DeliveryReport(accepted=2, dead=1, reason="no")]
    assert destination.given_up == [(payloads([1]), "no")]


def test_exchanges_share_thread_and_rate_limit(
    make: Make, clock: ManualClock, server: Server, destination: JsonDestination, problems: Problems
) -> None:
    """A request without records is made once, on our thread, when a token is there; a broken one ends nothing."""
    answers: list[int] = []
    makers: list[str] = []

    class Sync:
        def build(self, *, now: float) -> Request | None:
            makers.append(threading.current_thread().name)
            return Request(server.url, {}, b"[]", 0)

        def interpret(self, request: Request, response: Response) -> None:
            answers.append(response.status)

    class Broken(Sync):
        def build(self, *, now: float) -> Request | None:
            raise RuntimeError("host code")

    delivery = make(clock=clock)
    destination.rate_limit_wait = 30.0
    assert delivery.call_soon(Broken())
    assert delivery.call_soon(Sync())
    clock.wait_for_sleeper(30.0)
    assert answers == []
    destination.rate_limit_wait = 0.0
    clock.advance(30)
    until(lambda: answers == [200])
    assert makers == ["mparticle_kit_braze.delivery-test"]
    assert problems.codes() == ["destination_failed"]
    append(delivery, [1])
    assert delivery.flush(5).complete
    delivery.close(1)
    assert not delivery.call_soon(Sync())
