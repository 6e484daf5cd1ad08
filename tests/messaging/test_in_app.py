"""In-app messages from the event to the app, and what the app tells of them."""

from __future__ import annotations

import base64
import threading
from typing import Any

import pytest

from mparticle_kit_braze.braze.messaging.in_app_messages import HtmlMessage, InAppMessage, ModalMessage
from mparticle_kit_braze.errors import InvalidArgumentError
from mparticle_kit_braze.sandbox import Reply

from .conftest import Lab, shown

BUTTONS = {"btns": [{"id": 0, "text": "OK"}, {"id": 1, "text": "No"}]}


def test_callback_and_stream_get_every_message(lab: Lab) -> None:
    """All who listen get the message, on a thread that is neither the app's nor delivery's."""
    lab.sandbox.add_in_app_message({"message": "hi"}, event="show", id="t1")
    braze = lab.client()
    threads: list[str] = []
    got: list[InAppMessage] = []

    def take(message: InAppMessage) -> None:
        threads.append(threading.current_thread().name)
        got.append(message)

    braze.in_app_messages.subscribe(take)
    stream = braze.in_app_messages.stream()
    braze.log_custom_event("show")
    lab.until(lambda: got)
    assert stream.take(5) is got[0]
    assert isinstance(got[0], ModalMessage)
    assert (got[0].message, got[0].trigger_id) == ("hi", "t1")
    assert threads == ["mparticle_kit_braze-callbacks"]


def test_events_wait_for_triggers_being_fetched(lab: Lab) -> None:
    """An event made before the first answer brings up its message once the triggers are there, with its properties."""
    filters = [[{"property_key": "n", "property_type": "number", "comparator": 3, "property_value": 5}]]
    wanted = {"type": "custom_event_property", "data": {"event_name": "show", "property_filters": filters}}
    lab.sandbox.add_in_app_message(conditions=[wanted], id="t1")
    lab.sandbox.respond_next(Reply(delay=0.2))
    braze = lab.client()
    stream = braze.in_app_messages.stream()
    properties = {"n": 6}
    braze.log_custom_event("show", properties)
    properties["n"] = 0  # the app goes on with its own
    assert stream.take(5) is not None


def test_offline_goes_by_the_held_triggers(lab: Lab) -> None:
    """When the request for triggers fails, events go by those of the last start; nothing is lost."""
    lab.sandbox.add_in_app_message(event="show", id="t1", re_eligibility=0)
    first = lab.client()
    first.in_app_messages.stream()
    first.open_session()
    first.flush(5)
    first.close()
    lab.clock.advance(4000)
    lab.sandbox.fault = lambda _request: Reply(status=503)
    braze = lab.client()
    with braze.in_app_messages.stream() as stream:
        braze.log_custom_event("show")
        assert stream.take(5) is not None
        lab.sandbox.fault = None
        braze.flush(5)
    assert [event["data"]["n"] for event in lab.sandbox.events if event["name"] == "ce"] == ["show"]


def test_open_comes_after_the_refresh_and_for_late_listeners(lab: Lab) -> None:
    """A message for the session start comes with the triggers, and waits for the first who listens."""
    lab.sandbox.add_in_app_message(id="t1")
    braze = lab.client()
    braze.open_session()
    braze.flush(5)
    lab.clock.advance(1)
    with braze.in_app_messages.stream() as stream:
        assert stream.take(5) is not None
    with braze.in_app_messages.stream() as stream:
        assert stream.take(0.05) is None


def test_nothing_is_used_up_while_nobody_listens(lab: Lab) -> None:
    """An event without a listener leaves a message that comes once for the next one."""
    lab.sandbox.add_in_app_message(event="show", id="t1")
    braze = lab.client()
    braze.open_session()
    braze.flush(5)
    braze.log_custom_event("show")
    assert shown(braze, lab).trigger_id == "t1"
    lab.clock.advance(100)
    with braze.in_app_messages.stream() as stream:
        braze.log_custom_event("show")
        assert stream.take(0.05) is None


