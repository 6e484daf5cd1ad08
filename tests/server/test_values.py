"""Type detection, times and JSON scalars."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mparticle_kit_braze.server.values import (
    UnsupportedValueError,
    compact_json,
    detect,
    is_time_text,
    iso_time,
    nested,
    scalar,
    typed,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("FALSE", False),
        ("12", 12),
        ("-7", -7),
        ("9223372036854775807", 9223372036854775807),
        ("9223372036854775808", 9.223372036854775808e18),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("2020-01-02", "2020-01-02"),
        ("12 apples", "12 apples"),
        ("nan", "nan"),
        ("inf", "inf"),
        ("1e999", "1e999"),
        ("\u0661", "\u0661"),
        ("", ""),
    ],
)
def test_detection_order(text: str, value: Any) -> None:
    """Boolean, Long, Double, Date, String: the first that fits."""
    found = detect(text)
    assert found == value
    assert type(found) is type(value)


@given(st.text())
def test_detection_never_fails(text: str) -> None:
    """Whatever the text, what comes out is JSON, and text stays the same text."""
    found = detect(text)
    json.dumps(found, allow_nan=False)
    assert not isinstance(found, str) or found == text


@pytest.mark.parametrize(
    ("text", "is_time"),
    [
        ("2013-07-16T19:20:30+01:00", True),
        ("2013-07-16T19:20:30:123Z", True),
        ("2013-07-16T19:20:30.123Z", True),
        ("2013-07-16T19:20:30", True),
        ("2013-07-16 19:20:30", True),
        ("2013-07-16", True),
        ("07/16/2013", True),
        ("Tue 07 16 19:20:30.GMT 2013", True),
        ("2013-13-01", False),
        ("2013-07-32", False),
        ("2013-07-16T24:61:00Z", False),
        ("16/07/2013", False),
        ("\u0662\u0660\u0662\u0660-01-01", False),
        ("yesterday", False),
        ("1767323045", False),
        ("", False),
    ],
)
def test_time_texts(text: str, is_time: bool) -> None:
    """The forms the REST API reads as a time."""
    assert is_time_text(text) is is_time


def test_times_go_out_in_utc() -> None:
    """Seconds and date-times become ISO 8601 with Z; naive is UTC; milliseconds are kept."""
    assert iso_time(1767323045) == "2026-01-02T03:04:05Z"
    assert iso_time(1767323045.25) == "2026-01-02T03:04:05.250Z"
    zone = dt.timezone(dt.timedelta(hours=2))
    assert iso_time(dt.datetime(2026, 1, 2, 5, 4, 5, tzinfo=zone)) == "2026-01-02T03:04:05Z"
    assert is_time_text(iso_time(0))
    with pytest.raises(UnsupportedValueError):
        iso_time(1e20)


def test_scalars() -> None:
    """Python's scalars have one JSON form each, and containers have none."""
    assert scalar(Decimal("1.50")) == 1.5
    assert scalar(Decimal(7)) == 7
    assert scalar(dt.date(2026, 1, 2)) == "2026-01-02T00:00:00Z"
    for value in (
        float("nan"),
        float("inf"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("1E+400"),
        None,
        [],
        {},
        object(),
    ):
        with pytest.raises(UnsupportedValueError):
            scalar(value)


def test_nested_values() -> None:
    """Lists and objects keep their shape, what is absent is left out, and depth has an end."""
    given_value = {"a": (1, Decimal("1.5")), "b": None, 5: [{"c": dt.date(2026, 1, 2)}]}
    assert nested(given_value) == {"a": [1, 1.5], "5": [{"c": "2026-01-02T00:00:00Z"}]}
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(UnsupportedValueError):
        nested(circle)


def test_typing_modes() -> None:
    """Text, detected and native treat the same values differently."""
    assert [typed(value, "text") for value in (5, True, "7", 1.5)] == ["5", "true", "7", "1.5"]
    assert [typed(value, "detected") for value in (5, True, "7", "x")] == [5, True, 7, "x"]
    assert [typed(value, "native") for value in (5, True, "7", 1.5)] == [5, True, "7", 1.5]


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=8))
def test_records_have_no_line_breaks(value: Any) -> None:
    """An encoded object is one line of UTF-8 without control characters, whatever the texts in it."""
    encoded = compact_json(value)
    assert not any(byte < 0x20 for byte in encoded)
    encoded.decode("utf-8")
