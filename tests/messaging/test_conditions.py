"""Property filters: every comparator and type against an oracle written from the table of the Web SDK's behaviour."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mparticle_kit_braze.braze.messaging.conditions import comparable_properties, compile_filters

NOW = 1_700_000_000.0
ABSENT = object()


def met(filters: object, properties: dict[Any, Any], now: float = NOW) -> bool:
    """What the package says: every group has a filter that holds."""
    compiled = compile_filters(filters)
    if compiled is None:
        return False
    values = comparable_properties(properties)
    return all(any(predicate(values.get(key), now) for key, predicate in group) for group in compiled)


def one(comparator: object, declared: object, wanted: object, value: object = ABSENT) -> bool:
    """A single filter on the property ``k``."""
    properties = {} if value is ABSENT else {"k": value}
    raw = {"property_key": "k", "property_type": declared, "comparator": comparator, "property_value": wanted}
    return met([[raw]], properties)


# -- the oracle: one function per row of the table, written without a look at the implementation -----------------------


def kind_of(value: object) -> str:
    if value is ABSENT or value is None:
        return "nothing"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "string"
    if isinstance(value, datetime):
        return "date"
    return "other"


def oracle(comparator: object, declared: object, wanted: Any, value: Any) -> bool:
    kind = kind_of(value)
    if kind == "date":
        moment = value if value.tzinfo else value.replace(tzinfo=timezone.utc)
        seconds = int(moment.timestamp())
        if comparator in (15, 16):
            if kind_of(wanted) != "number":
                return False
            return bool(seconds < NOW + wanted if comparator == 15 else seconds > NOW + wanted)
        if declared != "date" and comparator not in (11, 12):
            value = moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
            kind = "string"
    if comparator == 1:
        return bool(kind in ("number", "string", "boolean") and kind == kind_of(wanted) and value == wanted)
    if comparator == 2:
        return not oracle(1, declared, wanted, value)
    if comparator in (3, 4, 5, 6):
        if kind == "date" and kind_of(wanted) == "number":
            return {  # type: ignore[no-any-return]  # values are Any by nature
                3: seconds > wanted,
                5: seconds < wanted,
                4: seconds >= NOW - wanted,
                6: seconds <= NOW - wanted,
            }[comparator]
        if kind not in ("number", "string") or kind != kind_of(wanted):
            return False
        return bool({3: value > wanted, 4: value >= wanted, 5: value < wanted, 6: value <= wanted}[comparator])
    if comparator in (10, 17):
        hit = False
        if kind == "string" and isinstance(wanted, str):
            try:
                hit = re.search(wanted, value) is not None
            except re.error:
                hit = False
        return hit if comparator == 10 else not hit
    if comparator == 11:
        return kind != "nothing"
    if comparator == 12:
        return kind == "nothing"
    return False


DATES = [
    datetime(2023, 11, 14, 22, 13, 20, tzinfo=timezone.utc),  # the present
    datetime(2023, 11, 14, 22, 13, 20),  # noqa: DTZ001 - a naive date is taken as UTC
    datetime(2023, 11, 14, 23, 13, 21, tzinfo=timezone(timedelta(hours=1))),
    datetime(2020, 1, 2, tzinfo=timezone.utc),
    datetime(2030, 1, 2, tzinfo=timezone.utc),
]
VALUES: list[Any] = [
    ABSENT,
    None,
    0,
    1,
    5,
    5.0,
    5.5,
    -3,
    True,
    False,
    "",
    "5",
    "abc",
    "Abc",
    "b",
    "2020-01-02T00:00:00",
]
VALUES += [*DATES, [1], {"a": 1}]
WANTED: list[Any] = [
    5,
    5.0,
    0,
    1,
    60,
    NOW,
    True,
    False,
    "5",
    "abc",
    "^a",
    "b$",
    "(",
    "",
    None,
    [5],
    "2020-01-02T00:00:00",
]
COMPARATORS: list[Any] = [*range(21), -1, None, "1", 1.5, True]
TYPES: list[Any] = ["number", "string", "boolean", "date", None, "odd", 7]


@pytest.mark.parametrize("comparator", COMPARATORS, ids=repr)
def test_every_comparator_type_and_value(comparator: object) -> None:
    """All combinations of declared types, filter values and event values give what the oracle says."""
    wrong = []
    for declared, wanted, value in product(TYPES, WANTED, VALUES):
        expected = False if type(comparator) is not int else oracle(comparator, declared, wanted, value)
        if one(comparator, declared, wanted, value) is not expected:
            wrong.append((comparator, declared, wanted, value, expected))
    assert not wrong, wrong[:5]


@pytest.mark.parametrize(
    ("comparator", "declared", "wanted", "value", "expected"),
    [
        (3, "number", 5, 6, True),
        (3, "number", 5, 5, False),
        (4, "number", 5, 5, True),
        (3, "number", 5, "6", False),
        (1, "boolean", True, 1, False),
        (1, "number", 1, True, False),
        (1, "number", 1, 1.0, True),
        (1, "string", "Abc", "abc", False),
        (2, "string", "x", ABSENT, True),
        (2, "number", 5, "5", True),
        (1, "date", NOW, DATES[0], False),
        (2, "date", NOW, DATES[0], True),
        (3, "date", NOW - 1, DATES[0], True),
        (4, "date", 60, DATES[0], True),  # at or after 60 s ago
        (4, "date", 60, DATES[3], False),
        (6, "date", 60, DATES[3], True),
        (15, "date", 3600, DATES[0], True),
        (16, "string", 3600, DATES[4], True),
        (1, "string", "2020-01-02T00:00:00", DATES[3], True),
        (3, "string", "a", "b", True),
        (3, "string", "\ufb01", "\U0001f600", False),  # by code units, an astral character comes first
        (10, "string", "B", "abc", False),
        (10, "string", "(", "(", False),
        (17, "number", 5, 5, True),
        (17, "string", "a", ABSENT, True),
        (12, "string", None, None, True),
    ],
)
def test_rows_of_the_table(comparator: int, declared: str, wanted: object, value: object, expected: bool) -> None:
    """Single rows, spelled out."""
    assert one(comparator, declared, wanted, value) is expected


def test_outer_list_is_and_inner_is_or() -> None:
    """Groups must all be met, one filter of each suffices; no groups are met, an empty group is not."""
    big = {"property_key": "n", "property_type": "number", "comparator": 3, "property_value": 5}
    red = {"property_key": "c", "property_type": "string", "comparator": 1, "property_value": "red"}
    assert met([[big], [red]], {"n": 6, "c": "red"})
    assert not met([[big], [red]], {"n": 6, "c": "blue"})
    assert met([[big, red]], {"n": 6, "c": "blue"})
    assert not met([[big, red]], {"n": 4, "c": "blue"})
    assert met([], {})
    assert not met([[]], {"n": 6})


def test_keys_are_literal() -> None:
    """A dot in a key is no path."""
    raw = {"property_key": "a.b", "property_type": "number", "comparator": 1, "property_value": 1}
    assert met([[raw]], {"a.b": 1})
    assert not met([[raw]], {"a": {"b": 1}})


@pytest.mark.parametrize(
    "raw", [None, "x", 5, {}, [None], ["x"], [{}], [[None]], [["x"]], [[{}]], [[{"property_key": 5, "comparator": 1}]]]
)
def test_malformed_filters_never_match(raw: object) -> None:
    """What is not the expected shape is never met, and never raises."""
    assert not met(raw, {"k": 1})


def test_a_malformed_alternative_leaves_the_others() -> None:
    """One unusable filter does not take its alternatives with it."""
    good = {"property_key": "k", "comparator": 11}
    assert met([["nonsense", good, {"property_key": "k", "comparator": 7}]], {"k": 1})


def test_python_values_count_as_what_they_are_sent_as() -> None:
    """Decimals and enumerations compare as the numbers and texts on the wire; unsendable values are absent."""

    class Colour(Enum):
        RED = "red"

    assert one(3, "number", 5, Decimal("5.5"))
    assert one(1, "string", "red", Colour.RED)
    assert one(4, "date", 1e10, date(2020, 1, 2))
    assert one(12, "string", None, object())
    assert one(12, "number", None, float("nan"))


def test_javascript_expressions() -> None:
    """Named groups are spelled JavaScript's way and the dollar is the very end of the text."""
    assert one(10, "string", "(?<year>\\d{4})$", "in 2024")
    assert not one(10, "string", "a$", "a\n")
    assert one(10, "string", "[$]\\$", "$$")
    assert one(10, "string", "(?<=a)b", "ab")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.lists(
        st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "property_key": st.just("k") | json_values,
                    "comparator": st.integers(0, 20) | json_values,
                    "property_type": st.sampled_from(["number", "string", "date"]) | json_values,
                    "property_value": json_values,
                },
            ),
            max_size=3,
        ),
        max_size=3,
    ),
    json_values,
)
def test_never_raises(raw: object, value: object) -> None:
    """Whatever the server writes and the app logs, evaluating is safe."""
    assert met(raw, {"k": value}) in (True, False)
