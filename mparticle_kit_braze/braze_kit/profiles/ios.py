"""The iOS profile: what mParticle's Apple SDK with its Braze kit sends."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Any, ClassVar

from ...commerce import CommerceEvent, Product, ProductAction, TransactionAttributes, promotion_fields
from ...identity import IdentityType
from ...overriding import override
from .. import attributes as user_fields
from .. import setting_values as read
from ..commerce import (
    BrazeCall,
    CustomEvent,
    Purchase,
    bundle_name,
    bundled_purchase,
    filled_revenue,
    item_name,
    order_fields,
    product_fields,
    step_fields,
    total_name,
)
from ..settings import SettingRules
from ..text import apple_detect, apple_number, apple_text, utf16_length
from ..values import number, plain, plain_tree
from .base import ListRule, Profile

if TYPE_CHECKING:  # the adapter is loaded when a client starts
    from ...braze import BrazeUser

__all__ = ["IOSProfile"]

_FIELDS: Mapping[str, str] = {
    "$FirstName": "first_name",
    "$LastName": "last_name",
    "$Country": "country",
    "$City": "home_city",
    "$Mobile": "phone",
    "$MPUserMobile": "phone",
}
_NO_USER_IDS = frozenset({
    IdentityType.FACEBOOK_CUSTOM_AUDIENCE_ID,
    IdentityType.MOBILE_NUMBER,
    IdentityType.PHONE_NUMBER_2,
    IdentityType.PHONE_NUMBER_3,
})  # fmt: skip
_GENDERS: Mapping[str, str] = {"M": "m", "F": "f", "NA": "n"}
_SUBSCRIPTIONS = frozenset({"email_subscribe", "push_subscribe"})
_DATE = re.compile(r"([0-9]{4}).([0-9]{2}).([0-9]{2})", re.ASCII | re.DOTALL)
_LEADING_INTEGER = re.compile(r"\s*[+-]?[0-9]{1,18}", re.ASCII)
_KEY_LIMIT = 256
_VALUE_LIMIT = 4096
_PURCHASE_ARGUMENTS = ("Id", "Item Price", "Quantity")

Texts = dict[str, str | None]
"""Attributes as the kit writes them."""


class IOSProfile(Profile):
    """Every value as text, typed again only with type detection (an order's own values always); SKU as the product id.

    Source: Braze kit of the Apple SDK on its core. Repaired: precision of detected numbers, booleans under detection,
    promotions, properties that ran on from product to product, removal of reserved keys, the opt-out state.
    """

    name = "ios"
    rules: ClassVar[SettingRules] = SettingRules(
        boolean=read.apple_boolean,
        forward_screen_views=read.word_boolean,
        exact_identity_names=True,
        unsupported_identities=_NO_USER_IDS,
        unknown_identity=IdentityType.CUSTOMER_ID,
        absent_email=None,
        skip_incomplete=True,
    )
    adopts_anonymous = False
    keeps_null = True
    source = "iOS"
    request_identities = True
    rule_order: ClassVar[tuple[ListRule, ...]] = ("remove", "add", "set")
    rules_for_screens = True
    attribute_rule_for_screens = True
    clears_only_known = True
    utf8_hash = True
    unsubscribe_on_opt_out = True

    # -- events ---------------------------------------------------------------------------------------------------
    @override
    def event_name(self, name: str) -> str | None:
        if 0 < utf16_length(name) <= _KEY_LIMIT:
            return name
        self.refused("The event", name[:40], "has an empty name or one over 256 characters")
        return None

    @override
    def properties(self, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._typed(_stripped(self._texts(attributes)))

    @override
    def matched(self, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
        return _given_texts(self._texts(attributes))

    def _texts(self, attributes: Mapping[str, Any] | None, what: str = "The event attribute") -> Texts:
        """The attributes as texts, ``None`` as it is; one over the core's limits discards them all."""
        texts: Texts = {}
        for key, value in (attributes or {}).items():
            text = None if value is None else self.kept(what, key, value, apple_text)
            if text is None and value is not None:
                continue
            if utf16_length(key) > _KEY_LIMIT or utf16_length(text or "") > _VALUE_LIMIT:
                self.refused(what, key[:40], "is over the limit, which discards all attributes of the event")
                return {}
            texts[key] = text
        return texts

    def _typed(self, texts: Texts) -> dict[str, Any]:
        if not self.settings.enable_type_detection:
            return dict(texts)
        return {key: apple_detect(text) for key, text in texts.items() if text is not None}

    # -- commerce -------------------------------------------------------------------------------------------------
    @override
    def commerce(self, event: CommerceEvent) -> Iterator[BrazeCall]:
        event = _completed(event)
        bundled = self.settings.bundle_commerce_event_data
        if event.product_action is ProductAction.PURCHASE:
            yield from self._purchases(event, bundled=bundled)
        elif bundled:
            yield self._bundled(event)
        else:
            texts = self._texts(event.attributes, "The commerce event attribute")
            for name, content in self._expanded(event, texts):
                yield CustomEvent(name, self._typed(_stripped(content)), _given_texts(content))

    @override
    def completed(self, event: CommerceEvent) -> CommerceEvent:
        event = _completed(event)
        transaction = event.transaction or TransactionAttributes()
        return replace(event, transaction=replace(transaction, revenue=_revenue(event)))

    @override
    def text(self, value: Any) -> str:
        return apple_text(value)

    def _purchases(self, event: CommerceEvent, *, bundled: bool) -> Iterator[BrazeCall]:
        total = _revenue(event)
        order = {label: apple_detect(apple_text(value)) for label, value in order_fields(event, total).items()}
        common = {**order, **_steps(event)}
        if bundled:
            yield bundled_purchase(total, event.currency, {**common, **self._bundle(event)})
            return
        common.update(_stripped(self._texts(event.attributes, "The commerce event attribute")))
        for product in event.products:
            fields = {
                label: text for label, text in _texts_of(_fields(product)).items() if label not in _PURCHASE_ARGUMENTS
            }
            product_id = product.name if self.settings.replace_sku_with_product_name else product.sku
            properties = {**common, **fields, **_stripped(self._product_attributes(product))}
            yield Purchase(product_id, product.price, event.currency, product.quantity, properties)

    def _bundled(self, event: CommerceEvent) -> BrazeCall:
        """One event for the whole; the product action decides its name, then the promotion action."""
        action = event.product_action or event.promotion_action
        return CustomEvent(bundle_name("impression" if action is None else action.value), self._bundle(event))

    def _bundle(self, event: CommerceEvent) -> dict[str, Any]:
        """What every bundle holds: the attributes as given, and each of the lists that is not empty."""
        lists: dict[str, list[dict[str, Any]]] = {
            "products": [self._bundled_product(product) for product in event.products],
            "promotions": [_texts_of(promotion_fields(promotion)) for promotion in event.promotions],
            "impressions": [
                {
                    "Product Impression List": impression.name,
                    "products": [self._bundled_product(product) for product in impression.products],
                }
                for impression in event.impressions
            ],
        }
        return {**self._given_attributes(event), **{name: items for name, items in lists.items() if items}}

    def _given_attributes(self, event: CommerceEvent) -> dict[str, Any]:
        """``Attributes`` of a bundle: as the app gave them, types and ``$`` included, if within the core's limits."""
        within = self._texts(event.attributes, "The commerce event attribute")
        kept = plain_tree(event.attributes) if within else None
        return {"Attributes": kept} if kept else {}

    def _bundled_product(self, product: Product) -> dict[str, Any]:
        attributes = self._product_attributes(product)
        return {**_texts_of(_fields(product)), **({"Attributes": attributes} if attributes else {})}

    def _expanded(self, event: CommerceEvent, texts: Texts) -> Iterator[tuple[str, Texts]]:
        """One event an item, all texts; event attributes win. A refund's total comes last."""
        action = event.product_action
        if action is not None:
            order = _texts_of(order_fields(event, _revenue(event)))
            refund = action is ProductAction.REFUND
            order_id = {"Transaction Id": order["Transaction Id"]} if refund and "Transaction Id" in order else {}
            for product in event.products:
                yield item_name(action.value), {**self._item(product), **order_id, **texts}
            if refund:
                counted = {"Currency Code": str(event.currency), "Product Count": str(len(event.products))}
                yield total_name(action), {**counted, **order, **_texts_of(_steps(event)), **texts}
        if event.promotion_action is not None:
            for promotion in event.promotions:
                yield item_name(event.promotion_action.value), {**_texts_of(promotion_fields(promotion)), **texts}
        for impression in event.impressions:
            for product in impression.products:
                listed = {"Product Impression List": impression.name}
                yield item_name("Impression"), {**listed, **self._item(product), **texts}

    def _item(self, product: Product) -> Texts:
        return {**_texts_of(_fields(product)), **self._product_attributes(product)}

    def _product_attributes(self, product: Product) -> Texts:
        return self._texts(product.attributes, "The product attribute")

    # -- user attributes ------------------------------------------------------------------------------------------
    @override
    def set_attribute(self, user: BrazeUser, key: str, value: Any) -> None:
        if value is None:
            self.remove(user, key, was_set=True)
            return
        text = self._user_text(key, value)
        if not text:
            return
        field = _FIELDS.get(key)
        if field is not None:
            user_fields.set_text_field(user, field, text)
        elif key == "$Age":
            self._set_age(user, text)
        elif key == "dob":
            found = user_fields.birth_date(_DATE, text)
            if found is None:
                self.refused("The user attribute", key, "does not begin with a date (yyyy-MM-dd)")
            else:
                user.set_date_of_birth(*found)
        elif key == "$Gender":
            user.set_gender(_GENDERS.get(text, "o"))
        elif key == "$Zip":
            user.set_custom_attribute("Zip", text)
        elif key in _SUBSCRIPTIONS:
            if text in user_fields.SUBSCRIPTION_STATES:
                user_fields.set_text_field(user, key, text)
            else:
                self.refused("The user attribute", key, "is not opted_in, subscribed or unsubscribed")
        elif key in self.settings.subscription_group_mapping:
            self._set_group(user, key, text)
        else:
            typed = value if isinstance(value, bool) else apple_detect(text)
            shown = typed if self.settings.enable_type_detection else text
            user.set_custom_attribute(user_fields.strip_one_dollar(key), shown)

    def _user_text(self, key: str, value: Any) -> str | None:
        """The value as text: only texts and numbers pass the core, a boolean as 1 or 0, all within its limits."""
        if isinstance(value, dt.date):
            self.refused("The user attribute", key, "is neither a text nor a number")
            return None
        converted = self.kept("The user attribute", key, value, plain)
        if converted is None:
            return None
        if isinstance(converted, bool):
            text = "1" if converted else "0"
        else:
            text = converted if isinstance(converted, str) else apple_number(converted)
        if not 0 < utf16_length(key) <= _KEY_LIMIT or utf16_length(text) > _VALUE_LIMIT:
            self.refused("The user attribute", key[:40], "has an empty key or is over the limit (256, 4096 characters)")
            return None
        return text

    def _set_age(self, user: BrazeUser, text: str) -> None:
        # The beginning of the text counts, as far as it is a whole number (NSString.integerValue).
        match = _LEADING_INTEGER.match(text)
        age = user_fields.whole_age(match[0]) if match is not None else None
        if age is None:
            self.refused("The user attribute", "$Age", "is not a number from 0 up")
        else:
            user_fields.set_birth_year(user, age)

    def _set_group(self, user: BrazeUser, key: str, text: str) -> None:
        if text in ("1", "0"):
            group_id = self.settings.subscription_group_mapping[key]
            user_fields.set_subscription_group(user, group_id, subscribed=text == "1")
        else:
            self.refused("The user attribute", key, "drives a subscription group and is no boolean, 1 or 0")

    @override
    def set_list(self, user: BrazeUser, key: str, values: Sequence[Any]) -> None:
        if not values:
            return
        if not all(isinstance(value, str) for value in values) or sum(map(utf16_length, values)) > _VALUE_LIMIT:
            self.refused("The user attribute", key, "has members that are no text, or over 4096 characters")
        elif not 0 < utf16_length(key) <= _KEY_LIMIT:
            self.refused("The user attribute", key[:40], "has an empty key or one over 256 characters")
        else:
            user.set_custom_attribute(user_fields.strip_one_dollar(key), [str(value) for value in values])

    @override
    def increment(self, user: BrazeUser, key: str, by: float, total: float | None) -> None:
        user.increment_custom_attribute(user_fields.strip_one_dollar(key), int(by))

    @override
    def remove(self, user: BrazeUser, key: str, *, was_set: bool) -> None:
        if not was_set:
            return
        field = _FIELDS.get(key)
        if field is not None:
            user_fields.set_text_field(user, field, None)
        elif key == "$Gender":
            user.set_gender(None)
        elif key in ("$Age", "dob"):
            user_fields.clear_birth_date(user)
        else:
            user.set_custom_attribute(user_fields.strip_one_dollar(key), None)


def _rounded(value: Any) -> int | float | None:
    """An amount rounded to two decimals, halves to even, as the core does when it is set."""
    amount = number(value)
    if not isinstance(amount, float):
        return amount
    return float(Decimal(repr(amount)).quantize(Decimal("0.01"), ROUND_HALF_EVEN)) if abs(amount) < 1e15 else amount


def _fields(product: Product) -> dict[str, Any]:
    """The product's fields; a total without a quantity counts one. Source: Apple core, product total."""
    fields = product_fields(product)
    if fields["Quantity"] <= 0:
        fields["Total Product Amount"] = fields["Item Price"]
    return fields


def _rounded_product(product: Product) -> Product:
    quantity = number(product.quantity)
    price = _rounded(product.price)
    return replace(product, price=0 if price is None else price, quantity=1 if quantity is None else quantity)


def _rounded_transaction(transaction: TransactionAttributes | None) -> TransactionAttributes | None:
    if transaction is None:
        return None
    return replace(
        transaction,
        revenue=_rounded(transaction.revenue),
        shipping=_rounded(transaction.shipping),
        tax=_rounded(transaction.tax),
    )


def _completed(event: CommerceEvent) -> CommerceEvent:
    """The event as the core holds it: amounts rounded, the currency filled in."""
    return replace(
        event,
        products=[_rounded_product(product) for product in event.products],
        impressions=[
            replace(impression, products=[_rounded_product(product) for product in impression.products])
            for impression in event.impressions
        ],
        transaction=_rounded_transaction(event.transaction),
        currency=event.currency or "USD",
    )


def _revenue(event: CommerceEvent) -> int | float:
    return _rounded(filled_revenue(event)) or 0


def _steps(event: CommerceEvent) -> dict[str, Any]:
    return {
        label: value if isinstance(value, (int, float)) else str(value) for label, value in step_fields(event).items()
    }


def _stripped(texts: Texts) -> Texts:
    """Without one leading ``$`` in the keys."""
    return {user_fields.strip_one_dollar(key): text for key, text in texts.items()}


def _given_texts(texts: Texts) -> dict[str, str]:
    """Without those that are ``None``."""
    return {key: text for key, text in texts.items() if text is not None}


def _texts_of(fields: Mapping[str, Any]) -> dict[str, str]:
    return {label: apple_text(value) for label, value in fields.items()}
