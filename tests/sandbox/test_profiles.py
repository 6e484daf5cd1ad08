"""Profiles are what Braze would show after what has arrived."""

from __future__ import annotations

from typing import Any

import pytest

from mparticle_kit_braze.sandbox import Location, Sandbox, UserProfile

from .requests_of_a_client import SESSION, Client, body, event


def send(
    client: Client, *events: dict[str, Any], attributes: list[dict[str, Any]] | None = None, **fields: Any
) -> None:
    status, answer = client.post(body(events=list(events) or None, attributes=attributes, **fields))
    assert status == 200, answer


def test_events_are_counted_with_first_and_last_time(sandbox: Sandbox, client: Client) -> None:
    """A custom event has a count and the times of its first and last happening, whatever the order."""
    for moment in (20.0, 10.0, 30.0):
        send(client, event(user_id="u", time=moment))
    profile = sandbox.profile("u")
    assert profile.custom_events == {"Played": 3}
    assert (profile.events["Played"].first, profile.events["Played"].last) == (10.0, 30.0)


def test_purchases_add_up_by_product_and_currency(sandbox: Sandbox, client: Client) -> None:
    """Revenue is price times quantity, exactly, for prices as text and as numbers."""
    send(
        client,
        event("p", {"pid": "tea", "c": "USD", "p": "0.10", "q": 3, "pr": {}}, user_id="u"),
        event("p", {"pid": "tea", "c": "USD", "p": 0.2, "q": 1}, user_id="u"),
        event("p", {"pid": "cup", "c": "EUR", "p": "5", "q": 2}, user_id="u"),
    )
    profile = sandbox.profile("u")
    assert profile.purchases == {"tea": 4, "cup": 2}
    assert profile.products["tea"].count == 2
    assert profile.revenue == {"USD": 0.5, "EUR": 10.0}


def test_attributes_set_replace_and_clear(sandbox: Sandbox, client: Client) -> None:
    """Standard and custom fields are set, replaced, and removed by null."""
    send(client, attributes=[{"user_id": "u", "first_name": "Ada", "custom": {"a": 1, "b": {"c": 1}}}])
    send(client, attributes=[{"user_id": "u", "last_name": "L", "custom": {"a": None, "b": {"d": 2}}}])
    send(client, attributes=[{"user_id": "u", "first_name": None}])
    profile = sandbox.profile("u")
    assert profile.attributes == {"last_name": "L"}
    assert profile.custom_attributes == {"b": {"d": 2}}


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ([("set", ["a", "b"])], ["a", "b"]),
        ([("add", "a"), ("add", "b"), ("add", "a")], ["a", "b"]),
        ([("set", ["a", "b", "a"]), ("rem", "a")], ["b"]),
        ([("inc", 2), ("inc", -5)], -3),
        ([("ncam", {"a": 1, "b": {"c": 1}}), ("ncam", {"a": None, "b": {"d": 2}})], {"b": {"c": 1, "d": 2}}),
        (
            [("ncam", {"$add": [{"id": 1}, {"id": 2}]}), ("ncam", {"$add": [{"id": 3}]})],
            [{"id": 1}, {"id": 2}, {"id": 3}],
        ),
        (
            [
                ("ncam", {"$add": [{"id": 1}, {"id": 2}]}),
                (
                    "ncam",
                    {"$update": [{"$identifier_key": "id", "$identifier_value": 1, "$new_object": {"a": 2}}]},
                ),
                ("ncam", {"$remove": [{"$identifier_key": "id", "$identifier_value": 2}]}),
            ],
            [{"id": 1, "a": 2}],
        ),
    ],
)
def test_operations_on_custom_attributes(
    sandbox: Sandbox, client: Client, operations: list[tuple[str, Any]], expected: Any
) -> None:
    """Lists, counters and nested objects change as the operations say."""
    send(client, *(event(code, {"key": "k", "value": value}, user_id="u") for code, value in operations))
    assert sandbox.profile("u").custom_attributes == {"k": expected}


def test_a_set_value_is_counted_up_in_the_same_request(sandbox: Sandbox, client: Client) -> None:
    """Attributes come before events: setting 5 and adding 2 makes 7."""
    send(client, event("inc", {"key": "n", "value": 2}, user_id="u"), attributes=[{"user_id": "u", "custom": {"n": 5}}])
    assert sandbox.profile("u").custom_attributes == {"n": 7}


