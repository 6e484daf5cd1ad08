"""The runner itself: what it does with vectors that are not the usual ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .runner import Runner


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    with Runner() as shared:
        yield shared


def vector(*calls: dict[str, Any], profile: str = "native", **fields: Any) -> dict[str, Any]:
    """A vector that expects nothing unless told otherwise."""
    return {"name": "v", "profile": profile, "calls": list(calls), "expect": {}, **fields}


def test_a_kit_that_refuses_its_configuration_sends_nothing(runner: Runner) -> None:
    """That is no difference in itself: what matters is what arrives."""
    refused = vector({"call": "log_event", "name": "E"}, profile="android", settings={"apiKey": ""})
    assert runner.run(refused) == []
    expected = {"events": [{"name": "ce", "data": {"n": "E"}}]}
    assert [mismatch.path for mismatch in runner.run({**refused, "expect": expected})] == ["events[0]"]


def filter_vector(*calls: dict[str, Any], events: tuple[str, ...] = (), **fields: Any) -> dict[str, Any]:
    """A vector about what reaches a kit, which expects events of these names."""
    expected = [{"name": name, "attributes": []} for name in events]
    fields = {"profile": "android", "kit_config": {}, "mpid": "1000", **fields}
    return {"name": "v", "kind": "filter", "calls": list(calls), "expect_events": expected, **fields}


EVENT = {"call": "log_event", "name": "E"}


def test_a_kit_that_refuses_its_configuration_is_not_active(runner: Runner) -> None:
    """What filters expect of it is told apart as well."""
    refused = {"hs": {"et": {"x": 0}}}
    assert runner.run(filter_vector(EVENT, kit_config=refused, expect_active=False)) == []
    assert runner.run(filter_vector(EVENT, kit_config=refused, expect_active=True, events=("E",))) != []


def test_who_is_logged_in_at_the_start_is_the_vectors_to_say(runner: Runner) -> None:
    """Identities at the start do not log in a user that the vector says is not; a login does, a modify does not."""
    known: dict[str, Any] = {"kit_config": {"eau": True}, "identities": {"customerid": "c"}}
    modify = {"call": "modify", "identities": {"email": "a@b.c"}}
    login = {"call": "login", "identities": {"customerid": "c"}}
    logout = {"call": "logout"}
    assert runner.run(filter_vector(EVENT, events=("E",), **known)) == []
    assert runner.run(filter_vector(EVENT, modify, EVENT, logged_in=False, expect_active=False, **known)) == []
    assert runner.run(filter_vector(EVENT, login, EVENT, logout, EVENT, logged_in=False, events=("E",), **known)) == []


@pytest.mark.parametrize(
    ("profile", "entry"),
    [
        ("android", {"as": {"honorOptOut": "False"}}),
        ("web", {"settings": {"honorOptOut": "False"}}),
        ("web", {"hs": {"et": {"56": 1}}, "as": {"honorOptOut": "False"}}),
    ],
)
def test_settings_may_stand_in_the_kits_entry(runner: Runner, profile: str, entry: dict[str, Any]) -> None:
    """They join those that every vector has."""
    opt_out = {"call": "set_opt_out", "value": True}
    given = filter_vector(EVENT, opt_out, profile=profile, kit_config=entry, events=("E",), expect_active=True)
    assert runner.run(given) == []


def test_an_entry_of_the_web_is_read_in_its_form(runner: Runner) -> None:
    """Whatever keys it has: this one is for the other environment."""
    other = {"isDebug": True}
    assert runner.run(filter_vector(EVENT, profile="web", kit_config=other, expect_active=False)) == []


def test_a_wrong_call_sends_nothing_and_the_next_one_goes_on(runner: Runner) -> None:
    """Wrong calls raise in Python; the originals refuse them in silence."""
    found = runner.run(
        vector(
            {"call": "log_event", "name": ""},
            {"call": "login", "identities": {"nickname": "x"}},
            {"call": "log_commerce_event", "event": {"product_action": "click", "products": [{"name": "no price"}]}},
            {"call": "set_opt_out", "value": None},
            {"call": "log_event", "name": "E"},
            identities={"nickname": "x"},
            expect={"events": [{"name": "ce", "data": {"n": "E"}}]},
        )
    )
    assert found == []


def test_null_counts_as_absent(runner: Runner) -> None:
    """Vectors may spell out what is not there, and amounts as texts."""
    product = {"name": "Tea", "sku": None, "price": "4.5", "quantity": None}
    event = {"product_action": "click", "products": [product], "transaction": None, "currency": None}
    item = {"Name": "Tea", "Id": "Unknown", "Item Price": 4.5, "Quantity": 1, "Total Product Amount": 4.5}
    found = runner.run(
        vector(
            {"call": "log_event", "name": "E", "type": None, "attributes": None},
            {"call": "logout", "identities": None},
            {"call": "log_commerce_event", "event": event},
            {"call": "log_commerce_event", "event": {"product_action": "click", "products": None}},
            {"call": "set_consent", "regulation": "ccpa", "purpose": None, "consented": True},
            settings=None,
            kit_config=None,
            identities=None,
            expect={
                "events": [
                    {"name": "ce", "data": {"n": "E"}},
                    {"name": "ce", "data": {"n": "eCommerce - click - Item", "p": item}},
                    {"name": "ce", "data": {"n": "eCommerce - click", "p": {"Currency Code": "USD"}}},
                ]
            },
        )
    )
    assert found == []


def test_a_year_given_by_its_distance_is_a_number(runner: Runner) -> None:
    """In arguments as in what is expected."""
    year = {"$year_minus": 30}
    call = {"call": "set_user_attribute", "key": "born", "value": year}
    assert runner.run(vector(call, expect={"attributes": [{"custom": {"born": year}}]})) == []
    assert runner.run(vector(call, expect={"attributes": [{"custom": {"born": {"$year_minus": 31}}}]})) != []
