"""What every call does with its arguments: check their shape, and copy them so that the caller may go on changing his.

Values themselves are never judged here: each kit decides what it can send. Scalars go on as they are,
containers are copied deeply.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from typing import Any

from .errors import InvalidArgumentError

__all__ = ["check_name", "check_number", "check_timestamp", "copy_attributes", "copy_value", "describe"]

SCALARS = frozenset({str, int, float, bool, type(None), dt.datetime, dt.date})
"""Exact types that need no copy, looked up by identity on the hot path."""

MAX_DEPTH = 64
"""Containers nested deeper than this keep the caller's object: no destination takes them anyway."""


def describe(value: object) -> str:
    """What was given, for an error message: the type and a short form of the value."""
    text = repr(value) if isinstance(value, int | float | bool | None) else ""
    name = type(value).__name__
    return f"{text} ({name})" if text and len(text) <= 40 else name


def check_name(value: object, what: str) -> str:
    """Return ``value`` if it is a text with at least one character.

    Args:
        value: What was given.
        what: How the message calls it, such as ``event name``.

    Raises:
        InvalidArgumentError: It is not.
    """
    if not isinstance(value, str):
        raise InvalidArgumentError(f"{what} must be a non-empty str, not {describe(value)}")
    if not value:
        raise InvalidArgumentError(f"{what} must not be empty")
    return str.__str__(value)


def check_number(value: object, what: str) -> int | float:
    """Return ``value`` if it is a finite number that is no bool; :raises InvalidArgumentError: otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidArgumentError(f"{what} must be a finite int or float, not {describe(value)}")
    return value


def check_timestamp(value: object) -> float | None:
    """Seconds since the epoch from a number or a date-time (naive = UTC); ``None`` stays ``None``."""
    if value is None:
        return None
    if isinstance(value, dt.datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=dt.timezone.utc)
        return aware.timestamp()
    return float(check_number(value, "timestamp"))


def copy_attributes(attributes: object, what: str = "attributes") -> dict[str, Any]:
    """A copy of an attribute mapping that shares no container with the caller's.

    Raises:
        InvalidArgumentError: It is no mapping, or a key is no text.
    """
    if attributes is None:
        return {}
    if attributes.__class__ is dict:
        copied: dict[Any, Any] = attributes.copy()
    elif isinstance(attributes, Mapping):
        copied = dict(attributes)
    else:
        raise InvalidArgumentError(f"{what} must be a mapping of str to values, not {describe(attributes)}")
    scalars = SCALARS
    for key, value in copied.items():
        if key.__class__ is not str and not isinstance(key, str):
            raise InvalidArgumentError(f"{what} must have str keys; one is {describe(key)}")
        if value.__class__ not in scalars:
            copied[key] = copy_value(value)
    return copied


def copy_value(value: Any) -> Any:
    """A deep copy of dicts, lists, tuples and sets; anything else is returned as it is."""
    if value.__class__ in SCALARS:
        return value
    return _copy(value, {}, 0)


def _copy(value: Any, seen: dict[int, Any], depth: int) -> Any:
    if not isinstance(value, dict | list | tuple | set | frozenset) or depth > MAX_DEPTH:
        return value
    if id(value) in seen:  # a container that holds itself: the copy does so as well
        return seen[id(value)]
    if isinstance(value, dict):
        mapping: dict[Any, Any] = {}
        seen[id(value)] = mapping
        mapping.update((key, _copy(item, seen, depth + 1)) for key, item in value.items())
        return mapping
    if isinstance(value, list):
        items: list[Any] = []
        seen[id(value)] = items
        items.extend(_copy(item, seen, depth + 1) for item in value)
        return items
    if isinstance(value, tuple):
        return tuple(_copy(item, seen, depth + 1) for item in value)
    return set(value) if isinstance(value, set) else value
