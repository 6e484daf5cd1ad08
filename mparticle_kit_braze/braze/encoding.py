"""Python values to compact JSON.

Owns which Python types have a JSON form and which form that is. Values are encoded at the call, so that the
caller may change its objects afterwards. Lone surrogates, which no JSON reader is bound to accept, become U+FFFD.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, timezone
from decimal import Decimal
from enum import Enum
from json.encoder import encode_basestring as quote
from typing import Any

from ..json_text import compact
from .refusal import Refused, UnsupportedNumberError

__all__ = [
    "INFINITY",
    "INT_MAX",
    "INT_MIN",
    "MAX_OBJECT_BYTES",
    "MAX_PROPERTY_BYTES",
    "Amiss",
    "checked_float",
    "checked_int",
    "compact",
    "has_forbidden_character",
    "long_date",
    "plain",
    "quote",
    "short_date",
    "size",
    "to_bytes",
]

MAX_PROPERTY_BYTES = 51_200
"""Braze SDK: properties of one event, UTF-8 bytes of their compact JSON."""
MAX_OBJECT_BYTES = 76_800
"""Braze SDK: one nested custom attribute, measured the same way."""
MAX_DEPTH = 400
"""Levels of nesting; the SDK has no limit, but readers of JSON do."""
INT_MIN, INT_MAX = -(2**63), 2**63 - 1
INFINITY = math.inf

Amiss = Callable[[str], object]
"""Told what does not go as it was given, while the rest does."""

has_forbidden_character: Callable[[str], object] = re.compile('[\x00-\x1f"]').search
"""True if the text holds a control character (U+0000 to U+001F) or a double quote: Braze refuses it in names."""


def to_bytes(text: str) -> bytes:
    """UTF-8 bytes; surrogate pairs are joined and lone surrogates become U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def size(text: str) -> int:
    """The UTF-8 length of a text in bytes."""
    return len(text) if text.isascii() else len(to_bytes(text))


# -- dates ------------------------------------------------------------------------------------------------------


def short_date(value: date) -> str:
    """``2020-01-02T03:04:05``: UTC, no zone, no fraction, as event properties and date attributes carry dates."""
    return _utc(value).isoformat(timespec="seconds")


def long_date(value: date) -> str:
    """``2020-01-02T03:04:05.678Z``, as dates inside object attributes go."""
    return f"{_utc(value).isoformat(timespec='milliseconds')}Z"


def _utc(value: date) -> datetime:
    """The instant in UTC without a zone; a naive date-time is UTC, a date is its midnight."""
    if not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - zone dropped on purpose
    if value != value:  # noqa: PLR0124 - pandas' NaT is a datetime that does not equal itself
        raise Refused("an invalid date-time")
    try:
        if value.utcoffset() is not None:
            value = value.astimezone(timezone.utc)
    except OverflowError:
        raise Refused("a date-time outside the years 1 to 9999 in UTC") from None
    return value.replace(tzinfo=None)


# -- scalars and structures -------------------------------------------------------------------------------------


def checked_int(value: int) -> int:
    """The number itself if it fits 64 bits.

    Raises:
        UnsupportedNumberError: It does not; readers of JSON would lose digits or fail.
    """
    if INT_MIN <= value <= INT_MAX:
        return value
    raise UnsupportedNumberError("a whole number beyond 64 bits; at most 64-bit numbers are accepted")


def checked_float(value: float) -> float:
    """The number itself if it is finite, else :class:`UnsupportedNumberError`."""
    if -INFINITY < value < INFINITY:
        return value
    raise UnsupportedNumberError("NaN or an infinity; only finite numbers are accepted")


def plain_scalar(value: Any) -> Any:
    """An exact ``str``, ``bool``, ``int``, ``float``, ``None`` or a date, dict or list for what stands for one.

    An Enum member gives its value, a Decimal a number, a NumPy-like scalar the number or boolean it holds, any
    other object with ``__index__`` or ``__float__`` and no length its number.

    Raises:
        Refused: The type has no JSON form, or a number does not fit.
    """
    kind = type(value)
    if kind is str or kind is bool or value is None or kind is dict or kind is list:
        return value
    if isinstance(value, Enum):
        return plain_scalar(value.value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return checked_int(int.__pos__(value))
    if isinstance(value, float):
        return checked_float(float.__pos__(value))
    if isinstance(value, date):
        return value
    if isinstance(value, Decimal):
        return _plain_decimal(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple):
        return list(value)
    return _plain_number(value)


def _plain_decimal(value: Decimal) -> int | float:
    if not value.is_finite():
        raise UnsupportedNumberError("NaN or an infinity; only finite numbers are accepted")
    if INT_MIN <= value <= INT_MAX and value == int(value):
        return int(value)
    return checked_float(float(value))


def _plain_number(value: Any) -> Any:
    """The number in a NumPy-like scalar; arrays (anything with a length) and quantities with a unit are refused."""
    kind = type(value)
    try:
        return _held_number(value, kind)
    except (TypeError, ValueError, OverflowError, ArithmeticError):
        raise Refused(f"a value of type {kind.__name__} that gives no number") from None


def _held_number(value: Any, kind: type) -> Any:
    code = getattr(getattr(value, "dtype", None), "kind", None)
    if not hasattr(kind, "__len__") or (code is not None and getattr(value, "shape", None) == ()):
        if code == "b":
            return bool(value)
        if code in ("i", "u") or (code is None and hasattr(kind, "__index__")):
            return checked_int(operator.index(value))
        if code == "f" or (code is None and hasattr(kind, "__float__")):
            return checked_float(float(value))
    raise Refused(f"a value of type {kind.__name__}; accepted are text, numbers, booleans, dates, lists and dicts")


def plain(
    value: Any,
    amiss: Amiss,
    *,
    date_text: Callable[[date], str] = short_date,
    check_keys: bool = False,
    depth: int = 0,
) -> Any:
    """A copy of ``value`` made of exact JSON types only.

    Numbers that do not fit become ``None`` below the top, as the Web SDK sends them.

    Args:
        value: Anything.
        amiss: Told what, for each number that became ``None``.
        date_text: The form dates take.
        check_keys: Refuse keys with control characters or double quotes, at every depth.
        depth: How deep the value lies.

    Raises:
        Refused: Something in it has no JSON form.
    """
    value = plain_scalar(value)
    if isinstance(value, dict):
        below = _below(depth)
        members = {}
        for key, member in value.items():
            if not isinstance(key, str):
                raise Refused(f"a key that is not text ({type(key).__name__})")
            if check_keys and has_forbidden_character(key):
                raise Refused("a nested key with a control character or a double quote", key)
            members[str.__str__(key)] = _member(member, amiss, date_text, check_keys, below)
        return members
    if isinstance(value, list):
        below = _below(depth)
        return [_member(member, amiss, date_text, check_keys, below) for member in value]
    if isinstance(value, date):
        return date_text(value)
    return value


def _member(value: Any, amiss: Amiss, date_text: Callable[[date], str], check_keys: bool, depth: int) -> Any:
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    try:
        return plain(value, amiss, date_text=date_text, check_keys=check_keys, depth=depth)
    except UnsupportedNumberError as unsupported:
        amiss(f"holds {unsupported.reason}; it goes as null")
        return None


def _below(depth: int) -> int:
    if depth >= MAX_DEPTH:
        raise Refused(f"nested deeper than {MAX_DEPTH} levels, or within itself")
    return depth + 1
