"""What one user does, mapped to objects for ``/users/track``: mParticle's server-to-server mapping.

A :class:`UserBatch` is one user's inbound batch: calls go in, objects come out. Whether an attribute goes at once or
waits for an event of its batch, and whether all that is known of the user goes along, is a matter of the settings.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..commerce import CommerceEvent
from ..events import Event, ScreenView
from ..identity import IdentityType
from .attributes import Refuse, attribute_fields, email_subscription, external_id, identity_fields, tag_fields
from .commerce import commerce_objects, event_properties
from .ecommerce import is_recommended
from .settings import ServerSettings
from .values import MAX_TEXT, JsonObject, UnsupportedValueError, detect, iso_time, nested, strip_dollar

__all__ = ["ProfileChanges", "StoredProfile", "TrackObjects", "UserBatch"]


@dataclass(slots=True)
class TrackObjects:
    """Objects for the three arrays of one or more requests."""

    attributes: list[JsonObject] = field(default_factory=list)
    events: list[JsonObject] = field(default_factory=list)
    purchases: list[JsonObject] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.attributes or self.events or self.purchases)


@dataclass(slots=True)
class StoredProfile:
    """What is known of a user from before. A tag has the value ``None``.

    Attributes:
        attributes: User attributes under mParticle's keys.
        identities: Identities by type.
    """

    attributes: dict[str, Any] = field(default_factory=dict)
    identities: dict[IdentityType, str] = field(default_factory=dict)


class ProfileChanges(NamedTuple):
    """What calls changed in a user's stored profile.

    Attributes:
        external_id: The user.
        attributes: The changed attributes that have a value now.
        changed: All that changed, those removed included.
        identities: All identities, as they are now.
    """

    external_id: str
    attributes: Mapping[str, Any]
    changed: frozenset[str]
    identities: Mapping[IdentityType, str]


class UserBatch:
    """One user's calls, turned into objects. Not thread-safe; its owner serialises the calls.

    Every method returns what is to be sent now, which may be nothing.

    Args:
        settings: The connection's settings.
        refuse: Told of values that are left out, and with ``"user"`` of users without an external id.
        identities: Who the user is. They belong to the batch, so those that are profile fields are sent.
        mpid: The user's MPID, for connections that use it as external id.
        stored: What is known of the user; kept up to date with the calls. Sent along when the connection is enriched.
        time: Gives the current time, seconds since the epoch.
    """

    def __init__(
        self,
        settings: ServerSettings,
        refuse: Refuse,
        *,
        identities: Mapping[IdentityType, str] | None = None,
        mpid: int | str | None = None,
        stored: StoredProfile | None = None,
        time: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._refuse = refuse
        self._time = time
        self.stored: StoredProfile = stored if stored is not None else StoredProfile()
        self._changed: set[str] = set()
        self._learnt = False
        self.mpid = mpid
        self.identities: dict[IdentityType, str] = {}
        self._batch_identities: dict[IdentityType, str] = {}
        self._fields: JsonObject = {}
        self._push_token: str | None = None
        self._had_event = False
        self._enriched = False
        self._learn(identities or {})

    # -- identity -----------------------------------------------------------------------------------------------
    @property
    def external_id(self) -> str | None:
        """The external id, ``None`` while the user has none."""
        return external_id(self._settings, self.identities, self.mpid)

    def identify(self, identities: Mapping[IdentityType, str | None]) -> TrackObjects:
        """Add or change identities; ``None`` removes one."""
        self._learn(identities)
        waits = self._settings.attributes_wait_for_event or self.external_id is None
        if waits or not identity_fields(self._settings, self._batch_identities):
            return TrackObjects()
        return self._emit([], [])

    def take_changes(self) -> ProfileChanges | None:
        """What changed in the stored profile since the last time; ``None`` if nothing, or while there is no user."""
        user = self.external_id
        if user is None or not (self._changed or self._learnt):
            return None
        attributes = {key: self.stored.attributes[key] for key in self._changed if key in self.stored.attributes}
        changes = ProfileChanges(user, attributes, frozenset(self._changed), dict(self.stored.identities))
        self._changed.clear()
        self._learnt = False
        return changes

    def _learn(self, identities: Mapping[IdentityType, str | None]) -> None:
        self._learnt = self._learnt or bool(identities)
        for kind, value in identities.items():
            if value:
                self.identities[kind] = value
                self._batch_identities[kind] = value
                self.stored.identities[kind] = value
            else:
                for known in (self.identities, self._batch_identities, self.stored.identities):
                    known.pop(kind, None)

    # -- attributes ---------------------------------------------------------------------------------------------
    def set_attribute(self, key: str, value: Any) -> TrackObjects:
        """Set an attribute or a list; ``None`` removes it."""
        self._changed.add(key)
        if value is None:
            self.stored.attributes.pop(key, None)
        else:
            self.stored.attributes[key] = value
        return self._set_fields(self._mapped(key, value))

    def set_tag(self, key: str) -> TrackObjects:
        """Set a tag."""
        self._changed.add(key)
        self.stored.attributes[key] = None
        return self._set_fields(tag_fields(self._settings, key, self._refuse))

    def increment(self, key: str, by: int | float) -> TrackObjects:
        """Add to a number. Braze adds whole numbers itself, unless its value is a text.

        For a fraction, and where numbers are sent as text, the sum is sent, as far as the value is known here.
        """
        known = self.stored.attributes.get(key)
        if isinstance(known, str):
            known = detect(known)
        total = known + by if isinstance(known, (int, float)) and not isinstance(known, bool) else None
        if total is not None:
            self._changed.add(key)
            self.stored.attributes[key] = total
            if not isinstance(by, int) or self._settings.attribute_typing == "text":
                return self._set_fields(self._mapped(key, total))
        if not isinstance(by, int):
            self._refuse(key, "a fraction cannot be added to a value that is not known here")
            return TrackObjects()
        name = next(iter(self._mapped(key, 0)), None)
        if name is None:
            return TrackObjects()
        return self._set_fields({name: _incremented(self._fields, name, by)})

    def _mapped(self, key: str, value: Any) -> JsonObject:
        year = dt.datetime.fromtimestamp(self._time(), dt.timezone.utc).year
        return attribute_fields(self._settings, key, value, self._refuse, year=year)

    def _set_fields(self, fields: JsonObject) -> TrackObjects:
        self._fields.update(fields)
        if self._settings.attributes_wait_for_event:
            return TrackObjects()
        return self._emit([], [])

    # -- events -------------------------------------------------------------------------------------------------
    def log_event(self, event: Event, session_id: str | None = None) -> TrackObjects:
        """A custom event, under its own name; a recommended event of Braze keeps its lists and objects."""
        if is_recommended(event.name) and self._settings.event_typing == "native":
            return self._log_recommended(event)
        properties = event_properties(self._settings, event.attributes, self._refuse)
        return self._log(event.name, properties, event.timestamp, session_id)

    def _log_recommended(self, event: Event) -> TrackObjects:
        try:
            properties = nested(event.attributes or {})
        except UnsupportedValueError as error:
            self._refuse(event.name, f"one of its values {error}")
            return TrackObjects()
        return self._log(event.name, properties, event.timestamp, None)

    def log_screen(self, screen: ScreenView, session_id: str | None = None) -> TrackObjects:
        """A screen view: ``Viewed <screen>``, or the screen's name by setting.

        (Another paragraph of mParticle's page has the name as it is; the settings table is the one about
        server-to-server.)
        """
        if not self._settings.forward_screen_views:
            return TrackObjects()
        name = screen.name if self._settings.screen_name_as_is else f"Viewed {screen.name}"
        properties = event_properties(self._settings, screen.attributes, self._refuse)
        return self._log(name, properties, screen.timestamp, session_id)

    def log_commerce_event(self, event: CommerceEvent) -> TrackObjects:
        """A commerce event, expanded or bundled."""
        objects = commerce_objects(self._settings, event, self._refuse)
        stamp = self._stamp(event.timestamp)
        return self._emit(
            [{**item, **stamp} for item in objects.events], [{**item, **stamp} for item in objects.purchases]
        )

    def log_session(self, *, start: bool, session_id: str | None, timestamp: float | None = None) -> TrackObjects:
        """The start or end of a session, if sessions are forwarded."""
        if not self._settings.forward_session_events:
            return TrackObjects()
        return self._log("Session Start" if start else "Session End", {}, timestamp, session_id)

    def set_opt_out(self, opted_out: bool) -> TrackObjects:
        """An opt-out or its end, as the email subscription."""
        self._fields["email_subscribe"] = email_subscription(self._settings, opted_out)
        return self._emit([], [], event=True)

    def set_push_token(self, token: str) -> TrackObjects:
        """A push token; Braze keeps the latest of a user and app."""
        if self._settings.api_key is None:
            self._refuse("push token", "needs the app identifier key (api_key)")
            return TrackObjects()
        self._push_token = token
        return self._emit([], [], event=True)

    def end(self) -> TrackObjects:
        """End the inbound batch. Attributes that still wait go if the batch had an event, else they are let go."""
        objects = TrackObjects()
        goes = self._had_event or not self._settings.attributes_wait_for_event
        if goes and (self._fields or self.external_id is not None):
            objects = self._emit([], [], event=self._had_event)
        self._fields = {}
        self._batch_identities = {}
        self._had_event = False
        self._enriched = False
        return objects

    # -- putting together ---------------------------------------------------------------------------------------
    def _log(self, name: str, properties: JsonObject, timestamp: float | None, session_id: str | None) -> TrackObjects:
        if session_id is not None and self._settings.forward_session_events:
            properties = {**properties, "session_id": session_id}
        if len(name) > MAX_TEXT:
            self._refuse(f"{name[:20]}...", f"its name has more than {MAX_TEXT} characters")
            return TrackObjects()
        event: JsonObject = {"name": name, **self._stamp(timestamp)}
        if properties:
            event["properties"] = properties
        return self._emit([event], [])

    def _stamp(self, timestamp: float | None) -> JsonObject:
        try:
            time = iso_time(self._time() if timestamp is None else timestamp)
        except UnsupportedValueError as error:
            self._refuse("timestamp", f"{error}; the event counts as of now")
            time = iso_time(self._time())
        return {"time": time, **({"app_id": self._settings.api_key} if self._settings.api_key else {})}

    def _emit(self, events: list[JsonObject], purchases: list[JsonObject], *, event: bool = False) -> TrackObjects:
        user = self.external_id
        if user is None:
            return self._emit_anonymous()
        self._had_event = self._had_event or event or bool(events or purchases)
        fields = self._fields_to_send()
        self._fields = {}
        self._push_token = None
        self._batch_identities = {}
        identifier = {"external_id": user}
        return TrackObjects(
            [{**identifier, **fields}] if fields else [],
            [{**identifier, **item} for item in events],
            [{**identifier, **item} for item in purchases],
        )

    def _fields_to_send(self) -> JsonObject:
        fields: JsonObject = {}
        if self._had_event and not self._enriched:
            self._enriched = True
            if self._settings.enriched_user_identities:
                fields.update(identity_fields(self._settings, self.stored.identities))
            if self._settings.enriched_user_attributes:
                fields.update(self._stored_fields())
        fields.update(identity_fields(self._settings, self._batch_identities))
        fields.update(self._fields)
        if self._push_token is not None:
            fields["push_tokens"] = [self._push_token_object()]
        return fields

    def _stored_fields(self) -> JsonObject:
        fields: JsonObject = {}
        # An exact date of birth wins over the one estimated from $Age; mParticle lets either win.
        for key, value in sorted(self.stored.attributes.items(), key=lambda item: strip_dollar(item[0]) == "dob"):
            if value is None:
                fields.update(tag_fields(self._settings, key, self._refuse))
            else:
                fields.update(self._mapped(key, value))
        return fields

    def _push_token_object(self) -> JsonObject:
        return {"app_id": self._settings.api_key, "token": self._push_token}

    def _emit_anonymous(self) -> TrackObjects:
        """Anonymous users are not forwarded (Braze's page); by setting a push token is imported on its own.

        mParticle's older page lets a push token stand in for the external id.
        """
        token, self._push_token = self._push_token, None
        if token is not None and self._settings.push_token_only:
            tokens = [{"app_id": self._settings.api_key, "token": token}]
            return TrackObjects(attributes=[{"push_token_import": True, "push_tokens": tokens}])
        self._refuse("user", "has no external id")
        return TrackObjects()


def _incremented(fields: Mapping[str, Any], name: str, by: int) -> Any:
    """An increment on top of what already waits to be sent under that name."""
    if name not in fields:
        return {"inc": by}
    waiting = fields[name]
    if isinstance(waiting, dict) and set(waiting) == {"inc"}:
        return {"inc": waiting["inc"] + by}
    if isinstance(waiting, (int, float)) and not isinstance(waiting, bool):
        return waiting + by
    return by
