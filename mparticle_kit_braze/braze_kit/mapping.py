r"""The mapping in tables, the four profiles side by side.

A cell says what reaches Braze: an event with its properties, a purchase with product id, price, currency, quantity and
properties, an attribute, or ``-`` for nothing. Every row is run by a test, so the tables cannot drift. ``RULES`` below
gives each kind of mapping a name and says where it comes from; ``python -m mparticle_kit_braze explain`` shows them.

Events and screens

| call | native | web | android | ios |
|---|---|---|---|---|
| `log_event("e")` | `e` | `e` | `e` | `e` |
| `log_event("$$e", {"$$k": "$v"})` | `e {"k": "$v"}` | `e {"k": "v"}` | `$$e {"$$k": "$v"}` | `$$e {"$k": "$v"}` |
| `log_event("e", {"i": 5, "d": 2.0, "b": True})` | `e {"i": 5, "d": 2.0, "b": true}` | `e {"i": 5, "d": 2.0, "b": true}` | `e {"i": "5", "d": "2.0", "b": "true"}` | `e {"i": "5", "d": "2", "b": "true"}` |
| `log_event("e", {"i": "5", "d": "2.5", "b": "TRUE"}, type_detection)` | `e {"i": "5", "d": "2.5", "b": "TRUE"}` | `e {"i": "5", "d": "2.5", "b": "TRUE"}` | `e {"i": 5, "d": 2.5, "b": true}` | `e {"i": 5, "d": 2.5, "b": true}` |
| `log_event("e", {"t": datetime(2020, 1, 2, 3, 4, 5)})` | `e {"t": "2020-01-02T03:04:05"}` | `e {"t": "2020-01-02T03:04:05"}` | `e {"t": "2020-01-02T03:04:05"}` | `e {"t": "2020-01-02T03:04:05+0000"}` |
| `log_event("e", {"n": None})` | `e` | `e {"n": null}` | `e` | `e {"n": null}` |
| `log_event("e", {"n": None}, type_detection)` | `e` | `e {"n": null}` | `e` | `e` |
| `log_event("e", {"$MethodName": "LogLTVIncrease"})` | `e {"MethodName": "LogLTVIncrease"}` | `e {"MethodName": "LogLTVIncrease"}` | | `e {"MethodName": "LogLTVIncrease"}` |
| `log_event("e", {"o": {"k": 1}, "l": [1, 2]})` | `e` | `e` | `e {"o": "{k=1}", "l": "[1, 2]"}` | `e {"o": "{\"k\": 1}", "l": "[1, 2]"}` |
| `log_screen("s", {"$k": 1})` | - | - | - | - |
| `log_screen("s", {"$k": 1}, forward_screen_views)` | `s {"k": 1}` | `s {"k": 1}` | `s {"$k": "1"}` | `s {"k": "1"}` |

A top-level ``null`` property is sent by the adapter in the ios profile only.

User attributes

| call | native | web | android | ios |
|---|---|---|---|---|
| `set_user_attribute("$FirstName", "Ada")` | `first_name "Ada"` | `first_name "Ada"` | `first_name "Ada"` | `first_name "Ada"` |
| `set_user_attribute("$FirstName", None)` | `first_name null` | `first_name ""` | - | `first_name null` |
| `remove_user_attribute("$FirstName")` | `first_name null` | `first_name ""` | `first_name null` | `first_name null` |
| `set_user_attribute("$MPUserMobile", "+1 555")` | `MPUserMobile "+1 555"` | `MPUserMobile "+1 555"` | `MPUserMobile "+1 555"` | `phone "+1 555"` |
| `set_user_attribute("email", "a@b.co")` | `email "a@b.co"` | `email "a@b.co"` | `email "a@b.co"` (custom) | `email "a@b.co"` (custom) |
| `set_user_attribute("$Gender", "F")` | `gender "f"` | `gender "F"` | `gender "f"` | `gender "f"` |
| `set_user_attribute("$Gender", "Female")` | `gender "f"` | `gender "Female"` (refused) | `gender "f"` | `gender "o"` |
| `set_user_attribute("$Age", 30)` | `dob` 30 years ago | `dob` 30 years ago | `dob` 30 years ago | `dob` 30 years ago |
| `set_user_attribute("$Age", "30")` | `dob` 30 years ago | - | `dob` 30 years ago | `dob` 30 years ago |
| `set_user_attribute("dob", "1990-02-03")` | `dob` 1990-2-3 | - | `dob` 1990-2-3 | `dob` 1990-2-3 |
| `set_user_attribute("$Zip", "02134")` | `Zip "02134"` | `Zip "02134"` | `Zip "02134"` | `Zip "02134"` |
| `set_user_attribute("email_subscribe", "opted_in")` | `email_subscribe "opted_in"` | `email_subscribe "opted_in"` | `email_subscribe "opted_in"` | `email_subscribe "opted_in"` |
| `set_user_attribute("$$k", "$v")` | `k "$v"` | `k "v"` | `$k "$v"` | `$k "$v"` |
| `set_user_attribute("k", True)` | `k true` | `k true` | `k "true"` | `k "1"` |
| `set_user_attribute("k", 2.0)` | `k 2.0` | `k 2.0` | `k "2.0"` | `k "2"` |
| `set_user_attribute("k", "")` | `k ""` | `k ""` | `k ""` | - |
| `set_user_attribute_list("k", ["$a", "b"])` | `k ["$a", "b"]` | `k ["a", "b"]` | `k ["$a", "b"]` | `k ["$a", "b"]` |
| `set_user_attribute_list("k", [1, "b"])` | `k ["1", "b"]` | - | `k ["1", "b"]` | - |
| `set_user_tag("k")` | `k true` | `k null` | - | - |
| `increment_user_attribute("k", 2, total=5)` | `k +2` | `k 5` | `k "5"` | `k +2` |
| `increment_user_attribute("k", 0.5, total=1.5)` | `k 1.5` | `k 1.5` | `k "1.5"` | `k +0` |
| `remove_user_attribute("k")` | `k null` | `k null` | `k null` | `k null` |
| `set_user_attribute("news", True, subscription_groups)` | subscribe `g1` | `news true` | subscribe `g1` | subscribe `g1` |
| `set_user_attribute("news", "true", subscription_groups)` | subscribe `g1` | `news "true"` | subscribe `g1` | - |
| `set_opt_out(True)` | - | - | - | `email_subscribe "unsubscribed"` |

Commerce, one product ``Product("Tea", "tea", 4.5, 2)`` in an order ``TransactionAttributes("t", revenue=9)``

| call | native | web | android | ios |
|---|---|---|---|---|
| `purchase()` | `tea 4.5 USD 2 {"Name": "Tea", "Total Amount": 9, "Total Product Amount": 9.0, "Transaction Id": "t"}` | `Tea 4.5 - 2 {"Sku": "tea", "Transaction Id": "t"}` | `tea 4.5 USD 2 {"Name": "Tea", "Total Amount": 9.0, "Transaction Id": "t"}` | `tea 4.5 USD 2 {"Name": "Tea", "Total Amount": 9, "Total Product Amount": "9", "Transaction Id": "t"}` |
| `purchase(bundle)` | `eCommerce - purchase 9 USD 1 {"Total Amount": 9, "Transaction Id": "t", "products": [{"Id": "tea", "Item Price": 4.5, "Name": "Tea", "Quantity": 2, "Total Product Amount": 9.0}]}` | `eCommerce - purchase 9 - 1 {"Transaction Id": "t", "products": [{"Attributes": null, "Id": "tea", "Name": "Tea", "Price": 4.5, "Quantity": 2, "Total Product Amount": 9.0}]}` | `eCommerce - purchase 9.0 USD 1 {"Total Amount": 9.0, "Transaction Id": "t", "products": [{"Id": "tea", "Item Price": 4.5, "Name": "Tea", "Quantity": 2.0, "Total Product Amount": 9.0}]}` | `eCommerce - purchase 9 USD 1 {"Total Amount": 9, "Transaction Id": "t", "products": [{"Id": "tea", "Item Price": "4.5", "Name": "Tea", "Quantity": "2", "Total Product Amount": "9"}]}` |
| `click()` | `eCommerce - click - Item {"Id": "tea", "Item Price": 4.5, "Name": "Tea", "Quantity": 2, "Total Product Amount": 9.0, "Transaction Id": "t"}` | `eCommerce - click - Item {"Id": "tea", "Item Price": 4.5, "Name": "Tea", "Quantity": 2, "Total Amount": 9, "Total Product Amount": 9.0, "Transaction Id": "t"}` | `eCommerce - click - Item {"Id": "tea", "Item Price": "4.5", "Name": "Tea", "Quantity": "2.0", "Total Product Amount": "9.0", "Transaction Id": "t"}` | `eCommerce - click - Item {"Id": "tea", "Item Price": "4.5", "Name": "Tea", "Quantity": "2", "Total Product Amount": "9"}` |

Defaults and identity

| what | native | web | android | ios |
|---|---|---|---|---|
| unchanged attributes sent again | no | yes | yes, but the email | yes |
| email comes from | `emailIdentificationType`, else Email | Email | Email | `emailIdentificationType` only |
| identities looked at | the user's | the user's | the user's | the request's |
| `source` of recommended events | `Python` | `web` | `Android` | `iOS` |
| push tokens without `push_enabled` | taken | taken | not taken | taken |
"""  # noqa: E501  (a row of a table is one line)

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["RULES", "SILENT", "Rule", "rule_of", "why_nothing"]

