"""What a request says beside its data, and how queued records become its data."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mparticle_kit_braze._version import __version__
from mparticle_kit_braze.errors import ConfigurationError

from .conftest import START, Client, ManualClock


def test_the_first_request_of_a_session(make_client: Callable[..., Client]) -> None:
    """All fields and headers of the reference's example, truthfully."""
    client = make_client(":memory:", app_version="1.2.3.4", sdk_metadata=["mp"])
    client.braze.change_user("u1")
    client.user.set_first_name("Ada")
    client.user.set_custom_attribute("k", 1)
    body = client.send()
    assert body["respond_with"] == {"triggers": True, "user_id": "u1", "config": {"config_time": 0}}
    assert [event["name"] for event in body["events"]] == ["ss"]
    assert body["attributes"] == [{"user_id": "u1", "first_name": "Ada", "custom": {"k": 1}}]
    assert body["device"]["user_agent"].startswith("mparticle-kit-braze/")
    assert set(body["device"]) <= {"os_version", "locale", "time_zone", "user_agent"}
    assert (body["api_key"], body["time"], body["sdk_metadata"]) == ("key-1", int(START), ["mp"])
    assert (body["sdk_version"], body["device_id"]) == (__version__, client.braze.device_id)
    assert body["app_version"] == "1.2.3.4"
    assert "user_id" not in body
    assert client.delivery.requests[0].url == "https://sdk.example/api/v3/data/"
    assert client.last_headers == {
        "Content-Type": "application/json",
        "X-Braze-Api-Key": "key-1",
        "X-Braze-Last-Req-Ms-Ago": "7200000",
        "X-Braze-Req-Attempt": "1",
        "X-Braze-TriggersRequest": "true",
        "X-Braze-DataRequest": "true",
    }


def test_what_is_acknowledged_is_not_sent_again(make_client: Callable[..., Client], clock: ManualClock) -> None:
    """Device until acknowledged, metadata once a session, triggers once; headers tell time and tokens."""
    client = make_client(sdk_metadata=["mp"])
    client.braze.log_custom_event("a")
    client.send(status=500)
    assert {"device", "sdk_metadata"} <= set(client.send())
    clock.advance(20)
    client.braze.log_custom_event("b")
    body = client.send()
    assert not {"device", "sdk_metadata"} & set(body)
    assert body["respond_with"] == {"config": {"config_time": 0}}
    assert client.last_headers["X-Braze-Last-Req-Ms-Ago"] == "20000"
    assert client.last_headers["X-Braze-Req-Tokens-Remaining"] == "28"
    assert "X-Braze-DataRequest" not in client.last_headers
    client.braze.close()
    clock.advance(3000)
    again = make_client(sdk_metadata=["mp"])
    again.braze.log_custom_event("c")
    body = again.send()
    assert "device" not in body
    assert body["sdk_metadata"] == ["mp"]
    assert body["respond_with"]["triggers"] is True
    again.braze.change_user("u1")
    assert {"device", "sdk_metadata"} <= set(again.send())
    assert again.last_headers["X-Braze-Last-Req-Ms-Ago"] == "7200000"
    assert "X-Braze-Req-Tokens-Remaining" not in again.last_headers


def test_attempts_are_counted_in_the_header(client: Client) -> None:
    """Delivery's count is passed on."""
    client.braze.log_custom_event("a")
    for number in ("1", "2", "3"):
        client.send(status=503)
        assert client.last_headers["X-Braze-Req-Attempt"] == number


def test_attempts_count_on_over_restarts_and_users(make_client: Callable[..., Client]) -> None:
    """Whatever failed counts, an authentication failure too; only a success, or a wipe, ends the count."""
    client = make_client(sdk_authentication=True)
    client.braze.change_user("u1", "sig")
    client.send(status=503)
    client.send({"auth_error": {"error_code": 22, "reason": "EXPIRED"}})
    records = client.delivery.records
    again = make_client(sdk_authentication=True)
    again.delivery.records.extend(records)
    again.send(status=400)
    assert again.last_headers["X-Braze-Req-Attempt"] == "3"
    again.braze.change_user("u2", "sig")
    again.send()
    assert again.last_headers["X-Braze-Req-Attempt"] == "4"
    again.send(status=503)
    assert again.last_headers["X-Braze-Req-Attempt"] == "1"
    again.braze.wipe_data()
    again.braze.log_custom_event("a")
    again.send()
    assert again.last_headers["X-Braze-Req-Attempt"] == "1"


