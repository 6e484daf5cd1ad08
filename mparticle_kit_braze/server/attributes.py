"""User attributes, tags and identities of mParticle as fields of Braze's attributes object.

Source: mParticle's Braze page (user attribute table); Braze REST API, user attributes object.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from typing import Any

from ..identity import IdentityType
from .settings import ServerSettings
from .validation import CONTROL_KEYS, SUBSCRIPTION_STATES
from .values import MAX_TEXT, JsonObject, UnsupportedValueError, list_of, scalar, strip_dollar, typed

__all__ = ["Refuse", "attribute_fields", "email_subscription", "external_id", "identity_fields", "tag_fields"]

Refuse = Callable[[str, str], object]
"""Told of what was left out: the key (or field), and why."""

# Reserved attributes; the Events API spells them in lower case, the SDKs in camel case.
_STANDARD: Mapping[str, str] = {
    "$firstname": "first_name",
    "$lastname": "last_name",
    "$country": "country",
    "$city": "home_city",
    "$mobile": "phone",
    "$gender": "gender",
    "$age": "dob",
    "$zip": "Zip",
}
_GENDERS: Mapping[str, str] = {
    "m": "M",
    "male": "M",
    "f": "F",
    "female": "F",
    "o": "O",
    "other": "O",
    "n": "N",
    "na": "N",
    "not_applicable": "N",
    "p": "P",
    "prefer_not_to_say": "P",
}
_SUBSCRIPTIONS = frozenset({"email_subscribe", "push_subscribe"})
_TEXT_FIELDS = frozenset({"email", "phone", *_SUBSCRIPTIONS})
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)")


def external_id(settings: ServerSettings, identities: Mapping[IdentityType, str], mpid: int | str | None) -> str | None:
    """The user's external id under the connection's External Identity Type; ``None``: the user is anonymous to it."""
    kind = settings.user_identification_type
    value = (str(mpid) if mpid is not None else None) if isinstance(kind, str) else identities.get(kind)
    return value or None


def identity_fields(settings: ServerSettings, identities: Mapping[IdentityType, str]) -> JsonObject:
    """The identities that are fields of a profile: the email, and the Facebook and Twitter accounts.

    A Twitter identity of digits is its id, any other its screen name. (The inner fields are read off Braze's object;
    mParticle's page names only the outer ones.)
    """
    fields: JsonObject = {}
    kind = settings.email_identification_type
    if kind is not None and identities.get(kind):
        fields["email"] = identities[kind]
    facebook = identities.get(IdentityType.FACEBOOK)
    if facebook:
        fields["facebook"] = {"id": facebook}
    twitter = identities.get(IdentityType.TWITTER)
    if twitter:
        digits = twitter.isascii() and twitter.isdigit() and len(twitter) < 20
        fields["twitter"] = {"id": int(twitter)} if digits else {"screen_name": twitter}
    return fields


def email_subscription(settings: ServerSettings, opted_out: bool) -> str:
    """The ``email_subscribe`` value for an opt-out call.

    mParticle's page pairs a call with true with ``opted_in`` and one with false with ``unsubscribed``, which its
    setting names follow here although it looks turned round. With ``opt_out_unsubscribes`` (the default of the Python
    names) opting out unsubscribes.
    """
    if settings.opt_out_unsubscribes:
        return "unsubscribed" if opted_out else "opted_in"
    return "opted_in" if opted_out else "unsubscribed"


def tag_fields(settings: ServerSettings, key: str, refuse: Refuse) -> JsonObject:
    """A tag: ``"true"`` (true under type detection or native types), or null by setting, which removes it."""
    name = _custom_name(key, refuse)
    if name is None:
        return {}
    if name in _TEXT_FIELDS:
        refuse(key, "is a field with values of its own, and no tag")
        return {}
    if settings.tags_as_null:
        return {name: None}
    return {name: "true" if settings.attribute_typing == "text" else True}


def attribute_fields(settings: ServerSettings, key: str, value: Any, refuse: Refuse, *, year: int) -> JsonObject:
    """One user attribute as fields of the attributes object; empty when it cannot be sent.

    Args:
        settings: The connection's settings.
        key: mParticle's key, with its ``$`` if it is reserved.
        value: A scalar, a list, or ``None`` (removes the field).
        refuse: Told why, if it cannot be sent.
        year: The current year, from which ``$Age`` counts back.
    """
    field = _STANDARD.get(key.lower())
    if field is None:
        field = _custom_name(key, refuse)
    if field is None:
        return {}
    if value is None:
        if field in _SUBSCRIPTIONS:
            refuse(key, "cannot be removed, only set to unsubscribed")
            return {}
        return {field: None}
    try:
        return {field: _field_value(settings, key, field, value, year)}
    except UnsupportedValueError as error:
        refuse(key, str(error))
        return {}


def _field_value(settings: ServerSettings, key: str, field: str, value: Any, year: int) -> Any:
    if key.lower() == "$age":
        return f"{year - _age(value):04d}-01-01"
    if field == "dob":
        return _birthday(value)
    members = list_of(value)
    if members is not None and key.lower() not in _STANDARD and field not in _TEXT_FIELDS:
        return _list_value(settings, members)
    if field == "gender":
        gender = _GENDERS.get(str(scalar(value)).strip().lower())
        if gender is None:
            raise UnsupportedValueError("is not one of M, F, O, N, P")
        return gender
    if field in _SUBSCRIPTIONS:
        if not isinstance(value, str) or value not in SUBSCRIPTION_STATES:
            raise UnsupportedValueError("is not one of opted_in, subscribed, unsubscribed")
        return value
    if key.lower() in _STANDARD or field in _TEXT_FIELDS:
        plain = scalar(value)  # names, places and numbers stay text; $Zip is exempt from type detection
        return plain if isinstance(plain, str) else typed(plain, "text")
    return typed(value, settings.attribute_typing)


def _list_value(settings: ServerSettings, members: list[Any]) -> Any:
    """A list as an array, or joined with commas (without a space; the text does not say)."""
    plain = [scalar(member) for member in members]
    if settings.lists_as_arrays:
        return plain if settings.attribute_typing == "native" else [str(typed(item, "text")) for item in plain]
    return ",".join(str(typed(item, "text")) for item in plain)


def _custom_name(key: str, refuse: Refuse) -> str | None:
    name = strip_dollar(key)
    if not name:
        refuse(key, "its key is empty")
    elif len(name) > MAX_TEXT:
        refuse(f"{name[:20]}...", f"its key has more than {MAX_TEXT} characters")
    elif name in CONTROL_KEYS:
        refuse(key, "its key is one that Braze's attributes object uses itself")
    else:
        return name
    return None


def _age(value: Any) -> int:
    try:
        age = -1 if isinstance(value, bool) else int(float(scalar(value)))
    except (ValueError, OverflowError):
        age = -1
    if not 0 <= age <= 200:
        raise UnsupportedValueError("is not an age in years")
    return age


def _birthday(value: Any) -> str:
    if isinstance(value, dt.date):
        return f"{value.year:04d}-{value.month:02d}-{value.day:02d}"
    match = _DATE.match(value) if isinstance(value, str) else None
    if match is not None:
        try:
            return dt.date(int(match[1]), int(match[2]), int(match[3])).isoformat()
        except ValueError:
            pass
    raise UnsupportedValueError("is not a date such as 1990-12-31")
