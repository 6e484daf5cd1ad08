"""Events, screen views and commerce events: arguments checked and copied, then on to the kit manager."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from ..commerce import CommerceEvent
from ..errors import InvalidArgumentError
from ..events import EventType, ScreenView, owned_event
from ..values import check_name, check_timestamp, copy_attributes, describe
from .core import ClientCore

__all__ = ["EventCalls"]


class EventCalls(ClientCore):
    """What happened."""

    def log_event(
        self,
        name: str,
        event_type: EventType | int = EventType.OTHER,
        attributes: Mapping[str, Any] | None = None,
        *,
        timestamp: float | dt.datetime | None = None,
    ) -> None:
        """Log a custom event.

        Args:
            name: Its name, not empty.
            event_type: An :class:`EventType` or its number.
            attributes: Attributes by name; copied. Each kit decides which values it can send.
            timestamp: When it happened: seconds since the epoch or a date-time; ``None`` for now.

        Raises:
            InvalidArgumentError: An argument is of the wrong type, or the name empty.
            ClosedError: The client is closed.
        """
        if name.__class__ is not str or not name:
            name = check_name(name, "event name")
        if event_type.__class__ is not EventType:
            event_type = EventType.of(event_type)
        copied = copy_attributes(attributes)
        seconds = None if timestamp is None else check_timestamp(timestamp)
        if self._find_user is not None and self._scoped("log_event", name, event_type, copied, timestamp=seconds):
            return
        if self._refusing and (
            self._refuses("event")
            or self._state.keep_event("log_event", name, event_type, copied, seconds or self._time())
        ):
            return
        sessions = self._sessions
        if not sessions.calm_since <= self._time() < sessions.calm_until:
            sessions.activity()
        self._kits.log_event(owned_event(name, event_type, copied, seconds))

    def log_screen(
        self, name: str, attributes: Mapping[str, Any] | None = None, *, timestamp: float | dt.datetime | None = None
    ) -> None:
        """Log a view of a screen or page; arguments and errors as :meth:`log_event`."""
        name, copied, seconds = check_name(name, "screen name"), copy_attributes(attributes), check_timestamp(timestamp)
        if self._scoped("log_screen", name, copied, timestamp=seconds):
            return
        if self._refusing and (
            self._refuses("screen view") or self._state.keep_event("log_screen", name, copied, seconds or self._time())
        ):
            return
        self._sessions.touch()
        self._kits.log_screen(ScreenView(name, copied, seconds))

    def log_commerce_event(self, event: CommerceEvent) -> None:
        """Log a commerce event.

        Raises:
            InvalidArgumentError: It is no :class:`CommerceEvent`.
            ClosedError: The client is closed.
        """
        if not isinstance(event, CommerceEvent):
            raise InvalidArgumentError(f"event must be a CommerceEvent, not {describe(event)}")
        if self._scoped("log_commerce_event", event):
            return
        if self._refusing and (
            self._refuses("commerce event")
            or self._state.keep_event("log_commerce_event", event, event.timestamp or self._time())
        ):
            return
        self._sessions.touch()
        self._kits.log_commerce_event(event)

    logEvent = log_event  # noqa: N815  # mParticle's clients spell it so; likewise below
    logScreen = log_screen  # noqa: N815
    logPageView = log_screen  # noqa: N815  # the web's name
    logCommerceEvent = log_commerce_event  # noqa: N815
