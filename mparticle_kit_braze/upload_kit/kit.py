"""The upload kit: the client's calls as batches for mParticle, through the same durable delivery as Braze's."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from .._version import __version__
from ..clock import SYSTEM_CLOCK, Clock
from ..commerce import CommerceEvent
from ..consent import CCPA_PURPOSE, CCPAConsent, ConsentState, GDPRConsent
from ..delivery import Delivery, DeliveryOptions, DeliveryStats, FlushResult
from ..errors import ConfigurationError, MParticleError
from ..events import Event, ScreenView
from ..identity import IdentityType, User
from ..kits.configuration import KitConfiguration
from ..kits.kit import IdentityOperation, Kit, KitContext
from ..kits.sessions import Session
from ..values import describe
from . import events as bodies
from .batches import MAX_BATCH_BYTES, MAX_REQUEST_BYTES, Envelope, encode
from .destination import EventsApi
from .pods import resolve_pod
from .values import MAX_KEY, UnfitError, list_of, milliseconds, random_id, scalar, text

__all__ = ["MParticleUploadKit"]

RECORD = "e"
"""The one kind of record."""

MAX_EVENT_BYTES = MAX_BATCH_BYTES - 8_000
"""A larger event, with its user, leaves no room for the rest of the batch."""


class MParticleUploadKit(Kit):
    """Uploads events, attributes, identities and consent to mParticle's Events API, server to server.

    Batches hold one user and session, in order, and keep their id over retries and restarts. Values that mParticle
    does not take (nested ones, texts over 4096 characters) are reported and left out; the rest of the call goes.

    Args:
        key: The API key of a server-to-server input.
        secret: Its secret.
        pod: ``us1``, ``us2``, ``eu1`` or ``au1``; ``None`` for mParticle's general host; or a proxy's URL.
        upload_mpid: Whether batches name the user by MPID; ``None``: if the client has its MPIDs from mParticle.
            Otherwise mParticle tells users by their identities, and the device by a random id.
        application_name: The app's name, told with each batch.
        application_version: Its version.
        configuration: Filters and rules for this kit, as mParticle serves them for others.
        delivery_options: How much is kept and when it is sent.
        clock: Where the time comes from; another one is for tests.

    Raises:
        ConfigurationError: Key, secret or pod is missing or malformed.
    """

    name: ClassVar[str] = "mParticle"
    follows_data_plan: ClassVar[bool] = False

    def __init__(
        self,
        key: str,
        secret: str,
        *,
        pod: str | None = None,
        upload_mpid: bool | None = None,
        application_name: str | None = None,
        application_version: str | None = None,
        configuration: Mapping[str, Any] | KitConfiguration | None = None,
        delivery_options: DeliveryOptions | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        check_texts(key=key, secret=secret)
        application = {"application_name": application_name, "application_version": application_version}
        check_texts(**{name: value for name, value in application.items() if value is not None})
        if configuration is not None and not isinstance(configuration, KitConfiguration):
            configuration = KitConfiguration.from_json(configuration)
        self._given = configuration
        self._credentials = key.strip(), secret.strip()
        self._url = resolve_pod(pod)
        self._upload_mpid = upload_mpid
        self._application = {name: value[:256] for name, value in application.items() if value is not None}
        self._options = delivery_options or DeliveryOptions(max_batch_bytes=MAX_REQUEST_BYTES)
        # The machine's clock without the call around it.
        self._clock = clock
        self._time = time.time if clock is SYSTEM_CLOCK else clock.time
        self._context: KitContext | None = None
        self._delivery: Delivery | None = None
        self._user: User | None = None
        self._attributes: dict[str, Any] = {}
        self._identities: dict[IdentityType, str] = {}
        self._prefix = ""
        self._integrations = 0

    @classmethod
    def from_configuration(cls, configuration: KitConfiguration) -> MParticleUploadKit:
        """A kit from settings ``apiKey``, ``secret`` and ``pod``, with the filters and rules beside them."""
        settings = configuration.settings
        return cls(
            settings.get("apiKey", ""),
            settings.get("secret", ""),
            pod=settings.get("pod"),
            configuration=configuration,
        )

    # -- life ---------------------------------------------------------------------------------------------------
    def on_start(self, context: KitContext, user: User | None) -> None:
        """Open the queue, once; a later start finds it open."""
        self._context = context
        if self._delivery is None:
            values = context.storage.key_values("upload")
            fields: dict[str, Any] = {"environment": context.environment, "sdk_version": __version__}
            if self._application:
                fields["application_info"] = self._application
            envelope = Envelope(str(values.set_default("device_id", random_id())), fields)
            destination = EventsApi(
                self._url, *self._credentials, envelope=envelope, values=values, reporter=context.reporter
            )
            self._delivery = Delivery(
                destination,
                storage=context.storage,
                reporter=context.reporter,
                options=self._options,
                clock=self._clock,
                on_delivery=context.on_delivery,
            )
        self._adopt(user)

    def _adopt(self, user: User | None) -> None:
        """Take a user as current: who it is goes with every record from here on."""
        self._user = user
        self._attributes = {} if user is None else dict(user.attributes)
        self._identities = {} if user is None else dict(user.identities)
        self._describe(user)

    def _describe(self, user: User | None) -> None:
        """Write down who the user is, as it goes with every record."""
        described: dict[str, Any] = {"key": None if user is None else str(user.mpid)}
        if user is not None:
            if self._names_mpid:
                described["mpid"] = user.mpid
            identities = {kind.events_api_name: text(value) for kind, value in user.identities.items()}
            if identities:
                described["identities"] = identities
            if consent := consent_body(user.consent):
                described["consent"] = consent
        if self._context is not None:
            self._integrations = self._context.integration.changes
            if integrations := self._context.integration.all():
                described["integrations"] = integrations
        self._prefix = '{"user":' + encode(described) + ',"event":'

    @property
    def _names_mpid(self) -> bool:
        if self._upload_mpid is not None:
            return self._upload_mpid
        return self._context is not None and not self._context.local_mpids

    # -- one record ---------------------------------------------------------------------------------------------
    def _append(
        self, body: Mapping[str, Any], moment: float | None = None, *, session: Session | None = None, suffix: str = ""
    ) -> None:
        if self._delivery is None or self._context is None:
            raise MParticleError("The upload kit has not been started; give it to an MParticle client first")
        if self._integrations != self._context.integration.changes:
            self._describe(self._user)
        data = body["data"]
        data["timestamp_unixtime_ms"] = milliseconds(self._time() if moment is None else moment)
        data["source_message_id"] = random_id()
        current = session or self._context.sessions.current
        if current is not None:
            data["session_uuid"] = current.id
            data["session_start_unixtime_ms"] = milliseconds(current.start)
        payload = (self._prefix + encode(body) + suffix + "}").encode()
        if len(payload) > MAX_EVENT_BYTES:
            kind = body["event_type"]
            self._context.reporter.report(
                "value_refused", f"A {kind} is not uploaded: it is larger than a batch may be", key=kind
            )
            return
        self._delivery.append(RECORD, payload)

    def _refuse(self, key: str, why: str) -> None:
        if self._context is not None:
            self._context.reporter.report("value_refused", f"{key!r} is not uploaded: it {why}", key=key)

    # -- events -------------------------------------------------------------------------------------------------
    def log_event(self, event: Event) -> None:
        """A custom event."""
        self._append(bodies.custom_event(event, self._refuse), event.timestamp)

    def log_screen(self, screen: ScreenView) -> None:
        """A screen view."""
        self._append(bodies.screen_view(screen, self._refuse), screen.timestamp)

    def log_commerce_event(self, event: CommerceEvent) -> None:
        """A commerce event; one for each of product action, promotion action and impressions."""
        for body in bodies.commerce_events(event, self._refuse):
            self._append(body, event.timestamp)

    # -- user attributes ----------------------------------------------------------------------------------------
    def on_user_attribute_set(self, user: User | None, key: str, value: Any) -> None:  # noqa: ARG002 - the contract's
        """A scalar attribute; ``None`` deletes it."""
        if value is None:
            self._delete(key)
        else:
            self._set(key, value)

    def on_user_attribute_list_set(self, user: User | None, key: str, values: Sequence[Any]) -> None:  # noqa: ARG002  # the contract names it
        """A list attribute."""
        self._set(key, tuple(values))

    def on_user_tag_set(self, user: User | None, key: str) -> None:  # noqa: ARG002 - the contract's
        """A tag: an attribute whose value is null."""
        self._set(key, None)

    def on_user_attribute_incremented(
        self,
        user: User | None,  # noqa: ARG002 - the contract's
        key: str,
        by: int | float,  # noqa: ARG002 - mParticle is told the sum
        total: int | float | None,
    ) -> None:
        """An increment: the sum."""
        if total is None:
            self._refuse(key, "cannot be incremented: what is stored is no number")
        else:
            self._set(key, total)

    def on_user_attribute_removed(self, user: User | None, key: str, *, was_set: bool) -> None:  # noqa: ARG002  # the contract names it
        """A removal."""
        self._delete(key)

    def _set(self, key: str, value: Any) -> None:
        name = attribute_name(key)
        if len(name) > MAX_KEY:
            self._refuse(key[:40], f"has a name longer than {MAX_KEY} characters")
            return
        try:
            new = uploaded(value)
        except UnfitError as error:
            self._refuse(key, str(error))
            return
        is_new = key not in self._attributes
        body = bodies.attribute_change(name, new=new, old=self._old(key), deleted=False, is_new=is_new)
        self._attributes[key] = value
        self._append(body, suffix=',"set":' + encode({name: new}))

    def _delete(self, key: str) -> None:
        name = attribute_name(key)
        body = bodies.attribute_change(name, new=None, old=self._old(key), deleted=True, is_new=False)
        self._attributes.pop(key, None)
        self._append(body, suffix=',"deleted":' + encode([name]))

    def _old(self, key: str) -> Any:
        try:
            return uploaded(self._attributes.get(key))
        except UnfitError:
            return None

    # -- identity, consent, opt-out -----------------------------------------------------------------------------
    def on_identity_completed(
        self,
        operation: IdentityOperation,  # noqa: ARG002 - the contract's
        user: User,
        identities: Mapping[IdentityType, str | None],  # noqa: ARG002 - the user has them by now
    ) -> None:
        """Another current user, or changed identities of the same."""
        before, same = self._identities, self._user is not None and self._user.mpid == user.mpid
        self._adopt(user)
        if not same:
            return
        for kind in [*before, *(kind for kind in user.identities if kind not in before)]:
            old, new = before.get(kind), user.identities.get(kind)
            if old != new:
                self._append(bodies.identity_change(kind, new=new, old=old, now=self._time()))

    def on_consent_changed(self, user: User, old: ConsentState, new: ConsentState) -> None:  # noqa: ARG002  # the contract names it
        """Changed consent: it goes with every batch from here on."""
        self._adopt(user)

    def on_opt_out(self, opted_out: bool) -> None:
        """The user opted out, or in again."""
        self._append(bodies.opt_out(opted_out=opted_out))

    # -- sessions, push -----------------------------------------------------------------------------------------
    def on_session_start(self) -> None:
        """The session began."""
        session = None if self._context is None else self._context.sessions.current
        if session is not None:
            self._append(bodies.session_start(), session.start, session=session)

    def on_session_end(self) -> None:
        """The session ended."""
        session = None if self._context is None else self._context.sessions.ended
        if session is not None:
            self._append(bodies.session_end(session), session.end, session=session)

    def on_application_background(self) -> None:
        """The app went to the background."""
        self._append(bodies.state_transition(foreground=False))

    def on_application_foreground(self) -> None:
        """The app came to the foreground."""
        self._append(bodies.state_transition(foreground=True))

    def on_push_token(self, token: str) -> bool:
        """A push token."""
        self._append(bodies.push_registration(token))
        return True

    # -- delivery -----------------------------------------------------------------------------------------------
    @property
    def delivery(self) -> Delivery:
        """The queue, for dead letters.

        Raises:
            MParticleError: The kit has not been started yet.
        """
        if self._delivery is None:
            raise MParticleError("The upload kit has not been started; give it to an MParticle client first")
        return self._delivery

    @property
    def instance(self) -> object:
        """The kit itself: there is no SDK behind it."""
        return self

    def flush(self, timeout: float | None = None) -> FlushResult | None:
        """Send what is queued."""
        return None if self._delivery is None else self._delivery.flush(timeout)

    def close(self, timeout: float) -> FlushResult | None:
        """Flush and release threads and files."""
        if self._delivery is None or self._context is None:
            return None
        result = self._delivery.close(timeout)
        self._context.storage.key_values("upload").close()
        return result

    def clear(self) -> int:
        """Discard what is queued."""
        return 0 if self._delivery is None else self._delivery.clear()

    def erase(self) -> None:
        """Discard what is queued, and the dead letters."""
        self.clear()
        if self._delivery is not None:
            self._delivery.delete_dead_letters()

    def stats(self) -> DeliveryStats | None:
        """Delivery figures."""
        return None if self._delivery is None else self._delivery.stats()


def check_texts(**settings: object) -> None:
    """Settings that must be texts; :raises ConfigurationError: naming the one that is none, or empty."""
    for name, value in settings.items():
        if not isinstance(value, str) or not value.strip():
            raise ConfigurationError(f"{name} must be a non-empty str, not {describe(value)}")


def attribute_name(key: str) -> str:
    """A user attribute's name; reserved ones are lower-case in the Events API."""
    return text(key.lower() if key.startswith("$") else key)


def uploaded(value: Any) -> Any:
    """A user attribute's value as the Events API takes it; :raises UnfitError: if it does not."""
    return list_of(value) if isinstance(value, list | tuple) else scalar(value)


def consent_body(consent: ConsentState) -> dict[str, Any]:
    """A user's consent; empty if there is none."""
    body: dict[str, Any] = {}
    if consent.gdpr:
        body["gdpr"] = {text(purpose): consent_record(record) for purpose, record in consent.gdpr.items()}
    if consent.ccpa is not None:
        body["ccpa"] = {CCPA_PURPOSE: consent_record(consent.ccpa)}
    return body


def consent_record(record: GDPRConsent | CCPAConsent) -> dict[str, Any]:
    """One answer."""
    fields: dict[str, Any] = {
        "consented": record.consented,
        "timestamp_unixtime_ms": None if record.timestamp is None else milliseconds(record.timestamp),
        "document": record.document,
        "location": record.location,
        "hardware_id": record.hardware_id,
    }
    return {key: text(value) if isinstance(value, str) else value for key, value in fields.items() if value is not None}
