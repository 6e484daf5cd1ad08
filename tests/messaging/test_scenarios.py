"""The scenarios recorded from the real SDK, request by request, headers included: triggers, templates, signatures."""

from __future__ import annotations

import itertools

import pytest

from mparticle_kit_braze.braze import AuthenticationFailure
from mparticle_kit_braze.sandbox import Reply

from .conftest import KEY, START, Lab, braze_headers, own_members


def test_trigger_sync(lab: Lab) -> None:
    """A new session asks for triggers, later requests of it do not, a lapsed messaging session asks again."""
    lab.sandbox.configure(messaging_session_timeout=300)
    braze = lab.client()
    braze.in_app_messages.stream()
    braze.change_user("u1")
    first = lab.wait_for("data")
    assert braze_headers(first) == {
        "x-braze-api-key": KEY,
        "x-braze-last-req-ms-ago": "7200000",
        "x-braze-req-attempt": "1",
        "x-braze-triggersrequest": "true",
        "x-braze-datarequest": "true",
    }
    assert first.headers["Content-Type"] == "application/json"
    assert first.body["respond_with"] == {"triggers": True, "user_id": "u1", "config": {"config_time": 0}}
    assert "user_id" not in first.body
    lab.clock.advance(2.5)
    braze.log_custom_event("show")
    braze.flush(5)
    second = lab.wait_for("data", 2)
    assert braze_headers(second) == {
        "x-braze-api-key": KEY,
        "x-braze-last-req-ms-ago": "2500",
        "x-braze-req-attempt": "1",
    }
    assert second.body["respond_with"] == {"user_id": "u1", "config": {"config_time": lab.sandbox.config["time"]}}
    lab.clock.advance(301)
    braze.log_custom_event("show")
    braze.flush(5)
    third = lab.wait_for("data", 3)
    assert third.body["respond_with"]["triggers"] is True
    assert braze_headers(third) == {
        "x-braze-api-key": KEY,
        "x-braze-last-req-ms-ago": "301000",
        "x-braze-req-attempt": "1",
        "x-braze-triggersrequest": "true",
        "x-braze-datarequest": "true",
    }
    assert [event["name"] for event in third.body["events"]] == ["ce"]  # no new session


def test_template(lab: Lab) -> None:
    """A templated trigger fetches its message with the event that fired it."""
    lab.sandbox.add_in_app_message(
        event="show", id="t1", template={"type": "MODAL", "message": "for you", "trigger_id": "t1"}
    )
    braze = lab.client()
    stream = braze.in_app_messages.stream()
    braze.change_user("u1")
    lab.wait_for("data")
    braze.log_custom_event("show", {"a": 1})
    request = lab.wait_for("template")
    assert braze_headers(request) == {
        "x-braze-api-key": KEY,
        "x-braze-last-req-ms-ago": "7200000",
        "x-braze-req-attempt": "1",
    }
    session_id = lab.sandbox.events[0]["session_id"]
    assert own_members(request.body) == {
        "template": {
            "trigger_id": "t1",
            "trigger_event_type": "custom_event",
            "data": {
                "name": "ce",
                "time": START,
                "data": {"n": "show", "p": {"a": 1}},
                "session_id": session_id,
                "user_id": "u1",
            },
        },
        "respond_with": {"user_id": "u1", "config": {"config_time": lab.sandbox.config["time"]}},
    }
    message = stream.take(5)
    assert message is not None
    assert message.raw["message"] == "for you"


def test_template_of_an_open_and_a_purchase(lab: Lab) -> None:
    """A session start sends no event along, a purchase its own."""
    lab.sandbox.add_in_app_message(id="opened", template={"type": "HTML"}, re_eligibility=0)
    lab.sandbox.add_in_app_message(
        id="bought",
        conditions=[{"type": "purchase", "data": {"product_id": "sku"}}],
        template={"type": "HTML"},
        min_seconds_since_last_trigger=0,
    )
    braze = lab.client()
    braze.in_app_messages.stream()
    braze.open_session()
    assert lab.wait_for("template").body["template"] == {"trigger_id": "opened", "trigger_event_type": "open"}
    braze.log_purchase("sku", 9.999)
    template = lab.wait_for("template", 2).body["template"]
    assert template["trigger_event_type"] == "purchase"
    assert (template["data"]["name"], template["data"]["data"]["p"]) == ("p", "10.00")


