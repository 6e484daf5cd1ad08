"""Asking the server for the current cards, flags or banners: one request at a time, however many ask for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ...errors import InvalidArgumentError
from ...locks import ForkSafeLock
from .context import Completion, Context
from .syncs import Answer, Syncs

__all__ = ["Refresh"]


def no_headers() -> Mapping[str, str]:
    """No headers of one's own."""
    return {}


class Refresh:
    """A :class:`~.syncs.Sync` that can be asked for again and again.

    Args:
        context: The surroundings.
        syncs: Sends it.
        path: The path below the base URL.
        header: The header that announces it, if it has one.
        members: Gives the body's own members; ``None`` if nothing is to be asked.
        take: Takes a good answer; says whether it was of use. Called on delivery's thread.
        headers: Gives further headers.
    """

    responds: bool = False

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
        self._context = context
        self._syncs = syncs
        self._take = take
        self._lock = ForkSafeLock()
        self._asked = False
        self._completions: tuple[Completion, ...] = ()

    def ask(self, completion: Completion | None = None) -> bool:
        """Have it requested, unless a request is on its way to be made already.

        Args:
            completion: Called with whether it succeeded, on the callback thread.

        Returns:
            Whether there will be a request. If not, ``completion`` is not called.
        """
        check_completion(completion)
        with self._lock:
            waiting = self._asked
            self._asked = True
            if completion is not None:
                self._completions = (*self._completions, completion)
        if waiting or self._syncs.send(self):
            return True
        self._taken_over()
        return False

    def answered(self, answer: Answer) -> None:
        """Take the answer, and tell those who asked."""
        completions = self._taken_over()
        useful = answer.ok and self._take(answer)
        for completion in completions:
            self._context.callbacks.post(partial(completion, useful))

    def _taken_over(self) -> tuple[Completion, ...]:
        with self._lock:
            completions, self._completions = self._completions, ()
            self._asked = False
        return completions


def check_completion(completion: object) -> None:
    """Check a callback for the end of a request. :raises InvalidArgumentError: It cannot be called."""
    if completion is not None and not callable(completion):
        raise InvalidArgumentError(f"callback must be callable, not {type(completion).__name__}")
