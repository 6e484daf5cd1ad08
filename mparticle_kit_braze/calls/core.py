"""What the facade's calls have in common: the client's parts, and when a call is refused."""

from __future__ import annotations

from collections.abc import Callable

from ..diagnostics import Reporter
from ..errors import ClosedError
from ..kits.coordinator import Coordinator
from ..kits.manager import KitManager
from ..kits.sessions import SessionKeeper

__all__ = ["ClientCore"]


class ClientCore:
    """The parts of a client, which :class:`~mparticle_kit_braze.MParticle` makes."""

    _closed: bool
    _kits: KitManager
    _refusing: bool
    """Closed, opted out or waiting for the first user: one look on the hot path."""
    _reporter: Reporter
    _sessions: SessionKeeper
    _state: Coordinator
    _time: Callable[[], float]

    def _look_again(self) -> None:
        """Decide what one look on the hot path says."""
        self._refusing = self._closed or self._state.opted_out or self._state.waiting

    def _refuses_when_closed(self) -> None:
        if self._closed:
            raise ClosedError("this client has been closed; make a new MParticle")

    def _refuses(self, what: str) -> bool:
        """Raise if closed; report and return true if the user opted out."""
        self._refuses_when_closed()
        if self._state.opted_out:
            self._reporter.report("opted_out", f"A {what} was refused because the user opted out", key=what)
            self._kits.refused(what)
        return self._state.opted_out

    def _touch(self) -> None:
        """Begin a session or keep it, unless the call waits for the first user and begins one then."""
        if not self._state.waiting:
            self._sessions.touch()
