"""Currents: reading, repeats, and the WSGI app."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import threading
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mparticle_kit_braze.diagnostics import Reporter
from mparticle_kit_braze.events import EventType
from mparticle_kit_braze.server import CurrentsApp, CurrentsEvent, CurrentsReceiver, MalformedBatchError, parse_batch
from mparticle_kit_braze.storage import Storage


def batch(name: str = "Email Opens", message_id: str | None = "m1", **changes: Any) -> dict[str, Any]:
    """A batch with one event, as Braze sends it."""
    data = {
        "event_name": name,
        "custom_event_type": "other",
        "source_message_id": message_id,
        "timestamp_unixtime_ms": 1_767_323_045_000,
        "custom_attributes": {"campaign_id": "k", "machine_open": True, "device_id": "d1"},
    }
    return {
        "schema_version": 2,
        "environment": "production",
        "user_identities": {"customerid": "c1", "email": "a@b.c"},
        "user_attributes": {},
        "device_info": {"ios_idfv": "d1", "platform": "iOS"},
        "events": [{"event_type": "custom_event", "data": data}],
        **changes,
    }


def test_an_event_is_read_whole() -> None:
    """Identity, time, type, device and attributes are where they belong."""
    (event,) = parse_batch(batch())
    assert (event.id, event.customer_id, event.email, event.device_id) == ("m1", "c1", "a@b.c", "d1")
    assert (event.family, event.braze_type, event.source) == ("email", "users.messages.email.Open", "campaign")
    assert event.time == 1_767_323_045.0
    plain = event.to_event()
    assert (plain.name, plain.event_type, plain.timestamp) == ("Email Opens", EventType.OTHER, event.time)
    assert plain.attributes == {"campaign_id": "k", "machine_open": True, "device_id": "d1"}


@pytest.mark.parametrize(
    ("name", "braze_type"),
    [
        ("Email Clicks", "users.messages.email.Click"),
        ("Email Deliveries", "users.messages.email.Delivery"),
        ("Email Marks As Spam", "users.messages.email.MarkAsSpam"),
        ("Email Soft Bounces", "users.messages.email.SoftBounce"),
        ("Email Opened", "users.messages.email.Open"),
        ("Push Notification Send", "users.messages.pushnotification.Send"),
        ("Push Notification Bounces", "users.messages.pushnotification.Bounce"),
        ("Content Card Viewed", "users.messages.contentcard.Impression"),
        ("Content Card Dismisses", "users.messages.contentcard.Dismiss"),
        ("Content Card Dismissed", "users.messages.contentcard.Dismiss"),
        ("In-App Message Impressions", "users.messages.inappmessage.Impression"),
        ("SMS Delivery Failures", "users.messages.sms.DeliveryFailure"),
        ("SMS Short Link Clicks", "users.messages.sms.ShortLinkClick"),
        ("Campaign Conversions", "users.campaigns.Conversion"),
        ("Campaign Control Group Enrollments", "users.campaigns.EnrollInControl"),
        ("Canvas Entries", "users.canvas.Entry"),
        ("Canvas Step Progressions", "users.canvasstep.Progression"),
        ("Experiment Split Entries", "users.canvas.experimentstep.SplitEntry"),
        ("Global Subscription State Changes", "users.behaviors.subscription.GlobalStateChange"),
        ("Subscription Group State Change", "users.behaviors.subscriptiongroup.StateChange"),
        ("Campaign Control Group Enrollment", "users.campaigns.EnrollInControl"),
        ("Exit Matched Audiences", "users.canvas.exit.MatchedAudience"),
        ("Canvas Exit Performed Events", "users.canvas.exit.PerformedEvent"),
        ("Canvas Experiment Conversions", "users.canvas.experimentstep.Conversion"),
        ("Feature Flag Experiment Impressions", "users.featureflag"),
        ("SMS Inbound", "users.messages.sms.InboundReceive"),
        ("Webhook Failures", "users.messages.webhook.Failure"),
        ("Something New", None),
    ],
)
def test_names_of_all_years(name: str, braze_type: str | None) -> None:
    """Plural names, singular ones and past tenses lead to one internal type; unknown names are kept."""
    (event,) = parse_batch(batch(name))
    assert (event.name, event.braze_type) == (name, braze_type)


def test_seconds_and_uninstalls() -> None:
    """A time in seconds is read as such; an uninstall has no name of its own."""
    sent = batch()
    sent["events"] = [
        {"event_type": "uninstall", "data": {"timestamp_unixtime_ms": 1_767_323_045, "custom_attributes": {}}}
    ]
    (event,) = parse_batch(sent)
    assert (event.name, event.family, event.time) == ("Application Uninstalls", "uninstall", 1_767_323_045.0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["events", "data", "event_type", "event_name", "user_identities"]), inner)
    ),
    max_leaves=8,
)


@given(JSON)
def test_anything_else_is_malformed(value: Any) -> None:
    """Arbitrary JSON is either a batch or refused as none; nothing else is raised."""
    with contextlib.suppress(MalformedBatchError):
        assert all(isinstance(event, CurrentsEvent) for event in parse_batch(value))


def test_repeats_are_handed_on_once(tmp_path: Path) -> None:
    """An id seen before is passed over, also after a restart; an event without an id never is."""
    seen: list[str | None] = []
    values = Storage.open(tmp_path, Reporter()).key_values("currents")
    receiver = CurrentsReceiver(lambda event: seen.append(event.id), values=values)
    assert receiver.receive([batch(), batch(), batch(message_id="m2")]) == 2
    assert CurrentsReceiver(lambda event: seen.append(event.id), values=values).receive(batch()) == 0
    assert receiver.receive([batch(message_id=None), batch(message_id=None)]) == 2
    assert seen == ["m1", "m2", None, None]
    values.close()


def test_events_of_one_request_are_different_events() -> None:
    """``source_request_id`` names a request with many events; it makes none of them a repeat."""
    sent = batch(message_id=None)
    sent["events"][0]["data"]["custom_attributes"]["source_request_id"] = "r1"
    seen: list[CurrentsEvent] = []
    assert CurrentsReceiver(seen.append).receive({**sent, "events": sent["events"] * 2}) == 2
    assert [event.id for event in seen] == [None, None]


def test_the_mpid_stands_in_for_the_customer_id() -> None:
    """Where the MPID is the external id, the batch has it at its top."""
    (event,) = parse_batch(batch(user_identities={}, mpid=77))
    assert event.customer_id == "77"


def test_a_malformed_event_costs_only_itself() -> None:
    """The others of the call are handed on, once; the sender still hears of it."""
    seen: list[str | None] = []
    receiver = CurrentsReceiver(lambda event: seen.append(event.id))
    broken = batch(message_id="m2")
    broken["events"].insert(0, {"event_type": "custom_event", "data": {}})
    call_body = [batch(), broken, {"events": 1}, batch(message_id="m3")]
    for _ in range(2):
        with pytest.raises(MalformedBatchError, match=r"event 0 .*and 1 more"):
            receiver.receive(call_body)
    assert seen == ["m1", "m2", "m3"]
    app = CurrentsApp(receiver, {"key": "secret"})
    assert call(app, call_body, path="/v2/bulkevents").startswith("400")


def test_a_repeat_waits_for_the_one_in_hand() -> None:
    """The same event on two threads is handed on once; when that fails, the other one takes it."""
    handling, go_on = threading.Event(), threading.Event()
    results: list[object] = []
    calls: list[str | None] = []

    def handle(event: CurrentsEvent) -> None:
        calls.append(event.id)
        if len(calls) == 1:
            handling.set()
            go_on.wait(10)
            raise RuntimeError

    def receive() -> None:
        try:
            results.append(receiver.receive(batch()))
        except RuntimeError:
            results.append("failed")

    receiver = CurrentsReceiver(handle)
    first = threading.Thread(target=receive)
    first.start()
    assert handling.wait(10)
    second = threading.Thread(target=receive)
    second.start()
    go_on.set()
    first.join(10)
    second.join(10)
    assert sorted(map(str, results)) == ["1", "failed"]
    assert receiver.receive(batch()) == 0


def test_memory_of_ids_is_bounded() -> None:
    """Only the newest ids are remembered."""
    receiver = CurrentsReceiver(lambda _event: None, remember=3)
    for number in range(10):
        receiver.receive(batch(message_id=f"m{number}"))
    assert receiver.receive(batch(message_id="m9")) == 0
    assert receiver.receive(batch(message_id="m1")) == 1


def call(
    app: CurrentsApp, body: Any, *, key: str = "key:secret", path: str = "/v2/events", method: str = "POST"
) -> str:
    """Make one WSGI call and return the status line."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "CONTENT_LENGTH": str(len(raw)),
        "HTTP_AUTHORIZATION": "Basic " + base64.b64encode(key.encode()).decode(),
        "wsgi.input": io.BytesIO(raw),
    }
    setup_testing_defaults(environ)
    statuses: list[str] = []

    def start(status: str, _headers: Any, _info: Any = None) -> Any:
        statuses.append(status)

    b"".join(app(environ, start))
    return statuses[0]


