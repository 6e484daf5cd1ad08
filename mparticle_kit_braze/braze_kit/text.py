"""How the mobile platforms write values as text, and how their Braze kits guess types back out of text."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections.abc import Mapping
from typing import Any

from ..kits.texts import java_double
from .values import UnsupportedValueError, date_text, plain

__all__ = [
    "apple_detect",
    "apple_number",
    "apple_text",
    "java_detect",
    "java_text",
    "json_text",
    "utf16_length",
]

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_MAX_DEPTH = 50

# What most decimals look like; Java's whole grammar is for the others.
_common_decimal = re.compile(r"-?[0-9]{1,15}\.[0-9]{1,15}", re.ASCII).fullmatch

# Java's grammar of Double.valueOf; a text without a point never gets here, so words such as NaN need no place in it.
_JAVA_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)(?:[eE][+-]?[0-9]+)?[fFdD]?", re.ASCII)
_JAVA_HEXADECIMAL = re.compile(
    r"([+-]?)0[xX]([0-9a-fA-F]+\.?|[0-9a-fA-F]*\.[0-9a-fA-F]+)[pP]([+-]?[0-9]+)[fFdD]?", re.ASCII
)
_JAVA_BLANKS = "".join(map(chr, range(0x21)))

_APPLE_BEGINNINGS = frozenset("0123456789-")
_APPLE_INTEGER = re.compile(r"-?[0-9]+", re.ASCII)
_APPLE_DECIMAL = re.compile(r"-?[0-9]+\.[0-9]+", re.ASCII)
_APPLE_DATE = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:Z|([+-])([0-9]{2}):?([0-9]{2}))", re.ASCII
)


# -- Android ------------------------------------------------------------------------------------------------------
def java_text(value: Any, inside: tuple[int, ...] = ()) -> str:
    """A value as Java's ``toString`` writes it: ``true``, ``5``, ``2.0``, ``{k=v}``, ``[a, b]``, ``null`` inside those.

    Source: Android core, standardised attributes.

    Raises:
        UnsupportedValueError: The value has no such form.
    """
    if isinstance(value, (Mapping, list, tuple, set, frozenset)):
        if len(inside) > _MAX_DEPTH or id(value) in inside:
            raise UnsupportedValueError("is nested too deep")
        inside = (*inside, id(value))
        if isinstance(value, Mapping):
            return "{" + ", ".join(f"{key}={_java_member(item, inside)}" for key, item in value.items()) + "}"
        return "[" + ", ".join(_java_member(item, inside) for item in value) + "]"
    value = plain(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return java_double(value) if isinstance(value, float) else str(value)


def _java_member(value: Any, inside: tuple[int, ...]) -> str:
    try:
        return java_text(value, inside)
    except UnsupportedValueError:
        return "null"


def java_detect(text: str) -> str | int | float | bool:
    """The value that the Android kit guesses a text to be.

    True / false in any case; a decimal if it holds a point; else a whole number of 64 bits; else the text.

    Source: Android kit, ``enableTypeDetection``.
    """
    if "." in text and _common_decimal(text):
        return float(text)
    if len(text) in (4, 5) and (lowered := text.lower()) in ("true", "false"):
        return lowered == "true"
    detected = _java_parse_double(text) if "." in text else _java_parse_long(text)
    return text if detected is None else detected


def _java_parse_double(text: str) -> float | None:
    text = text.strip(_JAVA_BLANKS)
    if _JAVA_DECIMAL.fullmatch(text):
        result = float(text.rstrip("fFdD"))
    else:
        match = _JAVA_HEXADECIMAL.fullmatch(text)
        if match is None:
            return None
        try:
            result = float.fromhex(f"{match[1]}0x{match[2]}p{match[3]}")
        except (OverflowError, ValueError):
            return None
    return result if math.isfinite(result) else None  # Braze takes no infinity, so it stays text


def _java_parse_long(text: str) -> int | None:
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not (digits.isdigit() if digits.isascii() else _are_java_digits(digits)) or len(digits) > 4000:
        return None
    result = int(digits)
    if text[0] == "-":
        result = -result
    return result if _INT64_MIN <= result <= _INT64_MAX else None


def _are_java_digits(text: str) -> bool:
    # Long.parseLong looks at UTF-16 units, so digits outside the basic plane are none.
    return all(char.isdecimal() and char <= "\uffff" for char in text)


# -- Apple --------------------------------------------------------------------------------------------------------
def apple_number(value: int | float) -> str:
    """A number as ``NSNumber.stringValue`` writes it: the shortest decimal text, without a fraction when whole."""
    text = repr(value)
    return text.removesuffix(".0")


def apple_text(value: Any) -> str:
    """A value as the Apple kit writes it into events: ``true``, ``10``, ``1.5``, ``2020-01-02T03:04:05+0000``.

    Lists and mappings, whose original form is a description that no one can read back, become JSON text.

    Raises:
        UnsupportedValueError: The value has no such form.
    """
    if isinstance(value, dt.date):
        return f"{date_text(value)}+0000"
    if isinstance(value, (Mapping, list, tuple)):
        return json_text(value)
    value = plain(value)
    if value is None:
        raise UnsupportedValueError("is missing")
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else apple_number(value)


def apple_detect(text: str) -> str | int | float | bool:
    """The value that the Apple kit guesses a text to be.

    An RFC 3339 date-time (given as Braze's date text), a whole number, a decimal, true / false in any case, else the
    text.

    Source: Apple kit, ``enableTypeDetection``. Repaired: decimals keep their precision, whole numbers their 64 bits,
    and only one leading minus makes a number.
    """
    if text[:1] not in _APPLE_BEGINNINGS:
        return lowered == "true" if len(text) in (4, 5) and (lowered := text.lower()) in ("true", "false") else text
    if _APPLE_INTEGER.fullmatch(text):
        result = int(text) if len(text) <= 4000 else _INT64_MAX + 1
        return result if _INT64_MIN <= result <= _INT64_MAX else text
    if _APPLE_DECIMAL.fullmatch(text):
        decimal = float(text)
        return decimal if math.isfinite(decimal) else text
    match = _APPLE_DATE.fullmatch(text)
    return text if match is None else _apple_date(match) or text


def _apple_date(match: re.Match[str]) -> str | None:
    year, month, day, hour, minute, second = (int(match[group]) for group in range(1, 7))
    offset = dt.timedelta(hours=int(match[8] or 0), minutes=int(match[9] or 0))
    try:
        moment = dt.datetime(year, month, day, hour, minute, second)  # noqa: DTZ001  (the offset is applied below)
        return (moment + offset if match[7] == "-" else moment - offset).isoformat()
    except (OverflowError, ValueError):
        return None


# -- both ---------------------------------------------------------------------------------------------------------
def utf16_length(text: str) -> int:
    """Length in UTF-16 units, as Java and Apple's Foundation count."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def json_text(value: Any) -> str:
    """A value as JSON text, dates as Braze's date text.

    Raises:
        UnsupportedValueError: It cannot be written as JSON.
    """

    def convert(item: Any) -> Any:
        if isinstance(item, Mapping):
            return dict(item)
        if isinstance(item, (set, frozenset)):
            return list(item)
        return plain(item)

    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, default=convert)
    except UnsupportedValueError:
        raise
    except (TypeError, ValueError, RecursionError) as error:
        raise UnsupportedValueError("cannot be written as JSON") from error
