"""The sandbox as mParticle: keys, signatures, error codes and rules, over plain HTTP."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from mparticle_kit_braze.sandbox import Reply, Sandbox

DATE = "Mon, 01 Jan 2024 00:00:00 GMT"
ID = "01234567-89ab-4cde-8f01-23456789abcd"
DEVICE = {"device_application_stamp": "d-1"}
ENVELOPE = {
    "client_sdk": {"platform": "other", "sdk_vendor": "test", "sdk_version": "1"},
    "context": None,
    "environment": "production",
    "request_id": ID,
    "request_timestamp_ms": 1,
}
EVENT = {
    "event_type": "custom_event",
    "data": {
        "event_name": "A",
        "custom_event_type": "other",
        "timestamp_unixtime_ms": 1,
        "source_message_id": ID,
    },
}
BATCH = {"environment": "production", "source_request_id": ID, "events": [EVENT]}


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox]:
    """One server for all tests here."""
    with Sandbox() as started:
        yield started


@pytest.fixture
def sandbox(shared: Sandbox) -> Sandbox:
    """The server as new, with two keys: one with a secret, one without."""
    shared.reset()
    shared.mparticle.keys.clear()
    shared.mparticle.keys.update({"signed": "secret", "plain": None})
    return shared


def ask(
    sandbox: Sandbox, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
) -> tuple[int, Any, http.client.HTTPMessage]:
    """Make one request; gives status, JSON and headers of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=10)
    try:
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        connection.request(method, path, content, dict(headers or {}))
        answer = connection.getresponse()
        raw = answer.read()
        return answer.status, json.loads(raw) if raw else None, answer.headers
    finally:
        connection.close()


def identify(
    sandbox: Sandbox, operation: str = "identify", **identities: str
) -> tuple[int, Any, http.client.HTTPMessage]:
    """One identity request of the key without a secret."""
    body = {**ENVELOPE, "previous_mpid": None, "known_identities": {**DEVICE, **identities}}
    return ask(sandbox, "POST", f"/v1/{operation}", body, {"Content-Type": "application/json", "x-mp-key": "plain"})


def signature(method: str, path: str, body: bytes = b"", secret: str = "secret") -> dict[str, str]:
    """The headers of a signed request."""
    signed = f"{method}\n{DATE}\n{path}".encode() + body
    return {"Date": DATE, "x-mp-signature": hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}


# -- identities -----------------------------------------------------------------------------------------------------


def test_identities_lead_to_users(sandbox: Sandbox) -> None:
    """The same identities are the same user; the device's own user counts as unknown; who is new gets an MPID."""
    status, ada, _ = identify(sandbox, "login", customerid="ada", email="a@b.c")
    assert status == 200
    assert (ada["mpid"], ada["is_logged_in"], ada["is_ephemeral"], ada["matched_identities"]) == (
        "1000",
        True,
        False,
        None,
    )
    again = identify(sandbox, customerid="ada")[1]
    assert (again["mpid"], again["matched_identities"]) == ("1000", {"customerid": "ada"})
    assert again["context"] != ada["context"]
    nobody = identify(sandbox, "logout")[1]
    assert (nobody["mpid"], nobody["is_logged_in"]) == ("1001", False)
    assert sandbox.idsync.users == {1000: {"customerid": "ada", "email": "a@b.c"}, 1001: DEVICE}


def test_search_and_read_only_make_nobody(sandbox: Sandbox) -> None:
    """Unknown identities are not found; known ones are, and nothing is added to them."""
    sandbox.idsync.add_user(-7, email="a@b.c")
    for operation in ("search", "identify?read_only=true"):
        status, body, _ = identify(sandbox, operation, customerid="nobody")
        assert (status, body["errors"][0]["code"]) == (404, "NOT_FOUND_ERROR")
        assert identify(sandbox, operation, email="a@b.c", customerid="new")[1]["mpid"] == "-7"
    assert sandbox.idsync.users == {-7: {"email": "a@b.c"}}
    assert sandbox.idsync.problems == []


def test_modify_changes_identities(sandbox: Sandbox) -> None:
    """Each change is applied and listed; null removes."""
    sandbox.idsync.add_user(5, email="a@b.c", other="o")
    changes = [
        {"identity_type": "email", "old_value": "a@b.c", "new_value": "new@b.c"},
        {"identity_type": "other", "old_value": "o", "new_value": None},
    ]
    headers = {"Content-Type": "application/json", "x-mp-key": "plain"}
    status, body, _ = ask(sandbox, "POST", "/v1/5/modify", {**ENVELOPE, "identity_changes": changes}, headers)
    assert status == 200
    assert [result["identity_type"] for result in body["change_results"]] == ["email", "other"]
    assert sandbox.idsync.users == {5: {"email": "new@b.c"}}


