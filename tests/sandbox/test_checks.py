"""The sandbox refuses what the real clients never send, says why, and takes nothing of a refused request."""

from __future__ import annotations

from typing import Any

import pytest

from mparticle_kit_braze.sandbox import Sandbox
from mparticle_kit_braze.sandbox.event_checks import EVENT_CODES

from .requests_of_a_client import Client, body, event

GOOD: dict[str, list[dict[str, Any]]] = {
    "ss": [{}],
    "se": [{"d": 0.05}, {"d": 12}],
    "ce": [{"n": "Played", "p": {"a": [1, {"b": None}]}}, {"n": "Played"}],
    "p": [{"pid": "s", "c": "USD", "p": "10.00", "q": 1, "pr": {}}, {"pid": "s", "c": "EUR", "p": -1.5, "q": 100}],
    "set": [{"key": "k", "value": []}, {"key": "k", "value": ["a", ""]}],
    "add": [{"key": "k", "value": "a"}],
    "rem": [{"key": "k", "value": ""}],
    "inc": [{"key": "k", "value": -3}],
    "ncam": [{"key": "k", "value": {"a": 1}}],
    "lcaa": [{"key": "k", "latitude": 90, "longitude": -180}],
    "lcar": [{"key": "k"}],
    "lr": [
        {"latitude": 1, "longitude": 2},
        {"latitude": 1, "longitude": 2, "altitude": -5, "ll_accuracy": 0, "alt_accuracy": 1},
    ],
    "uae": [{"a": "x", "l": "y"}],
    "sgu": [{"group_id": "g", "status": "subscribed"}, {"group_id": "g", "status": "unsubscribed"}],
    "si": [{"trigger_ids": ["t"]}],
    "iec": [{"trigger_ids": ["t"]}],
    "sc": [{"trigger_ids": ["t"]}],
    "sbc": [{"trigger_ids": ["t"], "bid": 0}, {"trigger_ids": ["t"], "bid": "b"}],
    "cci": [{"ids": ["a", "b"]}],
    "ccc": [{"ids": ["a"]}],
    "ccd": [{"ids": ["a"]}],
    "ffi": [{"fid": "f", "fts": "t"}],
    "bi": [{"ids": ["b"]}],
    "bc": [{"id": "b"}, {"id": "b", "bid": "x"}],
    "bd": [{"id": "b"}],
    "ie": [{"e": "text"}],
    "pc": [{"anything": 1}],
    "ca": [{}],
    "i": [{}],
    "ci": [{}],
    "cc": [{}],
}
BAD: list[tuple[str, dict[str, Any], str]] = [
    ("ss", {"x": 1}, "unknown x"),
    ("se", {}, "lacks d"),
    ("se", {"d": -1}, "data.d"),
    ("se", {"d": True}, "data.d"),
    ("ce", {}, "lacks n"),
    ("ce", {"n": ""}, "data.n"),
    ("ce", {"n": 5}, "data.n"),
    ("ce", {"n": "a\nb"}, "control character"),
    ("ce", {"n": 'a"b'}, "double quote"),
    ("ce", {"n": "E", "p": []}, "data.p"),
    ("ce", {"n": "E", "p": {"a\t": 1}}, "control character"),
    ("p", {"pid": "s", "c": "USD", "p": "1"}, "lacks q"),
    ("p", {"pid": "s", "c": "usd", "p": "1", "q": 1}, "data.c"),
    ("p", {"pid": "s", "c": "USD", "p": "Infinity", "q": 1}, "data.p"),
    ("p", {"pid": "s", "c": "USD", "p": True, "q": 1}, "data.p"),
    ("p", {"pid": "s", "c": "USD", "p": "1", "q": 0}, "data.q"),
    ("p", {"pid": "s", "c": "USD", "p": "1", "q": 101}, "data.q"),
    ("p", {"pid": "s", "c": "USD", "p": "1", "q": 1.0}, "data.q"),
    ("p", {"pid": "s", "c": "USD", "p": "1", "q": 1, "pr": None}, "data.pr"),
    ("set", {"key": "k", "value": [1]}, "data.value"),
    ("set", {"key": None, "value": []}, "data.key"),
    ("add", {"key": "k", "value": 1}, "data.value"),
    ("add", {"key": "k"}, "lacks value"),
    ("inc", {"key": "k", "value": 1.5}, "data.value"),
    ("inc", {"key": "k", "value": True}, "data.value"),
    ("ncam", {"key": "k", "value": []}, "data.value"),
    ("lcaa", {"key": "k", "latitude": 90.1, "longitude": 0}, "data.latitude"),
    ("lcaa", {"key": "k", "latitude": "1", "longitude": 0}, "data.latitude"),
    ("lr", {"latitude": 0, "longitude": 181}, "data.longitude"),
    ("lr", {"latitude": 0, "longitude": 0, "ll_accuracy": -1}, "data.ll_accuracy"),
    ("lr", {"latitude": 0, "longitude": 0, "altitude": None}, "data.altitude"),
    ("uae", {"a": "", "l": "l"}, "data.a"),
    ("sgu", {"group_id": "g", "status": "opted_in"}, "data.status"),
    ("si", {"trigger_ids": []}, "data.trigger_ids"),
    ("sbc", {"trigger_ids": ["t"], "bid": None}, "data.bid"),
    ("cci", {"ids": "a"}, "data.ids"),
    ("ffi", {"fid": "f", "fts": ""}, "data.fid"),
    ("bc", {"bid": 1}, "lacks id"),
    ("ie", {"e": 1}, "data.e"),
    ("zz", {}, "unknown event code"),
]


