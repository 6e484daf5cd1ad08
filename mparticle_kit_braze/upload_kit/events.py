"""The client's calls as events of mParticle's Events API: ``{"event_type", "data"}`` objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..commerce import CommerceEvent, Product, ProductAction, Promotion, TransactionAttributes
from ..events import Event, EventType, ScreenView
from ..identity import IdentityType
from ..kits.sessions import Session
from .values import Refuse, amount, attributes_of, milliseconds, text

__all__ = [
    "attribute_change",
    "commerce_events",
    "custom_event",
    "identity_change",
    "opt_out",
    "push_registration",
    "screen_view",
    "session_end",
    "session_start",
    "state_transition",
]

MAX_NAME = 256
"""Longer names of events and screens are cut, as the server does."""

EVENT_TYPES = {event_type: event_type.name.lower() for event_type in EventType}
ACTIONS = {action: action.value for action in ProductAction} | {
    ProductAction.REMOVE_FROM_WISHLIST: "remove_from_wish_list"  # so spelt in the Events API only
}

Body = dict[str, Any]


def custom_event(event: Event, refuse: Refuse) -> Body:
    """A custom event."""
    data: Body = {
        "event_name": text(event.name[:MAX_NAME]),
        "custom_event_type": EVENT_TYPES[event.event_type],
    }
    return with_attributes("custom_event", data, event.attributes, refuse)


def screen_view(screen: ScreenView, refuse: Refuse) -> Body:
    """A screen view."""
    return with_attributes("screen_view", {"screen_name": text(screen.name[:MAX_NAME])}, screen.attributes, refuse)


def with_attributes(event_type: str, data: Body, attributes: Mapping[str, Any] | None, refuse: Refuse) -> Body:
    """An event with its custom attributes, if any can be uploaded."""
    taken = attributes_of(attributes, refuse) if attributes else None
    if taken:
        data["custom_attributes"] = taken
    return {"event_type": event_type, "data": data}


# -- commerce -------------------------------------------------------------------------------------------------------


def commerce_events(event: CommerceEvent, refuse: Refuse) -> list[Body]:
    """A commerce event; one for each of its three parts, since an event of the API holds one of them."""
    parts: list[Body] = []
    if event.product_action is not None:
        parts.append({"product_action": product_action(event, refuse)})
    if event.promotion_action is not None:
        promotions = [promotion_body(promotion) for promotion in event.promotions]
        parts.append({"promotion_action": {"action": event.promotion_action.value, "promotions": promotions}})
    if event.impressions:
        shown = [
            {
                "product_impression_list": text(impression.name),
                "products": [product_body(product, refuse) for product in impression.products],
            }
            for impression in event.impressions
        ]
        parts.append({"product_impressions": shown})
    currency = {"currency_code": text(event.currency)} if event.currency else {}
    return [with_attributes("commerce_event", {**part, **currency}, event.attributes, refuse) for part in parts]


def product_action(event: CommerceEvent, refuse: Refuse) -> Body:
    """What happened to the products, with the order they belong to."""
    order = event.transaction or TransactionAttributes()
    assert event.product_action is not None  # noqa: S101 - the caller looked
    return given(
        action=ACTIONS[event.product_action],
        transaction_id=order.id,
        affiliation=order.affiliation,
        coupon_code=order.coupon_code,
        total_amount=amount(event.total_amount) if event.transaction is not None else None,
        tax_amount=amount(order.tax),
        shipping_amount=amount(order.shipping),
        checkout_step=event.checkout_step,
        checkout_options=event.checkout_options,
        product_action_list=event.product_list_name,
        product_list_source=event.product_list_source,
        products=[product_body(product, refuse) for product in event.products],
    )


def product_body(product: Product, refuse: Refuse) -> Body:
    """A product."""
    return given(
        id=product.sku,
        name=product.name,
        brand=product.brand,
        category=product.category,
        variant=product.variant,
        position=product.position,
        price=amount(product.price),
        quantity=amount(product.quantity),
        coupon_code=product.coupon_code,
        total_product_amount=amount(product.total_amount),
        custom_attributes=attributes_of(product.attributes, refuse) if product.attributes else None,
    )


def promotion_body(promotion: Promotion) -> Body:
    """A promotion."""
    return given(id=promotion.id, name=promotion.name, creative=promotion.creative, position=promotion.position)


def given(**fields: Any) -> Body:
    """The fields that have a value."""
    return {
        key: text(value) if isinstance(value, str) else value
        for key, value in fields.items()
        if value is not None and value != ""
    }


# -- sessions, the app ----------------------------------------------------------------------------------------------


def session_start() -> Body:
    """The session began."""
    return {"event_type": "session_start", "data": {}}


def session_end(session: Session) -> Body:
    """The session ended."""
    length = (session.end or session.start) - session.start
    return {"event_type": "session_end", "data": {"session_duration_ms": milliseconds(max(0.0, length))}}


def state_transition(*, foreground: bool) -> Body:
    """The app came to the foreground or went to the background."""
    kind = "application_foreground" if foreground else "application_background"
    return {"event_type": "application_state_transition", "data": {"application_transition_type": kind}}


def opt_out(*, opted_out: bool) -> Body:
    """The user opted out, or in again."""
    return {"event_type": "opt_out", "data": {"is_opted_out": opted_out}}


def push_registration(token: str) -> Body:
    """A push token."""
    return {"event_type": "push_registration", "data": {"register": True, "registration_token": text(token)}}


# -- changes of the user --------------------------------------------------------------------------------------------


def attribute_change(name: str, *, new: Any, old: Any, deleted: bool, is_new: bool) -> Body:
    """A user attribute changed."""
    data = {"user_attribute_name": name, "new": new, "old": old, "deleted": deleted, "is_new_attribute": is_new}
    return {"event_type": "user_attribute_change", "data": data}


def identity_change(kind: IdentityType, *, new: str | None, old: str | None, now: float) -> Body:
    """An identity changed."""

    def side(value: str | None, *, created: bool) -> Body | None:
        if value is None:
            return None
        return {
            "identity_type": kind.events_api_name,
            "identity": text(value),
            "timestamp_unixtime_ms": milliseconds(now),
            "created_this_batch": created,
        }

    return {
        "event_type": "user_identity_change",
        "data": {"new": side(new, created=True), "old": side(old, created=False)},
    }
