"""Scripted answers and faults: what the sandbox says instead of the ordinary answer, and how it says it."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http.client import responses
from typing import Any

__all__ = ["Reply", "ReplyScript", "send_reply"]


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, or one way of not giving one. What is left out is as in the ordinary answer.

    Attributes:
        status: The HTTP status.
        headers: Headers to add, or to put in place of the ordinary ones.
        body: The body: bytes and text go out as they are, anything else as JSON.
        delay: Seconds to wait before the first byte.
        hang: Accept the request and say nothing until the sandbox is closed or reset.
        close: Close the connection without an answer.
        cut: Close the connection after so many bytes of the body; the length announced is the full one.
        trickle: Seconds between the bytes of the answer.
        record: Whether the request is taken in (checked, counted, applied to profiles) as if all were well.
            ``None`` decides by the answer: yes if the status is 2xx and the body names no ``auth_error``
            or ``error``, no with ``hang`` and ``close``.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    delay: float = 0.0
    hang: bool = False
    close: bool = False
    cut: int | None = None
    trickle: float = 0.0
    record: bool | None = None

    @property
    def records(self) -> bool:
        """Whether a request answered like this is taken in."""
        if self.record is not None:
            return self.record
        if self.hang or self.close or (self.status is not None and not 200 <= self.status < 300):
            return False
        return not (isinstance(self.body, Mapping) and self.body.keys() & {"auth_error", "error"})

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Reply:
        """A reply from an object with the attributes' names. Raises ``TypeError`` for unknown names."""
        return cls(**value)


class ReplyScript:
    """The replies that the next requests get, first come first served."""

    def __init__(self) -> None:
        self._replies: deque[Reply] = deque()

    def add(self, replies: Iterable[Reply]) -> None:
        """Append replies."""
        self._replies.extend(replies)

    def next(self) -> Reply | None:
        """Take the next reply."""
        return self._replies.popleft() if self._replies else None

    def clear(self) -> None:
        """Drop what has not been used."""
        self._replies.clear()

    def __len__(self) -> int:
        return len(self._replies)


def send_reply(
    connection: socket.socket,
    reply: Reply,
    status: int,
    body: Any,
    *,
    released: threading.Event,
    keep_alive: bool = True,
) -> bool:
    """Send an answer, with the faults that ``reply`` asks for.

    Args:
        connection: The socket; the caller closes it.
        reply: What to do; an empty :class:`Reply` for the ordinary answer.
        status: The ordinary status, used when the reply has none.
        body: The ordinary body, used when the reply has none.
        released: Set when everything that waits must give up.
        keep_alive: What the ordinary answer says about the connection.

    Returns:
        Whether the connection can carry another request.
    """
    if reply.delay and released.wait(reply.delay):
        return False
    if reply.hang:
        released.wait()
        return False
    if reply.close:
        return False
    content = _encode(body if reply.body is None else reply.body)
    head = _head(reply.status or status, len(content), reply.headers, keep_alive=keep_alive)
    kept = content if reply.cut is None else content[: reply.cut]
    if reply.trickle:
        if not _trickle(connection, head + kept, reply.trickle, released):
            return False
    else:
        connection.sendall(head + kept)
    return keep_alive and len(kept) == len(content)


def _encode(body: Any) -> bytes:
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode()
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _head(status: int, length: int, extra: Mapping[str, str], *, keep_alive: bool) -> bytes:
    headers = {
        "content-type": "application/json",
        "content-length": str(length),
        "connection": "keep-alive" if keep_alive else "close",
    }
    headers.update({name.lower(): value for name, value in extra.items()})
    lines = [f"HTTP/1.1 {status} {responses.get(status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _trickle(connection: socket.socket, content: bytes, pause: float, released: threading.Event) -> bool:
    due = time.monotonic()
    for index in range(len(content)):
        connection.sendall(content[index : index + 1])
        due += pause
        if released.wait(max(0.0, due - time.monotonic())):
            return False
    return True
