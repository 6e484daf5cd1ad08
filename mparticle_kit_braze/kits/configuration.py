"""The configuration of a kit: one model for mParticle's mobile form (an ``eks`` entry) and its web form.

The forms are read and written in ``forms``. What a configuration *does* is compiled in ``filters``, decided in
``rules`` and mapped in ``projections``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ..commerce import COMMERCE_TYPES, IMPRESSION_TYPE, ProductAction, PromotionAction
from ..consent import CCPA_PURPOSE
from ..events import EventType
from ..identity import IdentityType
from .hashing import mp_hash, value_hash
from .reading import Reader

if TYPE_CHECKING:
    from typing_extensions import Self

    from .projections import Projection

__all__ = ["AttributeRule", "ConsentRule", "Filters", "Form", "KitConfiguration"]

Form = Literal["mobile", "web"]

CommerceAction = ProductAction | PromotionAction | None
"""What a commerce event is about; ``None`` for impressions."""

EVERYONE = (0, 101)
"""The bracket when none is given. Source: Android ``KitConfiguration.parseConfiguration``."""


@dataclass(frozen=True, slots=True)
class AttributeRule:
    """Forward by one attribute: ``avf``, ``filteringEventAttributeValue`` and ``filteringUserAttributeValue``.

    Attributes:
        name_hash: The hash of the attribute's name.
        value_hash: The hash of its value as text.
        include: Forward if the value matches (true) or unless it does (false).
    """

    name_hash: int
    value_hash: int
    include: bool

    @classmethod
    def matching(cls, name: str, value: Any, *, include: bool = True) -> Self:
        """The rule about an attribute by its name and value; case does not count."""
        return cls(mp_hash(name), value_hash(value, web=False), include)


@dataclass(frozen=True, slots=True)
class ConsentRule:
    """Forward by consent: ``crvf`` and ``filteringConsentRuleValues``.

    Attributes:
        include: Forward if any consent matches (true) or unless one does (false).
        consents: The answers that match, by the hash of the purpose.
    """

    include: bool
    consents: Mapping[int, bool]

    @classmethod
    def matching(
        cls, gdpr: Mapping[str, bool] | None = None, *, data_sale_opt_out: bool | None = None, include: bool = True
    ) -> Self:
        """The rule about answers by purpose: what was consented to, and whether the sale of data was opted out of."""
        consents = {mp_hash(f"1{purpose.strip()}"): answer for purpose, answer in (gdpr or {}).items()}
        if data_sale_opt_out is not None:
            consents[mp_hash(f"2{CCPA_PURPOSE}")] = data_sale_opt_out
        return cls(include, consents)


@dataclass(frozen=True, slots=True)
class Filters:
    """What a kit must not see: hashes, except where a number or word is said. Nothing listed is nothing hidden."""

    event_types: frozenset[int] = frozenset()
    event_names: frozenset[int] = frozenset()
    event_attributes: frozenset[int] = frozenset()
    screen_names: frozenset[int] = frozenset()
    screen_attributes: frozenset[int] = frozenset()
    user_attributes: frozenset[int] = frozenset()
    user_identities: frozenset[int] = frozenset()
    """Identity type numbers."""
    commerce_attributes: frozenset[int] = frozenset()
    commerce_entities: frozenset[int] = frozenset()
    """1 products, 2 promotions, 3 impressions."""
    product_attributes: frozenset[int] = frozenset()
    promotion_attributes: frozenset[int] = frozenset()
    impression_attributes: frozenset[int] = frozenset()
    """Of the products in impressions (Apple SDK)."""
    message_types: frozenset[str] = frozenset()
    """``e`` custom events, ``v`` screens, ``cm`` commerce events (Apple SDK)."""
    consent_regulations: frozenset[int] = frozenset()
    consent_purposes: frozenset[int] = frozenset()

    @classmethod
    def hiding(
        cls,
        *,
        event_types: Iterable[EventType] = (),
        events: Iterable[tuple[EventType, str]] = (),
        event_attributes: Iterable[tuple[EventType, str, str]] = (),
        screens: Iterable[str] = (),
        screen_attributes: Iterable[tuple[str, str]] = (),
        user_attributes: Iterable[str] = (),
        identities: Iterable[IdentityType] = (),
        commerce_actions: Iterable[CommerceAction] = (),
        commerce_attributes: Iterable[tuple[CommerceAction, str]] = (),
        product_attributes: Iterable[str] = (),
        promotion_attributes: Iterable[str] = (),
        impression_attributes: Iterable[str] = (),
    ) -> Filters:
        """Filters by name, for kits that are configured in code.

        Args:
            event_types: Types of custom events.
            events: Custom events by type and name.
            event_attributes: Attributes by event type, event name and key.
            screens: Screens by name.
            screen_attributes: Attributes by screen name and key.
            user_attributes: User attributes by key.
            identities: Identity types.
            commerce_actions: Commerce events by action; ``None`` is an impression.
            commerce_attributes: Attributes of commerce events by action and key, or a label such as ``Affiliation``.
            product_attributes: Attributes of products by key, or a label: ``Brand``, ``Category``, ``Variant``,
                ``Position``, ``Coupon Code``.
            promotion_attributes: Fields of promotions: ``Id``, ``Name``, ``Creative``, ``Position``.
            impression_attributes: Attributes of products in impressions, as ``product_attributes``.
        """
        types = [*(int(kind) for kind in event_types), *map(commerce_number, commerce_actions)]
        return cls(
            event_types=frozenset(mp_hash(str(number)) for number in types),
            event_names=frozenset(mp_hash(f"{int(kind)}{name}") for kind, name in events),
            event_attributes=frozenset(mp_hash(f"{int(kind)}{name}{key}") for kind, name, key in event_attributes),
            screen_names=frozenset(mp_hash(f"0{name}") for name in screens),
            screen_attributes=frozenset(mp_hash(f"0{name}{key}") for name, key in screen_attributes),
            user_attributes=frozenset(mp_hash(key) for key in user_attributes),
            user_identities=frozenset(kind.number for kind in identities),
            commerce_attributes=frozenset(
                mp_hash(f"{commerce_number(action)}{key}") for action, key in commerce_attributes
            ),
            product_attributes=frozenset(map(mp_hash, product_attributes)),
            promotion_attributes=frozenset(map(mp_hash, promotion_attributes)),
            impression_attributes=frozenset(map(mp_hash, impression_attributes)),
        )


def commerce_number(action: CommerceAction) -> int:
    """The number that filters know a commerce action by."""
    return IMPRESSION_TYPE if action is None else COMMERCE_TYPES[action]


@dataclass(frozen=True, slots=True)
class KitConfiguration:
    """Settings, filters and forwarding rules of one kit. The default filters nothing and admits everyone.

    Attributes:
        form: The JSON form it came in; a few rules follow the platform of the form.
        kit_id: mParticle's module id; 0 if none was given.
        name: The kit's name in the web form.
        settings: The dashboard's settings, texts by name.
        filters: What the kit must not see.
        attribute_rule: Which events it gets, by an attribute.
        user_attribute_rule: Whether it runs, by a user attribute (web).
        consent_rule: Whether it runs, by consent.
        bracket: It runs for users whose bucket (0 to 99) is at least the first and under the second number.
        exclude_anonymous: It runs only for users who are logged in.
        projections: Custom mappings of events.
        event_attribute_add: Event attribute hash -> user attribute to add its value to.
        event_attribute_remove: The same to remove from.
        event_attribute_set: The same to set.
        is_debug: In the web form, the environment the entry is for; ``None`` for both.
        is_sandbox: Likewise.
        other: Keys this package does not use, kept for :meth:`to_json`.
        ignored: What was tolerated as the platforms do but has no effect, each naming its key.
    """

    form: Form = "mobile"
    kit_id: int = 0
    name: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    filters: Filters = field(default_factory=Filters)
    attribute_rule: AttributeRule | None = None
    user_attribute_rule: AttributeRule | None = None
    consent_rule: ConsentRule | None = None
    bracket: tuple[int, int] = EVERYONE
    exclude_anonymous: bool = False
    projections: tuple[Projection, ...] = ()
    event_attribute_add: Mapping[int, str] = field(default_factory=dict)
    event_attribute_remove: Mapping[int, str] = field(default_factory=dict)
    event_attribute_set: Mapping[int, str] = field(default_factory=dict)
    is_debug: bool | None = None
    is_sandbox: bool | None = None
    other: Mapping[str, Any] = field(default_factory=dict)
    ignored: tuple[str, ...] = field(default=(), compare=False)

    @property
    def honor_opt_out(self) -> bool:
        """Whether the kit stops for users who opted out: unless ``honorOptOut`` is something else than true."""
        return self.settings.get("honorOptOut", "true").lower() == "true"

    @property
    def priority(self) -> float:
        """The web form's ``PriorityValue``: kits with a higher one come first; 0 if absent or no number."""
        try:
            value = float(self.settings.get("PriorityValue", "0"))
        except ValueError:
            return 0.0
        return value if value == value else 0.0  # noqa: PLR0124  # NaN would make the order meaningless

    def applies_to(self, environment: str) -> bool:
        """Whether a web entry is meant for ``"production"`` or ``"development"``; true for the mobile form."""
        if self.is_debug is None and self.is_sandbox is None:
            return True
        development = environment == "development"
        return development in (self.is_debug, self.is_sandbox)

    @classmethod
    def from_json(cls, configuration: Mapping[str, Any] | str | bytes, form: Form | None = None) -> KitConfiguration:
        """Read a kit's configuration as mParticle serves it.

        Args:
            configuration: The JSON object, or its text.
            form: ``"mobile"`` or ``"web"``; ``None`` to tell by the keys.

        Raises:
            ConfigurationError: It is malformed; the message names the key.
        """
        from .forms import read_configuration  # noqa: PLC0415  # the forms make configurations

        return read_configuration(Reader.root(configuration), form)

    def to_json(self) -> dict[str, Any]:
        """The JSON object in the form it came in; reading it gives an equal configuration."""
        from .forms import write_configuration  # noqa: PLC0415  # as above

        return write_configuration(self)