def test_every_code_has_examples() -> None:
    """The table of good events covers every code the endpoint takes."""
    assert GOOD.keys() == EVENT_CODES


@pytest.mark.parametrize("code", sorted(GOOD))
def test_good_events_are_taken(sandbox: Sandbox, client: Client, code: str) -> None:
    """Each event code in its documented shapes is accepted and can be read back as sent."""
    events = [event(code, data, user_id="u") for data in GOOD[code]]
    assert client.post(body(events=events))[0] == 200, sandbox.problems
    assert sandbox.events == events


@pytest.mark.parametrize(("code", "data", "reason"), BAD, ids=[f"{code}-{reason}" for code, _, reason in BAD])
def test_bad_events_are_refused(sandbox: Sandbox, client: Client, code: str, data: dict[str, Any], reason: str) -> None:
    """A wrong event is refused with its index, and the good one before it is not taken either."""
    status, answer = client.post(body(events=[event(user_id="u"), event(code, data, user_id="u")]))
    assert status == 400
    (error,) = answer["errors"]
    assert (error["list"], error["index"]) == ("events", 1)
    assert reason in error["reason"]
    assert sandbox.events == []
    assert sandbox.profiles == []
    assert str(sandbox.problems[0]).startswith("events[1]: ")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"time": None}, "time"),
        ({"time": "1"}, "time"),
        ({"time": 0}, "time"),
        ({"session_id": "81DD43F6-AAAA-4222-8333-444455556666"}, "session_id"),
        ({"session_id": "s"}, "session_id"),
        ({"user_id": ""}, "user_id"),
        ({"user_id": 7}, "user_id"),
        ({"user_id": "é" * 499}, "user_id"),
        ({"alias": {"label": "l"}}, "alias"),
        ({"user_id": "u", "alias": {"label": "l", "name": "n"}}, "alias"),
        ({"data": None}, "data"),
        ({"extra": 1}, "unknown extra"),
        ({"name": ["ce"]}, "event code"),
    ],
)
def test_bad_envelopes_are_refused(client: Client, change: dict[str, Any], reason: str) -> None:
    """The fields around an event's data are checked too."""
    status, answer = client.post(body(events=[event() | change]))
    assert status == 400
    assert reason in answer["errors"][0]["reason"]


@pytest.mark.parametrize("missing", ["name", "time", "data", "session_id"])
def test_missing_fields_are_refused(client: Client, missing: str) -> None:
    """An event needs its code, time, data and session."""
    whole = event()
    del whole[missing]
    status, answer = client.post(body(events=[whole]))
    assert (status, answer["errors"][0]["reason"]) == (400, f"lacks {missing}")


@pytest.mark.parametrize(
    "attributes",
    [
        {"first_name": "Ada", "last_name": None, "email": "a@b.c", "gender": "f", "dob": "1990-2-3", "phone": "+1 (5)"},
        {"user_id": "u", "email_subscribe": "opted_in", "push_subscribe": "unsubscribed", "dob": None},
        {"custom": {"": 1, "t": "x", "n": None, "b": True, "o": {"a": [1]}, "l": [{"a": 1}], "texts": ["a"], "e": []}},
        {"push_token": "t", "custom_push_public_key": "k", "custom_push_user_auth": "a", "image_url": "i"},
    ],
)
def test_good_attributes_are_taken(sandbox: Sandbox, client: Client, attributes: dict[str, Any]) -> None:
    """Standard and custom attributes in their documented forms are accepted."""
    assert client.post(body(attributes=[attributes]))[0] == 200, sandbox.problems
    assert sandbox.attributes == [attributes]


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"user_id": "u"},
        {"nickname": "x"},
        {"nickname": None},
        {"first_name": 1},
        {"gender": "female"},
        {"dob": "soon"},
        {"dob": 1990},
        {"email": "nobody"},
        {"email": f"{'a' * 260}@b.c"},
        {"phone": "call me"},
        {"phone": ""},
        {"email_subscribe": None},
        {"push_subscribe": "yes"},
        {"custom": []},
        {"custom": {"a\n": 1}},
        {"custom": {"l": [1, 2]}},
        {"custom": {"l": ["a", {"b": 1}]}},
        {"user_id": 5, "first_name": "x"},
    ],
)
def test_bad_attributes_are_refused(sandbox: Sandbox, client: Client, attributes: dict[str, Any]) -> None:
    """A wrong attribute object is refused with its index."""
    status, answer = client.post(body(attributes=[{"first_name": "Ada"}, attributes]))
    assert status == 400
    assert (answer["errors"][0]["list"], answer["errors"][0]["index"]) == ("attributes", 1)
    assert sandbox.attributes == []