_ANDROID = "mparticle-android-sdk, AppboyKit.kt"
_IOS = "mparticle-apple-sdk, MPKitBraze.m"
_WEB = "Braze web kit, BrazeKit-dev.js"
_NATIVE = "mParticle's documentation of the Braze integration"


@dataclass(frozen=True, slots=True)
class Rule:
    """What one kind of call becomes, and where that is laid down.

    Attributes:
        name: A stable word for it.
        text: What it says, in a sentence.
        profiles: What is particular about a profile: its name -> a sentence.
        sources: Where a profile's behaviour comes from: its name -> the place in the real kit or its documentation.
    """

    name: str
    text: str
    profiles: Mapping[str, str]
    sources: Mapping[str, str]


def _rule(
    name: str,
    text: str,
    *,
    native: str = "",
    web: str = "",
    android: str = "",
    ios: str = "",
    topic: str,
    android_source: str,
    ios_source: str,
) -> Rule:
    particular = {"native": native, "web": web, "android": android, "ios": ios}
    sources = {
        "native": f"{_NATIVE}, {topic}",
        "web": f"{_WEB}, {topic}",
        "android": f"{_ANDROID} {android_source}",
        "ios": f"{_IOS} {ios_source}",
    }
    return Rule(name, text, {profile: said for profile, said in particular.items() if said}, sources)


