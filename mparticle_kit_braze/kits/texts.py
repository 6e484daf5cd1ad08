"""How the platforms write attribute values as text, which is what rules and projections compare."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

__all__ = ["java_double", "script_number", "value_text"]

EXACT = 1 << 53
"""Whole numbers beyond this are doubles in JavaScript."""

DEEPEST = 50
"""Containers nested deeper than this are empty texts."""


def value_text(value: Any, *, web: bool, depth: int = 0) -> str:
    """An attribute value as the text that rules hash: Java's ``toString``, or JavaScript's.

    ``True`` is ``true`` and ``None`` is empty on both; ``3.0`` is ``3.0`` on Android and ``3`` on the web; a list
    is its members joined with commas on the web, and in brackets on Android.
    """
    if value is None or depth > DEEPEST:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return script_number(value) if web else java_double(value)
    if isinstance(value, int):
        return script_number(float(value)) if web and EXACT < abs(value) < 1 << 1023 else str(value)
    if isinstance(value, list | tuple):
        texts = [value_text(item, web=web, depth=depth + 1) for item in value]
        if web:
            return ",".join(texts)
        return "[" + ", ".join(java_member(item, text) for item, text in zip(value, texts, strict=True)) + "]"
    if isinstance(value, Mapping):
        if web:
            return "[object Object]"
        members = ((key, item, value_text(item, web=web, depth=depth + 1)) for key, item in value.items())
        return "{" + ", ".join(f"{key}={java_member(item, text)}" for key, item, text in members) + "}"
    try:
        return str(value)
    except Exception:  # noqa: BLE001  # a value of the host's own class must not break the call
        return ""


def java_member(value: Any, text: str) -> str:
    """A member of a container: Java writes ``null`` there."""
    return "null" if value is None else text


def java_double(value: float) -> str:
    """A decimal number as Java's ``Double.toString`` writes it: ``2.0``, ``1.0E7``, ``1.0E-4`` (below 0.001)."""
    if not math.isfinite(value):
        return infinite_text(value)
    if value == 0:
        return "-0.0" if math.copysign(1.0, value) < 0 else "0.0"
    sign, digits, exponent = digits_of(value)
    if not -3 <= exponent < 7:
        return f"{sign}{digits[0]}.{digits[1:] or '0'}E{exponent}"
    text = plain_decimal(sign, digits, exponent)
    return text if "." in text else f"{text}.0"


def script_number(value: float) -> str:
    """A number as JavaScript writes it: ``2``, ``0.0001``, ``1e+21``, ``1e-7`` (below 0.000001)."""
    if not math.isfinite(value):
        return infinite_text(value)
    if value == 0:
        return "0"
    sign, digits, exponent = digits_of(value)
    if -7 < exponent < 21:
        return plain_decimal(sign, digits, exponent)
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{fraction}e{exponent:+d}"


def infinite_text(value: float) -> str:
    """``NaN``, ``Infinity`` or ``-Infinity``, on both platforms."""
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def plain_decimal(sign: str, digits: str, exponent: int) -> str:
    """A number without an exponent."""
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    whole, fraction = digits[: exponent + 1].ljust(exponent + 1, "0"), digits[exponent + 1 :]
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"


def digits_of(value: float) -> tuple[str, str, int]:
    """The sign, the significant digits without zeros at either end, and the power of ten of the first of them."""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = whole + fraction
    leading = len(digits) - len(digits.lstrip("0"))
    return "-" if value < 0 else "", digits.strip("0"), int(exponent or 0) + len(whole) - 1 - leading
