"""The lock of a delivery, and who holds it."""

from __future__ import annotations

import threading

__all__ = ["Guard"]


class Guard:
    """The lock around everything that must not be halfway done when the process forks.

    Re-entrant, because a signal handler may interrupt its holder. A forked child replaces the lock.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew with a free lock."""
        self._lock = threading.RLock()
        self._owner: int | None = None
        self._depth = 0

    def acquire(self, timeout: float = -1) -> bool:
        """Take the lock; false if it could not be had in time."""
        if not self._lock.acquire(timeout=timeout):
            return False
        self._owner = threading.get_ident()
        self._depth += 1
        return True

    def release(self) -> None:
        """Give one hold back."""
        self._depth -= 1
        if not self._depth:
            self._owner = None
        self._lock.release()

    def is_mine(self) -> bool:
        """Whether this thread holds it: then it must not wait for another thread that may need it."""
        return self._owner == threading.get_ident()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()
