"""Every setting by both its names, what each platform reads in it, and how mistakes are told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mparticle_kit_braze.braze_kit import BrazeKit, Settings
from mparticle_kit_braze.braze_kit.profiles import PROFILES
from mparticle_kit_braze.braze_kit.settings import SETTING_NAMES
from mparticle_kit_braze.errors import ConfigurationError
from mparticle_kit_braze.identity import IdentityType
from mparticle_kit_braze.kits.configuration import KitConfiguration

from .recording import RecordedKit, start

GROUPS = [{"jsmap": None, "map": "weekly", "maptype": "UserAttributeClass.Name", "value": "g-1"}]
CONSENT = [
    {"map": "Marketing", "value": "google_ad_personalization"},
    {"map": "Marketing", "value": "google_ad_user_data"},
    {"map": "Other", "value": "something_else"},
]
#: Python name: (mParticle's text, the Python value given, what is read).
VALUES: dict[str, tuple[str, Any, Any]] = {
    "user_identification_type": ("Other2", IdentityType.OTHER2, IdentityType.OTHER2),
    "email_identification_type": ("Other3", "other3", IdentityType.OTHER3),
    "enable_type_detection": ("True", True, True),
    "bundle_commerce_event_data": ("True", True, True),
    "forward_screen_views": ("True", True, True),
    "set_event_name_for_page_view": ("True", True, True),
    "forward_sku_as_product_name": ("True", True, True),
    "replace_sku_with_product_name": ("True", True, True),
    "subscription_group_mapping": (json.dumps(GROUPS), {"weekly": "g-1"}, {"weekly": "g-1"}),
    "consent_mapping": (
        json.dumps(CONSENT),
        [entry for entry in CONSENT if entry["value"].startswith("google_ad_")],
        (("marketing", "$google_ad_personalization"), ("marketing", "$google_ad_user_data")),
    ),
    "use_ecommerce_recommended_events": ("True", True, True),
    "cart_id_attribute": ('[{"value": "cart"}]', "cart", "cart"),
    "checkout_id_attribute": ("checkout", "checkout", "checkout"),
    "subtotal_value_attribute": ("[&quot;no object&quot;]", None, None),
    "image_url_attribute": ("img", "img", "img"),
    "product_url_attribute": ("url", "url", "url"),
    "source": ("shop", "shop", "shop"),
    "soft_push_custom_event_name": ("prompt", "prompt", "prompt"),
    "push_enabled": ("True", True, True),
    "session_timeout": ("60", 60, 60.0),
    "flush_interval": ("0.2", 0.2, 1.0),
    "minimum_trigger_interval": ("30", 30, 30.0),
    "user_tags_value": ("null", None, None),
    "honor_opt_out": ("False", False, False),
}


def configured(profile: str = "native", **settings: Any) -> Settings:
    """The settings of a kit configured the mParticle way."""
    return BrazeKit.from_configuration({"id": 28, "as": {"apiKey": "key", **settings}}, profile=profile).settings  # type: ignore[arg-type]  # profiles by name


def test_every_setting_is_covered_here() -> None:
    """A new setting cannot be forgotten in the table above."""
    assert set(VALUES) == set(SETTING_NAMES) - {"api_key", "endpoint"}


@pytest.mark.parametrize("profile", sorted(PROFILES))
@pytest.mark.parametrize("name", sorted(VALUES))
def test_setting_is_read_by_both_names(name: str, profile: str) -> None:
    """MParticle's text and the Python value come to the same."""
    text, value, expected = VALUES[name]
    assert getattr(configured(profile, **{SETTING_NAMES[name]: text}), name) == expected
    kit = BrazeKit("key", profile=profile, **{name: value})  # type: ignore[arg-type]  # any setting by name
    assert getattr(kit.settings, name) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bundle_commerce_event_data", "True"),
        ("user_identification_type", "CustomerID2"),
        ("user_identification_type", 3),
        ("email_identification_type", "Facebook"),
        ("session_timeout", "soon"),
        ("session_timeout", -1),
        ("flush_interval", float("nan")),
        ("flush_interval", True),
        ("subscription_group_mapping", "not json"),
        ("subscription_group_mapping", 3),
        ("consent_mapping", [{"map": "x"}]),
        ("consent_mapping", {"ads": "google_analytics"}),
        ("source", 3),
        ("cart_id_attribute", 3),
        ("user_tags_value", "maybe"),
        ("push_enabled", 1),
    ],
)
def test_wrong_python_value_names_the_setting_and_what_it_takes(name: str, value: Any) -> None:
    """The message says which setting, what was given, and what it takes."""
    with pytest.raises(ConfigurationError, match=rf"The setting {name} takes .+, not "):
        BrazeKit("key", **{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bundleCommerceEventData", "maybe"),
        ("ABKSessionTimeoutKey", "soon"),
        ("userIdentificationType", "Nobody"),
        ("userTagsValue", "x"),
    ],
)
def test_wrong_configuration_value_names_mparticles_setting(name: str, value: str) -> None:
    """Under the name that stands in the configuration."""
    with pytest.raises(ConfigurationError, match=rf"The setting {name} takes "):
        configured(**{name: value})


