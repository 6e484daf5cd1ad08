"""Texts and numbers as arguments of calls: what the SDKs read as a name, a whole number or a coordinate."""

from __future__ import annotations

import re
from enum import Enum
from typing import Any

from ..encoding import checked_int, has_forbidden_character, plain_scalar
from ..refusal import Refused

__all__ = [
    "characters",
    "label",
    "leading_integer",
    "leading_number",
    "number_in",
    "required_text",
    "unwrapped",
    "whole_number",
]

# Compiled when first used.
LEADING_NUMBER = r"(?a)\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*"
LEADING_INTEGER = r"(?a)\s*([+-]?\d{1,18})"
WHOLE_NUMBER = r"(?a)[+-]?\d{1,20}(?:\.0*)?"


def unwrapped(value: Any) -> Any:
    """The value of an Enum member, anything else as it is."""
    return unwrapped(value.value) if isinstance(value, Enum) else value


def characters(text: str) -> int:
    """The length of a text as the Web SDK counts it, in UTF-16 units."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def required_text(value: Any, what: str) -> str:
    """A text that is not empty, else refused."""
    value = unwrapped(value)
    if not isinstance(value, str):
        raise Refused(f"{what} must be text, not {type(value).__name__}")
    if not value:
        raise Refused(f"{what} must not be empty")
    return str.__str__(value)


def label(value: Any, what: str, *, may_be_empty: bool = False) -> str:
    """A name Braze takes: text without control characters (U+0000 to U+001F) and double quotes."""
    value = unwrapped(value)
    if not isinstance(value, str):
        raise Refused(f"{what} must be text, not {type(value).__name__}")
    if not value and not may_be_empty:
        raise Refused(f"{what} must not be empty")
    if has_forbidden_character(value):
        raise Refused(f"{what} must not contain control characters or double quotes")
    return str.__str__(value)


def leading_number(text: str) -> float | None:
    """The number a text begins with (``12abc`` is 12), as the Web SDK reads numeric text; ``None`` if none."""
    match = re.match(LEADING_NUMBER, text)
    return float(match[1]) if match else None


def leading_integer(value: Any, what: str) -> int:
    """A whole number: fractions are cut, text is read up to the first character that is no digit."""
    value = unwrapped(value)
    if isinstance(value, str):
        match = re.match(LEADING_INTEGER, value)
        if match is None:
            raise Refused(f"{what} must be a number")
        return int(match[1])
    return int(_number(value, what))


def whole_number(value: Any, what: str) -> int:
    """A number without a fraction, or its text, within 64 bits."""
    value = unwrapped(value)
    if isinstance(value, str):
        text = value.strip()
        if not re.fullmatch(WHOLE_NUMBER, text):
            raise Refused(f"{what} must be a whole number")
        return checked_int(int(text.partition(".")[0]))
    number = _number(value, what)
    if isinstance(number, float) and not number.is_integer():
        raise Refused(f"{what} must be a whole number")
    return checked_int(int(number))


def number_in(value: Any, what: str, low: float | None = None, high: float | None = None) -> int | float:
    """A finite number, or its text, within bounds."""
    value = unwrapped(value)
    if isinstance(value, str):
        match = re.fullmatch(LEADING_NUMBER, value)
        if match is None:
            raise Refused(f"{what} must be a number")
        value = float(match[1])
    number = _number(value, what)
    if (low is not None and number < low) or (high is not None and number > high):
        bounds = f"between {low:g} and {high:g}" if high is not None else f"at least {low:g}"
        raise Refused(f"{what} must be {bounds}")
    return number


def _number(value: Any, what: str) -> int | float:
    try:
        number = plain_scalar(value)
    except Refused as refused:
        raise Refused(f"{what} must be a number; it is {refused.reason}") from None
    if type(number) is not int and type(number) is not float:
        raise Refused(f"{what} must be a number, not {type(value).__name__}")
    return number
