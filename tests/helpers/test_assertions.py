"""Assertions on the sandbox: what they take for the same, and what their failures say."""

from __future__ import annotations

import datetime as dt
import threading
import unittest
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest

from mparticle_kit_braze import (
    BrazeKit,
    CommerceEvent,
    MParticle,
    Product,
    ProductAction,
    TransactionAttributes,
)
from mparticle_kit_braze.sandbox import Reply, Sandbox
from mparticle_kit_braze.sandbox.matching import Arrival, Expectation, nearest, value_difference
from mparticle_kit_braze.server import BrazeServerKit


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[MParticle]:
    """A client that assertions flush."""
    with MParticle([BrazeKit("app-key-1", sandbox.url)], storage=":memory:") as client:
        sandbox.attach(client)
        yield client


def purchase() -> CommerceEvent:
    return CommerceEvent(
        product_action=ProductAction.PURCHASE,
        products=[Product("Tea", "SKU-1", 4.5, quantity=2)],
        transaction=TransactionAttributes(id="t-1"),
    )


def failure(assertion: Any, *arguments: Any, **named: Any) -> list[str]:
    """The lines of an assertion's failure."""
    with pytest.raises(AssertionError) as raised:
        assertion(*arguments, **named)
    return str(raised.value).splitlines()


@pytest.mark.parametrize(
    ("expected", "actual", "difference"),
    [
        ("Jazz", "Jazz", ""),
        (1, 1.0, ""),
        (1, "1", "is '1' (str), not 1 (int)"),
        ("1", 1, "is 1 (int), not '1' (str)"),
        (1, True, "is True (bool), not 1 (int)"),
        (True, 1, "is 1 (int), not True (bool)"),
        (True, True, ""),
        (0, None, "is None, not 0"),
        (2, 3, "is 3, not 2"),
        (("a", 1), ["a", 1], ""),
        (["a", "1"], ["a", 1], "is ['a', 1], not ['a', '1']"),
        ({"a": 1}, {"a": 1}, ""),
        ({"a": 1}, {"a": True}, "is {'a': True}, not {'a': 1}"),
        (..., "anything", ""),
        (mock.ANY, True, ""),
        (pytest.approx(0.3), 0.1 + 0.2, ""),
        (dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.timezone.utc), "2026-01-02T03:04:05.000Z", ""),
        (dt.datetime(2026, 1, 2, 3, 4, 5), "2026-01-02T03:04:05.000Z", ""),  # noqa: DTZ001  # without a zone: UTC
        (dt.datetime(2026, 1, 2, tzinfo=dt.timezone.utc), "no time", None),
    ],
)
def test_values_are_the_same_with_their_types(expected: object, actual: object, difference: str | None) -> None:
    """A value is told from one of another type, numbers of one size are one, and the words say which is which."""
    found = value_difference(expected, actual)
    assert "'no time'" in found if difference is None else found == difference


def test_events_are_found_by_name_user_and_properties(client: MParticle, sandbox: Sandbox) -> None:
    """What was logged is there at once, with the user it was logged for; other properties may be there too."""
    client.log_event("App Opened")
    client.identify(customer_id="ada-1815")
    client.log_event("Played Song", attributes={"genre": "Jazz", "plays": 3})
    client.log_event("Played Song", attributes={"genre": "Folk", "user": "somebody"})
    (event,) = sandbox.assert_event("Played Song", genre="Jazz")
    assert event.properties["plays"] == 3
    sandbox.assert_event("App Opened", user=None)
    sandbox.assert_event("Played Song", {"user": "somebody"}, user="ada-1815", genre=..., times=1)
    sandbox.assert_event("Played Song", times=2)
    sandbox.assert_no_event("Played Song", user=None)
    sandbox.assert_no_event("Played Song", genre="Punk")
    sandbox.assert_user("ada-1815")
    sandbox.assert_nothing_refused()


