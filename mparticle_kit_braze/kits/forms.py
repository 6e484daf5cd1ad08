"""The two JSON forms of a kit's configuration, read with errors that name the key, and written back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any

from .configuration import EVERYONE, AttributeRule, ConsentRule, Filters, Form, KitConfiguration
from .reading import Reader

if TYPE_CHECKING:
    from .projections import Projection

__all__ = ["read_configuration", "write_configuration"]

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

ENTITY_FILTERS = {"1": "product_attributes", "2": "promotion_attributes", "3": "impression_attributes"}
"""Keys of its ``afa``."""

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
COMMON_KEYS = frozenset({"id", "moduleId", "as", "settings"})
"""The number and the settings, which either form may give under the other's name."""

MOBILE_RULES = frozenset({"hs", "bk", "avf", "crvf", "eau", "pr"})
WEB_RULES = frozenset(
    {"filteringEventAttributeValue", "filteringUserAttributeValue", "filteringConsentRuleValues"}
    | {"excludeAnonymousUser", *WEB_FILTERS}
)
MOBILE_KEYS = MOBILE_RULES | COMMON_KEYS
WEB_KEYS = WEB_RULES | COMMON_KEYS | {"name", "suffix", "isDebug", "isSandbox"}


def read_configuration(reader: Reader, form: Form | None) -> KitConfiguration:
    """A configuration in that form; ``None`` to tell the form by the keys."""
    if form is None:
        form = form_of(reader.names())
    elif form not in ("mobile", "web"):
        raise reader.error("form must be 'mobile', 'web' or None")
    for key in sorted(reader.names() & (WEB_RULES if form == "mobile" else MOBILE_RULES)):
        reader.ignore(f"has no effect in the {form} form", key)
    return read_mobile(reader) if form == "mobile" else read_web(reader)


def form_of(names: AbstractSet[str]) -> Form:
    """The form that an entry's keys tell: its filters and rules first, then all else."""
    for mobile, web in ((MOBILE_RULES, WEB_RULES), ({"id", "as"}, WEB_KEYS)):
        if names & mobile:
            return "mobile"
        if names & web:
            return "web"
    return "mobile"


def write_configuration(configuration: KitConfiguration) -> dict[str, Any]:
    """The JSON object in the form the configuration came in."""
    return write_mobile(configuration) if configuration.form == "mobile" else write_web(configuration)


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
            for key, name in ENTITY_FILTERS.items():
                hidden[name] = entities.hidden_hashes(key)
        hidden["message_types"] = hashes.hidden_words("mt")
        actions = {name: hashes.texts_by_hash(key) for key, name in USER_ACTIONS.items()}
    bracket = reader.object("bk")
    low, high = EVERYONE if bracket is None else (bracket.integer("lo", 0), bracket.integer("hi", EVERYONE[1]))
    return KitConfiguration(
        kit_id=reader.integer("id", reader.integer("moduleId", 0)),
        settings={**reader.texts("settings"), **reader.texts("as")},
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
    """``avf``. Something mistyped, or a missing part, turns the rule off, as on Android; that is noted."""
    if not isinstance(reader.get("avf"), Mapping | None):
        reader.ignore("must be an object; the rule is off", "avf")
        return None
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
        key: zeros(getattr(filters, name)) for key, name in ENTITY_FILTERS.items() if getattr(filters, name)
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
        kit_id=reader.integer("moduleId", reader.integer("id", 0)),
        name=f"{name}-{suffix}" if name and suffix else name,
        settings={**reader.texts("as"), **reader.texts("settings")},
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
