"""A client that tells the inspector: calls, places, rules, warnings, the queue; and what that may cost the caller."""

from __future__ import annotations

import inspect
import logging
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from mparticle_kit_braze import (
    BrazeKit,
    ClosedError,
    CommerceEvent,
    ConfigurationError,
    EventType,
    MParticle,
    Product,
    ProductAction,
)
from mparticle_kit_braze.inspection import inspection as module
from mparticle_kit_braze.integrations.log_handler import EventLogHandler
from mparticle_kit_braze.kits.hashing import mp_hash
from mparticle_kit_braze.sandbox import Sandbox
from tests.sandbox.requests_of_a_client import API_KEY
from tests.support import free_port, wait_until

from .support import ask, entries_of

CONFIGURATION: dict[str, Any] = {
    "id": 28,
    "as": {"apiKey": API_KEY, "userIdentificationType": "CustomerId"},
    "hs": {"et": {str(mp_hash("3")): 0}},
}


@pytest.fixture
def app(sandbox: Sandbox) -> Iterator[MParticle]:
    """A client whose inspection runs, with a filter for events about searches."""
    kit = BrazeKit.from_configuration({**CONFIGURATION, "as": {**CONFIGURATION["as"], "host": sandbox.url}})
    with MParticle([kit], storage=":memory:") as client:
        client.inspect(sandbox.url)
        yield client


def settled(client: MParticle, sandbox: Sandbox) -> dict[int, dict[str, Any]]:
    """Send and tell everything; the calls by their id."""
    assert client.flush(10).complete
    assert client._inspection is not None
    client._inspection.close(10)
    return {entry["id"]: entry for entry in entries_of(sandbox, "call")}


def record_named(sandbox: Sandbox, name: str) -> dict[str, Any]:
    (found,) = [entry for entry in entries_of(sandbox, "record") if entry["name"] == name]
    return found


def test_a_record_has_the_call_that_made_it(app: MParticle, sandbox: Sandbox) -> None:
    """The call with its arguments as written, the line it stands in, the rule and the profile."""
    line = inspect.currentframe().f_lineno + 1  # type: ignore[union-attr]  # CPython has frames
    app.log_event("Played", EventType.NAVIGATION, {"genre": "Jazz", "plays": 3})
    calls = settled(app, sandbox)
    record = record_named(sandbox, "Played")
    call = calls[record["call"]]
    assert call["text"] == "client.log_event('Played', EventType.NAVIGATION, {'genre': 'Jazz', 'plays': 3})"
    assert call["place"] == f"inspector/test_inspection.py:{line}"
    assert (record["rule"]["name"], record["profile"], record["told"]) == ("event", "native", True)
    assert record["rule"]["text"] == "A custom event of the same name with the attributes as properties."


def test_what_came_by_logging_has_the_line_that_logged(app: MParticle, sandbox: Sandbox) -> None:
    """The call is the client's, the place is the program's, not the handler's."""
    logger = logging.Logger("shop")  # noqa: LOG001  # one that no other test shares
    logger.addHandler(EventLogHandler(app))
    line = inspect.currentframe().f_lineno + 1  # type: ignore[union-attr]  # as above
    logger.error("order %s failed", 7)
    (call,) = settled(app, sandbox).values()
    assert call["text"].startswith("client.log_event('Log Record'")
    assert call["place"] == f"inspector/test_inspection.py:{line}"


def test_equal_calls_have_a_record_each(app: MParticle, sandbox: Sandbox) -> None:
    """Calls that cannot be told apart by what they sent are matched one to one, in order."""
    for _ in range(20):
        app.log_event("Played")
    settled(app, sandbox)
    made_by = [entry["call"] for entry in entries_of(sandbox, "record") if entry["name"] == "Played"]
    assert len(made_by) == len(set(made_by)) == 20
    assert made_by == sorted(made_by)


def test_one_call_may_make_several_records(app: MParticle, sandbox: Sandbox) -> None:
    """Each product of a purchase knows the same call."""
    products = [Product("Tea", "SKU-1", 4.5), Product("Cup", "SKU-2", 12.0)]
    app.log_commerce_event(CommerceEvent(product_action=ProductAction.PURCHASE, products=products))
    calls = settled(app, sandbox)
    tea, cup = record_named(sandbox, "SKU-1"), record_named(sandbox, "SKU-2")
    assert tea["call"] == cup["call"]
    call = calls[tea["call"]]
    assert (call["made"], call["arrived"]) == (3, 3)  # and the start of the session
    assert "Product(name='Tea', sku='SKU-1', price=4.5)" in call["text"]