_VALUES = {
    "native": "leading $ off names; Python's types kept; arrays and objects left out",
    "web": "leading $ off names and text values; types kept; arrays and objects left out",
    "android": "names as given; every value as Java's text, typed again only with enable_type_detection",
    "ios": "one leading $ off property names; every value as text, typed again only with enable_type_detection",
}
_STANDARD: Any = {"topic": "user attributes", "ios_source": "setUserAttribute:value:"}
_COMMERCE: Any = {
    "topic": "commerce events",
    "android_source": "logEvent(CommerceEvent); CommerceEventUtils.java",
    "ios_source": "routeCommerceEvent:; MPCommerceEvent.m expandedInstructions",
}

#: Every rule by its name.
RULES: Mapping[str, Rule] = {
    rule.name: rule
    for rule in (
        _rule(
            "event",
            "A custom event of the same name with the attributes as properties.",
            **_VALUES,
            topic="custom events",
            android_source="logEvent(MPEvent)",
            ios_source="logBrazeCustomEvent:eventType:",
        ),
        _rule(
            "screen",
            "With forward_screen_views, a custom event named after the screen.",
            **_VALUES,
            topic="screen views",
            android_source="logScreen",
            ios_source="logScreen:",
        ),
        _rule(
            "event-attribute-to-user",
            "An event attribute that the kit configuration (eaa, ear, eas) copies to the user.",
            android="added, removed, set, in this order; a removed or added value is always text",
            ios="removed, added, set, in this order; a removed or added value is always text",
            topic="event attributes to user attributes",
            android_source="logEvent(MPEvent); KitConfiguration.java eaa, ear, eas",
            ios_source="logBrazeCustomEvent:eventType:",
        ),
        _rule(
            "standard-field",
            "A reserved attribute sets one of Braze's standard fields.",
            native="mParticle's $ names and Braze's own; an empty text is ignored",
            web="mParticle's $ names and Braze's own; clearing sends an empty text",
            android="mParticle's $ names",
            ios="mParticle's $ names, $MPUserMobile too; an empty text is ignored",
            android_source="applyScalarUserAttributeOnUser",
            **_STANDARD,
        ),
        _rule(
            "gender",
            "The gender, as Braze's letter.",
            native="m, f, o, u, n, p or their words in any case; anything else is refused",
            web="as given",
            android="by its meaning",
            ios="M, F and NA; anything else is other",
            android_source="setGenderFromUserAttribute",
            **_STANDARD,
        ),
        _rule(
            "date-of-birth",
            "The date of birth: dob itself, or 1 January of this year minus $Age.",
            native="a number or its text; a date or a text that begins with one",
            web="$Age must be a number, dob a date",
            android_source="getCalendarMinusYears",
            **_STANDARD,
        ),
        _rule(
            "zip",
            "The postal code is the custom attribute Zip.",
            android_source="applyScalarUserAttributeOnUser",
            **_STANDARD,
        ),
        _rule(
            "custom-attribute",
            "Any other attribute is a custom attribute.",
            native="all leading $ off the key; types kept",
            web="all leading $ off the key and a text value; types kept",
            android="one leading $ off the key; text, typed again only with enable_type_detection",
            ios="one leading $ off the key; text (a boolean is 1 or 0), typed again only with enable_type_detection",
            android_source="applyUnmappedScalarUserAttribute",
            **_STANDARD,
        ),
        _rule(
            "list",
            "A list is an array attribute.",
            native="members that are no text become their JSON text",
            web="leading $ off the members; a list with members that are no text is refused",
            android="members as text",
            ios="a list with members that are no text is refused; an empty one is ignored",
            topic="user attributes",
            android_source="onSetUserAttributeList",
            ios_source="setUserAttribute:values:",
        ),
        _rule(
            "tag",
            "A tag is a custom attribute.",
            native="true (user_tags_value)",
            web="null",
            topic="user attributes",
            android_source="onSetUserTag",
            ios_source="has no tag call",
        ),
        _rule(
            "increment",
            "An increment adds to a custom attribute.",
            native="a whole number is sent as an increment, a fraction as the new total",
            web="the new total",
            android="the new total, as text",
            ios="the whole part, sent as an increment",
            topic="user attributes",
            android_source="KitManagerImpl.java incrementUserAttribute",
            ios_source="incrementUserAttribute:byValue:",
        ),
        _rule(
            "remove",
            "A removed attribute is set to null.",
            web="a standard field gets an empty text",
            topic="user attributes",
            android_source="onRemoveUserAttribute",
            ios_source="removeUserAttribute:",
        ),
        _rule(
            "subscription-group",
            "An attribute named in subscription_group_mapping joins or leaves a subscription group.",
            native="true or false, or their words",
            android="true or false, as words",
            ios="true, false, 1 or 0; not the words",
            topic="subscription groups",
            android_source="applySubscriptionGroupAttribute",
            ios_source="setUserAttribute:value:",
        ),
        _rule(
            "user-id",
            "The identity chosen by user_identification_type becomes Braze's user: a session of that user begins.",
            ios="only an identity named in this very call counts",
            topic="identities",
            android_source="updateUser",
            ios_source="updateUser:request:",
        ),
        _rule(
            "email",
            "The email identity is the standard field email.",
            ios="only with email_identification_type",
            topic="identities",
            android_source="updateUser",
            ios_source="updateUser:request:",
        ),
        _rule(
            "consent",
            "An answered purpose named in consent_mapping is a custom attribute, true or false.",
            topic="consent",
            android_source="setConsent",
            ios_source="updateConsent",
        ),
        _rule(
            "opt-out",
            "Opting out unsubscribes the email address.",
            topic="opt-out",
            android_source="setOptOut",
            ios_source="setOptOut:",
        ),
        _rule(
            "push-token",
            "The push token of this device, if push_enabled allows.",
            topic="push",
            android_source="onPushRegistration",
            ios_source="setDeviceToken:",
        ),
        _rule(
            "purchase",
            "A purchase for each product; the order's fields are properties of each.",
            native="SKU as the product id; numbers stay numbers; all documented fields",
            web="product name as the product id (SKU with forward_sku_as_product_name); no event attributes",
            android="SKU as the product id; event attributes as text",
            ios="SKU as the product id; the order's values typed, the product's as text",
            **_COMMERCE,
        ),
        _rule(
            "bundled-purchase",
            "With bundle_commerce_event_data, one purchase for the order; its products are a property.",
            native="numbers stay numbers",
            web="Price in place of Item Price; currency as given",
            ios="products as text",
            **_COMMERCE,
        ),
        _rule(
            "commerce-item",
            "A custom event a product, named after the action.",
            native="product fields win over event attributes; numbers stay numbers",
            web="fields that are empty or zero are left out",
            android="all values as text",
            ios="all values as text; event attributes win; no order fields but a refund's id",
            **_COMMERCE,
        ),
        _rule(
            "refund-total",
            "A custom event for the refund as a whole.",
            ios="after the items, in the other profiles before",
            **_COMMERCE,
        ),
        _rule(
            "commerce-event",
            "One custom event for the commerce event: bundled, or an action without products.",
            **_COMMERCE,
        ),
        _rule("promotion", "A custom event a promotion.", **_COMMERCE),
        _rule("impression", "A custom event a product of each list shown.", **_COMMERCE),
        _rule(
            "recommended-event",
            "With use_ecommerce_recommended_events, Braze's own eCommerce event.",
            native="source Python",
            web="source web",
            android="source Android",
            ios="source iOS",
            topic="recommended eCommerce events",
            android_source="has none; as the Apple kit",
            ios_source="routeRecommendedCommerceEvent:",
        ),
    )
}

