"""``Braze``: the adapter's face, usable on its own. Checks calls, hands what passes to the recorder, owns the life.

Calls that the real SDKs validate return a boolean: whether Braze takes the value and it was queued. What is refused
is reported as ``value_refused`` (``blocked`` for the server's block lists) and never raises.
"""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar

from ..clock import SYSTEM_CLOCK, Clock
from ..delivery import Delivery, DeliveryOptions, DeliveryReport, DeliveryStats, FlushResult
from ..diagnostics import Problem, Reporter
from ..errors import ConfigurationError
from ..storage import Storage
from .address import resolve_endpoint
from .authentication import AuthenticationFailure, Signatures, set_aside_reason
from .data_endpoint import DataEndpoint
from .event_calls import EventCalls
from .event_texts import EventTexts
from .features import MessagingFeatures, lazy_messaging
from .lifetime import LastErrand, renew_after_fork, weakly
from .memory import SentAttributes, SkipUnchanged
from .points import DataPoints, PointMeter
from .properties import PropertyEncoder, orjson_dumps
from .recorder import Recorder
from .refusal import Refused
from .settings import check_settings, seconds
from .state import State
from .user import BrazeUser
from .validation.users import user_id_text
from .validation.values import required_text

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Braze"]


class Braze(EventCalls, MessagingFeatures):
    """A client of the Braze SDK endpoint: queues durably, sends in batches from one background thread.

    Args:
        api_key: The app identifier key.
        endpoint: A host (``sdk.iad-03.braze.com``), an ``https://`` URL, or an instance name (``US-03``); a path in a
            URL is a proxy's complete prefix. ``None`` is US-03, mParticle's default.
        storage: A directory, ``None`` for the user's data directory, ``":memory:"`` for nothing on disk, or an opened
            :class:`~mparticle_kit_braze.storage.Storage`.
        session_timeout: Seconds without events after which a session ends; at least 10.
        minimum_trigger_interval: Seconds to keep between two in-app messages; 0 for none.
        flush_interval: Seconds between requests while there is something to send; ``None`` leaves it to
            ``delivery_options``, whose default is 10.
        app_version: The host app's version, as its users know it.
        app_version_code: The same as four numbers, such as ``1.2.3.4``, by which Braze compares versions.
        sdk_metadata: Tags of Braze's list that tell how the SDK is integrated (``mp`` for mParticle, ...).
        sdk_authentication: Send signatures, and one user's data a request.
        skip_unchanged: Which attributes are not sent again while unchanged: ``all``, the ``email``, or ``none``.
        adopt_anonymous_attributes: Unsent attributes of the anonymous user go to the first user identified (web SDK),
            or stay with the device (mobile SDKs).
        keep_null_properties: Properties that are ``None`` go as null (Apple SDK), or are left out (web SDK).
        reporter: Where problems go; not together with ``on_error``.
        on_error: Called with each problem.
        on_delivery: Called after each request that settled records.
        clock: Where time comes from.
        delivery_options: Limits and time-outs of delivery.

    Raises:
        ConfigurationError: A setting is missing or malformed.
    """

    _endpoint_class: ClassVar[type[DataEndpoint]] = DataEndpoint

    def __init__(
        self,
        api_key: str,
        endpoint: str | None = None,
        *,
        storage: str | os.PathLike[str] | Storage | None = None,
        session_timeout: float = 1800,
        minimum_trigger_interval: float = 30,
        flush_interval: float | None = None,
        app_version: str | None = None,
        app_version_code: str | None = None,
        sdk_metadata: Sequence[str] = (),
        sdk_authentication: bool = False,
        skip_unchanged: SkipUnchanged = "none",
        adopt_anonymous_attributes: bool = True,
        keep_null_properties: bool = False,
        reporter: Reporter | None = None,
        on_error: Callable[[Problem], object] | None = None,
        on_delivery: Callable[[DeliveryReport], object] | None = None,
        clock: Clock = SYSTEM_CLOCK,
        delivery_options: DeliveryOptions | None = None,
    ) -> None:
        check_settings(api_key, app_version, app_version_code, sdk_metadata, skip_unchanged)
        if reporter is not None and on_error is not None:
            raise ConfigurationError("reporter and on_error exclude each other: give on_error to the Reporter")
        base_url = resolve_endpoint(endpoint)
        timeout = seconds(session_timeout, "session_timeout")
        if minimum_trigger_interval != 0:
            seconds(minimum_trigger_interval, "minimum_trigger_interval")
        options = delivery_options or DeliveryOptions()
        if flush_interval is not None:
            options = dataclasses.replace(options, flush_interval=seconds(flush_interval, "flush_interval"))
        self._reporter = reporter or Reporter(on_error)
        if not isinstance(storage, Storage):
            storage = Storage.open(storage, self._reporter)
        self._clock = clock
        made = threading.Event()
        self._state = State(storage.key_values("braze"), adopts_anonymous=adopt_anonymous_attributes)
        self._signatures = Signatures(self._state, self._reporter, enabled=bool(sdk_authentication))
        self._meter = PointMeter(clock)
        self._memory = SentAttributes(storage.key_values("sent_attributes"), skip_unchanged)
        self._destination = self._endpoint_class(
            api_key,
            base_url,
            state=self._state,
            signatures=self._signatures,
            meter=self._meter,
            reporter=self._reporter,
            clock=clock,
            app_version=app_version,
            app_version_code=app_version_code,
            sdk_metadata=sdk_metadata,
            before_request=weakly(self._remember, {}, made),
            on_config=weakly(self._config_changed, None, made),
            on_undeliverable=self._memory.forget_all,
            on_triggers=weakly(self._triggers_answered, None, made),
        )
        self._delivery = Delivery(
            self._destination,
            storage=storage,
            reporter=self._reporter,
            options=options,
            clock=clock,
            on_delivery=on_delivery,
        )
        self._last_errand: LastErrand | None = None
        self._recorder = Recorder(self._state, self._delivery, clock, timeout)
        self._messaging = lazy_messaging(
            self._state,
            recorder=self._recorder,
            endpoint=self._destination,
            values=storage.key_values("messaging"),
            clock=clock,
            reporter=self._reporter,
            delivery=self._delivery,
            minimum_trigger_interval=minimum_trigger_interval,
        )
        self._recorder.on_session = self._messaging.session_began
        self._properties = PropertyEncoder(self._property_amiss, orjson_dumps(), keep_null=keep_null_properties)
        self._events = EventTexts(self._state.config.blocked_events)
        self._user = BrazeUser(
            self._recorder,
            state=self._state,
            memory=self._memory,
            meter=self._meter,
            refuse=self._refuse,
            amiss=self._amiss,
            push_token=self._messaging.set_push_token,
        )
        if self._state.disabled:
            self._delivery.pause()
        self._messaging.start()
        made.set()
        renew_after_fork(self)

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
        taken = signature is not None and self._take_signature("change_user", text, signature)
        # Held up by the earlier user's signature, or by the lack of this one: only now delivery knows whose turn it is.
        if (self._recorder.change_user(text) and self._signatures.enabled) or taken:
            self._go_on()

    def set_sdk_authentication_signature(self, signature: str) -> bool:
        """A new signature for the current user; what was held for want of it is sent.

        Returns:
            Whether it was taken: not when SDK authentication is off, nor when it is no text or empty.
        """
        if not self._recorder.accepts():
            return False
        taken = self._take_signature("set_sdk_authentication_signature", self.user_id, signature)
        if taken:
            self._go_on()
        return taken

    def subscribe_to_sdk_authentication_failures(
        self, callback: Callable[[AuthenticationFailure], object]
    ) -> Callable[[], None]:
        """Call ``callback`` for each request that failed authentication.

        It is called on the sending thread, so that a signature it sets with :meth:`set_sdk_authentication_signature`
        goes with the next request; nothing is sent until it returns.

        Returns:
            A function that ends the subscription.

        Raises:
            InvalidArgumentError: ``callback`` cannot be called, or is a coroutine function.
        """
        return self._signatures.failures.add(callback)

    def _take_signature(self, call: str, user_id: str | None, signature: Any) -> bool:
        try:
            text = required_text(signature, "signature")
        except Refused as refused:
            return self._refuse(call, refused)
        if not self._signatures.enabled:
            return False
        self._signatures.take(user_id, text)
        if user_id is not None:
            self._delivery.retry_dead_letters(set_aside_reason(user_id))
        return True

    def _go_on(self) -> None:
        self._delivery.resume()
        self._messaging.signature_taken()

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
        self._messaging.release()
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

    def observe_records(self, observer: Callable[[bytes], object] | None) -> None:
        """Show every record from now on to ``observer``, as JSON, once it is queued; for tools of developers.

        Args:
            observer: Called on the caller's thread; it must be quick and must not raise. ``None`` ends it.
        """
        append = self._delivery.append

        def observed(kind: str, payload: bytes) -> bool:
            queued = append(kind, payload)
            if queued and observer is not None:
                observer(payload)
            return queued

        self._recorder.divert(append if observer is None else observed)

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

    def forget_sent_attributes(self) -> None:
        """Send every attribute again the next time it is set, unchanged or not (see ``skip_unchanged``)."""
        self._memory.forget_all()

    # -- privacy ------------------------------------------------------------------------------------------------
    def clear(self) -> int:
        """Discard everything queued; gives the number of records. User, session and device id stay."""
        count = self._delivery.clear()
        self._memory.forget_all()
        return count

    def disable(self) -> None:
        """Take nothing any more, send what is queued, and then send nothing either; over restarts too.

        As the Web SDK. Never waits: the last request leaves in the background, once. What it cannot deliver stays
        queued; user, device id and session stay as well.
        """
        if self._state.disabled:
            return
        self._state.set_disabled(True)
        self._recorder.config_changed()
        self._delivery.flush_soon(ignore_backoff=True)
        # Enabled and disabled again meanwhile, it is the second errand that counts.
        self._last_errand = errand = LastErrand(self._fall_silent)
        if not self._delivery.call_soon(errand):
            self._fall_silent(errand)

    def enable(self) -> None:
        """End :meth:`disable`."""
        self._last_errand = None
        self._state.set_disabled(False)
        self._destination.silent = False
        self._recorder.config_changed()
        self._delivery.unpause()

    def _fall_silent(self, errand: LastErrand) -> None:
        if errand is self._last_errand:
            self._destination.silent = True
            self._delivery.pause()

    def wipe_data(self) -> None:
        """Forget queue, user, session, configuration and device id; the next call is a new anonymous user's.

        A disabled client stays disabled.
        """
        self._delivery.clear()
        self._memory.forget_all()
        self._state.wipe()
        self._recorder.reset()
        self._config_changed()
        self._messaging.wiped()

    def log_out(self, timeout: float = 5.0) -> FlushResult:
        """The user leaves this device: withdraw the push token, send what is queued, then disable and wipe.

        As the Web SDK. :meth:`enable` goes on, with a new anonymous user on a new device.

        Args:
            timeout: Seconds to wait at most for the sending. What is not sent by then is wiped.

        Returns:
            What was sent, and how many records were lost (``kept``).

        Raises:
            ClosedError: The client was closed.
        """
        if not self._recorder.accepts():
            return FlushResult()
        end = self._clock.monotonic() + timeout
        self._messaging.withdraw_push_token()
        result = self._delivery.flush(timeout)
        # The token goes in a request of its own, and whatever comes after it in its turn.
        withdrawn = threading.Event()
        if self._delivery.call_soon(LastErrand(lambda _: withdrawn.set())):
            withdrawn.wait(max(0.0, end - self._clock.monotonic()))
        self.disable()
        self.wipe_data()
        return result

    # -- inside -------------------------------------------------------------------------------------------------
    def _remember(self) -> Mapping[str, Any]:
        self._memory.persist()
        self._recorder.request_leaves()
        self._messaging.request_leaves()
        return self._recorder.to_remember()

    def _config_changed(self) -> None:
        self._events = EventTexts(self._state.config.blocked_events)
        self._recorder.config_changed()
        self._messaging.config_changed()

    def _triggers_answered(self, raw: object, epoch: int) -> None:
        self._messaging.triggers_answered(raw, epoch)

    def after_fork_in_child(self) -> None:
        """In a forked child: let go of what is the parent's. Called by itself."""
        self._memory.reset_after_fork()
        self._recorder.reset_after_fork()
        self._messaging.reset_after_fork()
