"""What the host does to us: calls from anywhere, at any moment, while we are in the middle of something."""

from __future__ import annotations

import contextlib
import gc
import logging
import random
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mparticle_kit_braze import CommerceEvent, EventType, MParticle, Product, ProductAction
from mparticle_kit_braze.sandbox import Reply, Sandbox
from tests.support import wait_until

from .support import Problems, doubled, ids, log, make_client, prime

Make = Callable[..., MParticle]


def call_everything(client: MParticle, number: int, *, flush: float = 0.01) -> None:
    """Call every public method that does not end the client."""
    client.log_event("Everything", EventType.OTHER, {"id": number})
    client.log_screen("Screen")
    client.log_commerce_event(
        CommerceEvent(product_action=ProductAction.PURCHASE, products=[Product("Tea", "SKU-1", 4.5)])
    )
    client.set_user_attribute("plan", f"gold-{number}")
    client.set_user_attributes({"a": number, "b": [str(number)]})
    client.set_user_attribute_list("colors", [f"red-{number}"])
    client.set_user_tag("vip")
    client.increment_user_attribute("visits")
    client.remove_user_attribute("a")
    client.identify(customer_id=f"user-{number % 2}")
    client.login(customer_id=f"user-{number % 2}", email="ada@example.com")
    client.modify(email="ada@example.org")
    client.logout()
    client.set_consent("gdpr", "marketing", number % 2 == 0)
    client.remove_consent("gdpr", "marketing")
    client.set_push_token(f"token-{number}")
    client.kit("Braze").request_immediate_data_flush()
    assert client.kit_is_active("Braze")
    client.stats()
    client.flush(timeout=flush)
    assert client.current_user is not None


@contextlib.contextmanager
def at_every(seconds: float, times: int, action: Callable[[], None]) -> Iterator[None]:
    """Run an action in a signal handler, so many times, again so long after each time it is done."""

    def handler(_number: int, _frame: Any) -> None:
        nonlocal times
        try:
            action()
        finally:
            times -= 1
            if times > 0:
                signal.setitimer(signal.ITIMER_REAL, seconds)

    previous = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        times = 0
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


# -- signals --------------------------------------------------------------------------------------------------------
def test_signal_handlers_call_every_method(make: Make, sandbox: Sandbox, problems: Problems) -> None:
    """In the middle of any call, every public method can be called: nothing deadlocks, nothing is lost or doubled."""
    client = make(flush_interval=0.02)
    call_everything(client, 0, flush=20)  # modules that are imported at the first use are not to be interrupted
    handled = 0

    def action() -> None:
        nonlocal handled
        handled += 1
        call_everything(client, 1_000_000 + handled, flush=0.0)

    number = 1
    deadline = time.monotonic() + 60
    with at_every(0.0015, 25, action):
        while handled < 25 and time.monotonic() < deadline:
            call_everything(client, number, flush=0.005)
            number += 1
    assert handled >= 25
    assert client.flush(timeout=30).complete
    arrived = ids(sandbox)
    assert sorted(arrived) == sorted([*range(number), *range(1_000_001, 1_000_001 + handled)])
    assert sandbox.problems == []
    assert "kit_failed" not in problems.codes


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # interrupts in finalizers are swallowed
def test_ctrl_c_at_any_instant(make: Make, sandbox: Sandbox, problems: Problems) -> None:
    """KeyboardInterrupt out of any call leaves the client usable: whatever had returned arrives, and flushes go on."""
    client = make(flush_interval=0.02)
    prime(client, sandbox)
    accepted: list[int] = []

    def interrupt(_number: int, _frame: Any) -> None:
        raise KeyboardInterrupt

    number = 0

    def work() -> None:
        """Go on until interrupted.

        A function of its own: Python 3.12 and 3.13 forget the ``try`` around a loop for its jump back.
        """
        nonlocal number
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0001, 0.004))
        # Not for ever: an interrupt that comes in a finalizer is swallowed by the interpreter.
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            number += 1
            client.set_user_attribute("n", number)
            log(client, [number])
            accepted.append(number)
            if number % 5 == 0:
                client.flush(timeout=0.5)
        signal.setitimer(signal.ITIMER_REAL, 0)

    previous = signal.signal(signal.SIGALRM, interrupt)
    try:
        for _ in range(200):
            with contextlib.suppress(KeyboardInterrupt):
                work()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    done = threading.Event()
    results: list[object] = []

    def elsewhere() -> None:
        """Another thread must find every lock free."""
        client.set_user_attribute("n", 0)
        client.identify(customer_id="ada")
        log(client, [10_000_000])
        result = client.flush(timeout=20)
        results.append(result.complete or (result, client.stats()))
        done.set()

    threading.Thread(target=elsewhere, daemon=True).start()
    assert done.wait(30)
    assert results == [True], problems.all
    arrived = ids(sandbox)
    assert {*accepted, 10_000_000} <= set(arrived)
    assert not doubled(arrived)


