"""What comes in between: other users, new signatures, disabling, answers that come late."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from mparticle_kit_braze.braze import Braze
from mparticle_kit_braze.braze.messaging.in_app_messages import InAppMessage
from mparticle_kit_braze.errors import InvalidArgumentError
from mparticle_kit_braze.sandbox import Reply, SandboxRequest

from .conftest import START, Lab, braze_headers

AGAIN: dict[str, Any] = {"re_eligibility": 0, "min_seconds_since_last_trigger": 0}


def synced(lab: Lab, **settings: Any) -> Braze:
    """A client with a session and the sandbox's configuration."""
    braze = lab.client(**settings)
    braze.open_session()
    braze.flush(5)
    return braze


def settled(lab: Lab, braze: Braze) -> None:
    """Wait until whatever was asked before has been made."""
    done: list[bool] = []
    lab.until(lambda: braze.content_cards.request_refresh(done.append))
    lab.until(lambda: done)


# -- templates ------------------------------------------------------------------------------------------------------


def test_a_template_gets_the_event_as_it_was_queued(lab: Lab) -> None:
    """Its time, also a given one, its session and the anonymous user's alias."""
    lab.sandbox.add_in_app_message(event="show", id="t1", template={"type": "MODAL"}, **AGAIN)
    lab.sandbox.triggers[0]["data"] = {"trigger_id": ["no text"]}
    braze = lab.client()
    braze.in_app_messages.stream()
    braze.current_user.add_alias("al", "lab")
    braze.flush(5)
    lab.clock.advance(0.0019)
    braze.log_custom_event("show")
    braze.log_custom_event("show", time=START - 5.25)
    lab.wait_for("template", 2)
    braze.flush(5)
    queued = [event for event in lab.sandbox.events if event["name"] == "ce"]
    templates = [one.body["template"] for one in lab.requests("template")]
    assert [template["trigger_id"] for template in templates] == ["t1", "t1"]
    assert [template["data"] for template in templates] == queued
    assert {template["data"]["alias"]["name"] for template in templates} == {"al"}
    assert queued[1]["time"] == START - 5.25


def test_a_template_refused_for_its_signature_comes_up_once(lab: Lab) -> None:
    """It is tried again by itself, with whatever signature there is then, and not once more for a new one."""
    lab.sandbox.add_in_app_message(event="show", id="t1", template={"type": "MODAL"}, **AGAIN)
    lab.sandbox.add_content_card("a")
    braze = lab.client(sdk_authentication=True)
    braze.change_user("u1", "old")
    braze.flush(5)
    stream = braze.in_app_messages.stream()
    lab.sandbox.respond_next(Reply(status=401, body={"error_code": 22, "reason": "EXPIRED"}))
    braze.log_custom_event("show")
    lab.wait_for("template")
    lab.wait_for_sleep(1, 3)
    assert braze.set_sdk_authentication_signature("new")
    lab.clock.advance(3)
    assert lab.wait_for("template", 2).headers["X-Braze-Auth-Signature"] == "new"
    assert stream.take(5) is not None
    assert braze.set_sdk_authentication_signature("newer")
    settled(lab, braze)
    assert len(lab.requests("template")) == 2
    assert stream.take(0) is None


def test_a_template_is_not_tried_again_for_another_user(lab: Lab) -> None:
    """The user changed between two attempts: nothing is asked, nothing comes up."""
    lab.sandbox.add_in_app_message(event="show", id="t1", template={"type": "MODAL"}, **AGAIN)
    lab.sandbox.add_content_card("a")
    braze = lab.client()
    braze.change_user("u1")
    braze.flush(5)
    stream = braze.in_app_messages.stream()
    lab.sandbox.respond_next(Reply(status=500))
    braze.log_custom_event("show")
    lab.wait_for("template")
    lab.wait_for_sleep(1, 3)
    braze.change_user("u2")
    lab.clock.advance(3)
    settled(lab, braze)
    assert len(lab.requests("template")) == 1
    assert stream.take(0) is None


def test_a_delayed_message_is_not_brought_up_while_disabled(lab: Lab) -> None:
    """Disabling takes what was on its way with it."""
    lab.sandbox.add_in_app_message(event="show", id="t1", delay=5, **AGAIN)
    lab.sandbox.add_in_app_message(event="other", id="t2", delay=6, **AGAIN)
    braze = synced(lab)
    got: list[InAppMessage] = []
    braze.in_app_messages.subscribe(got.append)
    braze.log_custom_event("show")
    braze.log_custom_event("other")
    braze.disable()
    lab.clock.wait_for_sleeper(5.0)
    lab.clock.advance(5)
    lab.wait_for_sleep(0.5, 1.5)
    braze.enable()
    lab.clock.advance(1)
    lab.until(lambda: got)
    assert [message.trigger_id for message in got] == ["t2"]