def test_aliases_are_checked(sandbox: Sandbox) -> None:
    """Two users, a time in order and not too long ago; then it is accepted and kept."""
    now = round(time.time() * 1000)
    data = {"source_mpid": 1, "destination_mpid": 2, "start_unixtime_ms": now - 5, "end_unixtime_ms": now}
    body = {"request_id": ID, "request_type": "alias", "environment": "production", "api_key": "plain", "data": data}
    wrong: list[dict[str, Any]] = [
        {"source_mpid": 2}, {"source_mpid": 0}, {"destination_mpid": "2"}, {"end_unixtime_ms": now - 6},
        {"start_unixtime_ms": now - 91 * 86_400_000},
    ]  # fmt: skip
    headers = {"Content-Type": "application/json"}
    for change in wrong:
        bad = {**body, "data": {**data, **change}}
        assert ask(sandbox, "POST", "/v1/identity/plain/alias", bad, headers)[0] == 400
    assert ask(sandbox, "POST", "/v1/identity/plain/Alias", body, headers)[0] == 202
    assert sandbox.idsync.aliases == [data]


@pytest.mark.parametrize(
    "change",
    [
        {"request_id": "5"},
        {"environment": "staging"},
        {"client_sdk": {"platform": "other"}},
        {"client_sdk": {**ENVELOPE["client_sdk"], "platform": "toaster"}},  # type: ignore[dict-item]  # the model is a plain dict
        {"request_timestamp_ms": "now"},
        {"previous_mpid": 5},
        {"known_identities": {}},
        {"known_identities": {"customer_id": "ada"}},
        {"known_identities": {"customerid": 5}},
        {"context": 5},
    ],
)
def test_identity_requests_are_checked(sandbox: Sandbox, change: dict[str, Any]) -> None:
    """A request that mParticle would refuse is refused, said, and makes nobody."""
    body = {**ENVELOPE, "previous_mpid": None, "known_identities": DEVICE, **change}
    status, answer, _ = ask(
        sandbox, "POST", "/v1/identify", body, {"Content-Type": "application/json", "x-mp-key": "plain"}
    )
    assert (status, answer["errors"][0]["code"]) == (400, "BAD_REQUEST")
    assert len(sandbox.idsync.problems) == 1
    assert (sandbox.idsync.users, sandbox.idsync.requests[0].recorded) == ({}, False)


def test_keys_and_signatures(sandbox: Sandbox) -> None:
    """A key with a secret needs a signature over date, path and body, or Basic; one without goes alone."""
    body = json.dumps({**ENVELOPE, "previous_mpid": None, "known_identities": DEVICE}).encode()
    basic = {"Authorization": "Basic " + base64.b64encode(b"signed:secret").decode()}
    wrong_basic = {"Authorization": "Basic " + base64.b64encode(b"signed:wrong").decode()}
    cases: list[tuple[dict[str, str], int]] = [
        ({"x-mp-key": "plain"}, 200),
        ({"x-mp-key": "signed", **signature("POST", "/v1/identify", body)}, 200),
        ({"x-mp-key": "signed", **basic}, 200),
        (basic, 200),
        ({}, 401),
        ({"x-mp-key": "unknown"}, 401),
        ({"x-mp-key": "signed"}, 401),
        ({"x-mp-key": "signed", **wrong_basic}, 401),
        ({"x-mp-key": "signed", **signature("POST", "/v1/login", body)}, 401),
        ({"x-mp-key": "signed", **signature("POST", "/v1/identify", body, "wrong")}, 401),
        ({"x-mp-key": "signed", **signature("POST", "/v1/identify", body), "Date": "yesterday"}, 401),
    ]
    for headers, expected in cases:
        status, _, _ = ask(sandbox, "POST", "/v1/identify", body, {"Content-Type": "application/json", **headers})
        assert status == expected, headers
    assert sandbox.idsync.problems == []
    sandbox.mparticle.keys.clear()
    assert ask(
        sandbox, "POST", "/v1/identify", body, {"Content-Type": "application/json", "x-mp-key": "any"}
    )[0] == 200  # fmt: skip


# -- configurations -------------------------------------------------------------------------------------------------

CONFIG_HEADERS = {"x-mp-env": "2", "x-mp-kits": "28,1000001"}


