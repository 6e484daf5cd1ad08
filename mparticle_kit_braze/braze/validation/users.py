"""The standard fields of a user: names, email, phone, gender, date of birth, subscription states, ids."""

from __future__ import annotations

import re
from typing import Any

from ..encoding import checked_float, to_bytes
from ..refusal import Refused
from .values import characters, leading_integer, unwrapped

__all__ = [
    "birth_date",
    "email_address",
    "gender_letter",
    "line_id",
    "optional_text",
    "phone_number",
    "subscription_state",
    "user_id_text",
]

MAX_EMAIL = 256
MAX_LINE_ID = 33
MAX_USER_ID_BYTES = 997
SUBSCRIPTION_STATES = ("opted_in", "subscribed", "unsubscribed")

# Compiled when first used. White space as JavaScript has it, since the rule is the Web SDK's.
_PART = "[^@\t\n\v\f\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff]+"
EMAIL = rf"{_PART}@{_PART}\.{_PART}"
PHONE = r"[0-9 +\-.()]+"


def optional_text(value: Any, what: str) -> str | None:
    """Any text, or ``None``; neither trimmed nor checked against a list, as the SDKs."""
    value = unwrapped(value)
    if value is None:
        return None
    if not isinstance(value, str):
        raise Refused(f"{what} must be text or None, not {type(value).__name__}")
    return str.__str__(value)


def email_address(value: Any) -> str | None:
    """``local@a.b`` without blanks, at most 256 characters, or ``None``."""
    text = optional_text(value, "email")
    if text is not None and (characters(text) > MAX_EMAIL or not re.fullmatch(EMAIL, text)):
        raise Refused("email must be an address such as name@example.com of at most 256 characters, or None")
    return text


def phone_number(value: Any) -> str | None:
    """Digits, space and ``+ - . ( )``, or ``None``; kept as given."""
    text = optional_text(value, "phone number")
    if text is not None and not re.fullmatch(PHONE, text):
        raise Refused("phone number must consist of digits, spaces and + - . ( ), or be None")
    return text


def gender_letter(value: Any) -> str | None:
    """One of ``m f o u n p`` in either case, lowered, or ``None``."""
    text = optional_text(value, "gender")
    if text is None:
        return None
    if len(text) != 1 or text not in "mfounpMFOUNP":
        raise Refused("gender must be one of m, f, o, u, n, p, or None")
    return text.lower()


def birth_date(year: Any, month: Any, day: Any) -> str | None:
    """``1990-2-3``, without zeros in front, as the Web SDK writes it; ``None`` when all three are ``None``.

    The calendar is not checked beyond month 1 to 12 and day 1 to 31.
    """
    if year is None and month is None and day is None:
        return None
    numbers = []
    for value, what in ((year, "year"), (month, "month"), (day, "day")):
        if value is None or isinstance(value, bool):
            raise Refused(f"{what} of birth must be a number")
        numbers.append(leading_integer(value, f"{what} of birth"))
    if not 1 <= numbers[1] <= 12 or not 1 <= numbers[2] <= 31:
        raise Refused("date of birth must have a month from 1 to 12 and a day from 1 to 31")
    return f"{numbers[0]}-{numbers[1]}-{numbers[2]}"


def subscription_state(value: Any) -> str:
    """Exactly ``opted_in``, ``subscribed`` or ``unsubscribed``."""
    value = unwrapped(value)
    if not isinstance(value, str) or value not in SUBSCRIPTION_STATES:
        raise Refused(f"subscription state must be one of {', '.join(SUBSCRIPTION_STATES)}")
    return str.__str__(value)


def line_id(value: Any) -> str | None:
    """1 to 33 characters, or ``None``."""
    text = optional_text(value, "LINE id")
    if text is not None and not 1 <= characters(text) <= MAX_LINE_ID:
        raise Refused("LINE id must have 1 to 33 characters, or be None")
    return text


def user_id_text(value: Any) -> str:
    """A user id of 1 to 997 bytes of UTF-8; a number is taken as text."""
    value = unwrapped(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if value.bit_length() > 4 * MAX_USER_ID_BYTES:  # Python would refuse to write it out
            raise _too_long()
        value = str(int(value))
    elif isinstance(value, float):
        value = _number_text(value)
    if not isinstance(value, str):
        raise Refused(f"user id must be text, not {type(value).__name__}")
    if not value:
        raise Refused("user id must not be empty")
    data = to_bytes(value)
    if len(data) > MAX_USER_ID_BYTES:
        raise _too_long()
    return data.decode()


def _too_long() -> Refused:
    return Refused(f"user id must not be longer than {MAX_USER_ID_BYTES} bytes")


def _number_text(value: float) -> str:
    value = checked_float(value)
    return str(int(value)) if value.is_integer() else repr(value)
