"""Trouble with the network, the disk, and the host's own habits."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import socket
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mparticle_kit_braze.delivery import Delivery, DeliveryOptions, FlushResult
from mparticle_kit_braze.errors import ConfigurationError, InvalidArgumentError
from mparticle_kit_braze.storage import Storage

from .server import Reply, Server
from .support import JsonDestination, ManualClock, Problems, numbers, payloads, until
from .test_dispatcher import append

Make = Callable[..., Delivery]
MEMORY = ":memory:"


# -- the network ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("location", [None, MEMORY])
def test_everything_arrives_once_and_in_order(make: Make, server: Server, location: str | None, tmp_path: Path) -> None:
    """Many batches arrive complete; an orderly end leaves an empty outbox and no journal."""
    delivery = make(location, options=DeliveryOptions(max_batch_records=700))
    append(delivery, range(5000))
    result = delivery.close(10)
    assert result == FlushResult(sent=result.sent)  # full batches may have gone before
    assert numbers(server.accepted) == list(range(5000))
    if location is None:
        assert sorted(path.name for path in (tmp_path / "state").iterdir()) == ["lease.lock", "outbox.db"]


def test_a_dead_endpoint_keeps_and_returns_soon(make: Make, problems: Problems) -> None:
    """A closed port costs a flush one attempt; the record stays."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        dead = JsonDestination(f"http://127.0.0.1:{taken.getsockname()[1]}/")
        delivery = make(destination=dead)
        append(delivery, [1])
        start = time.monotonic()
        assert delivery.flush(8) == FlushResult(kept=1)
        assert time.monotonic() - start < 6
    assert problems.codes() == ["delivery_failed"]
    assert delivery.stats().last_error == "connection"


def test_a_host_name_that_does_not_resolve(make: Make) -> None:
    """A dead DNS name is a failure like any other."""
    delivery = make(destination=JsonDestination("http://no-such-host.invalid/"))
    append(delivery, [1])
    assert delivery.flush(10).kept == 1


def test_an_endpoint_that_never_answers(make: Make, server: Server) -> None:
    """A flush and a close return at their deadline while the answer is awaited, and the record is kept."""
    server.decide = lambda _items: Reply(hang=True)
    delivery = make(options=DeliveryOptions(read_timeout=30))
    append(delivery, [1])
    start = time.monotonic()
    assert delivery.flush(0.3).kept == 1
    assert delivery.close(0.2).kept == 1
    assert time.monotonic() - start < 10


def test_a_read_timeout_counts_as_failure(make: Make, server: Server) -> None:
    """An answer that does not come in time is a failure of the request."""
    server.script.append(Reply(hang=True))
    delivery = make(options=DeliveryOptions(read_timeout=0.5))
    append(delivery, [1])
    assert delivery.flush(5).kept == 1
    assert delivery.stats().last_error == "timeout"
    assert delivery.flush(5).complete


def test_tls_against_a_plain_port(make: Make, server: Server) -> None:
    """A failed handshake is named as such."""
    delivery = make(destination=JsonDestination(server.url.replace("http:", "https:")))
    append(delivery, [1])
    assert delivery.flush(5).kept == 1
    assert delivery.stats().last_error == "tls"


@pytest.mark.parametrize("reply", [Reply(body=b"<html>"), Reply(cut=True, body=b'{"a'), Reply(body=b"")])
def test_an_odd_body_of_a_success_is_a_success(make: Make, server: Server, reply: Reply) -> None:
    """HTML, a cut or an empty body after 200 do not make the batch go twice."""
    server.script.append(reply)
    delivery = make()
    append(delivery, range(3))
    assert delivery.flush(5).sent == 3
    append(delivery, [3])
    assert delivery.flush(5).complete
    assert numbers(server.accepted) == [0, 1, 2, 3]


def test_redirects_are_not_followed(make: Make, server: Server) -> None:
    """A redirect is a failure: records never go where they were not meant to."""
    server.script.append(Reply(307, {"Location": server.url}))
    delivery = make()
    append(delivery, [1])
    assert delivery.flush(5).kept == 1
    assert len(server.requests) == 1


