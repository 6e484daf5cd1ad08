"""Braze's recommended eCommerce events: six names with a fixed shape. An event that breaks it is dropped whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .currencies import ISO_4217

__all__ = ["ECOMMERCE_EVENTS", "broken_rule", "is_recommended"]

Check = Callable[[Any], bool]


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _money(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0


def _object(value: Any) -> bool:
    return isinstance(value, Mapping)


def _currency(value: Any) -> bool:
    return isinstance(value, str) and value.upper() in ISO_4217


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _discounts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, Mapping) for item in value)


def _cart_action(value: Any) -> bool:
    return value in ("add", "remove", "replace")


def _products(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(_object(item) for item in value)


_ORDER_REQUIRED: Mapping[str, Check] = {
    "order_id": _text,
    "currency": _currency,
    "source": _text,
    "products": _products,
    "total_value": _money,
}
_AMOUNTS: Mapping[str, Check] = {"subtotal_value": _money, "tax": _money, "shipping": _money}
_DISCOUNTS: Mapping[str, Check] = {"total_discounts": _money, "discounts": _discounts}

_PRODUCT_REQUIRED: Mapping[str, Check] = {
    "product_id": _text,
    "product_name": _text,
    "variant_id": _text,
    "quantity": _whole,
    "price": _money,
}
_PRODUCT_OPTIONAL: Mapping[str, Check] = {"image_url": _text, "product_url": _text, "metadata": _object}

ECOMMERCE_EVENTS: Mapping[str, tuple[Mapping[str, Check], Mapping[str, Check]]] = {
    "ecommerce.product_viewed": (
        {
            "product_id": _text,
            "product_name": _text,
            "variant_id": _text,
            "price": _money,
            "currency": _currency,
            "source": _text,
        },
        {"image_url": _text, "product_url": _text, "type": _texts, "metadata": _object},
    ),
    "ecommerce.cart_updated": (
        {"cart_id": _text, "currency": _currency, "source": _text, "products": _products, "total_value": _money},
        {"action": _cart_action, **_AMOUNTS, "metadata": _object},
    ),
    "ecommerce.checkout_started": (
        {"checkout_id": _text, "currency": _currency, "source": _text, "products": _products, "total_value": _money},
        {"cart_id": _text, **_AMOUNTS, "metadata": _object},
    ),
    "ecommerce.order_placed": (_ORDER_REQUIRED, {"cart_id": _text, **_AMOUNTS, **_DISCOUNTS, "metadata": _object}),
    "ecommerce.order_cancelled": (
        {**_ORDER_REQUIRED, "cancel_reason": _text},
        {**_AMOUNTS, **_DISCOUNTS, "metadata": _object},
    ),
    "ecommerce.order_refunded": (_ORDER_REQUIRED, {**_DISCOUNTS, "metadata": _object}),
}
"""Event name -> (required properties, optional properties). Names are case-sensitive."""


def is_recommended(name: object) -> bool:
    """Whether an event of this name must have the fixed shape."""
    return isinstance(name, str) and name in ECOMMERCE_EVENTS


def broken_rule(name: str, properties: Mapping[str, Any]) -> str | None:
    """Which rule a recommended event breaks, in Braze's words; ``None`` if none.

    Returns:
        ``missing_property``, ``extra_property`` or ``unexpected_data_type``.
    """
    required, optional = ECOMMERCE_EVENTS[name]
    if name == "ecommerce.cart_updated" and properties.get("action") in ("add", "remove"):
        required = {key: check for key, check in required.items() if key != "total_value"}
        optional = {**optional, "total_value": _money}
    broken = _broken_shape(properties, required, optional)
    if broken is not None or "products" not in required:
        return broken
    for product in properties["products"]:
        broken = _broken_shape(product, _PRODUCT_REQUIRED, _PRODUCT_OPTIONAL)
        if broken is not None:
            return broken
    return None


def _broken_shape(
    properties: Mapping[str, Any], required: Mapping[str, Check], optional: Mapping[str, Check]
) -> str | None:
    if any(properties.get(key) is None for key in required):
        return "missing_property"
    if any(key not in required and key not in optional for key in properties):
        return "extra_property"
    checks = {**required, **optional}
    if not all(checks[key](value) for key, value in properties.items() if value is not None):
        return "unexpected_data_type"
    return None
