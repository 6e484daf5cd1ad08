"""The web profile: what mParticle's Web SDK with its Braze kit sends."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from ...commerce import CommerceEvent, Product, ProductAction, promotion_fields
from ...overriding import override
from .. import attributes as user_fields
from .. import setting_values as read
from ..commerce import (
    PRODUCT_TEXTS,
    BrazeCall,
    CustomEvent,
    Purchase,
    bundle_name,
    bundled_purchase,
    empty_texts,
    given_revenue,
    item_name,
    order_fields,
    product_fields,
    product_total,
    step_fields,
    total_name,
)
from ..settings import SettingRules
from ..values import UnsupportedValueError, number, plain
from .base import Profile

if TYPE_CHECKING:  # the adapter is loaded when a client starts
    from ...braze import BrazeUser

__all__ = ["WebProfile"]

_FIELDS: Mapping[str, str] = {
    "$FirstName": "first_name",
    "$LastName": "last_name",
    "$Gender": "gender",
    "$Country": "country",
    "$City": "home_city",
    "$Mobile": "phone",
    "Email": "email",
    "first_name": "first_name",
    "last_name": "last_name",
    "email": "email",
    "gender": "gender",
    "country": "country",
    "home_city": "home_city",
    "phone": "phone",
    "email_subscribe": "email_subscribe",
    "push_subscribe": "push_subscribe",
}
_ORDER_FIELDS_IN_BUNDLES = ("Transaction Id", "Total Amount", "Tax Amount", "Shipping Amount", "Affiliation")


class WebProfile(Profile):
    """Native types, leading ``$`` stripped from keys and values, product name as the product id.

    What only a browser has is left out: a page's host and title among screen properties, and its path as the name of a
    screen without ``setEventNameForPageView``. A screen always gives its own name.

    Source: Braze web kit (``BrazeKit-dev.js``) on the web core (``ecommerce.js``, ``helpers.js``).
    """

    name = "web"
    rules: ClassVar[SettingRules] = SettingRules(boolean=read.exact_boolean, javascript_endpoint=True)
    source = "web"
    attribute_rule_for_screens = True
    keys_in_any_case = True

    # -- events ---------------------------------------------------------------------------------------------------
    @override
    def event_name(self, name: str) -> str | None:
        return name.lstrip("$")

    @override
    def properties(self, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
        return _stripped(self._sanitized(attributes, "The event property"))

    @override
    def metadata(self, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.properties(attributes)

    def _sanitized(self, attributes: Mapping[str, Any] | None, what: str) -> dict[str, Any]:
        """Without objects and arrays, which the web core drops; keys and values untouched; ``None`` stays."""
        kept: dict[str, Any] = {}
        for key, value in (attributes or {}).items():
            converted = self.kept(what, key, value, plain)
            if converted is not None or value is None:
                kept[key] = converted
        return kept

    # -- commerce -------------------------------------------------------------------------------------------------
    @override
    def commerce(self, event: CommerceEvent) -> Iterator[BrazeCall]:
        attributes = self._sanitized(event.attributes, "The commerce event attribute")
        bundled = self.settings.bundle_commerce_event_data
        if event.product_action is ProductAction.PURCHASE:
            yield from self._purchases(event, attributes, bundled=bundled)
        elif bundled:
            yield from self._bundled(event, attributes)
        else:
            for name, properties in self._expanded(event, attributes):
                yield CustomEvent(name, _stripped(properties))

    def _purchases(self, event: CommerceEvent, attributes: dict[str, Any], *, bundled: bool) -> Iterator[BrazeCall]:
        order_id = _order_id(event)
        if bundled:
            # Braze refuses the purchase when there is no transaction: the web core fills in no revenue.
            price = None if event.transaction is None else given_revenue(event) or 0
            products = {"products": [self._bundled_product(product) for product in event.products]}
            yield bundled_purchase(price, event.currency, {**attributes, **products, **order_id})
            return
        for product in event.products:
            by_sku = self.settings.forward_sku_as_product_name
            # Without a transaction id none is left, not even a product attribute of that name.
            properties = {**self._product_attributes(product), "Sku": product.sku, "Transaction Id": None, **order_id}
            product_id = _stripped_value(product.sku if by_sku else product.name)
            yield Purchase(product_id, number(product.price), event.currency, product.quantity, _stripped(properties))

    def _bundled(self, event: CommerceEvent, attributes: dict[str, Any]) -> Iterator[BrazeCall]:
        # One event, of the kind the action decides. Source: web kit, bundled commerce events.
        properties: dict[str, Any]
        if event.product_action is not None:
            name = event.product_action.value
            order = _truthy(order_fields(event, given_revenue(event)))
            properties = {
                "products": [self._bundled_product(product) for product in event.products],
                **{label: order[label] for label in _ORDER_FIELDS_IN_BUNDLES if label in order},
            }
        elif event.promotion_action is not None:
            name = event.promotion_action.value
            properties = {"promotions": [promotion_fields(promotion) for promotion in event.promotions]}
        else:
            name = "Impression"
            properties = {
                "impressions": [
                    {
                        "Product Impression List": impression.name,
                        "products": [self._bundled_product(product) for product in impression.products],
                    }
                    for impression in event.impressions
                ]
            }
        yield CustomEvent(bundle_name(name), _stripped({**properties, **_stripped(attributes)}))

    def _bundled_product(self, product: Product) -> dict[str, Any]:
        """A product as it stands in bundles: ``Price``, not ``Item Price``, and its attributes or null."""
        fields = {**empty_texts(product, PRODUCT_TEXTS), **product_fields(product)}
        if "Item Price" in fields:
            fields["Price"] = fields.pop("Item Price")
        has_attributes = product.attributes is not None
        return {**_stripped(fields), "Attributes": self._product_attributes(product) if has_attributes else None}

    def _expanded(self, event: CommerceEvent, attributes: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        action = event.product_action
        if action is not None:
            order = {**_truthy(order_fields(event, given_revenue(event))), **_checkout(event)}
            common = order
            if action is ProductAction.REFUND:
                counted = {"Product Count": len(event.products)}
                currency = {"Currency Code": event.currency} if event.currency else {}
                yield total_name(action), {**attributes, **counted, **order, **currency}
                common = _order_id(event)
            for product in event.products:
                own = self._product_attributes(product)
                yield item_name(action.value), {**attributes, **own, **common, **_item_fields(product)}
        if event.promotion_action is not None:
            for promotion in event.promotions:
                fields = _truthy(promotion_fields(promotion))
                yield item_name(event.promotion_action.value), {**attributes, **fields}
        for impression in event.impressions:
            listed = {"Product Impression List": impression.name} if impression.name else {}
            for product in impression.products:
                own = {**self._product_attributes(product), **_item_fields(product)}
                yield item_name("Impression"), {**attributes, **own, **listed}

    def _product_attributes(self, product: Product) -> dict[str, Any]:
        return self._sanitized(product.attributes, "The product attribute")

    # -- user attributes ------------------------------------------------------------------------------------------
    @override
    def set_attribute(self, user: BrazeUser, key: str, value: Any) -> None:
        if key == "dob":
            if isinstance(value, dt.date):
                user.set_date_of_birth(value.year, value.month, value.day)
            else:
                self.refused("The user attribute", key, "is not a date")
            return
        if key in _FIELDS and isinstance(value, dt.date):
            self.refused("The user attribute", key, "is a date, where Braze has a text")
            return
        try:
            value = plain(value)
        except UnsupportedValueError as reason:
            self.refused("The user attribute", key, str(reason))
            return
        if key == "$Age":
            self._set_age(user, value)
        elif key in _FIELDS:
            # Clearing a field sends an empty text, which Braze refuses for some fields.
            user_fields.set_text_field(user, _FIELDS[key], "" if value is None else value)
        else:
            user.set_custom_attribute(key.lstrip("$"), _stripped_value(value))

    def _set_age(self, user: BrazeUser, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self.refused("The user attribute", "$Age", "is not a number")
        else:
            user.set_date_of_birth(int(user_fields.current_year() - value), 1, 1)

    @override
    def set_list(self, user: BrazeUser, key: str, values: Sequence[Any]) -> None:
        if key in _FIELDS or key in ("$Age", "dob"):
            self.refused("The user attribute", key, "is a list, where Braze has a single value")
        elif all(isinstance(value, str) for value in values):
            user.set_custom_attribute(key.lstrip("$"), [_stripped_value(value) for value in values])
        else:
            self.refused("The user attribute", key, "is a list with members that are no text")

    @override
    def set_tag(self, user: BrazeUser, key: str) -> None:
        self.set_attribute(user, key, None)

    @override
    def increment(self, user: BrazeUser, key: str, by: float, total: float | None) -> None:
        # The web core has no increments: the new total is an ordinary attribute.
        if total is None:
            self.refused("The user attribute", key, "was no number before it was incremented")
        else:
            self.set_attribute(user, key, total)

    @override
    def remove(self, user: BrazeUser, key: str, *, was_set: bool) -> None:
        self.set_attribute(user, key, None)


def _stripped_value(value: Any) -> Any:
    return value.lstrip("$") if isinstance(value, str) else value


def _stripped(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Leading dollar signs off the keys and the text values of one level. Source: web kit, sanitised properties."""
    return {key.lstrip("$"): _stripped_value(value) for key, value in properties.items()}


def _truthy(fields: dict[str, Any]) -> dict[str, Any]:
    """Without empty texts and zeros, which the web core takes for absent."""
    return {label: value for label, value in fields.items() if value}


def _order_id(event: CommerceEvent) -> dict[str, Any]:
    return {"Transaction Id": event.transaction.id} if event.transaction and event.transaction.id else {}


def _checkout(event: CommerceEvent) -> dict[str, Any]:
    steps = step_fields(event)
    return _truthy({label: steps[label] for label in ("Checkout Options", "Checkout Step") if label in steps})


def _item_fields(product: Product) -> dict[str, Any]:
    """A product in an expanded event: fields that are not empty or zero, and the total, which may be."""
    return {**_truthy(product_fields(product)), "Total Product Amount": product_total(product) or 0}
