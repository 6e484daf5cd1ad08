"""The life of a client: who may keep it alive, what a forked child does with it, and its last errand."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Protocol, TypeVar

from ..delivery.destination import Request, Response

__all__ = ["LastErrand", "renew_after_fork", "weakly"]

T = TypeVar("T")

MAKING = 5.0
"""Seconds to wait for a client to be made before doing without it."""


def weakly(method: Callable[..., T], otherwise: T, made: threading.Event) -> Callable[..., T]:
    """The method for as long as its client lives: delivery's thread must not keep a forgotten client alive.

    Delivery may begin with what an earlier process left while the client is still being made: the call waits for that.
    """
    reference = weakref.WeakMethod(method)

    def call(*arguments: object) -> T:
        alive = reference()
        return alive(*arguments) if alive is not None and made.wait(MAKING) else otherwise

    return call


class Renewable(Protocol):
    """A client that can go on in a forked child."""

    def after_fork_in_child(self) -> None:
        """Let go of what is the parent's."""


def renew_after_fork(client: Renewable) -> None:
    """Let a forked child renew its client, without keeping the client alive for it."""
    if not hasattr(os, "register_at_fork"):
        return
    reference = weakref.ref(client)

    def renew() -> None:
        known = reference()
        if known is not None:
            known.after_fork_in_child()

    os.register_at_fork(after_in_child=renew)


class LastErrand:
    """Runs a function on delivery's thread, after what is queued was sent or tried; makes no request.

    Args:
        run: What to do; given this errand.
    """

    def __init__(self, run: Callable[[LastErrand], object]) -> None:
        self._run = run

    def build(self, *, now: float) -> Request | None:  # noqa: ARG002 - as delivery calls it
        """Do it; there is no request."""
        self._run(self)
        return None

    def interpret(self, request: Request, response: Response) -> None:
        """Never called: there was no request."""
