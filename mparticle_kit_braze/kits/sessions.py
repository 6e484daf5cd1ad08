"""The client's sessions: when one begins, lapses and ends, over restarts and crashes, without a thread or a timer.

A lapse is noticed by the first call after it. What kits are told goes through the coordinator's turnstile.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ..locks import ForkSafeLock, importing
from ..storage import KeyValues

__all__ = ["NO_SESSIONS", "Session", "SessionKeeper", "SessionSource"]

LONGEST_CALM = 1.0
"""Seconds for which activity need not be noted: so much early a session may be found lapsed."""

NOTED_EVERY = 10.0
"""Seconds between two notes on disk of a session's last activity; so much a crash may shorten it."""

PREFIX = "session."
"""Each client of a storage directory notes its open session under a key of its own."""

PROCESS = os.urandom(8).hex()
"""Tells this process from an earlier one with the same number."""


@dataclass(frozen=True, slots=True)
class Session:
    """One session of the client.

    Attributes:
        id: A random UUID in upper case, as mParticle's.
        start: When it began, seconds since the epoch.
        mpids: The users seen in it, in order.
        end: When it ended (its last activity); ``None`` while it lasts.
    """

    id: str
    start: float
    mpids: tuple[int, ...] = ()
    end: float | None = None


class SessionSource(Protocol):
    """Where kits look up sessions."""

    @property
    def current(self) -> Session | None:
        """The session that lasts, if one does."""

    @property
    def ended(self) -> Session | None:
        """The session that ``on_session_end`` is about, while it runs."""


class NoSessions:
    """A source without sessions."""

    current: Session | None = None
    ended: Session | None = None


NO_SESSIONS: SessionSource = NoSessions()


