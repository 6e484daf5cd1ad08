"""The upload kit end to end: what every call becomes, who it belongs to, and what happens when things fail."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mparticle_kit_braze import (
    CommerceEvent,
    ConfigurationError,
    EventType,
    Impression,
    MParticle,
    MParticleError,
    MParticleUploadKit,
    Problem,
    Product,
    ProductAction,
    Promotion,
    PromotionAction,
    TransactionAttributes,
    create_kits,
)
from mparticle_kit_braze.sandbox import Reply, Sandbox, SandboxRequest
from tests.kits.recording import FixedResolver, RecordingKit
from tests.support import run_python

KEY, SECRET = "s2s-key", "s2s-secret"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """An mParticle, whose rules no request may have broken."""
    with Sandbox() as started:
        started.mparticle.keys[KEY] = SECRET
        yield started
        assert started.uploads.problems == []


def kit_for(sandbox: Sandbox, **settings: Any) -> MParticleUploadKit:
    return MParticleUploadKit(KEY, SECRET, pod=sandbox.url, **settings)


# -- what calls become ----------------------------------------------------------------------------------------------


def test_events_and_screens(sandbox: Sandbox) -> None:
    """Events carry name, type, attributes, time and session."""
    with MParticle([kit_for(sandbox)], storage=":memory:") as client:
        client.log_event(
            "Played", EventType.USER_CONTENT, {"n": 3, "live": True, "who": "Ada", "none": None}, timestamp=5e9
        )
        client.log_screen("Home", {"tab": 1.5})
        session = client.current_session
    assert session is not None
    (event,) = sandbox.uploads.of("custom_event")
    assert (event["event_name"], event["custom_event_type"]) == ("Played", "user_content")
    assert event["custom_attributes"] == {"n": 3, "live": True, "who": "Ada", "none": None}
    assert event["timestamp_unixtime_ms"] == 5_000_000_000_000
    assert event["session_uuid"] == session.id
    assert event["session_start_unixtime_ms"] == round(session.start * 1000)
    (screen,) = sandbox.uploads.of("screen_view")
    assert (screen["screen_name"], screen["custom_attributes"]) == ("Home", {"tab": 1.5})


def test_sessions_and_app_states(sandbox: Sandbox) -> None:
    """A session's start and end, and the app's moves, are events of their own."""
    with MParticle([kit_for(sandbox)], storage=":memory:") as client:
        client.log_event("A")
        client.enter_background()
        client.enter_foreground()
    assert [event["event_type"] for event in sandbox.uploads.events] == [
        "session_start", "custom_event", "application_state_transition", "application_state_transition", "session_end",
    ]  # fmt: skip
    assert len({event["data"]["session_uuid"] for event in sandbox.uploads.events}) == 1
    assert sandbox.uploads.of("session_end")[0]["session_duration_ms"] >= 0


def test_commerce(sandbox: Sandbox) -> None:
    """Each part of a commerce event is an event; the names are the API's."""
    tea = Product("Tea", "tea", Decimal("4.5"), 2, brand="Acme", attributes={"leaf": "whole"})
    with MParticle([kit_for(sandbox)], storage=":memory:") as client:
        client.log_commerce_event(
            CommerceEvent(
                ProductAction.PURCHASE,
                [tea],
                TransactionAttributes("t-1", tax=1, shipping=2),
                currency="EUR",
                promotion_action=PromotionAction.CLICK,
                promotions=[Promotion("p", "Sale")],
                impressions=[Impression("List", [tea])],
                attributes={"a": 1},
            )
        )
        client.log_commerce_event(CommerceEvent(ProductAction.REMOVE_FROM_WISHLIST, [tea]))
    bought, promoted, shown, removed = sandbox.uploads.of("commerce_event")
    action = bought["product_action"]
    assert (action["action"], action["transaction_id"], action["total_amount"]) == ("purchase", "t-1", 12.0)
    assert (action["tax_amount"], action["shipping_amount"], bought["currency_code"]) == (1, 2, "EUR")
    assert action["products"] == [
        {
            "id": "tea",
            "name": "Tea",
            "brand": "Acme",
            "price": 4.5,
            "quantity": 2,
            "total_product_amount": 9.0,
            "custom_attributes": {"leaf": "whole"},
        }
    ]
    assert promoted["promotion_action"] == {"action": "click", "promotions": [{"id": "p", "name": "Sale"}]}
    assert shown["product_impressions"][0]["product_impression_list"] == "List"
    assert [event["custom_attributes"] for event in (bought, promoted, shown)] == [{"a": 1}] * 3
    assert removed["product_action"]["action"] == "remove_from_wish_list"


