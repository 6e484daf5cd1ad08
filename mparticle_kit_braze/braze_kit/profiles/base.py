"""What a profile is: the data and small functions by which one platform's kit differs from the others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ...commerce import CommerceEvent
from ...diagnostics import Reporter
from ..commerce import BrazeCall
from ..settings import SettingRules, Settings
from ..text import json_text
from ..values import UnsupportedValueError, plain

if TYPE_CHECKING:  # the adapter is loaded when a client starts
    from ...braze import Braze, BrazeUser

__all__ = ["Profile"]

#: What an event attribute may do to a user attribute: add to a list, remove from it, set it.
ListRule = Literal["add", "remove", "set"]


class Profile(ABC):
    """One platform's mapping. Knows the settings; the kit hands it each call and logs what it returns.

    Attributes:
        name: ``native``, ``web``, ``android`` or ``ios``.
        rules: How the platform reads its configuration.
        skip_unchanged: Which unchanged attributes the adapter does not send again.
        adopts_anonymous: Unsent attributes of the anonymous user go to the first user identified (web SDK).
        keeps_null: Event properties that are ``None`` go as null (Apple), instead of being left out.
        source: The ``source`` of recommended eCommerce events.
        request_identities: Identities are those of the identity request (Apple), not all of the user's.
        rule_order: The order in which event attributes act on user attributes; empty: they do not.
        rules_for_screens: They also act for screen views.
        attribute_rule_for_screens: The rule that admits events by an attribute counts for screen views too.
        drops_ltv_increases: An event whose ``$MethodName`` is ``LogLTVIncrease`` is not sent: the core makes another
            call of it, which the kit leaves empty (Android).
        clears_only_known: An attribute set to ``None`` is cleared only if the client knew it (Apple).
        keys_in_any_case: A removal finds a user attribute spelt in another case (web core).
        utf8_hash: Their hash runs over UTF-8 bytes (Apple), not UTF-16 units.
        one_consent_target: A consent purpose drives one attribute, its last (Android), not all that name it.
        protects_previous_user: An email without a user id never goes to the user before.
        opens_session: A session begins at the start, not with the first event.
        sends_stored_attributes: Attributes known from before the kit's first start are sent once.
        unsubscribe_on_opt_out: Opting out sets ``email_subscribe`` to ``unsubscribed``.
    """

    name: ClassVar[str]
    rules: ClassVar[SettingRules]
    skip_unchanged: ClassVar[Literal["all", "email", "none"]] = "none"
    adopts_anonymous: ClassVar[bool] = True
    keeps_null: ClassVar[bool] = False
    source: ClassVar[str]
    request_identities: ClassVar[bool] = False
    rule_order: ClassVar[tuple[ListRule, ...]] = ()
    rules_for_screens: ClassVar[bool] = False
    attribute_rule_for_screens: ClassVar[bool] = False
    drops_ltv_increases: ClassVar[bool] = False
    clears_only_known: ClassVar[bool] = False
    keys_in_any_case: ClassVar[bool] = False
    utf8_hash: ClassVar[bool] = False
    one_consent_target: ClassVar[bool] = False
    protects_previous_user: ClassVar[bool] = False
    opens_session: ClassVar[bool] = True
    sends_stored_attributes: ClassVar[bool] = False
    unsubscribe_on_opt_out: ClassVar[bool] = False

    def __init__(self, settings: Settings, reporter: Reporter) -> None:
        self.settings = settings
        self.reporter = reporter

    def refused(self, what: str, name: str, reason: str) -> None:
        """Report a value that is left out. Never names the value."""
        self.reporter.report("value_refused", f"{what} {name!r} {reason}; it is left out", key=name)

    def kept(self, what: str, name: str, value: Any, convert: Callable[[Any], Any]) -> Any:
        """The converted value, or ``None`` if it has to be left out, which is reported."""
        try:
            return convert(value)
        except UnsupportedValueError as reason:
            self.refused(what, name, str(reason))
            return None

    # -- events ---------------------------------------------------------------------------------------------------
    @abstractmethod
    def event_name(self, name: str) -> str | None:
        """The Braze name of a custom event; ``None`` drops it."""

    def screen_name(self, name: str) -> str | None:
        """The Braze name of a screen view; ``None`` drops it."""
        return self.event_name(name)

    @abstractmethod
    def properties(self, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
        """The Braze properties of an event's attributes. May be the attributes themselves."""

    def matched(self, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
        """Event attributes as they act on user attributes (:attr:`rule_order`): key to hash -> value."""
        return attributes

    # -- commerce -------------------------------------------------------------------------------------------------
    @abstractmethod
    def commerce(self, event: CommerceEvent) -> Iterator[BrazeCall]:
        """The Braze calls a commerce event becomes, in order."""

    def completed(self, event: CommerceEvent) -> CommerceEvent:
        """The event as the platform's core completes it before any kit sees it."""
        return event

    def text(self, value: Any) -> str:
        """A value as the platform writes it as text.

        Raises:
            UnsupportedValueError: It has no such form.
        """
        return json_text(plain(value)) if not isinstance(value, str) else value

    def metadata(self, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
        """Attributes as they stand in the metadata of recommended eCommerce events."""
        return self.matched(attributes)

    # -- user attributes ------------------------------------------------------------------------------------------
    @abstractmethod
    def set_attribute(self, user: BrazeUser, key: str, value: Any) -> None:
        """A scalar user attribute was set."""

    @abstractmethod
    def set_list(self, user: BrazeUser, key: str, values: Sequence[Any]) -> None:
        """A list attribute was set."""

    def set_tag(self, user: BrazeUser, key: str) -> None:  # noqa: B027  (most platforms send nothing)
        """A tag was set."""

    @abstractmethod
    def increment(self, user: BrazeUser, key: str, by: float, total: float | None) -> None:
        """An attribute was incremented; ``total`` is the new sum, ``None`` if there is none."""

    @abstractmethod
    def remove(self, user: BrazeUser, key: str, *, was_set: bool) -> None:
        """An attribute was removed."""

    def set_from_event(self, braze: Braze, key: str, value: Any) -> None:
        """An event attribute sets a user attribute: by the full rules, unless the platform's kit differs."""
        self.set_attribute(braze.current_user, key, value)
