"""A kit for development and tests: it keeps the calls it gets, logs them, or both."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..commerce import CommerceEvent
from ..consent import ConsentState
from ..errors import ConfigurationError
from ..events import Event, ScreenView
from ..identity import IdentityType, User
from ..values import describe
from .configuration import KitConfiguration
from .kit import IdentityOperation, Kit, KitContext

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["KitCall", "LoggingKit"]


@dataclass(frozen=True, slots=True)
class KitCall:
    """One call that a kit got.

    Attributes:
        name: The callback, such as ``log_event``.
        arguments: Its arguments by name; a user as its MPID.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


class LoggingKit(Kit):
    """Keeps and logs what a kit with the same configuration would get. Sends nothing anywhere.

    Give a Braze kit's configuration to it to see what filters and rules let through. The log lines hold whatever
    the app logs, personal data included: they are for development, and written at DEBUG unless told otherwise.

    Args:
        configuration: Filters and rules, as mParticle serves them; ``None`` to see everything.
        logger: Where a line a call goes; ``None`` for no lines.
        level: The level of the lines.
        keep: The most calls that :attr:`calls` holds; of more, the oldest go. 0 keeps none.
        name: How ``client.kit(name)`` finds it.

    Raises:
        ConfigurationError: The configuration is malformed, or ``keep`` is no whole number from 0 up.
    """

    def __init__(
        self,
        configuration: Mapping[str, Any] | KitConfiguration | None = None,
        *,
        logger: logging.Logger | None = None,
        level: int = logging.DEBUG,
        keep: int = 1000,
        name: str = "Logging",
    ) -> None:
        if configuration is not None and not isinstance(configuration, KitConfiguration):
            configuration = KitConfiguration.from_json(configuration)
        if not is_count(keep):
            raise ConfigurationError(f"keep must be a whole number from 0 up, not {describe(keep)}")
        self.name = name  # type: ignore[misc]  # several of them need names of their own
        self._configuration = configuration
        self._logger = logger
        self._level = level
        self._calls: deque[KitCall] = deque(maxlen=keep)

    @classmethod
    def from_configuration(cls, configuration: Mapping[str, Any] | KitConfiguration) -> Self:
        """A kit with this configuration that keeps its calls."""
        return cls(configuration)

    @property
    def configuration(self) -> KitConfiguration | None:
        """The configuration it was given."""
        return self._configuration

    @property
    def calls(self) -> tuple[KitCall, ...]:
        """The calls kept, oldest first."""
        return tuple(self._calls)

    def calls_of(self, *names: str) -> list[KitCall]:
        """The calls of some callbacks."""
        return [call for call in self._calls if call.name in names]

    def forget_calls(self) -> None:
        """Forget the calls kept."""
        self._calls.clear()

    def _note(self, callback: str, /, **arguments: Any) -> None:
        self._calls.append(KitCall(callback, arguments))
        if self._logger is not None and self._logger.isEnabledFor(self._level):
            text = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
            self._logger.log(self._level, "%s: %s(%s)", self.name, callback, text)

    # -- what it notes ------------------------------------------------------------------------------------------
    def on_start(self, context: KitContext, user: User | None) -> None:
        """The kit started."""
        self._note("on_start", environment=context.environment, user=mpid_of(user))

    def on_configuration_updated(self, configuration: KitConfiguration) -> None:
        """Another configuration."""
        self._note("on_configuration_updated", kit_id=configuration.kit_id)

    def on_stop(self) -> None:
        """The kit stopped."""
        self._note("on_stop")

    def log_event(self, event: Event) -> None:
        """A custom event."""
        self._note(
            "log_event",
            name=event.name,
            event_type=event.event_type,
            attributes=event.attributes,
            timestamp=event.timestamp,
        )

    def log_screen(self, screen: ScreenView) -> None:
        """A screen view."""
        self._note("log_screen", name=screen.name, attributes=screen.attributes, timestamp=screen.timestamp)

    def log_commerce_event(self, event: CommerceEvent) -> None:
        """A commerce event."""
        self._note("log_commerce_event", event=event)

    def on_user_attribute_set(self, user: User | None, key: str, value: Any) -> None:
        """A scalar attribute."""
        self._note("on_user_attribute_set", user=mpid_of(user), key=key, value=value)

    def on_user_attribute_cleared(self, user: User | None, key: str, *, was_set: bool) -> None:
        """A scalar attribute set to ``None``."""
        self._note("on_user_attribute_cleared", user=mpid_of(user), key=key, was_set=was_set)

    def on_user_attribute_list_set(self, user: User | None, key: str, values: Sequence[Any]) -> None:
        """A list attribute."""
        self._note("on_user_attribute_list_set", user=mpid_of(user), key=key, values=values)

    def on_user_tag_set(self, user: User | None, key: str) -> None:
        """A tag."""
        self._note("on_user_tag_set", user=mpid_of(user), key=key)

    def on_user_attribute_incremented(
        self, user: User | None, key: str, by: int | float, total: int | float | None
    ) -> None:
        """An increment."""
        self._note("on_user_attribute_incremented", user=mpid_of(user), key=key, by=by, total=total)

    def on_user_attribute_removed(self, user: User | None, key: str, *, was_set: bool) -> None:
        """A removal."""
        self._note("on_user_attribute_removed", user=mpid_of(user), key=key, was_set=was_set)

    def on_identity_completed(
        self, operation: IdentityOperation, user: User, identities: Mapping[IdentityType, str | None]
    ) -> None:
        """An identity call."""
        named = {kind.value: value for kind, value in identities.items()}
        self._note("on_identity_completed", operation=operation, user=user.mpid, identities=named)

    def on_consent_changed(self, user: User, old: ConsentState, new: ConsentState) -> None:
        """Changed consent."""
        self._note("on_consent_changed", user=user.mpid, old=old, new=new)

    def on_opt_out(self, opted_out: bool) -> None:
        """An opt-out, or its end."""
        self._note("on_opt_out", opted_out=opted_out)

    def on_session_start(self) -> None:
        """The client's session began."""
        self._note("on_session_start")

    def on_session_end(self) -> None:
        """The client's session ended."""
        self._note("on_session_end")

    def on_application_background(self) -> None:
        """The app went to the background."""
        self._note("on_application_background")

    def on_application_foreground(self) -> None:
        """The app came to the foreground."""
        self._note("on_application_foreground")

    def on_push_token(self, token: str) -> bool:
        """A push token; it is not taken, so that other kits' answers count."""
        self._note("on_push_token", token=token)
        return False


def is_count(value: object) -> bool:
    """Whether it is a whole number from 0 up."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def mpid_of(user: User | None) -> int | None:
    """The user's MPID, if there is a user."""
    return None if user is None else user.mpid
