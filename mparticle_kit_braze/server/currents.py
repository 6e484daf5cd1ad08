"""Braze Currents as sent to mParticle: Braze's event stream, read, typed, de-duplicated and turned into events.

The batches are those of mParticle's Events API. Names of events changed in 2022 (plural) and before (singular or past
tense); both are read. Source: Braze Currents for mParticle, event glossary.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..events import Event, EventType
from ..locks import ForkSafeLock
from ..storage import KeyValues

__all__ = ["CurrentsEvent", "CurrentsReceiver", "MalformedBatchError", "parse_batch"]

SECONDS_BELOW = 100_000_000_000
"""A timestamp below this is in seconds: the field's name says milliseconds, its description a UNIX timestamp."""

MAX_BATCHES = 100

Family = Literal[
    "uninstall",
    "subscription",
    "subscription_group",
    "campaign",
    "canvas",
    "experiment",
    "content_card",
    "banner",
    "email",
    "feature_flag",
    "in_app_message",
    "push",
    "sms",
    "webhook",
    "whatsapp",
    "other",
]

# Words that an event's name begins with, and the family; the first that fits.
_FAMILIES: tuple[tuple[str, Family], ...] = (
    ("application uninstall", "uninstall"),
    ("uninstall", "uninstall"),
    ("global subscription", "subscription"),
    ("subscription group", "subscription_group"),
    ("campaign", "campaign"),
    ("experiment", "experiment"),
    ("canvas experiment", "experiment"),
    ("canvas", "canvas"),
    ("exit ", "canvas"),
    ("content card", "content_card"),
    ("banner", "banner"),
    ("email", "email"),
    ("feature flag", "feature_flag"),
    ("in-app message", "in_app_message"),
    ("in app message", "in_app_message"),
    ("push notification", "push"),
    ("sms", "sms"),
    ("webhook", "webhook"),
    ("whatsapp", "whatsapp"),
)
_PREFIX: Mapping[Family, tuple[str, str]] = {
    # family -> (prefix of the name, prefix of Braze's internal type)
    "campaign": ("campaign", "users.campaigns"),
    "canvas": ("canvas", "users.canvas"),
    "content_card": ("content card", "users.messages.contentcard"),
    "banner": ("banner", "users.messages.banner"),
    "email": ("email", "users.messages.email"),
    "in_app_message": ("in-app message", "users.messages.inappmessage"),
    "push": ("push notification", "users.messages.pushnotification"),
    "sms": ("sms", "users.messages.sms"),
    "webhook": ("webhook", "users.messages.webhook"),
    "whatsapp": ("whatsapp", "users.messages.whatsapp"),
}
_WHOLE_NAMES: Mapping[str, str] = {
    "application uninstalls": "users.behaviors.Uninstall",
    "application uninstall": "users.behaviors.Uninstall",
    "uninstall": "users.behaviors.Uninstall",
    "global subscription state changes": "users.behaviors.subscription.GlobalStateChange",
    "subscription group state changes": "users.behaviors.subscriptiongroup.StateChange",
    "campaign control group enrollments": "users.campaigns.EnrollInControl",
    "exit matched audiences": "users.canvas.exit.MatchedAudience",
    "exit performed events": "users.canvas.exit.PerformedEvent",
    "experiment conversions": "users.canvas.experimentstep.Conversion",
    "experiment split entries": "users.canvas.experimentstep.SplitEntry",
    "canvas step progressions": "users.canvasstep.Progression",
    "feature flag experiment impressions": "users.featureflag",
}
# The action in a name, in every spelling met, and Braze's own word for it.
_ACTIONS: Mapping[str, str] = {
    "abort": "Abort",
    "bounce": "Bounce",
    "bounced": "Bounce",
    "carrier send": "CarrierSend",
    "click": "Click",
    "clicked": "Click",
    "conversion": "Conversion",
    "converted": "Conversion",
    "delivery": "Delivery",
    "delivered": "Delivery",
    "delivery failure": "DeliveryFailure",
    "dismiss": "Dismiss",
    "dismissed": "Dismiss",
    "dismissal": "Dismiss",
    "entry": "Entry",
    "entered": "Entry",
    "failure": "Failure",
    "impression": "Impression",
    "viewed": "Impression",
    "view": "Impression",
    "inbound": "InboundReceive",
    "inbound receive": "InboundReceive",
    "inbound received": "InboundReceive",
    "mark as spam": "MarkAsSpam",
    "marked as spam": "MarkAsSpam",
    "open": "Open",
    "opened": "Open",
    "rejection": "Rejection",
    "rejected": "Rejection",
    "read": "Read",
    "send": "Send",
    "sent": "Send",
    "short link click": "ShortLinkClick",
    "soft bounce": "SoftBounce",
    "soft bounced": "SoftBounce",
    "unsubscribe": "Unsubscribe",
    "unsubscribed": "Unsubscribe",
}
_MESSAGE_KEYS = ("campaign", "canvas")