def test_app_version_code(make_client: Callable[..., Client]) -> None:
    """Sent as given beside the version, and only four numbers are taken."""
    client = make_client(":memory:", app_version="2024 summer", app_version_code="24.7.0.12")
    client.braze.log_custom_event("a")
    body = client.send()
    assert (body["app_version"], body["app_version_code"]) == ("2024 summer", "24.7.0.12")
    for wrong in ("1.2.3", "1.2.3.x", "", "1.2.3.4\n", 5):
        with pytest.raises(ConfigurationError):
            make_client(":memory:", app_version_code=wrong)


def test_attributes_merge_key_by_key(client: Client) -> None:
    """At the top and inside custom, null included; deeper values are replaced whole."""
    client.user.set_first_name("A")
    client.user.set_custom_attribute("k", {"a": 1})
    client.user.set_custom_attribute("j", 1)
    client.user.set_custom_attribute("k", {"b": 2})
    client.user.set_custom_attribute("j", None)
    client.user.set_first_name(None)
    assert client.send()["attributes"] == [{"first_name": None, "custom": {"k": {"b": 2}, "j": None}}]


def test_a_failed_requests_attributes_merge_with_newer_ones(client: Client) -> None:
    """The newer win."""
    client.user.set_first_name("A")
    client.user.set_last_name("B")
    client.send(status=500)
    client.user.set_first_name("C")
    assert client.send()["attributes"] == [{"first_name": "C", "last_name": "B"}]


def test_adoption_outlives_a_restart(make_client: Callable[..., Client]) -> None:
    """Unsent anonymous attributes take the first user id, whichever process sends them; events stay anonymous."""
    first = make_client()
    first.braze.log_custom_event("a")
    first.user.set_first_name("A")
    records = first.delivery.records
    second = make_client()
    second.delivery.records.extend(records)
    second.braze.change_user("u1")
    second.braze.change_user("u2")
    second.user.set_first_name("B")
    body = second.send()
    assert body["attributes"] == [{"user_id": "u1", "first_name": "A"}, {"user_id": "u2", "first_name": "B"}]
    assert "user_id" not in body["events"][1]


def test_without_adoption_anonymous_attributes_stay_anonymous(make_client: Callable[..., Client]) -> None:
    """As the mobile SDKs."""
    client = make_client(":memory:", adopt_anonymous_attributes=False)
    client.user.set_first_name("A")
    client.braze.change_user("u1")
    client.user.set_last_name("B")
    assert client.send()["attributes"] == [{"first_name": "A"}, {"user_id": "u1", "last_name": "B"}]


def test_alias_marks_requests_until_identified(make_client: Callable[..., Client]) -> None:
    """On anonymous events, at the top and in respond_with; over restarts; not on attributes."""
    mark = {"label": "lab", "name": "al"}
    first = make_client()
    first.user.add_alias("al", "lab")
    second = make_client()
    second.braze.log_custom_event("e")
    second.user.set_first_name("A")
    body = second.send()
    assert body["alias"] == body["respond_with"]["alias"] == body["events"][0]["alias"] == mark
    assert body["attributes"] == [{"first_name": "A"}]
    second.braze.log_custom_event("f")
    second.braze.change_user("u1")
    body = second.send()
    assert "alias" not in body
    assert "alias" not in body["respond_with"]
    assert not any("alias" in event for event in body["events"])