def test_user_attributes(sandbox: Sandbox) -> None:
    """A batch holds what its calls made of the attributes; each change is an event with old and new."""
    with MParticle([kit_for(sandbox)], storage=":memory:") as client:
        client.set_user_attribute("$FirstName", "Ada")
        client.set_user_attribute("plan", "basic")
        client.set_user_attribute("plan", "gold")
        client.set_user_attribute("genres", ["Jazz", 3, True])
        client.set_user_tag("vip")
        client.increment_user_attribute("visits", 2)
        client.increment_user_attribute("plan")
        client.set_user_attribute("gone", 1)
        client.remove_user_attribute("gone")
        client.set_user_attribute("born", dt.date(1815, 12, 10))
    (batch,) = sandbox.uploads.batches
    assert batch["user_attributes"] == {
        "$firstname": "Ada",
        "plan": "gold",
        "genres": ["Jazz", "3", "true"],
        "vip": None,
        "visits": 2,
        "born": "1815-12-10",
    }
    assert batch["deleted_user_attributes"] == ["gone"]
    changes = [
        (change["user_attribute_name"], change["old"], change["new"], change["deleted"], change["is_new_attribute"])
        for change in sandbox.uploads.of("user_attribute_change")
    ]
    assert changes[1:3] == [("plan", None, "basic", False, True), ("plan", "basic", "gold", False, False)]
    assert changes[-2] == ("gone", 1, None, True, False)


def test_identities_consent_opt_out_push(sandbox: Sandbox) -> None:
    """Identities and consent go with batches; opt-out and push tokens are events."""
    with MParticle([kit_for(sandbox)], storage=":memory:") as client:
        client.log_event("anonymous")
        client.login(customer_id="ada", email="ada@example.com", other2="o", alias="a")
        client.modify(email="new@example.com")
        client.set_consent("gdpr", "Marketing", True, timestamp=5, document="v1")
        client.set_consent("ccpa", consented=False, timestamp=6)
        client.set_push_token("token")
        client.set_opt_out(True)
    batch = sandbox.uploads.batches[-1]
    assert batch["user_identities"] == {
        "customer_id": "ada",
        "email": "new@example.com",
        "other_id_2": "o",
        "alias": "a",
    }
    assert batch["consent_state"] == {
        "gdpr": {"marketing": {"consented": True, "timestamp_unixtime_ms": 5000, "document": "v1"}},
        "ccpa": {"data_sale_opt_out": {"consented": False, "timestamp_unixtime_ms": 6000}},
    }
    assert "mpid" not in batch  # made on this machine: mParticle does not know it
    changes = [(change["old"], change["new"]) for change in sandbox.uploads.of("user_identity_change")]
    assert [new["identity"] for _, new in changes] == ["ada", "ada@example.com", "o", "a", "new@example.com"]
    assert changes[-1][0]["identity"] == "ada@example.com"
    assert sandbox.uploads.of("push_registration")[0]["registration_token"] == "token"
    assert sandbox.uploads.of("opt_out")[0]["is_opted_out"] is True


def test_one_user_and_session_a_batch(sandbox: Sandbox) -> None:
    """A change of user begins another batch; the order of calls is the order of events."""
    with MParticle([kit_for(sandbox)], storage=":memory:") as client:
        for number in range(30):
            client.login(customer_id=f"user-{number // 3 % 4}")
            client.log_event("A", attributes={"number": number, "user": f"user-{number // 3 % 4}"})
    numbers = []
    for batch in sandbox.uploads.batches:
        logged = [
            event["data"]["custom_attributes"] for event in batch["events"] if event["event_type"] == "custom_event"
        ]
        assert {attributes["user"] for attributes in logged} <= {batch["user_identities"]["customer_id"]}
        numbers += [attributes["number"] for attributes in logged]
    assert numbers == list(range(30))
    assert len(sandbox.uploads.batches) >= 10
    assert len({batch["source_request_id"] for batch in sandbox.uploads.batches}) == len(sandbox.uploads.batches)