class MalformedBatchError(ValueError):
    """A batch is not of the form that Currents sends; the text says where."""


@dataclass(frozen=True, slots=True)
class CurrentsEvent:
    """One event of the stream.

    Attributes:
        id: ``source_message_id``, by which repeats are told; ``None`` if it has none.
        name: Its name as sent (``Email Opens``); ``Application Uninstalls`` for an uninstall.
        family: What it is about, such as ``email`` or ``push``.
        braze_type: Braze's internal type (``users.messages.email.Open``), ``None`` if the name is not known.
        time: Seconds since the epoch, ``None`` if absent.
        customer_id: The external id.
        email: The address, on email events.
        mobile: The number, on SMS events.
        platform: The platform of the device, on events of an app.
        device_id: Braze's device id.
        environment: ``production`` or ``development``.
        source: ``campaign``, ``canvas`` or ``None``: what the message belongs to.
        attributes: All custom attributes.
    """

    id: str | None
    name: str
    family: Family
    braze_type: str | None
    time: float | None
    customer_id: str | None
    email: str | None = None
    mobile: str | None = None
    platform: str | None = None
    device_id: str | None = None
    environment: str = "production"
    source: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def to_event(self) -> Event:
        """The event for mParticle: its name, type other, its attributes and its time."""
        return Event(self.name, EventType.OTHER, self.attributes, self.time)


def parse_batch(batch: Any) -> list[CurrentsEvent]:
    """Read one batch.

    Raises:
        MalformedBatchError: It is not of the known form.
    """
    if not isinstance(batch, Mapping):
        raise MalformedBatchError("a batch must be an object")
    events = batch.get("events")
    if not isinstance(events, list):
        raise MalformedBatchError("a batch must have a list of events")
    return [_event(batch, event, index) for index, event in enumerate(events)]


def _event(batch: Mapping[str, Any], event: Any, index: int) -> CurrentsEvent:
    data = event.get("data") if isinstance(event, Mapping) else None
    if not isinstance(data, Mapping):
        raise MalformedBatchError(f"event {index} must have an object as data")
    kind = event.get("event_type")
    name = "Application Uninstalls" if kind == "uninstall" else data.get("event_name")
    if kind not in ("custom_event", "uninstall") or not isinstance(name, str) or not name:
        raise MalformedBatchError(f"event {index} must be an uninstall or a custom_event with an event_name")
    attributes = _object(data, "custom_attributes")
    identities, device = _object(batch, "user_identities"), _object(batch, "device_info")
    return CurrentsEvent(
        id=_text(data.get("source_message_id")) or _text(attributes.get("source_request_id")),
        name=name,
        family=_family(name),
        braze_type=_braze_type(name),
        time=_time(data.get("timestamp_unixtime_ms")),
        customer_id=_text(identities.get("customerid")) or _text(identities.get("customer_id")),
        email=_text(identities.get("email")),
        mobile=_text(_object(batch, "user_attributes").get("$mobile")),
        platform=_text(device.get("platform")),
        device_id=_text(attributes.get("device_id")) or _text(device.get("ios_idfv")),
        environment=_text(batch.get("environment")) or "production",
        source=next((key for key in _MESSAGE_KEYS if attributes.get(f"{key}_id") is not None), None),
        attributes=dict(attributes),
    )