def test_interval_priority_and_purchases(lab: Lab) -> None:
    """The highest priority comes up; within 30 s nothing else does; a purchase triggers by its product."""
    lab.sandbox.add_in_app_message(event="show", id="low", priority=1)
    lab.sandbox.add_in_app_message(event="show", id="high", priority=2)
    lab.sandbox.add_in_app_message(conditions=[{"type": "purchase", "data": {"product_id": "sku"}}], id="bought")
    braze = lab.client()
    stream = braze.in_app_messages.stream()
    braze.open_session()
    braze.flush(5)
    taken = []
    for seconds in (0, 29, 2, 31):
        lab.clock.advance(seconds)
        braze.log_custom_event("show")
        braze.log_purchase("sku", 1)
        message = stream.take(0.1)
        taken.append(message.trigger_id if message else None)
    assert taken == ["high", None, "low", "bought"]


def test_delay_and_timeout(lab: Lab) -> None:
    """A message comes after its delay; one that is late by more than its time-out does not, and may come later."""
    lab.sandbox.add_in_app_message(event="slow", id="t1", delay=5)
    lab.sandbox.add_in_app_message(event="late", id="t2", delay=5, timeout=1000)
    braze = lab.client()
    stream = braze.in_app_messages.stream()
    braze.open_session()
    braze.flush(5)
    braze.log_custom_event("slow")
    lab.wait_for_sleep(5, 5)
    lab.clock.advance(4)
    assert stream.take(0.05) is None
    lab.clock.advance(1)
    assert stream.take(5) is not None
    lab.clock.advance(30)
    braze.log_custom_event("late")
    lab.wait_for_sleep(5, 5)
    lab.clock.advance(7)
    assert stream.take(0.05) is None
    lab.clock.advance(30)
    braze.log_custom_event("late")
    lab.wait_for_sleep(5, 5)
    lab.clock.advance(5.5)
    assert stream.take(5) is not None


def test_a_new_user_gets_nothing_of_the_old_one(lab: Lab) -> None:
    """A delayed message, the held triggers and the history go with the user."""
    lab.sandbox.add_in_app_message(event="slow", id="t1", delay=5)
    braze = lab.client()
    stream = braze.in_app_messages.stream()
    braze.change_user("u1")
    braze.flush(5)
    braze.log_custom_event("slow")
    lab.wait_for_sleep(5, 5)
    lab.sandbox.triggers.clear()
    braze.change_user("u2")
    braze.flush(5)
    lab.clock.advance(6)
    braze.log_custom_event("slow")
    assert stream.take(0.05) is None


def test_control_messages_are_counted_not_shown(lab: Lab) -> None:
    """A control message logs its own impression when it would have come up; nobody is bothered."""
    lab.sandbox.add_in_app_message({"is_control": True}, event="show", id="t1")
    braze = lab.client()
    with braze.in_app_messages.stream() as stream:
        braze.open_session()
        braze.flush(5)
        braze.log_custom_event("show")
        lab.until(lambda: braze.flush(5).complete and "iec" in lab.sandbox.analytics)
        assert stream.take(0) is None
    assert lab.sandbox.analytics == {"iec": {"t1": 1}}


def test_analytics_are_counted_once(lab: Lab) -> None:
    """Impression, click and each button count once a message; a button it does not have is refused."""
    lab.sandbox.add_in_app_message(BUTTONS, event="show", id="t1", re_eligibility=0)
    braze = lab.client()
    message = shown(braze, lab)
    assert isinstance(message, ModalMessage)
    logged = [
        braze.in_app_messages.log_impression(message),
        braze.in_app_messages.log_impression(message),
        braze.in_app_messages.log_click(message),
        braze.in_app_messages.log_click(message),
        braze.in_app_messages.log_button_click(message, message.buttons[0]),
        braze.in_app_messages.log_button_click(message, 0),
        braze.in_app_messages.log_button_click(message, 1),
        braze.in_app_messages.log_button_click(message, 2),
        braze.in_app_messages.log_button_click(message, "0"),
    ]
    assert logged == [True, False, True, False, True, False, True, False, False]
    lab.clock.advance(31)
    again = shown(braze, lab)
    assert braze.in_app_messages.log_impression(again)  # it came up a second time
    braze.flush(5)
    assert lab.sandbox.analytics == {"si": {"t1": 2}, "sc": {"t1": 1}, "sbc": {"t1/0": 1, "t1/1": 1}}
    buttons = [event["data"]["bid"] for event in lab.sandbox.events if event["name"] == "sbc"]
    assert buttons == [0, 1]


