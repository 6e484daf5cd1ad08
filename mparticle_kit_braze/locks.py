"""A lock that survives ``fork``: the child gets a free one instead of whatever the parent's threads held."""

from __future__ import annotations

import os
import threading
from types import TracebackType

__all__ = ["ForkSafeLock"]


class ForkSafeLock:
    """A re-entrant lock for ``with``. Re-entrant because a signal handler or a finalizer may call us again.

    What it guards must be consistent at every moment (replace values, do not edit them in place): a child
    forked in the middle of a guarded section goes on with what it finds.
    """

    __slots__ = ("_lock", "pid")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.pid = os.getpid()

    def __enter__(self) -> None:
        if self.pid != os.getpid():
            self._lock = threading.RLock()
            self.pid = os.getpid()
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lock.release()