# -- asking ---------------------------------------------------------------------------------------------------------


def test_who_is_refused_hears_of_it(lab: Lab) -> None:
    """Every callback is called once, also when nothing was asked: off, too soon, beyond a limit, disabled."""
    braze = lab.client()
    braze.open_session()
    told: list[bool] = []
    calls: list[Callable[[Callable[[bool], object]], bool]] = [
        braze.content_cards.request_refresh,
        braze.feature_flags.refresh,
        lambda callback: braze.banners.request_refresh(["p"], callback),
        braze.push.unregister,
    ]
    for number, ask in enumerate(calls, start=1):
        assert not ask(told.append)
        lab.until(lambda number=number: told == [False] * number)  # type: ignore[misc]  # mypy infers no lambda with a default
    lab.sandbox.configure(
        feature_flags={"enabled": True, "refresh_rate_limit": 60},
        content_cards={"enabled": True, "rate_limit": {"capacity": 1, "refill_rate": 60}},
    )
    braze.log_custom_event("x")
    braze.flush(5)
    lab.wait_for("feature_flags/sync")
    assert not braze.feature_flags.refresh(told.append)
    assert braze.content_cards.request_refresh()
    assert not braze.content_cards.request_refresh(told.append)
    lab.until(lambda: told == [False] * 6)
    braze.disable()
    assert not braze.content_cards.request_refresh(told.append)
    lab.until(lambda: told == [False] * 7)


def test_flags_refused_as_too_soon_are_not_asked_for_later(lab: Lab) -> None:
    """Only flags that were off when the session began are asked for when a configuration switches them on."""
    lab.sandbox.configure(feature_flags={"enabled": True, "refresh_rate_limit": 5000})
    lab.sandbox.add_content_card("a")
    braze = synced(lab)
    lab.wait_for("feature_flags/sync")
    lab.clock.advance(2000)
    braze.log_custom_event("x")  # a new session, within the limit
    braze.flush(5)
    lab.clock.advance(3500)
    lab.sandbox.configure(feature_flags={"enabled": True, "refresh_rate_limit": 10}, messaging_session_timeout=9)
    braze.current_user.set_first_name("Ada")  # brings the configuration without a session
    braze.flush(5)
    settled(lab, braze)
    assert len(lab.requests("feature_flags/sync")) == 1


@pytest.mark.parametrize("change", ["user", "off", "disabled"])
def test_an_answer_that_asks_to_be_asked_again_is_forgotten(lab: Lab, change: str) -> None:
    """For another user, with cards switched off, or while disabled nothing is asked again."""
    lab.sandbox.add_content_card("a")
    lab.sandbox.add_feature_flag("f")
    braze = synced(lab)
    lab.wait_for("feature_flags/sync")
    done: list[bool] = []
    lab.sandbox.respond_next(Reply(headers={"Retry-After": "7"}))
    assert braze.content_cards.request_refresh(done.append)
    lab.until(lambda: done)
    lab.clock.wait_for_sleeper(7.0)
    if change == "user":
        braze.change_user("u2")
    elif change == "off":
        lab.sandbox.configure(content_cards={"enabled": False})
        braze.log_custom_event("x")
    braze.flush(5)
    if change == "disabled":
        braze.disable()
    lab.clock.advance(7)
    lab.until(lambda: not any("callbacks" in thread.name for thread in threading.enumerate()))
    braze.enable()
    if change != "user":
        lab.clock.advance(2000)  # a new session asks for flags: what was asked before them has been made
        braze.log_custom_event("y")
    lab.wait_for("feature_flags/sync", 2)
    assert len(lab.requests("content_cards/sync")) == 1


def test_banners_are_not_asked_for_after_a_wipe(lab: Lab) -> None:
    """There is no configuration any more that would allow it."""
    lab.sandbox.add_banner("p1")
    lab.sandbox.add_content_card("a")
    braze = synced(lab)
    done: list[bool] = []
    assert braze.banners.request_refresh(["p1"], done.append)
    lab.until(lambda: done == [True])
    braze.wipe_data()
    braze.open_session()
    braze.flush(5)
    settled(lab, braze)
    assert len(lab.requests("banners/sync")) == 1


