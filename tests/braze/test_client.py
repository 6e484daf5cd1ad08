"""The client's life: wrong calls, reports, disable, wipe, close, threads, re-entrance."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from mparticle_kit_braze.braze import Braze
from mparticle_kit_braze.diagnostics import Reporter
from mparticle_kit_braze.errors import ClosedError, ConfigurationError, InvalidArgumentError

from .conftest import Client


@pytest.mark.parametrize(
    "settings",
    [
        {"api_key": ""},
        {"api_key": "  "},
        {"api_key": None},
        {"api_key": "key\r\nX-Header: 1"},
        {"api_key": "ключ"},
        {"endpoint": ""},
        {"session_timeout": 0},
        {"session_timeout": float("nan")},
        {"session_timeout": "60"},
        {"flush_interval": -1},
        {"flush_interval": True},
        {"app_version": 1.2},
        {"app_version": ""},
        {"sdk_metadata": "mp"},
        {"sdk_metadata": ["nope"]},
        {"skip_unchanged": "some"},
        {"reporter": Reporter(), "on_error": print},
    ],
)
def test_wrong_settings_raise(settings: dict[str, Any]) -> None:
    """At once, and with a message."""
    with pytest.raises(ConfigurationError):
        Braze(**{"api_key": "key", "endpoint": "US-03", "storage": ":memory:", **settings})


@pytest.mark.parametrize("time", ["now", True, float("nan"), float("inf"), 1e13, 0, -5, 0.0001])
def test_wrong_times_raise(client: Client, time: Any) -> None:
    """A time that is none is a wrong call."""
    calls: list[Callable[[], object]] = [
        lambda: client.braze.log_custom_event("e", time=time),
        lambda: client.braze.log_purchase("p", 1, time=time),
        lambda: client.braze.log_ecommerce_event({}, time=time),
    ]
    for call in calls:
        with pytest.raises(InvalidArgumentError):
            call()


VIEWED = {
    "product_id": "p",
    "product_name": "n",
    "variant_id": "v",
    "price": 1,
    "currency": "USD",
    "source": "app",
}


def test_refusals_are_reported_without_the_value(client: Client) -> None:
    """Named by call and key; a property that is left out too."""
    assert not client.braze.log_custom_event("e", {"k": {1}})
    assert not client.user.set_custom_attribute("secret-key", "hunter\n2")
    assert not client.user.set_email("hunter2")
    assert client.braze.log_custom_event("e", {"n": float("nan")})
    assert client.braze.log_custom_event("e", {"l": [float("nan")]})
    assert client.user.set_custom_attribute("o", {"a": {"b": float("inf")}})
    viewed = {**VIEWED, "metadata": {"m": 10**30}}
    assert client.braze.log_ecommerce_event({"name": "ecommerce.product_viewed", "properties": viewed})
    messages = client.refusals()
    assert len(messages) == 7
    assert [message.split("'")[1] for message in messages[3:]] == ["n", "l", "o", "metadata"]
    assert client.queued()[-1]["data"]["p"]["metadata"] == {}
    assert "'k'" in messages[0]
    assert "'secret-key'" in messages[1]
    assert not any("hunter" in message for message in messages)


def test_closed_clients_raise(client: Client) -> None:
    """Every call that would queue something says so."""
    client.braze.close()
    for call in (
        lambda: client.braze.log_custom_event("e"),
        lambda: client.braze.log_purchase("p", 1),
        lambda: client.braze.change_user("u"),
        client.braze.open_session,
        lambda: client.user.set_first_name("A"),
        lambda: client.user.add_alias("a", "l"),
        lambda: client.user.set_push_token("t"),
    ):
        with pytest.raises(ClosedError):
            call()


def test_disabled_clients_take_nothing(make_client: Callable[..., Client]) -> None:
    """Over restarts and a wipe too; afterwards the same session goes on."""
    first = make_client()
    first.braze.change_user("u1")
    session = first.queued()[0]["session_id"]
    first.braze.disable()
    second = make_client()
    for client in (first, second):
        assert client.delivery.paused
        before = len(client.delivery.records)
        assert not client.braze.log_custom_event("e")
        assert not client.user.set_first_name("A")
        assert not client.user.set_custom_attribute("k", ["a"])
        assert not client.user.add_alias("a", "l")
        client.braze.change_user("u2")
        client.braze.open_session()
        assert len(client.delivery.records) == before
    second.braze.enable()
    assert not second.delivery.paused
    assert second.braze.log_custom_event("e")
    assert [(event["name"], event["session_id"]) for event in second.queued()] == [("ce", session)]
    second.braze.disable()
    second.braze.wipe_data()
    assert not second.braze.log_custom_event("e")
    assert not make_client().braze.log_custom_event("e")


def test_wipe(make_client: Callable[..., Client]) -> None:
    """Queue, user, session, configuration, alias and device id are gone; the next call works at once."""
    client = make_client(skip_unchanged="all", sdk_metadata=["mp"])
    client.user.add_alias("al", "lab")
    client.braze.change_user("u1")
    client.user.set_first_name("A")
    client.send({"config": {"time": 5, "events_blacklist": ["x"]}})
    device = client.braze.device_id
    client.braze.log_custom_event("gone")
    client.braze.wipe_data()
    assert client.braze.user_id is None
    assert client.braze.log_custom_event("x")
    assert client.user.set_first_name("A")
    body = client.send()
    assert body["device_id"] == client.braze.device_id != device
    assert [event["data"].get("n") for event in body["events"]] == [None, "x"]
    assert body["attributes"] == [{"first_name": "A"}]
    assert body["respond_with"] == {"triggers": True, "config": {"config_time": 0}}
    assert {"device", "sdk_metadata"} <= set(body)
    assert "alias" not in body


def test_calls_from_many_threads(client: Client) -> None:
    """Nothing is lost or torn, one session begins, and each event has its user's session."""

    def work(number: int) -> None:
        for step in range(200):
            client.braze.log_custom_event("e", {"t": number, "s": step})
            if step % 50 == 0:
                client.braze.change_user(f"u{number}-{step}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = client.queued()
    seen = {(event["data"]["p"]["t"], event["data"]["p"]["s"]) for event in events if event["name"] == "ce"}
    assert len(seen) == 1200
    owner = {event["session_id"]: event.get("user_id") for event in events if event["name"] == "ss"}
    assert all(owner[event["session_id"]] == event.get("user_id") for event in events)
    codes = client.codes()
    assert codes.count("ss") == len(owner) == codes.count("se") + 1


def test_on_error_may_call_anything(make_client: Callable[..., Client]) -> None:
    """No lock is held while the host is told: another thread can use the client meanwhile."""
    stuck: list[bool] = []

    def call_back(_problem: object) -> None:
        other = threading.Thread(target=lambda: client.braze.change_user("from-callback"))
        other.start()
        other.join(5)
        stuck.append(other.is_alive())

    client = make_client(":memory:", on_error=call_back)
    assert not client.braze.log_custom_event("")
    assert not client.user.set_custom_attribute("k", {1})
    assert stuck == [False, False]
    assert client.braze.user_id == "from-callback"


def test_current_user_follows_the_user(client: Client) -> None:
    """One object for whoever is current, under both names."""
    assert client.braze.get_user() is client.braze.current_user
    assert client.user.user_id is None
    client.braze.change_user("u1")
    assert client.user.user_id == "u1"