def test_configurations_have_tags(sandbox: Sandbox) -> None:
    """Who has it already gets 304; a changed one comes again."""
    sandbox.set_configuration([{"id": 28}])
    path = "/v4/plain/config?av=1&sv=2"
    status, body, headers = ask(sandbox, "GET", path, headers=CONFIG_HEADERS)
    assert (status, body) == (200, {"eks": [{"id": 28}]})
    known = {**CONFIG_HEADERS, "If-None-Match": headers["ETag"]}
    assert ask(sandbox, "GET", path, headers=known)[:2] == (304, None)
    assert (
        ask(sandbox, "GET", path, headers={**CONFIG_HEADERS, "If-Modified-Since": headers["Last-Modified"]})[0] == 304
    )
    sandbox.set_configuration({"eks": [], "stl": 60})
    assert ask(sandbox, "GET", path, headers=known)[:2] == (200, {"eks": [], "stl": 60})


def test_forms_paths_and_keys_of_configurations(sandbox: Sandbox) -> None:
    """The mobile form is signed, over the path as on mParticle's host; the web form is not; a wrong key is 400."""
    sandbox.set_configuration([{"name": "Braze"}], form="web")
    signed = {**CONFIG_HEADERS, **signature("GET", "/v4/signed/config?av=1&sv=2")}
    asked: list[tuple[str, dict[str, str], int]] = [
        ("/config/v4/signed/config?av=1&sv=2", signed, 200),
        ("/v4/signed/config?av=1&sv=2", signed, 200),
        ("/v4/signed/config?av=1&sv=3", signed, 401),
        ("/v4/signed/config?av=1&sv=2", CONFIG_HEADERS, 401),
        ("/v4/other/config?av=1&sv=2", CONFIG_HEADERS, 400),
        ("/v4/plain/config?av=1&sv=2", {**CONFIG_HEADERS, "x-mp-env": "0"}, 400),
        ("/v4/plain/config?av=1&sv=2", {**CONFIG_HEADERS, "x-mp-kits": "Braze"}, 400),
        ("/v4/plain/config", CONFIG_HEADERS, 400),
        ("/JS/v2/signed/config?env=1", {}, 200),
        ("/JS/v2/signed/config", {}, 400),
        ("/v3/plain/config", CONFIG_HEADERS, 404),
    ]
    for path, headers, expected in asked:
        assert ask(sandbox, "GET", path, headers=headers)[0] == expected, path
    assert ask(sandbox, "GET", "/JS/v2/plain/config?env=0")[1] == {"kitConfigs": [{"name": "Braze"}]}
    with pytest.raises(ValueError, match="form"):
        sandbox.set_configuration([], form="desktop")  # type: ignore[arg-type]  # wrong on purpose


# -- uploads --------------------------------------------------------------------------------------------------------

UPLOAD_HEADERS = {
    "Content-Type": "application/json",
    "Authorization": "Basic " + base64.b64encode(b"signed:secret").decode(),
}


def test_batches_are_taken_in_once(sandbox: Sandbox) -> None:
    """One batch or an array of them; what comes again under the same id is counted, not kept."""
    assert ask(sandbox, "POST", "/v2/events", BATCH, UPLOAD_HEADERS)[:2] == (202, None)
    other = {**BATCH, "source_request_id": ID.replace("0", "9")}
    assert ask(sandbox, "POST", "/v2/bulkevents", [BATCH, other], UPLOAD_HEADERS)[0] == 202
    assert (sandbox.uploads.batches, sandbox.uploads.repeated) == ([BATCH, other], 1)
    assert [event["event_name"] for event in sandbox.uploads.of("custom_event")] == ["A", "A"]
    for headers in ({"Content-Type": "application/json"}, {**UPLOAD_HEADERS, "Authorization": "Basic eDp5"}):
        assert ask(sandbox, "POST", "/v2/bulkevents", [BATCH], headers)[0] == 401


