"""The configuration of a kit: one model for mParticle's mobile form (an ``eks`` entry) and its web form.

Owns the model, its two JSON forms and their errors, which name the key. What a configuration *does* is compiled
in ``filters``, decided in ``rules`` and mapped in ``projections``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ..events import EventType
from ..identity import IdentityType
from .hashing import mp_hash
from .reading import Reader

if TYPE_CHECKING:
    from .projections import Projection

__all__ = ["AttributeRule", "ConsentRule", "Filters", "Form", "KitConfiguration"]

Form = Literal["mobile", "web"]

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


@dataclass(frozen=True, slots=True)
class ConsentRule:
    """Forward by consent: ``crvf`` and ``filteringConsentRuleValues``.

    Attributes:
        include: Forward if any consent matches (true) or unless one does (false).
        consents: The answers that match, by the hash of the purpose.
    """

    include: bool
    consents: Mapping[int, bool]


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
        """
        return cls(
            event_types=frozenset(mp_hash(str(int(kind))) for kind in event_types),
            event_names=frozenset(mp_hash(f"{int(kind)}{name}") for kind, name in events),
            event_attributes=frozenset(mp_hash(f"{int(kind)}{name}{key}") for kind, name, key in event_attributes),
            screen_names=frozenset(mp_hash(f"0{name}") for name in screens),
            screen_attributes=frozenset(mp_hash(f"0{name}{key}") for name, key in screen_attributes),
            user_attributes=frozenset(mp_hash(key) for key in user_attributes),
            user_identities=frozenset(kind.number for kind in identities),
        )


HASH_FILTERS = {
    "et": "event_types",
    "ec": "event_names",
    "ea": "event_attributes",
    "svec": "screen_names",
    "svea": "screen_attributes",
    "ua": "user_attributes",
    "uid": "user_identities",
    "cea": "commerce_attributes",
    "ent": "commerce_entities",
    "reg": "consent_regulations",
    "pur": "consent_purposes",
}
"""Keys of ``hs`` in the mobile form."""

WEB_FILTERS = {
    "eventTypeFilters": "event_types",
    "eventNameFilters": "event_names",
    "attributeFilters": "event_attributes",
    "screenNameFilters": "screen_names",
    "screenAttributeFilters": "screen_attributes",
    "userAttributeFilters": "user_attributes",
    "userIdentityFilters": "user_identities",
}
"""Lists in the web form."""

USER_ACTIONS = {"eaa": "event_attribute_add", "ear": "event_attribute_remove", "eas": "event_attribute_set"}
MOBILE_KEYS = frozenset({"id", "as", "hs", "bk", "avf", "crvf", "eau", "pr"})
WEB_RULES = ("filteringEventAttributeValue", "filteringUserAttributeValue", "filteringConsentRuleValues")
WEB_KEYS = frozenset(
    {"moduleId", "name", "suffix", "settings", "isDebug", "isSandbox", "excludeAnonymousUser", *WEB_FILTERS, *WEB_RULES}
)


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
        reader = Reader.root(configuration)
        if form is None:
            form = "web" if WEB_KEYS & reader.names() and not MOBILE_KEYS & reader.names() else "mobile"
        elif form not in ("mobile", "web"):
            raise reader.error("form must be 'mobile', 'web' or None")
        return read_mobile(reader) if form == "mobile" else read_web(reader)

    def to_json(self) -> dict[str, Any]:
        """The JSON object in the form it came in; reading it gives an equal configuration."""
        return write_mobile(self) if self.form == "mobile" else write_web(self)


# -- the mobile form ------------------------------------------------------------------------------------------------


def read_mobile(reader: Reader) -> KitConfiguration:
    """An entry of ``eks``. Defaults and tolerances as the Android SDK."""
    hidden: dict[str, Any] = {}
    actions: dict[str, Any] = {}
    hashes = reader.object("hs")
    if hashes is not None:
        for key, name in HASH_FILTERS.items():
            hidden[name] = hashes.hidden_hashes(key)
        entities = hashes.object("afa")
        if entities is not None:
            hidden["product_attributes"] = entities.hidden_hashes("1")
            hidden["promotion_attributes"] = entities.hidden_hashes("2")
        hidden["message_types"] = hashes.hidden_words("mt")
        actions = {name: hashes.texts_by_hash(key) for key, name in USER_ACTIONS.items()}
    bracket = reader.object("bk")
    low, high = EVERYONE if bracket is None else (bracket.integer("lo", 0), bracket.integer("hi", EVERYONE[1]))
    return KitConfiguration(
        kit_id=reader.integer("id", 0),
        settings=reader.texts("as"),
        filters=Filters(**hidden),
        attribute_rule=mobile_attribute_rule(reader),
        consent_rule=mobile_consent_rule(reader),
        bracket=(low, high),
        exclude_anonymous=reader.boolean("eau", default=False),
        projections=read_projections(reader.objects("pr")),
        other=reader.rest(MOBILE_KEYS),
        ignored=tuple(reader.ignored),
        **actions,
    )


def read_projections(entries: Sequence[Reader]) -> tuple[Projection, ...]:
    """``pr``. Few configurations have any, so their code is loaded for those only."""
    if not entries:
        return ()
    from .projections import Projection  # noqa: PLC0415  # as said

    return tuple(Projection.read(entry) for entry in entries)


def mobile_attribute_rule(reader: Reader) -> AttributeRule | None:
    """``avf``. A missing or mistyped part turns the rule off, as on Android; that is noted."""
    rule = reader.object("avf")
    if rule is None:
        return None
    include, name, value = rule.get("i"), rule.get("a"), rule.get("v")
    if isinstance(include, bool) and is_integer(name) and is_integer(value):
        return AttributeRule(name, value, include)
    if rule.names():
        rule.ignore("i, a and v must be a boolean and two integers; the rule is off")
    return None


