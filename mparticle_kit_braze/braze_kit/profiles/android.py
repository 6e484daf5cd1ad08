"""The Android profile: what mParticle's Android SDK with its Braze kit sends."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ...commerce import CommerceEvent, Product, ProductAction, promotion_fields
from ...overriding import override
from .. import attributes as user_fields
from .. import setting_values as read
from ..commerce import (
    PRODUCT_TEXTS,
    PROMOTION_TEXTS,
    BrazeCall,
    CustomEvent,
    Purchase,
    bundle_name,
    bundled_purchase,
    empty_texts,
    filled_revenue,
    item_name,
    order_fields,
    product_fields,
    step_fields,
    total_name,
)
from ..settings import SettingRules
from ..text import java_detect, java_text, utf16_length
from ..values import number
from .base import ListRule, Profile

if TYPE_CHECKING:  # the adapter is loaded when a client starts
    from ...braze import Braze, BrazeUser

__all__ = ["AndroidProfile"]

_FIELDS: Mapping[str, str] = {
    "$FirstName": "first_name",
    "$LastName": "last_name",
    "$City": "home_city",
    "$Country": "country",
    "$Mobile": "phone",
}
_SUBSCRIPTIONS = frozenset({"email_subscribe", "push_subscribe"})
_DATE = re.compile(r"\s*([0-9]{1,9})-([0-9]{1,9})-([0-9]{1,9})", re.ASCII)
_NAME_LIMIT = 256
_VALUE_LIMIT = 4096
_DOUBLES = frozenset(
    {"Item Price", "Quantity", "Total Product Amount", "Total Amount", "Shipping Amount", "Tax Amount"}
)
_PURCHASE_FIELDS = ("Coupon Code", "Brand", "Category", "Name", "Variant", "Position")


class AndroidProfile(Profile):
    """Every value as Java's text, typed again only with type detection; SKU as the product id.

    Source: Braze kit (``AppboyKit``) on the Android core and kit base. Their crashes and wrong indexes are repaired: a
    null attribute is left out, impressions name every product, gender goes by its meaning.
    """

    name = "android"
    rules: ClassVar[SettingRules] = SettingRules(
        boolean=read.word_boolean, exact_identity_names=True, push_enabled=False
    )
    skip_unchanged: ClassVar[Literal["all", "email", "none"]] = "email"
    drops_ltv_increases: ClassVar[bool] = True
    adopts_anonymous = False
    source = "Android"
    rule_order: ClassVar[tuple[ListRule, ...]] = ("add", "remove", "set")
    one_consent_target = True
    sends_stored_attributes = True

    # -- events ---------------------------------------------------------------------------------------------------
    @override
    def event_name(self, name: str) -> str | None:
        if utf16_length(name) <= _NAME_LIMIT:
            return name
        return name.encode("utf-16-le", "surrogatepass")[: 2 * _NAME_LIMIT].decode("utf-16-le", "ignore")

    @override
    def screen_name(self, name: str) -> str | None:
        if 0 < utf16_length(name) <= _NAME_LIMIT:
            return name
        self.refused("The screen", name[:40], "has an empty name or one over 256 characters")
        return None

    @override
    def properties(self, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._typed(self._texts(attributes))

    @override
    def matched(self, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._texts(attributes)

    def _texts(self, attributes: Mapping[str, Any] | None, what: str = "The event attribute") -> dict[str, str]:
        texts: dict[str, str] = {}
        for key, value in (attributes or {}).items():
            text = None if value is None else self.kept(what, key, value, java_text)
            if text is not None:
                texts[key] = text
        return texts

    def _typed(self, texts: dict[str, str]) -> dict[str, Any]:
        if not self.settings.enable_type_detection:
            return dict(texts)
        return {key: java_detect(text) for key, text in texts.items()}

    def _detected(self, text: str) -> str | int | float | bool:
        return java_detect(text) if self.settings.enable_type_detection else text

    # -- commerce -------------------------------------------------------------------------------------------------
    @override
    def commerce(self, event: CommerceEvent) -> Iterator[BrazeCall]:
        event = _completed(event)
        texts = self._texts(event.attributes, "The commerce event attribute")
        if self.settings.bundle_commerce_event_data:
            yield self._bundled(event, texts)
        elif event.product_action is ProductAction.PURCHASE and event.products:
            for product in event.products:  # impressions of such an event are ignored
                yield self._purchase(event, product, texts)
        else:
            for name, content in self._expanded(event, texts):
                yield CustomEvent(name, self._typed(content), content)

    @override
    def completed(self, event: CommerceEvent) -> CommerceEvent:
        return _completed(event)

    @override
    def text(self, value: Any) -> str:
        return java_text(value)

    def _order(self, event: CommerceEvent) -> dict[str, Any]:
        """Order fields as the kit types them: texts by detection, amounts as doubles, the step as a whole number."""
        fields: dict[str, Any] = {}
        for label, value in {**order_fields(event, filled_revenue(event)), **_steps(event)}.items():
            if label in _DOUBLES:
                fields[label] = float(value)
            elif label == "Checkout Step":
                fields[label] = int(value)
            else:
                fields[label] = self._detected(java_text(value))
        return fields

    def _purchase(self, event: CommerceEvent, product: Product, texts: dict[str, str]) -> Purchase:
        fields = _product_values(product)
        own = {label: fields[label] for label in _PURCHASE_FIELDS if label in fields}
        properties = {**self._order(event), **texts, **own, **self._product_attributes(product)}
        product_id = product.name if self.settings.replace_sku_with_product_name else product.sku
        quantity = int(number(product.quantity) or 1)
        return Purchase(product_id, number(product.price), event.currency, quantity, properties)

    def _bundled(self, event: CommerceEvent, texts: dict[str, str]) -> BrazeCall:
        """One call for the whole event; the product action decides its name, then the promotion action."""
        properties = self._order(event)
        if texts:
            properties["Attributes"] = texts
        if event.products:
            properties["products"] = [self._bundled_product(product) for product in event.products]
        if event.promotions:
            properties["promotions"] = [
                {**empty_texts(promotion, PROMOTION_TEXTS), **_texts_of(promotion_fields(promotion))}
                for promotion in event.promotions
            ]
        if event.impressions:
            properties["impressions"] = [
                {
                    "Product Impression List": impression.name,
                    "products": [self._bundled_product(_known(product)) for product in impression.products],
                }
                for impression in event.impressions
            ]
        if event.product_action is ProductAction.PURCHASE:
            return bundled_purchase(properties["Total Amount"], event.currency, properties)
        action = event.product_action or event.promotion_action
        return CustomEvent(bundle_name("Impression" if action is None else action.value), properties)

    def _bundled_product(self, product: Product) -> dict[str, Any]:
        attributes = self._product_attributes(product)
        return {**({"Attributes": attributes} if attributes else {}), **_product_values(product)}

    def _expanded(self, event: CommerceEvent, texts: dict[str, str]) -> Iterator[tuple[str, dict[str, str]]]:
        """The expansion into plain events, all texts. In items event attributes win over everything."""
        action = event.product_action
        if action in (ProductAction.PURCHASE, ProductAction.REFUND):
            amounts = {
                label: float(value) if label in _DOUBLES else value
                for label, value in {**order_fields(event, filled_revenue(event)), **_steps(event)}.items()
            }
            yield total_name(action), {**_texts_of(amounts), "Currency Code": str(event.currency), **texts}
        if action is not None:
            order_id = {"Transaction Id": event.transaction.id} if event.transaction and event.transaction.id else {}
            for product in event.products:
                own = {**_filled(product), **self._product_attributes(product)}
                yield item_name(action.value), {**own, **_texts_of(order_id), **texts}
        if event.promotion_action is not None:
            for promotion in event.promotions:
                fields = _texts_of(promotion_fields(promotion))
                yield item_name(event.promotion_action.value), {**fields, **texts}
        for impression in event.impressions:
            listed = _texts_of({"Product Impression List": impression.name})
            for product in impression.products:
                own = {**self._product_attributes(product), **_filled(_known(product))}
                yield item_name("Impression"), {**own, **listed, **texts}

    def _product_attributes(self, product: Product) -> dict[str, str]:
        return self._texts(product.attributes, "The product attribute")

    # -- user attributes ------------------------------------------------------------------------------------------
    @override
    def set_attribute(self, user: BrazeUser, key: str, value: Any) -> None:
        if value is None:
            return  # a tag, which the kit does not forward
        text = self._user_text(key, value)
        if text is None:
            return
        field = _FIELDS.get(key)
        if field is not None:
            user_fields.set_text_field(user, field, text)
        elif key == "$Zip":
            user.set_custom_attribute("Zip", text)
        elif key == "$Age":
            self._set_age(user, text)
        elif key == "$Gender":
            user.set_gender(_gender(text))
        elif key == "dob":
            self._set_birth_date(user, text)
        elif key in _SUBSCRIPTIONS:
            if text in user_fields.SUBSCRIPTION_STATES:
                user_fields.set_text_field(user, key, text)
            else:
                self.refused("The user attribute", key, "is not opted_in, subscribed or unsubscribed")
        elif key in self.settings.subscription_group_mapping:
            self._set_group(user, key, text)
        else:
            user.set_custom_attribute(user_fields.strip_one_dollar(key), self._detected(text))

    def _user_text(self, key: str, value: Any) -> str | None:
        """The value as text, within the core's limits."""
        if not 0 < utf16_length(key) <= _NAME_LIMIT:
            self.refused("The user attribute", key[:40], "has an empty key or one over 256 characters")
            return None
        text = self.kept("The user attribute", key, value, java_text)
        if text is not None and utf16_length(text) > _VALUE_LIMIT:
            self.refused("The user attribute", key, "is over 4096 characters")
            return None
        return text  # type: ignore[no-any-return]  # it is what java_text gave

    def _set_age(self, user: BrazeUser, text: str) -> None:
        age = user_fields.whole_age(text)
        if age is None:
            self.refused("The user attribute", "$Age", "is not a number from 0 up")
        else:
            user_fields.set_birth_year(user, age)

    def _set_birth_date(self, user: BrazeUser, text: str) -> None:
        found = user_fields.birth_date(_DATE, text)
        rolled = None if found is None else _rolled_over(*found)
        if rolled is None:
            self.refused("The user attribute", "dob", "does not begin with a date (yyyy-MM-dd)")
        else:
            user.set_date_of_birth(rolled.year, rolled.month, rolled.day)

    def _set_group(self, user: BrazeUser, key: str, text: str) -> None:
        if text.lower() in ("true", "false"):
            group_id = self.settings.subscription_group_mapping[key]
            user_fields.set_subscription_group(user, group_id, subscribed=text.lower() == "true")
        else:
            self.refused("The user attribute", key, "drives a subscription group and is neither true nor false")

    @override
    def set_list(self, user: BrazeUser, key: str, values: Sequence[Any]) -> None:
        texts = [None if value is None else self._user_text(key, value) for value in values]
        kept = [text for text in texts if text is not None]
        if len(kept) < len(texts):
            self.refused("The user attribute", key, "has a member that is missing or no text")
        elif not 0 < utf16_length(key) <= _NAME_LIMIT or sum(map(utf16_length, kept)) > _VALUE_LIMIT:
            self.refused("The user attribute", key[:40], "has too long a key, or over 4096 characters in its list")
        else:
            user.set_custom_attribute(user_fields.strip_one_dollar(key), kept)

    @override
    def increment(self, user: BrazeUser, key: str, by: float, total: float | None) -> None:
        # The kit's increment hook is empty; the core then sets the new total as an ordinary attribute.
        if total is not None:
            self.set_attribute(user, key, total)

    @override
    def remove(self, user: BrazeUser, key: str, *, was_set: bool) -> None:
        field = _FIELDS.get(key)
        if field is not None:
            user_fields.set_text_field(user, field, None)
        elif key == "$Gender":
            user.set_gender(None)
        else:
            user.set_custom_attribute(user_fields.strip_one_dollar(key), None)

    @override
    def set_from_event(self, braze: Braze, key: str, value: Any) -> None:
        braze.current_user.set_custom_attribute(key, self._detected(java_text(value)))


