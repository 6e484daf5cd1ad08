"""The default profile: mParticle's documented mapping with Python's own types, complete and frugal."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ...commerce import CommerceEvent, Product, ProductAction, promotion_fields
from ...identity import IdentityType
from ...overriding import override
from .. import attributes as user_fields
from ..commerce import (
    BrazeCall,
    CustomEvent,
    Purchase,
    bundle_name,
    bundled_purchase,
    item_name,
    order_fields,
    product_fields,
    revenue,
    step_fields,
    total_name,
)
from ..settings import SettingRules
from ..text import json_text
from ..values import PLAIN_TYPES, UnsupportedValueError, is_plain, plain
from .base import ListRule, Profile

if TYPE_CHECKING:  # the adapter is loaded when a client starts
    from ...braze import BrazeUser

__all__ = ["NativeProfile"]

_FIELDS: Mapping[str, str] = {
    "$FirstName": "first_name",
    "$LastName": "last_name",
    "$City": "home_city",
    "$Country": "country",
    "$Mobile": "phone",
    "first_name": "first_name",
    "last_name": "last_name",
    "home_city": "home_city",
    "country": "country",
    "phone": "phone",
    "email": "email",
    "language": "language",
}
_GENDER = frozenset({"$Gender", "gender"})
_SUBSCRIPTIONS = frozenset({"email_subscribe", "push_subscribe"})
_STANDARD = frozenset(_FIELDS) | _GENDER | _SUBSCRIPTIONS | {"$Age", "dob"}
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})", re.ASCII)
_NEEDS_CARE = re.compile('[$"\x00-\x1f]').search
_FORBIDDEN = re.compile('["\x00-\x1f]').search
_PURCHASE_ARGUMENTS = ("Id", "Item Price", "Quantity")


class NativeProfile(Profile):
    """Python's types, SKU as the product id, all documented commerce fields, unchanged attributes not sent again."""

    name = "native"
    rules: ClassVar[SettingRules] = SettingRules(absent_identity=IdentityType.CUSTOMER_ID)
    skip_unchanged: ClassVar[Literal["all", "email", "none"]] = "all"
    source = "Python"
    rule_order: ClassVar[tuple[ListRule, ...]] = ("add", "remove", "set")
    protects_previous_user = True
    opens_session = False

    # -- events ---------------------------------------------------------------------------------------------------
    @override
    def event_name(self, name: str) -> str | None:
        if name[:1] != "$":
            return name
        stripped = name.lstrip("$")
        if not stripped:
            self.refused("The event", name, "has no name without its dollar signs")
        return stripped or None

    @override
    def properties(self, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
        # The usual case costs one pass in C and nothing else.
        if (
            PLAIN_TYPES.issuperset(map(type, attributes.values()))
            and not _NEEDS_CARE("".join(attributes))
            and "" not in attributes
        ):
            return attributes
        return self._clean(attributes)

    @override
    def matched(self, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
        if is_plain(attributes.values()):
            return attributes
        texts: dict[str, Any] = {}
        for key, value in attributes.items():
            with suppress(UnsupportedValueError):  # reported when the event itself was mapped
                texts[key] = plain(value)
        return texts

    @override
    def metadata(self, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.properties(attributes)

    def _clean(self, attributes: Mapping[str, Any] | None, what: str = "The event property") -> dict[str, Any]:
        """The attributes with clean keys and plain values; what Braze has no form for is reported and left out."""
        cleaned: dict[str, Any] = {}
        for key, value in (attributes or {}).items():
            if type(value) not in PLAIN_TYPES:
                value = self.kept(what, key, value, plain)  # noqa: PLW2901  # from here on it is the plain one
                if value is None:
                    continue
            name = key.lstrip("$")
            if not name:
                self.refused(what, key, "has no name without its dollar signs")
            elif _FORBIDDEN(name):  # Braze would refuse the whole event for it
                self.refused(what, key, "has a control character or a double quote in its name")
            else:
                cleaned[name] = value
        return cleaned

    # -- commerce -------------------------------------------------------------------------------------------------
    @override
    def commerce(self, event: CommerceEvent) -> Iterator[BrazeCall]:
        bundled = self.settings.bundle_commerce_event_data
        attributes = self._clean(event.attributes, "The commerce event attribute")
        if event.product_action is not None:
            if bundled:
                yield self._bundled_action(event, event.product_action, attributes)
            else:
                yield from self._expanded_action(event, event.product_action, attributes)
        if event.promotions and event.promotion_action is not None:
            fields = [promotion_fields(promotion) for promotion in event.promotions]
            action = event.promotion_action.value
            if bundled:
                yield CustomEvent(bundle_name(action), {**_nested(attributes), "promotions": fields})
            else:
                for promotion in fields:
                    yield _matched(item_name(action), {**attributes, **promotion})
        if event.impressions:
            yield from self._impressions(event, attributes, bundled=bundled)

    def _expanded_action(
        self, event: CommerceEvent, action: ProductAction, attributes: dict[str, Any]
    ) -> Iterator[BrazeCall]:
        steps = step_fields(event)
        order = order_fields(event, revenue(event))
        if not event.products:
            yield _matched(bundle_name(action.value), {**order, **steps, **_currency(event), **attributes})
            return
        if action is ProductAction.PURCHASE:
            for product in event.products:
                yield self._purchase(event, product, {**order, **steps, **attributes})
            return
        if action is ProductAction.REFUND:
            counted = {**_currency(event), "Product Count": len(event.products)}
            yield _matched(total_name(action), {**attributes, **order, **steps, **counted})
        order_id = {"Transaction Id": order["Transaction Id"]} if "Transaction Id" in order else {}
        for product in event.products:
            own = {**product_fields(product), **self._product_attributes(product)}
            yield _matched(item_name(action.value), {**order_id, **steps, **attributes, **own})

    def _purchase(self, event: CommerceEvent, product: Product, common: dict[str, Any]) -> Purchase:
        fields = product_fields(product)
        by_name = self.settings.replace_sku_with_product_name
        rest = {label: value for label, value in fields.items() if label not in _PURCHASE_ARGUMENTS}
        if by_name:
            rest["Id"] = product.sku
        properties = {**common, **rest, **self._product_attributes(product)}
        product_id = product.name if by_name else product.sku
        price, quantity = fields.get("Item Price"), fields.get("Quantity", 1)
        return Purchase(product_id, price, event.currency or "USD", quantity, properties)

    def _bundled_action(self, event: CommerceEvent, action: ProductAction, attributes: dict[str, Any]) -> BrazeCall:
        total = revenue(event)
        properties = {**order_fields(event, total), **step_fields(event)}
        rest = _nested(attributes)
        if event.products:
            rest["products"] = [self._bundled_product(product) for product in event.products]
            if action is ProductAction.PURCHASE:
                return bundled_purchase(total, event.currency or "USD", {**properties, **rest})
        return CustomEvent(bundle_name(action.value), {**properties, **_currency(event), **rest})

    def _impressions(self, event: CommerceEvent, attributes: dict[str, Any], *, bundled: bool) -> Iterator[BrazeCall]:
        if bundled:
            lists = [
                {
                    "Product Impression List": impression.name,
                    "products": [self._bundled_product(product) for product in impression.products],
                }
                for impression in event.impressions
            ]
            yield CustomEvent(bundle_name("Impression"), {**_nested(attributes), "impressions": lists})
            return
        for impression in event.impressions:
            for product in impression.products:
                own = {**product_fields(product), **self._product_attributes(product)}
                listed = {**attributes, **own, "Product Impression List": impression.name}
                yield _matched(item_name("Impression"), listed)

    def _bundled_product(self, product: Product) -> dict[str, Any]:
        return {**product_fields(product), **_nested(self._product_attributes(product))}

    def _product_attributes(self, product: Product) -> dict[str, Any]:
        return self._clean(product.attributes, "The product attribute")

    # -- user attributes ------------------------------------------------------------------------------------------
    @override
    def set_attribute(self, user: BrazeUser, key: str, value: Any) -> None:
        if key == "dob":
            self._set_birth_date(user, value)
            return
        try:
            value = plain(value)
        except UnsupportedValueError as reason:
            self.refused("The user attribute", key, str(reason))
            return
        if key in _STANDARD:
            self._set_standard(user, key, value)
        elif key == "$Zip":
            user.set_custom_attribute("Zip", None if value is None else _text(value))
        elif key in self.settings.subscription_group_mapping:
            self._set_group(user, key, value)
        else:
            name = self._custom_key(key)
            if name is not None:
                user.set_custom_attribute(name, value)

    def _set_standard(self, user: BrazeUser, key: str, value: Any) -> None:
        field = _FIELDS.get(key)
        if field is not None:
            if value != "":
                user_fields.set_text_field(user, field, value)
        elif key == "$Age":
            self._set_age(user, value)
        elif key in _GENDER:
            letter = user_fields.GENDER_WORDS.get(value.strip().lower()) if isinstance(value, str) else None
            if letter is None and value is not None:
                self.refused("The user attribute", key, "is no gender Braze knows")
            else:
                user.set_gender(letter)
        elif value in user_fields.SUBSCRIPTION_STATES:
            user_fields.set_text_field(user, key, value)
        else:
            self.refused("The user attribute", key, "is not opted_in, subscribed or unsubscribed")

    def _set_age(self, user: BrazeUser, value: Any) -> None:
        age = user_fields.whole_age(value)
        if age is not None:
            user_fields.set_birth_year(user, age)
        elif value is None:
            user_fields.clear_birth_date(user)
        else:
            self.refused("The user attribute", "$Age", "is not a number from 0 up")

    def _set_birth_date(self, user: BrazeUser, value: Any) -> None:
        if isinstance(value, dt.date):
            user.set_date_of_birth(value.year, value.month, value.day)
            return
        if value is None:
            user_fields.clear_birth_date(user)
            return
        found = user_fields.birth_date(_DATE, value) if isinstance(value, str) else None
        if found is None:
            self.refused("The user attribute", "dob", "is no date and does not begin with one (YYYY-MM-DD)")
        else:
            user.set_date_of_birth(*found)

    def _set_group(self, user: BrazeUser, key: str, value: Any) -> None:
        wanted = value.lower() == "true" if isinstance(value, str) and value.lower() in ("true", "false") else value
        if isinstance(wanted, bool):
            group_id = self.settings.subscription_group_mapping[key]
            user_fields.set_subscription_group(user, group_id, subscribed=wanted)
        else:
            self.refused("The user attribute", key, "drives a subscription group and is neither true nor false")

    @override
    def set_list(self, user: BrazeUser, key: str, values: Sequence[Any]) -> None:
        if key in _STANDARD:
            self.refused("The user attribute", key, "is a list, where Braze has a single value")
            return
        name = self._custom_key(key)
        if name is None:
            return
        try:
            user.set_custom_attribute(name, [_member(value) for value in values])
        except UnsupportedValueError as reason:
            self.refused("The user attribute", key, f"has a member that {reason}")

    @override
    def set_tag(self, user: BrazeUser, key: str) -> None:
        name = self._custom_key(key)
        if name is not None:
            user.set_custom_attribute(name, self.settings.user_tags_value)

    @override
    def increment(self, user: BrazeUser, key: str, by: float, total: float | None) -> None:
        if key not in _STANDARD and by == int(by):
            name = self._custom_key(key)
            if name is not None:
                user.increment_custom_attribute(name, int(by))
        elif total is None:
            self.refused("The user attribute", key, "was no number before it was incremented")
        else:
            self.set_attribute(user, key, total)

    @override
    def remove(self, user: BrazeUser, key: str, *, was_set: bool) -> None:
        if key in _SUBSCRIPTIONS:
            self.refused("The user attribute", key, "is a subscription state, which Braze cannot clear")
        elif key in _STANDARD:
            self.set_attribute(user, key, None)
        else:
            name = self._custom_key(key)
            if name is not None:
                user.set_custom_attribute(name, None)

    def _custom_key(self, key: str) -> str | None:
        name = key.lstrip("$")
        if not name:
            self.refused("The user attribute", key, "has no name without its dollar signs")
        return name or None


def _nested(attributes: dict[str, Any]) -> dict[str, Any]:
    return {"Attributes": attributes} if attributes else {}


def _matched(name: str, properties: dict[str, Any]) -> CustomEvent:
    return CustomEvent(name, properties, properties)


def _currency(event: CommerceEvent) -> dict[str, Any]:
    return {"Currency Code": event.currency or "USD"}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json_text(value)


def _member(value: Any) -> str:
    """A member of a list attribute: text as it is, dates as their text, anything else as its JSON text."""
    try:
        value = plain(value)
    except UnsupportedValueError:
        if not isinstance(value, (Mapping, list, tuple, set, frozenset)):
            raise
    return _text(value)
