"""What all profiles share about commerce events: the Braze calls they become, names, and fields as plain values."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .. import commerce as model
from ..commerce import CommerceEvent, Product, ProductAction, Promotion
from .values import number

__all__ = [
    "PRODUCT_TEXTS",
    "PROMOTION_TEXTS",
    "BrazeCall",
    "CustomEvent",
    "Purchase",
    "bundle_name",
    "bundled_purchase",
    "empty_texts",
    "filled_revenue",
    "given_revenue",
    "item_name",
    "order_fields",
    "product_fields",
    "product_total",
    "revenue",
    "step_fields",
    "total_name",
]

_NUMERIC = frozenset({
    "Item Price", "Quantity", "Position", "Total Product Amount", "Checkout Step", "Shipping Amount", "Tax Amount",
})  # fmt: skip

#: The texts of a product and of a promotion that may be given as empty ones: label -> field.
PRODUCT_TEXTS: Mapping[str, str] = {
    "Coupon Code": "coupon_code",
    "Brand": "brand",
    "Category": "category",
    "Variant": "variant",
}
PROMOTION_TEXTS: Mapping[str, str] = {"Id": "id", "Name": "name", "Creative": "creative", "Position": "position"}


@dataclass(frozen=True, slots=True)
class CustomEvent:
    """A Braze custom event a commerce event becomes.

    Attributes:
        name: Its name.
        properties: Its properties.
        matched: The attributes that may drive user attributes, where the platform matches them for this event.
    """

    name: str
    properties: dict[str, Any]
    matched: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Purchase:
    """A Braze purchase a commerce event becomes."""

    product_id: str
    price: Any
    currency: str | None
    quantity: Any
    properties: dict[str, Any]


BrazeCall = CustomEvent | Purchase


def bundled_purchase(price: Any, currency: str | None, properties: dict[str, Any]) -> Purchase:
    """The one purchase that stands for a whole order when commerce events are bundled."""
    return Purchase("eCommerce - purchase", price, currency, 1, properties)


def bundle_name(action: str) -> str:
    """The name of a bundled event: ``eCommerce - add_to_cart``."""
    return f"eCommerce - {action}"


def item_name(action: str) -> str:
    """The name of one item's event: ``eCommerce - add_to_cart - Item``."""
    return f"eCommerce - {action} - Item"


def total_name(action: ProductAction) -> str:
    """The name of an order's own event: ``eCommerce - refund - Total``."""
    return f"eCommerce - {action.value} - Total"


def product_total(product: Product) -> int | float | None:
    """Price times quantity; ``None`` if that is no finite number."""
    return number(product.total_amount)


def revenue(event: CommerceEvent) -> int | float | None:
    """The revenue given, else products + shipping + tax; ``None`` if there are neither revenue nor products."""
    given = given_revenue(event)
    return given if given is not None or not event.products else filled_revenue(event)


def given_revenue(event: CommerceEvent) -> int | float | None:
    """The revenue given, if one is."""
    return None if event.transaction is None else number(event.transaction.revenue)


def filled_revenue(event: CommerceEvent) -> int | float:
    """The revenue given, else products + shipping + tax: 0 when there are none.

    Source: Android and Apple cores, which fill in a missing revenue before any kit sees the event.
    """
    given = given_revenue(event)
    if given is not None:
        return given
    transaction = event.transaction
    parts = [product_total(product) for product in event.products]
    if transaction is not None:
        parts += [number(transaction.shipping), number(transaction.tax)]
    # One after the other: sum() adds floats more exactly from Python 3.12 on, so the total would depend on it.
    return functools.reduce(operator.add, [part for part in parts if part is not None], 0)


def product_fields(product: Product) -> dict[str, Any]:
    """The fields of a product that are given, under their labels."""
    return _plain_numbers(model.product_fields(product))


def empty_texts(item: Product | Promotion, labels: Mapping[str, str]) -> dict[str, str]:
    """The texts given as empty ones, which :func:`product_fields` leaves out and some platforms send."""
    return {label: "" for label, name in labels.items() if getattr(item, name) == ""}


def order_fields(event: CommerceEvent, total: int | float | None) -> dict[str, Any]:
    """The fields of the transaction that are given, with ``Total Amount`` as told."""
    fields = {**model.transaction_fields(event), "Total Amount": total}
    return _plain_numbers(fields)


def step_fields(event: CommerceEvent) -> dict[str, Any]:
    """The fields of the action itself that are given: checkout step and options, list name and source."""
    fields = model.action_fields(event)
    fields.pop("Currency Code", None)
    return _plain_numbers(fields)


def _plain_numbers(fields: Mapping[str, Any]) -> dict[str, Any]:
    converted = {label: number(value) if label in _NUMERIC else value for label, value in fields.items()}
    return {label: value for label, value in converted.items() if value is not None}
