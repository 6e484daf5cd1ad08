"""Braze's recommended eCommerce events: names, fields and types, checked far more strictly than other events.

The Web SDK knows four of the six; cancellations and refunds are checked as Braze's servers check them.

Source: Braze's schema of recommended eCommerce events, with the Web SDK's limits; fields that it does not name
are dropped, optional ones that are ``None`` left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ..encoding import MAX_PROPERTY_BYTES, compact, plain, plain_scalar, size
from ..refusal import Refused
from .purchases import currency_code
from .values import characters, required_text, unwrapped

__all__ = ["ECOMMERCE_EVENTS", "ecommerce_event", "ecommerce_properties"]

MAX_TEXT = 255
CART_ACTIONS = ("add", "remove", "replace")

Amiss = Callable[[str, str], object]
"""Told the field and what does not go as it was given, while the rest does."""


def _text(value: Any, field: str, _amiss: Amiss) -> str:
    value = unwrapped(value)
    if not isinstance(value, str) or not 1 <= characters(value) <= MAX_TEXT:
        raise Refused(f"{field} must be text of 1 to {MAX_TEXT} characters", field)
    return str.__str__(value)


def _number(value: Any, field: str, _amiss: Amiss) -> int | float:
    number = None if isinstance(unwrapped(value), str) else plain_scalar(value)
    if (type(number) is not int and type(number) is not float) or number < 0:
        raise Refused(f"{field} must be a number from 0 up", field)
    return number


def _count(value: Any, field: str, amiss: Amiss) -> int:
    number = _number(value, field, amiss)
    if number != int(number):
        raise Refused(f"{field} must be a whole number", field)
    return int(number)


def _currency(value: Any, field: str, _amiss: Amiss) -> str:
    if value is None:
        raise Refused(f"{field} is required", field)
    return currency_code(value)


def _action(value: Any, field: str, _amiss: Amiss) -> str:
    value = unwrapped(value)
    if value not in CART_ACTIONS:
        raise Refused(f"{field} must be one of {', '.join(CART_ACTIONS)}", field)
    return str(value)


def _texts(value: Any, field: str, amiss: Amiss) -> list[str]:
    if not isinstance(value, list | tuple):
        raise Refused(f"{field} must be a list of texts", field)
    return [_text(member, field, amiss) for member in value]


def _any_list(value: Any, field: str, amiss: Amiss) -> Any:
    if not isinstance(value, list | tuple):
        raise Refused(f"{field} must be a list", field)
    return plain(value, partial(amiss, field))


def _metadata(value: Any, field: str, amiss: Amiss) -> Any:
    members = plain(value, partial(amiss, field))
    if not isinstance(members, dict):
        raise Refused(f"{field} must be an object", field)
    kept = {}
    for key, member in members.items():
        if not 1 <= characters(key) <= MAX_TEXT or key.startswith("$"):
            raise Refused(f"a key of {field} must have 1 to {MAX_TEXT} characters and no leading $", field)
        if member is not None:
            kept[key] = member
    if size(compact(kept)) > MAX_PROPERTY_BYTES:
        raise Refused(f"{field} must not exceed {MAX_PROPERTY_BYTES} bytes", field)
    return kept


def _products(value: Any, field: str, amiss: Amiss) -> list[dict[str, Any]]:
    if not isinstance(value, list | tuple):
        raise Refused(f"{field} must be a list of products", field)
    return [_fields(product, PRODUCT, field, amiss) for product in value]


Check = Callable[[Any, str, Amiss], Any]
Schema = Mapping[str, tuple[Check, bool]]
REQUIRED, OPTIONAL = True, False

PRODUCT: Schema = {
    "product_id": (_text, REQUIRED),
    "product_name": (_text, REQUIRED),
    "variant_id": (_text, REQUIRED),
    "quantity": (_count, REQUIRED),
    "price": (_number, REQUIRED),
    "image_url": (_text, OPTIONAL),
    "product_url": (_text, OPTIONAL),
    "metadata": (_metadata, OPTIONAL),
}
_SALE: Schema = {
    "currency": (_currency, REQUIRED),
    "source": (_text, REQUIRED),
    "products": (_products, REQUIRED),
    "total_value": (_number, REQUIRED),
}
_AMOUNTS: Schema = {
    "subtotal_value": (_number, OPTIONAL),
    "tax": (_number, OPTIONAL),
    "shipping": (_number, OPTIONAL),
}
_DISCOUNTS: Schema = {"total_discounts": (_number, OPTIONAL), "discounts": (_any_list, OPTIONAL)}
_METADATA: Schema = {"metadata": (_metadata, OPTIONAL)}

ECOMMERCE_EVENTS: Mapping[str, Schema] = {
    "ecommerce.product_viewed": {
        "product_id": (_text, REQUIRED),
        "product_name": (_text, REQUIRED),
        "variant_id": (_text, REQUIRED),
        "price": (_number, REQUIRED),
        "currency": (_currency, REQUIRED),
        "source": (_text, REQUIRED),
        "image_url": (_text, OPTIONAL),
        "product_url": (_text, OPTIONAL),
        "type": (_texts, OPTIONAL),
        **_METADATA,
    },
    "ecommerce.cart_updated": {
        "cart_id": (_text, REQUIRED),
        "action": (_action, OPTIONAL),
        **_SALE,
        **_AMOUNTS,
        **_METADATA,
    },
    "ecommerce.checkout_started": {
        "checkout_id": (_text, REQUIRED),
        "cart_id": (_text, OPTIONAL),
        **_SALE,
        **_AMOUNTS,
        **_METADATA,
    },
    "ecommerce.order_placed": {
        "order_id": (_text, REQUIRED),
        "cart_id": (_text, OPTIONAL),
        **_SALE,
        **_AMOUNTS,
        **_DISCOUNTS,
        **_METADATA,
    },
    "ecommerce.order_cancelled": {
        "order_id": (_text, REQUIRED),
        "cancel_reason": (_text, REQUIRED),
        **_SALE,
        **_AMOUNTS,
        **_DISCOUNTS,
        **_METADATA,
    },
    "ecommerce.order_refunded": {
        "order_id": (_text, REQUIRED),
        **_SALE,
        **_DISCOUNTS,
        **_METADATA,
    },
}
"""The fields of each event: how each is checked, and whether it is required."""


def ecommerce_event(event: Any, amiss: Amiss) -> tuple[str, str]:
    """Name and checked properties (as compact JSON) of ``{"name": ..., "properties": {...}}``.

    Raises:
        Refused: An unknown event, or a field that is missing or of the wrong kind.
    """
    if not isinstance(event, Mapping):
        raise Refused(f"an eCommerce event must be a mapping, not {type(event).__name__}")
    name = required_text(event.get("name"), "event name")
    return name, ecommerce_properties(name, event.get("properties"), amiss)


def ecommerce_properties(name: str, properties: Any, amiss: Amiss) -> str:
    """The checked properties of an eCommerce event as compact JSON.

    Raises:
        Refused: An unknown event, or a field that is missing or of the wrong kind.
    """
    schema = ECOMMERCE_EVENTS.get(name)
    if schema is None:
        raise Refused(f"no such eCommerce event; known are {', '.join(ECOMMERCE_EVENTS)}", name)
    try:
        if name == "ecommerce.cart_updated":
            properties, schema = _cart(properties, schema)
        return compact(_fields(properties, schema, "properties", amiss))
    except Refused as refused:
        raise Refused(refused.reason, name) from None
    except RecursionError:
        raise Refused("properties are nested too deeply", name) from None
    except Exception as error:  # the caller's own classes run here
        raise Refused(f"properties could not be read ({type(error).__name__})", name) from error


def _cart(properties: Any, schema: Schema) -> tuple[Any, Schema]:
    """The action of a cart update is always sent; only ``replace``, the default, needs a total."""
    if not isinstance(properties, Mapping):
        return properties, schema
    action = unwrapped(properties.get("action"))
    properties = {**properties, "action": "replace" if action is None else action}
    return properties, {**schema, "total_value": (_number, properties["action"] == "replace")}


def _fields(values: Any, schema: Schema, what: str, amiss: Amiss) -> dict[str, Any]:
    if not isinstance(values, Mapping):
        raise Refused(f"{what} must be an object", what)
    checked = {}
    for field, (check, required) in schema.items():
        value = values.get(field)
        if value is not None:
            checked[field] = check(value, field, amiss)
        elif required:
            raise Refused(f"{field} is required", field)
    return checked