def test_template_is_tried_again(lab: Lab) -> None:
    """An error status is tried again after one to three seconds, with the attempt counted."""
    lab.sandbox.add_in_app_message(event="show", template={"type": "MODAL"})
    braze = lab.client()
    stream = braze.in_app_messages.stream()
    braze.open_session()
    lab.wait_for("data")
    lab.sandbox.respond_next(Reply(status=500), Reply(status=503))
    braze.log_custom_event("show")
    for attempt in (1, 2, 3):
        assert braze_headers(lab.wait_for("template", attempt)) == {
            "x-braze-api-key": KEY,
            "x-braze-last-req-ms-ago": "7200000" if attempt == 1 else "3000",
            "x-braze-req-attempt": str(attempt),
        }
        if attempt < 3:
            lab.wait_for_sleep(1, 3)
            lab.clock.advance(3)
    assert stream.take(5) is not None


def test_empty_template_shows_nothing(lab: Lab) -> None:
    """An empty answer does not fall back to the next trigger, and does not use this one up."""
    lab.sandbox.add_in_app_message(event="show", id="t1", priority=2, template=lambda _request: None)
    lab.sandbox.add_in_app_message({"message": "second"}, event="show", id="t2", priority=1)
    braze = lab.client()
    stream = braze.in_app_messages.stream()
    braze.open_session()
    lab.wait_for("data")
    braze.log_custom_event("show")
    lab.wait_for("template")
    braze.flush(5)
    braze.log_custom_event("show")  # within 30 s: nothing fires
    lab.clock.advance(31)
    braze.log_custom_event("show")
    lab.wait_for("template", 2)
    assert stream.take(0) is None


AUTH_ANSWERS = [
    Reply(status=200, body={"auth_error": {"error_code": 22, "reason": "EXPIRED"}}),
    Reply(status=401, body={"auth_error": {"error_code": 22, "reason": "EXPIRED"}}),
    Reply(status=401, body={"error_code": 22, "reason": "EXPIRED"}),
]


@pytest.mark.parametrize("reply", AUTH_ANSWERS, ids=["200", "401", "401-bare"])
def test_authentication_failure(lab: Lab, reply: Reply) -> None:
    """A refused signature is told with code, reason, user and signature; all is held until there is a new one."""
    lab.sandbox.add_in_app_message(event="show", id="t1")
    braze = lab.client(sdk_authentication=True)
    stream = braze.in_app_messages.stream()
    failures: list[AuthenticationFailure] = []
    braze.subscribe_to_sdk_authentication_failures(failures.append)
    lab.sandbox.respond_next(reply)
    braze.change_user("u1", "old")
    asking = {"x-braze-api-key": KEY, "x-braze-triggersrequest": "true", "x-braze-datarequest": "true"}
    assert braze_headers(lab.wait_for("data")) == {
        **asking,
        "x-braze-last-req-ms-ago": "7200000",
        "x-braze-req-attempt": "1",
        "x-braze-auth-signature": "old",
    }
    lab.until(lambda: failures)
    assert failures == [AuthenticationFailure(22, "EXPIRED", "u1", "old")]
    braze.log_custom_event("show")
    lab.clock.advance(200)  # less than the messaging session lasts
    assert not braze.flush(0.3).complete
    assert not lab.sandbox.events
    assert braze.set_sdk_authentication_signature("new")
    request = lab.wait_for("data", 2)
    assert braze_headers(request) == {
        **asking,
        "x-braze-last-req-ms-ago": "200000",
        "x-braze-req-attempt": "2",
        "x-braze-req-tokens-remaining": "29",
        "x-braze-auth-signature": "new",
    }
    assert request.body["respond_with"] == {"triggers": True, "user_id": "u1", "config": {"config_time": 0}}
    assert "device" in request.body  # not acknowledged yet
    braze.log_custom_event("show")
    assert stream.take(5) is not None
    braze.flush(5)
    assert [event["name"] for event in lab.sandbox.events] == ["ss", "ce", "ce"]


@pytest.mark.parametrize("reply", AUTH_ANSWERS, ids=["200", "401", "401-bare"])
def test_authentication_failure_of_a_sync(lab: Lab, reply: Reply) -> None:
    """What a sync was refused for want of a signature is asked again with the new one."""
    lab.sandbox.add_content_card("a")
    braze = lab.client(sdk_authentication=True)
    failures: list[AuthenticationFailure] = []
    braze.subscribe_to_sdk_authentication_failures(failures.append)
    braze.change_user("u1", "old")
    braze.flush(5)
    done: list[bool] = []
    lab.sandbox.respond_next(reply)
    assert braze.content_cards.request_refresh(done.append)
    assert lab.wait_for("content_cards/sync").headers["X-Braze-Auth-Signature"] == "old"
    lab.until(lambda: done == [False])
    assert failures == [AuthenticationFailure(22, "EXPIRED", "u1", "old")]
    braze.set_sdk_authentication_signature("new")
    assert braze_headers(lab.wait_for("content_cards/sync", 2)) == {
        "x-braze-api-key": KEY,
        "x-braze-last-req-ms-ago": "0",
        "x-braze-req-attempt": "2",
        "x-braze-contentcardsrequest": "true",
        "x-braze-datarequest": "true",
        "x-braze-auth-signature": "new",
        "braze-sync-retry-count": "0",
    }
    lab.until(lambda: braze.content_cards.cards)


