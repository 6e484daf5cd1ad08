"""The public rules of mParticle's Events API: fields, types and limits of batches, events and what is in them."""

from __future__ import annotations

import json
import re
from typing import Any

from .part import require

__all__ = ["check_batches"]

MAX_REQUEST, MAX_BATCH, MAX_BATCHES = 256 * 1000, 128 * 1000, 100
MAX_ATTRIBUTES, MAX_KEY, MAX_VALUE, MAX_LIST, MAX_ENTRY = 100, 256, 4096, 1000, 512

BATCH_FIELDS: dict[str, Any] = {
    "source_request_id": str,
    "environment": str,
    "mpid": int,
    "mp_deviceid": str,
    "timestamp_unixtime_ms": int,
    "sdk_version": str,
    "events": list,
    "user_attributes": dict,
    "deleted_user_attributes": list,
    "user_identities": dict,
    "consent_state": dict,
    "device_info": dict,
    "application_info": dict,
    "integration_attributes": dict,
    "partner_identities": dict,
    "context": dict,
    "ip": str,
}
COMMON = {
    "timestamp_unixtime_ms", "source_message_id", "session_uuid", "session_start_unixtime_ms", "custom_attributes",
    "location", "device_current_state",
}  # fmt: skip
EVENTS: dict[str, tuple[set[str], set[str]]] = {
    "custom_event": ({"event_name", "custom_event_type"}, {"custom_flags"}),
    "screen_view": ({"screen_name"}, {"custom_flags"}),
    "commerce_event": (
        set(),
        {
            "product_action", "promotion_action", "product_impressions", "currency_code", "screen_name",
            "is_non_interactive", "custom_flags",
        },
    ),
    "session_start": (set(), set()),
    "session_end": ({"session_duration_ms"}, set()),
    "user_attribute_change": ({"user_attribute_name", "new", "old", "deleted", "is_new_attribute"}, set()),
    "user_identity_change": ({"new", "old"}, set()),
    "opt_out": ({"is_opted_out"}, set()),
    "push_registration": ({"register", "registration_token"}, set()),
    "application_state_transition": ({"application_transition_type"}, {"is_first_run", "is_upgrade"}),
}  # fmt: skip
"""Required and optional fields of each type of event."""

EVENT_TYPES = {
    "navigation", "location", "search", "transaction", "user_content", "user_preference", "social", "other", "media",
    "attribution", "unknown",
}  # fmt: skip
IDENTITIES = {
    "other", "customer_id", "facebook", "twitter", "google", "microsoft", "yahoo", "email", "alias",
    "facebook_custom_audience_id", "mobile_number", "phone_number_2", "phone_number_3",
    *(f"other_id_{number}" for number in range(2, 11)),
}  # fmt: skip
ACTIONS = {
    "add_to_cart", "remove_from_cart", "checkout", "checkout_option", "click", "view_detail", "purchase", "refund",
    "add_to_wishlist", "remove_from_wish_list",
}  # fmt: skip
TRANSITIONS = {
    "application_initialized", "application_exit", "application_background", "application_foreground",
}  # fmt: skip
PRODUCT = {
    "id", "name", "brand", "category", "variant", "position", "price", "quantity", "coupon_code",
    "total_product_amount", "custom_attributes",
}  # fmt: skip
PRODUCT_ACTION = {
    "action", "transaction_id", "affiliation", "coupon_code", "total_amount", "tax_amount", "shipping_amount",
    "checkout_step", "checkout_options", "product_action_list", "product_list_source", "products",
}  # fmt: skip
PROMOTION = {"id", "name", "creative", "position"}
CONSENT = {"consented", "timestamp_unixtime_ms", "document", "location", "hardware_id"}
UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def check_batches(batches: Any, raw: bytes) -> None:
    """Refuse a request's batches unless all of them keep the rules."""
    require(len(raw) <= MAX_REQUEST, f"a request has at most {MAX_REQUEST} bytes")
    require(isinstance(batches, list) and 0 < len(batches) <= MAX_BATCHES, "an array of 1 to 100 batches")
    for batch in batches:
        check_batch(batch)


def check_batch(batch: Any) -> None:
    """One batch: one user, and one session."""
    require(isinstance(batch, dict), "a batch is an object")
    require(len(json.dumps(batch, separators=(",", ":"))) <= MAX_BATCH, f"a batch has at most {MAX_BATCH} bytes")
    for name, value in batch.items():
        require(name in BATCH_FIELDS, f"a batch has no field {name}")
        require(isinstance(value, BATCH_FIELDS[name]) and not isinstance(value, bool), f"the type of {name}")
    require(batch.get("environment") in ("production", "development"), "environment is production or development")
    require(UUID.fullmatch(batch.get("source_request_id", "")), "source_request_id is a UUID")
    check_user(batch)
    require(batch.get("events"), "a batch has events")
    for event in batch["events"]:
        check_event(event)
    sessions = {event["data"].get("session_uuid") for event in batch["events"]}
    require(len(sessions) == 1, "a batch is of one session")