class SessionKeeper:
    """Begins and ends the sessions of one client.

    Args:
        values: Where the open session is noted, shared with other processes.
        time: Wall-clock seconds since the epoch.
        timeout: Seconds without a call after which a session has lapsed.
        mpid: The current user's, if there is one.
        run: Runs an action in turn with other news for the kits.
        on_start: Tells the kits that a session began.
        on_end: Tells the kits that a session ended.

    Attributes:
        calm_since: Between this and ``calm_until`` a call changes nothing: one look at the clock on the hot path.
        calm_until: See ``calm_since``.
        ended: The session that kits are being told the end of.
    """

    def __init__(
        self,
        values: KeyValues,
        *,
        time: Callable[[], float],
        timeout: float,
        mpid: Callable[[], int | None],
        run: Callable[[Callable[[], None]], None],
        on_start: Callable[[], object],
        on_end: Callable[[], object],
    ) -> None:
        self._values = values
        self._time = time
        self._timeout = timeout
        self._mpid = mpid
        self._run = run
        self._on_start = on_start
        self._on_end = on_end
        self._lock = ForkSafeLock()
        self._pid = self._lock.pid
        self._key = PREFIX + os.urandom(8).hex()
        self._session: Session | None = None
        self._owned = True
        self._last = -math.inf
        self._noted = -math.inf
        self.calm_since: float = math.inf
        self.calm_until: float = -math.inf
        self.ended: Session | None = None

    @property
    def current(self) -> Session | None:
        """The session that lasts; ``None`` before the first, and once it has lapsed."""
        session = self._session
        return None if session is None or self._time() - self._last > self._timeout + self._calm else session

    # -- what calls do ------------------------------------------------------------------------------------------
    def touch(self) -> None:
        """A call that begins a session or keeps it; the short way if that is known already."""
        if not self.calm_since <= self._time() < self.calm_until:
            self.activity()

    def activity(self) -> None:
        """End a session that has lapsed, begin one if there is none, and note the activity."""
        now = self._time()
        with self._lock.held:
            self._disown_after_fork()
            ended = self._lapsed(now)
            began = self._session is None
            if self._session is None:
                mpid = self._mpid()
                self._session = Session(new_session_id(), now, () if mpid is None else (mpid,))
                self._owned = True
            self._keep_calm(now)
            due = began or not 0 <= now - self._noted < NOTED_EVERY
            if due:
                self._noted = now
        if due:
            self._tell(ended, began=began)

    def end(self) -> None:
        """End the session now: the client closes, or the user opted out."""
        with self._lock.held:
            self._disown_after_fork()
            ended = self._finish(max(self._last, self._time()))
        self._tell(ended)

    def background(self) -> None:
        """The app went to the background: the last activity for now, though it begins no session."""
        if self.current is not None:
            self.activity()

    def saw(self, mpid: int) -> None:
        """A user became current."""
        with self._lock.held:
            session = self._session
            if session is None or mpid in session.mpids:
                return
            self._session = replace(session, mpids=(*session.mpids, mpid))
        self._run(self._note)

    def recover(self) -> None:
        """End the sessions that earlier processes left open. Runs in turn, once the kits have started."""
        for key, record in self._values.items(PREFIX).items():
            noted = read_session(record)
            lapsed = noted is None or self._time() - (noted.end or 0.0) > self._timeout + NOTED_EVERY + LONGEST_CALM
            if key != self._key and (lapsed or not is_running(record)):
                left = read_session(self._values.take(key))
                if left is not None:
                    self._tell_end(left)

    def set_timeout(self, timeout: float) -> None:
        """Another time-out, from the next look on."""
        self._timeout = timeout

    # -- inside -------------------------------------------------------------------------------------------------
    @property
    def _calm(self) -> float:
        return min(LONGEST_CALM, self._timeout / 10)

    def _keep_calm(self, now: float) -> None:
        self._last = now
        self.calm_since, self.calm_until = now, now + self._calm

    def _lapsed(self, now: float) -> Session | None:
        """Finish a session that has lapsed; called with the lock held."""
        if self._session is not None and now - self._last > self._timeout:
            return self._finish(self._last)
        return None

    def _finish(self, end: float) -> Session | None:
        """Forget the session and return it ended; ``None`` if there is none, or it is the parent process's."""
        session, self._session = self._session, None
        self.calm_since, self.calm_until = math.inf, -math.inf
        if session is None or not self._owned:
            return None
        return replace(session, end=max(session.start, end))

    def _disown_after_fork(self) -> None:
        """A forked child goes on in its parent's session, but leaves the ending and the note to the parent."""
        if self._pid != self._lock.pid:
            self._pid = self._lock.pid
            self._key = PREFIX + os.urandom(8).hex()
            self._owned = False
            self.ended = None

    def _tell(self, ended: Session | None, *, began: bool = False) -> None:
        def tell() -> None:
            # Another process that found the session lapsed may have taken the note, and told the end.
            if ended is not None and self._values.take(self._key) is not None:
                self._tell_end(ended)
            self._note()
            if began:
                self._on_start()

        self._run(tell)

    def _tell_end(self, ended: Session) -> None:
        self.ended = ended
        try:
            self._on_end()
        finally:
            self.ended = None

    def _note(self) -> None:
        """Bring the note on disk up to date, whatever has happened since it was asked for."""
        session = self._session
        if session is not None and self._owned:
            self._values.set(
                self._key,
                {
                    "id": session.id,
                    "start": session.start,
                    "last": self._last,
                    "mpids": list(session.mpids),
                    "host": host_name(),
                    "pid": os.getpid(),
                    "process": PROCESS,
                },
            )


def new_session_id() -> str:
    """A random UUID in upper case."""
    with importing.held:
        import uuid  # noqa: PLC0415  # not needed to import the package

    return str(uuid.uuid4()).upper()


def host_name() -> str:
    """This machine's name, as far as the system tells it at no cost."""
    return os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")


def is_running(record: Any) -> bool:
    """Whether the process that noted a session still runs; one on another machine may, for all we know."""
    if not isinstance(record, dict) or not isinstance(pid := record.get("pid"), int):
        return False
    if record.get("host") != host_name() or os.name != "posix":
        return True
    if pid == os.getpid():
        return record.get("process") == PROCESS  # containers give the same numbers again and again
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def read_session(record: Any) -> Session | None:
    """The session of a note, ended with its last activity; ``None`` if another process has it, or it does not read."""
    if not isinstance(record, dict):
        return None
    session_id, start, last = record.get("id"), record.get("start"), record.get("last")
    if not isinstance(session_id, str) or not isinstance(start, int | float) or not isinstance(last, int | float):
        return None
    mpids = record.get("mpids")
    seen = tuple(mpid for mpid in mpids if isinstance(mpid, int)) if isinstance(mpids, list) else ()
    return Session(session_id, float(start), seen, end=max(float(start), float(last)))
