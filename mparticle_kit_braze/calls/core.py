"""What the facade's calls have in common: the client's parts, and when a call is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..diagnostics import Reporter
from ..errors import ClosedError, ConfigurationError
from ..kits.coordinator import Coordinator
from ..kits.manager import KitManager
from ..kits.sessions import SessionKeeper

if TYPE_CHECKING:
    from ..kits.user_handle import UserHandle

__all__ = ["ClientCore"]


class ClientCore:
    """The parts of a client, which :class:`~mparticle_kit_braze.MParticle` makes."""

    _closed: bool
    _find_user: Callable[[object], UserHandle | None] | None = None
    """The user of the scope that a call is made in; ``None`` as long as there never was a scope."""
    _kits: KitManager
    _refusing: bool
    """Closed, opted out or waiting for the first user: one look on the hot path."""
    _reporter: Reporter
    _sessions: SessionKeeper
    _state: Coordinator
    _time: Callable[[], float]

    def _look_again(self) -> None:
        """Decide what one look on the hot path says."""
        self._refusing = self._closed or self._state.refuses or self._state.waiting

    def _refuses_when_closed(self) -> None:
        if self._closed:
            raise ClosedError("this client has been closed; make a new MParticle")

    def _refuses(self, what: str) -> bool:
        """Raise if closed; report and return true if the user opted out."""
        self._refuses_when_closed()
        refuses = self._state.refuses
        if refuses:
            self._reporter.report("opted_out", f"Refused, because the user opted out: {what}", key=what)
            self._kits.refused(what)
        return refuses

    def _touch(self) -> None:
        """Begin a session or keep it, unless the call waits for the first user and begins one then."""
        if not self._state.waiting:
            self._sessions.touch()

    def _scoped(self, call: str, *arguments: Any, **named: Any) -> bool:
        """Make a call for the user of the scope that it is made in, if there is one; say whether there was."""
        user = None if self._find_user is None else self._find_user(self)
        if user is None:
            return False
        getattr(user, call)(*arguments, **named)
        return True

    def _refuses_in_scope(self, call: str) -> None:
        """Raise if a call that only the user of the whole process has is made in the scope of another."""
        if self._find_user is not None and self._find_user(self) is not None:
            raise ConfigurationError(f"{call} is about the user of the whole process; call it outside of user_scope")
