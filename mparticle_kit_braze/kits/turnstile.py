"""One thing at a time, in order, without holding a lock while it runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ..locks import ForkSafeLock

__all__ = ["Turnstile"]


class Turnstile:
    """Runs actions one after the other in the order they came.

    The thread that finds it free runs its action and whatever others brought meanwhile; the others go on at
    once. So what an action calls (kits, resolvers) may call back, even from another thread, and never waits.
    """

    __slots__ = ("_actions", "_busy", "_lock", "_pid")

    def __init__(self) -> None:
        self._lock = ForkSafeLock()
        self._actions: deque[Callable[[], None]] = deque()
        self._busy = False
        self._pid = self._lock.pid

    def run(self, action: Callable[[], None]) -> None:
        """Run an action now, or leave it to the thread (or outer call) that is running others."""
        with self._lock.held:
            if self._pid != self._lock.pid:  # a forked child: the thread that was busy is not here
                self._busy = False
                self._actions.clear()
                self._pid = self._lock.pid
            self._actions.append(action)
            if self._busy:
                return
            self._busy = True
        while (following := self._next()) is not None:
            finished = False
            try:
                following()
                finished = True
            finally:
                if not finished:  # the next caller goes on with what is left
                    self._busy = False

    def _next(self) -> Callable[[], None] | None:
        with self._lock.held:
            if self._actions:
                return self._actions.popleft()
            self._busy = False
            return None