def test_the_app_answers_as_mparticle() -> None:
    """Good batches are accepted, anything else gets the status that says what is wrong."""
    seen: list[CurrentsEvent] = []
    app = CurrentsApp(CurrentsReceiver(seen.append), {"key": "secret", "other": "pair"}, max_body=10_000)
    assert call(app, batch()).startswith("202")
    assert call(app, [batch(message_id="m2"), batch(message_id="m3")], path="/v2/bulkevents").startswith("202")
    assert [event.id for event in seen] == ["m1", "m2", "m3"]
    assert call(app, batch(), key="key:wrong").startswith("401")
    assert call(app, batch(), key="other:secret").startswith("401")
    assert call(app, batch(), path="/elsewhere").startswith("404")
    assert call(app, batch(), method="GET").startswith("405")
    assert call(app, b"{").startswith("400")
    assert call(app, {"events": 1}).startswith("400")
    assert call(app, [batch()] * 101).startswith("413") or call(app, [{}] * 101).startswith("400")
    assert call(app, b" " * 10_001).startswith("413")


def test_a_failing_handler_gets_the_event_again() -> None:
    """When the handler raises, Braze is told to come again, and the event counts as new."""
    fail = [True]
    seen: list[str | None] = []

    def handle(event: CurrentsEvent) -> None:
        if fail[0]:
            raise RuntimeError
        seen.append(event.id)

    app = CurrentsApp(CurrentsReceiver(handle), {"key": "secret"})
    assert call(app, batch()).startswith("503")
    fail[0] = False
    assert call(app, batch()).startswith("202")
    assert seen == ["m1"]
