"""Sessions: when one lapses, how it ends, and the bytes each of its events carries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .encoding import quote, to_bytes

__all__ = ["ANONYMOUS_EVENT", "MIN_DURATION", "MIN_TIMEOUT", "USER_EVENT", "Session", "to_milliseconds"]

FLOAT_ERROR = 0.0005
"""Milliseconds: twice what a time of our days can be off by as a float, so that .007 is not cut to .006."""

USER_EVENT = "e"
"""The kind of record that holds an event of an identified user."""
ANONYMOUS_EVENT = "n"
"""The kind of record that holds an event of the anonymous user: an alias may have to be added when sending."""

MIN_TIMEOUT = 10.0
"""Seconds; a shorter time-out is raised to this, as the Web SDK does."""
MIN_DURATION = 10.0
"""Seconds; a lapsed session is said to have lasted at least this, as the Web SDK does."""


class Session:
    """One session of one user.

    Attributes:
        id: A UUID.
        user_id: Whose it is; ``None`` for the anonymous user.
        start: When it began, seconds since the epoch.
        last: When its last event was logged.
        kind: The kind of record its events are stored as.
        suffix: The end of each of its events: ids and the closing brace.
        owned: Whether this process may end it; a forked child leaves that to its parent.
    """

    __slots__ = ("id", "kind", "last", "owned", "start", "suffix", "user_id")

    def __init__(self, session_id: str, user_id: str | None, start: float, last: float) -> None:
        self.id: str = session_id
        self.user_id: str | None = user_id
        self.start: float = start
        self.last: float = last
        self.owned: bool = True
        self.kind = ANONYMOUS_EVENT if user_id is None else USER_EVENT
        user = "" if user_id is None else f',"user_id":{quote(user_id)}'
        self.suffix: str = f',"session_id":"{session_id}"{user}}}'

    def start_event(self) -> bytes:
        """``ss``: the session began."""
        return event_payload("ss", self.start, "{}", self.suffix)

    def end_event(self, at: float, duration: float) -> bytes:
        """``se``: the session ended after ``duration`` seconds."""
        return event_payload("se", at, f'{{"d":{round(max(0.0, duration), 3)!r}}}', self.suffix)

    def lapsed_event(self) -> bytes:
        """``se`` of a session that ran out: stamped with its last activity."""
        return self.end_event(self.last, max(MIN_DURATION, self.last - self.start))

    def stored(self) -> dict[str, Any]:
        """What is remembered of it over restarts."""
        return {"id": self.id, "user_id": self.user_id, "start": self.start, "last": self.last}

    @classmethod
    def from_stored(cls, stored: object, user_id: str | None) -> Session | None:
        """The remembered session, unless it is malformed or another user's."""
        if not isinstance(stored, Mapping) or stored.get("user_id") != user_id:
            return None
        session_id, start, last = stored.get("id"), stored.get("start"), stored.get("last")
        if not isinstance(session_id, str) or not isinstance(start, int | float) or not isinstance(last, int | float):
            return None
        return cls(session_id, user_id, float(start), float(last))


def event_payload(code: str, at: float, data: str, suffix: str) -> bytes:
    """One event as it goes on the wire: times in seconds with milliseconds as the fraction."""
    return to_bytes(f'{{"name":"{code}","time":{to_milliseconds(at):.3f},"data":{data}{suffix}')


def to_milliseconds(at: float) -> float:
    """A time cut to milliseconds; were some rounded, a session could seem to begin after its first event.

    What has been cut stays as it is.
    """
    second = int(at)
    return second + min(int((at - second) * 1000 + FLOAT_ERROR), 999) / 1000