def test_attributes_are_matched_by_what_they_set(app: MParticle, sandbox: Sandbox) -> None:
    """Attributes merged into one object each know the latest call that set them so."""
    app.identify(customer_id="ada", email="ada@example.com")
    app.set_user_attribute("$FirstName", "Eda")
    app.set_user_attribute("$FirstName", "Ada")
    app.set_user_attribute("plan", "gold")
    app.increment_user_attribute("visits", 2)
    calls = settled(app, sandbox)
    texts = {entry["name"]: calls[entry["call"]]["text"] for entry in entries_of(sandbox, "record") if entry["call"]}
    assert texts["first_name"] == "client.set_user_attribute('$FirstName', 'Ada')"
    assert texts["plan"] == "client.set_user_attribute('plan', 'gold')"
    assert texts["visits"] == "client.increment_user_attribute('visits', 2)"
    assert texts["email"] == "client.identify(customer_id='ada', email='ada@example.com')"
    overwritten = next(call for call in calls.values() if "'Eda'" in call["text"])
    assert (overwritten["made"], overwritten["arrived"], overwritten["replaced"]) == (1, 0, 1)
    assert all(call["arrived"] + call["replaced"] == call["made"] for call in calls.values())


def test_calls_that_send_nothing_say_why(app: MParticle, sandbox: Sandbox) -> None:
    """A filtered call has the filter, an unchanged attribute no record, a refused value its warning."""
    app.set_user_attribute("plan", "gold")
    app.log_event("Searched", EventType.SEARCH)
    app.log_event("Played", attributes={"nested": {"a": 1}})
    assert app.flush(10).complete
    app.set_user_attribute("plan", "gold")
    calls = list(settled(app, sandbox).values())
    first, searched, played, again = calls
    assert (first["made"], first["arrived"]) == (1, 1)
    assert (searched["outcome"], searched["reason"], searched["made"]) == ("filtered", "event_type", 0)
    assert [warning["code"] for warning in played["warnings"]] == ["value_refused"]
    assert (again["outcome"], again["made"]) == ("forwarded", 0)


def test_calls_to_braze_itself_are_told_apart(app: MParticle, sandbox: Sandbox) -> None:
    """What goes past the kits is not put down to the call before it."""
    app.log_event("Played")
    app.kit("Braze").log_custom_event("Direct", {"a": 1})
    calls = settled(app, sandbox)
    direct = record_named(sandbox, "Direct")
    assert calls[direct["call"]]["text"] == "braze.log_custom_event('Direct', {'a': 1})"
    assert "name" not in direct["rule"]
    assert calls[record_named(sandbox, "Played")["call"]]["text"] == "client.log_event('Played')"


def test_records_that_arrive_before_their_call_is_told(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order in which the two come does not matter."""
    monkeypatch.setattr(module, "GATHER", 60.0)  # nothing is told before the end
    with MParticle([BrazeKit(API_KEY, sandbox.url)], storage=":memory:") as client:
        inspection = client.inspect(sandbox.url)
        client.log_event("Played")
        assert client.flush(10).complete
        assert record_named(sandbox, "Played")["call"] is None
        inspection.close(10)
        assert record_named(sandbox, "Played")["call"] is not None


def test_others_are_unknown(sandbox: Sandbox) -> None:
    """Of a client that tells nothing, what the wire tells is shown and the rest left open."""
    entries_of(sandbox)
    with MParticle([BrazeKit(API_KEY, sandbox.url)], storage=":memory:") as client:
        client.log_event("Played")
        client.set_user_attribute_list("l", ["a"])
        assert client.flush(10).complete
    played, listed = record_named(sandbox, "Played"), record_named(sandbox, "l")
    assert (played["call"], played["profile"], played["likely"], played["told"]) == (None, None, "", False)
    assert played["rule"] == {"text": "A custom event"}
    assert (listed["call"], listed["likely"]) == (None, "set_user_attribute_list")


def test_the_queue_is_told(app: MParticle, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures of the queue come by themselves, before anything is sent and after."""
    monkeypatch.setattr(module, "POLL", 0.05)

    def stats() -> dict[str, Any]:
        clients = entries_of(sandbox, "client")
        return clients[-1]["stats"] or {} if clients else {}

    app.set_user_attribute("plan", "gold")
    wait_until(lambda: stats().get("queued", 0) >= 1, timeout=20)
    app.flush(10)
    wait_until(lambda: stats().get("queued") == 0 and stats()["sent"] >= 1, timeout=20)


# -- the caller -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["http://192.0.2.1:80", "https://127.0.0.1", "127.0.0.1:80", "", "http://a:b@127.0.0.1"]
)
def test_calls_stay_on_this_machine(app: MParticle, url: str) -> None:
    """Only a plain URL of this machine is taken: calls hold personal data."""
    with pytest.raises(ConfigurationError):
        app.inspect(url)