def test_sessions_have_durations(sandbox: Sandbox, client: Client) -> None:
    """A session is known from its start and has a length once it ends."""
    send(client, event("ss", {}, user_id="u", time=5.0))
    assert sandbox.profile("u").sessions[SESSION].duration is None
    send(client, event("se", {"d": 12.5}, user_id="u"))
    profile = sandbox.profile("u")
    assert (profile.sessions[SESSION].start, profile.session_seconds) == (5.0, 12.5)


def test_aliases_groups_locations_and_devices(sandbox: Sandbox, client: Client) -> None:
    """What else a user has is kept by its own key."""
    send(
        client,
        event("uae", {"a": "ada", "l": "shop"}, user_id="u"),
        event("sgu", {"group_id": "g", "status": "subscribed"}, user_id="u"),
        event("lcaa", {"key": "home", "latitude": 1, "longitude": 2}, user_id="u"),
        event("lcaa", {"key": "work", "latitude": 3, "longitude": 4}, user_id="u"),
        event("lcar", {"key": "work"}, user_id="u"),
        event("lr", {"latitude": 5, "longitude": 6, "ll_accuracy": 7}, user_id="u"),
        event("si", {"trigger_ids": ["t"]}, user_id="u"),
        device={"os_version": "Linux"},
    )
    profile = sandbox.profile("u")
    assert profile.aliases == {"shop": "ada"}
    assert profile.subscription_groups == {"g": "subscribed"}
    assert profile.custom_locations == {"home": Location(1, 2)}
    assert profile.location == Location(5, 6, accuracy=7)
    assert profile.other_events == {"si": 1}
    assert profile.devices == {"device-1": {"os_version": "Linux"}}


def test_anonymous_user_becomes_the_identified_one(sandbox: Sandbox, client: Client) -> None:
    """At login the anonymous profile of the device goes over, and nothing anonymous is left."""
    send(client, event("ss", {}), event(), attributes=[{"first_name": "Ada"}])
    assert sandbox.anonymous_profile("device-1").custom_events == {"Played": 1}
    send(client, event(user_id="u"))
    profile = sandbox.profile("u")
    assert profile.custom_events == {"Played": 2}
    assert profile.attributes == {"first_name": "Ada"}
    assert list(profile.sessions) == [SESSION]
    with pytest.raises(KeyError, match="device-1"):
        sandbox.anonymous_profile("device-1")


def test_login_within_one_request(sandbox: Sandbox, client: Client) -> None:
    """Anonymous and identified events of one request end in one profile, the login being known from the request too."""
    send(client, event(), event(alias={"label": "shop", "name": "ada"}), respond_with={"user_id": "u"})
    (profile,) = sandbox.profiles
    assert (profile.external_id, profile.custom_events, profile.aliases) == ("u", {"Played": 2}, {"shop": "ada"})


def test_merging_fills_gaps_and_adds_counts(sandbox: Sandbox, client: Client) -> None:
    """A known user keeps their own fields at login; counts and revenue of both add up."""
    purchase = {"pid": "tea", "c": "USD", "p": "1.00", "q": 1}
    known = {"user_id": "u", "first_name": "Ada", "custom": {"a": 1}}
    send(client, event("p", purchase, user_id="u", time=1.0), attributes=[known], device_id="other")
    send(client, event("p", purchase, time=2.0), attributes=[{"first_name": "X", "last_name": "L", "custom": {"b": 2}}])
    send(client, event(user_id="u"))
    profile = sandbox.profile("u")
    assert profile.attributes == {"first_name": "Ada", "last_name": "L"}
    assert profile.custom_attributes == {"a": 1, "b": 2}
    assert profile.revenue == {"USD": 2.0}
    assert (profile.products["tea"].first, profile.products["tea"].last) == (1.0, 2.0)
    assert profile.device_ids == ["other", "device-1"]


def test_users_of_one_device_stay_apart(sandbox: Sandbox, client: Client) -> None:
    """A second user on the same device gets only what is theirs."""
    send(client, event(user_id="u1"), event(user_id="u2"), event(user_id="u1"))
    assert sandbox.profile("u1").custom_events == {"Played": 2}
    assert sandbox.profile("u2").custom_events == {"Played": 1}


def test_profiles_are_copies(sandbox: Sandbox, client: Client) -> None:
    """Changing a profile one was given changes nothing in the sandbox, and an unknown user is an error."""
    send(client, attributes=[{"user_id": "u", "custom": {"k": ["a"]}}])
    profile: UserProfile = sandbox.profile("u")
    profile.custom_attributes["k"].append("b")
    assert sandbox.profile("u").custom_attributes == {"k": ["a"]}
    with pytest.raises(KeyError, match="nobody"):
        sandbox.profile("nobody")
