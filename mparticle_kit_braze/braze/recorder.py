"""Accepted calls become records: the current user and session, and the one place where anything is queued.

The path of an event takes no lock: the session is read once, and everything that changes it (a lapse, a change of
user, a wipe) replaces it as a whole under the lock.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ..clock import Clock
from ..delivery import Delivery
from ..errors import ClosedError
from ..locks import ForkSafeLock
from .encoding import quote, to_bytes
from .request_body import ATTRIBUTES
from .sessions import FLOAT_ERROR, MIN_TIMEOUT, Session, to_milliseconds
from .state import State, new_id

__all__ = ["Recorder"]

NEVER_QUIET = -math.inf
"""As the quiet time: every event takes the slow way, where being closed or disabled is noticed."""

MILLISECONDS = (*(f".{number:03}" for number in range(1000)), ".999")
"""The fractions of a second, as times of events have them, cut as :func:`to_milliseconds` does."""


class Recorder:
    """Queues events and attributes for the current user, and keeps the session.

    Args:
        state: What is remembered.
        delivery: Where records go.
        clock: Where time comes from.
        session_timeout: Seconds of inactivity after which a session ends.

    Attributes:
        on_session: Called, no lock held, when a session began or in-app messages are due to be asked for again.
    """

    def __init__(self, state: State, delivery: Delivery, clock: Clock, session_timeout: float) -> None:
        self._state = state
        self._delivery = delivery
        self._append: Callable[[str, bytes], bool] = delivery.append
        self._time = clock.time
        self._timeout = max(MIN_TIMEOUT, session_timeout, state.config.minimum_session_timeout or 0)
        self._lock = ForkSafeLock()
        self._second = -1, ""
        self._closed = False
        self._session = self._resumed()
        self._saved_last = math.nan
        self._owner = owner_member(state.user_id)
        self._quiet = NEVER_QUIET
        self.on_session: Callable[[], object] = nothing
        self.config_changed()

    def _resumed(self) -> Session | None:
        """The session of an earlier process, with the last activity that its queue tells of."""
        session = self._state.stored_session()
        activity = self._delivery.last_activity
        if session is not None:
            self._state.session_id = session.id
            if activity is not None and session.last < activity <= self._time():
                session.last = activity
        return session

    # -- queueing -----------------------------------------------------------------------------------------------
    def event(self, code: str, data: str, at: float | None = None) -> bool:
        """Queue an event; begins or extends the session.

        Args:
            code: The event's wire code.
            data: Its data as compact JSON.
            at: When it happened, seconds since the epoch; ``None`` for now.

        Returns:
            Whether it was queued: not when disabled, nor when the queue is full and keeps its oldest.

        Raises:
            ClosedError: The client was closed.
        """
        now = self._time()
        session = self._session
        if session is None or now - session.last > self._quiet:
            session = self._revived(now)
            if session is None:
                return False
        session.last = now
        if at is None and now >= 0:
            # Formatting a float would be a tenth of the whole call.
            second = int(now)
            known = self._second
            if known[0] != second:
                self._second = known = second, str(second)
            stamp = known[1] + MILLISECONDS[int((now - second) * 1000 + FLOAT_ERROR)]
        else:
            stamp = f"{now if at is None else at:.3f}"
        text = f'{{"name":"{code}","time":{stamp},"data":{data}{session.suffix}'
        try:
            payload = text.encode()
        except UnicodeEncodeError:
            payload = to_bytes(text)
        return self._append(session.kind, payload)

    def attributes(self, owner: str, members: str) -> bool:
        """Queue an attribute object; sessions are not touched.

        Args:
            owner: The :attr:`owner` it belongs to.
            members: Its members as JSON, without braces.
        """
        return self._append(ATTRIBUTES, to_bytes(f"{{{owner}{members}}}"))

    def divert(self, append: Callable[[str, bytes], bool]) -> None:
        """Hand every record from now on to this instead of the queue: to show what would be sent."""
        self._append = append

    def accepts(self) -> bool:
        """Whether calls are taken at all: not while disabled.

        Raises:
            ClosedError: The client was closed.
        """
        if self._quiet == NEVER_QUIET:
            if self._closed:
                raise ClosedError("This Braze client was closed; make a new one")
            return not self._state.disabled
        return True

    def now(self) -> float:
        """Seconds since the epoch, as an event of now would have them."""
        return to_milliseconds(self._time())

    @property
    def owner(self) -> str:
        """The beginning of the current user's attribute objects."""
        return self._owner

    def live_session_id(self) -> str | None:
        """The id of the session, unless it has lapsed or none has begun."""
        session = self._session
        return None if session is None or self._time() - session.last > self._timeout else session.id

    # -- sessions and users -------------------------------------------------------------------------------------
    def open_session(self) -> bool:
        """Begin a session unless one is alive; either way what is queued goes soon."""
        if not self.accepts():
            return False
        now = self._time()
        session = self._session
        if session is None or now - session.last > self._quiet:
            session = self._revived(now)
        if session is not None:
            session.last = now
        self._delivery.flush_soon()
        return True

    def change_user(self, user_id: str) -> bool:
        """End the session, make ``user_id`` the current user and begin a session; false if they are already."""
        with self._lock.held:
            if not self.accepts() or user_id == self._state.user_id:
                return False
            now = self._time()
            self._end(now, explicit=True)
            session = Session(new_id(), user_id, now, now)
            self._state.set_user(user_id, session)
            self._begin(session)
            self._owner = owner_member(user_id)
        self._delivery.flush_soon()
        self.on_session()
        return True

    def _revived(self, now: float) -> Session | None:
        """The slow way of an event: a session must begin, or something else is not as usual."""
        with self._lock.held:
            if not self.accepts():
                return None
            session = self._session
            if session is not None and now - session.last <= self._timeout:
                if now - session.last <= self._quiet:
                    return session
                if not self._ask_again(session):
                    return session
            else:
                self._end(now, explicit=False)
                session = Session(new_id(), self._state.user_id, now, now)
                self._begin(session)
                self._state.set_session(session)
                self._delivery.flush_soon()
        self.on_session()
        return session

    def _ask_again(self, session: Session) -> bool:
        """Long enough without activity that in-app messages are asked for again; false if that was done already."""
        pause = f"{session.id} {session.last}"
        if self._state.asked_again == pause:
            return False
        self._state.asked_again = self._state.triggers_due = pause
        return True

    def _end(self, now: float, *, explicit: bool) -> None:
        session = self._session
        if session is None or not session.owned:
            return
        if explicit and now - session.last <= self._timeout:
            payload = session.end_event(now, now - session.start)
        else:
            payload = session.lapsed_event()
        self._append(session.kind, payload)

    def _begin(self, session: Session) -> None:
        self._append(session.kind, session.start_event())
        self._session = session

    def request_leaves(self) -> None:
        """A request is about to be built: also one without events may have to ask for in-app messages again."""
        session = self._session
        if session is not None and 0 < self._quiet < self._time() - session.last <= self._timeout:
            self._ask_again(session)

    # -- state --------------------------------------------------------------------------------------------------
    def config_changed(self) -> None:
        """A new configuration is in force, or the client was enabled or disabled."""
        if self._closed or self._state.disabled:
            self._quiet = NEVER_QUIET
        else:
            self._quiet = min(self._timeout, self._state.config.messaging_session_timeout or self._timeout)

    def to_remember(self) -> Mapping[str, Any]:
        """The session, if it went on since it was last remembered."""
        session = self._session
        if session is None or session.last == self._saved_last or not session.owned:
            return {}
        self._saved_last = session.last
        return {"session": session.stored()}

    def reset(self) -> None:
        """After a wipe: anonymous, without a session."""
        with self._lock.held:
            self._session = None
            self._owner = owner_member(self._state.user_id)
            self.config_changed()

    def close(self) -> None:
        """Take no more calls."""
        with self._lock.held:
            self._closed = True
            self._quiet = NEVER_QUIET

    def reset_after_fork(self) -> None:
        """In a forked child: the session goes on, but its end is the parent's to tell."""
        session = self._session
        if session is not None:
            session.owned = False


def nothing() -> None:
    """Nobody wants to know."""


def owner_member(user_id: str | None) -> str:
    """The ``user_id`` member an attribute object begins with; nothing for the anonymous user."""
    return "" if user_id is None else f'"user_id":{quote(user_id)},'
