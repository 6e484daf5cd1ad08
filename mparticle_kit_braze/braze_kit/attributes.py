"""What all profiles share about user attributes: Braze's standard fields, genders, birth dates, subscription groups."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the adapter is loaded when a client starts
    from ..braze import BrazeUser

__all__ = [
    "GENDER_WORDS",
    "SUBSCRIPTION_STATES",
    "TEXT_FIELDS",
    "birth_date",
    "clear_birth_date",
    "current_year",
    "set_birth_year",
    "set_subscription_group",
    "set_text_field",
    "strip_one_dollar",
    "whole_age",
]

#: Braze's text fields and the call that sets each.
TEXT_FIELDS: Mapping[str, str] = {
    "first_name": "set_first_name",
    "last_name": "set_last_name",
    "email": "set_email",
    "gender": "set_gender",
    "country": "set_country",
    "home_city": "set_home_city",
    "language": "set_language",
    "phone": "set_phone_number",
    "email_subscribe": "set_email_subscription",
    "push_subscribe": "set_push_subscription",
}

SUBSCRIPTION_STATES = frozenset({"opted_in", "subscribed", "unsubscribed"})

#: Words for a gender, in lower case, and Braze's letter.
GENDER_WORDS: Mapping[str, str] = {
    "m": "m", "male": "m", "f": "f", "female": "f", "o": "o", "other": "o", "u": "u", "unknown": "u",
    "n": "n", "na": "n", "not_applicable": "n", "p": "p", "prefer_not_to_say": "p",
}  # fmt: skip

_NUMERIC_TEXT = re.compile(r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*", re.ASCII)
_OLDEST = 9999


def strip_one_dollar(key: str) -> str:
    """The key without one leading dollar sign. Source: Android and Apple kits."""
    return key.removeprefix("$")


def set_text_field(user: BrazeUser, field: str, value: Any) -> None:
    """Set one of :data:`TEXT_FIELDS`; the adapter refuses and reports what Braze would not take."""
    getattr(user, TEXT_FIELDS[field])(value)


def current_year() -> int:
    """This year, in UTC."""
    return dt.datetime.now(dt.timezone.utc).year


def set_birth_year(user: BrazeUser, age: int) -> None:
    """Set the date of birth to 1 January of this year less the age. Source: all kits, ``$Age``."""
    user.set_date_of_birth(current_year() - age, 1, 1)


def clear_birth_date(user: BrazeUser) -> None:
    """Clear the date of birth."""
    user.set_date_of_birth(None, None, None)


def whole_age(value: Any) -> int | None:
    """The age a number or numeric text stands for, cut to whole; ``None`` if it is none or below 0."""
    if isinstance(value, str):
        if _NUMERIC_TEXT.fullmatch(value) is None:
            return None
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    age = int(value)
    return age if 0 <= age <= _OLDEST else None


def birth_date(pattern: re.Pattern[str], text: str) -> tuple[int, int, int] | None:
    """Year, month and day at the beginning of a text, by a pattern with those three groups."""
    match = pattern.match(text)
    return None if match is None else (int(match[1]), int(match[2]), int(match[3]))


def set_subscription_group(user: BrazeUser, group_id: str, *, subscribed: bool) -> None:
    """Join or leave a subscription group."""
    if subscribed:
        user.add_to_subscription_group(group_id)
    else:
        user.remove_from_subscription_group(group_id)
