"""Commerce events: products, promotions, impressions, transactions, and their expansion into plain events.

The values check themselves when they are made, so that a mistake raises at the line that made it, and copy
the containers they are given.
"""

from __future__ import annotations

import enum
import functools
import numbers
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from .errors import InvalidArgumentError
from .events import Event, EventType
from .values import check_name, check_timestamp, copy_attributes, describe

__all__ = [
    "CommerceEvent",
    "Impression",
    "Product",
    "ProductAction",
    "Promotion",
    "PromotionAction",
    "TransactionAttributes",
    "action_fields",
    "expand",
    "product_fields",
    "promotion_fields",
    "transaction_fields",
]

DEFAULT_CURRENCY = "USD"


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


COMMERCE_TYPES: dict[ProductAction | PromotionAction, int] = {
    ProductAction.ADD_TO_CART: 10,
    ProductAction.REMOVE_FROM_CART: 11,
    ProductAction.CHECKOUT: 12,
    ProductAction.CHECKOUT_OPTION: 13,
    ProductAction.CLICK: 14,
    ProductAction.VIEW_DETAIL: 15,
    ProductAction.PURCHASE: 16,
    ProductAction.REFUND: 17,
    PromotionAction.VIEW: 18,
    PromotionAction.CLICK: 19,
    ProductAction.ADD_TO_WISHLIST: 20,
    ProductAction.REMOVE_FROM_WISHLIST: 21,
}
IMPRESSION_TYPE = 22


@dataclass(frozen=True, slots=True)
class Product:
    """A product in a commerce event.

    Args:
        name: Its name, not empty.
        sku: Its stock keeping unit, not empty.
        price: The price of one, in the event's currency.
        quantity: How many, 0 or more; fractions are allowed.
        variant: Such as a colour or size.
        category: Its category.
        brand: Its brand.
        position: Its place in a list.
        coupon_code: A coupon used for it.
        attributes: Attributes of one's own; copied.

    Raises:
        InvalidArgumentError: The name or SKU is missing, the quantity negative, or a type is wrong.
    """

    name: str
    sku: str
    price: float | Decimal
    quantity: float | Decimal = 1
    variant: str | None = field(default=None, kw_only=True)
    category: str | None = field(default=None, kw_only=True)
    brand: str | None = field(default=None, kw_only=True)
    position: int | None = field(default=None, kw_only=True)
    coupon_code: str | None = field(default=None, kw_only=True)
    attributes: Mapping[str, Any] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_name(self.name, "product name")
        check_name(self.sku, "product sku")
        _check_amount(self.price, "product price")
        _check_amount(self.quantity, "product quantity")
        if self.quantity < 0:
            raise InvalidArgumentError(f"product quantity must be 0 or more, not {self.quantity}")
        for what in ("variant", "category", "brand", "coupon_code"):
            _check_text(getattr(self, what), f"product {what}")
        _check_integer(self.position, "product position")
        _own_attributes(self, "product attributes")

    @property
    def total_amount(self) -> float | Decimal:
        """Price times quantity."""
        return _multiply(self.price, self.quantity)


@dataclass(frozen=True, slots=True)
class Promotion:
    """A promotion (a banner, an offer) in a commerce event; every part is optional text."""

    id: str | None = None
    name: str | None = None
    creative: str | None = None
    position: str | None = None

    def __post_init__(self) -> None:
        for what in ("id", "name", "creative", "position"):
            _check_text(getattr(self, what), f"promotion {what}")


@dataclass(frozen=True, slots=True)
class Impression:
    """A list of products that was shown.

    Args:
        name: The name of the list.
        products: The products in it.
    """

    name: str
    products: Sequence[Product] = ()

    def __post_init__(self) -> None:
        check_name(self.name, "impression name")
        object.__setattr__(self, "products", _members(self.products, Product, "impression products"))


@dataclass(frozen=True, slots=True)
class TransactionAttributes:
    """What concerns an order as a whole.

    Args:
        id: The order's id. A purchase without one is still sent.
        affiliation: The shop or affiliate.
        coupon_code: A coupon used for the order.
        revenue: The total; if missing, kits take products + shipping + tax.
        shipping: The cost of shipping.
        tax: The tax.
    """

    id: str | None = None
    affiliation: str | None = None
    coupon_code: str | None = None
    revenue: float | Decimal | None = None
    shipping: float | Decimal | None = None
    tax: float | Decimal | None = None

    def __post_init__(self) -> None:
        for what in ("id", "affiliation", "coupon_code"):
            _check_text(getattr(self, what), f"transaction {what}")
        for what in ("revenue", "shipping", "tax"):
            if getattr(self, what) is not None:
                _check_amount(getattr(self, what), f"transaction {what}")


