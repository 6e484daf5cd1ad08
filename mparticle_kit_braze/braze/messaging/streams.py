"""In-app messages for apps that take them when it suits them, instead of being called."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING

from .in_app_messages import InAppMessage

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["MessageStream"]

MAX_WAITING = 100


class MessageStream:
    """Messages in the order they came up. Iterating waits for the next one and ends when the stream is closed.

    A context manager. At most 100 messages wait; beyond that the oldest gives way.

    Made by :meth:`InAppMessages.stream`.
    """

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[InAppMessage | None] = queue.SimpleQueue()
        self._end: Callable[[], None] | None = None
        self._closed = False

    def attach(self, end: Callable[[], None]) -> None:
        """Call ``end`` when the stream is closed."""
        self._end = end

    def put(self, message: InAppMessage) -> None:
        """Add a message."""
        if self._queue.qsize() >= MAX_WAITING:
            self.take(0)
        self._queue.put(message)

    def take(self, timeout: float | None = None) -> InAppMessage | None:
        """The next message.

        Args:
            timeout: Seconds to wait for it; 0 not at all, ``None`` until there is one.

        Returns:
            The message; ``None`` when the time is up or the stream was closed.
        """
        if self._closed:
            timeout = 0
        try:
            message = self._queue.get(block=timeout != 0, timeout=timeout or None)
        except queue.Empty:
            return None
        if message is None:
            self._queue.put(None)  # for whoever else waits
        return message

    def __iter__(self) -> Iterator[InAppMessage]:
        while (message := self.take()) is not None:
            yield message

    def close(self) -> None:
        """Take no more messages; those waiting can still be taken."""
        if self._closed:
            return
        self._closed = True
        if self._end is not None:
            self._end()
        self._queue.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
