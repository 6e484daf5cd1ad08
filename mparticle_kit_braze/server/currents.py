"""Braze Currents as sent to mParticle: Braze's event stream, read, typed, de-duplicated and turned into events.

The batches are those of mParticle's Events API. Names of events changed in 2022 (plural) and before (singular or past
tense); both are read. Source: Braze Currents for mParticle, event glossary.
"""

from __future__ import annotations

import math
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
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
# Names that follow no pattern, in the singular, some of them with and without "canvas" before them.
_WHOLE_NAMES: Mapping[str, str] = {
    "application uninstall": "users.behaviors.Uninstall",
    "uninstall": "users.behaviors.Uninstall",
    "global subscription state change": "users.behaviors.subscription.GlobalStateChange",
    "subscription group state change": "users.behaviors.subscriptiongroup.StateChange",
    "campaign control group enrollment": "users.campaigns.EnrollInControl",
    "exit matched audience": "users.canvas.exit.MatchedAudience",
    "exit performed event": "users.canvas.exit.PerformedEvent",
    "experiment conversion": "users.canvas.experimentstep.Conversion",
    "experiment split entry": "users.canvas.experimentstep.SplitEntry",
    "experiment step conversion": "users.canvas.experimentstep.Conversion",
    "experiment step split entry": "users.canvas.experimentstep.SplitEntry",
    "canvas step progression": "users.canvasstep.Progression",
    "feature flag experiment impression": "users.featureflag",
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
        customer_id: The external id (the MPID where that is the external id).
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
    return [_event(batch, event, index) for index, event in enumerate(_items(batch))]


def _items(batch: Any) -> list[Any]:
    if not isinstance(batch, Mapping):
        raise MalformedBatchError("a batch must be an object")
    events = batch.get("events")
    if not isinstance(events, list):
        raise MalformedBatchError("a batch must have a list of events")
    return events


def _readable(batch: Any, problems: list[str]) -> Iterator[CurrentsEvent]:
    """The events of a batch that can be read; what is wrong with the others goes to ``problems``."""
    try:
        items = _items(batch)
    except MalformedBatchError as error:
        problems.append(str(error))
        return
    for index, item in enumerate(items):
        try:
            yield _event(batch, item, index)
        except MalformedBatchError as error:  # noqa: PERF203 - one bad event costs only itself
            problems.append(str(error))


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
        id=_text(data.get("source_message_id")),
        name=name,
        family=_family(name),
        braze_type=_braze_type(name),
        time=_time(data.get("timestamp_unixtime_ms")),
        customer_id=_text(identities.get("customerid"))
        or _text(identities.get("customer_id"))
        or _text(batch.get("mpid")),
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
    try:
        number = 0.0 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    if not 0 < number < math.inf:
        return None
    return number if number < SECONDS_BELOW else number / 1000


def _family(name: str) -> Family:
    lowered = name.strip().lower()
    return next((family for prefix, family in _FAMILIES if lowered.startswith(prefix)), "other")


def _braze_type(name: str) -> str | None:
    lowered = re.sub(r"\s+", " ", name.strip().lower()).replace("in app message", "in-app message")
    for whole in (lowered, lowered.removeprefix("canvas ")):
        if _singular(whole) in _WHOLE_NAMES:
            return _WHOLE_NAMES[_singular(whole)]
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
        self._handling: dict[tuple[int, str], threading.Event] = {}
        self._count = 0
        if values is not None:
            by_age = sorted(values.items("seen.").items(), key=lambda item: item[1])
            self._seen = OrderedDict.fromkeys(key.removeprefix("seen.") for key, _ in by_age)
            self._count = by_age[-1][1] if by_age else 0

    def receive(self, batches: Any) -> int:
        """Take one batch, or a list of up to 100.

        Returns:
            How many events were new.

        Raises:
            MalformedBatchError: A batch or an event is malformed; all the others were handed on.
        """
        listed = batches if isinstance(batches, list) else [batches]
        if len(listed) > MAX_BATCHES:
            raise MalformedBatchError(f"a call may hold up to {MAX_BATCHES} batches, not {len(listed)}")
        problems: list[str] = []
        new = sum(self._hand_on(event) for batch in listed for event in _readable(batch, problems))
        if problems:
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            raise MalformedBatchError(f"{problems[0]}{more}")
        return new

    def _hand_on(self, event: CurrentsEvent) -> bool:
        """Hand an event on unless it is known; one that another thread is handing on is waited for."""
        if event.id is None:
            self._handle(event)
            return True
        mine = threading.Event()
        number = (os.getpid(), event.id)  # in a forked child nobody hands on what the parent's threads do
        while True:
            with self._lock.held:
                if event.id in self._seen:
                    return False
                other = self._handling.setdefault(number, mine)
            if other is mine:
                break
            other.wait()
        try:
            self._handle(event)
            self._mark(event.id)
        finally:
            with self._lock.held:
                del self._handling[number]
            mine.set()
        return True

    def _mark(self, event_id: str) -> None:
        forgotten = None
        with self._lock.held:
            self._count += 1
            self._seen[event_id] = None
            if len(self._seen) > self._remember:
                forgotten, _ = self._seen.popitem(last=False)
            count = self._count
        if self._values is not None:
            self._values.set(f"seen.{event_id}", count)
            if forgotten is not None:
                self._values.delete(f"seen.{forgotten}")