_GENERAL = "nothing has changed, or the value was refused"

#: Why a call may reach Braze as nothing: its name -> profile (or "" for all) -> the reason.
SILENT: Mapping[str, Mapping[str, str]] = {
    "log_screen": {"": "screen views are sent only with forward_screen_views"},
    "log_commerce_event": {"": "the platform's kit sends nothing for it"},
    "set_user_tag": {"android": "the Android kit has no tags", "ios": "the Apple kit has no tags"},
    "set_opt_out": {"": "only the Apple kit tells Braze, and only when the user opts out"},
    "set_consent": {"": "only GDPR purposes named in consent_mapping are sent"},
    "set_push_token": {"": "push_enabled is off"},
    "identify": {"": "Braze's user stays the same"},
    "login": {"": "Braze's user stays the same"},
    "logout": {"": "Braze's user stays until there is another one"},
    "modify": {"": "Braze's user stays the same"},
}


def why_nothing(call: str, profile: str) -> str:
    """Why a call sent nothing in a profile, where no warning says it."""
    reasons = SILENT.get(call, {})
    return reasons.get(profile) or reasons.get("", _GENERAL)


def rule_of(call: str, record: Mapping[str, Any], *, key: str = "") -> Rule:
    """The rule by which a call became a record.

    Args:
        call: The call's name (``log_event``).
        record: What Braze gets, an event or an attribute object.
        key: The attribute's key, for calls that have one.
    """
    return RULES[_rule_name(call, record, key)]


