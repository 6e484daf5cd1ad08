"""Callbacks of the host: what may be given as one, the guard around their calls, and lists of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from ..diagnostics import Reporter
from ..errors import InvalidArgumentError

__all__ = ["Listeners", "Subscriptions", "check_callback", "guarded"]

Value = TypeVar("Value")

IS_COROUTINE_FUNCTION = 0x80
"""A flag of code objects; the ``inspect`` module, which names it, is slow to import."""


def check_callback(callback: Any) -> None:
    """Check that something can be called back.

    Raises:
        InvalidArgumentError: It cannot be called, or calling it would only make a coroutine that nobody awaits.
    """
    if not callable(callback):
        raise InvalidArgumentError(f"callback must be callable, not {type(callback).__name__}")
    inner = callback
    while isinstance(inner, functools.partial):
        inner = inner.func
    code = getattr(inner, "__code__", None) or getattr(type(inner).__call__, "__code__", None)
    if getattr(code, "co_flags", 0) & IS_COROUTINE_FUNCTION:
        raise InvalidArgumentError(
            "callback must be a plain function, not a coroutine function: it is called on a thread without an event "
            "loop; have it call loop.call_soon_threadsafe(...)"
        )


def guarded(reporter: Reporter, call: Callable[[], object]) -> None:
    """Make a call of the host's; what it raises is reported (``callback_failed``) and goes no further."""
    try:
        call()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the host's code
        message = f"A callback raised {type(error).__name__}"
        reporter.report("callback_failed", message, key=type(error).__name__, exception=error)


class Subscriptions(Generic[Value]):
    """Those who want to hear of something. A subclass tells them: at once, or on a thread for callbacks."""

    def __init__(self) -> None:
        self._known: tuple[tuple[Callable[[Value], object]], ...] = ()

    def __bool__(self) -> bool:
        return bool(self._known)

    def add(self, callback: Callable[[Value], object]) -> Callable[[], None]:
        """Call ``callback`` from now on; gives a function that ends it.

        Raises:
            InvalidArgumentError: See :func:`check_callback`.
        """
        check_callback(callback)
        entry = (callback,)  # an object of its own: the same callback may subscribe twice
        self._known = (*self._known, entry)

        def unsubscribe() -> None:
            self._known = tuple(known for known in self._known if known is not entry)

        return unsubscribe


class Listeners(Subscriptions[Value]):
    """Those who are told of something at once, on the thread where it happens.

    Args:
        reporter: Told when one of them raises (``callback_failed``).
    """

    def __init__(self, reporter: Reporter) -> None:
        super().__init__()
        self._reporter = reporter

    def tell(self, value: Value) -> None:
        """Call all of them with ``value``, each in a guard."""
        for (callback,) in self._known:
            guarded(self._reporter, functools.partial(callback, value))
