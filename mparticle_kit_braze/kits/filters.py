"""Filters compiled from a configuration: what of an event, screen or commerce event a kit may see.

Each ``..._filter`` function returns ``None`` when nothing is filtered, so that the unfiltered call can skip the
step altogether. Order of application as the Android SDK; the web form deviates where said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ..commerce import CommerceEvent, Product, Promotion, TransactionAttributes
from ..events import Event, EventType, ScreenView, owned_event
from .configuration import AttributeRule, KitConfiguration
from .hashing import mp_hash, value_hash

__all__ = ["HiddenKeys", "commerce_filter", "event_filter", "screen_filter"]

CACHED_NAMES = 2048
CACHED_KEYS = 16_384
"""Decisions remembered for a kit; an app that makes up names must not make them grow for ever."""


class HiddenKeys(dict[str, bool]):
    """Which keys are hidden, by the hash of a prefix and the key; decided once for each key.

    A dict, because a hit then costs one look-up in C.
    """

    __slots__ = ("_hashes", "_prefix")

    def __init__(self, hashes: frozenset[int], prefix: str = "") -> None:
        super().__init__()
        self._hashes = hashes
        self._prefix = prefix

    def __missing__(self, key: str) -> bool:
        if len(self) >= CACHED_KEYS:
            self.clear()
        hidden = self[key] = mp_hash(self._prefix + key) in self._hashes
        return hidden

    def visible(self, values: Mapping[str, Any]) -> Any:
        """The values whose keys are not hidden, as a dict of their own; the same object if that is all of them."""
        for key in values:
            if self[key]:
                break
        else:
            return values
        visible = dict(values)
        for key in values:
            if self[key]:
                del visible[key]
        return visible


class RuleMatcher:
    """An attribute rule, with the hashes of keys remembered."""

    __slots__ = ("_is_named", "_rule", "_web")

    def __init__(self, rule: AttributeRule, *, web: bool) -> None:
        self._rule = rule
        self._web = web
        self._is_named = HiddenKeys(frozenset({rule.name_hash}))

    def forwards(self, attributes: Mapping[str, Any]) -> bool:
        """Whether the rule lets these attributes through. The first attribute of that name decides."""
        is_named = self._is_named
        for key, value in attributes.items():
            if is_named[key]:
                return (value_hash(value, web=self._web) == self._rule.value_hash) == self._rule.include
        return not self._rule.include


def event_filter(configuration: KitConfiguration) -> Callable[[Event], Event | None] | None:
    """Custom events: attribute rule, event type, name, then attributes. ``None`` from the filter hides the event."""
    filters = configuration.filters
    if "e" in filters.message_types:
        return lambda _event: None
    if not (configuration.attribute_rule or filters.event_types or filters.event_names or filters.event_attributes):
        return None
    rule = compile_rule(configuration)
    types = frozenset(kind for kind in EventType if mp_hash(str(int(kind))) in filters.event_types)
    decisions = NameDecisions(types, filters.event_names, filters.event_attributes)

    def apply(event: Event) -> Event | None:
        if rule is not None and not rule.forwards(event.attributes):
            return None
        keys = decisions[event.event_type, event.name]
        if keys is None:
            return None
        attributes = keys.visible(event.attributes)
        if attributes is event.attributes:
            return event
        # A dict of its own by now; Event would copy it again.
        return owned_event(event.name, event.event_type, attributes, event.timestamp)

    return apply


def screen_filter(configuration: KitConfiguration) -> Callable[[ScreenView], ScreenView | None] | None:
    """Screens: name, then attributes; event types never count. The attribute rule counts on the web only."""
    filters = configuration.filters
    if "v" in filters.message_types:
        return lambda _screen: None
    rule = compile_rule(configuration) if configuration.form == "web" else None
    if rule is None and not filters.screen_names and not filters.screen_attributes:
        return None
    decisions = NameDecisions(frozenset(), filters.screen_names, filters.screen_attributes)

    def apply(screen: ScreenView) -> ScreenView | None:
        if rule is not None and not rule.forwards(screen.attributes):
            return None
        keys = decisions[EventType.UNKNOWN, screen.name]
        if keys is None:
            return None
        attributes = keys.visible(screen.attributes)
        return screen if attributes is screen.attributes else screen.with_attributes(attributes)

    return apply


class NameDecisions(dict[tuple[EventType, str], HiddenKeys | None]):
    """What is decided for each event type and name: ``None`` to hide it, else which attributes to hide."""

    __slots__ = ("_attributes", "_names", "_types")

    def __init__(self, types: frozenset[EventType], names: frozenset[int], attributes: frozenset[int]) -> None:
        super().__init__()
        self._types = types
        self._names = names
        self._attributes = attributes

    def __missing__(self, key: tuple[EventType, str]) -> HiddenKeys | None:
        kind, name = key
        decision: HiddenKeys | None
        if kind in self._types or (self._names and mp_hash(f"{int(kind)}{name}") in self._names):
            decision = None
        elif self._attributes:
            decision = HiddenKeys(self._attributes, f"{int(kind)}{name}")
        else:
            decision = NOTHING_HIDDEN
        if len(self) >= CACHED_NAMES:
            self.clear()
        self[key] = decision
        return decision


class NothingHidden(HiddenKeys):
    """The decision that hides no key, at no cost."""

    def __missing__(self, key: str) -> bool:
        return False

    def visible(self, values: Mapping[str, Any]) -> Any:
        """All of them."""
        return values


NOTHING_HIDDEN = NothingHidden(frozenset())


def compile_rule(configuration: KitConfiguration) -> RuleMatcher | None:
    """The attribute rule of events, if there is one."""
    rule = configuration.attribute_rule
    return None if rule is None else RuleMatcher(rule, web=configuration.form == "web")


# -- commerce -------------------------------------------------------------------------------------------------------


def commerce_filter(configuration: KitConfiguration) -> Callable[[CommerceEvent], CommerceEvent | None] | None:
    """Commerce events: attribute rule, commerce type, entities, attributes of entities, attributes of the event."""
    filters = configuration.filters
    if "cm" in filters.message_types:
        return lambda _event: None
    steps: list[Callable[[CommerceEvent], CommerceEvent | None]] = []
    rule = compile_rule(configuration)
    if rule is not None:
        steps.append(lambda event: event if rule.forwards(event.attributes or {}) else None)
    if filters.event_types:
        steps.append(lambda event: None if mp_hash(str(event.commerce_type)) in filters.event_types else event)
    if filters.commerce_entities or filters.commerce_attributes:
        steps.append(with_revenue)
    if filters.commerce_entities:
        steps.append(lambda event: without_entities(event, filters.commerce_entities))
    if filters.product_attributes or filters.promotion_attributes or filters.impression_attributes:
        products = HiddenKeys(filters.product_attributes)
        promotions = HiddenKeys(filters.promotion_attributes)
        listed = HiddenKeys(filters.impression_attributes)
        steps.append(
            lambda event: replace(
                event,
                products=[visible_product(item, products) for item in event.products],
                promotions=[visible_promotion(item, promotions) for item in event.promotions],
                impressions=[
                    replace(item, products=[visible_product(product, listed) for product in item.products])
                    for item in event.impressions
                ],
            )
        )
    if filters.commerce_attributes:
        by_type = {number: HiddenKeys(filters.commerce_attributes, str(number)) for number in range(10, 23)}
        steps.append(lambda event: visible_commerce(event, by_type[event.commerce_type]))
    if not steps:
        return None

    def apply(event: CommerceEvent) -> CommerceEvent | None:
        result: CommerceEvent | None = event
        for step in steps:
            result = step(event)
            if result is None:
                return None
            event = result
        return result

    return apply


def with_revenue(event: CommerceEvent) -> CommerceEvent:
    """The event with its missing revenue filled in, as the mobile cores do before a filter hides a part of it."""
    total = event.total_amount
    if event.product_action is None or total is None or (event.transaction and event.transaction.revenue is not None):
        return event
    return replace(event, transaction=replace(event.transaction or TransactionAttributes(), revenue=total))


def without_entities(event: CommerceEvent, hidden: frozenset[int]) -> CommerceEvent:
    """The event without products (also in impressions), promotions or impressions."""
    changes: dict[str, Any] = {}
    if 1 in hidden:
        changes["products"] = ()
        changes["impressions"] = [replace(item, products=()) for item in event.impressions]
    if 2 in hidden:
        changes["promotions"] = ()
    if 3 in hidden and (event.product_action is not None or event.promotion_action is not None):
        changes["impressions"] = ()
    elif 3 in hidden:
        changes["impressions"] = [replace(item, products=()) for item in event.impressions]
    return replace(event, **changes) if changes else event


def visible_product(product: Product, hidden: HiddenKeys) -> Product:
    """A product without hidden fields; its name, SKU, price and quantity cannot be hidden (as Android)."""
    labels = {
        "coupon_code": "Coupon Code",
        "position": "Position",
        "variant": "Variant",
        "category": "Category",
        "brand": "Brand",
    }
    changes: dict[str, Any] = {name: None for name, label in labels.items() if hidden[label]}
    if product.attributes:
        attributes = hidden.visible(product.attributes)
        if attributes is not product.attributes:
            changes["attributes"] = attributes
    return replace(product, **changes) if changes else product


def visible_promotion(promotion: Promotion, hidden: HiddenKeys) -> Promotion:
    """A promotion without hidden fields."""
    labels = {"id": "Id", "creative": "Creative", "name": "Name", "position": "Position"}
    changes: dict[str, Any] = {name: None for name, label in labels.items() if hidden[label]}
    return replace(promotion, **changes) if changes else promotion


def visible_commerce(event: CommerceEvent, hidden: HiddenKeys) -> CommerceEvent:
    """The event without hidden attributes and fields of its own; a hidden revenue becomes 0.0, as on Android."""
    changes: dict[str, Any] = {}
    if event.attributes:
        attributes = hidden.visible(event.attributes)
        if attributes is not event.attributes:
            changes["attributes"] = attributes
    if hidden["Checkout Step"]:
        changes["checkout_step"] = None
    if hidden["Checkout Options"]:
        changes["checkout_options"] = None
    if event.transaction is not None:
        changes["transaction"] = visible_transaction(event.transaction, hidden)
    return replace(event, **changes) if changes else event


def visible_transaction(transaction: TransactionAttributes, hidden: HiddenKeys) -> TransactionAttributes:
    """A transaction without hidden fields."""
    labels = {
        "coupon_code": "Coupon Code",
        "shipping": "Shipping Amount",
        "tax": "Tax Amount",
        "id": "Transaction Id",
        "affiliation": "Affiliation",
    }
    changes: dict[str, Any] = {name: None for name, label in labels.items() if hidden[label]}
    if hidden["Total Amount"]:
        changes["revenue"] = 0.0
    return replace(transaction, **changes) if changes else transaction
