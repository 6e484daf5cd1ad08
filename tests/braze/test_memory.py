"""Unchanged attributes and the data point meter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from .conftest import Client, ManualClock


@pytest.fixture
def frugal(make_client: Callable[..., Client]) -> Client:
    """A client that sends no unchanged attribute, with an identified user."""
    client = make_client(skip_unchanged="all")
    client.braze.change_user("u1")
    client.send()
    return client


def test_unchanged_values_are_not_queued(frugal: Client) -> None:
    """The same value again is accepted without a record; a change is sent."""
    for value in ("a", "a", "b", "b", None, None, "a"):
        assert frugal.user.set_first_name(value)
        assert frugal.user.set_custom_attribute("k", value)
    assert len(frugal.delivery.records) == 8
    assert frugal.braze.data_points().saved == 6


def test_type_counts(frugal: Client) -> None:
    """1, 1.0, True and "1" are four values."""
    values: tuple[Any, ...] = (1, 1.0, True, "1", [], {}, ["1"], {"a": 1})
    for value in values:
        frugal.user.set_custom_attribute("k", value)
    assert len(frugal.delivery.records) == len(values)


@pytest.mark.parametrize(
    "change",
    [
        lambda user: user.increment_custom_attribute("k"),
        lambda user: user.add_to_custom_attribute_array("k", "x"),
        lambda user: user.remove_from_custom_attribute_array("k", "x"),
        lambda user: user.set_custom_attribute("k", {"a": 1}, merge=True),
        lambda user: user.set_custom_location_attribute("k", None, None),
    ],
)
def test_relative_changes_forget_the_value(frugal: Client, change: Callable[[Any], bool]) -> None:
    """After them the stored value is not known any more."""
    frugal.user.set_custom_attribute("k", 1)
    assert change(frugal.user)
    frugal.user.set_custom_attribute("k", 1)
    assert len(frugal.delivery.records) == 3


def test_users_are_told_apart(frugal: Client) -> None:
    """What one user has says nothing about another."""
    frugal.user.set_email("a@b.co")
    frugal.braze.change_user("u2")
    frugal.user.set_email("a@b.co")
    frugal.braze.change_user("u1")
    frugal.user.set_email("a@b.co")
    assert sum(record.kind == "a" for record in frugal.delivery.records) == 2


def test_only_the_email(make_client: Callable[..., Client]) -> None:
    """Mode ``email``, as the Android kit: everything else goes every time."""
    client = make_client(":memory:", skip_unchanged="email")
    for _ in range(2):
        client.user.set_email("a@b.co")
        client.user.set_first_name("A")
    assert len(client.delivery.records) == 3


def test_the_memory_outlives_a_restart(frugal: Client, make_client: Callable[..., Client]) -> None:
    """Written out with a request, as digests only."""
    frugal.user.set_email("ada@example.com")
    frugal.user.set_custom_attribute("k", ["a"])
    frugal.send()
    again = make_client(skip_unchanged="all")
    again.user.set_email("ada@example.com")
    again.user.set_custom_attribute("k", ["a"])
    assert again.delivery.records == []


def test_a_crash_makes_it_forget(frugal: Client, make_client: Callable[..., Client]) -> None:
    """A value changed after the last write-out may not be taken for the old one."""
    frugal.user.set_custom_attribute("k", 1)
    frugal.send()
    frugal.user.set_custom_attribute("k", 2)
    again = make_client(skip_unchanged="all")
    again.user.set_custom_attribute("k", 1)
    assert len(again.delivery.records) == 1


def test_another_process_is_noticed(frugal: Client, make_client: Callable[..., Client]) -> None:
    """What another client on the same storage changed is not taken for unchanged."""
    other = make_client(skip_unchanged="all")
    frugal.user.set_custom_attribute("k", 1)
    frugal.send()
    other.user.set_custom_attribute("k", 2)
    frugal.user.set_custom_attribute("k", 1)
    assert len(frugal.delivery.records) == 1
    other.user.set_custom_attribute("k", 2)
    other.user.set_custom_attribute("k", 2)
    assert len(other.delivery.records) == 2
    other.send()
    frugal.send()
    frugal.user.set_custom_attribute("k", 1)
    assert len(frugal.delivery.records) == 1


def test_lost_records_are_forgotten(frugal: Client) -> None:
    """Dropped, cleared or refused by a full queue: the value must be sent when set again."""
    for lose in (
        lambda: frugal.delivery.destination.undeliverable((), "full"),
        frugal.braze.clear,
    ):
        frugal.user.set_first_name("A")
        lose()
        frugal.delivery.records.clear()
        frugal.user.set_first_name("A")
        assert len(frugal.delivery.records) == 1
    frugal.delivery.full = True
    assert not frugal.user.set_first_name("B")
    assert not frugal.user.set_custom_attribute("k", ["x"])
    frugal.delivery.full = False
    frugal.delivery.records.clear()
    assert frugal.user.set_first_name("B")
    assert frugal.user.set_custom_attribute("k", ["x"])
    assert len(frugal.delivery.records) == 2


def test_the_number_of_users_is_bounded(make_client: Callable[..., Client]) -> None:
    """The longest unused are forgotten."""
    client = make_client(":memory:", skip_unchanged="all")
    for number in range(1100):
        client.braze._memory.admit(f"u{number}", "email", '"a"')
    assert len(client.braze._memory._users) <= 1000
    assert client.braze._memory.admit("u0", "email", '"a"')
    assert not client.braze._memory.admit("u1099", "email", '"a"')


# -- data points ----------------------------------------------------------------------------------------------------


def test_points(client: Client, clock: ManualClock) -> None:
    """Counted when accepted, after merging, by the documented rules; the day's count begins anew at midnight UTC."""
    client.braze.log_custom_event("e", {"a": 1, "b": 2})
    client.braze.log_purchase("p", 1, quantity=5)
    product = {"product_id": "p", "product_name": "n", "variant_id": "v", "price": 1, "currency": "USD", "source": "s"}
    client.braze.log_ecommerce_event({"name": "ecommerce.product_viewed", "properties": product})
    client.user.add_alias("a", "l")
    client.user.add_to_subscription_group("g")
    client.user.set_email_subscription("opted_in")
    client.user.set_push_token("t")
    client.user.set_first_name("A")
    client.user.set_first_name("B")
    client.user.set_custom_attribute("n", None)
    client.user.set_custom_attribute("o", {"a": 1, "b": {"c": 2}})
    client.user.set_custom_attribute("m", {"a": 1, "b": 2}, merge=True)
    client.user.set_custom_attribute("l", ["x", "y"])
    client.user.increment_custom_attribute("i")
    client.send(status=500)
    assert client.braze.data_points().since_start == {}
    client.send()
    points = client.braze.data_points()
    assert points.since_start == {
        "sessions": 1,
        "custom_events": 1,
        "purchases": 1,
        "attributes": 1 + 1 + 3 + 2 + 1 + 1,
    }
    assert points.today == points.since_start
    assert points.saved == 1
    clock.advance(86_400)
    assert client.braze.data_points().today == {}
    assert client.braze.data_points().since_start == points.since_start