def test_push_token(client: Client) -> None:
    """A device token is an attribute of its own, sent soon; None withdraws it."""
    assert client.user.set_push_token("tok")
    assert client.delivery.wanted_soon == 1
    assert client.send()["attributes"] == [{"push_token": "tok"}]
    assert client.user.set_push_token(None)
    assert client.send()["attributes"] == [{"push_token": None}]
    assert not client.user.set_push_token("")


def test_a_damaged_record_does_not_stop_the_rest(client: Client) -> None:
    """It is left out and reported."""
    client.delivery.append("a", b'{"first_na')
    client.user.set_last_name("B")
    assert client.send()["attributes"] == [{"last_name": "B"}]
    assert [problem.code for problem in client.problems] == ["record_damaged"]


def test_values_are_copied_at_the_call(client: Client) -> None:
    """Changing them afterwards changes nothing."""
    properties = {"a": [1]}
    client.braze.log_custom_event("e", properties)
    client.user.set_custom_attribute("k", properties)
    properties["a"].append(2)
    body = client.send()
    assert body["events"][1]["data"]["p"] == {"a": [1]}
    assert body["attributes"][0]["custom"]["k"] == {"a": [1]}


def test_an_answer_to_an_earlier_users_request_acknowledges_nothing(client: Client) -> None:
    """The user changed while the request was out."""
    client.braze.change_user("u1")
    delivery = client.delivery
    request = delivery.destination.build(tuple(delivery.records), attempt=1, now=START)
    client.braze.change_user("u2")
    delivery.destination.interpret(request, delivery.answer(request))
    body = client.send()
    assert "device" in body
    assert body["respond_with"]["triggers"] is True


# -- SDK authentication ---------------------------------------------------------------------------------------------


@pytest.fixture
def authenticated(make_client: Callable[..., Client]) -> Client:
    """A client with SDK authentication."""
    return make_client(sdk_authentication=True)


def test_one_user_a_request_with_its_own_signature(authenticated: Client) -> None:
    """Records leave in order, split where the user changes."""
    client = authenticated
    client.braze.log_custom_event("a")
    client.user.set_first_name("anonymous")
    client.braze.change_user("u1", "sig-1")
    client.braze.log_custom_event("b")
    client.braze.change_user('u"2', "sig-2")
    client.braze.log_custom_event("c")
    sent = []
    while client.delivery.records:
        body = client.send()
        sent.append(
            (
                [event.get("user_id") for event in body.get("events", [])],
                [attributes.get("user_id") for attributes in body.get("attributes", [])],
                body["respond_with"].get("user_id"),
                body["respond_with"].get("triggers"),
                client.last_headers["X-Braze-Auth-Signature"],
            )
        )
    assert sent == [
        ([None, None], [], None, None, "sig-2"),
        ([], ["u1"], "u1", None, "sig-1"),
        ([None], [], None, None, "sig-2"),
        (["u1", "u1", "u1"], [], "u1", None, "sig-1"),
        (['u"2', 'u"2'], [], 'u"2', True, "sig-2"),
    ]


def test_signatures(authenticated: Client, make_client: Callable[..., Client]) -> None:
    """A new one replaces the old, lets delivery go on, and is known after a restart; text only."""
    client = authenticated
    client.braze.change_user("u1")
    client.send()
    assert "X-Braze-Auth-Signature" not in client.last_headers
    client.braze.change_user("u1", "sig-1")
    assert client.braze.set_sdk_authentication_signature("sig-2")
    assert not client.braze.set_sdk_authentication_signature("")
    assert not client.braze.set_sdk_authentication_signature(5)  # type: ignore[arg-type]  # wrong on purpose
    assert client.delivery.resumed == 3  # once for the change of user
    again = make_client(sdk_authentication=True)
    again.braze.log_custom_event("e")
    again.send()
    assert again.last_headers["X-Braze-Auth-Signature"] == "sig-2"


def test_signatures_are_ignored_when_the_option_is_off(client: Client) -> None:
    """No header, false, and nothing is held."""
    client.braze.change_user("u1", "sig")
    assert not client.braze.set_sdk_authentication_signature("sig")
    client.send()
    assert "X-Braze-Auth-Signature" not in client.last_headers
