"""Values: from whatever Python object an app passes to the plain text, number, boolean or date text that Braze takes.

The platforms turn values into text in their own ways (Java's ``toString``, Apple's ``stringValue``); those forms and
the type detection that reads such text back stand in ``text.py``.
"""

from __future__ import annotations

import datetime as dt
import enum
import math
import operator
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

__all__ = ["PLAIN_TYPES", "UnsupportedValueError", "date_text", "is_plain", "number", "plain", "plain_tree"]

#: The exact types that pass through untouched.
PLAIN_TYPES: frozenset[type] = frozenset({str, int, float, bool})

_MAX_DEPTH = 50


class UnsupportedValueError(Exception):
    """A value has no form Braze would take. Its text says why, without the value; it never leaves the kit."""


def is_plain(values: Iterable[Any]) -> bool:
    """True if every value is exactly a str, int, float or bool, so that nothing needs converting."""
    return PLAIN_TYPES.issuperset(map(type, values))


def date_text(value: dt.date) -> str:
    """A date or date-time as ``2020-01-02T03:04:05``, in UTC; a naive one counts as UTC, a date as its midnight.

    Source: Braze SDK (web): dates in properties and custom attributes.

    Raises:
        UnsupportedValueError: In UTC it lies outside the years 1 to 9999.
    """
    if not isinstance(value, dt.datetime):
        return f"{value.isoformat()}T00:00:00"
    if value.tzinfo is not None:
        try:
            value = value.astimezone(dt.timezone.utc)
        except (OverflowError, ValueError) as error:
            raise UnsupportedValueError("is a date outside the years 1 to 9999") from error
    return value.replace(tzinfo=None, microsecond=0).isoformat()


def plain(value: Any) -> str | int | float | bool | None:
    """The text, whole or finite decimal number, boolean or ``None`` that a value stands for.

    A Decimal becomes a number, an Enum its value, dates their text (:func:`date_text`), and objects that are
    unambiguously a number (``__index__`` or ``__float__``, not a container) that number.

    Raises:
        UnsupportedValueError: It is none of those: a list, a mapping, NaN, an infinity, bytes, any other object.
    """
    kind = type(value)
    if value is None or kind is str or kind is bool or kind is int:
        return value  # type: ignore[no-any-return]  # mypy does not narrow by type()
    if kind is float:
        if math.isfinite(value):
            return value  # type: ignore[no-any-return]  # mypy does not narrow by type()
        raise UnsupportedValueError("is not a finite number")
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return plain(float(value))
    if isinstance(value, Decimal):
        return _from_decimal(value)
    if isinstance(value, dt.date):
        return date_text(value)
    return _from_object(value)


def number(value: Any) -> int | float | None:
    """The number a price, amount or quantity stands for; ``None`` if it is no finite number (booleans are none)."""
    try:
        result = plain(value)
    except UnsupportedValueError:
        return None
    return None if isinstance(result, (bool, str)) else result


def plain_tree(value: Any, inside: tuple[int, ...] = ()) -> Any:
    """As :func:`plain`, keeping lists and mappings and ``None`` in them: unsupported members are left out.

    Raises:
        UnsupportedValueError: The value itself is unsupported, holds itself, or is nested more than 50 deep.
    """
    if not isinstance(value, (Mapping, list, tuple)):
        return plain(value)
    if len(inside) > _MAX_DEPTH or id(value) in inside:
        raise UnsupportedValueError("is nested too deep")
    inside = (*inside, id(value))
    if isinstance(value, Mapping):
        pairs = [(str(key), item) for key, item in value.items()]
        return dict(_members(pairs, inside))
    return [item for _, item in _members([("", item) for item in value], inside)]


def _members(pairs: Iterable[tuple[str, Any]], inside: tuple[int, ...]) -> Iterator[tuple[str, Any]]:
    for key, item in pairs:
        try:
            converted = plain_tree(item, inside)
        except UnsupportedValueError:
            continue
        yield key, converted


def _from_decimal(value: Decimal) -> int | float:
    if not value.is_finite():
        raise UnsupportedValueError("is not a finite number")
    as_float = float(value)
    if math.isinf(as_float):
        raise UnsupportedValueError("is a number too large for Braze")
    return int(value) if value == value.to_integral_value() and abs(value) < 2**53 else as_float


def _from_object(value: Any) -> str | int | float | bool:
    """Scalars of other libraries (numpy, fractions) without importing any of them."""
    if hasattr(type(value), "__iter__") or hasattr(type(value), "__len__"):
        raise UnsupportedValueError("is a list, a mapping or another container")
    try:
        if type(value).__name__ in ("bool", "bool_"):
            return bool(value)
        if hasattr(type(value), "__index__"):
            return operator.index(value)
        result = float(value) if hasattr(type(value), "__float__") else None
    except Exception as error:  # the conversion is the app's own code
        raise UnsupportedValueError("could not be turned into a number") from error
    if result is None:
        raise UnsupportedValueError(f"is of the type {type(value).__name__}, which Braze has no form for")
    if not math.isfinite(result):
        raise UnsupportedValueError("is not a finite number")
    return result
