"""What every messaging feature works with: the user's stored values, the session's memory, events, callbacks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ...clock import Clock
from ...diagnostics import Reporter
from ...storage import KeyValues
from ..encoding import compact, to_bytes
from ..recorder import Recorder
from ..state import State
from .callbacks import Callbacks
from .settings import MessagingConfig

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
        self.state = state
        self.clock = clock
        self.reporter = reporter
        self.callbacks = Callbacks(clock, reporter)
        self.device_values = values
        self.values = UserValues(values, state)
        self.config = MessagingConfig.parse(state.values.get("config"))
        self._recorder = recorder

    def accepts(self) -> bool:
        """Whether calls are taken: not while disabled. :raises ClosedError: when closed."""
        return self._recorder.accepts()

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
        seen = self._seen(session)
        fresh = [key for key in dict.fromkeys(keys) if f"{code} {key}" not in seen]
        if not fresh or not self.log(code, data(fresh)):
            return False
        # The event itself may have begun a session.
        current = self.state.session_id
        known = {f"{code} {key}" for key in fresh} | (seen if current == session else set())
        self.values.update({"seen": {"session": current, "keys": sorted(known)}})
        return True

    def _seen(self, session: str | None) -> set[str]:
        stored = self.values.get("seen")
        if session is None or not isinstance(stored, dict) or stored.get("session") != session:
            return set()
        keys = stored.get("keys")
        return set(keys) if isinstance(keys, list) else set()
