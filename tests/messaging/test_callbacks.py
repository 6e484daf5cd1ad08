"""Calling the app back: order, delays, faults, threads."""

from __future__ import annotations

import threading

import pytest

from mparticle_kit_braze.braze.messaging.callbacks import Callbacks, Subscribers
from mparticle_kit_braze.clock import SYSTEM_CLOCK
from mparticle_kit_braze.diagnostics import Problem, Reporter
from mparticle_kit_braze.errors import InvalidArgumentError
from tests.delivery.support import ManualClock
from tests.support import wait_until


def test_calls_run_in_order_and_the_thread_ends() -> None:
    """What is due runs in the order it was posted; with nothing left there is no thread."""
    callbacks = Callbacks(SYSTEM_CLOCK, Reporter())
    done: list[int] = []
    for number in range(100):
        callbacks.post(lambda number=number: done.append(number))  # type: ignore[misc]  # mypy infers no lambda with a default
    wait_until(lambda: len(done) == 100)
    assert done == list(range(100))
    wait_until(lambda: not any("callbacks" in thread.name for thread in threading.enumerate()))
    callbacks.post(lambda: done.append(-1))
    wait_until(lambda: done[-1] == -1)


def test_delays_run_when_they_fall_due() -> None:
    """The earliest goes first, whatever the order of posting."""
    clock = ManualClock()
    callbacks = Callbacks(clock, Reporter())
    done: list[str] = []
    callbacks.post(lambda: done.append("late"), 10)
    callbacks.post(lambda: done.append("soon"), 5)
    clock.wait_for_sleeper(5.0)
    clock.advance(5)
    wait_until(lambda: done == ["soon"])
    clock.wait_for_sleeper(5.0)
    clock.advance(5)
    wait_until(lambda: done == ["soon", "late"])


def test_a_raising_call_is_reported_and_the_next_one_runs() -> None:
    """An exception goes to the reporter and no further."""
    problems: list[Problem] = []
    callbacks = Callbacks(SYSTEM_CLOCK, Reporter(problems.append))
    done: list[int] = []
    callbacks.post(lambda: 1 // 0)
    callbacks.post(lambda: done.append(1))
    wait_until(lambda: done)
    assert [(problem.code, type(problem.exception)) for problem in problems] == [("callback_failed", ZeroDivisionError)]


def test_closing_drops_what_waits() -> None:
    """After closing nothing runs, and the thread goes."""
    callbacks = Callbacks(SYSTEM_CLOCK, Reporter())
    done: list[int] = []
    callbacks.post(lambda: done.append(1), 3600)
    callbacks.close()
    callbacks.post(lambda: done.append(2))
    wait_until(lambda: not any("callbacks" in thread.name for thread in threading.enumerate()))
    assert not done


def test_the_same_callback_may_subscribe_twice() -> None:
    """Each subscription ends on its own."""
    callbacks = Callbacks(SYSTEM_CLOCK, Reporter())
    subscribers: Subscribers[int] = Subscribers(callbacks)
    got: list[int] = []
    first, second = subscribers.add(got.append), subscribers.add(got.append)
    subscribers.tell(1)
    wait_until(lambda: got == [1, 1])
    first()
    first()
    subscribers.tell(2)
    wait_until(lambda: got == [1, 1, 2])
    second()
    assert not subscribers
    with pytest.raises(InvalidArgumentError):
        subscribers.add("no")  # type: ignore[arg-type]  # wrong on purpose
