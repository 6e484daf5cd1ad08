"""Triggers: parsing, matching and choosing."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mparticle_kit_braze.braze.messaging.triggers import (
    CUSTOM_EVENT,
    OPEN,
    PURCHASE,
    PUSH_CLICK,
    TEST,
    History,
    Occurrence,
    TriggerIndex,
    message_click,
    parse_triggers,
)

from .test_conditions import json_values

NOW = 1_700_000_000.0


def condition(kind: str, **data: Any) -> dict[str, Any]:
    return {"type": kind, "data": data}


def trigger(trigger_id: str, *conditions: dict[str, Any], **members: Any) -> dict[str, Any]:
    """A trigger as the server writes it."""
    return {
        "id": trigger_id,
        "type": "inapp",
        "priority": 1,
        "delay": 0,
        "timeout": None,
        "start_time": 0,
        "end_time": None,
        "re_eligibility": -1,
        "min_seconds_since_last_trigger": None,
        "trigger_condition": list(conditions) or [condition("open")],
        "data": {"type": "MODAL", "message": "hi", "trigger_id": trigger_id},
        **members,
    }


def chosen(raw: list[Any], occurrence: Occurrence, history: History | None = None, now: float = NOW) -> str | None:
    found = TriggerIndex(parse_triggers(raw)).select(occurrence, history or History(), now)
    return found.id if found else None


EVENT = Occurrence(CUSTOM_EVENT, "show", {"k": 6})
FILTER = [[{"property_key": "k", "property_type": "number", "comparator": 3, "property_value": 5}]]


@pytest.mark.parametrize(
    ("kind", "data", "occurrence", "fires"),
    [
        ("open", {}, Occurrence(OPEN), True),
        ("open", {}, EVENT, False),
        ("custom_event", {"event_name": "show"}, EVENT, True),
        ("custom_event", {"event_name": "Show"}, EVENT, False),
        ("custom_event", {}, EVENT, True),
        ("custom_event", {"event_name": "show", "property_filters": [[]]}, EVENT, True),  # filters are ignored here
        ("custom_event", {"event_name": 5}, EVENT, False),
        ("custom_event_property", {"event_name": "show", "property_filters": FILTER}, EVENT, True),
        ("custom_event_property", {"event_name": "show", "property_filters": []}, EVENT, True),
        ("custom_event_property", {"event_name": "show", "property_filters": [[]]}, EVENT, False),
        ("custom_event_property", {"event_name": "show"}, EVENT, False),
        ("custom_event_property", {"event_name": "other", "property_filters": FILTER}, EVENT, False),
        ("custom_event_property", {"property_filters": FILTER}, EVENT, False),
        ("purchase", {"product_id": "sku"}, Occurrence(PURCHASE, "sku"), True),
        ("purchase", {"product_id": "sku"}, Occurrence(PURCHASE, "other"), False),
        ("purchase", {}, Occurrence(PURCHASE, "sku"), True),
        ("purchase", {}, EVENT, False),
        (
            "purchase_property",
            {"product_id": "sku", "property_filters": FILTER},
            Occurrence(PURCHASE, "sku", {"k": 6}),
            True,
        ),
        ("purchase_property", {"property_filters": FILTER}, Occurrence(PURCHASE, "sku", {"k": 6}), True),
        ("purchase_property", {"property_filters": FILTER}, Occurrence(PURCHASE, "sku", {"k": 5}), False),
        ("push_click", {"campaign_id": "c1"}, Occurrence(PUSH_CLICK, "c1"), True),
        ("push_click", {"campaign_id": "c1"}, Occurrence(PUSH_CLICK, "c2"), False),
        ("test", {}, Occurrence(TEST), True),
        ("unheard_of", {}, Occurrence(OPEN), False),
    ],
)
def test_conditions(kind: str, data: dict[str, Any], occurrence: Occurrence, fires: bool) -> None:
    """Each condition type fires for what it names and for nothing else."""
    assert (chosen([trigger("t", condition(kind, **data))], occurrence) == "t") is fires


def test_message_clicks_are_known_by_the_decoded_id() -> None:
    """A click on a message matches by its trigger id taken as base64, and by button if the condition names some."""
    clicked = base64.b64encode(b"camp_$_1").decode()
    raw = [trigger("t", condition("iam_click", id="camp_$_1", buttons=[0, "1"]))]
    assert chosen(raw, message_click(clicked, "0") or EVENT) == "t"
    assert chosen(raw, message_click(clicked, "1") or EVENT) == "t"
    assert chosen(raw, message_click(clicked, "2") or EVENT) is None
    assert chosen(raw, message_click(clicked) or EVENT) is None
    assert chosen([trigger("t", condition("iam_click", id="camp_$_1"))], message_click(clicked) or EVENT) == "t"
    assert message_click("no base64!") is None


def test_conditions_are_alternatives() -> None:
    """Any condition fires the trigger."""
    raw = [trigger("t", condition("purchase"), condition("custom_event", event_name="show"))]
    assert chosen(raw, EVENT) == "t"
    assert chosen(raw, Occurrence(PURCHASE, "x")) == "t"


def test_highest_priority_wins() -> None:
    """Priorities compare as numbers, also when written as text; among equals the server's order decides."""
    shows = condition("custom_event", event_name="show")
    anything = condition("custom_event")
    assert chosen([trigger("a", shows, priority=9), trigger("b", anything, priority=10)], EVENT) == "b"
    assert chosen([trigger("a", shows, priority="9"), trigger("b", shows, priority="10")], EVENT) == "b"
    assert chosen([trigger("a", anything), trigger("b", shows)], EVENT) == "a"
    assert chosen([trigger("a", shows, priority=None), trigger("b", anything, priority=1)], EVENT) == "b"


