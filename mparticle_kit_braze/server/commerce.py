"""Commerce events of mParticle as purchases and events of ``/users/track``, expanded or bundled.

Source: mParticle's Braze page (Purchase Events, Other Commerce Events, Common Commerce Fields). The names of the
expanded events are those of the SDK's expansion and the inner fields of a bundle those of the tables: neither is
public for server-to-server.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..commerce import CommerceEvent, Impression, Product, ProductAction, Promotion, TransactionAttributes
from .attributes import Refuse
from .settings import ServerSettings, Typing
from .validation import EVENT_RESERVED, PURCHASE_RESERVED
from .values import MAX_TEXT, JsonObject, UnsupportedValueError, detect, scalar, strip_dollar, typed

__all__ = ["CommerceObjects", "commerce_objects", "event_properties"]

DEFAULT_CURRENCY = "USD"
_TOO_LONG = f"has more than {MAX_TEXT} characters"
MAX_QUANTITY = 100


@dataclass(slots=True)
class CommerceObjects:
    """The objects of one commerce event, without identifier and time."""

    events: list[JsonObject] = field(default_factory=list)
    purchases: list[JsonObject] = field(default_factory=list)

    def add_event(self, name: str, properties: JsonObject) -> None:
        """Add an event; empty properties are left away."""
        self.events.append({"name": name, **({"properties": properties} if properties else {})})


def event_properties(
    settings: ServerSettings,
    attributes: Mapping[str, Any] | None,
    refuse: Refuse,
    *,
    reserved: frozenset[str] = EVENT_RESERVED,
) -> JsonObject:
    """Attributes as properties: ``$`` stripped, typed by setting; what Braze would not take is left out.

    Args:
        settings: The connection's settings.
        attributes: Event or product attributes.
        refuse: Told of each that is left out.
        reserved: Property names that Braze does not take there.
    """
    properties: JsonObject = {}
    typing = settings.event_typing
    as_it_is = typing != "detected"
    for key, value in (attributes or {}).items():
        if value is None:
            continue
        name, problem = _property_name(key, reserved)
        if problem:
            refuse(name[:40], problem)
        elif type(value) is str and len(value) <= MAX_TEXT:  # the common case, at once
            properties[name] = value if as_it_is else detect(value)
        else:
            try:
                properties[name] = _property(typing, value)
            except UnsupportedValueError as error:
                refuse(name[:40], str(error))
    return properties


@functools.lru_cache(maxsize=2048)
def _property_name(key: str, reserved: frozenset[str]) -> tuple[str, str]:
    """The name a property goes by, and what is wrong with it (or nothing). The same few keys come again and again."""
    name = strip_dollar(key)
    if not name:
        return name, "its key is empty"
    if len(name) > MAX_TEXT:
        return name, f"its key has more than {MAX_TEXT} characters"
    return name, "its key is reserved by Braze" if name in reserved else ""


def _property(typing: Typing, value: Any) -> str | int | float | bool:
    converted = typed(value, typing)
    if isinstance(converted, str) and len(converted) > MAX_TEXT:
        raise UnsupportedValueError(_TOO_LONG)
    return converted


def commerce_objects(settings: ServerSettings, event: CommerceEvent, refuse: Refuse) -> CommerceObjects:
    """Map one commerce event: its product action, else its promotions, and its impressions."""
    objects = CommerceObjects()
    if settings.bundle_commerce_event_data:
        _bundle(settings, event, refuse, objects)
        return objects
    if event.product_action is not None:
        _expand_products(settings, event.product_action, event, refuse, objects)
    if event.promotion_action is not None:
        shared = event_properties(settings, event.attributes, refuse)
        for promotion in event.promotions:
            name = f"eCommerce - {event.promotion_action.value} - Item"
            objects.add_event(name, {**shared, **_promotion_fields(promotion, refuse)})
    for impression in event.impressions:
        _expand_impression(settings, event, impression, refuse, objects)
    return objects


# -- expanded -----------------------------------------------------------------------------------------------------
def _expand_products(
    settings: ServerSettings, action: ProductAction, event: CommerceEvent, refuse: Refuse, objects: CommerceObjects
) -> None:
    transaction = event.transaction
    if action is ProductAction.PURCHASE and event.products:
        for product in event.products:
            objects.purchases.extend(_purchases(settings, event, product, refuse))
        return
    shared = event_properties(settings, event.attributes, refuse)
    if action is ProductAction.REFUND:
        total = {**shared, **_transaction_id(transaction, refuse), **_amounts(transaction)}
        objects.add_event("eCommerce - refund - Total", total)
    elif not event.products:
        plain = {**shared, **_transaction_id(transaction, refuse), **_amounts(transaction)}
        objects.add_event(f"eCommerce - {action.value}", plain)
    for product in event.products:
        properties = {
            **shared,
            **_transaction_id(transaction, refuse),
            **_item_fields(product, refuse),
            **_common_fields(product, refuse),
            **event_properties(settings, product.attributes, refuse),
        }
        objects.add_event(f"eCommerce - {action.value} - Item", properties)


def _purchases(
    settings: ServerSettings, event: CommerceEvent, product: Product, refuse: Refuse
) -> Sequence[JsonObject]:
    """One purchase; several when the quantity is above what one may have, so that nothing of the revenue is lost."""
    properties = {
        **event_properties(settings, event.attributes, refuse, reserved=PURCHASE_RESERVED),
        **_amounts(event.transaction),
        **_transaction_id(event.transaction, refuse),
        **_common_fields(product, refuse),
        **event_properties(settings, product.attributes, refuse, reserved=PURCHASE_RESERVED),
    }
    price, quantity = _number(product.price), _number(product.quantity)
    if quantity != int(quantity) or quantity < 1:
        price, quantity = round(price * quantity, 6), 1  # half a pound of tea is one purchase at half the price
    purchase = {
        "product_id": product.sku[:MAX_TEXT],
        "currency": _currency(event),
        "price": price,
        **({"properties": properties} if properties else {}),
    }
    purchases = []
    rest = int(quantity)
    while rest > 0:
        purchases.append({**purchase, "quantity": min(rest, MAX_QUANTITY)})
        rest -= MAX_QUANTITY
    return purchases


def _expand_impression(
    settings: ServerSettings, event: CommerceEvent, impression: Impression, refuse: Refuse, objects: CommerceObjects
) -> None:
    shared = event_properties(settings, event.attributes, refuse)
    for product in impression.products:
        properties = {
            **shared,
            **_item_fields(product, refuse),
            **_common_fields(product, refuse),
            **event_properties(settings, product.attributes, refuse),
            **_given(refuse, {"Product Impression List": impression.name}),
        }
        objects.add_event("eCommerce - Impression - Item", properties)


# -- bundled ------------------------------------------------------------------------------------------------------
def _bundle(settings: ServerSettings, event: CommerceEvent, refuse: Refuse, objects: CommerceObjects) -> None:
    attributes = event_properties(settings, event.attributes, refuse)
    nested = {"Attributes": attributes} if attributes else {}
    if event.product_action is not None:
        products = [_bundled_product(settings, product, refuse) for product in event.products]
        properties = {
            **_transaction_id(event.transaction, refuse),
            **_amounts(event.transaction),
            **nested,
            **({"products": products} if products else {}),
        }
        name = f"eCommerce - {event.product_action.value}"
        if event.product_action is ProductAction.PURCHASE and products:
            purchase: JsonObject = {"product_id": name, "currency": _currency(event), "price": _revenue(event)}
            objects.purchases.append({**purchase, "quantity": 1, "properties": properties})
        else:
            objects.add_event(name, properties)
    if event.promotion_action is not None:
        promotions = [_promotion_fields(promotion, refuse) for promotion in event.promotions]
        objects.add_event(f"eCommerce - {event.promotion_action.value}", {**nested, "promotions": promotions})
    if event.impressions:
        impressions = [
            {
                **_given(refuse, {"Product Impression List": impression.name}),
                "products": [_bundled_product(settings, product, refuse) for product in impression.products],
            }
            for impression in event.impressions
        ]
        objects.add_event("eCommerce - Impression", {**nested, "impressions": impressions})


def _bundled_product(settings: ServerSettings, product: Product, refuse: Refuse) -> JsonObject:
    attributes = event_properties(settings, product.attributes, refuse)
    fields = {**_item_fields(product, refuse), **_common_fields(product, refuse)}
    return {**fields, **({"Attributes": attributes} if attributes else {})}


def _revenue(event: CommerceEvent) -> float:
    """The order's revenue; when it is not given, products + shipping + tax, as the SDK's expansion."""
    transaction = event.transaction or TransactionAttributes()
    if transaction.revenue is not None:
        return _number(transaction.revenue)
    products = sum(_number(product.price) * _number(product.quantity) for product in event.products)
    return round(products + _number(transaction.shipping or 0) + _number(transaction.tax or 0), 6)


# -- fields -------------------------------------------------------------------------------------------------------
def _item_fields(product: Product, refuse: Refuse) -> JsonObject:
    quantity = _number(product.quantity)
    return {
        **_given(refuse, {"Id": product.sku}),
        "Price": _number(product.price),
        "Quantity": int(quantity) if quantity == int(quantity) else quantity,
    }


def _common_fields(product: Product, refuse: Refuse) -> JsonObject:
    total = round(_number(product.price) * _number(product.quantity), 6)
    return {
        **_given(refuse, {"Name": product.name, "Category": product.category, "Brand": product.brand}),
        "Total Product Amount": total,
    }


def _promotion_fields(promotion: Promotion, refuse: Refuse) -> JsonObject:
    return _given(
        refuse,
        {
            "Id": promotion.id,
            "Name": promotion.name,
            "Creative": promotion.creative,
            "Position": promotion.position,
        },
    )


def _transaction_id(transaction: TransactionAttributes | None, refuse: Refuse) -> JsonObject:
    return _given(refuse, {"Transaction Id": transaction.id}) if transaction is not None else {}


def _amounts(transaction: TransactionAttributes | None) -> JsonObject:
    if transaction is None:
        return {}
    amounts = {
        "Total Amount": transaction.revenue,
        "Shipping Amount": transaction.shipping,
        "Tax Amount": transaction.tax,
    }
    return {name: _number(amount) for name, amount in amounts.items() if amount is not None}


def _given(refuse: Refuse, fields: JsonObject) -> JsonObject:
    """Without the fields that are missing or empty, or too long: those would cost the whole object."""
    given = {name: value for name, value in fields.items() if value not in (None, "")}
    for name in [name for name, value in given.items() if isinstance(value, str) and len(value) > MAX_TEXT]:
        refuse(name, _TOO_LONG)
        del given[name]
    return given


def _number(value: Any) -> int | float:
    try:
        number = scalar(value)
    except UnsupportedValueError:
        return 0
    return number if isinstance(number, (int, float)) else 0


def _currency(event: CommerceEvent) -> str:
    return event.currency.strip().upper() if event.currency and event.currency.strip() else DEFAULT_CURRENCY
