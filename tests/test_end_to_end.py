"""The whole way, with real processes, files and HTTP: from a call of the client to a profile in Braze."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mparticle_kit_braze import (
    BrazeKit,
    CommerceEvent,
    EventType,
    MParticle,
    Product,
    ProductAction,
    TransactionAttributes,
)
from mparticle_kit_braze.diagnostics import Problem
from mparticle_kit_braze.errors import ClosedError, ConfigurationError, InvalidArgumentError, MParticleError
from mparticle_kit_braze.sandbox import Reply, Sandbox
from tests.support import python_process, run_python, wait_until

KEY = "app-key-1"


def make_client(sandbox: Sandbox, storage: Path | str = ":memory:", **settings: Any) -> MParticle:
    return MParticle(kits=[BrazeKit(KEY, sandbox.url)], storage=storage, **settings)


def custom_events(sandbox: Sandbox) -> list[str]:
    return [event["data"]["n"] for event in sandbox.events if event["name"] == "ce"]


# -- the main job ---------------------------------------------------------------------------------------------------


def test_all_kinds_of_calls_arrive_in_one_profile() -> None:
    """What was anonymous, then identified, ends as one user with events, attributes and purchases."""
    with Sandbox(KEY) as sandbox, make_client(sandbox) as client:
        client.log_event("Opened", EventType.NAVIGATION)
        client.identify(customer_id="ada", email="ada@example.com")
        client.set_user_attribute("$FirstName", "Ada")
        client.log_event("Played", EventType.OTHER, {"genre": "Jazz"})
        client.log_commerce_event(
            CommerceEvent(
                product_action=ProductAction.PURCHASE,
                products=[Product("Tea", "SKU-1", 4.5, quantity=2)],
                transaction=TransactionAttributes(id="t-1", revenue=9.0),
            )
        )
        assert client.flush(timeout=10).complete
        assert sandbox.problems == []
        (profile,) = sandbox.profiles
    assert profile.external_id == "ada"
    assert profile.attributes == {"first_name": "Ada", "email": "ada@example.com"}
    assert profile.custom_events == {"Opened": 1, "Played": 1}
    assert (profile.purchases, profile.revenue) == ({"SKU-1": 2}, {"USD": 9.0})


def test_web_names_of_calls_do_the_same() -> None:
    """The mParticle camelCase names are the same calls."""
    with Sandbox(KEY) as sandbox, make_client(sandbox) as client:
        client.logEvent("Played", EventType.OTHER, {"genre": "Jazz"})
        client.setUserAttribute("plan", "gold")
        client.setUserAttributeList("colors", ["red"])
        client.logCommerceEvent(
            CommerceEvent(product_action=ProductAction.ADD_TO_CART, products=[Product("Tea", "SKU-1", 4.5)])
        )
        assert client.flush(timeout=10).complete
        assert custom_events(sandbox) == ["Played", "eCommerce - add_to_cart - Item"]
        (profile,) = sandbox.profiles
    assert profile.custom_attributes == {"plan": "gold", "colors": ["red"]}


def test_the_callers_own_dict_may_change_afterwards() -> None:
    """Values are taken at the call, not at the flush."""
    with Sandbox(KEY) as sandbox, make_client(sandbox) as client:
        attributes = {"genre": "Jazz"}
        client.log_event("Played", attributes=attributes)
        attributes["genre"] = "changed"
        colors = ["red"]
        client.set_user_attribute("colors", colors)
        colors.append("changed")
        client.flush(timeout=10)
        (event,) = (event for event in sandbox.events if event["name"] == "ce")
        (profile,) = sandbox.profiles
    assert event["data"]["p"] == {"genre": "Jazz"}
    assert profile.custom_attributes == {"colors": ["red"]}


# -- nothing is lost ------------------------------------------------------------------------------------------------

LOG_AND_WAIT = """
    import sys
    from mparticle_kit_braze import BrazeKit, MParticle
    client = MParticle(kits=[BrazeKit("app-key-1", sys.argv[1])], storage=sys.argv[2])
    client.identify(customer_id="ada")
    for number in range(500):
        client.log_event(f"Event {number}", attributes={"number": number})
    print("logged", flush=True)
    sys.stdin.read()
