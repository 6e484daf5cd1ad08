"""What went wrong without being an error of the caller: counted, logged once, handed to ``on_error``.

Every room reports through one :class:`Reporter`. Logging handlers and ``on_error`` are foreign code: what is reported
while the thread holds a lock of ours reaches them in a thread of its own.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from .locks import ForkSafeLock, without_locks

__all__ = ["Problem", "Reporter"]

# A host that set up no logging would otherwise find our warnings on its stderr, at its exit even.
logging.getLogger("mparticle_kit_braze").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that went wrong, without personal data or keys.

    Attributes:
        code: A stable snake_case word to branch on, such as ``value_refused`` or ``record_dropped``.
        message: One sentence for people.
        count: How many values or records it concerns.
        exception: The exception behind it, if there was one.
    """

    code: str
    message: str
    count: int = 1
    exception: BaseException | None = None


class Reporter:
    """Counts problems by code, logs the first of each episode, and passes every one to a callback.

    Args:
        on_error: Called with each :class:`Problem`, on the thread where it was noticed. What it raises is
            logged at DEBUG and goes no further.
        logger: Where the log lines go; no level is ever set on it. Ours prints nothing unless the host sets up logging.
    """

    def __init__(
        self,
        on_error: Callable[[Problem], object] | None = None,
        *,
        logger: logging.Logger | None = None,
    ) -> None:
        self._on_error = on_error
        self._listeners: tuple[Callable[[Problem], object], ...] = ()
        self._logger = logger or logging.getLogger("mparticle_kit_braze")
        self._lock = ForkSafeLock()
        self._counts: Counter[str] = Counter()
        self._open_episodes: set[tuple[str, str]] = set()

    def report(
        self,
        code: str,
        message: str,
        *,
        key: str = "",
        level: int = logging.WARNING,
        count: int = 1,
        exception: BaseException | None = None,
    ) -> None:
        """Report a problem.

        Args:
            code: See :attr:`Problem.code`.
            message: One sentence; no value of an attribute, no identity, no key in it.
            key: Tells episodes of one code apart (an attribute name, a kit name). Each ``(code, key)`` is
                logged once, until :meth:`recovered` ends the episode.
            level: The level of that log line.
            count: How many values or records are concerned.
            exception: The exception behind it.
        """
        episode = (code, key)
        with self._lock.held:
            self._counts[code] += count
            # Bounded: an app that makes up attribute names must not make this grow for ever.
            first = episode not in self._open_episodes and len(self._open_episodes) < 10_000
            if first:
                self._open_episodes.add(episode)
        without_locks(lambda: self._tell(Problem(code, message, count, exception), level if first else None))

    def recovered(self, code: str, message: str | None = None, *, key: str = "") -> None:
        """End an episode: the next problem with this code and key is logged again. ``message`` is logged at INFO."""
        with self._lock.held:
            was_open = (code, key) in self._open_episodes
            self._open_episodes.discard((code, key))
        if was_open and message is not None:
            without_locks(lambda: self._logger.info("%s", message))

    def add_listener(self, listener: Callable[[Problem], object]) -> None:
        """Tell one more of every problem, as ``on_error`` is told."""
        self._listeners = (*self._listeners, listener)

    def remove_listener(self, listener: Callable[[Problem], object]) -> None:
        """Tell it no more."""
        self._listeners = tuple(known for known in self._listeners if known != listener)

    def counts(self) -> dict[str, int]:
        """How often each code was reported since the start."""
        with self._lock.held:
            return dict(self._counts)

    def _tell(self, problem: Problem, level: int | None) -> None:
        if level is not None:
            self._logger.log(level, "%s", problem.message)
        for told in (*self._listeners, self._on_error):
            if told is None:
                continue
            try:
                told(problem)
            except (Exception, SystemExit):  # sys.exit() would end our thread, not the program
                self._logger.debug("on_error raised", exc_info=True)