def test_html_clicks_repeat_and_have_text_ids(lab: Lab) -> None:
    """Clicks in HTML messages are not de-duplicated; a button id is text."""
    lab.sandbox.add_in_app_message({"type": "HTML", "message": "<p>"}, event="show", id="t1")
    braze = lab.client()
    message = shown(braze, lab)
    assert isinstance(message, HtmlMessage)
    assert [braze.in_app_messages.log_click(message) for _ in range(2)] == [True, True]
    assert [braze.in_app_messages.log_button_click(message, one) for one in ("go", 0)] == [True, True]
    braze.flush(5)
    assert lab.sandbox.analytics == {"sc": {"t1": 2}, "sbc": {"t1/go": 1, "t1/0": 1}}
    assert [event["data"]["bid"] for event in lab.sandbox.events if event["name"] == "sbc"] == ["go", "0"]


def test_without_a_trigger_id_nothing_is_logged(lab: Lab) -> None:
    """A message that cannot be told apart is shown but not counted."""
    lab.sandbox.triggers.append(
        {
            "id": "t1",
            "type": "inapp",
            "trigger_condition": [{"type": "custom_event", "data": {"event_name": "show"}}],
            "data": {"type": "MODAL"},
        }
    )
    braze = lab.client()
    message = shown(braze, lab)
    assert not braze.in_app_messages.log_impression(message)
    assert not braze.in_app_messages.log_click(message)


def test_a_click_brings_up_the_next_message(lab: Lab) -> None:
    """A message may wait for a click on another, known by its decoded trigger id."""
    first = base64.b64encode(b"camp_1").decode()
    lab.sandbox.add_in_app_message(event="show", id=first)
    clicked = {"type": "iam_click", "data": {"id": "camp_1"}}
    lab.sandbox.add_in_app_message(conditions=[clicked], id="t2", min_seconds_since_last_trigger=0)
    braze = lab.client()
    with braze.in_app_messages.stream() as stream:
        braze.log_custom_event("show")
        message = stream.take(5)
        assert message is not None
        braze.in_app_messages.log_click(message)
        following = stream.take(5)
    assert following is not None
    assert following.trigger_id == "t2"


def test_dismissal_is_told_once(lab: Lab) -> None:
    """Whoever has the message on the screen hears that it is to go; Braze counts nothing."""
    lab.sandbox.add_in_app_message(event="show", id="t1")
    braze = lab.client()
    gone: list[InAppMessage] = []
    braze.in_app_messages.subscribe_to_dismissals(gone.append)
    message = shown(braze, lab)
    assert braze.in_app_messages.dismiss(message)
    assert not braze.in_app_messages.dismiss(message)
    lab.until(lambda: gone == [message])


def test_ecommerce_events_trigger_by_their_name(lab: Lab) -> None:
    """A recommended eCommerce event is a custom event to triggers."""
    filters = [[{"property_key": "price", "property_type": "number", "comparator": 4, "property_value": 5}]]
    wanted = {
        "type": "custom_event_property",
        "data": {"event_name": "ecommerce.product_viewed", "property_filters": filters},
    }
    lab.sandbox.add_in_app_message(conditions=[wanted], id="t1")
    braze = lab.client()
    with braze.in_app_messages.stream() as stream:
        properties = {"product_id": "p", "product_name": "P", "variant_id": "v", "currency": "USD", "source": "web"}
        braze.log_ecommerce_event({"name": "ecommerce.product_viewed", "properties": {**properties, "price": 5}})
        assert stream.take(5) is not None


