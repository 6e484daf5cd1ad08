"""Java's and Apple's text forms, and the types their kits read out of text, against independent readers."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mparticle_kit_braze.braze_kit.text import (
    apple_detect,
    apple_text,
    java_detect,
    java_text,
    json_text,
)
from mparticle_kit_braze.braze_kit.values import UnsupportedValueError
from mparticle_kit_braze.kits.texts import java_double

LOOKALIKES = st.one_of(
    st.text(alphabet="0123456789+-.eEfFdDxXpP_, ", max_size=12),
    st.text(alphabet="truefalsTRUEFALS ", max_size=6),
    st.from_regex(r"[+-]?[0-9]{1,25}(\.[0-9]{0,6})?([eE][+-]?[0-9]{1,3})?[fFdD]?", fullmatch=True),
    st.from_regex(
        r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](Z|[+-][01][0-9]:?[0-5]0)", fullmatch=True
    ),
    st.text(max_size=8),
)


# -- oracles: character by character, no regular expression, no shared code ---------------------------------------
def take_digits(text: str, at: int) -> int:
    while at < len(text) and text[at] in "0123456789":
        at += 1
    return at


def oracle_java_double(text: str) -> float | None:
    """The decimal form of Java's grammar of Double.valueOf; hexadecimal is tested by example."""
    begin, end = 0, len(text)
    while begin < end and ord(text[begin]) <= 32:
        begin += 1
    while end > begin and ord(text[end - 1]) <= 32:
        end -= 1
    text = text[begin:end]
    at = 1 if text[:1] in ("+", "-") else 0
    whole_end = take_digits(text, at)
    digits = whole_end - at
    at = whole_end
    if at < len(text) and text[at] == ".":
        fraction_end = take_digits(text, at + 1)
        digits += fraction_end - at - 1
        at = fraction_end
    if digits == 0:
        return None
    number_end = at
    if at < len(text) and text[at] in "eE":
        exponent = at + 1 + (1 if text[at + 1 : at + 2] in ("+", "-") else 0)
        exponent_end = take_digits(text, exponent)
        if exponent_end == exponent:
            return None
        number_end = at = exponent_end
    if at < len(text) and text[at] in "fFdD":
        at += 1
    if at != len(text):
        return None
    value = float(Decimal(text[:number_end]))
    return value if math.isfinite(value) else None


def oracle_java_long(text: str) -> int | None:
    sign, digits = (text[0], text[1:]) if text[:1] in ("+", "-") else ("+", text)
    if not digits:
        return None
    total = 0
    for char in digits:
        if ord(char) > 0xFFFF or not char.isdecimal():
            return None
        total = total * 10 + int(char)
    total = -total if sign == "-" else total
    return total if -(2**63) <= total < 2**63 else None


def oracle_java(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    found = oracle_java_double(text) if "." in text else oracle_java_long(text)
    return text if found is None else found


def oracle_apple(text: str) -> Any:
    body = text[1:] if text[:1] == "-" else text
    groups = body.split(".")
    if all(group and all(char in "0123456789" for char in group) for group in groups):
        if len(groups) == 1:
            return int(text) if -(2**63) <= int(text) < 2**63 else text
        if len(groups) == 2 and math.isfinite(float(Decimal(text))):
            return float(Decimal(text))
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    return oracle_apple_date(text) or text


def oracle_apple_date(text: str) -> str | None:
    if not text.isascii() or len(text) < 20 or (text[19] != "Z") == (len(text) == 20):
        return None
    zone = text[19:]
    if zone != "Z":
        digits = zone[1:].replace(":", "", 1)
        if zone[0] not in "+-" or len(digits) != 4 or not digits.isdigit() or (":" in zone and zone[3] != ":"):
            return None
        offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
        offset = -offset if zone[0] == "-" else offset
    else:
        offset = timedelta(0)
    try:
        moment = datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc) - offset
    except (ValueError, OverflowError):
        return None
    return moment.replace(tzinfo=None).isoformat()


@given(LOOKALIKES)
def test_java_detection_agrees_with_the_oracle(text: str) -> None:
    """Type and value are those of a reader written from the grammar."""
    if "x" not in text.lower():
        found, expected = java_detect(text), oracle_java(text)
        assert (type(found), found) == (type(expected), expected)


@given(LOOKALIKES)
def test_apple_detection_agrees_with_the_oracle(text: str) -> None:
    """Type and value are those of a reader written from the description."""
    found, expected = apple_detect(text), oracle_apple(text)
    assert (type(found), found) == (type(expected), expected)


@given(st.text(max_size=20))
def test_detected_text_is_never_lost(text: str) -> None:
    """What is no other type stays exactly the text it was."""
    for detect in (java_detect, apple_detect):
        found = detect(text)
        assert not isinstance(found, str) or found == text or apple_text(found)[:4].isdigit()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0x1.8p1", 3.0),
        ("-0x.8P2", -2.0),
        ("0x1.p3", 8.0),
        ("0x1.8", "0x1.8"),
        ("1.0e999", "1.0e999"),
        ("0x1.0p9999", "0x1.0p9999"),
    ],
)
def test_java_reads_hexadecimal_but_no_infinity(text: str, expected: object) -> None:
    """Java's hexadecimal decimals are numbers; what would be infinite stays text, which Braze can take."""
    assert java_detect(text) == expected


# -- text forms ---------------------------------------------------------------------------------------------------
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_java_double_reads_back_as_the_same_number(value: float) -> None:
    """Nothing is lost between a number and its text, and the exponent appears where Java puts it."""
    text = java_double(value)
    assert float(text) == value
    assert ("E" in text) == (value != 0 and not 1e-3 <= abs(value) < 1e7)
    mantissa = text.lstrip("-").partition("E")[0]
    assert "." in mantissa
    assert "E" not in text or mantissa[0] != "0"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2.0, "2.0"),
        (1e7, "1.0E7"),
        (9999999.0, "9999999.0"),
        (0.001, "0.001"),
        (0.0001, "1.0E-4"),
        (12345678.9, "1.23456789E7"),
        (1e21, "1.0E21"),
        (-0.0, "-0.0"),
        (100.0, "100.0"),
        (True, "true"),
        (5, "5"),
        (Decimal("2.50"), "2.5"),
        ("x", "x"),
        ({"k": 1, "n": None}, "{k=1, n=null}"),
        ([1, "x", True], "[1, x, true]"),
        ({"deep": {"flag": True}}, "{deep={flag=true}}"),
    ],
)
def test_java_text_forms(value: object, expected: str) -> None:
    """As ``toString`` writes them."""
    assert java_text(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (10.0, "10"),
        (1.5, "1.5"),
        (-3, "-3"),
        (True, "true"),
        (1e21, "1e+21"),
        (0.1, "0.1"),
        (datetime.fromisoformat("2020-01-02T03:04:05"), "2020-01-02T03:04:05+0000"),
        ([1, "a"], '[1, "a"]'),
    ],
)
def test_apple_text_forms(value: object, expected: str) -> None:
    """As ``stringValue`` and the kit's date format write them."""
    assert apple_text(value) == expected


def test_containers_that_hold_themselves_end() -> None:
    """A cycle is no reason to recurse for ever."""
    loop: list[Any] = [1]
    loop.append(loop)
    assert java_text(loop) == "[1, null]"
    with pytest.raises(UnsupportedValueError):
        json_text(loop)