def _object(parent: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = parent.get(key)
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value or None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _time(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value or value <= 0:  # noqa: PLR0124 - not-a-number
        return None
    return float(value) if value < SECONDS_BELOW else value / 1000


def _family(name: str) -> Family:
    lowered = name.lower()
    return next((family for prefix, family in _FAMILIES if lowered.startswith(prefix)), "other")


def _braze_type(name: str) -> str | None:
    lowered = re.sub(r"\s+", " ", name.strip().lower()).replace("in app message", "in-app message")
    if lowered in _WHOLE_NAMES:
        return _WHOLE_NAMES[lowered]
    prefix, internal = _PREFIX.get(_family(lowered), (None, ""))
    if prefix is None or not lowered.startswith(prefix):
        return None
    action = lowered.removeprefix(prefix).strip()
    for spelling in (action, _singular(action)):
        if spelling in _ACTIONS:
            return f"{internal}.{_ACTIONS[spelling]}"
    return None


def _singular(action: str) -> str:
    """``marks as spam`` -> ``mark as spam``, ``deliveries`` -> ``delivery``, ``dismisses`` -> ``dismiss``."""
    if action.startswith("marks "):
        return f"mark {action.removeprefix('marks ')}"
    if action.endswith("ies"):
        return f"{action[:-3]}y"
    if action.endswith("sses"):
        return action[:-2]
    return action.removesuffix("s")


class CurrentsReceiver:
    """Takes batches in and hands each event on once. Thread-safe.

    Args:
        handle: Called with every new event. What it raises goes to the caller of :meth:`receive`, and the event counts
            as not yet seen, so that the sender's repeat brings it again.
        remember: How many ids are remembered to tell repeats.
        values: Where ids are kept over restarts; ``None``: in memory only.
    """

    def __init__(
        self, handle: Callable[[CurrentsEvent], object], *, remember: int = 100_000, values: KeyValues | None = None
    ) -> None:
        self._handle = handle
        self._remember = remember
        self._values = values
        self._lock = ForkSafeLock()
        self._seen: OrderedDict[str, None] = OrderedDict()
        if values is not None:
            by_age = sorted(values.items("seen.").items(), key=lambda item: item[1])
            self._seen = OrderedDict.fromkeys(key.removeprefix("seen.") for key, _ in by_age)
        self._count = len(self._seen)

    def receive(self, batches: Any) -> int:
        """Take one batch, or a list of up to 100.

        Returns:
            How many events were new.

        Raises:
            MalformedBatchError: A batch is malformed; nothing of the call was handed on.
        """
        listed = batches if isinstance(batches, list) else [batches]
        if len(listed) > MAX_BATCHES:
            raise MalformedBatchError(f"a call may hold up to {MAX_BATCHES} batches, not {len(listed)}")
        events = [event for batch in listed for event in parse_batch(batch)]
        new = 0
        for event in self._unseen(events):
            self._handle(event)
            self._mark(event)
            new += 1
        return new

    def _unseen(self, events: Iterable[CurrentsEvent]) -> Iterator[CurrentsEvent]:
        for event in events:
            with self._lock.held:
                known = event.id is not None and event.id in self._seen
            if not known:
                yield event

    def _mark(self, event: CurrentsEvent) -> None:
        if event.id is None:
            return
        forgotten = None
        with self._lock.held:
            self._count += 1
            self._seen[event.id] = None
            if len(self._seen) > self._remember:
                forgotten, _ = self._seen.popitem(last=False)
            count = self._count
        if self._values is not None:
            self._values.set(f"seen.{event.id}", count)
            if forgotten is not None:
                self._values.delete(f"seen.{forgotten}")