def _rule_name(call: str, record: Mapping[str, Any], key: str) -> str:
    code = record.get("name", "") if "data" in record else ""
    if call in _EVENT_CALLS:
        if code not in ("ce", "p"):
            return "event-attribute-to-user"
        return _commerce_rule(code, record["data"]) if call == "log_commerce_event" else _EVENT_CALLS[call]
    if call in _IDENTITY_CALLS:
        return "email" if "email" in record else "user-id"
    if code == "sgu":
        return "subscription-group"
    return _ATTRIBUTE_CALLS.get(call) or _attribute_rule(record, key)


_EVENT_CALLS: Mapping[str, str] = {"log_event": "event", "log_screen": "screen", "log_commerce_event": ""}
_IDENTITY_CALLS = frozenset({"identify", "login", "logout", "modify"})
_ATTRIBUTE_CALLS: Mapping[str, str] = {
    "set_user_tag": "tag",
    "increment_user_attribute": "increment",
    "remove_user_attribute": "remove",
    "set_consent": "consent",
    "set_opt_out": "opt-out",
    "set_push_token": "push-token",
}
_PROMOTIONS = frozenset({"eCommerce - view - Item", "eCommerce - click - Item"})


def _commerce_rule(code: str, data: Mapping[str, Any]) -> str:
    if code == "p":
        return "bundled-purchase" if data.get("pid") == "eCommerce - purchase" else "purchase"
    name = str(data.get("n", ""))
    if name.startswith("ecommerce."):
        return "recommended-event"
    if name.endswith(" - Total"):
        return "refund-total"
    if not name.endswith(" - Item"):
        return "commerce-event"
    if name == "eCommerce - Impression - Item":
        return "impression"
    # A click on a product bears the same name as one on a promotion, which has no amount.
    return "promotion" if name in _PROMOTIONS and "Total Product Amount" not in data.get("p", {}) else "commerce-item"


def _attribute_rule(record: Mapping[str, Any], key: str) -> str:
    if "data" in record:
        return "list"
    if "custom" in record:
        return "zip" if key == "$Zip" else "list" if _is_list(record["custom"]) else "custom-attribute"
    if "gender" in record:
        return "gender"
    return "date-of-birth" if "dob" in record else "standard-field"


def _is_list(custom: Mapping[str, Any]) -> bool:
    return any(isinstance(value, list) for value in custom.values())
