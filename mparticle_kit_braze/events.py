"""Custom events and screen views, as the facade hands them to kits."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, ClassVar

from .errors import InvalidArgumentError
from .values import describe

__all__ = ["Event", "EventType", "ScreenView", "owned_event"]


class EventType(enum.IntEnum):
    """The type of a custom event; the numbers are mParticle's and go into filter hashes.

    Source: kit framework, event types (Android, iOS and web cores agree on 1 to 9).
    """

    UNKNOWN = 0
    NAVIGATION = 1
    LOCATION = 2
    SEARCH = 3
    TRANSACTION = 4
    USER_CONTENT = 5
    USER_PREFERENCE = 6
    SOCIAL = 7
    OTHER = 8
    MEDIA = 9

    @classmethod
    def of(cls, value: object) -> EventType:
        """The type from itself or its number.

        Raises:
            InvalidArgumentError: It is neither.
        """
        if isinstance(value, int) and not isinstance(value, bool) and value in EVENT_TYPES:
            return EVENT_TYPES[value]
        accepted = ", ".join(f"{member.name} ({member.value})" for member in cls)
        raise InvalidArgumentError(f"event_type must be an EventType or its number, not {describe(value)}: {accepted}")


EVENT_TYPES = {int(member): member for member in EventType}


class Event:
    """A custom event: a name, a type, attributes and the time it happened.

    A plain slotted class because one is made on every ``log_event``. Kits must treat it as immutable; a
    kit that filters makes a copy with :meth:`with_attributes`.

    Attributes:
        name: The event's name, not empty.
        event_type: Its :class:`EventType`.
        attributes: The attributes, a dict of its own (never the caller's).
        timestamp: Seconds since the epoch, UTC, or ``None`` for "now".
    """

    __slots__ = ("attributes", "event_type", "name", "timestamp")

    name: str
    event_type: EventType
    attributes: dict[str, Any]
    timestamp: float | None

    def __init__(
        self,
        name: str,
        event_type: EventType = EventType.OTHER,
        attributes: Mapping[str, Any] | None = None,
        timestamp: float | None = None,
    ) -> None:
        self.name = name
        self.event_type = event_type
        self.attributes = dict(attributes) if attributes else {}
        self.timestamp = timestamp

    def with_attributes(self, attributes: Mapping[str, Any]) -> Event:
        """The same event with other attributes."""
        return Event(self.name, self.event_type, attributes, self.timestamp)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Event):
            return NotImplemented
        return (self.name, self.event_type, self.attributes, self.timestamp) == (
            other.name,
            other.event_type,
            other.attributes,
            other.timestamp,
        )

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # it holds a dict

    def __repr__(self) -> str:
        return f"Event({self.name!r}, {self.event_type.name}, {len(self.attributes)} attributes)"


def owned_event(name: str, event_type: EventType, attributes: dict[str, Any], timestamp: float | None) -> Event:
    """An event that takes over the dict it is given; the quick way for who has just copied it."""
    event: Event = _new_object(Event)
    event.name = name
    event.event_type = event_type
    event.attributes = attributes
    event.timestamp = timestamp
    return event


_new_object = object.__new__


class ScreenView:
    """A view of a screen or page: a name, attributes and the time. Immutable by agreement, as :class:`Event`."""

    __slots__ = ("attributes", "name", "timestamp")

    name: str
    attributes: dict[str, Any]
    timestamp: float | None

    def __init__(self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: float | None = None) -> None:
        self.name = name
        self.attributes = dict(attributes) if attributes else {}
        self.timestamp = timestamp

    def with_attributes(self, attributes: Mapping[str, Any]) -> ScreenView:
        """The same view with other attributes."""
        return ScreenView(self.name, attributes, self.timestamp)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ScreenView):
            return NotImplemented
        return (self.name, self.attributes, self.timestamp) == (other.name, other.attributes, other.timestamp)

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # it holds a dict

    def __repr__(self) -> str:
        return f"ScreenView({self.name!r}, {len(self.attributes)} attributes)"
