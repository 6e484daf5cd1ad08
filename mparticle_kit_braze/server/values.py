"""Values on their way to the REST API: Python values to JSON, type detection, times, text length."""

from __future__ import annotations

import datetime as dt
import enum
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ..json_text import compact
from .settings import Typing

__all__ = [
    "MAX_TEXT",
    "JsonObject",
    "UnsupportedValueError",
    "compact_json",
    "detect",
    "is_time_text",
    "iso_time",
    "list_of",
    "nested",
    "scalar",
    "strip_dollar",
    "typed",
]

JsonObject = dict[str, Any]

MAX_TEXT = 255
"""Longest key, name and string value that Braze keeps, in characters."""

_LONG = re.compile(r"[+-]?[0-9]+", re.ASCII).fullmatch
_DOUBLE = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII).fullmatch
MAX_NUMBER_TEXT = 400
"""Longest text, in characters, that is looked at as a number: the largest number takes 309 digits."""

_INT64 = range(-(2**63), 2**63)
_TYPED_BEGINNINGS = frozenset("0123456789+-.tTfF")
"""What the text of a number or a boolean begins with."""

# The forms the REST API reads as a time; everything else stays text.
_DATE = r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
_CLOCK = r"(?:[01]\d|2[0-3]):[0-5]\d"
_TIME = re.compile(
    rf"""\s*(?:
    {_DATE} (?: [Tt]{_CLOCK} (?: :[0-5]\d (?:[.,:]\d{{1,9}})? )? \s? (?: [Zz] | [+-]\d\d:?(?:\d\d)? )?
              | [ ]{_CLOCK}:[0-5]\d )?
    | (?:0[1-9]|1[0-2])/(?:0[1-9]|[12]\d|3[01])/\d{{4}}
    | [A-Z][a-z]{{2}} [ ] (?:\d\d|[A-Z][a-z]{{2}}) [ ] \d\d [ ] {_CLOCK}:[0-5]\d [. ][A-Z+-][A-Za-z0-9:+-]* [ ] \d{{4}}
    )\s*""",
    re.VERBOSE | re.ASCII,
)

_COMMON_TIME = re.compile(rf"{_DATE}T{_CLOCK}:[0-5]\dZ", re.ASCII).fullmatch


class UnsupportedValueError(Exception):
    """A value has no form that Braze takes. The text says why, without the value."""


def compact_json(value: Any) -> bytes:
    """JSON without blanks, as UTF-8. Lone surrogates become ``?``, for which JSON has no bytes.

    Raises:
        UnsupportedValueError: It holds something JSON does not know.
    """
    try:
        text = compact(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise UnsupportedValueError("cannot be written as JSON") from error
    return text.encode("utf-8", "replace")


def strip_dollar(key: str) -> str:
    """The key without its leading dollar signs, which Braze does not take, and without outer blanks, which it trims."""
    return key.strip().lstrip("$ ")


def iso_time(moment: float | dt.datetime) -> str:
    """A time as ISO 8601 in UTC with ``Z``, to the millisecond; naive date-times count as UTC.

    Raises:
        UnsupportedValueError: It lies outside the years 1 to 9999.
    """
    try:
        if isinstance(moment, dt.datetime):
            moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=dt.timezone.utc)
            moment = moment.astimezone(dt.timezone.utc)
        else:
            moment = dt.datetime.fromtimestamp(moment, dt.timezone.utc)
    except (OverflowError, ValueError, OSError) as error:
        raise UnsupportedValueError("lies outside the years 1 to 9999") from error
    milliseconds = moment.microsecond // 1000
    fraction = f".{milliseconds:03d}" if milliseconds else ""
    # Not strftime: it leaves out the leading zeros of years before 1000 on some systems.
    return f"{moment.replace(tzinfo=None, microsecond=0).isoformat()}{fraction}Z"


def is_time_text(value: object) -> bool:
    """Whether the REST API reads this as a time."""
    return isinstance(value, str) and (_COMMON_TIME(value) or _TIME.fullmatch(value)) is not None


def detect(text: str) -> str | int | float | bool:
    """The type of a text: the first of Boolean, Long, Double, Date, String that fits (a date stays ISO text).

    Source: mParticle's Braze page, Enable API Custom Attribute Type Detection.
    """
    first = text[:1]
    if first not in _TYPED_BEGINNINGS and not first.isspace():  # most texts are just that
        return text
    trimmed = text.strip()
    if len(trimmed) > MAX_NUMBER_TEXT:
        return text
    if _LONG(trimmed) and (number := int(trimmed)) in _INT64:
        return number
    if _DOUBLE(trimmed) and math.isfinite(real := float(trimmed)):
        return real
    lowered = trimmed.lower()
    return lowered == "true" if lowered in ("true", "false") else text


def scalar(value: Any) -> str | int | float | bool:
    """A Python value as a JSON scalar.

    Text, bool, int and finite float as they are; Decimal as a number; Enum by its value; date-time as UTC ISO 8601;
    date as that day's midnight.

    Raises:
        UnsupportedValueError: It has no such form (a mapping, a list, ``None``, not-a-number).
    """
    if type(value) is str or value is True or value is False:
        return value
    if isinstance(value, enum.Enum):
        return scalar(value.value)
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        value = _number(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise UnsupportedValueError("is not a finite number")
        return value
    if isinstance(value, dt.datetime):
        return iso_time(value)
    if isinstance(value, dt.date):
        return f"{value.isoformat()}T00:00:00Z"
    raise UnsupportedValueError("is neither text, number, boolean nor date")


def _number(value: Decimal) -> int | float:
    """A Decimal as a whole number if it is one, else as the nearest float (not finite if there is none)."""
    if not value.is_finite():
        return math.nan
    return int(value) if abs(value) < 2**63 and value == value.to_integral_value() else float(value)


def nested(value: Any, depth: int = 20) -> Any:
    """A Python value with lists and objects in it as JSON; ``None`` values of objects are left out.

    Raises:
        UnsupportedValueError: As :func:`scalar`, or it is nested too deep.
    """
    if depth == 0:
        raise UnsupportedValueError("is nested too deep")
    if isinstance(value, Mapping):
        return {str(key): nested(item, depth - 1) for key, item in value.items() if item is not None}
    members = list_of(value)
    return scalar(value) if members is None else [nested(member, depth - 1) for member in members]


def typed(value: Any, typing: Typing) -> str | int | float | bool:
    """A scalar under the connection's typing: as text, with its type guessed from text, or as it is.

    Raises:
        UnsupportedValueError: As :func:`scalar`.
    """
    plain = scalar(value)
    if typing == "native":
        return plain
    if typing == "detected":
        return detect(plain) if isinstance(plain, str) else plain
    if isinstance(plain, bool):
        return "true" if plain else "false"
    return plain if isinstance(plain, str) else repr(plain)


def list_of(value: Any) -> list[Any] | None:
    """The members of a list-like value, ``None`` if it is none (text and mappings are not)."""
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=repr)
    return None
