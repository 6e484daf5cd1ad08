"""Kit configurations: both forms, their errors, and the way back to JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mparticle_kit_braze.commerce import ProductAction, PromotionAction
from mparticle_kit_braze.errors import ConfigurationError
from mparticle_kit_braze.events import EventType
from mparticle_kit_braze.identity import IdentityType
from mparticle_kit_braze.kits.configuration import AttributeRule, ConsentRule, Filters, KitConfiguration
from mparticle_kit_braze.kits.hashing import mp_hash

MOBILE: dict[str, Any] = {
    "id": 28,
    "as": {"apiKey": "k", "bundleCommerceEventData": "True", "nothing": None, "list": ["a"], "number": 3, "flag": True},
    "hs": {
        "et": {"49": 0, "50": 1},
        "ec": {"-5": 0},
        "ea": {"1": 0},
        "svec": {"2": 0},
        "svea": {"3": 0},
        "uid": {"7": 0, "1": 1},
        "ua": {"4": 0},
        "cea": {"5": 0},
        "ent": {"1": 0},
        "afa": {"1": {"6": 0}, "2": {"7": 0, "8": 1}, "3": {"18": 0}},
        "eaa": {"9": "genres"},
        "ear": {"10": "genres"},
        "eas": {"11": "artist"},
        "mt": {"cm": 0},
        "reg": {"49": 0},
        "pur": {"12": 0},
    },
    "bk": {"lo": 10, "hi": 20},
    "avf": {"i": True, "a": 13, "v": 14},
    "crvf": {"i": False, "v": [{"h": 15, "c": True}, {"h": 15, "c": False}]},
    "eau": True,
    "pr": [{"id": 1, "matches": [{"message_type": 4, "event_match_type": "Hash", "event": "17"}], "action": {}}],
    "new": {"server": "key"},
}
WEB: dict[str, Any] = {
    "moduleId": 28,
    "name": "Appboy",
    "suffix": "v2",
    "isDebug": False,
    "isSandbox": True,
    "isVisible": True,
    "settings": {"apiKey": "k", "PriorityValue": 5},
    "eventTypeFilters": [49],
    "eventNameFilters": [1],
    "attributeFilters": [2],
    "screenNameFilters": [3],
    "screenAttributeFilters": [4],
    "userAttributeFilters": [5],
    "userIdentityFilters": [7],
    "filteringEventAttributeValue": {"eventAttributeName": "13", "eventAttributeValue": "14", "includeOnMatch": True},
    "filteringUserAttributeValue": {"userAttributeName": "15", "userAttributeValue": "-16", "includeOnMatch": False},
    "filteringConsentRuleValues": {
        "includeOnMatch": True,
        "values": [{"consentPurpose": "-1972997867", "hasConsented": True}],
    },
    "excludeAnonymousUser": True,
}


def test_mobile_form_is_read_whole() -> None:
    """Every key of an ``eks`` entry reaches the model."""
    read = KitConfiguration.from_json(MOBILE)
    assert (read.form, read.kit_id, read.bracket, read.exclude_anonymous) == ("mobile", 28, (10, 20), True)
    assert read.settings == {
        "apiKey": "k",
        "bundleCommerceEventData": "True",
        "list": '["a"]',
        "number": "3",
        "flag": "True",
    }
    assert read.filters == Filters(
        event_types=frozenset({49}),
        event_names=frozenset({-5}),
        event_attributes=frozenset({1}),
        screen_names=frozenset({2}),
        screen_attributes=frozenset({3}),
        user_identities=frozenset({7}),
        user_attributes=frozenset({4}),
        commerce_attributes=frozenset({5}),
        commerce_entities=frozenset({1}),
        product_attributes=frozenset({6}),
        promotion_attributes=frozenset({7}),
        impression_attributes=frozenset({18}),
        message_types=frozenset({"cm"}),
        consent_regulations=frozenset({49}),
        consent_purposes=frozenset({12}),
    )
    assert read.event_attribute_add == {9: "genres"}
    assert read.event_attribute_remove == {10: "genres"}
    assert read.event_attribute_set == {11: "artist"}
    assert read.attribute_rule == AttributeRule(13, 14, include=True)
    assert read.consent_rule == ConsentRule(False, {15: False})
    assert read.other == {"new": {"server": "key"}}
    assert len(read.projections) == 1


def test_web_form_is_read_whole() -> None:
    """Every key of a ``kitConfigs`` entry reaches the model."""
    read = KitConfiguration.from_json(WEB)
    assert (read.form, read.kit_id, read.name, read.priority) == ("web", 28, "Appboy-v2", 5.0)
    assert read.attribute_rule == AttributeRule(13, 14, include=True)
    assert read.user_attribute_rule == AttributeRule(15, -16, include=False)
    assert read.consent_rule == ConsentRule(True, {-1972997867: True})
    assert read.exclude_anonymous
    assert read.filters.user_identities == {7}
    assert read.other == {"isVisible": True}
    assert (read.applies_to("production"), read.applies_to("development")) == (True, True)


@pytest.mark.parametrize("entry", [MOBILE, WEB, {}, {"id": 28}, {"name": "Appboy", "isDebug": True}])
def test_round_trip(entry: dict[str, Any]) -> None:
    """What is written reads back the same, through JSON text."""
    read = KitConfiguration.from_json(entry)
    assert KitConfiguration.from_json(json.dumps(read.to_json()), read.form) == read


def test_defaults_filter_nothing() -> None:
    """An empty entry admits everyone and hides nothing."""
    read = KitConfiguration.from_json({})
    assert read == KitConfiguration()
    assert read.filters == Filters()
    assert read.honor_opt_out
    assert read.bracket == (0, 101)


@pytest.mark.parametrize(
    ("value", "honored"), [("True", True), ("true", True), ("False", False), ("", False), ("1", False)]
)
def test_honor_opt_out(value: str, honored: bool) -> None:
    """Absent means yes; present, only "true" in any case does."""
    assert KitConfiguration.from_json({"as": {"honorOptOut": value}}).honor_opt_out is honored


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        ({"id": "x"}, "id"),
        ({"as": []}, "as"),
        ({"hs": 3}, "hs"),
        ({"hs": {"et": [1]}}, "hs.et"),
        ({"hs": {"et": {"abc": 0}}}, "hs.et.abc"),
        ({"hs": {"afa": {"1": 0}}}, "hs.afa.1"),
        ({"hs": {"eaa": {"5": 5}}}, "hs.eaa.5"),
        ({"bk": {"lo": "a"}}, "bk.lo"),
        ({"crvf": {"i": True, "v": [{"h": 1}]}}, "crvf.v[0].c"),
        ({"crvf": {"v": [{"h": 1, "c": True}]}}, "crvf.i"),
        ({"eau": 3}, "eau"),
        ({"pr": [3]}, "pr[0]"),
        ({"pr": [{"id": 1, "matches": [{"event_match_type": "Hash", "event": "x"}]}]}, "pr[0].matches[0].event"),
        ({"eventTypeFilters": ["a"]}, "eventTypeFilters[0]"),
        ({"settings": 1}, "settings"),
        ({"filteringUserAttributeValue": {"userAttributeName": "1"}}, "filteringUserAttributeValue.userAttributeValue"),
        ({"excludeAnonymousUser": "perhaps"}, "excludeAnonymousUser"),
    ],
)
def test_errors_name_the_key(entry: dict[str, Any], key: str) -> None:
    """A malformed part is refused with the way to it."""
    with pytest.raises(ConfigurationError) as caught:
        KitConfiguration.from_json(entry)
    assert f": {key} " in str(caught.value)


@pytest.mark.parametrize("source", [None, 3, [], "no json", "[]", b"\xff", "[" * 100_000, {1: 2}])
def test_what_is_no_object_is_refused(source: object) -> None:
    """Only a JSON object, or its text, is a configuration."""
    with pytest.raises(ConfigurationError):
        KitConfiguration.from_json(source)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize(
    ("entry", "note"),
    [
        ({"avf": {"i": True, "a": "x", "v": 2}}, "avf: i, a and v"),
        ({"avf": {"i": True}}, "avf: i, a and v"),
        ({"avf": [1]}, "avf: must be an object"),
        ({"hs": {"et": {"49": True}}}, "hs.et.49: must be 0 or 1"),
    ],
)
def test_what_android_tolerates_is_noted(entry: dict[str, Any], note: str) -> None:
    """Parts that have no effect on Android have none here, and say so."""
    read = KitConfiguration.from_json(entry)
    assert read.ignored[0].startswith(note)
    assert read == KitConfiguration()


@pytest.mark.parametrize(
    ("entry", "form"),
    [
        ({"id": 28, "as": {"a": "b"}, "eventNameFilters": [5]}, "web"),
        ({"moduleId": 28, "settings": {"a": "b"}, "hs": {"ec": {"5": 0}}}, "mobile"),
        ({"id": 28, "settings": {"a": "b"}, "name": "Appboy", "hs": {"ec": {"5": 0}}}, "mobile"),
    ],
)
def test_number_and_settings_may_have_the_other_forms_names(entry: dict[str, Any], form: str) -> None:
    """Filters tell the form; no filter is lost because the rest of the entry is written as in the other form."""
    read = KitConfiguration.from_json(entry)
    assert (read.form, read.kit_id, read.settings) == (form, 28, {"a": "b"})
    assert read.filters.event_names == {5}
    assert KitConfiguration.from_json(read.to_json()) == read


def test_filters_of_the_other_form_are_noted() -> None:
    """Where both forms are mixed the mobile one counts, and what has no effect is said."""
    read = KitConfiguration.from_json({"hs": {"ec": {"5": 0}}, "excludeAnonymousUser": True})
    assert (read.form, read.exclude_anonymous) == ("mobile", False)
    assert read.filters.event_names == {5}
    assert read.ignored == ("excludeAnonymousUser: has no effect in the mobile form",)


def test_every_number_but_one_hides() -> None:
    """0, 2 and -1 hide; 1 forwards. Source: Android ``convertToSparseArray``."""
    read = KitConfiguration.from_json({"hs": {"et": {"1": 0, "2": 2, "3": -1, "4": 1, "5": "0", "6": 1.0}}})
    assert read.filters.event_types == {1, 2, 3, 5}


def test_filters_by_name() -> None:
    """Filters made in code hash as those of the dashboard."""
    made = Filters.hiding(
        event_types=[EventType.NAVIGATION],
        events=[(EventType.NAVIGATION, "Played Song")],
        event_attributes=[(EventType.NAVIGATION, "Played Song", "genre")],
        screens=["Home"],
        screen_attributes=[("Home", "tab")],
        user_attributes=["$FirstName"],
        identities=[IdentityType.EMAIL],
    )
    assert made.event_types == {49}
    assert made.event_names == {2128199025}
    assert made.event_attributes == {727911090}
    assert made.screen_names == {47537423}
    assert made.screen_attributes == {-1151724506}
    assert made.user_attributes == {mp_hash("$FirstName")}
    assert made.user_identities == {7}


def test_commerce_filters_and_rules_by_name() -> None:
    """Those for commerce and the rules hash as the dashboard's as well."""
    made = Filters.hiding(
        event_types=[EventType.NAVIGATION],
        commerce_actions=[ProductAction.PURCHASE, PromotionAction.CLICK, None],
        commerce_attributes=[
            (ProductAction.PURCHASE, "Affiliation"),
            (ProductAction.ADD_TO_CART, "my custom attribute"),
        ],
        product_attributes=["Brand"],
        promotion_attributes=["Position"],
        impression_attributes=["Variant"],
    )
    assert made.event_types == {49, 1573, 1576, 1600}
    assert made.commerce_attributes == {-1091394645, -2090340318}
    assert made.product_attributes == {93997959}
    assert made.promotion_attributes == {mp_hash("Position")}
    assert made.impression_attributes == {mp_hash("Variant")}
    assert AttributeRule.matching("key1", "val1", include=False) == AttributeRule(3288498, 3611952, include=False)
    assert ConsentRule.matching({" Marketing ": True}, data_sale_opt_out=False) == ConsentRule(
        include=True, consents={-1972997867: True, -575335347: False}
    )


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["0", "1", "Hash"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=4) | st.sampled_from(["1", "2", "-5", "i", "a", "v", "h", "c"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)
MOBILE_KEYS = st.sampled_from(["id", "as", "hs", "bk", "avf", "crvf", "eau", "pr", "x"])
WEB_KEYS = st.sampled_from(list(WEB))
HS = st.dictionaries(st.sampled_from(list(MOBILE["hs"])), anything, max_size=4)
PROJECTION = st.dictionaries(
    st.sampled_from(["id", "matches", "behavior", "action"]),
    anything
    | st.lists(
        st.dictionaries(
            st.sampled_from(["message_type", "event_match_type", "event", "property_name", "attribute_values"]),
            anything,
        )
    )
    | st.fixed_dictionaries(
        {"attribute_maps": st.lists(st.dictionaries(st.sampled_from(["match_type", "value", "data_type"]), anything))}
    ),
)


@given(
    st.dictionaries(MOBILE_KEYS, anything | HS, max_size=4)
    | st.dictionaries(WEB_KEYS, anything, max_size=4)
    | st.fixed_dictionaries({"hs": HS})
    | st.fixed_dictionaries({"pr": st.lists(PROJECTION, max_size=2)})
)
def test_fuzzed_configurations_raise_only_configuration_errors(entry: dict[str, Any]) -> None:
    """Whatever the JSON, it is read or refused; what was read goes there and back unchanged."""
    try:
        read = KitConfiguration.from_json(entry)
    except ConfigurationError:
        return
    again = KitConfiguration.from_json(read.to_json(), read.form)
    # NaN in keys of others is not equal to itself; everything else must be.
    assert (again.filters, again.settings, again.bracket, again.consent_rule) == (
        read.filters,
        read.settings,
        read.bracket,
        read.consent_rule,
    )