def _known(product: Product) -> Product:
    """A product as the core builds it: unknown names filled in, at least one of it."""
    quantity = number(product.quantity)
    return replace(
        product,
        name=product.name or "Unknown",
        sku=product.sku or "Unknown",
        quantity=1 if quantity is None or quantity < 1 else quantity,
    )


def _completed(event: CommerceEvent) -> CommerceEvent:
    products = [_known(product) for product in event.products]
    return replace(event, products=products, currency=event.currency or "USD")


def _steps(event: CommerceEvent) -> dict[str, Any]:
    steps = step_fields(event)
    if steps.get("Checkout Step", 0) < 0:
        del steps["Checkout Step"]
    elif "Checkout Step" in steps:
        steps["Checkout Step"] = int(steps["Checkout Step"])
    return steps


def _product_values(product: Product) -> dict[str, Any]:
    """The product's fields as the kit types them in purchases and bundles: texts, doubles, the position whole.

    Empty texts are among them: only expanded items leave those out.
    """
    fields: dict[str, Any] = {**empty_texts(product, PRODUCT_TEXTS)}
    for label, value in product_fields(product).items():
        if label in _DOUBLES:
            fields[label] = float(value)
        elif label == "Position":
            fields[label] = int(value)
        else:
            fields[label] = java_text(value)
    return fields


def _filled(product: Product) -> dict[str, str]:
    """The product's fields as texts, empty ones skipped: expanded items."""
    return _texts_of({label: value for label, value in _product_values(product).items() if value != ""})


def _texts_of(fields: Mapping[str, Any]) -> dict[str, str]:
    return {label: java_text(value) for label, value in fields.items()}


def _gender(text: str) -> str:
    """Female for anything that holds ``fe`` or is ``f``, male for m and male, else other; any case.

    Source: Android kit, repaired: there everything without a lower-case ``fe`` is male.
    """
    lowered = text.strip().lower()
    if lowered == "f" or "fe" in lowered:
        return "f"
    return "m" if lowered in ("m", "male") else "o"


def _rolled_over(year: int, month: int, day: int) -> dt.date | None:
    """The date, a month or day beyond its end running on into the next (Java's lenient dates)."""
    try:
        first = dt.date(year + (month - 1) // 12, (month - 1) % 12 + 1, 1)
        return first + dt.timedelta(days=day - 1)
    except (OverflowError, ValueError):
        return None