@pytest.mark.parametrize(
    "wrong",
    [
        b"no JSON",
        [],
        BATCH,
        [BATCH] * 101,
        [{**BATCH, "environment": "staging"}],
        [{**BATCH, "source_request_id": "5"}],
        [{**BATCH, "mpid": "5"}],
        [{**BATCH, "user": 5}],
        [{**BATCH, "events": []}],
        [{**BATCH, "user_identities": {"customerid": "ada"}}],
        [{**BATCH, "user_identities": {"email": 5}}],
        [{**BATCH, "user_attributes": {"a": {"b": 1}}}],
        [{**BATCH, "user_attributes": {"a": ["x" * 513]}}],
        [{**BATCH, "user_attributes": {"a": 1}, "deleted_user_attributes": ["a"]}],
        [{**BATCH, "consent_state": {"gdpr": {"Ads": {"consented": True, "timestamp_unixtime_ms": 1}}}}],
        [{**BATCH, "consent_state": {"ccpa": {"sale": {"consented": True, "timestamp_unixtime_ms": 1}}}}],
        [{**BATCH, "events": [{"event_type": "no_such", "data": {}}]}],
        [{**BATCH, "events": [{**EVENT, "more": 1}]}],
        [{**BATCH, "events": [{**EVENT, "data": {**EVENT["data"], "event_name": ""}}]}],  # type: ignore[dict-item]  # the model is a plain dict
        [{**BATCH, "events": [{**EVENT, "data": {**EVENT["data"], "custom_attributes": {}}}]}],  # type: ignore[dict-item]  # the model is a plain dict
        [{**BATCH, "mp_deviceid": "x" * 128_000}],
    ],
    ids=lambda wrong: str(wrong)[-60:],
)
def test_batches_are_checked(sandbox: Sandbox, wrong: Any) -> None:
    """A request that breaks a public rule is refused as a whole, with the reason."""
    status, body, _ = ask(sandbox, "POST", "/v2/bulkevents", wrong, UPLOAD_HEADERS)
    assert (status, body["errors"][0]["code"]) == (400, "BAD_REQUEST")
    assert (len(sandbox.uploads.problems), sandbox.uploads.batches) == (1, [])


# -- scripts --------------------------------------------------------------------------------------------------------


def test_scripts_of_one_api_and_of_all(sandbox: Sandbox) -> None:
    """An API's own replies come first and touch no other; the sandbox's serve all; a fault sees the request."""
    sandbox.uploads.respond_next(Reply(503))
    sandbox.respond_next(Reply(429, headers={"Retry-After": "7"}))
    status, _, headers = identify(sandbox)
    assert (status, headers["Retry-After"]) == (429, "7")
    assert ask(sandbox, "POST", "/v2/bulkevents", [BATCH], UPLOAD_HEADERS)[0] == 503
    assert (sandbox.uploads.batches, sandbox.idsync.users) == ([], {})
    sandbox.fault = lambda request: Reply(500) if b"ada" in request.raw else None
    assert identify(sandbox, customerid="ada")[0] == 500
    assert identify(sandbox, customerid="bob")[0] == 200
    assert [request.status for request in sandbox.idsync.requests] == [429, 500, 200]


def test_a_batch_may_be_taken_in_without_an_answer(sandbox: Sandbox) -> None:
    """What was recorded, though the connection broke, is known when it comes again."""
    sandbox.uploads.respond_next(Reply(close=True, record=True))
    with pytest.raises(http.client.RemoteDisconnected):
        ask(sandbox, "POST", "/v2/bulkevents", [BATCH], UPLOAD_HEADERS)
    assert ask(sandbox, "POST", "/v2/bulkevents", [BATCH], UPLOAD_HEADERS)[0] == 202
    assert (sandbox.uploads.batches, sandbox.uploads.repeated) == ([BATCH], 1)


def test_answers_can_be_held_back(sandbox: Sandbox) -> None:
    """A request that is held back has been taken in already; it is answered once the API answers again."""
    answers: list[int] = []
    sandbox.idsync.answering.clear()
    thread = threading.Thread(target=lambda: answers.append(identify(sandbox, customerid="ada")[0]))
    thread.start()
    assert sandbox.wait_for(lambda: sandbox.idsync.users)
    assert answers == []
    sandbox.idsync.answering.set()
    thread.join(10)
    assert answers == [200]


def test_the_read_side_and_commands(sandbox: Sandbox) -> None:
    """What was uploaded and who is known can be read over HTTP, and a configuration be set."""
    identify(sandbox, customerid="ada")
    ask(sandbox, "POST", "/v2/events", BATCH, UPLOAD_HEADERS)
    assert ask(sandbox, "GET", "/sandbox/identities")[1] == {"1000": {"customerid": "ada"}}
    assert ask(sandbox, "GET", "/sandbox/uploads")[1] == [BATCH]
    assert ask(sandbox, "POST", "/sandbox/configuration", {"document": {"eks": [], "stl": 9}})[0] == 200
    assert ask(sandbox, "GET", "/v4/plain/config?av=1&sv=2", headers=CONFIG_HEADERS)[1] == {"eks": [], "stl": 9}
    ask(sandbox, "POST", "/sandbox/reset")
    assert (sandbox.uploads.batches, sandbox.idsync.users) == ([], {})
