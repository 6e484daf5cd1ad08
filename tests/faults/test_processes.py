"""Processes that are killed, end, or share a directory."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from mparticle_kit_braze import MParticle
from mparticle_kit_braze.sandbox import Reply, Sandbox
from tests.support import wait_until

from .support import accepted_by, doubled, ids, ids_of_request, log, misbehaving, run_worker, start_worker

Make = Callable[..., MParticle]

EXIT = 2.0 + 6
"""The budget of the exit, and what the end of an interpreter may take on a busy machine; an answer takes 15 or more."""


def refusals(sandbox: Sandbox) -> list[object]:
    """What the sandbox found wrong, but for requests that a kill cut off in the middle of their body."""
    return [problem for problem in sandbox.problems if problem.where != "body"]


# -- killed ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("round_", range(4))
def test_sigkill_while_logging(make: Make, sandbox: Sandbox, state: Path, tmp_path: Path, round_: int) -> None:
    """Killed at a random instant, with requests on their way: what was accepted arrives, one batch at most twice."""
    notes = tmp_path / "accepted"
    notes.touch()
    after = random.Random().uniform(0.0, 0.15)
    with start_worker("endless", sandbox, state, notes) as process:
        wait_until(lambda: notes.stat().st_size > round_ * 2000, 30)
        time.sleep(after)  # the instant is random on purpose
        process.kill()
    accepted = accepted_by(notes)
    before = sandbox.requests
    in_flight = set(ids_of_request(before[-1])) if before else set()
    client = make()
    log(client, [-1])
    assert client.flush(timeout=20).complete
    arrived = ids(sandbox)
    assert set(accepted) <= set(arrived), after
    assert doubled(arrived) <= in_flight, after
    assert max(Counter(arrived).values()) <= 2
    first_arrivals = list(dict.fromkeys(arrived))
    assert first_arrivals[:-1] == list(range(len(first_arrivals) - 1)), after
    assert refusals(sandbox) == []


def test_sigkill_while_a_request_is_in_flight(make: Make, sandbox: Sandbox, state: Path) -> None:
    """Killed before the answer came: the batch in flight arrives twice, and nothing else does."""
    # The session's start may have gone ahead in a request of its own.
    sandbox.fault = lambda request: Reply(delay=60, record=True) if ids_of_request(request) else None
    with start_worker("one_batch", sandbox, state, 50) as process:
        assert sandbox.wait_for(lambda: len(ids(sandbox)) > 0, 30)
        in_flight = ids(sandbox)
        process.kill()
    sandbox.fault = None
    client = make()
    log(client, [100])
    assert client.flush(timeout=20).complete
    arrived = ids(sandbox)
    assert Counter(arrived) == Counter([*range(50), 100, *in_flight])


# -- ended ----------------------------------------------------------------------------------------------------------
def ended(sandbox: Sandbox, state: Path, count: int, budget: float = 2.0) -> float:
    """Run a script that logs and simply ends; the seconds from its last line to its end."""
    said = float(run_worker("script", sandbox, state, count, budget))
    return time.time() - said


def test_a_script_simply_ends(sandbox: Sandbox, state: Path, queue: Path) -> None:
    """No flush, no close, no logging set up: everything is delivered, nothing is printed, no journal stays."""
    assert ended(sandbox, state, 500) < EXIT
    assert ids(sandbox) == list(range(500))
    assert list(queue.glob("*.journal")) == []


@pytest.mark.parametrize("behaviour", ["refused", "hangs", "resets"])
def test_a_script_ends_while_the_endpoint_is_out_of_order(
    make: Make, sandbox: Sandbox, state: Path, behaviour: str
) -> None:
    """The exit keeps to its budget, nothing is printed, and the next start delivers."""
    with misbehaving(sandbox, behaviour):
        assert ended(sandbox, state, 20) < EXIT
    make()
    assert sandbox.wait_for(lambda: ids(sandbox) == list(range(20)), 20)


def test_a_script_ends_while_the_endpoint_answers_late(make: Make, sandbox: Sandbox, state: Path) -> None:
    """An answer that comes after the budget is not waited for: the batch may arrive twice, and does."""
    sandbox.fault = lambda _request: Reply(delay=20, record=True)
    assert ended(sandbox, state, 3, budget=0.5) < EXIT
    sandbox.reset()
    make()
    assert sandbox.wait_for(lambda: ids(sandbox) == [0, 1, 2], 20)


def test_sys_exit_in_a_thread(sandbox: Sandbox, state: Path) -> None:
    """A client made and used in a thread that ends by ``sys.exit`` still delivers at the end of the process."""
    run_worker("exit_in_thread", sandbox, state, 10)
    assert ids(sandbox) == list(range(10))


def test_a_daemon_thread_logs_to_the_very_end(make: Make, sandbox: Sandbox, state: Path, tmp_path: Path) -> None:
    """What a daemon thread had accepted when the interpreter went away arrives, now or by the next start."""
    notes = tmp_path / "accepted"
    notes.touch()
    run_worker("daemon_logs", sandbox, state, notes)
    client = make()
    log(client, [-1])
    assert client.flush(timeout=20).complete
    arrived = ids(sandbox)
    assert set(accepted_by(notes)) <= set(arrived)
    assert not doubled(arrived)


def test_exit_handlers_that_log(make: Make, sandbox: Sandbox, state: Path) -> None:
    """Events of the host's exit handlers, before ours or after it, arrive by the next start; none twice."""
    run_worker("exit_handlers", sandbox, state)
    client = make()
    log(client, [3])
    assert client.flush(timeout=20).complete
    assert sorted(ids(sandbox)) == [0, 1, 2, 3]


