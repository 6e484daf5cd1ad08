"""The server kit in a client: many users, deltas, filters, configuration."""

from __future__ import annotations

import signal
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mparticle_kit_braze import (
    CommerceEvent,
    ConfigurationError,
    EventType,
    InvalidArgumentError,
    MParticle,
    Product,
    ProductAction,
    TransactionAttributes,
)
from mparticle_kit_braze.diagnostics import Problem
from mparticle_kit_braze.errors import ClosedError
from mparticle_kit_braze.kits.hashing import mp_hash
from mparticle_kit_braze.kits.kit import Kit
from mparticle_kit_braze.sandbox import Reply, Sandbox
from mparticle_kit_braze.server import BrazeServerKit
from tests.support import run_python

from .support import BY_HAND


def client_of(sandbox: Sandbox, problems: list[Problem] | None = None, **settings: Any) -> MParticle:
    """A client with a server kit that sends only when flushed."""
    kit = BrazeServerKit("rest-key-1", sandbox.url, delivery_options=BY_HAND, **settings)
    on_error = problems.append if problems is not None else None
    return MParticle([kit], storage=":memory:", on_error=on_error)


def test_many_users_from_many_threads() -> None:
    """Handles of different users never mix, and no current user is touched."""
    with Sandbox() as sandbox, client_of(sandbox) as client:

        def visit(number: int) -> None:
            with client.for_user(customer_id=f"c{number}", email=f"c{number}@example.com") as user:
                for step in range(10):
                    user.set_user_attribute("step", step)
                    user.log_event(f"Step {step}", EventType.NAVIGATION, {"n": number})

        threads = [threading.Thread(target=visit, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert client.flush(10).complete
        for number in range(8):
            user = sandbox.rest.user(f"c{number}")
            assert user.attributes == {"email": f"c{number}@example.com", "step": 9}
            assert user.events.total() == 10
        assert len(sandbox.rest.users) == 8
        assert client.current_user is None or not client.current_user.identities


def test_python_types_and_names() -> None:
    """By default values keep their types, lists are arrays, tags are true and numbers are added by Braze."""
    with Sandbox() as sandbox, client_of(sandbox) as client:
        user = client.for_user(customer_id="c1")
        user.set_user_attributes({"$FirstName": "Ada", "$Gender": "female", "level": 7, "$Age": 30})
        user.set_user_attribute_list("genres", ["jazz", 3])
        user.set_user_tag("beta")
        user.increment_user_attribute("visits", 2)
        user.logEvent("Played", attributes={"ok": True, "nothing": None, "$rate": 1.5})
        client.flush(5)
        bodies = [request.body for request in sandbox.rest.requests]
        attributes: dict[str, Any] = {}
        for body in bodies:
            for item in body["attributes"]:
                attributes.update(item)
        dob = attributes.pop("dob")
        assert dob.endswith("-01-01")
        assert attributes == {
            "external_id": "c1",
            "first_name": "Ada",
            "gender": "F",
            "level": 7,
            "genres": ["jazz", 3],
            "beta": True,
            "visits": {"inc": 2},
        }
        assert bodies[0]["events"][0]["properties"] == {"ok": True, "rate": 1.5}


def test_unchanged_attributes_are_not_sent_again() -> None:
    """A value costs once; another type, another user and an increment are changes."""
    with Sandbox() as sandbox, client_of(sandbox) as client:
        for _ in range(3):
            user = client.for_user(customer_id="c1", email="a@b.c", twitter="ada")
            user.set_user_attribute("level", 1)
            user.log_event("Visit")
        client.for_user(customer_id="c1").set_user_attribute("level", True)
        client.for_user(customer_id="c2").set_user_attribute("level", 1)
        for _ in range(2):
            client.for_user(customer_id="c1").increment_user_attribute("visits")
        client.flush(5)
        sent = [item for request in sandbox.rest.requests for item in request.body.get("attributes", [])]
        assert sent == [
            {"external_id": "c1", "email": "a@b.c", "twitter": {"screen_name": "ada"}, "level": 1},
            {"external_id": "c1", "level": True},
            {"external_id": "c2", "level": 1},
            {"external_id": "c1", "visits": {"inc": 1}},
            {"external_id": "c1", "visits": {"inc": 1}},
        ]


def test_a_refused_attribute_is_sent_again() -> None:
    """What Braze did not take does not count as sent."""
    from mparticle_kit_braze.sandbox import Reply

    with Sandbox() as sandbox, client_of(sandbox) as client:
        user = client.for_user(customer_id="c1")
        sandbox.respond_next(Reply(status=400, body={"message": "no"}))
        user.set_user_attribute("level", 1)
        client.flush(5)
        user.set_user_attribute("level", 1)
        client.flush(5)
        assert sandbox.rest.user("c1").attributes == {"level": 1}


def enriched_client(sandbox: Sandbox) -> MParticle:
    """A client as mParticle's own connection: enriched, and attributes wait for an event."""
    configuration = {"id": 28, "as": {"restApiKey": "k", "host": sandbox.url, "apiTypeDetection": "Both"}}
    return MParticle([BrazeServerKit.from_configuration(configuration, delivery_options=BY_HAND)], storage=":memory:")


def test_an_attribute_alone_goes_with_the_next_event() -> None:
    """What one request of a backend sets is sent with the event of a later one, by whatever handle."""
    with Sandbox() as sandbox, enriched_client(sandbox) as client:
        with client.for_user(customer_id="c1") as user:
            user.set_user_attribute("level", 1)
        first, second = client.for_user(customer_id="c1"), client.for_user(customer_id="c1")
        first.set_user_attribute("color", "red")
        second.remove_user_attribute("level")
        second.set_user_attribute("size", 42)
        for user in (first, second):
            user.end()
        client.flush(5)
        assert sandbox.rest.requests == []
        client.for_user(customer_id="c1").log_event("Visit")
        client.flush(5)
        assert sandbox.rest.user("c1").attributes == {"color": "red", "size": 42}


def test_one_handle_on_many_threads() -> None:
    """A handle that threads share keeps every event and every attribute, enriched as well."""
    with Sandbox() as sandbox, enriched_client(sandbox) as client:
        user = client.for_user(customer_id="c1")

        def visit(number: int) -> None:
            for step in range(20):
                user.set_user_attribute(f"key {number} {step}", step)
                user.log_event("Visit")

        threads = [threading.Thread(target=visit, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        user.end()
        assert client.flush(10).complete
        assert sandbox.rest.user("c1").events == {"Visit": 160}
        assert len(sandbox.rest.user("c1").attributes) == 160


def test_a_discarded_attribute_is_sent_again() -> None:
    """What was cleared from the queue does not count as sent."""
    with Sandbox() as sandbox, client_of(sandbox) as client:
        user = client.for_user(customer_id="c1")
        user.set_user_attribute("level", 1)
        client.clear()
        user.set_user_attribute("level", 1)
        client.flush(5)
        assert sandbox.rest.user("c1").attributes == {"level": 1}


def test_a_recommended_event_keeps_its_products() -> None:
    """Braze's recommended events are made of lists and objects, and take no property of ours."""
    order = {
        "order_id": "o1",
        "currency": "EUR",
        "source": "web",
        "total_value": Decimal("3.5"),
        "products": [{"product_id": "p", "product_name": "n", "variant_id": "v", "quantity": 1, "price": 3.5}],
    }
    problems: list[Problem] = []
    with Sandbox() as sandbox, client_of(sandbox, problems, forward_session_events=True) as client:
        user = client.for_user(customer_id="c1")
        user.log_event("ecommerce.order_placed", attributes=order, session_id="s1")
        user.log_event("ecommerce.order_placed", attributes={**order, "metadata": {"x": float("nan")}})
        client.flush(5)
        (request,) = sandbox.rest.requests
        assert [item["properties"] for item in request.body["events"]] == [{**order, "total_value": 3.5}]
    assert [problem.message for problem in problems] == [
        "'ecommerce.order_placed' is not sent: one of its values is not a finite number"
    ]


def test_one_wrong_value_costs_only_itself() -> None:
    """Values with a range, fields that are too long and times beyond reason never take the rest with them."""
    problems: list[Problem] = []
    long = "x" * 256
    bought = CommerceEvent(product_action=ProductAction.PURCHASE, products=[Product(long, "sku", 2.5)])
    with Sandbox() as sandbox, client_of(sandbox, problems, attributes_wait_for_event=True) as client:
        with client.for_user(customer_id="c1") as user:
            user.set_user_attribute("level", 1)
            user.set_user_attribute("email_subscribe", ["opted_in"])
            user.remove_user_attribute("push_subscribe")
            user.set_user_tag("email_subscribe")
            user.set_user_attribute("$Gender", ["F"])
            user.log_event("Visit", timestamp=1e15)
            user.log_commerce_event(bought)
        client.flush(5)
        assert sandbox.rest.user("c1").attributes == {"level": 1}
        assert sandbox.rest.user("c1").events == {"Visit": 1}
        assert sandbox.rest.user("c1").revenue == {"USD": 2.5}
    assert [problem.code for problem in problems] == ["value_refused"] * 6


def test_anonymous_users_are_counted_not_sent() -> None:
    """Without an external id nothing is sent, and it is said."""
    problems: list[Problem] = []
    with Sandbox() as sandbox, client_of(sandbox, problems) as client:
        client.for_user(email="a@b.c").log_event("Visit")
        client.log_event("Visit")
        client.flush(5)
        assert sandbox.rest.requests == []
    assert [problem.code for problem in problems] == ["anonymous_not_sent", "anonymous_not_sent"]


def test_the_current_user_works_too() -> None:
    """The client's own methods go for its current user."""
    with Sandbox() as sandbox, client_of(sandbox, enriched_user_attributes=True) as client:
        client.identify(customer_id="c1")
        client.set_user_attribute("color", "red")
        client.log_event("Visit")
        client.identify(customer_id="c2")
        client.log_event("Visit")
        client.flush(5)
        assert sandbox.rest.user("c1").attributes == {"color": "red"}
        assert sandbox.rest.user("c2").events == {"Visit": 1}


def test_sessions_of_the_current_user() -> None:
    """Forwarded sessions carry the client's session id, and so do the events and screens within."""
    with Sandbox() as sandbox, client_of(sandbox, forward_session_events=True) as client:
        client.identify(customer_id="c1")
        client.log_event("Visit")
        session = client.current_session
        assert session is not None
        client.log_screen("Home")
        client.close()
        (request,) = sandbox.rest.requests
        names = ["Session Start", "Visit", "Viewed Home", "Session End"]
        assert [(item["name"], item["properties"]) for item in request.body["events"]] == [
            (name, {"session_id": session.id}) for name in names
        ]


@pytest.mark.parametrize("value", [5, "5"])
def test_a_number_sent_as_text_is_added_to_here(value: int | str) -> None:
    """Braze cannot add to a text: where numbers are sent as text, the sum is."""
    with Sandbox() as sandbox, client_of(sandbox, attribute_typing="text", attributes_wait_for_event=True) as client:
        with client.for_user(customer_id="c1") as user:
            user.set_user_attribute("visits", value)
            user.increment_user_attribute("visits", 2)
            user.log_event("Visit")
            user.increment_user_attribute("visits", 1)
            user.log_event("Visit")
        client.flush(5)
        (request,) = sandbox.rest.requests
        assert [item["visits"] for item in request.body["attributes"]] == ["7", "8"]


def test_filters_of_a_configuration_hold_for_every_user() -> None:
    """Events, attributes and identities that are off in the configuration are not sent for any user."""
    configuration = {
        "id": 28,
        "as": {"restApiKey": "rest-key-1", "includeEnrichedUserIdentities": "False"},
        "hs": {"ec": {str(mp_hash("1Secret")): 0}, "ua": {str(mp_hash("salary")): 0}, "uid": {"7": 0}},
    }
    with Sandbox() as sandbox:
        configuration["as"]["host"] = sandbox.url  # type: ignore[index]  # the configuration is a plain dict
        kit = BrazeServerKit.from_configuration(configuration, delivery_options=BY_HAND)
        with MParticle([kit], storage=":memory:") as client:
            user = client.for_user(customer_id="c1", email="a@b.c")
            user.set_user_attribute("salary", 1)
            user.set_user_attribute("color", "red")
            user.log_event("Secret", EventType.NAVIGATION)
            user.log_event("Public", EventType.NAVIGATION)
            user.end()
            client.flush(5)
            assert sandbox.rest.user("c1").attributes == {"color": "red"}
            assert sandbox.rest.user("c1").events == {"Public": 1}


def test_purchases_keep_their_revenue() -> None:
    """Quantities above Braze's limit are split, fractions become one at the full price, reserved keys are left out."""
    problems: list[Problem] = []
    with Sandbox() as sandbox, client_of(sandbox, problems) as client:
        client.for_user(customer_id="c1").log_commerce_event(
            CommerceEvent(
                ProductAction.PURCHASE,
                products=[
                    Product("Nail", "sku-1", 0.5, 250, attributes={"price": "cheap", "$size": 3}),
                    Product("Tea", "sku-2", 4.0, 0.5),
                ],
                transaction=TransactionAttributes(id="t-1", revenue=127.0),
                currency="eur",
            )
        )
        client.flush(5)
        purchases = sandbox.rest.requests[0].body["purchases"]
        assert [(item["quantity"], item["price"]) for item in purchases] == [
            (100, 0.5),
            (100, 0.5),
            (50, 0.5),
            (1, 2.0),
        ]
        assert purchases[0]["properties"] == {
            "Total Amount": 127.0,
            "Transaction Id": "t-1",
            "Name": "Nail",
            "Total Product Amount": 125.0,
            "size": 3,
        }
        assert sandbox.rest.user("c1").revenue == {"EUR": 127.0}
    assert [problem.code for problem in problems] == ["value_refused"]


def test_wrong_calls_raise_and_values_do_not() -> None:
    """A wrong argument raises from the caller's line; a value Braze would not take is reported."""
    problems: list[Problem] = []
    with Sandbox() as sandbox:
        client = client_of(sandbox, problems)
        user = client.for_user(customer_id="c1")
        with pytest.raises(InvalidArgumentError):
            user.log_event("")
        with pytest.raises(InvalidArgumentError):
            user.set_user_attribute("", 1)
        with pytest.raises(InvalidArgumentError):
            user.modify(passport="y")
        user.set_user_attribute("external_id", "c2")
        user.set_user_attribute("nested", {"a": 1})
        user.log_event("E", attributes={"list": [1]})
        client.flush(5)
        client.close(1)
        with pytest.raises(ClosedError):
            user.log_event("Late")
    assert [problem.code for problem in problems] == ["value_refused"] * 3
    assert sandbox.rest.user("c1").events == {"E": 1}


def test_for_user_needs_a_kit_that_serves_many() -> None:
    """Kits for one user do not pretend."""

    class Plain(Kit):
        name = "Plain"

    with MParticle([Plain()], storage=":memory:") as client, pytest.raises(ConfigurationError, match="BrazeServerKit"):
        client.for_user(customer_id="c1")


def test_a_key_is_needed() -> None:
    """A configuration without a REST key is no server kit's."""
    with pytest.raises(ConfigurationError, match="restApiKey"):
        BrazeServerKit.from_configuration({"id": 28, "as": {"apiKey": "a"}})


KILLED = """
    import os, signal, sys
    from mparticle_kit_braze import MParticle
    from mparticle_kit_braze.server import BrazeServerKit

    url, state = sys.argv[1:]
    client = MParticle([BrazeServerKit("k", url)], storage=state)
    for number in range(300):
        with client.for_user(customer_id=f"c{number % 7}") as user:
            user.log_event(f"E{number}", attributes={"n": number})
            user.set_user_attribute("last", number)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_killed_with_everything_unsent(tmp_path: Path) -> None:
    """What the kit took in before kill -9 is sent by the next process, each call once and in each user's order."""
    with Sandbox() as sandbox:
        sandbox.fault = lambda _request: Reply(status=503)
        killed = run_python(KILLED, sandbox.url, str(tmp_path))
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert not sandbox.rest.counts["events"]
        sandbox.fault = None
        with MParticle([BrazeServerKit("k", sandbox.url)], storage=tmp_path) as client:
            assert client.flush(timeout=20).complete
        for user in range(7):
            mine = [f"E{number}" for number in range(300) if number % 7 == user]
            seen = sandbox.rest.user(f"c{user}")
            assert seen.events == dict.fromkeys(mine, 1)
            assert seen.attributes == {"last": int(mine[-1][1:])}