def test_mpids_from_mparticle_go_with_batches(sandbox: Sandbox) -> None:
    """With a resolver that has its MPIDs from mParticle batches name the user; the setting decides otherwise."""
    for settings, expected in (({}, 7), ({"upload_mpid": False}, None)):
        kit = kit_for(sandbox, **settings)
        with MParticle([kit], storage=":memory:", resolver=FixedResolver(7)) as client:
            client.log_event("A")
        assert sandbox.uploads.batches[-1].get("mpid") == expected


def test_what_every_batch_says(sandbox: Sandbox, tmp_path: Path) -> None:
    """Environment, version, the app and a random id of the device, the same at the next start."""
    for _ in range(2):
        kit = kit_for(sandbox, application_name="Player", application_version="2.1")
        with MParticle([kit], storage=tmp_path, environment="development") as client:
            client.log_event("A")
    assert {batch["environment"] for batch in sandbox.uploads.batches} == {"development"}
    assert sandbox.uploads.batches[0]["application_info"] == {
        "application_name": "Player",
        "application_version": "2.1",
    }
    assert len({batch["mp_deviceid"] for batch in sandbox.uploads.batches}) == 1


def test_integration_attributes_go_with_batches(sandbox: Sandbox) -> None:
    """What another kit wants mParticle's servers to know is in the batches from then on."""
    other = RecordingKit()
    with MParticle([kit_for(sandbox), other], storage=":memory:") as client:
        client.log_event("A")
        client.flush(5)
        other.contexts[0].integration.set(28, {"device": "d-1"})
        client.log_event("B")
    first, second = sandbox.uploads.batches[:2]
    assert "integration_attributes" not in first
    assert second["integration_attributes"] == {"28": {"device": "d-1"}}


def test_filters_hold_for_this_kit_too(sandbox: Sandbox) -> None:
    """Its own configuration hides events, attributes and identities."""
    configuration = {"hs": {"ua": {"1649237399": 0}, "uid": {"7": 0}, "ec": {"-1263189238": 0}}}
    with MParticle([kit_for(sandbox, configuration=configuration)], storage=":memory:") as client:
        client.login(customer_id="ada", email="ada@example.com")
        client.log_event("Played Song")
        client.set_user_attribute("$FirstName", "Ada")
        client.log_event("B")
    assert [event["event_name"] for event in sandbox.uploads.of("custom_event")] == ["B"]
    assert sandbox.uploads.batches[-1]["user_identities"] == {"customer_id": "ada"}
    assert not any("user_attributes" in batch for batch in sandbox.uploads.batches)


def test_values_that_do_not_fit_are_reported(sandbox: Sandbox) -> None:
    """Nested, overlong, infinite and too many values are left out and said; the rest goes."""
    problems: list[Problem] = []
    with MParticle([kit_for(sandbox)], storage=":memory:", on_error=problems.append) as client:
        client.log_event(
            "x" * 300,
            attributes={
                "nested": {"a": 1},
                "list": [1],
                "inf": float("inf"),
                "long": "x" * 5000,
                "k" * 300: 1,
                "huge": 2**70,
                "fine": "\ud800",
                "set": {1},
            },
        )
        client.log_event("many", attributes={str(number): number for number in range(150)})
        client.set_user_attribute("nested", {"a": 1})
        client.set_user_attribute("n" * 300, 1)
        client.set_user_attribute("list", ["x" * 600])
        client.set_user_attribute("long list", [str(number) for number in range(2000)])
        client.set_user_attribute("text", "text")
        client.increment_user_attribute("text")
        client.log_event("large", attributes={str(number): "ä" * 4000 for number in range(99)})
    first, second = sandbox.uploads.of("custom_event")
    assert len(first["event_name"]) == 256
    assert first["custom_attributes"] == {"fine": "?"}
    assert len(second["custom_attributes"]) == 100
    assert sandbox.uploads.batches[-1]["user_attributes"] == {"text": "text"}
    assert len([problem for problem in problems if problem.code == "value_refused"]) == 7 + 50 + 4 + 1 + 1
    assert all("ada" not in problem.message for problem in problems)