def check_user(batch: Any) -> None:
    """What a batch says of its user."""
    identities, attributes = batch.get("user_identities", {}), batch.get("user_attributes", {})
    deleted = batch.get("deleted_user_attributes", [])
    require(set(identities) <= IDENTITIES, f"identity types, not {set(identities) - IDENTITIES}")
    require(all(isinstance(value, str) for value in identities.values()), "identities are texts")
    for key, value in attributes.items():
        check_user_attribute(key, value)
    require(all(isinstance(key, str) for key in deleted), "deleted attributes are names")
    require(not set(attributes) & set(deleted), "an attribute is set or deleted, not both")
    consent = batch.get("consent_state", {})
    require(set(consent) <= {"gdpr", "ccpa"}, "consent is of gdpr or ccpa")
    for purpose, record in consent.get("gdpr", {}).items():
        require(purpose and purpose == purpose.strip().lower(), "a purpose is trimmed and lower-case")
        check_consent(record)
    if "ccpa" in consent:
        require(set(consent["ccpa"]) == {"data_sale_opt_out"}, "ccpa has one purpose")
        check_consent(consent["ccpa"]["data_sale_opt_out"])


def check_consent(record: Any) -> None:
    """One answer."""
    require(isinstance(record["consented"], bool), "consented is a boolean")
    require(isinstance(record["timestamp_unixtime_ms"], int), "consent has a time")
    require(set(record) <= CONSENT, f"consent has no {set(record) - CONSENT}")


def check_user_attribute(key: str, value: Any) -> None:
    """One user attribute."""
    require(0 < len(key) <= MAX_KEY, "the length of a user attribute's name")
    if isinstance(value, list):
        require(len(value) <= MAX_LIST, "the length of a list")
        require(all(isinstance(entry, str) and len(entry) <= MAX_ENTRY for entry in value), "entries of a list")
    else:
        check_scalar(value)


def check_scalar(value: Any) -> None:
    """The value of an attribute."""
    require(value is None or isinstance(value, str | int | float | bool), "an attribute is a scalar")
    require(not isinstance(value, str) or len(value) <= MAX_VALUE, "the length of an attribute")


def check_custom_attributes(attributes: Any) -> None:
    """The attributes of an event or a product."""
    require(isinstance(attributes, dict) and 0 < len(attributes) <= MAX_ATTRIBUTES, "1 to 100 custom attributes")
    for key, value in attributes.items():
        require(len(key) <= MAX_KEY, "the length of an attribute's name")
        check_scalar(value)


def check_event(event: Any) -> None:
    """One event."""
    require(set(event) == {"event_type", "data"}, "an event has a type and data")
    kind, data = event["event_type"], event["data"]
    require(kind in EVENTS, f"there is no event type {kind}")
    required, optional = EVENTS[kind]
    require(required <= set(data), f"{kind} lacks {required - set(data)}")
    unknown = set(data) - required - optional - COMMON
    require(not unknown, f"{kind} has no {unknown}")
    require(isinstance(data.get("timestamp_unixtime_ms"), int), "an event has a time")
    require(UUID.fullmatch(data.get("source_message_id", "")), "source_message_id is a UUID")
    if "session_uuid" in data:
        require(UUID.fullmatch(data["session_uuid"]), "session_uuid is a UUID")
        require(isinstance(data["session_start_unixtime_ms"], int), "a session has a start")
    if "custom_attributes" in data:
        check_custom_attributes(data["custom_attributes"])
    if kind == "custom_event":
        require(0 < len(data["event_name"]) <= MAX_KEY, "the length of an event's name")
        require(data["custom_event_type"] in EVENT_TYPES, "the custom event type")
    elif kind == "screen_view":
        require(0 < len(data["screen_name"]) <= MAX_KEY, "the length of a screen's name")
    elif kind == "commerce_event":
        check_commerce(data)
    elif kind == "user_identity_change":
        sides = [side for side in (data["old"], data["new"]) if side is not None]
        require(sides and all(side["identity_type"] in IDENTITIES for side in sides), "an identity change")
    elif kind == "application_state_transition":
        require(data["application_transition_type"] in TRANSITIONS, "the application's transition")


def check_commerce(data: Any) -> None:
    """One commerce event."""
    parts = {"product_action", "promotion_action", "product_impressions"} & set(data)
    require(len(parts) == 1, "a commerce event has one of product action, promotion action, impressions")
    products = []
    if "product_action" in data:
        action = data["product_action"]
        require(action["action"] in ACTIONS and set(action) <= PRODUCT_ACTION, "a product action")
        products = action["products"]
    elif "promotion_action" in data:
        action = data["promotion_action"]
        require(action["action"] in ("view", "click"), "a promotion action")
        require(all(set(promotion) <= PROMOTION for promotion in action["promotions"]), "a promotion's fields")
    else:
        for shown in data["product_impressions"]:
            require(isinstance(shown["product_impression_list"], str), "an impression names its list")
            products += shown["products"]
    for product in products:
        check_product(product)


def check_product(product: Any) -> None:
    """One product."""
    require(set(product) <= PRODUCT and isinstance(product["id"], str), "a product's fields")
    for name in ("price", "quantity", "total_product_amount"):
        amount = product.get(name, 0)
        require(isinstance(amount, int | float) and not isinstance(amount, bool), f"a product's {name} is a number")
    if product.get("custom_attributes"):
        check_custom_attributes(product["custom_attributes"])
