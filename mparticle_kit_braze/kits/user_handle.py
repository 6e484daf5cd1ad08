"""Handles for many users at once: the client's methods for one user, without a current user anywhere.

A :class:`UserHandle` is light: make one for each request of a web backend, or keep one; it holds no thread and no file.
It checks and copies arguments; what becomes of a call is each kit's :class:`KitUser`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol

from typing_extensions import Self

from ..commerce import CommerceEvent
from ..diagnostics import Reporter
from ..errors import InvalidArgumentError
from ..events import Event, EventType, ScreenView
from ..identity import IdentityRequest, IdentityType
from ..values import check_name, check_number, check_timestamp, copy_attributes, copy_value, describe

__all__ = ["KitUser", "UserHandle"]


class KitUser(Protocol):
    """One user as a kit serves it. Every call may come from any thread; what it is handed belongs to it."""

    def log_event(self, event: Event, session_id: str | None) -> None:
        """A custom event."""

    def log_screen(self, screen: ScreenView, session_id: str | None) -> None:
        """A screen view."""

    def log_commerce_event(self, event: CommerceEvent) -> None:
        """A commerce event."""

    def log_session(self, *, start: bool, session_id: str | None, timestamp: float | None) -> None:
        """The start or end of a session."""

    def set_attribute(self, key: str, value: Any) -> None:
        """A scalar or list attribute; ``None`` removes it."""

    def set_tag(self, key: str) -> None:
        """A tag."""

    def increment(self, key: str, by: int | float) -> None:
        """An increment."""

    def identify(self, identities: Mapping[IdentityType, str | None]) -> None:
        """Identities to add or change; ``None`` removes one."""

    def set_opt_out(self, opted_out: bool) -> None:
        """An opt-out, or its end."""

    def set_push_token(self, token: str) -> None:
        """A push token."""

    def end(self) -> None:
        """The user's batch ends."""