@pytest.mark.parametrize(
    ("profile", "text", "expected"),
    [
        ("android", "true", True),
        ("android", "1", False),
        ("android", "yes", False),
        ("web", "True", True),
        ("web", "true", False),
        ("ios", "true", True),
        ("ios", "1", True),
        ("ios", "YES", True),
        ("ios", "no", False),
        ("ios", "", False),
        ("native", "TRUE", True),
    ],
)
def test_boolean_texts_are_read_as_the_platform_reads_them(profile: str, text: str, expected: bool) -> None:
    """Each platform has its own idea of true."""
    assert configured(profile, bundleCommerceEventData=text).bundle_commerce_event_data is expected


@pytest.mark.parametrize("profile", ["android", "ios"])
def test_product_name_setting_is_on_for_exactly_true(profile: str) -> None:
    """The mobile kits compare the text itself here."""
    assert configured(profile, replaceSkuWithProductName="True").replace_sku_with_product_name
    assert not configured(profile, replaceSkuWithProductName="true").replace_sku_with_product_name


@pytest.mark.parametrize(
    ("profile", "settings", "user", "email"),
    [
        ("native", {}, IdentityType.CUSTOMER_ID, IdentityType.EMAIL),
        ("android", {}, None, IdentityType.EMAIL),
        ("ios", {}, None, None),
        (
            "ios",
            {"userIdentificationType": "Nobody", "emailIdentificationType": "Facebook"},
            IdentityType.CUSTOMER_ID,
            IdentityType.EMAIL,
        ),
        ("web", {"userIdentificationType": "customerid"}, IdentityType.CUSTOMER_ID, IdentityType.EMAIL),
        ("native", {"userIdentificationType": "phone_number_2"}, IdentityType.PHONE_NUMBER_2, IdentityType.EMAIL),
        ("android", {"userIdentificationType": "MPID"}, "MPID", IdentityType.EMAIL),
        ("android", {"userIdentificationType": ""}, None, IdentityType.EMAIL),
    ],
)
def test_identification_types(profile: str, settings: dict[str, str], user: object, email: object) -> None:
    """Names, defaults and fallbacks of each platform."""
    found = configured(profile, **settings)
    assert (found.user_identification_type, found.email_identification_type) == (user, email)


def test_android_minds_the_case_of_identity_names() -> None:
    """The Android kit would refuse to start."""
    with pytest.raises(ConfigurationError, match="userIdentificationType takes one of Other, CustomerId"):
        configured("android", userIdentificationType="customerid")


def test_apple_knows_no_phone_number_as_user_id() -> None:
    """Any name but those of its own list means the customer id."""
    for name in ("MobileNumber", "PhoneNumber2", "FacebookCustomAudienceId"):
        assert configured("ios", userIdentificationType=name).user_identification_type is IdentityType.CUSTOMER_ID
    assert configured("ios", userIdentificationType="Other10").user_identification_type is IdentityType.OTHER10


@pytest.mark.parametrize("name", ["Facebook", "MPID", "nobody"])
def test_email_type_that_holds_no_address_is_refused(name: str) -> None:
    """The message names the types that may hold one."""
    with pytest.raises(ConfigurationError, match="emailIdentificationType takes 'Email', 'Other' or 'Other2'"):
        configured("native", emailIdentificationType=name)


# -- endpoints ----------------------------------------------------------------------------------------------------
CUSTOM = {"SDK": "sdk.example.com", "REST": "rest.example.com", "JS": "js.example.com"}


@pytest.mark.parametrize(
    "escaped",
    [json.dumps(CUSTOM).replace('"', mark) for mark in ('"', "&quot;", "&amp;quot;", '\\"')],
)
@pytest.mark.parametrize(
    ("profile", "endpoint"), [("native", "sdk.example.com"), ("ios", "sdk.example.com"), ("web", "js.example.com")]
)
def test_custom_cluster_has_endpoints_of_its_own(escaped: str, profile: str, endpoint: str) -> None:
    """The web kit takes the JavaScript endpoint, the others the SDK one; the REST one is kept."""
    found = configured(profile, cluster=escaped)
    assert (found.endpoint, found.rest_endpoint) == (endpoint, "rest.example.com")