@dataclass(frozen=True, slots=True)
class CommerceEvent:
    """A product action, a promotion action or impressions; at least one of the three.

    Args:
        product_action: What happened to ``products``.
        products: The products.
        transaction: The order they belong to.
        currency: ISO 4217 code; kits take USD if missing.
        checkout_step: The number of the checkout step.
        checkout_options: What was chosen in it.
        product_list_name: The list in which the products were met.
        product_list_source: Where that list was.
        promotion_action: What happened to ``promotions``.
        promotions: The promotions.
        impressions: The lists of products that were shown.
        attributes: Attributes of one's own; copied.
        timestamp: When it happened: seconds since the epoch or a date-time; ``None`` for now.

    Raises:
        InvalidArgumentError: Nothing happened in it, or a type is wrong.
    """

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

    def __post_init__(self) -> None:
        _check_type(self.product_action, ProductAction, "product_action")
        _check_type(self.promotion_action, PromotionAction, "promotion_action")
        _check_type(self.transaction, TransactionAttributes, "transaction")
        for what in ("currency", "checkout_options", "product_list_name", "product_list_source"):
            _check_text(getattr(self, what), what)
        _check_integer(self.checkout_step, "checkout_step")
        object.__setattr__(self, "products", _members(self.products, Product, "products"))
        object.__setattr__(self, "promotions", _members(self.promotions, Promotion, "promotions"))
        object.__setattr__(self, "impressions", _members(self.impressions, Impression, "impressions"))
        object.__setattr__(self, "timestamp", check_timestamp(self.timestamp))
        _own_attributes(self, "attributes")
        if self.product_action is None and self.promotion_action is None and not self.impressions:
            raise InvalidArgumentError("a CommerceEvent needs a product_action, a promotion_action or impressions")

    @property
    def commerce_type(self) -> int:
        """MParticle's number for it, 10 to 22: the product action decides, then the promotion action."""
        action = self.product_action or self.promotion_action
        return IMPRESSION_TYPE if action is None else COMMERCE_TYPES[action]

    @property
    def total_amount(self) -> float | Decimal | None:
        """The revenue, or if missing the products + shipping + tax (as Android); ``None`` with neither."""
        transaction = self.transaction
        if transaction is not None and transaction.revenue is not None:
            return transaction.revenue
        if not self.products:
            return None
        amounts: list[Any] = [product.total_amount for product in self.products]
        if transaction is not None:
            amounts += [amount for amount in (transaction.shipping, transaction.tax) if amount is not None]
        # One after the other: sum() adds floats more exactly from Python 3.12 on, so the total would depend on it.
        try:
            total: float | Decimal = functools.reduce(operator.add, amounts)
        except (TypeError, ArithmeticError):
            total = functools.reduce(operator.add, map(float, amounts))
        return total


# -- fields by label ------------------------------------------------------------------------------------------------
# The labels are mParticle's documented ones, the same in every SDK; filters and projections hash them.


def product_fields(product: Product) -> dict[str, Any]:
    """A product's given fields under their labels, without its own attributes."""
    return _given(
        {
            "Coupon Code": product.coupon_code,
            "Brand": product.brand,
            "Category": product.category,
            "Name": product.name,
            "Id": product.sku,
            "Variant": product.variant,
            "Position": product.position,
            "Item Price": product.price,
            "Quantity": product.quantity,
            "Total Product Amount": product.total_amount,
        }
    )


def promotion_fields(promotion: Promotion) -> dict[str, Any]:
    """A promotion's given fields under their labels."""
    return _given(
        {
            "Id": promotion.id,
            "Name": promotion.name,
            "Creative": promotion.creative,
            "Position": promotion.position,
        }
    )


