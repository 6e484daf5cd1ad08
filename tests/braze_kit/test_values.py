"""From any Python object to what Braze takes."""

from __future__ import annotations

import datetime as dt
import enum
import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mparticle_kit_braze.braze_kit.values import UnsupportedValueError, is_plain, number, plain, plain_tree


class Color(enum.Enum):
    """Values that need converting themselves."""

    RED = "red"
    NESTED = Decimal("1.5")


class Level(enum.IntEnum):
    """A whole number by inheritance."""

    HIGH = 3


class Index:
    """A NumPy-like whole number."""

    def __index__(self) -> int:
        return 7


class Float:
    """A NumPy-like decimal."""

    def __init__(self, value: float) -> None:
        self._value = value

    def __float__(self) -> float:
        return self._value


class Broken:
    """A number that fails."""

    def __float__(self) -> float:
        raise RuntimeError("no")


class Array(Float):
    """A container with a number's conversion."""

    def __len__(self) -> int:
        return 1


class Text(str):
    """A text by inheritance."""

    __slots__ = ()


UTC = dt.timezone.utc


@pytest.mark.parametrize(
    ("given_value", "expected"),
    [
        ("x", "x"),
        (True, True),
        (3, 3),
        (2.5, 2.5),
        (None, None),
        (Decimal("9.99"), 9.99),
        (Decimal(10), 10),
        (Color.RED, "red"),
        (Color.NESTED, 1.5),
        (Level.HIGH, 3),
        (Index(), 7),
        (Float(1.5), 1.5),
        (Fraction(1, 4), 0.25),
        (Text("t"), "t"),
        (dt.date(2020, 1, 2), "2020-01-02T00:00:00"),
        (dt.datetime.fromisoformat("2020-01-02T03:04:05.000006"), "2020-01-02T03:04:05"),
        (dt.datetime(2020, 1, 2, 3, 4, 5, tzinfo=dt.timezone(dt.timedelta(hours=2))), "2020-01-02T01:04:05"),
        (dt.datetime(33, 1, 2, tzinfo=UTC), "0033-01-02T00:00:00"),
    ],
)
def test_values_that_stand_for_something_plain(given_value: Any, expected: object) -> None:
    """Each becomes exactly a text, number, boolean or nothing."""
    found = plain(given_value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        Decimal("NaN"),
        Decimal("1e400"),
        [1],
        {"a": 1},
        b"bytes",
        object(),
        Float(math.nan),
        Broken(),
        Array(1),
        1j,
        dt.datetime.min.replace(tzinfo=dt.timezone(dt.timedelta(hours=1))),
        {1},
        dt.timedelta(1),
    ],
)
def test_values_without_a_form_are_refused_without_being_shown(value: Any) -> None:
    """The reason never holds the value."""
    with pytest.raises(UnsupportedValueError) as refusal:
        plain(value)
    assert repr(value) not in str(refusal.value)


def test_number_takes_numbers_only() -> None:
    """Booleans and numeric texts are no amounts."""
    assert [number(value) for value in (2, 2.5, Decimal("1.5"), True, "3", None, math.nan)] == [
        2,
        2.5,
        1.5,
        None,
        None,
        None,
        None,
    ]


def test_plain_is_recognised_by_exact_type() -> None:
    """Subclasses take the long way, where they are converted."""
    assert is_plain(["x", 1, 1.5, True])
    assert not is_plain([Text("t")])
    assert not is_plain([None])


@given(
    st.recursive(
        st.one_of(st.integers(), st.text(), st.floats(), st.none(), st.builds(object)), st.lists, max_leaves=20
    )
)
def test_trees_keep_what_has_a_form(value: Any) -> None:
    """What comes out of a tree is plain throughout."""
    try:
        found = plain_tree(value)
    except UnsupportedValueError:
        return

    def check(item: Any) -> None:
        if isinstance(item, list):
            for member in item:
                check(member)
        else:
            assert item is None or type(item) in (str, int, float, bool)

    check(found)