def test_a_templates_own_limit(lab: Lab) -> None:
    """It is named without the slash its path ends with; beyond it nothing is asked, and the trigger may fire again."""
    limits = {"capacity": 30, "refill_rate": 30, "endpoint_overrides": {"template": {"capacity": 1, "refill_rate": 60}}}
    lab.sandbox.configure(global_request_rate_limit=limits)
    lab.sandbox.add_in_app_message(event="show", id="t1", template={"type": "MODAL"}, **AGAIN)
    lab.sandbox.add_content_card("a")
    braze = synced(lab)
    with braze.in_app_messages.stream() as stream:
        for _ in range(2):
            braze.log_custom_event("show")
        assert stream.take(5) is not None
        settled(lab, braze)
        assert len(lab.requests("template")) == 1
        lab.clock.advance(61)
        braze.log_custom_event("show")
        assert stream.take(5) is not None


def test_headers_tell_of_requests_before_a_restart(lab: Lab) -> None:
    """The time of the last request and the failures since the last success outlive the process; a wipe ends both."""
    lab.sandbox.add_content_card("a")
    braze = synced(lab)
    done: list[bool] = []
    lab.sandbox.respond_next(Reply(status=500))
    braze.content_cards.request_refresh(done.append)
    lab.until(lambda: done == [False])
    braze.close()
    lab.clock.advance(4)
    braze = lab.client()
    braze.content_cards.request_refresh(done.append)
    lab.until(lambda: done == [False, True])
    headers = braze_headers(lab.requests("content_cards/sync")[1])
    assert (headers["x-braze-last-req-ms-ago"], headers["x-braze-req-attempt"]) == ("4000", "2")
    lab.sandbox.respond_next(Reply(status=500))
    braze.content_cards.request_refresh(done.append)
    lab.until(lambda: len(done) == 3)
    braze.change_user("u1")
    braze.content_cards.request_refresh(done.append)
    lab.until(lambda: len(done) == 4)
    headers = braze_headers(lab.requests("content_cards/sync")[3])
    assert (headers["x-braze-last-req-ms-ago"], headers["x-braze-req-attempt"]) == ("7200000", "2")


# -- users and the end ----------------------------------------------------------------------------------------------


def test_an_answer_may_come_before_the_change_of_user_is_told(lab: Lab) -> None:
    """The new user's triggers are kept although messaging hears of the change only after they came."""
    lab.sandbox.add_in_app_message(event="show", id="t1", **AGAIN)
    braze = synced(lab)
    stream = braze.in_app_messages.stream()
    recorder = braze._recorder
    told = recorder.on_session
    recorder.on_session = lambda: (lab.wait_for("data", 2), braze.flush(5), told())
    braze.change_user("u1")
    braze.log_custom_event("show")
    message = stream.take(5)
    assert message is not None
    assert message.trigger_id == "t1"


def test_web_push_is_withdrawn_whole(lab: Lab) -> None:
    """Setting no token clears all that was registered, not only the token."""
    braze = lab.client()
    braze.push.register("https://push.example/ep", public_key="BA", user_auth="CQ")
    assert braze.current_user.set_push_token(None)
    braze.flush(5)
    keys = ("push_token", "custom_push_public_key", "custom_push_user_auth", "custom_push_vapid_public_key")
    assert lab.sandbox.attributes[-1] == dict.fromkeys(keys)


def test_log_out(lab: Lab) -> None:
    """Withdraws the token, sends what is queued, then takes nothing until enabled, as somebody new."""
    braze = lab.client()
    braze.change_user("u1")
    braze.push.register("token")
    braze.log_custom_event("bye")
    device = braze.device_id
    assert braze.log_out(5).complete
    assert lab.sandbox.messaging.withdrawn_tokens == ["token"]
    assert lab.sandbox.attributes[-1] == {"user_id": "u1", "push_token": None}
    assert [event["name"] for event in lab.sandbox.events] == ["ss", "ce"]
    assert not braze.log_custom_event("nothing")
    assert braze.log_out(5).complete
    braze.enable()
    assert (braze.user_id, braze.device_id == device) == (None, False)
    assert braze.log_custom_event("again")
    assert braze.flush(5).complete
    assert "user_id" not in lab.sandbox.events[-1]


def test_nothing_is_to_be_seen_while_disabled(lab: Lab) -> None:
    """As the Web SDK, a disabled client gives no cards, flags or banners; enabled again it does."""
    lab.sandbox.add_content_card("a")
    lab.sandbox.add_feature_flag("f")
    lab.sandbox.add_banner("p1")
    braze = synced(lab)
    done: list[bool] = []
    braze.content_cards.request_refresh(done.append)
    braze.banners.request_refresh(["p1"], done.append)
    lab.until(lambda: len(done) == 2 and braze.feature_flags.all)
    seen: list[object] = []
    for disabled in (True, False):
        (braze.disable if disabled else braze.enable)()
        seen += [bool(braze.content_cards.cards), bool(braze.banners.all), braze.feature_flags.is_enabled("f")]
    assert seen == [False, False, False, True, True, True]