"""


def test_killed_before_any_flush_the_next_start_delivers_everything(tmp_path: Path) -> None:
    """A process logs 500 events and is killed with SIGKILL; the next start delivers all 500, once, in order."""
    with Sandbox(KEY) as sandbox:
        sandbox.stop()
        with python_process(LOG_AND_WAIT, sandbox.url, str(tmp_path)) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "logged\n", process.stderr and process.stderr.read()
            process.kill()
        sandbox.start()
        with make_client(sandbox, tmp_path) as client:
            assert client.flush(timeout=20).complete
        assert custom_events(sandbox) == [f"Event {number}" for number in range(500)]
        assert sandbox.profile("ada").custom_events == {f"Event {number}": 1 for number in range(500)}
        assert sandbox.problems == []


def test_a_script_that_simply_ends_delivers() -> None:
    """No flush, no close: the events arrive, the exit is quick, and nothing is printed."""
    with Sandbox(KEY) as sandbox:
        code = """
            import sys
            from mparticle_kit_braze import BrazeKit, MParticle
            client = MParticle(kits=[BrazeKit("app-key-1", sys.argv[1])], storage=":memory:")
            for number in range(50):
                client.log_event(f"Event {number}")
        """
        begun = time.monotonic()
        result = run_python(code, sandbox.url)
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
        assert time.monotonic() - begun < 6
        assert custom_events(sandbox) == [f"Event {number}" for number in range(50)]


def test_endpoint_down_then_back() -> None:
    """While nothing listens everything is kept; once it is back, a flush delivers all of it once."""
    with Sandbox(KEY) as sandbox, make_client(sandbox) as client:
        sandbox.stop()
        for number in range(20):
            client.log_event(f"Event {number}")
        result = client.flush(timeout=1)
        assert not result.complete
        assert result.kept >= 20
        sandbox.start()
        assert client.flush(timeout=10).complete
        assert custom_events(sandbox) == [f"Event {number}" for number in range(20)]


def test_delivery_resumes_by_itself() -> None:
    """No call of the host is needed for delivery to go on when the endpoint has recovered."""
    quick = {"min_sleep_duration_ms": 50, "max_sleep_duration_ms": 200, "scale_factor": 3}
    with Sandbox(KEY, limiter=False) as sandbox:
        sandbox.configure(request_backoff=quick)  # the ordinary first wait is 10 s and more
        with MParticle(kits=[BrazeKit(KEY, sandbox.url, flush_interval=0.1)], storage=":memory:") as client:
            client.log_event("Before")
            assert client.flush(timeout=10).complete
            sandbox.respond_next(Reply(status=503))
            client.log_event("During")
            assert sandbox.wait_for(lambda: custom_events(sandbox) == ["Before", "During"], timeout=15)


# -- wrong calls and refused values ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: MParticle(kits=[], storage=":memory:"),
        lambda: BrazeKit("", "sdk.iad-03.braze.com"),
        lambda: BrazeKit(KEY, "https://user:secret@sdk.iad-03.braze.com"),
        lambda: BrazeKit(KEY, "https://sdk.iad-03.braze.com?x=1"),
        lambda: BrazeKit(KEY, "https://sdk.iad-03.braze.com#x"),
        lambda: BrazeKit(KEY, "http://sdk.iad-03.braze.com"),
        lambda: BrazeKit(KEY, "http://127.0.0.1.example.com"),
        lambda: BrazeKit(KEY, ""),
    ],
    ids=[
        "no-kit",
        "empty-key",
        "credentials",
        "query",
        "fragment",
        "plain-http",
        "plain-http-lookalike",
        "empty-endpoint",
    ],
)
def test_wrong_settings_raise_at_once(make: Callable[[], object]) -> None:
    """A setting that cannot work is an error of the constructor, with a message that repeats no secret."""
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert isinstance(caught.value, ValueError)
    assert len(str(caught.value)) > 20
    assert "secret" not in str(caught.value)


def test_a_proxy_path_is_a_complete_prefix() -> None:
    """A path in the endpoint is kept as it is, with nothing put between it and the last part."""
    with Sandbox(KEY) as sandbox:
        with MParticle(kits=[BrazeKit(KEY, f"{sandbox.url}/proxy/braze")], storage=":memory:") as client:
            client.log_event("Played")
            assert client.flush(timeout=10).complete
        assert {request.path for request in sandbox.requests} == {"/proxy/braze/data/"}


WRONG_CALLS: dict[str, Callable[[Any], object]] = {
    "name-none": lambda client: client.log_event(None),
    "name-empty": lambda client: client.log_event(""),
    "name-number": lambda client: client.log_event(7),
    "attributes-list": lambda client: client.log_event("E", EventType.OTHER, [("a", 1)]),
    "attributes-text": lambda client: client.log_event("E", EventType.OTHER, "a"),
    "attribute-key-number": lambda client: client.log_event("E", EventType.OTHER, {1: "a"}),
    "event-type-text": lambda client: client.log_event("E", "navigation-ish"),
    "screen-empty": lambda client: client.log_screen(""),
    "user-attribute-key-empty": lambda client: client.set_user_attribute("", 1),
    "user-attribute-key-number": lambda client: client.set_user_attribute(1, 1),
    "identity-unknown": lambda client: client.identify(passport="x"),
    "identity-number": lambda client: client.identify(customer_id=7),
    "commerce-not-an-event": lambda client: client.log_commerce_event({"product_action": "purchase"}),
    "product-without-sku": lambda client: client.log_commerce_event(
        CommerceEvent(product_action=ProductAction.PURCHASE, products=[Product("Tea", "", 4.5)])
    ),
    "product-sku-none": lambda client: client.log_commerce_event(
        CommerceEvent(product_action=ProductAction.PURCHASE, products=[Product("Tea", None, 4.5)])  # type: ignore[arg-type]  # wrong on purpose
    ),
    "negative-quantity": lambda client: client.log_commerce_event(
        CommerceEvent(product_action=ProductAction.PURCHASE, products=[Product("Tea", "SKU-1", 4.5, quantity=-1)])
    ),
}


@pytest.mark.parametrize("call", WRONG_CALLS.values(), ids=WRONG_CALLS.keys())
def test_wrong_calls_raise_at_the_callers_line(call: Callable[[Any], object]) -> None:
    """A wrong call raises in the call itself, says what is accepted, and nothing of it is sent."""
    with Sandbox(KEY) as sandbox, make_client(sandbox) as client:
        with pytest.raises(InvalidArgumentError) as caught:
            call(client)
        assert isinstance(caught.value, ValueError)
        assert len(str(caught.value)) > 20
        client.log_event("After")
        assert client.flush(timeout=10).complete
        assert custom_events(sandbox) == ["After"]
        assert sandbox.problems == []


def test_use_after_close_raises() -> None:
    """A closed client says so instead of swallowing the call."""
    with Sandbox(KEY) as sandbox:
        client = make_client(sandbox)
        client.log_event("Played")
        client.close()
        calls: list[Callable[[], object]] = [
            lambda: client.log_event("Late"),
            lambda: client.set_user_attribute("k", 1),
            lambda: client.identify(customer_id="ada"),
        ]
        for call in calls:
            with pytest.raises(ClosedError) as caught:
                call()
            assert isinstance(caught.value, MParticleError)
        client.close()  # closing twice is no mistake
        assert custom_events(sandbox) == ["Played"]


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda client: client.log_event("E", EventType.OTHER, {"keep": 1, "bad": {"a": 1}}), ["E"]),
        (lambda client: client.log_event("E", EventType.OTHER, {"keep": 1, "bad": float("nan")}), ["E"]),
        (lambda client: client.log_event("E", EventType.OTHER, {"keep": 1, "bad": [1]}), ["E"]),
        (lambda client: client.log_event("E", EventType.OTHER, {"keep": 1, "bad": object()}), ["E"]),
        (lambda client: client.set_user_attribute("bad", {"a": 1}), []),
        (lambda client: client.set_user_attribute("bad", float("inf")), []),
        (
            lambda client: client.log_commerce_event(
                CommerceEvent(
                    product_action=ProductAction.PURCHASE, products=[Product("Tea", "SKU-1", 4.5)], currency="ZZZ"
                )
            ),
            [],
        ),
    ],
    ids=["nested", "nan", "list", "object", "attribute-object", "attribute-infinity", "currency"],
)
def test_refused_values_are_reported_and_the_rest_goes_through(
    caplog: pytest.LogCaptureFixture, call: Callable[[MParticle], object], expected: list[str]
) -> None:
    """A value Braze would refuse raises nothing: it is logged, counted and passed to on_error, and all else arrives."""
    problems: list[Problem] = []
    with caplog.at_level(logging.WARNING, "mparticle_kit_braze"), Sandbox(KEY) as sandbox:
        with make_client(sandbox, on_error=problems.append) as client:
            call(client)
            client.log_event("After")
            assert client.flush(timeout=10).complete
            counts = client.stats().problems
        assert custom_events(sandbox) == [*expected, "After"]
        for event in sandbox.events:
            if event["data"].get("n") == "E":
                assert event["data"]["p"] == {"keep": 1}
        assert sandbox.problems == []
    assert [problem.code for problem in problems] == ["value_refused"]
    assert counts["value_refused"] == 1
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1


def test_statistics_tell_what_was_spent_in_data_points() -> None:
    """Points by kind, and what an unchanged attribute saved, stand in the client's statistics."""
    with Sandbox() as sandbox, MParticle([BrazeKit("app-key-1", sandbox.url)], storage=":memory:") as client:
        client.identify(customer_id="ada")
        client.log_event("Played Song")
        client.set_user_attribute("plan", "gold")
        client.set_user_attribute("plan", "gold")
        assert client.flush(10).complete
        points = client.stats().data_points["Braze"]
        client.kit("Braze").forget_sent_attributes()
        client.set_user_attribute("plan", "gold")
        assert client.flush(10).sent == 1
    assert points.since_start["custom_events"] == 1
    assert points.since_start["attributes"] == 1
    assert points.saved == 1
    assert points.today == points.since_start


def test_the_interval_between_messages_is_a_setting() -> None:
    """Without an interval two messages come up one after the other."""
    with Sandbox() as sandbox:
        for name in ("one", "two"):
            sandbox.add_in_app_message({"message": name}, event=name)
        kit = BrazeKit("app-key-1", sandbox.url, minimum_trigger_interval=0)
        with MParticle([kit], storage=":memory:") as client:
            seen: list[object] = []
            client.kit("Braze").in_app_messages.subscribe(seen.append)
            client.identify(customer_id="ada")
            assert client.flush(10).complete
            client.log_event("one")
            client.log_event("two")
            wait_until(lambda: len(seen) == 2, what="both messages")