@pytest.mark.parametrize(
    "fields",
    [
        {"api_key": None},
        {"device_id": None},
        {"sdk_version": None},
        {"time": None},
        {"time": 1.5},
        {"events": []},
        {"events": {}},
        {"attributes": []},
        {"surprise": 1},
        {"app_version_code": "1.0"},
        {"device": {"mood": "good"}},
        {"device": []},
        {"sdk_metadata": ["unheard-of"]},
        {"sdk_metadata": "mp"},
        {"respond_with": {"config": {}}},
        {"respond_with": {"triggers": 1}},
        {"respond_with": {"cards": True}},
        {"alias": "al"},
    ],
)
def test_bad_bodies_are_refused(sandbox: Sandbox, client: Client, fields: dict[str, Any]) -> None:
    """Missing, unknown and mistyped fields of the request are refused."""
    assert client.post(body(**{"events": [event()], **fields}))[0] == 400
    assert sandbox.counts.refused == 1
    assert sandbox.events == []


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff", b'{"time": NaN}', b"[" * 100_000])
def test_bad_json_is_refused(sandbox: Sandbox, client: Client, raw: bytes) -> None:
    """A body that is no JSON object is refused and the connection goes on."""
    assert client.post({}, raw=raw)[0] == 400
    assert client.post(body(events=[event()]))[0] == 200


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"X-Braze-Api-Key": None}, "X-Braze-Api-Key is missing"),
        ({"X-Braze-Api-Key": "other"}, "differs"),
        ({"Content-Type": "text/plain"}, "Content-Type"),
        ({"Content-Encoding": "gzip"}, "Content-Encoding"),
        ({"X-Braze-Last-Req-Ms-Ago": None}, "Last-Req-Ms-Ago"),
        ({"X-Braze-Last-Req-Ms-Ago": "-1"}, "Last-Req-Ms-Ago"),
        ({"X-Braze-Req-Attempt": "0"}, "Req-Attempt"),
        ({"X-Braze-Req-Tokens-Remaining": "many"}, "Tokens-Remaining"),
        ({"X-Braze-Auth-Signature": ""}, "Auth-Signature"),
        ({"X-Braze-TriggersRequest": "true"}, "TriggersRequest"),
        ({"X-Braze-DataRequest": "true"}, "DataRequest"),
        ({"X-Braze-ContentCardsRequest": "true"}, "ContentCardsRequest"),
    ],
)
def test_bad_headers_are_refused(client: Client, changes: dict[str, str | None], reason: str) -> None:
    """Headers are checked by themselves and against the body."""
    status, answer = client.post(body(events=[event()]), head=changes)
    assert status == 400
    assert any(error["list"] == "headers" and reason in error["reason"] for error in answer["errors"])


def test_triggers_need_their_headers(sandbox: Sandbox, client: Client) -> None:
    """A request that asks for triggers says so in two headers, and gets triggers."""
    content = body(respond_with={"triggers": True})
    assert client.post(content, head={"X-Braze-DataRequest": None})[0] == 400
    status, answer = client.post(content)
    assert (status, answer["triggers"]) == (200, [])


def test_unknown_key_is_refused(sandbox: Sandbox, client: Client) -> None:
    """Only the app key that was set is known; without one, any is."""
    status, answer = client.post(body(api_key="other", events=[event()]), head={"X-Braze-Api-Key": "other"})
    assert (status, answer["errors"][0]["reason"]) == (400, "unknown api key")
    with Sandbox() as open_to_all:
        anyone = Client(open_to_all.port)
        assert anyone.post(body(api_key="other", events=[event()]), head={"X-Braze-Api-Key": "other"})[0] == 200
        anyone.close()
