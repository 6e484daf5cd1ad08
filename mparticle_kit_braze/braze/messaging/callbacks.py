"""Calling the app back: now or after a delay, guarded, and never on a thread the app or delivery needs.

One daemon thread, begun when there is something to call and ended when there is nothing left.
"""

from __future__ import annotations

import heapq
import itertools
import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from ...clock import Clock, WaitingClock, Wakeup
from ...diagnostics import Reporter
from ...locks import ForkSafeLock
from ..subscriptions import Subscriptions, guarded

__all__ = ["Callbacks", "Subscribers"]

Value = TypeVar("Value")


class Callbacks:
    """Runs calls in the order they fall due.

    Args:
        clock: Where time comes from.
        reporter: Told when a call raises (``callback_failed``).
    """

    def __init__(self, clock: Clock, reporter: Reporter) -> None:
        self._clock = clock
        self._reporter = reporter
        self._lock = ForkSafeLock()
        self._numbers = itertools.count()
        self._start_afresh()
        self._closed = False

    def _start_afresh(self) -> None:
        # Replaced, not emptied: a forked child leaves its parent's calls to the parent.
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._thread: threading.Thread | None = None
        self._wakeup = Wakeup()
        self._pid = os.getpid()

    def post(self, call: Callable[[], object], delay: float = 0.0) -> None:
        """Call ``call`` on the callback thread, after ``delay`` seconds; not at all once closed."""
        error: Exception | None = None
        with self._lock.held:
            if self._closed:
                return
            if self._pid != os.getpid():
                self._start_afresh()
            heapq.heappush(self._due, (self._clock.monotonic() + delay, next(self._numbers), call))
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="mparticle_kit_braze-callbacks", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError as refused:  # no more threads, or the interpreter is going down
                    self._start_afresh()
                    error = refused
            wakeup = self._wakeup
        wakeup.set()
        if error is not None:
            self._reporter.report("callback_failed", "No thread could be started to call back", exception=error)

    def close(self) -> None:
        """Drop what is still to be called and end the thread; a call that is running is not waited for."""
        with self._lock.held:
            self._closed = True
            self._due = []
            wakeup = self._wakeup
        wakeup.set()

    def _run(self) -> None:
        while True:
            with self._lock.held:
                call, wait = self._next()
                if call is None and wait is None:
                    self._thread = None
                    return
            if call is not None:
                guarded(self._reporter, call)
            elif isinstance(self._clock, WaitingClock):
                self._clock.wait(self._wakeup, wait)
            else:
                self._wakeup.wait(wait)

    def _next(self) -> tuple[Callable[[], object] | None, float | None]:
        """A call that is due, or the seconds until one is, or neither."""
        if not self._due:
            return None, None
        wait = self._due[0][0] - self._clock.monotonic()
        return (None, wait) if wait > 0 else (heapq.heappop(self._due)[2], None)


class Subscribers(Subscriptions[Value]):
    """Those who are told of something on the callback thread.

    Args:
        callbacks: Calls them.
    """

    def __init__(self, callbacks: Callbacks) -> None:
        super().__init__()
        self._callbacks = callbacks

    def tell(self, value: Value) -> None:
        """Call all of them with ``value``, on the callback thread."""
        for entry in self._known:
            self._callbacks.post(self._teller(entry, value))

    def _teller(self, entry: tuple[Callable[[Value], object]], value: Value) -> Callable[[], object]:
        def call() -> Any:
            if any(known is entry for known in self._known):  # it may have been ended meanwhile
                entry[0](value)

        return call