# -- callbacks ------------------------------------------------------------------------------------------------------
def test_callbacks_call_every_method(sandbox: Sandbox, state: Path) -> None:
    """``on_delivery`` and ``on_error`` may call any public method, ``flush`` without a time-out among them."""
    calls: list[str] = []
    failures: list[BaseException] = []
    clients: list[MParticle] = []
    busy = threading.Lock()

    def call_back(name: str) -> Callable[[object], None]:
        def callback(_what: object) -> None:
            if not clients or not busy.acquire(blocking=False):
                return
            try:
                calls.append(name)
                call_everything(clients[0], 1000 + len(calls))
                clients[0].flush()
            except BaseException as error:
                failures.append(error)
            finally:
                busy.release()

        return callback

    client = make_client(
        sandbox, state, on_error=call_back("error"), on_delivery=call_back("delivery"), flush_interval=0.02
    )
    clients.append(client)
    client.log_event("Refused", attributes={"bad": {"nested": 1}})  # makes on_error be called
    log(client, range(3))
    client.flush(timeout=20)
    sandbox.respond_next(Reply(status=500))
    log(client, range(3, 6))
    assert sandbox.wait_for(lambda: set(range(6)) <= set(ids(sandbox)), 20)
    assert busy.acquire(timeout=60)  # closing under a callback's hands would be its error, not ours
    clients.clear()
    busy.release()
    assert client.close(timeout=20).complete
    assert failures == []
    assert {"error", "delivery"} <= set(calls)


def test_a_callback_closes_the_client(sandbox: Sandbox, state: Path) -> None:
    """Closing from our own thread neither hangs nor raises, and what was not sent is kept."""
    closed = threading.Event()
    clients: list[MParticle] = []

    def close(_report: object) -> None:
        if ids(sandbox):  # else only the session's start has gone
            clients[0].close(timeout=5)
            closed.set()

    client = make_client(sandbox, state, on_delivery=close, flush_interval=0.02)
    clients.append(client)
    log(client, [1])
    assert closed.wait(20)
    assert ids(sandbox) == [1]


@pytest.mark.parametrize("error", [RuntimeError, SystemExit])
def test_callbacks_that_raise(sandbox: Sandbox, state: Path, error: type[BaseException]) -> None:
    """What a callback raises on our thread harms nothing, not even ``sys.exit()``."""

    def bad(_what: object) -> None:
        if error is RuntimeError or threading.current_thread() is not threading.main_thread():
            raise error("the host's mistake")

    with make_client(sandbox, state, on_error=bad, on_delivery=bad) as client:
        client.log_event("Refused", attributes={"bad": {"nested": 1}})
        for number in range(4):
            log(client, [number])
            client.flush(timeout=20)
            assert sandbox.wait_for(lambda: ids(sandbox) == list(range(number + 1)), 20)  # noqa: B023  # called before the next round


# -- logging --------------------------------------------------------------------------------------------------------
class LoggingToUs(logging.Handler):
    """A handler that sends every log line through the client."""

    def __init__(self) -> None:
        super().__init__()
        self.client: MParticle | None = None
        self.sent = 0
        self.wanted = threading.Event()
        self._in = threading.local()

    def handle(self, record: logging.LogRecord) -> Any:
        """Take the handler's lock for a line, and say before that a report is on its way."""
        if threading.current_thread().name in {"reports", "mparticle_kit_braze.report"}:
            self.wanted.set()
        return super().handle(record)

    def emit(self, record: logging.LogRecord) -> None:
        """One line; what that makes us log in turn is passed over."""
        if self.client is None or getattr(self._in, "here", False):
            return
        self._in.here = True
        try:
            self.sent += 1
            self.client.log_event("Logged", attributes={"id": 1_000_000 + self.sent})
            self.client.set_user_attribute("last_line", record.getMessage())
            self.client.stats()
        finally:
            self._in.here = False