# -- trouble --------------------------------------------------------------------------------------------------------


def test_batches_keep_their_ids_over_retries(sandbox: Sandbox) -> None:
    """What was accepted without an answer comes again under the same id, though more has been queued since."""
    sandbox.respond_next(Reply(close=True, record=True), Reply(503), Reply(500))
    with MParticle([kit_for(sandbox)], storage=":memory:") as client:
        client.log_event("A")
        client.flush(0.3)
        client.log_event("B")
        for _ in range(4):
            client.flush(0.3)
    first = sandbox.uploads.requests[0].body[0]
    assert [request.body[0]["source_request_id"] for request in sandbox.uploads.requests[:4]] == [
        first["source_request_id"]
    ] * 4
    assert [event["event_name"] for event in sandbox.uploads.of("custom_event")] == ["A", "B"]
    ids = [event["data"]["source_message_id"] for event in sandbox.uploads.events]
    assert len(set(ids)) == len(ids)


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_ids_survive_a_kill(sandbox: Sandbox, tmp_path: Path) -> None:
    """A process killed before it learnt the answer: the next one sends the same batch under the same id, and more."""
    sandbox.respond_next(Reply(close=True, record=True))
    code = f"""
        import os, sys
        from mparticle_kit_braze import MParticle, MParticleUploadKit
        kit = MParticleUploadKit("{KEY}", "{SECRET}", pod="{sandbox.url}")
        client = MParticle([kit], storage=sys.argv[1])
        client.login(customer_id="ada")
        for number in range(50):
            client.log_event("A", attributes={{"number": number}})
        client.flush(0.3)
        client.log_event("A", attributes={{"number": 50}})
        os.kill(os.getpid(), 9)
    """
    run_python(code, str(tmp_path))
    with MParticle([kit_for(sandbox)], storage=tmp_path) as client:
        client.flush(10)
    numbers = [event["custom_attributes"]["number"] for event in sandbox.uploads.of("custom_event")]
    assert numbers == list(range(51))
    assert len(sandbox.uploads.requests) >= 2
    first, second = (request.body[0]["source_request_id"] for request in sandbox.uploads.requests[:2])
    assert first == second
    assert len(sandbox.uploads.of("session_end")) == 1  # left open by the kill, ended at this start


@pytest.mark.parametrize("status", [429, 503, 500, 302, 404])
def test_passing_trouble_keeps_everything(sandbox: Sandbox, status: int) -> None:
    """After throttling and server errors the same data arrives, once and in order."""
    sandbox.respond_next(*[Reply(status, headers={"Retry-After": "0"})] * 2)
    # A flush tries at once, and does not wait for a back-off that ends after its time.
    with MParticle([kit_for(sandbox)], storage=":memory:") as client:
        for number in range(20):
            client.log_event("A", attributes={"number": number})
        for _ in range(3):
            client.flush(0.3)
    assert [event["custom_attributes"]["number"] for event in sandbox.uploads.of("custom_event")] == list(range(20))


def test_retry_after_is_obeyed(sandbox: Sandbox) -> None:
    """A flush does not press on while the server asked to wait."""
    sandbox.respond_next(Reply(429, headers={"Retry-After": "3600"}))
    client = MParticle([kit_for(sandbox)], storage=":memory:")
    client.log_event("A")
    assert client.flush(0.5).kept > 0
    assert client.flush(0.2).kept > 0
    assert len(sandbox.uploads.requests) == 1
    client.clear()
    client.close(0)


def test_a_wrong_secret_holds_everything(sandbox: Sandbox) -> None:
    """Nothing is sent after a 401, nothing is lost, and it is said."""
    problems: list[Problem] = []
    kit = MParticleUploadKit(KEY, "wrong", pod=sandbox.url)
    client = MParticle([kit], storage=":memory:", on_error=problems.append)
    client.log_event("A")
    assert client.flush(2).kept > 0
    assert client.stats().queued > 0
    assert any("unauthorized" in problem.code for problem in problems)
    client.clear()
    client.close(0)


