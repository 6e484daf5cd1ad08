"""A lock that survives ``fork`` and Ctrl-C, and a way to call foreign code while none of them is held."""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Callable

__all__ = ["ForkSafeLock", "importing", "importing_http", "without_locks"]


class ForkSafeLock:
    """A re-entrant lock, used as ``with lock.held:``. A signal handler or a finalizer may call us again.

    ``held`` is the interpreter's own lock, taken and let go in one step: with a method of ours around it,
    KeyboardInterrupt could come between the two and leave it locked for good.

    A forked child gets it free, whatever the parent's threads held. What it guards must be consistent at every moment
    (replace values, do not edit them in place): a child forked in the middle of a guarded section goes on with what
    it finds.

    Attributes:
        held: The lock itself; another one after a fork.
        pid: The process it belongs to.
    """

    __slots__ = ("__weakref__", "held", "pid")

    def __init__(self) -> None:
        self.renew()
        number = id(self)
        _locks[number] = weakref.ref(self, lambda _: _locks.pop(number, None))

    def is_mine(self) -> bool:
        """Whether this thread holds it: then it must not wait for another thread that may need it."""
        try:
            threading.Condition(self.held).notify(0)
        except RuntimeError:  # only its holder may notify
            return False
        return True

    def renew(self) -> None:
        """Begin anew, free."""
        self.pid: int = os.getpid()
        self.held: threading.RLock = threading.RLock()

    def after_fork(self) -> None:
        """In a forked child."""
        if self.is_mine():  # a signal handler forked in the middle of a section that it will return to
            self.pid = os.getpid()
        else:
            self.renew()


_locks: dict[int, weakref.ref[ForkSafeLock]] = {}
"""All there are: the interpreter's hooks for forks cannot be taken back, so there is one for all."""


importing: ForkSafeLock = ForkSafeLock()
"""Held while a module is imported in the middle of a call.

A fork waits for it: a child forked in the middle of another thread's import would wait for that module for ever.
"""

importing_http: ForkSafeLock = ForkSafeLock()
"""The same for the HTTP library, which takes its time: a call that needs something small must not wait for it."""


def _renew_all() -> None:
    for reference in list(_locks.values()):
        lock = reference()
        if lock is not None:
            lock.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)


def without_locks(action: Callable[[], object]) -> None:
    """Call foreign code (a logging handler, a callback) when this thread holds none of our locks.

    It may wait for another thread that waits for such a lock: while one is held the action runs in a thread of its own,
    and what it raises goes nowhere.
    """

    def alone() -> None:
        with contextlib.suppress(BaseException):
            action()

    locks = [reference() for reference in list(_locks.values())]
    if any(lock is not None and lock.is_mine() for lock in locks):
        with contextlib.suppress(RuntimeError):  # the interpreter is shutting down
            threading.Thread(target=alone, name="mparticle_kit_braze.report", daemon=True).start()
            return
    action()