def mobile_consent_rule(reader: Reader) -> ConsentRule | None:
    """``crvf``. Of one hash listed twice the last wins."""
    rule = reader.object("crvf")
    if rule is None or not rule.names():
        return None
    consents = {entry.integer("h"): entry.boolean("c") for entry in rule.objects("v")}
    return ConsentRule(rule.boolean("i"), consents) if consents else None


def write_mobile(configuration: KitConfiguration) -> dict[str, Any]:
    """The ``eks`` entry of a configuration."""
    filters = configuration.filters
    hashes: dict[str, Any] = {key: zeros(getattr(filters, name)) for key, name in HASH_FILTERS.items()}
    hashes["afa"] = {
        key: listed
        for key, listed in (("1", zeros(filters.product_attributes)), ("2", zeros(filters.promotion_attributes)))
        if listed
    }
    hashes["mt"] = zeros(filters.message_types)
    for key, name in USER_ACTIONS.items():
        hashes[key] = {str(number): text for number, text in getattr(configuration, name).items()}
    entry: dict[str, Any] = {"id": configuration.kit_id, "as": dict(configuration.settings)}
    entry["hs"] = {key: listed for key, listed in hashes.items() if listed}
    if configuration.bracket != EVERYONE:
        entry["bk"] = {"lo": configuration.bracket[0], "hi": configuration.bracket[1]}
    if (rule := configuration.attribute_rule) is not None:
        entry["avf"] = {"i": rule.include, "a": rule.name_hash, "v": rule.value_hash}
    if (consent := configuration.consent_rule) is not None:
        listed = [{"h": number, "c": answer} for number, answer in consent.consents.items()]
        entry["crvf"] = {"i": consent.include, "v": listed}
    entry["eau"] = configuration.exclude_anonymous
    entry["pr"] = [projection.to_json() for projection in configuration.projections]
    return {**entry, **configuration.other}


# -- the web form ---------------------------------------------------------------------------------------------------


def read_web(reader: Reader) -> KitConfiguration:
    """An entry of ``kitConfigs``: arrays of hidden numbers, rules with hashes as texts."""
    name, suffix = reader.text("name"), reader.text("suffix")
    hidden: dict[str, Any] = {attribute: reader.integers(key) for key, attribute in WEB_FILTERS.items()}
    consent = reader.object("filteringConsentRuleValues")
    consents = {
        entry.integer("consentPurpose"): entry.boolean("hasConsented")
        for entry in (consent.objects("values") if consent is not None else ())
    }
    return KitConfiguration(
        form="web",
        kit_id=reader.integer("moduleId", 0),
        name=f"{name}-{suffix}" if name and suffix else name,
        settings=reader.texts("settings"),
        filters=Filters(**hidden),
        attribute_rule=web_rule(reader, "filteringEventAttributeValue", "eventAttributeName", "eventAttributeValue"),
        user_attribute_rule=web_rule(reader, "filteringUserAttributeValue", "userAttributeName", "userAttributeValue"),
        consent_rule=ConsentRule(consent.boolean("includeOnMatch"), consents) if consent and consents else None,
        exclude_anonymous=reader.boolean("excludeAnonymousUser", default=False),
        is_debug=reader.optional_boolean("isDebug"),
        is_sandbox=reader.optional_boolean("isSandbox"),
        other=reader.rest(WEB_KEYS),
        ignored=tuple(reader.ignored),
    )


def web_rule(reader: Reader, key: str, name: str, value: str) -> AttributeRule | None:
    """A rule by one attribute; an empty object is no rule."""
    rule = reader.object(key)
    if rule is None or not rule.names():
        return None
    return AttributeRule(rule.integer(name), rule.integer(value), rule.boolean("includeOnMatch"))


def write_web(configuration: KitConfiguration) -> dict[str, Any]:
    """The ``kitConfigs`` entry of a configuration."""
    entry: dict[str, Any] = {"moduleId": configuration.kit_id, "settings": dict(configuration.settings)}
    if configuration.name is not None:
        entry["name"] = configuration.name
    flags = {"isDebug": configuration.is_debug, "isSandbox": configuration.is_sandbox}
    entry.update({key: flag for key, flag in flags.items() if flag is not None})
    for key, name in WEB_FILTERS.items():
        entry[key] = sorted(getattr(configuration.filters, name))
    for key, attribute, rule in (
        ("filteringEventAttributeValue", "eventAttribute", configuration.attribute_rule),
        ("filteringUserAttributeValue", "userAttribute", configuration.user_attribute_rule),
    ):
        entry[key] = (
            {}
            if rule is None
            else {
                f"{attribute}Name": str(rule.name_hash),
                f"{attribute}Value": str(rule.value_hash),
                "includeOnMatch": rule.include,
            }
        )
    consent = configuration.consent_rule
    entry["filteringConsentRuleValues"] = (
        {}
        if consent is None
        else {
            "includeOnMatch": consent.include,
            "values": [
                {"consentPurpose": str(number), "hasConsented": answer} for number, answer in consent.consents.items()
            ],
        }
    )
    entry["excludeAnonymousUser"] = configuration.exclude_anonymous
    return {**entry, **configuration.other}


def is_integer(value: object) -> bool:
    """Whether a JSON value is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def zeros(hidden: frozenset[Any]) -> dict[str, int]:
    """A filter of the mobile form: every hidden hash or word with 0."""
    return {str(number): 0 for number in sorted(hidden)}