def test_a_closed_client_is_not_inspected(sandbox: Sandbox) -> None:
    """As every other call."""
    client = MParticle([BrazeKit(API_KEY, sandbox.url)], storage=":memory:")
    client.close()
    with pytest.raises(ClosedError):
        client.inspect(sandbox.url)


def test_nobody_listening_costs_no_call(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an inspector calls go on, notes are bounded, and what was lost is counted."""
    monkeypatch.setattr(module, "MAX_NOTES", 50)
    with MParticle([BrazeKit(API_KEY, sandbox.url)], storage=":memory:") as client:
        inspection = client.inspect(f"http://127.0.0.1:{free_port()}")
        for number in range(200):
            client.log_event(f"Event {number}")
        assert client.flush(10).complete
        assert len(inspection._notes) <= 50
        wait_until(lambda: inspection._lost > 0, timeout=20)
    assert sandbox.counts.events >= 200


def test_an_inspector_that_hangs_holds_up_nobody(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller never waits for the inspector's answer, and the thread ends without one."""
    monkeypatch.setattr(module, "TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        client = MParticle([BrazeKit(API_KEY, sandbox.url)], storage=":memory:")
        inspection = client.inspect(f"http://127.0.0.1:{deaf.getsockname()[1]}")
        client.log_event("Played")
        assert client.flush(10).complete
        client.close()
        inspection._thread.join(20)
        assert not inspection._thread.is_alive()


def test_a_value_that_cannot_be_shown_harms_no_call(app: MParticle, sandbox: Sandbox) -> None:
    """A broken ``repr`` and a huge value make a short text."""

    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("made to fail")

    app.log_event("Played", attributes={"broken": Broken(), "text": "x" * 100_000})
    (call,) = settled(app, sandbox).values()
    assert "<Broken instance at" in call["text"]
    assert len(call["text"]) < 2001


def test_two_inspections_of_one_client(app: MParticle, sandbox: Sandbox) -> None:
    """The second takes over from the first."""
    app.inspect(sandbox.url)
    app.log_event("Played")
    calls = settled(app, sandbox)
    assert [call["name"] for call in calls.values()] == ["Played"]
    running = [thread.name for thread in threading.enumerate() if "inspection" in thread.name]
    assert running == []


@pytest.mark.parametrize(
    "value",
    [
        [],
        {},
        {"client": {"id": ""}},
        {"client": []},
        {"client": {"id": "x"}, "calls": 3},
        {"client": {"id": "x"}, "calls": [3]},
        {"client": {"id": "x"}, "records": [{"record": 3}]},
        {"client": {"id": "x"}, "stats": 3},
        {"client": {"id": "x"}, "calls": [{}] * 5001},
    ],
)
def test_odd_messages_are_refused(sandbox: Sandbox, value: Any) -> None:
    """What is no message of a client is answered with 400 and changes nothing."""
    assert ask(sandbox, "/inspector/calls", value)[0] == 400
    assert entries_of(sandbox) == []


def test_odd_fields_are_read_as_nothing(sandbox: Sandbox) -> None:
    """Fields of the wrong type, and ones nobody knows, harm nothing."""
    call = {"number": [], "time": "x", "hidden": 3, "text": {"a": 1}, "more": 1}
    record = {"call": {}, "record": {"custom": 3, "data": 4}, "rule": []}
    message = {
        "client": {"id": 7, "device": []},
        "calls": [call],
        "records": [record],
        "warnings": [{"call": []}],
        "lost": -1,
    }
    assert ask(sandbox, "/inspector/calls", message)[0] in (200, 400)
    assert ask(sandbox, "/inspector/calls", {"client": {"id": "x"}})[0] == 200
