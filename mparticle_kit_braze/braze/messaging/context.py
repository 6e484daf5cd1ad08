"""What every messaging feature works with: the user's stored values, the session's memory, events, callbacks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ...clock import Clock
from ...diagnostics import Reporter
from ...locks import ForkSafeLock
from ...storage import KeyValues
from ..encoding import compact, to_bytes
from ..recorder import Recorder
from ..state import State
from .callbacks import Callbacks
from .settings import MessagingConfig
from .triggers import MINIMUM_INTERVAL

__all__ = ["Completion", "Context", "UserValues"]

Completion = Callable[[bool], object]
"""Called with whether a request succeeded."""


class UserValues:
    """Stored values of the current user; another user's are not seen, and are dropped at a change of user.

    The keys carry the user and the count of user changes, so that processes with different users on one
    storage directory stay apart.
    """

    def __init__(self, values: KeyValues, state: State) -> None:
        self._values = values
        self._state = state
        self._prefix = self._current()

    def _current(self) -> str:
        user = hashlib.blake2b(to_bytes(self._state.user_id or ""), digest_size=8).hexdigest()
        return f"{self._state.epoch}-{user}/"

    def changed_user(self) -> bool:
        """Whether the user changed since the last call; if so the old one's values are gone."""
        prefix = self._current()
        if prefix == self._prefix:
            return False
        old, self._prefix = self._prefix, prefix
        self._values.delete_prefix(old)
        return True

    def clear(self) -> None:
        """Forget the current user's values."""
        self._values.delete_prefix(self._prefix)

    def get(self, key: str) -> Any:
        """The value of ``key``, ``None`` if there is none."""
        return self._values.get(self._prefix + key)

    def update(self, values: Mapping[str, Any]) -> None:
        """Store several values in one commit."""
        self._values.update({self._prefix + key: value for key, value in values.items()})


class Context:
    """The surroundings of the features.

    Attributes:
        state: Who the user is, and which session.
        clock: Where time comes from.
        reporter: Where problems go.
        callbacks: How the app is called back.
        values: The current user's stored values.
        device_values: Stored values that are no user's.
        config: What the server allows.
    """

    def __init__(self, state: State, recorder: Recorder, values: KeyValues, clock: Clock, reporter: Reporter) -> None:
        self.minimum_trigger_interval = MINIMUM_INTERVAL
        self.state = state
        self.clock = clock
        self.reporter = reporter
        self.callbacks: Callbacks = Callbacks(clock, reporter)
        self.device_values = values
        self.values: UserValues = UserValues(values, state)
        self.config: MessagingConfig = MessagingConfig.parse(state.values.get("config"))
        self._recorder = recorder
        self._lock = ForkSafeLock()
        self._seen_now: tuple[str | None, frozenset[str]] = ("", frozenset())

    def accepts(self) -> bool:
        """Whether calls are taken: not while disabled. :raises ClosedError: when closed."""
        return self._recorder.accepts()

    def user_member(self) -> dict[str, str]:
        """The current user as a member of a request's body or of an event; nothing while anonymous."""
        user_id = self.state.user_id
        return {} if user_id is None else {"user_id": user_id}

    def alias_member(self) -> dict[str, Any]:
        """The anonymous user's alias in the same way."""
        alias = self.state.alias
        return {} if alias is None else {"alias": alias}

    def log(self, code: str, data: Mapping[str, Any]) -> bool:
        """Queue an event of the SDK's own; whether it was taken."""
        return self._recorder.event(code, compact(dict(data)))

    def log_once_a_session(
        self, code: str, keys: Iterable[str], data: Callable[[list[str]], Mapping[str, Any]]
    ) -> bool:
        """Queue one event for those of ``keys`` that had none of this code in the current session.

        Args:
            code: The event's code.
            keys: What the event is about.
            data: Gives the event's data for the keys that remain.

        Returns:
            Whether there were any, and the event was taken.
        """
        if not self.accepts():
            return False
        session = self._recorder.live_session_id()
        with self._lock.held:
            seen = self._seen(session)
            fresh = [key for key in dict.fromkeys(keys) if f"{code} {key}" not in seen]
            marks = frozenset(f"{code} {key}" for key in fresh)
            # Marked before it is logged: two threads must not count the same twice.
            self._seen_now = (session, seen | marks)
        if not fresh or not self.log(code, data(fresh)):
            with self._lock.held:
                self._seen_now = (session, self._seen(session) - marks)
            return False
        with self._lock.held:
            current = self.state.session_id
            if current != session:  # the event itself began one
                self._seen_now = (current, self._seen(current) | marks)
            session, seen = self._seen_now
            self.values.update({"seen": {"session": session, "keys": sorted(seen)}})
        return True

    def forget_user(self) -> None:
        """The user changed."""
        with self._lock.held:
            self._seen_now = ("", frozenset())

    def _seen(self, session: str | None) -> frozenset[str]:
        """What was counted in this session, in this process or before it."""
        if self._seen_now[0] == "":
            stored = self.values.get("seen")
            if isinstance(stored, dict) and isinstance(stored.get("keys"), list):
                keys = frozenset(key for key in stored["keys"] if isinstance(key, str))
                self._seen_now = (stored.get("session"), keys)
        return self._seen_now[1] if session is not None and self._seen_now[0] == session else frozenset()
