"""Commerce events: products, promotions, impressions, transactions, and their expansion into plain events."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "CommerceEvent",
    "Impression",
    "Product",
    "ProductAction",
    "Promotion",
    "PromotionAction",
    "TransactionAttributes",
]


class ProductAction(enum.Enum):
    """What happened to the products. The value is the name on the wire."""

    ADD_TO_CART = "add_to_cart"
    REMOVE_FROM_CART = "remove_from_cart"
    CHECKOUT = "checkout"
    CHECKOUT_OPTION = "checkout_option"
    CLICK = "click"
    VIEW_DETAIL = "view_detail"
    PURCHASE = "purchase"
    REFUND = "refund"
    ADD_TO_WISHLIST = "add_to_wishlist"
    REMOVE_FROM_WISHLIST = "remove_from_wishlist"


class PromotionAction(enum.Enum):
    """What happened to the promotions."""

    VIEW = "view"
    CLICK = "click"


@dataclass(frozen=True, slots=True)
class Product:
    """A product in a commerce event."""

    name: str
    sku: str
    price: float
    quantity: float = 1
    variant: str | None = field(default=None, kw_only=True)
    category: str | None = field(default=None, kw_only=True)
    brand: str | None = field(default=None, kw_only=True)
    position: int | None = field(default=None, kw_only=True)
    coupon_code: str | None = field(default=None, kw_only=True)
    attributes: Mapping[str, Any] | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class Promotion:
    """A promotion (a banner, an offer) in a commerce event."""

    id: str | None = None
    name: str | None = None
    creative: str | None = None
    position: str | None = None


@dataclass(frozen=True, slots=True)
class Impression:
    """A list of products that was shown."""

    name: str
    products: Sequence[Product] = ()


@dataclass(frozen=True, slots=True)
class TransactionAttributes:
    """What concerns an order as a whole."""

    id: str | None = None
    affiliation: str | None = None
    coupon_code: str | None = None
    revenue: float | None = None
    shipping: float | None = None
    tax: float | None = None


@dataclass(frozen=True, slots=True)
class CommerceEvent:
    """A product action, a promotion action or impressions."""

    product_action: ProductAction | None = None
    products: Sequence[Product] = ()
    transaction: TransactionAttributes | None = None
    currency: str | None = None
    checkout_step: int | None = None
    checkout_options: str | None = None
    product_list_name: str | None = None
    product_list_source: str | None = None
    promotion_action: PromotionAction | None = None
    promotions: Sequence[Promotion] = ()
    impressions: Sequence[Impression] = ()
    attributes: Mapping[str, Any] | None = None
    timestamp: float | None = None