def test_a_failure_callback_that_knows_no_good_signature(lab: Lab) -> None:
    """A signature set for every failure is used at once the first time, and then at the pace of the back-off."""
    braze = lab.client(sdk_authentication=True)
    numbers = itertools.count()
    braze.subscribe_to_sdk_authentication_failures(
        lambda _failure: braze.set_sdk_authentication_signature(f"bad-{next(numbers)}")
    )
    lab.sandbox.fault = lambda _request: AUTH_ANSWERS[0]
    braze.change_user("u1", "bad")
    lab.wait_for("data", 2)
    lab.wait_for_sleep(10, 90)
    signatures = [request.headers["X-Braze-Auth-Signature"] for request in lab.requests("data")]
    assert signatures == ["bad", "bad-0"]
    lab.sandbox.fault = None
    assert braze.flush(5).complete


def test_disabling_sends_what_is_queued(lab: Lab) -> None:
    """At once, as any request; then nothing, over a restart too, until enabled: the same user, device and session."""
    braze = lab.client()
    braze.change_user("u1")
    braze.flush(5)
    lab.clock.advance(3)
    braze.log_custom_event("last")
    braze.disable()
    request = lab.wait_for("data", 2)
    assert braze_headers(request) == {
        "x-braze-api-key": KEY,
        "x-braze-last-req-ms-ago": "3000",
        "x-braze-req-attempt": "1",
    }
    assert [event["name"] for event in request.body["events"]] == ["ce"]
    braze.close()
    braze = lab.client()
    assert not braze.log_custom_event("lost")
    assert not braze.current_user.set_first_name("Ada")
    braze.open_session()
    braze.request_immediate_data_flush()
    assert braze.set_sdk_authentication_signature("s") is False
    braze.enable()
    assert braze.log_custom_event("again")
    assert braze.flush(5).complete
    sessions = {event["session_id"] for event in lab.sandbox.events}
    assert (len(sessions), len({one.body["device_id"] for one in lab.requests("data")})) == (1, 1)
    assert [event["data"].get("n") for event in lab.sandbox.events] == [None, "last", "again"]
    assert {event["user_id"] for event in lab.sandbox.events} == {"u1"}


def test_disable(lab: Lab) -> None:
    """While disabled nothing is sent, asked or logged, over restarts too; enabled again it goes on."""
    lab.sandbox.add_content_card("a", u="https://x")
    lab.sandbox.add_feature_flag("f", tracking="track")
    lab.sandbox.add_banner("p1")
    braze = lab.client()
    braze.change_user("u1")
    braze.flush(5)
    lab.wait_for("feature_flags/sync")
    lab.until(lambda: braze.feature_flags.all)
    done: list[bool] = []
    braze.content_cards.request_refresh(done.append)
    braze.banners.request_refresh(["p1"], done.append)
    lab.until(lambda: len(done) == 2)
    cards, banners = braze.content_cards.cards, braze.banners.all
    braze.disable()
    before = len(lab.sandbox.requests)
    for braze in (braze, lab.client()):  # noqa: B020 - the second client begins disabled
        assert not braze.content_cards.request_refresh(done.append)
        assert not braze.feature_flags.refresh(done.append)
        assert not braze.banners.request_refresh(["p1"], done.append)
        assert not braze.content_cards.log_impressions(cards)
        assert not braze.content_cards.log_click(cards[0])
        assert not braze.content_cards.dismiss(cards[0])
        assert not braze.feature_flags.log_impression("f")
        assert not braze.banners.log_impressions(banners)
        assert not braze.push.register("token")
        assert not braze.push.unregister()
        braze.flush(0.2)
    assert len(lab.sandbox.requests) == before
    braze.enable()
    assert braze.content_cards.log_impressions(cards)
    assert braze.flush(5).complete
    assert lab.sandbox.analytics["cci"] == {"a": 1}