class UserHandle:
    """The client's methods for one user. Thread-safe; a context manager that ends the user's batch.

    Made by ``client.for_user(...)``. Nothing here waits for the network.

    Args:
        users: The user at each kit that serves many users, by the kit's name.
        reporter: Where failing kits are reported.
        check_open: Raises :class:`~mparticle_kit_braze.ClosedError` when the client is closed.
    """

    __slots__ = ("_check_open", "_reporter", "_users")

    def __init__(
        self, users: Sequence[tuple[str, KitUser]], reporter: Reporter, check_open: Callable[[], object]
    ) -> None:
        self._users = tuple(users)
        self._reporter = reporter
        self._check_open = check_open

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()

    def _each(self, call: Callable[[KitUser], object]) -> None:
        """Make a call on every kit's user; one that raises does not keep the others from it."""
        self._check_open()
        for name, user in self._users:
            self._guard(name, user, call)

    def _guard(self, name: str, user: KitUser, call: Callable[[KitUser], object]) -> None:
        try:
            call(user)
        except Exception as error:  # noqa: BLE001  # a kit is foreign code; the others must get the call
            message = f"kit {name} raised {type(error).__name__} for one of many users"
            self._reporter.report("kit_failed", message, key=name, exception=error)

    # -- events -------------------------------------------------------------------------------------------------
    def log_event(
        self,
        name: str,
        event_type: EventType | int = EventType.OTHER,
        attributes: Mapping[str, Any] | None = None,
        *,
        timestamp: float | None = None,
        session_id: str | None = None,
    ) -> None:
        """Log a custom event.

        Args:
            name: Its name, not empty.
            event_type: An :class:`EventType` or its number; only filters look at it.
            attributes: Attributes by name; copied.
            timestamp: Seconds since the epoch or a date-time; ``None`` for now.
            session_id: The session it belongs to; sent when sessions are forwarded.

        Raises:
            InvalidArgumentError: An argument is of the wrong type, or the name empty.
        """
        event = Event(
            check_name(name, "event name"),
            EventType.of(event_type),
            copy_attributes(attributes),
            check_timestamp(timestamp),
        )
        self._each(lambda user: user.log_event(event.with_attributes(copy_value(event.attributes)), session_id))

    def log_screen(
        self,
        name: str,
        attributes: Mapping[str, Any] | None = None,
        *,
        timestamp: float | None = None,
        session_id: str | None = None,
    ) -> None:
        """Log a view of a screen or page; arguments and errors as :meth:`log_event`."""
        screen = ScreenView(check_name(name, "screen name"), copy_attributes(attributes), check_timestamp(timestamp))
        self._each(lambda user: user.log_screen(screen.with_attributes(copy_value(screen.attributes)), session_id))

    def log_commerce_event(self, event: CommerceEvent) -> None:
        """Log a commerce event.

        Raises:
            InvalidArgumentError: It is no :class:`CommerceEvent`.
        """
        if not isinstance(event, CommerceEvent):
            raise InvalidArgumentError(f"event must be a CommerceEvent, not {describe(event)}")
        self._each(lambda user: user.log_commerce_event(event))

    def start_session(self, session_id: str | None = None, *, timestamp: float | None = None) -> None:
        """A session of this user began; sent when sessions are forwarded."""
        moment = check_timestamp(timestamp)
        self._each(lambda user: user.log_session(start=True, session_id=session_id, timestamp=moment))

    def end_session(self, session_id: str | None = None, *, timestamp: float | None = None) -> None:
        """A session of this user ended; sent when sessions are forwarded."""
        moment = check_timestamp(timestamp)
        self._each(lambda user: user.log_session(start=False, session_id=session_id, timestamp=moment))

    # -- user attributes ----------------------------------------------------------------------------------------
    def set_user_attribute(self, key: str, value: Any) -> None:
        """Set an attribute: a scalar, a list or tuple; ``None`` removes it.

        Raises:
            InvalidArgumentError: The key is no text or empty.
        """
        key = check_name(key, "user attribute key")
        copied = copy_value(value)
        self._each(lambda user: user.set_attribute(key, copy_value(copied)))

    def set_user_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Set several attributes; nothing is set if one key is wrong."""
        copied = copy_attributes(attributes, "user attributes")
        for key in copied:
            check_name(key, "user attribute key")
        for key, value in copied.items():
            self.set_user_attribute(key, value)

    def set_user_attribute_list(self, key: str, values: Sequence[Any]) -> None:
        """Set a list attribute.

        Raises:
            InvalidArgumentError: The key is no text or empty, or ``values`` neither a list nor a tuple.
        """
        if not isinstance(values, (list, tuple)):
            raise InvalidArgumentError(f"a list attribute must be a list or tuple, not {describe(values)}")
        self.set_user_attribute(key, list(values))

    def set_user_tag(self, tag: str) -> None:
        """Set a tag, an attribute without a value."""
        tag = check_name(tag, "user tag")
        self._each(lambda user: user.set_tag(tag))

    def remove_user_attribute(self, key: str) -> None:
        """Remove an attribute, list or tag."""
        self.set_user_attribute(key, None)

    def increment_user_attribute(self, key: str, by: int | float = 1) -> None:
        """Add to an attribute. Braze adds whole numbers itself; a fraction needs a value set through this handle."""
        key, amount = check_name(key, "user attribute key"), check_number(by, "increment")
        self._each(lambda user: user.increment(key, amount))

    # -- identity, opt-out, push --------------------------------------------------------------------------------
    def modify(self, **identities: str | None) -> None:
        """Add or change identities by snake_case name; ``None`` removes one.

        Raises:
            InvalidArgumentError: An identity type is unknown, or a value is neither text nor ``None``.
        """
        checked = IdentityRequest(identities).identities
        self._each(lambda user: user.identify(checked))

    def set_opt_out(self, opted_out: bool) -> None:
        """The user opted out of marketing, or in again; sent as the email subscription."""
        if not isinstance(opted_out, bool):
            raise InvalidArgumentError(f"opted_out must be a bool, not {describe(opted_out)}")
        self._each(lambda user: user.set_opt_out(opted_out))

    def set_push_token(self, token: str) -> None:
        """The user's push token for the app of the connection; the latest counts."""
        token = check_name(token, "push token")
        self._each(lambda user: user.set_push_token(token))

    def end(self) -> None:
        """End the user's batch: what waits for an event of the batch goes or is let go. The handle stays usable."""
        self._each(lambda user: user.end())

    # -- mParticle's own spelling -------------------------------------------------------------------------------
    logEvent = log_event  # noqa: N815 - mParticle's clients spell it so; likewise below
    logScreen = log_screen  # noqa: N815
    logCommerceEvent = log_commerce_event  # noqa: N815
    setUserAttribute = set_user_attribute  # noqa: N815
    setUserAttributes = set_user_attributes  # noqa: N815
    setUserAttributeList = set_user_attribute_list  # noqa: N815
    setUserTag = set_user_tag  # noqa: N815
    removeUserAttribute = remove_user_attribute  # noqa: N815
    incrementUserAttribute = increment_user_attribute  # noqa: N815
    setOptOut = set_opt_out  # noqa: N815
    setPushToken = set_push_token  # noqa: N815