def test_no_stray_headers_leave(make: Make, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Passwords of ``~/.netrc`` are not sent along."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ada password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    seen: list[Any] = []
    handler = server._http.RequestHandlerClass
    original = handler.do_POST  # type: ignore[attr-defined]  # http.server finds it by name

    def look(request: Any) -> None:
        seen.append(dict(request.headers))
        original(request)

    monkeypatch.setattr(handler, "do_POST", look)
    delivery = make()
    append(delivery, [1])
    assert delivery.flush(5).complete
    assert not {"Authorization", "authorization"} & set(seen[0])


# -- the bound --------------------------------------------------------------------------------------------------
def test_drop_newest_refuses_beyond_the_bound(make: Make, server: Server, problems: Problems) -> None:
    """Exactly ``max_records`` are accepted; the rest is refused, counted and said once; room reopens the gate."""
    delivery = make(options=DeliveryOptions(max_records=50, overflow="drop_newest"))
    delivery.pause()
    accepted = [delivery.append("e", payload) for payload in payloads(range(80))]
    assert accepted == [True] * 50 + [False] * 30
    assert delivery.stats().dropped == {"queue_full": 30}
    assert problems.codes() == ["record_dropped"] * 30
    delivery.unpause()
    assert delivery.flush(5).sent == 50
    assert delivery.append("e", b'{"n": 99}')
    assert delivery.flush(5).complete
    assert numbers(server.accepted) == [*range(50), 99]


@pytest.mark.parametrize("location", [None, MEMORY])
def test_drop_oldest_keeps_the_newest(
    make: Make, server: Server, problems: Problems, destination: JsonDestination, location: str | None
) -> None:
    """The newest ``max_records`` survive; what gave way is counted, reported and told to the destination."""
    delivery = make(location, options=DeliveryOptions(max_records=50))
    delivery.pause()
    for start in range(0, 200, 10):
        append(delivery, range(start, start + 10))
        delivery.flush(5)
    assert delivery.stats().queued == 50
    delivery.unpause()
    assert delivery.flush(5).sent == 50
    assert numbers(server.accepted) == list(range(150, 200))
    assert delivery.stats().dropped == {"queue_full": 150}
    assert sum(problem.count for problem in problems.all) == 150
    assert [payload for given, _ in destination.given_up for payload in given] == payloads(range(150))


def test_a_bound_in_bytes(make: Make, server: Server) -> None:
    """``max_bytes`` bounds the queue as ``max_records`` does."""
    delivery = make(options=DeliveryOptions(max_bytes=1000, overflow="drop_newest"))
    delivery.pause()
    count = sum(delivery.append("e", b'{"n": 1, "x": "' + b"x" * 83 + b'"}') for _ in range(30))
    assert 8 <= count <= 10
    delivery.unpause()
    assert delivery.flush(5).sent == count


# -- the disk ---------------------------------------------------------------------------------------------------
def test_a_directory_that_vanishes(make: Make, server: Server, problems: Problems, tmp_path: Path) -> None:
    """What was accepted before and after is delivered from memory; it is reported; a new directory is used again."""
    delivery = make()
    append(delivery, range(5))
    shutil.rmtree(tmp_path / "state")
    append(delivery, range(5, 8))
    assert delivery.flush(5).sent == 8
    append(delivery, range(8, 10))
    assert delivery.flush(5).sent == 2
    assert numbers(server.accepted) == list(range(10))
    assert set(problems.codes()) == {"journal_unavailable", "outbox_unavailable"}
    (tmp_path / "state").mkdir()
    delivery.flush_soon()
    append(delivery, [10])
    assert delivery.flush(5).sent == 1
    append(delivery, [11])
    assert list((tmp_path / "state").glob("*.journal"))
    assert delivery.flush(5).sent == 1
    assert numbers(server.accepted) == list(range(12))


def test_a_directory_that_cannot_be_written(make: Make, server: Server, problems: Problems, tmp_path: Path) -> None:
    """Where no journal can be made memory takes over; appending does not raise."""
    (tmp_path / "state").mkdir()
    delivery = make()
    shutil.rmtree(tmp_path / "state")
    (tmp_path / "state").write_text("a file where the directory was")
    append(delivery, range(3))
    assert delivery.flush(5).sent == 3
    assert "journal_unavailable" in problems.codes()


def test_records_lost_with_memory_are_counted(make: Make, server: Server, problems: Problems) -> None:
    """What memory cannot deliver before the end is counted and said."""
    server.decide = lambda _items: Reply(500)
    delivery = make(MEMORY)
    append(delivery, range(3))
    assert delivery.close(2).kept == 3
    assert problems.all[-1].code == "record_dropped"
    assert problems.all[-1].count == 3


@pytest.mark.parametrize("damage", ["header", "middle", "end", "zeros", "garbage", "truncated", "text"])
def test_a_damaged_outbox_is_set_aside(
    make: Make, server: Server, problems: Problems, tmp_path: Path, damage: str
) -> None:
    """Damage anywhere costs at most what the file held: it is kept for rescue, and delivery goes on."""
    server.decide = lambda _items: Reply(500)
    first = make()
    append(first, range(2000))
    first.close(2)
    server.decide = lambda _items: Reply()
    path = tmp_path / "state" / "outbox.db"
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    spans = {"header": (0, 100), "middle": (middle, middle + 4096), "end": (len(data) - 4096, len(data))}
    if damage in spans:
        start, end = spans[damage]
        data[start:end] = os.urandom(end - start)
    elif damage == "zeros":
        data[4096:] = bytes(len(data) - 4096)
    elif damage == "garbage":
        data = bytearray(os.urandom(len(data)))
    elif damage == "truncated":
        data = data[: len(data) // 2]
    else:
        data = bytearray(b"this was a database once")
    path.write_bytes(data)
    second = make()
    append(second, range(5000, 5010))
    result = second.flush(10)
    assert result.complete, (result, problems.codes())
    arrived = numbers(server.accepted)
    assert arrived[-10:] == list(range(5000, 5010))
    assert len(arrived) == len(set(arrived))
    if len(arrived) < 2010:
        assert "outbox_damaged" in problems.codes()
        assert (tmp_path / "state" / "outbox.db.damaged-1").exists()


def test_damage_does_not_double_what_this_process_delivered(make: Make, server: Server, tmp_path: Path) -> None:
    """A fresh outbox does not absorb the process's own journal a second time."""
    delivery = make()
    append(delivery, range(10))
    assert delivery.flush(5).sent == 10
    (tmp_path / "state" / "outbox.db").write_bytes(os.urandom(9000))
    append(delivery, range(10, 15))
    assert delivery.flush(5).complete
    assert numbers(server.accepted) == list(range(15))


def test_an_outbox_of_a_later_version_is_set_aside(
    make: Make, server: Server, problems: Problems, tmp_path: Path
) -> None:
    """After a downgrade the newer file is kept untouched beside a fresh one."""
    (tmp_path / "state").mkdir()
    path = tmp_path / "state" / "outbox.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 7")
    connection.execute("CREATE TABLE records (anything)")
    connection.commit()
    connection.close()
    content = path.read_bytes()
    delivery = make()
    append(delivery, [1])
    assert delivery.flush(5).sent == 1
    assert (tmp_path / "state" / "outbox.db.newer-1").read_bytes() == content
    assert problems.codes() == ["outbox_newer"]


def test_a_database_locked_for_long(
    make: Make, server: Server, problems: Problems, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another program holds the database records are safe in the journal; afterwards they leave, once."""
    monkeypatch.setattr("mparticle_kit_braze.delivery.schema.BUSY_TIMEOUT", 0.05)
    delivery = make()
    append(delivery, [1])
    assert delivery.flush(5).sent == 1
    intruder = sqlite3.connect(tmp_path / "state" / "outbox.db", isolation_level=None)
    intruder.execute("BEGIN EXCLUSIVE")
    append(delivery, [2, 3])
    start = time.monotonic()
    assert delivery.flush(0.5).kept == 2
    assert time.monotonic() - start < 5
    intruder.execute("ROLLBACK")
    intruder.close()
    assert delivery.flush(10).complete
    assert numbers(server.accepted) == [1, 2, 3]
    assert set(problems.codes()) == {"outbox_locked"}


def test_a_database_locked_when_the_answer_comes(
    make: Make, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch accepted while the database is locked is removed later, and not sent again."""
    monkeypatch.setattr("mparticle_kit_braze.delivery.schema.BUSY_TIMEOUT", 0.05)
    intruders: list[sqlite3.Connection] = []

    def decide(_items: list[Any]) -> Reply:
        if not intruders:
            intruders.append(
                sqlite3.connect(tmp_path / "state" / "outbox.db", isolation_level=None, check_same_thread=False)
            )
            intruders[0].execute("BEGIN IMMEDIATE")
        return Reply()

    server.decide = decide
    delivery = make()
    append(delivery, [1, 2])
    assert delivery.flush(0.5).sent == 2
    intruders[0].execute("ROLLBACK")
    intruders[0].close()
    append(delivery, [3])
    assert delivery.flush(10).complete
    assert numbers(server.accepted) == [1, 2, 3]


def test_a_disk_that_fills_up_and_recovers(
    make: Make, server: Server, problems: Problems, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write cut short is neutralised: that record goes to memory, nothing is lost, doubled or reordered."""
    delivery = make()
    append(delivery, range(3))
    journal = delivery._engine.intake.journal
    assert journal is not None
    full = True
    real = journal.write

    def write(data: bytes) -> int:
        return real(data[: len(data) // 2]) if full else real(data)

    monkeypatch.setattr(journal, "write", write)
    delivery._engine.intake._aim(write)
    append(delivery, range(3, 6))
    full = False
    append(delivery, range(6, 9))
    assert delivery.flush(5).sent == 9
    append(delivery, range(9, 12))
    assert delivery.flush(5).sent == 3
    assert numbers(server.accepted) == list(range(12))
    assert problems.codes() == ["journal_unavailable"]


def test_an_outbox_that_cannot_be_written(
    make: Make, server: Server, problems: Problems, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a full disk under the database delivery goes on in memory, and back without loss or doubling."""
    delivery = make()
    append(delivery, range(3))
    assert delivery.flush(5).sent == 3
    disk = delivery._engine.backlog._store._disk
    real = type(disk)._open

    def full(outbox: Any) -> sqlite3.Connection:
        if outbox is disk:
            raise sqlite3.OperationalError("database or disk is full")
        return real(outbox)

    monkeypatch.setattr(type(disk), "_open", full)
    append(delivery, range(3, 6))
    assert delivery.flush(5).sent == 3
    server.decide = lambda _items: Reply(500)
    append(delivery, range(6, 9))
    assert delivery.flush(5).kept == 3
    monkeypatch.setattr(type(disk), "_open", real)
    server.decide = lambda _items: Reply()
    append(delivery, range(9, 12))
    assert delivery.flush(5).sent == 6
    assert numbers(server.accepted) == list(range(12))
    assert delivery._engine.backlog._store.on_disk
    assert [code for code in problems.codes() if code != "delivery_failed"] == ["outbox_unavailable"]


# -- leftovers --------------------------------------------------------------------------------------------------
def test_the_next_start_sends_what_was_left(make: Make, server: Server) -> None:
    """What could not be sent leaves with the next start, before anything is logged there."""
    server.decide = lambda _items: Reply(500)
    first = make()
    append(first, range(10))
    assert first.close(2).kept == 10
    server.decide = lambda _items: Reply()
    second = make()
    server.wait_for(lambda: len(server.accepted) == 10)
    append(second, [10])
    assert second.flush(5).complete
    assert numbers(server.accepted) == list(range(11))


def test_last_activity_is_that_of_a_journal_left_behind(make: Make, tmp_path: Path, server: Server) -> None:
    """A journal of a killed process tells when it was last active; an orderly end leaves none."""
    (tmp_path / "state").mkdir()
    path = tmp_path / "state" / "000000000000001-1-abcdef01-000000.journal"
    path.write_bytes(b'\x1ee{"n": 1}\n\x1ee{"n": 2')
    os.utime(path, (1000.0, 2000.0))
    delivery = make()
    assert delivery.last_activity == 2000.0
    server.wait_for(lambda: numbers(server.accepted) == [1])
    assert delivery.flush(5).complete
    until(lambda: not path.exists())
    delivery.close(1)
    assert make().last_activity is None


def test_a_delivery_that_begins_paused_sends_no_leftovers(make: Make, server: Server) -> None:
    """With ``paused`` not even what an earlier process left is sent before ``unpause``."""
    server.decide = lambda _items: Reply(500)
    first = make()
    append(first, [1])
    first.close(2)
    server.decide = lambda _items: Reply()
    second = make(paused=True)
    assert second.flush(0.2).kept == 1
    assert len(server.requests) == 1
    second.unpause()
    server.wait_for(lambda: numbers(server.accepted) == [1])


def test_clear_discards_everything_waiting(make: Make, server: Server) -> None:
    """Absorbed or not, nothing that was queued leaves after ``clear``; what comes later does."""
    delivery = make(options=DeliveryOptions(max_batch_records=10))
    delivery.pause()
    append(delivery, range(25))
    delivery.flush(5)
    append(delivery, range(25, 30))
    assert delivery.clear() == 30
    assert delivery.stats().queued == 0
    append(delivery, [99])
    delivery.unpause()
    assert delivery.flush(5).sent == 1
    assert numbers(server.accepted) == [99]


# -- the host's habits ------------------------------------------------------------------------------------------
def test_after_close_nothing_is_accepted_and_nothing_raises(make: Make, problems: Problems) -> None:
    """Late calls are refused and counted; closing twice is fine."""
    delivery = make()
    append(delivery, [1])
    delivery.close(5)
    assert delivery.append("e", b"{}") is False
    assert delivery.stats().dropped == {"closed": 1}
    assert problems.codes() == ["record_dropped"]
    assert delivery.close(1) == delivery.flush(1) == FlushResult()
    delivery.flush_soon()
    delivery.resume()
    delivery.unpause()


@pytest.mark.parametrize("timeout", [-1, "5", True, float("nan")])
def test_a_wrong_timeout_raises_at_once(make: Make, timeout: Any) -> None:
    """A time-out that is no number of seconds is the caller's mistake."""
    with pytest.raises(InvalidArgumentError):
        make().flush(timeout)


@pytest.mark.parametrize(
    "options",
    [{"max_records": 0}, {"max_bytes": 1.5}, {"flush_interval": -1}, {"read_timeout": 0}, {"overflow": "block"}],
)
def test_wrong_options_raise(options: dict[str, Any]) -> None:
    """A bound that makes no sense is refused by name."""
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        DeliveryOptions(**options)


def test_signal_handlers_may_call_anything(make: Make, server: Server) -> None:
    """Handlers that append, flush and ask, in the middle of appends and of figures, neither deadlock nor lose."""
    delivery = make()
    handled: list[int] = []
    busy = False

    def handler(_number: int, _frame: Any) -> None:
        nonlocal busy
        if busy:  # a handler that takes longer than the timer would interrupt itself without end
            return
        busy = True
        handle()
        busy = False

    def handle() -> None:
        handled.append(1)
        delivery.append("e", b'{"n": -1}')
        if len(handled) % 10 == 0:
            delivery.flush(0.05)
            delivery.stats()

    previous = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    count = 0
    try:
        while len(handled) < 150:
            for payload in payloads(range(count, count + 20)):
                assert delivery.append("e", payload)
            count += 20
            delivery.stats()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert delivery.flush(10).complete
    arrived = numbers(server.accepted)
    assert arrived.count(-1) == len(handled)
    assert [number for number in arrived if number >= 0] == list(range(count))


def test_garbage_collection_in_our_code_may_append(make: Make, server: Server) -> None:
    """Finalizers that run at any allocation, ours included, may append and flush."""
    delivery = make()

    class Noisy:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            delivery.append("e", b'{"n": -1}')
            delivery.flush_soon()
            collected.append(1)

    collected: list[int] = []
    threshold = gc.get_threshold()
    gc.set_threshold(5)
    try:
        for number in range(300):
            Noisy()
            append(delivery, [number])
            if number % 50 == 0:
                delivery.stats()
    finally:
        gc.set_threshold(*threshold)
    until(lambda: gc.collect() is not None and len(collected) == 300)  # one does nothing while another thread is at it
    assert delivery.flush(10).complete
    arrived = numbers(server.accepted)
    assert arrived.count(-1) == 300
    assert sorted(number for number in arrived if number >= 0) == list(range(300))
    assert [number for number in arrived if number >= 0] == list(range(300)), arrived[:20]


def test_threads_append_while_batches_leave(make: Make, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight threads under rotation and sending: each thread's records arrive once, in its order."""
    monkeypatch.setattr("mparticle_kit_braze.delivery.absorber.ROTATE_BYTES", 2000)
    delivery = make(options=DeliveryOptions(max_batch_records=500))

    def work(number: int) -> None:
        for index in range(1500):
            assert delivery.append("e", b'{"n": %d, "t": %d}' % (index, number))

    workers = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert delivery.flush(20).complete
    for number in range(8):
        assert [item["n"] for item in server.accepted if item["t"] == number] == list(range(1500))


def test_two_deliveries_share_a_directory(make: Make, server: Server) -> None:
    """Two owners in one process send everything once, whoever holds the lease."""
    one, two = make(), make()
    append(one, range(100))
    append(two, range(100, 200))
    assert one.flush(10).complete
    assert two.flush(10).complete
    assert sorted(numbers(server.accepted)) == list(range(200))


def test_a_forgotten_delivery_sends_and_lets_go(server: Server, tmp_path: Path, problems: Problems) -> None:
    """Dropping the last reference sends what is queued and ends the thread, without a close."""
    storage = Storage.open(tmp_path / "state", problems.reporter)
    delivery = Delivery(JsonDestination(server.url), storage=storage)
    append(delivery, range(3))
    reference = weakref.ref(delivery)
    del delivery
    until(lambda: gc.collect() is not None and reference() is None)  # one does nothing while another thread is at it
    server.wait_for(lambda: len(server.accepted) == 3)
    until(lambda: not any(thread.name.startswith("mparticle_kit_braze") for thread in threading.enumerate()))
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == ["lease.lock", "outbox.db"]


def test_a_flush_interrupted_by_ctrl_c_goes_on_later(make: Make, server: Server) -> None:
    """KeyboardInterrupt leaves a flush at once, and the delivery works on."""
    server.script.append(Reply(delay=0.3))
    delivery = make()
    append(delivery, [1])

    def interrupt(_number: int, _frame: Any) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012  (the timer must not be up before)
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            delivery.flush(10)
    finally:
        signal.signal(signal.SIGALRM, previous)
    append(delivery, [2])
    assert delivery.flush(10).complete
    assert numbers(server.accepted) == [1, 2]


def test_an_unstartable_thread_loses_nothing(make: Make, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """When no thread can be started records stay in the journal, and the next one tries again."""

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    delivery = make()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        append(delivery, range(3))
        assert delivery.flush(1).kept == 3
    append(delivery, [3])
    assert delivery.flush(5).sent == 4


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads the counters of Linux")
def test_an_idle_thread_is_never_scheduled(make: Make, server: Server) -> None:
    """The kernel does not see our thread run while there is nothing to do."""
    delivery = make(options=DeliveryOptions(flush_interval=0.01))
    append(delivery, [1])
    assert delivery.flush(5).complete
    (thread,) = (each for each in threading.enumerate() if each.name.startswith("mparticle_kit_braze"))
    status = Path(f"/proc/self/task/{thread.native_id}/status")

    def switches() -> list[str]:
        return [line for line in status.read_text().splitlines() if "ctxt_switches" in line]

    until(lambda: delivery._engine.intake.idle)

    def quiet() -> bool:
        before = switches()
        time.sleep(0.25)  # what is shown is that nothing happens
        return switches() == before

    until(quiet)


def test_an_idle_delivery_sleeps_without_end(make: Make, clock: ManualClock, server: Server) -> None:
    """With nothing to send the thread waits without a time-out, so it makes no system call."""
    delivery = make(clock=clock)
    append(delivery, [1])
    assert delivery.flush(5).complete
    clock.wait_for_sleeper(None)
