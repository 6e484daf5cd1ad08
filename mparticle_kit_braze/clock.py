"""Time, and waiting for it: the one seam through which this package reads clocks or sleeps.

Everything that depends on time takes a :class:`Clock`, so that tests can pass one they move by hand. Threads
of ours sleep on a :class:`Wakeup`, never on a bare ``sleep``: every wait can be cut short.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Protocol, runtime_checkable

__all__ = ["SYSTEM_CLOCK", "Clock", "SystemClock", "WaitingClock", "Wakeup", "let_others_run"]


class Clock(Protocol):
    """Where the time comes from."""

    def time(self) -> float:
        """Wall-clock seconds since the epoch; may jump either way."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""


class Wakeup:
    """A flag that one thread sleeps on and any other raises; taken down by the sleeper as it wakes.

    Made of one bare lock instead of :class:`threading.Event`, whose inner lock would deadlock when a signal
    handler raises the flag while the interrupted code was doing the same.
    """

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        """Raise the flag; raising it twice is the same as once. Safe in signal handlers and finalizers."""
        with contextlib.suppress(RuntimeError):  # it was up already
            self._lock.release()

    def wait(self, timeout: float | None = None) -> bool:
        """Sleep until the flag is up or ``timeout`` seconds have passed, and take it down; say whether it was up."""
        if timeout is None:
            return self._lock.acquire()
        return self._lock.acquire(timeout=min(max(timeout, 0.0), threading.TIMEOUT_MAX))


def let_others_run() -> None:
    """Give the host's threads a turn in the middle of long work.

    The interpreter would do so by itself, but only after several milliseconds, by which a call of the host would be
    held up. The sleep is just long enough that a thread that waits is awake before this one goes on.
    """
    time.sleep(0.0001)


@runtime_checkable
class WaitingClock(Clock, Protocol):
    """A clock that also decides how long a wait lasts; one moved by hand wakes its sleepers when it is moved."""

    def wait(self, wakeup: Wakeup, timeout: float | None) -> None:
        """Return when ``wakeup`` is set, or once ``timeout`` seconds of this clock have passed."""


class SystemClock:
    """The clock of the machine."""

    __slots__ = ()

    def time(self) -> float:
        """Wall-clock seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds from an arbitrary start."""
        return time.monotonic()

    def wait(self, wakeup: Wakeup, timeout: float | None) -> None:
        """Sleep until the flag is up or the time has passed."""
        wakeup.wait(timeout)


SYSTEM_CLOCK: Clock = SystemClock()