@pytest.fixture
def handler() -> Iterator[LoggingToUs]:
    """The handler, on every logger, debugging lines included."""
    made = LoggingToUs()
    root = logging.getLogger()
    level = root.level
    root.addHandler(made)
    root.setLevel(logging.DEBUG)
    yield made
    made.client = None
    root.removeHandler(made)
    root.setLevel(level)


def test_logging_through_the_client(make: Make, sandbox: Sandbox, handler: LoggingToUs) -> None:
    """A handler that logs through the client, on our thread as well, gets neither a deadlock nor a recursion."""
    client = make(flush_interval=0.02)
    prime(client, sandbox)
    handler.client = client
    sandbox.respond_next(Reply(status=500), Reply(body="<html>"), Reply(status=400))
    for number in range(20):
        log(client, [number])
        client.log_event("Refused", attributes={f"bad-{number}": {"nested": 1}})
        client.flush(timeout=0.05)
    assert client.flush(timeout=20).complete
    handler.client = None
    assert client.flush(timeout=20).complete
    assert handler.sent > 20
    assert set(range(20)) <= set(ids(sandbox))
    assert not doubled(ids(sandbox))


def test_a_logging_handler_and_a_failing_disk(
    make: Make, sandbox: Sandbox, state: Path, handler: LoggingToUs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One thread logs through a handler that needs our locks, another needs the handler's lock to report: no deadlock.

    Each waits for the other if a problem is reported while a lock of ours is held.
    """
    monkeypatch.setattr("mparticle_kit_braze.key_values.BUSY_TIMEOUT", 0.01)
    client = make()
    prime(client, sandbox)
    client.close(timeout=5)
    client = make()
    handler.client = client
    intruders = [sqlite3.connect(path, isolation_level=None) for path in state.rglob("braze.db")]
    for intruder in intruders:
        intruder.execute("BEGIN IMMEDIATE")
    in_handler = threading.Event()
    was_wanted: list[bool] = []

    def through_the_handler() -> None:
        handler.acquire()
        try:
            handler.wanted.clear()
            in_handler.set()
            was_wanted.append(handler.wanted.wait(20))
            client.kit("Braze").change_user("handler")
        finally:
            handler.release()

    def reports() -> None:
        in_handler.wait(20)
        client.kit("Braze").change_user("thread")  # cannot be stored

    works = {"logs": through_the_handler, "reports": reports}
    threads = [threading.Thread(target=work, name=name, daemon=True) for name, work in works.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    handler.client = None
    for intruder in intruders:
        intruder.close()
    assert not any(thread.is_alive() for thread in threads)
    assert was_wanted == [True]


# -- garbage --------------------------------------------------------------------------------------------------------
def test_finalizers_log(make: Make, sandbox: Sandbox) -> None:
    """Objects that log as they are collected, at any allocation of ours, neither deadlock nor lose anything."""
    client = make(flush_interval=0.02)
    prime(client, sandbox)
    collected: list[int] = []

    class Noisy:
        def __init__(self, number: int) -> None:
            self.number = number
            self.me = self

        def __del__(self) -> None:
            client.log_event("Collected", attributes={"id": 1000 + self.number})
            client.set_user_attribute("collected", self.number)
            collected.append(self.number)

    threshold = gc.get_threshold()
    gc.set_threshold(7)
    try:
        for number in range(150):
            Noisy(number)
            log(client, [number])
            client.set_user_attribute("number", number)
            if number % 30 == 0:
                client.stats()
                client.flush(timeout=0.2)
    finally:
        gc.set_threshold(*threshold)
    # Not one collection: it does nothing while another thread is at it.
    wait_until(lambda: gc.collect() is not None and len(collected) == 150, 20)
    assert client.flush(timeout=20).complete
    assert sorted(ids(sandbox)) == sorted([*range(150), *range(1000, 1150)])


def test_a_forgotten_client(sandbox: Sandbox, state: Path) -> None:
    """A client that nobody closed and nobody refers to sends what it has, and lets go of its thread."""
    client = make_client(sandbox, state)
    log(client, range(5))
    del client
    # Not one collection: it does nothing while another thread is at it.
    wait_until(lambda: gc.collect() is not None and ids(sandbox) == list(range(5)), 20)


# -- the queue ------------------------------------------------------------------------------------------------------
def test_a_full_queue_keeps_its_oldest(make: Make, sandbox: Sandbox, problems: Problems) -> None:
    """``drop_newest``: what does not fit is refused, counted, reported, and logged once; room reopens the queue."""
    client = make(max_records=100, overflow="drop_newest")
    prime(client, sandbox)
    sandbox.fault = lambda _request: Reply(status=500)
    log(client, range(150))
    dropped = client.stats().dropped
    assert dropped == problems.count("record_dropped") == 50
    assert dict(client.stats().kits["Braze"].dropped) == {"queue_full": 50}
    sandbox.fault = None
    assert client.flush(timeout=20).complete
    log(client, range(200, 210))
    assert client.flush(timeout=20).complete
    assert ids(sandbox) == [*range(100), *range(200, 210)]


def test_a_full_queue_keeps_its_newest(make: Make, sandbox: Sandbox, problems: Problems) -> None:
    """``drop_oldest``: the newest stay, and accepted = delivered + dropped, to the record."""
    client = make(max_records=100, max_batch_records=50, flush_interval=0.02)
    prime(client, sandbox)
    sandbox.fault = lambda _request: Reply(status=500)
    for start in range(0, 500, 50):
        log(client, range(start, start + 50))
        # The oldest give way on our thread: a burst of more than the bound itself would lose its end.
        wait_until(lambda: client.stats().queued <= 100, 20)
    sandbox.fault = None
    assert client.flush(timeout=20).complete
    arrived = ids(sandbox)
    assert arrived == sorted(arrived)
    assert arrived[-1] == 499
    assert arrived == list(range(400, 500))
    assert client.stats().dropped == problems.count("record_dropped") == 400


def test_clear(make: Make, sandbox: Sandbox) -> None:
    """``client.clear()`` discards what is queued, and says how much that was."""
    client = make()
    prime(client, sandbox)
    sandbox.fault = lambda _request: Reply(status=500)
    log(client, range(20))
    assert client.flush().kept == 20
    log(client, range(20, 25))
    assert client.clear() == 25
    assert client.stats().queued == 0
    log(client, [100])
    assert client.flush().kept == 1
    sandbox.fault = None
    assert client.flush(timeout=20).complete
    assert ids(sandbox) == [100]


def test_opt_out_with_erasure(make: Make, sandbox: Sandbox, queue: Path) -> None:
    """``set_opt_out(True, erase=True)`` discards what is queued and set aside; nothing of it is sent, then or later."""
    client = make()
    prime(client, sandbox)
    sandbox.fault = lambda request: Reply(status=400) if b'"id":3}' in request.raw else None
    log(client, range(3, 6))
    assert client.flush(timeout=20).dead == 1
    sandbox.fault = lambda _request: Reply(status=500)
    log(client, range(10, 20))
    client.flush()
    log(client, range(20, 30))
    client.set_opt_out(True, erase=True)
    log(client, range(30, 40))
    assert (client.stats().queued, client.stats().dead) == (0, 0)
    client.close(timeout=5)  # a request on its way cannot be called back
    sandbox.fault = None
    client = make()
    log(client, [40])
    client.set_opt_out(False)
    log(client, [41])
    assert client.flush(timeout=20).complete
    assert ids(sandbox) == [4, 5, 41]


def test_opt_out_without_erasure(make: Make, sandbox: Sandbox) -> None:
    """Without it what was accepted before the opt-out is still delivered."""
    client = make()
    log(client, range(3))
    client.set_opt_out(True)
    log(client, [3])
    assert client.flush(timeout=20).complete
    assert ids(sandbox) == [0, 1, 2]
