"""Asking the server for the current cards, flags or banners: one request at a time, however many ask for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ...locks import ForkSafeLock
from ..subscriptions import check_callback
from .callbacks import Callbacks
from .context import Completion, Context
from .syncs import Answer, Syncs

__all__ = ["Refresh"]


def no_headers() -> Mapping[str, str]:
    """No headers of one's own."""
    return {}


class Refresh:
    """One kind of sync, which can be asked for again and again.

    Args:
        context: The surroundings.
        syncs: Sends it.
        path: The path below the base URL.
        header: The header that announces it, if it has one.
        members: Gives the body's own members; ``None`` if nothing is to be asked.
        take: Takes a good answer; says whether it was of use. Called on delivery's thread.
        headers: Gives further headers.
    """

    def __init__(
        self,
        context: Context,
        syncs: Syncs,
        *,
        path: str,
        header: str | None,
        members: Callable[[], Mapping[str, Any] | None],
        take: Callable[[Answer], bool],
        headers: Callable[[], Mapping[str, str]] = no_headers,
    ) -> None:
        self.path = path
        self.header = header
        self.members = members
        self.headers = headers
        self.take = take
        self.callbacks: Callbacks = context.callbacks
        self._syncs = syncs
        self._lock = ForkSafeLock()
        self._waiting: Asked | None = None

    def ask(self, completion: Completion | None = None) -> bool:
        """Have it requested, unless a request is waiting to be made already.

        Args:
            completion: Called with whether it succeeded, on the callback thread.

        Returns:
            Whether there will be a request.
        """
        if completion is not None:
            check_callback(completion)
        with self._lock.held:
            waiting = self._waiting
            asked = self._waiting = waiting or Asked(self)
            if completion is not None:
                asked.completions = (*asked.completions, completion)
        if waiting is not None or self._syncs.send(asked):
            return True
        self.reset()
        return self.refuse(completion)

    def refuse(self, completion: Completion | None) -> bool:
        """Have nothing requested, and tell that it did not succeed. Always false."""
        if completion is not None:
            check_callback(completion)
            self.callbacks.post(partial(completion, False))
        return False

    def leaving(self, asked: Asked) -> None:
        """It is being made: who asks from now on wants another one."""
        with self._lock.held:
            if self._waiting is asked:
                self._waiting = None

    def reset(self) -> None:
        """Who asks from now on wants another request than the one that waits: the user changed, or we were forked."""
        with self._lock.held:
            self._waiting = None


class Asked:
    """One request of a :class:`Refresh`; a :class:`~.syncs.Sync`.

    Attributes:
        completions: Who is to be told how it went.
    """

    responds: bool = False
    waits_for_signature: bool = True

    def __init__(self, refresh: Refresh) -> None:
        self._refresh = refresh
        self.path: str = refresh.path
        self.header: str | None = refresh.header
        self.completions: tuple[Completion, ...] = ()

    def members(self) -> Mapping[str, Any] | None:
        """The body's own members."""
        self._refresh.leaving(self)
        return self._refresh.members()

    def headers(self) -> Mapping[str, str]:
        """Further headers."""
        return self._refresh.headers()

    def answered(self, answer: Answer) -> None:
        """Take the answer, and tell those who asked."""
        self._refresh.leaving(self)
        useful = False
        try:
            useful = answer.ok and self._refresh.take(answer)
        finally:
            completions, self.completions = self.completions, ()
            for completion in completions:
                self._refresh.callbacks.post(partial(completion, useful))