class Caller:
    """Called like a function, asynchronously."""

    async def __call__(self, _value: object) -> None:
        """Never runs."""


async def coroutine_function(_value: object) -> None:
    """Never runs."""


@pytest.mark.parametrize("callback", [coroutine_function, Caller(), 5, None])
def test_callbacks_that_could_never_run_are_refused(lab: Lab, callback: Any) -> None:
    """A coroutine function would be called, and what it makes never awaited."""
    braze = lab.client()
    subscriptions: list[Callable[[Any], object]] = [
        braze.in_app_messages.subscribe,
        braze.content_cards.subscribe_to_updates,
        braze.feature_flags.subscribe_to_updates,
        braze.banners.subscribe_to_updates,
        braze.subscribe_to_sdk_authentication_failures,
    ]
    if callback is not None:
        subscriptions += [braze.content_cards.request_refresh, braze.feature_flags.refresh, braze.push.unregister]
    for subscribe in subscriptions:
        with pytest.raises(InvalidArgumentError):
            subscribe(callback)


def test_a_callback_may_do_anything(lab: Lab) -> None:
    """Log, flush, change the user, end its own subscription, block: others hear of the message, and calls go on."""
    lab.sandbox.add_in_app_message(event="show", id="t1", **AGAIN)
    braze = lab.client()
    blocked, go = threading.Event(), threading.Event()
    done: list[object] = []

    def busy(message: InAppMessage) -> None:
        end()
        done.append(braze.in_app_messages.log_impression(message))
        done.append(braze.log_custom_event("from within"))
        done.append(braze.flush(5).complete)
        braze.change_user("u1")
        blocked.set()
        go.wait(10)

    end = braze.in_app_messages.subscribe(busy)
    stream = braze.in_app_messages.stream()
    braze.log_custom_event("show")
    assert blocked.wait(10)
    assert braze.log_custom_event("meanwhile")
    assert braze.flush(5).complete
    go.set()
    assert done == [True, True, True]
    assert stream.take(5) is not None
    braze.log_custom_event("show")
    assert stream.take(5) is not None
    assert len(done) == 3


def test_impressions_by_flag_or_id(lab: Lab) -> None:
    """Both count the same; anything else is a wrong call."""
    lab.sandbox.add_feature_flag("f", tracking="track")
    braze = synced(lab)
    lab.until(lambda: braze.feature_flags.all)
    (flag,) = braze.feature_flags.all
    assert [braze.feature_flags.log_impression(one) for one in (flag, "f")] == [True, False]


def test_handle_push(lab: Lab) -> None:
    """A payload of another sender is nobody's; one of ours is read, and its opening logged."""
    braze = lab.client()
    payload = {"_ab": "true", "cid": "camp", "t": "T", "uri": "app://x"}
    message = braze.handle_push(payload, opened=True)
    assert message is not None
    assert message.deep_link == "app://x"
    assert braze.handle_push({"from": "elsewhere"}, opened=True) is None
    braze.flush(5)
    assert lab.sandbox.analytics["pc"] == {"camp": 1}


def test_a_held_sync_goes_with_the_signature_its_failure_brought(lab: Lab) -> None:
    """Set by the failure callback, the new signature is used at once, but not again and again."""
    lab.sandbox.add_content_card("a")
    lab.sandbox.add_feature_flag("f")
    braze = lab.client(sdk_authentication=True)
    braze.change_user("u1", "first")
    braze.flush(5)
    lab.wait_for("feature_flags/sync")
    given = iter(["second", "third", "fourth"])
    braze.subscribe_to_sdk_authentication_failures(lambda _failure: braze.set_sdk_authentication_signature(next(given)))

    def refuse(request: SandboxRequest) -> Reply | None:
        return Reply(status=401, body={"error_code": 22}) if "cards" in request.path else None

    lab.sandbox.fault = refuse
    done: list[bool] = []
    assert braze.content_cards.request_refresh(done.append)
    lab.wait_for("content_cards/sync", 2)
    lab.until(lambda: done == [False])
    for count in (2, 3):  # requests go in order: a third one for cards would be made before the second of these
        assert braze.feature_flags.refresh(done.append)
        lab.until(lambda count=count: len(done) == count)  # type: ignore[misc]  # mypy infers no lambda with a default
    sent = [one.headers["X-Braze-Auth-Signature"] for one in lab.requests("content_cards/sync")]
    assert sent == ["first", "second"]
    lab.sandbox.fault = None
    braze.set_sdk_authentication_signature("good")
    lab.until(lambda: braze.content_cards.cards)
