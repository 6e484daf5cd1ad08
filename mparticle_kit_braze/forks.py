"""The forks of this process: what wants to hear of them is told, for as long as it lives."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Protocol

from .locks import importing, importing_http

__all__ = ["Forkable", "watch_forks"]

IMPORT_PATIENCE = 5.0
"""Seconds that a fork waits for an import in another thread."""


class Forkable(Protocol):
    """What wants to know of forks."""

    def before_fork(self) -> None:
        """In the parent, before."""

    def after_fork_in_parent(self) -> None:
        """In the parent, afterwards, also when the fork failed."""

    def after_fork_in_child(self) -> None:
        """In the child, before anything else runs there. Of some servers' own forks this is all there is."""


_watching: dict[int, weakref.ref[Forkable]] = {}
"""The interpreter takes such hooks and never gives them back: it gets one set, for all that come and go."""


def watch_forks(target: Forkable) -> None:
    """Tell the target of every fork of this process, as long as it lives."""
    number = id(target)
    _watching[number] = weakref.ref(target, lambda _: _watching.pop(number, None))


def _tell(step: Callable[[Forkable], None], *, backwards: bool = False) -> None:
    references = list(_watching.values())
    for reference in reversed(references) if backwards else references:
        target = reference()
        if target is not None:
            step(target)


def _before() -> None:
    for lock in (importing, importing_http):
        lock.held.acquire(timeout=IMPORT_PATIENCE)
    _tell(lambda target: target.before_fork(), backwards=True)


def _after(step: Callable[[Forkable], None]) -> None:
    for lock in (importing, importing_http):
        if lock.is_mine():
            lock.held.release()
    _tell(step)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before,
        after_in_parent=lambda: _after(lambda target: target.after_fork_in_parent()),
        after_in_child=lambda: _after(lambda target: target.after_fork_in_child()),
    )
