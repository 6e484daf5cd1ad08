"""The user profiles that Braze would hold after what has arrived.

Anonymous users are known by their device; when a device's user is identified, the anonymous profile is
merged into the identified one: counters add up, fields that are already set stay.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

__all__ = ["Activity", "Location", "ProfileStore", "SessionRecord", "UserProfile"]

JsonObject = dict[str, Any]


@dataclass(slots=True)
class Activity:
    """How often something happened, and when first and last (seconds since the epoch)."""

    count: int = 0
    quantity: int = 0
    first: float = float("inf")
    last: float = float("-inf")

    def add(self, time: float, quantity: int = 1) -> None:
        """Count one more at ``time``."""
        self.count += 1
        self.quantity += quantity
        self.first = min(self.first, time)
        self.last = max(self.last, time)

    def merge(self, other: Activity) -> None:
        """Add the counts of ``other``."""
        self.count += other.count
        self.quantity += other.quantity
        self.first = min(self.first, other.first)
        self.last = max(self.last, other.last)


@dataclass(slots=True)
class SessionRecord:
    """A session: its id, when it began and, once it has ended, how many seconds it lasted."""

    id: str
    start: float | None = None
    duration: float | None = None


@dataclass(frozen=True, slots=True)
class Location:
    """A place."""

    latitude: float
    longitude: float
    altitude: float | None = None
    accuracy: float | None = None
    altitude_accuracy: float | None = None


@dataclass(slots=True)
class UserProfile:
    """One user as Braze would show them.

    Attributes:
        external_id: The user id, ``None`` for an anonymous user.
        devices: By device id, what the device told about itself.
        aliases: By label, the alias name.
        attributes: Standard fields by their wire name.
        custom_attributes: Custom attributes by key.
        events: By custom event name, how often and when.
        products: By product id, how often and when; ``quantity`` adds up the pieces.
        totals: Revenue by currency.
        sessions: By session id, oldest first.
        subscription_groups: By group id, ``subscribed`` or ``unsubscribed``.
        custom_locations: Places by custom attribute key.
        location: The last known location.
        other_events: By event code, how often anything else happened (impressions, clicks, ...).
    """

    external_id: str | None = None
    devices: dict[str, JsonObject] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    attributes: JsonObject = field(default_factory=dict)
    custom_attributes: JsonObject = field(default_factory=dict)
    events: dict[str, Activity] = field(default_factory=dict)
    products: dict[str, Activity] = field(default_factory=dict)
    totals: dict[str, Decimal] = field(default_factory=dict)
    sessions: OrderedDict[str, SessionRecord] = field(default_factory=OrderedDict)
    subscription_groups: dict[str, str] = field(default_factory=dict)
    custom_locations: dict[str, Location] = field(default_factory=dict)
    location: Location | None = None
    other_events: dict[str, int] = field(default_factory=dict)

    @property
    def device_ids(self) -> list[str]:
        """The devices the user was seen on, in order."""
        return list(self.devices)

    @property
    def custom_events(self) -> dict[str, int]:
        """How often each custom event happened."""
        return {name: activity.count for name, activity in self.events.items()}

    @property
    def purchases(self) -> dict[str, int]:
        """How many pieces of each product were bought."""
        return {product: activity.quantity for product, activity in self.products.items()}

    @property
    def revenue(self) -> dict[str, float]:
        """Revenue by currency: price times quantity of every purchase."""
        return {currency: float(total) for currency, total in self.totals.items()}

    @property
    def session_seconds(self) -> float:
        """The length of all ended sessions together."""
        return sum(session.duration or 0.0 for session in self.sessions.values())

    def to_json(self) -> JsonObject:
        """The profile as plain JSON values."""
        return {
            "external_id": self.external_id,
            "devices": self.devices,
            "aliases": self.aliases,
            "attributes": self.attributes,
            "custom_attributes": self.custom_attributes,
            "custom_events": {name: _activity_json(activity) for name, activity in self.events.items()},
            "purchases": {name: _activity_json(activity) for name, activity in self.products.items()},
            "revenue": self.revenue,
            "sessions": [
                {"id": session.id, "start": session.start, "duration": session.duration}
                for session in self.sessions.values()
            ],
            "subscription_groups": self.subscription_groups,
            "custom_locations": {key: _location_json(place) for key, place in self.custom_locations.items()},
            "location": None if self.location is None else _location_json(self.location),
            "other_events": self.other_events,
        }


def _summary(profile: UserProfile) -> JsonObject:
    names = (profile.attributes.get(key) for key in ("first_name", "last_name"))
    return {
        "user": profile.external_id,
        "device": next(iter(profile.devices), None),
        "name": " ".join(str(name) for name in names if name),
        "events": sum(activity.count for activity in profile.events.values()),
        "purchases": sum(activity.count for activity in profile.products.values()),
        "attributes": len(profile.attributes) + len(profile.custom_attributes),
        "sessions": len(profile.sessions),
    }


def _activity_json(activity: Activity) -> JsonObject:
    return {"count": activity.count, "quantity": activity.quantity, "first": activity.first, "last": activity.last}


def _location_json(place: Location) -> JsonObject:
    values = {
        "latitude": place.latitude,
        "longitude": place.longitude,
        "altitude": place.altitude,
        "accuracy": place.accuracy,
        "altitude_accuracy": place.altitude_accuracy,
    }
    return {key: value for key, value in values.items() if value is not None}


class ProfileStore:
    """Every profile, kept up to date request by request.

    Args:
        keep_sessions: How many sessions of one user are remembered; the oldest go first.
    """

    def __init__(self, keep_sessions: int = 1000) -> None:
        self._keep_sessions = keep_sessions
        self._identified: dict[str, UserProfile] = {}
        self._anonymous: dict[str, UserProfile] = {}

    def clear(self) -> None:
        """Forget everybody."""
        self._identified.clear()
        self._anonymous.clear()

    def identified(self, external_id: str) -> UserProfile | None:
        """A copy of the profile with this user id."""
        return copy.deepcopy(self._identified.get(external_id))

    def anonymous(self, device_id: str) -> UserProfile | None:
        """A copy of the anonymous profile of this device."""
        return copy.deepcopy(self._anonymous.get(device_id))

    def all(self) -> list[UserProfile]:
        """Copies of all profiles: identified users first, both kinds in order of appearance."""
        return copy.deepcopy([*self._identified.values(), *self._anonymous.values()])

    def find(self, text: str, limit: int) -> tuple[list[JsonObject], int]:
        """Short descriptions of at most ``limit`` profiles that hold ``text`` in an id, and how many there are.

        Identified users come first; the latest to appear lead.
        """
        wanted = text.lower()
        found: list[JsonObject] = []
        total = 0
        for store in (self._identified, self._anonymous):
            for key, profile in reversed(store.items()):
                ids = (key, *profile.devices, *profile.aliases.values(), str(profile.attributes.get("email", "")))
                if not any(wanted in one.lower() for one in ids):
                    continue
                total += 1
                if len(found) < limit:
                    found.append(_summary(profile))
        return found, total

    def apply(self, body: JsonObject) -> None:
        """Take in a checked request body.

        Attributes go before events: the two lists have lost their order among each other, and a value that
        is set and then counted up is likelier than the reverse.
        """
        device_id: str = body["device_id"]
        users: set[str | None] = set()
        for attributes in body.get("attributes", ()):
            user_id = attributes.get("user_id")
            users.add(user_id)
            _apply_attributes(self._profile(user_id, device_id), attributes)
        self._apply_events(body.get("events", ()), device_id, users)
        current = body.get("respond_with", {}).get("user_id")
        if current is not None:
            self._profile(current, device_id)
        if "device" in body:
            for user_id in users | {current}:
                if (profile := self._known(user_id, device_id)) is not None:
                    profile.devices[device_id] = body["device"]

    def _apply_events(self, events: Iterable[JsonObject], device_id: str, users: set[str | None]) -> None:
        nobody = object()
        last: object = nobody
        profile = UserProfile()
        for event in events:
            user_id = event.get("user_id")
            if user_id != last:  # runs of one user are the rule
                last = user_id
                users.add(user_id)
                profile = self._profile(user_id, device_id)
            if "alias" in event:
                profile.aliases[event["alias"]["label"]] = event["alias"]["name"]
            code = event["name"]
            if code == "ce":
                name = event["data"]["n"]
                activity = profile.events.get(name)
                if activity is None:
                    activity = profile.events[name] = Activity()
                activity.add(event["time"])
            else:
                self._apply_event(profile, code, event)

    def _apply_event(self, profile: UserProfile, code: str, event: JsonObject) -> None:
        data = event["data"]
        if code == "p":
            product = profile.products.setdefault(data["pid"], Activity())
            product.add(event["time"], data["q"])
            total = profile.totals.get(data["c"], Decimal(0))
            profile.totals[data["c"]] = total + Decimal(str(data["p"])) * data["q"]
        elif code in ("ss", "se"):
            self._apply_session(profile, code, event)
        elif code == "uae":
            profile.aliases[data["l"]] = data["a"]
        elif code == "sgu":
            profile.subscription_groups[data["group_id"]] = data["status"]
        elif code == "lr":
            profile.location = Location(
                data["latitude"],
                data["longitude"],
                data.get("altitude"),
                data.get("ll_accuracy"),
                data.get("alt_accuracy"),
            )
        elif code == "lcaa":
            profile.custom_locations[data["key"]] = Location(data["latitude"], data["longitude"])
        elif code == "lcar":
            profile.custom_locations.pop(data["key"], None)
        elif code in _CUSTOM_OPERATIONS:
            _CUSTOM_OPERATIONS[code](profile.custom_attributes, data["key"], data["value"])
        else:
            profile.other_events[code] = profile.other_events.get(code, 0) + 1

    def _apply_session(self, profile: UserProfile, code: str, event: JsonObject) -> None:
        session = profile.sessions.setdefault(event["session_id"], SessionRecord(event["session_id"]))
        if code == "ss":
            session.start = event["time"]
        else:
            session.duration = event["data"]["d"]
        while len(profile.sessions) > self._keep_sessions:
            profile.sessions.popitem(last=False)

    def _known(self, user_id: str | None, device_id: str) -> UserProfile | None:
        return self._anonymous.get(device_id) if user_id is None else self._identified.get(user_id)

    def _profile(self, user_id: str | None, device_id: str) -> UserProfile:
        """The profile to write to; the first word of an identified user on a device merges the anonymous one."""
        if user_id is None:
            return self._anonymous.setdefault(device_id, UserProfile(devices={device_id: {}}))
        profile = self._identified.get(user_id)
        if profile is None:
            profile = self._identified[user_id] = UserProfile(user_id)
        profile.devices.setdefault(device_id, {})
        if (stranger := self._anonymous.pop(device_id, None)) is not None:
            _merge(profile, stranger)
        return profile


def _merge(profile: UserProfile, stranger: UserProfile) -> None:
    for mine, theirs in (
        (profile.devices, stranger.devices),
        (profile.aliases, stranger.aliases),
        (profile.attributes, stranger.attributes),
        (profile.custom_attributes, stranger.custom_attributes),
        (profile.sessions, stranger.sessions),
        (profile.subscription_groups, stranger.subscription_groups),
        (profile.custom_locations, stranger.custom_locations),
    ):
        _fill_gaps(mine, theirs)
    for counted, more in ((profile.events, stranger.events), (profile.products, stranger.products)):
        for name, activity in more.items():
            counted.setdefault(name, Activity()).merge(activity)
    for currency, total in stranger.totals.items():
        profile.totals[currency] = profile.totals.get(currency, Decimal(0)) + total
    for code, count in stranger.other_events.items():
        profile.other_events[code] = profile.other_events.get(code, 0) + count
    if profile.location is None:
        profile.location = stranger.location


def _fill_gaps(mine: dict[str, Any], theirs: dict[str, Any]) -> None:
    for key, value in theirs.items():
        if not mine.get(key):
            mine[key] = value


def _apply_attributes(profile: UserProfile, attributes: JsonObject) -> None:
    for key, value in attributes.items():
        if key == "custom":
            for name, custom in value.items():
                _set_or_remove(profile.custom_attributes, name, custom)
        elif key != "user_id":
            _set_or_remove(profile.attributes, key, value)


def _set_or_remove(target: JsonObject, key: str, value: Any) -> None:
    if value is None:
        target.pop(key, None)
    else:
        target[key] = copy.deepcopy(value)


# -- operations on custom attributes --------------------------------------------------------------------------------


def _set(custom: JsonObject, key: str, value: Any) -> None:
    custom[key] = list(value)


def _add(custom: JsonObject, key: str, value: Any) -> None:
    current = custom.get(key)
    members = current if isinstance(current, list) else []
    custom[key] = members if value in members else [*members, value]


def _remove(custom: JsonObject, key: str, value: Any) -> None:
    current = custom.get(key)
    if isinstance(current, list):
        custom[key] = [member for member in current if member != value]


def _increment(custom: JsonObject, key: str, value: Any) -> None:
    current = custom.get(key, 0)
    if isinstance(current, int | float) and not isinstance(current, bool):
        custom[key] = current + value


def _nested_merge(custom: JsonObject, key: str, value: Any) -> None:
    custom[key] = _merged(custom.get(key), value)


def _merged(current: Any, change: Any) -> Any:
    """Objects merge key by key, ``null`` removes a key, list operations address objects in a list."""
    if not isinstance(change, dict):
        return copy.deepcopy(change)
    if change.keys() & {"$add", "$update", "$remove"}:
        return _changed_list(current if isinstance(current, list) else [], change)
    result = dict(current) if isinstance(current, dict) else {}
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), value)
    return result


def _changed_list(members: list[Any], change: JsonObject) -> list[Any]:
    result = list(members)
    for update in change.get("$update", ()):
        result = [_merged(item, update.get("$new_object")) if _addressed(item, update) else item for item in result]
    for removal in change.get("$remove", ()):
        result = [item for item in result if not _addressed(item, removal)]
    return [*result, *copy.deepcopy(change.get("$add", []))]


def _addressed(item: Any, operation: JsonObject) -> bool:
    if not isinstance(item, dict):
        return False
    key = operation.get("$identifier_key")
    return key in item and bool(item[key] == operation.get("$identifier_value"))


_CUSTOM_OPERATIONS = {"set": _set, "add": _add, "rem": _remove, "inc": _increment, "ncam": _nested_merge}