def test_purchases_and_attributes_are_found(client: MParticle, sandbox: Sandbox) -> None:
    """Price, currency and quantity of a purchase are compared, standard and custom attributes alike."""
    sandbox.assert_no_purchase()
    client.identify(customer_id="ada-1815", email="ada@example.com")
    client.set_user_attribute("$FirstName", "Ada")
    client.set_user_attribute("genres", ["Jazz", "Folk"])
    client.log_commerce_event(purchase())
    sandbox.assert_purchase("SKU-1", {"Transaction Id": "t-1"}, price=4.5, currency="USD", quantity=2, times=1)
    sandbox.assert_no_purchase("SKU-2")
    sandbox.assert_user_attribute("first_name", "Ada", user="ada-1815")
    sandbox.assert_user_attribute("genres", ["Jazz", "Folk"])
    sandbox.assert_user_attribute("email")
    sandbox.assert_no_user_attribute("last_name")
    assert failure(sandbox.assert_purchase, "SKU-1", price=5, quantity="2") == [
        "no purchase 'SKU-1' with price=5, quantity='2' arrived",
        "nearest:",
        "  - 'SKU-1': price is 4.5 (float), not 5 (int); quantity is 2 (int), not '2' (str)",
    ]


def test_calls_over_rest_are_found_as_well(sandbox: Sandbox) -> None:
    """What a server kit sends for its many users meets the same assertions; an object refused alone is left out."""
    with MParticle([BrazeServerKit("rest-key", sandbox.url)], storage=":memory:") as client:
        sandbox.attach(client)
        with client.for_user(customer_id="grace-1906") as user:
            user.set_user_attribute("plan", "gold")
            user.log_event("Compiled", attributes={"language": "A-0"})
            user.log_commerce_event(purchase())
        sandbox.assert_event("Compiled", user="grace-1906", language="A-0")
        sandbox.assert_purchase("SKU-1", price=4.5, quantity=2, user="grace-1906")
        sandbox.assert_user_attribute("plan", "gold", user="grace-1906")
        time = "2026-01-02T03:04:05Z"
        event = {"external_id": "a", "name": "Good", "time": time}
        bad = {**event, "name": "Bad", "properties": {"$key": 1}}
        headers = {"Authorization": "Bearer rest-key"}
        body = str({"events": [bad, event]}).replace("'", '"').encode()
        sandbox.rest.receive("POST", "/users/track", headers, body)
    sandbox.assert_event("Good")
    sandbox.assert_no_event("Bad")


def test_a_failure_tells_the_near_misses(client: MParticle, sandbox: Sandbox) -> None:
    """A name spelled otherwise, a value of another type, another user: the message says which, nearest first."""
    client.log_event("Played Song", attributes={"Genre": "Jazz", "plays": 3})
    client.identify(customer_id="ada-1815")
    client.log_event("played song", attributes={"genre": "Jazz", "plays": 3})
    client.log_event("Played Song", attributes={"genre": "Jazz", "plays": "3"})
    client.log_event("Something Else Entirely")
    assert failure(sandbox.assert_event, "Played Song", genre="Jazz", plays=3, user="ada-1815") == [
        "no event 'Played Song' of user 'ada-1815' with genre='Jazz', plays=3 arrived",
        "nearest:",
        "  - 'played song': the name is 'played song'",
        "  - 'Played Song': plays is '3' (str), not 3 (int)",
        "  - 'Played Song': it is of an anonymous user, not of user 'ada-1815'; genre is missing (there is 'Genre')",
    ]
    assert failure(sandbox.assert_event, "Zonk") == [
        "no event 'Zonk' arrived",
        "4 other events arrived: 'Played Song' (2 times), 'played song', 'Something Else Entirely'",
    ]
    assert failure(sandbox.assert_event, "Something Else Entirely", times=2) == [
        "event 'Something Else Entirely' arrived 1 times, not 2 times",
        "nearest:",
        "  - 'Something Else Entirely': as expected",
    ]
    assert failure(sandbox.assert_no_event, "played song") == [
        "1 arrived, there should be no event 'played song'",
        "  - 'played song' of user 'ada-1815': {'genre': 'Jazz', 'plays': 3}",
    ]
    assert failure(sandbox.assert_user, "ada") == [
        "nothing of user 'ada' arrived",
        "known are: an anonymous user, user 'ada-1815'",
    ]


