"""Attribute values as mParticle's Events API takes them, within its limits; what does not fit is said, not sent.

Source: mParticle's default service limits: 100 attributes an event, keys of 256 and values of 4096 characters,
user attribute lists of 1000 entries of 512.
"""

from __future__ import annotations

import datetime as dt
import math
import numbers
import os
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from typing import Any

__all__ = ["Refuse", "amount", "attributes_of", "list_of", "milliseconds", "random_id", "scalar", "text"]

MAX_ATTRIBUTES = 100
MAX_KEY = 256
MAX_VALUE = 4096
MAX_LIST = 1000
MAX_ENTRY = 512
MAX_INTEGER = 1 << 63

Refuse = Callable[[str, str], None]
"""Told the key of what is not uploaded, and why."""


class UnfitError(Exception):
    """A value has no place in the Events API; the message says why."""


def random_id() -> str:
    """A random UUID (version 4), made of bytes: several times as quick as :mod:`uuid`."""
    digits = os.urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def milliseconds(seconds: float) -> int:
    """A time or a length as the Events API counts it."""
    return round(seconds * 1000)


def text(value: str) -> str:
    """A text that is valid Unicode."""
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")


def scalar(value: Any, *, longest: int = MAX_VALUE) -> Any:
    """A text, number, boolean or null. Times become ISO 8601 texts, a Decimal a number.

    Raises:
        UnfitError: It is none, or too long.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return scalar(value.value, longest=longest)
    if isinstance(value, str):
        if len(value) > longest:
            raise UnfitError(f"is longer than {longest} characters")
        return text(value)
    if isinstance(value, int):
        if not -MAX_INTEGER <= value < MAX_INTEGER:
            raise UnfitError("is a number of more than 64 bits")
        return int(value)
    if isinstance(value, dt.datetime | dt.date):
        return value.isoformat()
    if isinstance(value, numbers.Real | Decimal):
        number = amount(value)
        if number is None:
            raise UnfitError("is no finite number")
        return number
    raise UnfitError(f"is of type {type(value).__name__}")


def is_plain(value: Any) -> bool:
    """Whether a value goes as it is: the usual case, decided at once."""
    kind = value.__class__
    if kind is str:
        return len(value) <= MAX_VALUE and bool(value.isascii())
    if kind is int:
        return bool(-MAX_INTEGER <= value < MAX_INTEGER)
    return value is None or kind is bool or (kind is float and bool(math.isfinite(value)))


def amount(value: Any) -> int | float | None:
    """A price, quantity or total; ``None`` if there is none or it is not finite."""
    if value is None:
        return None
    if isinstance(value, int):
        return value if -MAX_INTEGER <= value < MAX_INTEGER else None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def list_of(values: Sequence[Any]) -> list[str]:
    """A list attribute: texts.

    Raises:
        UnfitError: There are too many, or one is too long or no scalar.
    """
    if len(values) > MAX_LIST:
        raise UnfitError(f"has more than {MAX_LIST} entries")
    return [entry_text(scalar(value, longest=MAX_ENTRY)) for value in values if value is not None]


def entry_text(value: Any) -> str:
    """An entry of a list attribute as text, booleans as JSON spells them."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def attributes_of(attributes: Mapping[str, Any], refuse: Refuse) -> dict[str, Any]:
    """The custom attributes of an event or product that can be uploaded.

    Args:
        attributes: All of them.
        refuse: Told of each that cannot.
    """
    taken: dict[str, Any] = {}
    for key, value in attributes.items():
        if len(key) > MAX_KEY:
            refuse(key[:40], f"its name is longer than {MAX_KEY} characters")
            continue
        if is_plain(value):
            fit = value
        else:
            try:
                fit = scalar(value)
            except UnfitError as error:
                refuse(key, str(error))
                continue
        if len(taken) >= MAX_ATTRIBUTES:
            refuse(key, f"an event takes {MAX_ATTRIBUTES} attributes")
            continue
        taken[text(key)] = fit
    return taken
