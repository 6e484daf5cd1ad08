"""The comparison rules themselves: what counts as equal and, above all, what does not."""

from __future__ import annotations

from typing import Any

import pytest

from .normal import compare, decode, normal_form, parse_instant


def differences(got: dict[str, Any], expected: dict[str, Any], mpid: str | None = None) -> list[str]:
    normal = normal_form(got.get("events", []), got.get("attributes", []), deep=True)
    return [mismatch.path for mismatch in compare(normal, expected, mpid=mpid)]


def custom(properties: dict[str, Any] | None, **rest: Any) -> dict[str, Any]:
    data = {"n": "E"} if properties is None else {"n": "E", "p": properties}
    return {"name": "ce", "data": data, **rest}


@pytest.mark.parametrize(
    ("got", "expected", "path"),
    [
        (custom({"a": 12}), custom({"a": 12.0}), None),
        (custom({"a": 1}), custom({"a": True}), "events[0].data.p.a"),
        (custom({"a": "1"}), custom({"a": 1}), "events[0].data.p.a"),
        (custom(None), custom({}), None),
        (custom({}), custom(None), None),
        (custom({"a": None}), custom({}), "events[0].data.p.a"),
        (custom({}, user_id="u"), custom({}), "events[0].user_id"),
        (custom({}), custom({}, user_id="u"), "events[0].user_id"),
        (custom({"a": [1, 2]}), custom({"a": [2, 1]}), "events[0].data.p.a[0]"),
        (custom({"d": "2020-01-02T03:04:05"}), custom({"d": {"$date": "2020-01-02T03:04:05Z"}}), None),
        (custom({"d": "2020-01-02T04:04:05+01:00"}), custom({"d": {"$date": "2020-01-02T03:04:05Z"}}), None),
        (custom({"d": "2020-01-02T03:04:06"}), custom({"d": {"$date": "2020-01-02T03:04:05Z"}}), "events[0].data.p.d"),
        (custom({"d": "soon"}), custom({"d": {"$date": "2020-01-02T03:04:05Z"}}), "events[0].data.p.d"),
        (custom({"t": "xxx"}), custom({"t": {"$repeat": ["x", 3]}}), None),
        (custom({}, user_id="7"), custom({}, user_id={"$mpid": True}), None),
        (custom({}, user_id="8"), custom({}, user_id={"$mpid": True}), "events[0].user_id"),
    ],
)
def test_custom_events(got: dict[str, Any], expected: dict[str, Any], path: str | None) -> None:
    """Numbers compare by value, types strictly, dates as instants, and empty properties may be left out."""
    found = differences({"events": [got]}, {"events": [expected]}, mpid="7")
    assert (path in found) if path else (found == [])


@pytest.mark.parametrize(
    ("got", "expected", "same"),
    [
        ("10.00", 10, True),
        (4.5, "4.50", True),
        ("4.51", 4.5, False),
        ("120.00", 120.005, True),
        ("120.01", 120.005, False),
        ("0.13", 0.125, True),
        (True, 1, False),
        ("x", 1, False),
    ],
)
def test_prices_compare_as_money(got: Any, expected: Any, same: bool) -> None:
    """A price is a number to the cent, whether it travels as text or as a number."""
    event = {"name": "p", "data": {"pid": "s", "c": "USD", "p": got, "q": 1}}
    wanted = {"name": "p", "data": {"pid": "s", "c": "USD", "p": expected, "q": 1, "pr": {}}}
    assert (differences({"events": [event]}, {"events": [wanted]}) == []) is same


def test_sessions_times_and_session_ids_are_left_out() -> None:
    """The normal form has neither session starts and ends nor anything that differs from run to run."""
    events = [
        {"name": "ss", "time": 1.0, "data": {}, "session_id": "s"},
        {"name": "ce", "time": 2.0, "data": {"n": "E"}, "session_id": "s"},
    ]
    assert normal_form(events, [], deep=True)["events"] == [{"name": "ce", "data": {"n": "E"}}]


def test_attributes_merge_by_user_in_order_of_appearance() -> None:
    """Later values win, users stay apart, and only facade vectors merge below the custom attributes."""
    attributes: list[dict[str, Any]] = [
        {"user_id": "u", "custom": {"k": {"a": 1}}},
        {"first_name": "Anon"},
        {"user_id": "u", "email": "a@b.c", "custom": {"k": {"b": 2}}},
    ]
    deep = normal_form([], attributes, deep=True)["attributes"]
    assert deep == [{"user_id": "u", "email": "a@b.c", "custom": {"k": {"a": 1, "b": 2}}}, {"first_name": "Anon"}]
    flat = normal_form([], attributes, deep=False)["attributes"]
    assert flat[0]["custom"] == {"k": {"b": 2}}
    assert attributes[0] == {"user_id": "u", "custom": {"k": {"a": 1}}}, "the recorded objects must not change"


@pytest.mark.parametrize(
    ("got", "expected", "same"),
    [
        ("1990-2-3", "1990-02-03", True),
        ("1990-02-03T00:00:00", "1990-2-3", True),
        ("1990-2-4", "1990-2-3", False),
        (None, None, True),
        (None, "1990-2-3", False),
        ("1990-2-3", None, False),
        ("1900-1-1", {"$year_minus": 30}, False),
    ],
)
def test_dates_of_birth_compare_by_their_parts(got: Any, expected: Any, same: bool) -> None:
    """Padding and a time behind the date do not matter; the date does."""
    found = differences({"attributes": [{"dob": got}]}, {"attributes": [{"dob": expected}]})
    assert (found == []) is same


def test_missing_and_superfluous_events_are_reported_by_position() -> None:
    """What is left over on either side is a difference."""
    assert differences({"events": []}, {"events": [custom({})]}) == ["events[0]"]
    assert differences({"events": [custom({}), custom({})]}, {"events": [custom({})]}) == ["events[1]"]


def test_decode_spells_out_dates_and_repetitions() -> None:
    """Arguments become Python values; ordinary objects stay what they are."""
    value = decode({"d": {"$date": "2020-01-02T03:04:05.678Z"}, "t": [{"$repeat": ["ab", 2]}], "o": {"$add": [1]}})
    assert value == {"d": parse_instant("2020-01-02T03:04:05.678Z"), "t": ["abab"], "o": {"$add": [1]}}


def test_decode_takes_whole_numbers_beyond_64_bits_as_floats() -> None:
    """As where the vectors were recorded; others stay whole, and booleans booleans."""
    decoded = decode([10**20, -(2**63), 2**63 - 1, True])
    assert [(type(number), number) for number in decoded] == [
        (float, 1e20),
        (int, -(2**63)),
        (int, 2**63 - 1),
        (bool, True),
    ]