def test_a_failure_tells_near_attributes(client: MParticle, sandbox: Sandbox) -> None:
    """An attribute of another name or type is named with its owner, or else what there is."""
    assert failure(sandbox.assert_user_attribute, "plan") == ["no user attribute 'plan'", "no user is known"]
    client.identify(customer_id="ada-1815")
    client.set_user_attribute("$FirstName", "Ada")
    client.set_user_attribute("visits", 3)
    assert failure(sandbox.assert_user_attribute, "$FirstName", "Ada") == [
        "no user attribute '$FirstName' = 'Ada'",
        "nearest:",
        "  - of user 'ada-1815': 'first_name' is 'Ada'",
    ]
    assert failure(sandbox.assert_user_attribute, "visits", "3", user="ada-1815") == [
        "no user attribute 'visits' = '3' of user 'ada-1815'",
        "nearest:",
        "  - of user 'ada-1815': 'visits' is 3 (int), not '3' (str)",
    ]
    assert failure(sandbox.assert_user_attribute, "plan") == [
        "no user attribute 'plan'",
        "  - user 'ada-1815' has 'first_name', 'visits'",
    ]
    assert failure(sandbox.assert_no_user_attribute, "visits") == [
        "there should be no user attribute 'visits'",
        "  - user 'ada-1815' has 'visits' = 3",
    ]


def test_a_failure_is_bounded() -> None:
    """Many near misses and long values make no long message; equal ones are counted."""
    arrivals = [Arrival("event", "Event", "ada", {"number": number}) for number in range(20)]
    expected = Expectation("event", "Event", ..., {"number": "x" * 1000})
    lines = nearest(expected, [*arrivals, *arrivals])
    assert lines[1] == f"  - 'Event' (2 times): number is 0 (int), not {lines[1].split('not ')[1]}"
    assert lines[-1] == "  and 15 others"
    assert max(map(len, lines)) < 250
    assert nearest(expected, []) == ["no event arrived at all"]


def test_what_was_refused_or_kept_is_told(client: MParticle, sandbox: Sandbox) -> None:
    """When delivery is what kept an event away, the failure says so."""
    sandbox.respond_next(*[Reply(status=503, headers={"Retry-After": "3600"})] * 5)
    client.log_event("App Opened")
    lines = failure(sandbox.assert_event, "App Opened", timeout=0)
    assert lines[:2] == ["no event 'App Opened' arrived", "no event arrived at all"]
    assert lines[2].endswith("records could not be sent yet: FlushResult(sent=0, kept=2, dead=0, dropped=0)")
    sandbox.reset()
    sandbox.receive("POST", "/api/v3/data", {}, b"{}")
    assert any("refused requests" in line for line in failure(sandbox.assert_event, "Zonk", timeout=0))
    assert failure(sandbox.assert_nothing_refused)[0] == "the sandbox refused requests"


def test_without_a_client_an_assertion_waits(sandbox: Sandbox) -> None:
    """What another thread or process sends is waited for; one that must not come is looked for as long as asked."""
    with MParticle([BrazeKit("app-key-1", sandbox.url)], storage=":memory:") as client:
        client.log_event("First")
        sender = threading.Thread(target=client.flush)
        sender.start()
        sandbox.assert_event("First")
        sender.join()
        client.log_event("Second")
        sender = threading.Thread(target=client.flush)
        sender.start()
        assert failure(sandbox.assert_no_event, "Second", within=5)[0].startswith("1 arrived")
        sender.join()


def test_a_closed_client_is_no_obstacle(client: MParticle, sandbox: Sandbox) -> None:
    """What a client sent by closing is found afterwards, and what is missing is missed at once."""
    client.log_event("Last Words")
    client.close()
    sandbox.assert_event("Last Words")
    sandbox.assert_no_event("Zonk")


class WithUnittest(unittest.TestCase):
    """A test without pytest's fixtures."""

    def setUp(self) -> None:
        """Three lines of set-up."""
        self.sandbox = Sandbox(limiter=False)
        self.client = MParticle([BrazeKit("app-key-1", self.sandbox.url)], storage=":memory:")
        self.sandbox.attach(self.client)
        self.addCleanup(self.sandbox.close)
        self.addCleanup(self.client.close)

    def test_with_unittest(self) -> None:
        """The assertions work in a plain TestCase, and fail as its own do."""
        self.client.log_event("App Opened")
        self.sandbox.assert_event("App Opened")
        with self.assertRaisesRegex(AssertionError, "no event 'Zonk'"):  # noqa: PT027  # what a unittest has
            self.sandbox.assert_event("Zonk")