def test_a_refused_record_goes_alone(sandbox: Sandbox) -> None:
    """A batch that mParticle refuses is narrowed down: the record is set aside with the codes, the others go."""

    def picky(request: SandboxRequest) -> Reply | None:
        if b"poison" in request.raw:
            return Reply(400, body={"errors": [{"code": "BAD", "message": "ada@example.com is wrong"}]})
        return None

    sandbox.fault = picky
    kit = kit_for(sandbox)
    with MParticle([kit], storage=":memory:") as client:
        for number in range(10):
            client.log_event("poison" if number == 4 else "A", attributes={"number": number})
        for _ in range(10):
            client.flush(5)
        (letter,) = kit.delivery.dead_letters()
    assert letter.reason == "HTTP 400: BAD"
    assert b"poison" in letter.payload
    numbers = [event["custom_attributes"]["number"] for event in sandbox.uploads.of("custom_event")]
    assert sorted(numbers) == [0, 1, 2, 3, 5, 6, 7, 8, 9]


def test_batches_refused_in_an_accepted_request_are_reported(sandbox: Sandbox) -> None:
    """A bulk request may be accepted with errors for some of its batches."""
    problems: list[Problem] = []
    sandbox.respond_next(Reply(202, body={"errors": [{"code": "LATE", "message": "private"}]}))
    with MParticle([kit_for(sandbox)], storage=":memory:", on_error=problems.append) as client:
        client.log_event("A")
        client.flush(5)
    (problem,) = [problem for problem in problems if problem.code == "upload_partly_refused"]
    assert "LATE" in problem.message
    assert "private" not in problem.message


def test_old_events_go_to_the_endpoint_for_history(sandbox: Sandbox) -> None:
    """Events of more than 30 days ago are parted from the others; order stays within each."""
    old = dt.datetime(2020, 1, 1, tzinfo=dt.timezone.utc)
    with MParticle([kit_for(sandbox)], storage=":memory:") as client:
        for number in range(4):
            client.log_event("old" if number % 2 else "new", timestamp=old if number % 2 else None)
        client.flush(5)
    paths = {request.path: request.body for request in sandbox.uploads.requests}
    assert set(paths) == {"/v2/bulkevents", "/v2/bulkevents/historical"}
    for request in sandbox.uploads.requests:
        names = {event["data"].get("event_name") for batch in request.body for event in batch["events"]}
        assert ("old" in names) is request.path.endswith("historical")


# -- settings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {"key": ""},
        {"key": 5},
        {"secret": " "},
        {"pod": "us9"},
        {"pod": "http://example.com"},
        {"pod": "https://user:pw@example.com"},
        {"pod": "https://example.com?x=1"},
        {"pod": "https://"},
        {"pod": "https://example.com:99999"},
        {"pod": 5},
        {"application_name": 5},
        {"configuration": {"bk": 5}},
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any]) -> None:
    """A missing or malformed setting is named; credentials are not quoted."""
    with pytest.raises(ConfigurationError) as caught:
        MParticleUploadKit(**{"key": "k", "secret": "s", **settings})
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    ("pod", "url"),
    [
        (None, "https://s2s.mparticle.com"),
        ("us1", "https://s2s.us1.mparticle.com"),
        ("EU1", "https://s2s.eu1.mparticle.com"),
        ("https://proxy.example.com/mp/", "https://proxy.example.com/mp"),
        ("http://[::1]:80", "http://[::1]:80"),
    ],
)
def test_pods(pod: str | None, url: str) -> None:
    """Pods are hosts of mParticle's; a proxy keeps its path."""
    assert MParticleUploadKit("k", "s", pod=pod)._url == url


def test_it_can_be_made_from_a_configuration(sandbox: Sandbox) -> None:
    """Settings in mParticle's form, with filters beside them."""
    settings = {"apiKey": KEY, "secret": SECRET, "pod": sandbox.url}
    (kit,) = create_kits([{"name": "Upload", "settings": settings}], kits={"Upload": MParticleUploadKit})
    with MParticle([kit], storage=":memory:") as client:
        client.log_event("A")
    assert len(sandbox.uploads.of("custom_event")) == 1


def test_before_its_start_it_says_so() -> None:
    """A kit that no client has started raises; it closes and flushes to nothing."""
    kit = MParticleUploadKit("k", "s")
    with pytest.raises(MParticleError, match="not been started"):
        kit.on_opt_out(True)
    assert (kit.flush(), kit.close(0), kit.clear(), kit.stats()) == (None, None, 0, None)