def test_a_raising_callback_harms_nobody(lab: Lab) -> None:
    """What a subscriber raises is reported; the others still get the message."""
    lab.sandbox.add_in_app_message(event="show", id="t1")
    braze = lab.client()

    def fail(_message: InAppMessage) -> None:
        raise RuntimeError("the app's own trouble")

    braze.in_app_messages.subscribe(fail)
    assert shown(braze, lab).trigger_id == "t1"
    lab.until(lambda: [problem for problem in lab.problems if problem.code == "callback_failed"])
    lab.problems.clear()


def test_unsubscribing_ends_it_also_from_within(lab: Lab) -> None:
    """After unsubscribing nothing comes any more, not even what was on its way."""
    lab.sandbox.add_in_app_message(event="show", re_eligibility=0, min_seconds_since_last_trigger=0)
    braze = lab.client()
    got: list[InAppMessage] = []

    def once(message: InAppMessage) -> None:
        got.append(message)
        end()

    end = braze.in_app_messages.subscribe(once)
    for _ in range(3):
        shown(braze, lab)
    assert len(got) == 1


def test_history_outlives_a_restart(lab: Lab) -> None:
    """A message shown once does not come again after a restart, and the interval goes on."""
    lab.sandbox.add_in_app_message(event="once", id="t1")
    lab.sandbox.add_in_app_message(event="other", id="t2")
    first = lab.client()
    shown(first, lab, "once")
    first.close()
    braze = lab.client()
    with braze.in_app_messages.stream() as stream:
        lab.clock.advance(10)
        braze.log_custom_event("other")  # within the interval
        lab.clock.advance(30)
        braze.log_custom_event("once")
        assert stream.take(0.05) is None
        braze.log_custom_event("other")
        assert stream.take(5) is not None


def test_wiping_forgets_everything(lab: Lab) -> None:
    """After a wipe there are no triggers, cards or flags, and no token is registered again."""
    lab.sandbox.add_in_app_message(event="show", id="t1")
    lab.sandbox.add_content_card("a")
    lab.sandbox.add_feature_flag("f")
    braze = lab.client()
    done: list[bool] = []
    braze.push.register("token")
    shown(braze, lab)
    braze.content_cards.request_refresh(done.append)
    lab.until(lambda: done and braze.feature_flags.all)
    assert braze.flush(20).complete
    registered = [one for one in lab.sandbox.attributes if "push_token" in one]
    assert registered[0] == {"push_token": "token"}
    lab.sandbox.fault = lambda _request: Reply(status=503)
    braze.wipe_data()
    assert braze.content_cards.cards == ()
    assert braze.feature_flags.all == ()
    with braze.in_app_messages.stream() as stream:
        lab.clock.advance(60)
        braze.log_custom_event("show")
        assert stream.take(0.1) is None
    lab.sandbox.fault = None
    braze.flush(5)
    assert [one for one in lab.sandbox.attributes if "push_token" in one] == registered


@pytest.mark.parametrize(
    "call",
    [
        lambda braze: braze.in_app_messages.subscribe("no"),
        lambda braze: braze.in_app_messages.log_impression("no"),
        lambda braze: braze.in_app_messages.log_button_click(ModalMessage(trigger_id="t"), True),
        lambda braze: braze.in_app_messages.log_button_click(ModalMessage(trigger_id="t"), None),
        lambda braze: braze.content_cards.log_impressions(["no"]),
        lambda braze: braze.content_cards.log_click(None),
        lambda braze: braze.content_cards.subscribe_to_updates(5),
        lambda braze: braze.feature_flags.log_impression(5),
        lambda braze: braze.banners.log_click("no"),
        lambda braze: braze.banners.request_refresh("p1"),
        lambda braze: braze.banners.request_refresh([""]),
        lambda braze: braze.push.register(""),
        lambda braze: braze.push.log_open({}),
    ],
)
def test_wrong_calls_raise(lab: Lab, call: Any) -> None:
    """A call that can never be right says so at once."""
    with pytest.raises(InvalidArgumentError):
        call(lab.client())