@pytest.mark.parametrize(
    ("members", "fires"),
    [
        ({"start_time": NOW - 1}, True),
        ({"start_time": NOW}, False),
        ({"start_time": NOW + 1}, False),
        ({"end_time": NOW + 1}, True),
        ({"end_time": NOW}, False),
        ({"end_time": NOW - 1}, False),
        ({"start_time": None, "end_time": None}, True),
        ({"start_time": "soon", "end_time": "late"}, True),
    ],
)
def test_start_and_end(members: dict[str, Any], fires: bool) -> None:
    """A trigger fires after its start and before its end."""
    assert (chosen([trigger("t", **members)], Occurrence(OPEN)) == "t") is fires


@pytest.mark.parametrize(
    ("re_eligibility", "since", "fires"),
    [
        (-1, None, True),
        (-1, 1e6, False),
        (0, 40, True),
        (None, 40, True),
        (60, None, True),
        (60, 59, False),
        (60, 60, True),
        (60, -10, True),  # the clock was set back: not blocked
        ("never", 40, True),
    ],
)
def test_re_eligibility(re_eligibility: object, since: float | None, fires: bool) -> None:
    """-1 is once, 0 always, n again after n seconds."""
    history = History() if since is None else History(NOW - 1000, {"t": NOW - since})
    assert (chosen([trigger("t", re_eligibility=re_eligibility)], Occurrence(OPEN), history) == "t") is fires


@pytest.mark.parametrize(
    ("own", "since", "fires"),
    [
        (None, 29, False),
        (None, 30, True),
        (5, 6, True),
        (5, 4, False),
        (100, 60, False),
        (0, 0, True),
        (None, -5, True),
    ],
)
def test_minimum_interval(own: float | None, since: float, fires: bool) -> None:
    """Nothing fires within 30 s of the last message, unless the trigger has an interval of its own."""
    raw = [trigger("t", min_seconds_since_last_trigger=own, re_eligibility=0)]
    assert (chosen(raw, Occurrence(OPEN), History(NOW - since)) == "t") is fires


def test_a_blocked_favourite_leaves_the_next() -> None:
    """When the highest priority may not fire, the next one does."""
    raw = [trigger("a", priority=5), trigger("b", priority=1, min_seconds_since_last_trigger=0)]
    assert chosen(raw, Occurrence(OPEN), History(NOW - 1)) == "b"
    assert chosen(raw, Occurrence(OPEN), History(NOW - 100, {"a": 1.0})) == "b"


def test_test_messages_ignore_the_interval() -> None:
    """A test send comes up at once."""
    assert chosen([trigger("t", condition("test"))], Occurrence(TEST), History(NOW - 1)) == "t"


def test_times_are_read_with_their_units() -> None:
    """The delay is in seconds, the time-out in milliseconds."""
    (parsed,) = parse_triggers([trigger("t", delay=3, timeout=1500, type="templated_iam")])
    assert (parsed.delay, parsed.timeout, parsed.templated) == (3, 1.5, True)


@pytest.mark.parametrize(
    "raw",
    [
        None,
        {},
        "[]",
        [None, 5, "x", []],
        [trigger("", condition("open"))],
        [trigger("t", type="zipped")],
        [trigger("t", trigger_condition=None)],
        [trigger("t", trigger_condition=[None, 5, {}, {"type": 9}])],
        [{**trigger("t"), "id": None}],
    ],
)
def test_malformed_triggers_are_skipped(raw: object) -> None:
    """What cannot be used is left out without a word."""
    assert parse_triggers(raw) == []


def test_one_malformed_trigger_leaves_the_others() -> None:
    """A list with rubbish in it keeps its good members."""
    assert [found.id for found in parse_triggers([None, trigger("a"), {"id": "b"}, trigger("c")])] == ["a", "c"]


members = st.dictionaries(
    st.sampled_from(list(trigger("t"))),
    json_values
    | st.just("inapp")
    | st.lists(
        st.builds(
            lambda kind, data: {"type": kind, "data": data},
            st.sampled_from(["open", "test", "custom_event", "custom_event_property", "iam_click", "push_click"]),
            json_values,
        )
    ),
)


@settings(max_examples=60)
@given(st.lists(members.map(lambda changed: {**trigger("t"), **changed}), max_size=4))
def test_parsing_and_choosing_never_raise(raw: list[Any]) -> None:
    """Any members of any types: parse, select, no exception."""
    index = TriggerIndex(parse_triggers(raw))
    for occurrence in (EVENT, Occurrence(OPEN), Occurrence(TEST), Occurrence(PUSH_CLICK, "c")):
        index.select(occurrence, History(NOW - 5, {"t": NOW - 5}), NOW)


def test_concerns_is_exact() -> None:
    """Only names some trigger waits for concern the index; a condition without a name concerns every name."""
    index = TriggerIndex(parse_triggers([trigger("t", condition("custom_event", event_name="show"))]))
    assert index.concerns(CUSTOM_EVENT, "show")
    assert not index.concerns(CUSTOM_EVENT, "other")
    assert not index.concerns(PURCHASE, "show")
    assert TriggerIndex(parse_triggers([trigger("t", condition("purchase"))])).concerns(PURCHASE, "any")


@pytest.mark.parametrize("raw", [None, 5, {"last": "x", "shown": []}, {"shown": {"a": "x"}}])
def test_stored_history_may_be_damaged(raw: object) -> None:
    """Anything malformed counts as never."""
    assert History.parse(raw) == History()
