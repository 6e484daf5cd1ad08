"""The calls of a client that log events: checked, encoded, recorded, and shown to what waits for them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from ..diagnostics import Reporter
from ..locks import importing
from .encoding import quote
from .event_texts import EventTexts
from .features import CUSTOM_EVENT, PURCHASE, LazyMessaging
from .properties import PropertyEncoder
from .recorder import Recorder
from .refusal import BlockedError, Refused, shown
from .settings import checked_time
from .state import State
from .validation.values import label

__all__ = ["EventCalls"]

_KINDS = {"ce": CUSTOM_EVENT, "p": PURCHASE}


class EventCalls:
    """Gives a client its calls for events."""

    _state: State
    _recorder: Recorder
    _properties: PropertyEncoder
    _events: EventTexts
    _messaging: LazyMessaging
    _reporter: Reporter

    def log_custom_event(
        self, name: str, properties: Mapping[str, Any] | None = None, *, time: float | None = None
    ) -> bool:
        """Log a custom event.

        Args:
            name: Not empty, without control characters and double quotes; any length.
            properties: Text keys without those characters; values text, 64-bit numbers, booleans, dates (naive =
                UTC), lists and dicts; at most 51200 bytes of JSON. ``None`` values are left out; so are NaN and
                numbers that do not fit, with a report.
            time: When it happened, seconds since the epoch; ``None`` for now.

        Returns:
            Whether it was queued.

        Raises:
            InvalidArgumentError: ``time`` is no finite number.
            ClosedError: The client was closed.
        """
        if time is not None:
            time = checked_time(time)
        try:
            data = f"{self._events[name]}{self._properties.encode(properties)}}}"
        except Refused as refused:
            return self._refuse("log_custom_event", refused)
        except TypeError:
            # A list as the name, for example: it cannot even be looked up.
            return self._refuse("log_custom_event", Refused(f"event name must be text, not {type(name).__name__}"))
        if self._messaging.watcher.watched:
            return self._watched("ce", name, properties, data, time)
        return self._recorder.event("ce", data, time)

    def log_purchase(
        self,
        product_id: str,
        price: float,
        currency: str | None = "USD",
        quantity: int | None = 1,
        properties: Mapping[str, Any] | None = None,
        *,
        time: float | None = None,
    ) -> bool:
        """Log a purchase.

        Args:
            product_id: Not empty, without control characters and double quotes.
            price: A finite number of any sign, or its text; sent with two decimals.
            currency: An ISO 4217 code Braze knows, in any case; ``None`` is USD.
            quantity: 1 to 100, fractions are cut; ``None`` is 1.
            properties: As for :meth:`log_custom_event`.
            time: When it happened, seconds since the epoch; ``None`` for now.

        Returns:
            Whether it was queued.

        Raises:
            InvalidArgumentError: ``time`` is no finite number.
            ClosedError: The client was closed.
        """
        if time is not None:
            time = checked_time(time)
        with importing.held:
            from .validation.purchases import currency_code, price_text, quantity_count  # noqa: PLC0415 - seldom needed

        try:
            product = label(product_id, "product id")
            if product in self._state.config.blocked_purchases:
                raise BlockedError("on the server's list of blocked products", product)
            data = (
                f'{{"pid":{quote(product)},"c":"{currency_code(currency)}","p":"{price_text(price)}"'
                f',"q":{quantity_count(quantity)},"pr":{self._properties.encode(properties)}}}'
            )
        except Refused as refused:
            return self._refuse("log_purchase", refused)
        if self._messaging.watcher.watched:
            return self._watched("p", product, properties, data, time)
        return self._recorder.event("p", data, time)

    def log_ecommerce_event(self, event: Mapping[str, Any], *, time: float | None = None) -> bool:
        """Log one of Braze's recommended eCommerce events.

        Args:
            event: ``{"name": "ecommerce.order_placed", "properties": {...}}`` with the fields of Braze's schema;
                others are dropped. Its name is one of the six there: ``ecommerce.product_viewed``, ``cart_updated``,
                ``checkout_started``, ``order_placed``, ``order_cancelled``, ``order_refunded``.
            time: When it happened, seconds since the epoch; ``None`` for now.

        Returns:
            Whether it was queued.

        Raises:
            InvalidArgumentError: ``time`` is no finite number.
            ClosedError: The client was closed.
        """
        if time is not None:
            time = checked_time(time)
        with importing.held:
            from .validation.ecommerce import ecommerce_event  # noqa: PLC0415 - seldom needed

        try:
            name, properties = ecommerce_event(event, self._property_amiss)
            data = f"{self._events[name]}{properties}}}"
        except Refused as refused:
            return self._refuse("log_ecommerce_event", refused)
        if self._messaging.watcher.watched:
            return self._watched("ce", name, event["properties"], data, time)
        return self._recorder.event("ce", data, time)

    def _watched(
        self, code: str, name: str, properties: Mapping[str, Any] | None, data: str, time: float | None
    ) -> bool:
        """Queue an event, and show it to what waits for events, with the time it is queued under."""
        at = self._recorder.now() if time is None else time
        logged = self._recorder.event(code, data, at)
        if logged:
            self._messaging.watcher.logged(_KINDS[code], name, properties, data, at)
        return logged

    # -- what is told of values that do not go as they are ------------------------------------------------------
    def _refuse(self, call: str, refused: Refused) -> bool:
        subject = f" {shown(refused.subject)}" if refused.subject else ""
        key = f"{call}:{refused.subject or refused.reason}"
        if isinstance(refused, BlockedError):
            self._reporter.report("blocked", f"{call}:{subject} is {refused.reason}", key=key, level=logging.INFO)
        else:
            self._reporter.report("value_refused", f"{call}{subject} refused: {refused.reason}", key=key)
        return False

    def _property_amiss(self, key: str, what: str) -> None:
        self._amiss(f"Property {shown(key)}", what)

    def _amiss(self, subject: str, what: str) -> None:
        self._reporter.report("value_refused", f"{subject} {what}", key=subject)