@pytest.mark.parametrize("how", ["os._exit", "closed streams", "finalizer"])
def test_unusual_ends(make: Make, sandbox: Sandbox, state: Path, how: str) -> None:
    """An end without handlers, without streams, or with finalizers that log: nothing is printed or lost."""
    run_worker("exits_with", sandbox, state, how)
    client = make()
    log(client, [11])
    assert client.flush(timeout=20).complete
    arrived = [number for number in ids(sandbox) if number != 10]
    assert sorted(set(arrived)) == [*range(10), 11]
    assert how == "os._exit" or not doubled(arrived)


def test_ctrl_c_in_a_flush(sandbox: Sandbox, state: Path) -> None:
    """KeyboardInterrupt leaves the flush at once; the client goes on, and delivers at the end."""
    sandbox.respond_next(Reply(delay=0.8))
    assert run_worker("interrupted", sandbox, state) == "interrupted\n"
    assert ids(sandbox) == list(range(10))


# -- many on one directory ------------------------------------------------------------------------------------------
def test_many_processes_share_a_directory(make: Make, sandbox: Sandbox, state: Path, tmp_path: Path) -> None:
    """Four processes log, the one that sends is killed: everything arrives, one batch at most twice."""
    notes = [tmp_path / f"accepted-{number}" for number in range(4)]
    for path in notes:
        path.touch()
    victim = start_worker("endless", sandbox, state, notes[0], 0)
    wait_until(lambda: sandbox.requests, 30)
    others = [start_worker("noise", sandbox, state, notes[number], 1_000_000 * number) for number in (1, 2, 3)]
    wait_until(lambda: notes[3].stat().st_size > 200, 30)
    victim.kill()
    victim.communicate()
    last = sandbox.requests[-2:]
    for process in others:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (0, "", "")
    client = make()
    log(client, [-1])
    assert client.flush(timeout=20).complete
    arrived = ids(sandbox)
    assert {number for path in notes for number in accepted_by(path)} <= set(arrived)
    assert max(Counter(arrived).values()) <= 2
    assert len([1 for request in last if doubled(arrived) & set(ids_of_request(request))]) <= 1
    assert refusals(sandbox) == []


def test_another_process_takes_the_lease(make: Make, sandbox: Sandbox, state: Path) -> None:
    """The process that sends hangs on its request and is killed: another one delivers within 15 seconds, unasked."""
    sandbox.fault = lambda _request: Reply(hang=True)
    with start_worker("one_batch", sandbox, state, 5) as holder:
        assert sandbox.wait_for(lambda: len(sandbox.requests) > 0, 30)
        client = make(flush_interval=0.1)
        log(client, range(5, 8))
        assert not client.flush(timeout=0.3).complete  # the lease is the other's
        sandbox.fault = None
        assert holder.poll() is None
        holder.send_signal(signal.SIGKILL)
    assert sandbox.wait_for(lambda: len(ids(sandbox)) >= 8, 15)
    assert sorted(ids(sandbox)) == list(range(8))
