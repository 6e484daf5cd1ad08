"""The hook into the orderly end of the process."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from collections.abc import Callable

__all__ = ["ExitHook"]


class ExitHook:
    """Calls an action once when the process ends in an orderly way, and never raises.

    Args:
        action: What to do. It is kept alive until :meth:`disarm`.
    """

    def __init__(self, action: Callable[[], object]) -> None:
        self._action = action
        self._pid: int | None = None

    def arm(self) -> None:
        """Register, once per process. A child of ``multiprocessing`` ends without ``atexit`` and has its own list."""
        if self._pid == os.getpid():
            return
        if self._pid is None:
            atexit.register(self)
        self._pid = os.getpid()
        processes = sys.modules.get("multiprocessing.process")
        if processes is not None and processes.parent_process() is not None:
            from multiprocessing.util import Finalize  # noqa: PLC0415  (only where it is loaded anyway)

            Finalize(None, self, exitpriority=0)

    def disarm(self) -> None:
        """Unregister."""
        self._action = nothing
        self._pid = None
        atexit.unregister(self)

    def __call__(self) -> None:
        """Do it."""
        with contextlib.suppress(BaseException):  # a second Ctrl-C at exit ends the wait, without a traceback
            self._action()


def nothing() -> None:
    """Take the place of an action that is no longer wanted."""
