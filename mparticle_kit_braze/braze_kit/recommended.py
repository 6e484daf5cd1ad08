"""Braze's recommended eCommerce events, made from commerce events when ``useEcommerceRecommendedEvents`` is on.

Source: Apple kit, recommended events; Braze's schema. They are custom events named ``ecommerce.…``; what has no place
in the schema goes into ``metadata``. ``ecommerce.order_cancelled`` has no commerce action: log it as a custom
event.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..commerce import CommerceEvent, Product, ProductAction
from .commerce import CustomEvent, revenue, step_fields
from .profiles.base import Profile
from .session_id import SessionId
from .values import UnsupportedValueError, number

__all__ = ["is_recommended", "recommended_events"]

_NAMES: Mapping[ProductAction, str] = {
    ProductAction.ADD_TO_CART: "ecommerce.cart_updated",
    ProductAction.REMOVE_FROM_CART: "ecommerce.cart_updated",
    ProductAction.CHECKOUT: "ecommerce.checkout_started",
    ProductAction.VIEW_DETAIL: "ecommerce.product_viewed",
    ProductAction.PURCHASE: "ecommerce.order_placed",
    ProductAction.REFUND: "ecommerce.order_refunded",
}
_IMAGE_URL, _PRODUCT_URL = "$braze_image_url", "$braze_product_url"


def is_recommended(event: CommerceEvent) -> bool:
    """True if the event has a recommended form: an action the schema knows, and at least one product."""
    return event.product_action in _NAMES and len(event.products) > 0


def recommended_events(event: CommerceEvent, profile: Profile, session_id: str | None) -> Iterator[CustomEvent]:
    """The recommended events of a commerce event for which :func:`is_recommended` holds.

    Args:
        event: The commerce event.
        profile: Decides the texts in metadata and the default source.
        session_id: Stands in for a missing cart, checkout or order id.
    """
    return _Recommendation(profile.completed(event), profile, session_id).events()


class _Recommendation:
    """One commerce event on its way into the schema."""

    def __init__(self, event: CommerceEvent, profile: Profile, session_id: str | None) -> None:
        self._event = event
        self._profile = profile
        self._settings = profile.settings
        self._session_id = session_id or SessionId().current
        self._attributes: Mapping[str, Any] = event.attributes or {}

    def events(self) -> Iterator[CustomEvent]:
        event, action = self._event, self._event.product_action
        if action is None:
            return
        name = _NAMES[action]
        if action is ProductAction.VIEW_DETAIL:
            for product in event.products:
                yield CustomEvent(name, self._viewed(product))
            return
        if action in (ProductAction.ADD_TO_CART, ProductAction.REMOVE_FROM_CART):
            ids = {"cart_id": self._cart_id(), "action": "add" if action is ProductAction.ADD_TO_CART else "remove"}
        elif action is ProductAction.CHECKOUT:
            ids = {"checkout_id": self._id(self._settings.checkout_id_attribute), "cart_id": self._cart_id()}
        elif action is ProductAction.PURCHASE:
            ids = {"order_id": self._order_id(), "cart_id": self._cart_id()}
        else:
            ids = {"order_id": self._order_id()}
        yield CustomEvent(name, {**ids, **self._common(), **self._amounts(action), **self._with_metadata()})

    # -- parts ----------------------------------------------------------------------------------------------------
    def _common(self) -> dict[str, Any]:
        return {
            "currency": self._event.currency or "USD",
            "source": self._settings.source or self._profile.source,
            "products": [self._product(product) for product in self._event.products],
            "total_value": revenue(self._event) or 0,
        }

    def _amounts(self, action: ProductAction) -> dict[str, Any]:
        found: dict[str, Any] = {"subtotal_value": self._number(self._settings.subtotal_value_attribute)}
        transaction = self._event.transaction
        if transaction is not None and action is not ProductAction.REFUND:
            found["tax"] = number(transaction.tax)
            found["shipping"] = number(transaction.shipping)
        if action in (ProductAction.PURCHASE, ProductAction.REFUND):
            found["total_discounts"] = self._number("total_discounts")
        return {key: value for key, value in found.items() if value is not None}

    def _with_metadata(self) -> dict[str, Any]:
        metadata = self._metadata()
        return {"metadata": metadata} if metadata else {}

    def _metadata(self) -> dict[str, Any]:
        settings = self._settings
        promoted = {settings.cart_id_attribute, settings.checkout_id_attribute, settings.subtotal_value_attribute}
        metadata = self._texts({key: value for key, value in self._attributes.items() if key not in promoted})
        metadata.update(step_fields(self._event))
        transaction = self._event.transaction
        if transaction is not None:
            metadata.update(_given({"affiliation": transaction.affiliation, "coupon_code": transaction.coupon_code}))
        return metadata

    def _product(self, product: Product) -> dict[str, Any]:
        quantity = number(product.quantity)
        return {
            **self._product_head(product),
            "quantity": max(1, int(quantity)) if quantity is not None else 1,
            "price": number(product.price),
            "metadata": self._product_metadata(product),
        }

    def _product_head(self, product: Product) -> dict[str, Any]:
        return {
            "product_id": product.sku,
            "product_name": product.name,
            "variant_id": product.variant or product.sku,
            **_given({
                "image_url": self._product_text(product, self._settings.image_url_attribute),
                "product_url": self._product_text(product, self._settings.product_url_attribute),
            }),
        }  # fmt: skip

    def _viewed(self, product: Product) -> dict[str, Any]:
        return {
            **self._product_head(product),
            "price": number(product.price),
            "currency": self._event.currency or "USD",
            "source": self._settings.source or self._profile.source,
            "metadata": {**self._product_metadata(product), **self._metadata()},
        }

    def _product_metadata(self, product: Product) -> dict[str, Any]:
        position = number(product.position)
        metadata = _given({
            "brand": product.brand,
            "category": product.category,
            "coupon_code": product.coupon_code,
            "position": position if position is not None and position > 0 else None,
            "sku": product.sku,
        })  # fmt: skip
        apart = {self._settings.image_url_attribute, self._settings.product_url_attribute, _IMAGE_URL, _PRODUCT_URL}
        own = {key: value for key, value in (product.attributes or {}).items() if key not in apart and value != ""}
        return {**metadata, **self._texts(own)}

    # -- single values --------------------------------------------------------------------------------------------
    def _cart_id(self) -> str:
        return self._id(self._settings.cart_id_attribute)

    def _order_id(self) -> str:
        transaction = self._event.transaction
        return str(transaction.id) if transaction is not None and transaction.id else self._session_id

    def _id(self, attribute: str | None) -> str:
        text = self._text(self._attributes.get(attribute)) if attribute is not None else None
        return text or self._session_id

    def _number(self, attribute: str | None) -> int | float | None:
        value = self._attributes.get(attribute) if attribute is not None else None
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                return None
        return number(value)

    def _product_text(self, product: Product, attribute: str | None) -> str | None:
        return self._text((product.attributes or {}).get(attribute)) if attribute is not None else None

    def _text(self, value: Any) -> str | None:
        if value is None:
            return None
        try:
            return self._profile.text(value)
        except UnsupportedValueError:
            return None

    def _texts(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Attributes as the profile writes them; Braze drops an event whose metadata has a leading ``$`` in a key."""
        return {key.lstrip("$"): value for key, value in self._profile.metadata(attributes).items() if key.lstrip("$")}


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None and value != ""}
