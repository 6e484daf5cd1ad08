"""Hooks into the life of the process: its forks and its end. They refer to their target weakly."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import weakref
from collections.abc import Callable
from typing import Protocol

__all__ = ["ExitHook", "Forkable", "watch_forks"]


class Forkable(Protocol):
    """What wants to know of forks."""

    def before_fork(self) -> None:
        """In the parent, before."""

    def after_fork_in_parent(self) -> None:
        """In the parent, afterwards, also when the fork failed."""

    def after_fork_in_child(self) -> None:
        """In the child, before anything else runs there."""


def watch_forks(target: Forkable) -> None:
    """Call the target at every fork of this process, as long as it lives."""
    if not hasattr(os, "register_at_fork"):
        return
    reference = weakref.ref(target)

    def call(step: Callable[[Forkable], None]) -> None:
        alive = reference()
        if alive is not None:
            step(alive)

    os.register_at_fork(
        before=lambda: call(lambda alive: alive.before_fork()),
        after_in_parent=lambda: call(lambda alive: alive.after_fork_in_parent()),
        after_in_child=lambda: call(lambda alive: alive.after_fork_in_child()),
    )


class ExitHook:
    """Calls a method once when the process ends in an orderly way, and never raises.

    Args:
        action: The bound method; the object behind it is not kept alive.
    """

    def __init__(self, action: Callable[[], object]) -> None:
        self._action = weakref.WeakMethod(action)
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
        atexit.unregister(self)

    def __call__(self) -> None:
        """Do it."""
        action = self._action()
        if action is not None:
            with contextlib.suppress(BaseException):  # a second Ctrl-C at exit ends the wait, without a traceback
                action()