@pytest.mark.parametrize(
    ("settings", "endpoint"),
    [
        ({}, None),
        ({"host": "sdk.iad-03.braze.com"}, "sdk.iad-03.braze.com"),
        ({"host": ""}, None),
        ({"cluster": "03"}, "03"),
        ({"cluster": "EU"}, "EU-01"),
        ({"cluster": "EU02"}, "EU02"),
        ({"dataCenterLocation": "EU"}, "EU-01"),
        ({"cluster": "US-08"}, "US-08"),
        ({"cluster": "06", "host": "proxy.example.com/braze"}, "proxy.example.com/braze"),
        ({"cluster": '{"JS": "only.example.com"}'}, "only.example.com"),
    ],
)
def test_endpoint_comes_from_host_before_cluster(settings: dict[str, str], endpoint: str | None) -> None:
    """Instances in all spellings; an empty host is none."""
    assert configured(**settings).endpoint == endpoint


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cluster": "{broken"}, "The setting cluster takes"),
        ({"cluster": "{}"}, "Custom form"),
        ({"cluster": "Custom"}, "The setting cluster takes"),
        ({"cluster": "US-99"}, "The setting cluster"),
        ({"host": "http://braze.example.com"}, "The setting host"),
        ({"host": "https://user:secret@x.com"}, "The setting host"),
        ({"cluster": '{"SDK": 3}'}, "SDK, REST and JS"),
    ],
)
def test_wrong_endpoint_names_its_setting(settings: dict[str, str], message: str) -> None:
    """And never shows credentials."""
    with pytest.raises(ConfigurationError, match=message) as error:
        configured(**settings)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("key", ["", "  ", None, 3])
def test_api_key_is_needed_and_never_shown(key: Any) -> None:
    """Both ways of making a kit refuse to do without."""
    with pytest.raises(ConfigurationError, match="api_key"):
        BrazeKit(key)
    with pytest.raises(ConfigurationError, match="apiKey"):
        BrazeKit.from_configuration({"id": 28, "as": {} if key is None else {"apiKey": " "}})


def test_wrong_endpoint_in_code_is_told_at_once() -> None:
    """Not only when the first request fails."""
    with pytest.raises(ConfigurationError, match="endpoint"):
        BrazeKit("key", "https://x.com/?query")
    with pytest.raises(ConfigurationError, match="profile takes one of 'native'"):
        BrazeKit("key", profile="windows")  # type: ignore[arg-type]  # wrong on purpose


# -- what is unknown, malformed, or of no use here ----------------------------------------------------------------
def test_unknown_setting_is_reported_at_start() -> None:
    """By either way of making the kit; it is no error."""
    for kit in (
        RecordedKit("key", colour="red"),  # type: ignore[call-arg]  # wrong on purpose
        RecordedKit.from_configuration(
            {"id": 28, "as": {"apiKey": "key", "colour": "red", "safariWebsitePushId": "x"}}
        ),
    ):
        problems = start(kit)
        assert [(problem.code, "'colour'" in problem.message) for problem in problems] == [("unknown_setting", True)]


@pytest.mark.parametrize("mapping", ["not json", '[{"map": "weekly"}]', '{"a": 1}', "[3]"])
def test_malformed_mapping_in_a_configuration_has_no_effect(mapping: str) -> None:
    """As in the Android kit, repaired: the kit runs, and says so."""
    kit = RecordedKit.from_configuration(
        {"id": 28, "as": {"apiKey": "key", "subscriptionGroupMapping": mapping}}, profile="android"
    )
    assert kit.settings.subscription_group_mapping == {}
    (problem,) = start(kit)
    assert problem.code == "setting_ignored"
    assert "'subscriptionGroupMapping'" in problem.message


def test_incomplete_entries_of_a_mapping() -> None:
    """On iOS they alone have no effect; elsewhere they void the mapping. In code they are a mistake everywhere."""
    groups = [{"map": "weekly", "value": "g-1"}, {"map": "daily"}, {"value": "g-2"}, {"map": "x", "value": None}]
    consents = [{"map": "Ads", "value": "google_ad_user_data"}, {"map": "Sale"}, {"value": "google_ad_user_data"}]
    given = {"subscriptionGroupMapping": json.dumps(groups), "consentMappingSDK": json.dumps(consents)}
    for profile in PROFILES:
        settings = configured(profile, **given)
        kept = profile == "ios"
        assert settings.subscription_group_mapping == ({"weekly": "g-1"} if kept else {})
        assert settings.consent_mapping == ((("ads", "$google_ad_user_data"),) if kept else ())
        assert settings.ignored == (() if kept else tuple(given))
        with pytest.raises(ConfigurationError, match="subscription_group_mapping"):
            BrazeKit("key", profile=profile, subscription_group_mapping=groups)  # type: ignore[arg-type]  # wrong on purpose


def test_mapping_with_escaped_quotation_marks_is_read() -> None:
    """Backslashes and entities come from configuration servers."""
    text = json.dumps(GROUPS).replace('"', '\\"')
    assert configured(subscriptionGroupMapping=text).subscription_group_mapping == {"weekly": "g-1"}


def test_configuration_may_be_read_already() -> None:
    """A KitConfiguration is taken as it is, and handed on for the filters."""
    configuration = KitConfiguration.from_json({"id": 28, "as": {"apiKey": "key"}, "hs": {"et": {"49": 0}}})
    kit = BrazeKit.from_configuration(configuration)
    assert kit.configuration is configuration


def test_opt_out_setting_reaches_the_manager() -> None:
    """The manager reads it from the configuration."""
    assert BrazeKit("key").configuration.honor_opt_out
    assert not BrazeKit("key", honor_opt_out=False).configuration.honor_opt_out
