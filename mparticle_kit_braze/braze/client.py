"""``Braze``: the adapter's face, usable on its own. Checks calls, hands what passes to the recorder, owns the life.

Calls that the real SDKs validate return a boolean: whether Braze takes the value and it was queued. What is refused
is reported as ``value_refused`` (``blocked`` for the server's block lists) and never raises.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar

from typing_extensions import Self

from ..clock import SYSTEM_CLOCK, Clock
from ..delivery import Delivery, DeliveryOptions, DeliveryReport, DeliveryStats, FlushResult
from ..diagnostics import Problem, Reporter
from ..errors import ConfigurationError, InvalidArgumentError
from ..storage import Storage
from .address import resolve_endpoint
from .authentication import AuthenticationFailure, Signatures
from .data_endpoint import DataEndpoint
from .encoding import quote
from .event_texts import EventTexts
from .memory import SentAttributes, SkipUnchanged
from .messaging.features import MessagingFeatures
from .messaging.messaging import Messaging
from .messaging.triggers import CUSTOM_EVENT, PURCHASE
from .points import DataPoints, PointMeter
from .properties import PropertyEncoder, orjson_dumps
from .recorder import Recorder
from .refusal import BlockedError, Refused, shown
from .settings import check_settings, checked_time, seconds
from .state import State
from .user import BrazeUser
from .validation.ecommerce import ecommerce_event
from .validation.purchases import currency_code, price_text, quantity_count
from .validation.users import user_id_text
from .validation.values import label, required_text

__all__ = ["Braze"]

T = TypeVar("T")


class Braze(MessagingFeatures):
    """A client of the Braze SDK endpoint: queues durably, sends in batches from one background thread.

    Args:
        api_key: The app identifier key.
        endpoint: A host (``sdk.iad-03.braze.com``), an ``https://`` URL, or an instance name (``US-03``); a path in a
            URL is a proxy's complete prefix. ``None`` is US-03, mParticle's default.
        storage: A directory, ``None`` for the user's data directory, ``":memory:"`` for nothing on disk, or an opened
            :class:`~mparticle_kit_braze.storage.Storage`.
        session_timeout: Seconds without events after which a session ends; at least 10.
        flush_interval: Seconds between requests while there is something to send; ``None`` leaves it to
            ``delivery_options``, whose default is 10.
        app_version: The host app's version, such as ``1.2.3.4``.
        sdk_metadata: Tags of Braze's list that tell how the SDK is integrated (``mp`` for mParticle, ...).
        sdk_authentication: Send signatures, and one user's data a request.
        skip_unchanged: Which attributes are not sent again while unchanged: ``all``, the ``email``, or ``none``.
        adopt_anonymous_attributes: Unsent attributes of the anonymous user go to the first user identified (web SDK),
            or stay with the device (mobile SDKs).
        reporter: Where problems go; not together with ``on_error``.
        on_error: Called with each problem.
        on_delivery: Called after each request that settled records.
        clock: Where time comes from.
        delivery_options: Limits and time-outs of delivery.

    Raises:
        ConfigurationError: A setting is missing or malformed.
    """

    def __init__(
        self,
        api_key: str,
        endpoint: str | None = None,
        *,
        storage: str | os.PathLike[str] | Storage | None = None,
        session_timeout: float = 1800,
        flush_interval: float | None = None,
        app_version: str | None = None,
        sdk_metadata: Sequence[str] = (),
        sdk_authentication: bool = False,
        skip_unchanged: SkipUnchanged = "none",
        adopt_anonymous_attributes: bool = True,
        reporter: Reporter | None = None,
        on_error: Callable[[Problem], object] | None = None,
        on_delivery: Callable[[DeliveryReport], object] | None = None,
        clock: Clock = SYSTEM_CLOCK,
        delivery_options: DeliveryOptions | None = None,
    ) -> None:
        check_settings(api_key, app_version, sdk_metadata, skip_unchanged)
        if reporter is not None and on_error is not None:
            raise ConfigurationError("reporter and on_error exclude each other: give on_error to the Reporter")
        base_url = resolve_endpoint(endpoint)
        timeout = seconds(session_timeout, "session_timeout")
        options = delivery_options or DeliveryOptions()
        if flush_interval is not None:
            options = dataclasses.replace(options, flush_interval=seconds(flush_interval, "flush_interval"))
        self._reporter = reporter or Reporter(on_error)
        if not isinstance(storage, Storage):
            storage = Storage.open(storage, self._reporter)
        self._clock = clock
        self._state = State(storage.key_values("braze"), adopts_anonymous=adopt_anonymous_attributes)
        self._signatures = Signatures(self._state, enabled=bool(sdk_authentication))
        self._meter = PointMeter(clock)
        self._memory = SentAttributes(storage.key_values("sent_attributes"), skip_unchanged)
        self._destination = DataEndpoint(
            api_key,
            base_url,
            state=self._state,
            signatures=self._signatures,
            meter=self._meter,
            reporter=self._reporter,
            clock=clock,
            app_version=app_version,
            sdk_metadata=sdk_metadata,
            before_request=_weakly(self._remember, {}),
            on_config=_weakly(self._config_changed, None),
            on_undeliverable=self._memory.forget_all,
            on_triggers=_weakly(self._triggers_answered, None),
        )
        self._delivery = Delivery(
            self._destination,
            storage=storage,
            reporter=self._reporter,
            options=options,
            clock=clock,
            on_delivery=on_delivery,
        )
        self._recorder = Recorder(self._state, self._delivery, clock, timeout)
        self._messaging = Messaging(
            self._state,
            recorder=self._recorder,
            endpoint=self._destination,
            values=storage.key_values("messaging"),
            clock=clock,
            reporter=self._reporter,
            call_soon=self._delivery.call_soon,
            flush_soon=self._delivery.flush_soon,
        )
        self._recorder.on_session = self._messaging.session_began
        self._watcher = self._messaging.in_app_messages
        self._properties = PropertyEncoder(self._left_out, orjson_dumps())
        self._events = EventTexts(self._state.config.blocked_events)
        self._user = BrazeUser(
            self._recorder,
            state=self._state,
            memory=self._memory,
            meter=self._meter,
            refuse=self._refuse,
            flush_soon=self._delivery.flush_soon,
        )
        if self._state.disabled:
            self._delivery.pause()
        _renew_after_fork(self)

    # -- events -------------------------------------------------------------------------------------------------
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
        logged = self._recorder.event("ce", data, time)
        if logged and self._watcher.watched:
            self._watcher.logged(CUSTOM_EVENT, name, properties, data)
        return logged

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
        logged = self._recorder.event("p", data, time)
        if logged and self._watcher.watched:
            self._watcher.logged(PURCHASE, product, properties, data)
        return logged

    def log_ecommerce_event(self, event: Mapping[str, Any], *, time: float | None = None) -> bool:
        """Log one of Braze's recommended eCommerce events.

        Args:
            event: ``{"name": "ecommerce.order_placed", "properties": {...}}`` with the fields of Braze's schema;
                others are dropped.
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
            name, properties = ecommerce_event(event)
            data = f"{self._events[name]}{properties}}}"
        except Refused as refused:
            return self._refuse("log_ecommerce_event", refused)
        logged = self._recorder.event("ce", data, time)
        if logged and self._watcher.watched:
            self._watcher.logged(CUSTOM_EVENT, name, event["properties"], data)
        return logged

    # -- users --------------------------------------------------------------------------------------------------
    @property
    def user_id(self) -> str | None:
        """The current user's id; ``None`` while anonymous."""
        return self._state.user_id

    @property
    def current_user(self) -> BrazeUser:
        """Changes to the current user's profile."""
        return self._user

    def get_user(self) -> BrazeUser:
        """As :attr:`current_user`, by the name the SDKs use."""
        return self._user

    def change_user(self, user_id: str, signature: str | None = None) -> None:
        """Make someone the current user: ends the session, begins one, and sends soon.

        Args:
            user_id: 1 to 997 bytes of UTF-8; a number is taken as text. Anything else is ignored with a report. The
                current user again changes nothing but the signature.
            signature: Their signature for SDK authentication.

        Raises:
            ClosedError: The client was closed.
        """
        if not self._recorder.accepts():
            return
        try:
            text = user_id_text(user_id)
        except Refused as refused:
            self._refuse("change_user", refused)
            return
        if signature is not None:
            self._take_signature("change_user", text, signature)
        self._recorder.change_user(text)

    def set_sdk_authentication_signature(self, signature: str) -> bool:
        """A new signature for the current user; what was held for want of it is sent.

        Returns:
            Whether it was taken: not when SDK authentication is off, nor when it is no text or empty.
        """
        if not self._recorder.accepts():
            return False
        return self._take_signature("set_sdk_authentication_signature", self.user_id, signature)

    def subscribe_to_sdk_authentication_failures(
        self, callback: Callable[[AuthenticationFailure], object]
    ) -> Callable[[], None]:
        """Call ``callback`` for each request that failed authentication, on the sending thread.

        Returns:
            A function that ends the subscription.
        """
        if not callable(callback):
            raise InvalidArgumentError(f"callback must be callable, not {type(callback).__name__}")
        return self._signatures.subscribe(callback)

    def _take_signature(self, call: str, user_id: str | None, signature: Any) -> bool:
        try:
            text = required_text(signature, "signature")
        except Refused as refused:
            return self._refuse(call, refused)
        if not self._signatures.enabled:
            return False
        self._signatures.take(user_id, text)
        self._delivery.resume()
        self._messaging.signature_taken()
        return True

    # -- sessions and delivery ----------------------------------------------------------------------------------
    def open_session(self) -> None:
        """Begin a session, or go on with the one that is alive; sends what is queued soon."""
        self._recorder.open_session()

    def request_immediate_data_flush(self) -> None:
        """Ask for a request now, whatever the back-off. Begins a session where there is none, as the Web SDK."""
        if self._recorder.open_session():
            self._delivery.flush_soon(ignore_backoff=True)

    def flush(self, timeout: float | None = None) -> FlushResult:
        """Send what is queued and wait for it, at most ``timeout`` seconds. Begins no session."""
        return self._delivery.flush(timeout)

    def close(self, timeout: float = 2.0) -> FlushResult:
        """Send what can be sent within ``timeout`` seconds, then end threads and close files. The rest is kept."""
        self._recorder.close()
        self._messaging.close()
        self._state.values.update(self._remember())
        result = self._delivery.close(timeout)
        self._state.values.close()
        self._memory.close()
        return result

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def delivery(self) -> Delivery:
        """The queue and its sender: dead letters, back-off, figures."""
        return self._delivery

    def stats(self) -> DeliveryStats:
        """Delivery figures."""
        return self._delivery.stats()

    def data_points(self) -> DataPoints:
        """Data points that accepted requests cost, and those that were saved."""
        return self._meter.read()

    @property
    def device_id(self) -> str:
        """The device id: a UUID, kept until :meth:`wipe_data`."""
        return self._state.device_id

    # -- privacy ------------------------------------------------------------------------------------------------
    def clear(self) -> int:
        """Discard everything queued; gives the number of records. User, session and device id stay."""
        count = self._delivery.clear()
        self._memory.forget_all()
        return count

    def disable(self) -> None:
        """Take and send nothing any more, over restarts too. What is queued stays; so do user, device id and session.

        Unlike the Web SDK nothing is sent on the way: call :meth:`flush` before, if it should be.
        """
        self._state.set_disabled(True)
        self._recorder.config_changed()
        self._delivery.pause()

    def enable(self) -> None:
        """End :meth:`disable`."""
        self._state.set_disabled(False)
        self._recorder.config_changed()
        self._delivery.unpause()

    def wipe_data(self) -> None:
        """Forget queue, user, session, configuration and device id; the next call is a new anonymous user's."""
        self._delivery.clear()
        self._memory.forget_all()
        self._state.wipe()
        self._recorder.reset()
        self._messaging.wiped()
        self._config_changed()

    # -- inside -------------------------------------------------------------------------------------------------
    def _refuse(self, call: str, refused: Refused) -> bool:
        subject = f" {shown(refused.subject)}" if refused.subject else ""
        key = f"{call}:{refused.subject or refused.reason}"
        if isinstance(refused, BlockedError):
            self._reporter.report("blocked", f"{call}:{subject} is {refused.reason}", key=key, level=logging.INFO)
        else:
            self._reporter.report("value_refused", f"{call}{subject} refused: {refused.reason}", key=key)
        return False

    def _left_out(self, key: str, reason: str) -> None:
        self._reporter.report("value_refused", f"Property {shown(key)} left out: {reason}", key=f"property:{key}")

    def _remember(self) -> Mapping[str, Any]:
        self._memory.persist()
        return self._recorder.to_remember()

    def _config_changed(self) -> None:
        self._events = EventTexts(self._state.config.blocked_events)
        self._recorder.config_changed()
        self._messaging.config_changed()

    def _triggers_answered(self, raw: object) -> None:
        self._messaging.triggers_answered(raw)

    def _after_fork_in_child(self) -> None:
        self._memory.reset_after_fork()
        self._recorder.reset_after_fork()


def _weakly(method: Callable[..., T], otherwise: T) -> Callable[..., T]:
    """The method for as long as its client lives: delivery's thread must not keep a forgotten client alive."""
    reference = weakref.WeakMethod(method)

    def call(*arguments: object) -> T:
        alive = reference()
        return otherwise if alive is None else alive(*arguments)

    return call


def _renew_after_fork(braze: Braze) -> None:
    """Let a forked child renew its client, without keeping the client alive for it."""
    if not hasattr(os, "register_at_fork"):
        return
    reference = weakref.ref(braze)

    def renew() -> None:
        known = reference()
        if known is not None:
            known._after_fork_in_child()  # noqa: SLF001 - same module

    os.register_at_fork(after_in_child=renew)