def transaction_fields(event: CommerceEvent) -> dict[str, Any]:
    """The given fields of the event's transaction under their labels; nothing without a transaction."""
    transaction = event.transaction
    if transaction is None:
        return {}
    return _given(
        {
            "Transaction Id": transaction.id,
            "Affiliation": transaction.affiliation,
            "Coupon Code": transaction.coupon_code,
            "Total Amount": event.total_amount,
            "Shipping Amount": transaction.shipping,
            "Tax Amount": transaction.tax,
        }
    )


def action_fields(event: CommerceEvent) -> dict[str, Any]:
    """The event's own fields under their labels, the currency always among them."""
    return _given(
        {
            "Currency Code": event.currency or DEFAULT_CURRENCY,
            "Checkout Step": event.checkout_step,
            "Checkout Options": event.checkout_options,
            "Product Action List": event.product_list_name,
            "Product List Source": event.product_list_source,
        }
    )


# -- expansion ------------------------------------------------------------------------------------------------------


def expand(event: CommerceEvent) -> list[Event]:
    """The plain events of type Transaction that stand for a commerce event, for kits that know no commerce.

    A purchase or refund begins with its ``Total``; then one ``Item`` for each product, promotion and product
    of an impression. Source: Android ``CommerceEventUtils.expand``.
    """
    plain: list[tuple[str, dict[str, Any]]] = []
    own = dict(event.attributes or {})
    if event.product_action is not None:
        action = event.product_action.value
        if event.product_action in (ProductAction.PURCHASE, ProductAction.REFUND):
            plain.append(
                (f"eCommerce - {action} - Total", {**own, **transaction_fields(event), **action_fields(event)})
            )
        order = _given({"Transaction Id": event.transaction.id if event.transaction else None})
        for product in event.products:
            fields = {**product_fields(product), **(product.attributes or {}), **order}
            plain.append((f"eCommerce - {action} - Item", fields))
    if event.promotion_action is not None:
        name = f"eCommerce - {event.promotion_action.value} - Item"
        plain.extend((name, {**own, **promotion_fields(promotion)}) for promotion in event.promotions)
    for impression in event.impressions:
        for product in impression.products:
            fields = {**own, **(product.attributes or {}), **product_fields(product)}
            plain.append(("eCommerce - Impression - Item", {**fields, "Product Impression List": impression.name}))
    return [Event(name, EventType.TRANSACTION, attributes, event.timestamp) for name, attributes in plain]


# -- checks ---------------------------------------------------------------------------------------------------------


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {label: value for label, value in fields.items() if value is not None and value != ""}


def _check_text(value: object, what: str) -> None:
    if value is not None and not isinstance(value, str):
        raise InvalidArgumentError(f"{what} must be a str or None, not {describe(value)}")


def _check_integer(value: object, what: str) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, numbers.Integral)):
        raise InvalidArgumentError(f"{what} must be an int or None, not {describe(value)}")


def _check_amount(value: object, what: str) -> None:
    # NaN and infinities pass: whether to send such a value is each kit's decision, not a wrong call.
    if isinstance(value, bool) or not isinstance(value, numbers.Real | Decimal):
        raise InvalidArgumentError(f"{what} must be an int, float or Decimal, not {describe(value)}")


def _check_type(value: object, kind: type[Any], what: str) -> None:
    if value is not None and not isinstance(value, kind):
        raise InvalidArgumentError(f"{what} must be a {kind.__name__} or None, not {describe(value)}")


def _members(values: object, kind: type[Any], what: str) -> tuple[Any, ...]:
    if isinstance(values, str | bytes | Mapping) or not hasattr(values, "__iter__"):
        raise InvalidArgumentError(f"{what} must be a sequence of {kind.__name__}, not {describe(values)}")
    members = tuple(values)
    for member in members:
        if not isinstance(member, kind):
            raise InvalidArgumentError(f"{what} must hold {kind.__name__} only; one is {describe(member)}")
    return members


def _own_attributes(value: Product | CommerceEvent, what: str) -> None:
    if value.attributes is not None:
        object.__setattr__(value, "attributes", copy_attributes(value.attributes, what))


def _multiply(price: Any, quantity: Any) -> float | Decimal:
    try:
        total: float | Decimal = price * quantity
    except TypeError:  # Decimal times float
        return float(price) * float(quantity)
    except ArithmeticError:  # an int too large for a float; a signalling Decimal
        return float("inf")
    return total
