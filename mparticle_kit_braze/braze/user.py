"""The current user's attributes, subscriptions and aliases, checked as Braze's SDKs check them."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from .encoding import compact, quote
from .memory import SentAttributes
from .points import PointMeter, value_points
from .recorder import Recorder
from .refusal import BlockedError, Refused, shown
from .state import State
from .validation.attributes import (
    CustomValue,
    attribute_key,
    custom_value,
    increment_amount,
    list_member,
    location,
    position,
)
from .validation.users import (
    birth_date,
    email_address,
    gender_letter,
    line_id,
    optional_text,
    phone_number,
    subscription_state,
)
from .validation.values import required_text

__all__ = ["BrazeUser"]

FREE_FIELDS = frozenset({"email_subscribe", "push_subscribe"})


class BrazeUser:
    """Changes to the user who is current at the time of the call.

    Every method returns whether Braze takes the value and it was queued, or need not be sent because it is
    unchanged; a refused value is reported as ``value_refused``. Setting attributes neither begins nor extends a
    session; lists of texts, increments and what else travels as an event does.

    Not made by applications: see :attr:`Braze.current_user`.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        state: State,
        memory: SentAttributes,
        meter: PointMeter,
        refuse: Callable[[str, Refused], bool],
        amiss: Callable[[str, str], object],
        push_token: Callable[[str | None], bool],
    ) -> None:
        self._recorder = recorder
        self._state = state
        self._memory = memory
        self._meter = meter
        self._refuse = refuse
        self._amiss = amiss
        self._push_token = push_token

    @property
    def user_id(self) -> str | None:
        """The current user's id; ``None`` while anonymous."""
        return self._state.user_id

    # -- standard fields ----------------------------------------------------------------------------------------
    def set_first_name(self, value: str | None) -> bool:
        """Any text; ``None`` clears."""
        return self._set_text("first_name", value)

    def set_last_name(self, value: str | None) -> bool:
        """Any text; ``None`` clears."""
        return self._set_text("last_name", value)

    def set_home_city(self, value: str | None) -> bool:
        """Any text; ``None`` clears."""
        return self._set_text("home_city", value)

    def set_country(self, value: str | None) -> bool:
        """Any text, not checked against a list; ``None`` clears."""
        return self._set_text("country", value)

    def set_language(self, value: str | None) -> bool:
        """Any text, not checked against a list; ``None`` clears."""
        return self._set_text("language", value)

    def set_email(self, value: str | None) -> bool:
        """An address of at most 256 characters, ``local@a.b`` without blanks; ``None`` clears."""
        return self._set_standard("set_email", "email", lambda: email_address(value))

    def set_gender(self, value: str | None) -> bool:
        """One of ``m f o u n p`` in either case; ``None`` clears."""
        return self._set_standard("set_gender", "gender", lambda: gender_letter(value))

    def set_phone_number(self, value: str | None) -> bool:
        """Digits, spaces and ``+ - . ( )``, sent as given; ``None`` clears."""
        return self._set_standard("set_phone_number", "phone", lambda: phone_number(value))

    def set_date_of_birth(self, year: int | None, month: int | None, day: int | None) -> bool:
        """Month 1 to 12, day 1 to 31, the calendar is not checked; all three ``None`` clear."""
        return self._set_standard("set_date_of_birth", "dob", lambda: birth_date(year, month, day))

    def set_line_id(self, value: str | None) -> bool:
        """A LINE id of 1 to 33 characters; ``None`` clears."""
        return self._set_standard("set_line_id", "native_line_id", lambda: line_id(value))

    def set_email_subscription(self, value: str) -> bool:
        """``opted_in``, ``subscribed`` or ``unsubscribed``."""
        return self._set_standard("set_email_subscription", "email_subscribe", lambda: subscription_state(value))

    def set_push_subscription(self, value: str) -> bool:
        """``opted_in``, ``subscribed`` or ``unsubscribed``."""
        return self._set_standard("set_push_subscription", "push_subscribe", lambda: subscription_state(value))

    def set_push_token(self, token: str | None) -> bool:
        """A device token, sent at once and for later users again; ``None`` withdraws it."""
        try:
            text = None if token is None else required_text(token, "push token")
        except Refused as refused:
            return self._refuse("set_push_token", refused)
        return self._push_token(text)

    # -- custom attributes --------------------------------------------------------------------------------------
    def set_custom_attribute(self, key: str, value: Any, merge: bool = False) -> bool:
        """Set a custom attribute.

        Args:
            key: Text without control characters and double quotes.
            value: ``None`` (removes), text without control characters and double quotes, a number of 64 bits, a
                boolean, a date or date-time (naive = UTC), a list of texts, a dict or list of dicts of at most
                76800 bytes of JSON.
            merge: Merge a dict into the stored object instead of replacing it.

        Returns:
            False for anything else, and for a key on the server's block list.
        """
        try:
            key = self._custom_key(key)
        except Refused as refused:
            return self._refuse("set_custom_attribute", refused)
        try:
            checked = custom_value(value, partial(self._amiss, f"Attribute {shown(key)}"), merge=merge)
        except Refused as refused:
            return self._refuse("set_custom_attribute", Refused(refused.reason, key))
        return self._put_custom(key, checked)

    def increment_custom_attribute(self, key: str, value: int | None = 1) -> bool:
        """Add a whole number (or its text) to a number attribute; ``None`` is 1."""
        return self._change("inc", key, lambda: str(increment_amount(value)))

    def add_to_custom_attribute_array(self, key: str, value: str) -> bool:
        """Add a text to a list attribute."""
        return self._change("add", key, lambda: quote(list_member(value)))

    def remove_from_custom_attribute_array(self, key: str, value: str) -> bool:
        """Remove a text from a list attribute."""
        return self._change("rem", key, lambda: quote(list_member(value)))

    def set_custom_location_attribute(self, key: str, latitude: float | None, longitude: float | None) -> bool:
        """Set a location in degrees (latitude within 90, longitude within 180); both ``None`` remove it."""
        try:
            key = self._custom_key(key)
            place = location(latitude, longitude)
        except Refused as refused:
            return self._refuse("set_custom_location_attribute", refused)
        if place is None:
            self._memory.forget(self.user_id, f"custom.{key}")
            return self._recorder.event("lcar", f'{{"key":{quote(key)}}}')
        text = f'"latitude":{place[0]!r},"longitude":{place[1]!r}'
        return self._remembered_event(key, text, "lcaa", f'{{"key":{quote(key)},{text}}}')

    def set_last_known_location(
        self,
        latitude: float,
        longitude: float,
        accuracy: float | None = None,
        altitude: float | None = None,
        altitude_accuracy: float | None = None,
    ) -> bool:
        """Where the user was last: degrees, metres; the accuracies from 0 up."""
        try:
            data = position(latitude, longitude, accuracy, altitude, altitude_accuracy)
        except Refused as refused:
            return self._refuse("set_last_known_location", refused)
        return self._recorder.event("lr", compact(data))

    # -- subscription groups and aliases ------------------------------------------------------------------------
    def add_to_subscription_group(self, group_id: str) -> bool:
        """Subscribe to a subscription group."""
        return self._subscribe("add_to_subscription_group", group_id, "subscribed")

    def remove_from_subscription_group(self, group_id: str) -> bool:
        """Unsubscribe from a subscription group."""
        return self._subscribe("remove_from_subscription_group", group_id, "unsubscribed")

    def add_alias(self, alias: str, label: str) -> bool:
        """Give the user an alias under a label. It marks what an anonymous user sends until they are identified."""
        try:
            alias, label = required_text(alias, "alias"), required_text(label, "alias label")
        except Refused as refused:
            return self._refuse("add_alias", refused)
        if not self._recorder.accepts():
            return False
        if self.user_id is None:
            self._state.set_alias(label, alias)
        return self._recorder.event("uae", f'{{"a":{quote(alias)},"l":{quote(label)}}}')

    # -- inside -------------------------------------------------------------------------------------------------
    def _set_text(self, field: str, value: Any) -> bool:
        return self._set_standard(f"set_{field}", field, lambda: optional_text(value, field.replace("_", " ")))

    def _set_standard(self, call: str, field: str, check: Callable[[], str | None]) -> bool:
        try:
            text = _json(check())
        except Refused as refused:
            return self._refuse(call, refused)
        return self._put(field, text, f"{quote(field)}:{text}", points=0 if field in FREE_FIELDS else 1)

    def _put_custom(self, key: str, value: CustomValue) -> bool:
        attribute = f"custom.{key}"
        if value.event == "ncam":
            self._memory.forget(self.user_id, attribute)
        if value.event is not None:
            data = f'{{"key":{quote(key)},"value":{value.text}}}'
            if value.event == "ncam":
                return self._recorder.event("ncam", data)
            return self._remembered_event(key, value.text, value.event, data)
        return self._put(attribute, value.text, f'"custom":{{{quote(key)}:{value.text}}}')

    def _put(self, attribute: str, text: str, members: str, points: int | None = None) -> bool:
        recorder, user_id = self._recorder, self._state.user_id
        if not recorder.accepts():
            return False
        if not self._memory.admit(user_id, attribute, text):
            self._meter.save(value_points(json.loads(text)) if points is None else points)
            return True
        if recorder.attributes(recorder.owner, members):
            return True
        self._memory.forget(user_id, attribute)
        return False

    def _remembered_event(self, key: str, text: str, code: str, data: str) -> bool:
        attribute, user_id = f"custom.{key}", self._state.user_id
        if not self._recorder.accepts():
            return False
        if not self._memory.admit(user_id, attribute, text):
            self._meter.save(1)
            return True
        if self._recorder.event(code, data):
            return True
        self._memory.forget(user_id, attribute)
        return False

    def _change(self, code: str, key: Any, text: Callable[[], str]) -> bool:
        """A change relative to the stored value, after which we do not know the value any more."""
        calls = {
            "inc": "increment_custom_attribute",
            "add": "add_to_custom_attribute_array",
            "rem": "remove_from_custom_attribute_array",
        }
        try:
            key = self._custom_key(key)
            value = text()
        except Refused as refused:
            return self._refuse(calls[code], refused)
        self._memory.forget(self.user_id, f"custom.{key}")
        return self._recorder.event(code, f'{{"key":{quote(key)},"value":{value}}}')

    def _custom_key(self, key: Any) -> str:
        checked = attribute_key(key)
        if checked in self._state.config.blocked_attributes:
            raise BlockedError("on the server's list of blocked attributes", checked)
        return checked

    def _subscribe(self, call: str, group_id: Any, status: str) -> bool:
        try:
            group_id = required_text(group_id, "subscription group id")
        except Refused as refused:
            return self._refuse(call, refused)
        return self._recorder.event("sgu", f'{{"group_id":{quote(group_id)},"status":"{status}"}}')


def _json(text: str | None) -> str:
    return "null" if text is None else quote(text)
