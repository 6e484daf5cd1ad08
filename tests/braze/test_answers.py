"""What the endpoint's answers mean, and the configuration they bring."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from mparticle_kit_braze.braze import AuthenticationFailure
from mparticle_kit_braze.braze.answers import parsed
from mparticle_kit_braze.braze.server_config import ServerConfig
from mparticle_kit_braze.delivery.destination import Backoff, Outcome, Response, Verdict
from mparticle_kit_braze.delivery.policy import Pace, failed

from .conftest import Client, ManualClock


def outcome(client: Client, response: Response) -> Outcome:
    """Log an event, send it, get this answer."""
    client.braze.log_custom_event("e")
    client.delivery.answer = lambda _request: response
    return client.delivery.send()


@pytest.mark.parametrize(
    ("response", "verdict"),
    [
        (Response(200, {}, b"{}"), Verdict.ACCEPTED),
        (Response(201, {}, b"{}"), Verdict.ACCEPTED),
        (Response(204), Verdict.ACCEPTED),
        (Response(200, {}, b""), Verdict.ACCEPTED),
        (Response(200, {}, b"<html>"), Verdict.ACCEPTED),
        (Response(200, {}, b'{"config": {"ti'), Verdict.ACCEPTED),
        (Response(200, {}, b"[" * 100_000), Verdict.ACCEPTED),
        (Response(200, {}, b'{"error": "invalid_api_key"}'), Verdict.REFUSED),
        (Response(200, {}, b'{"auth_error": {"error_code": 22, "reason": "EXPIRED"}}'), Verdict.RETRY),
        (Response(200, {}, b'{"auth_error": null}'), Verdict.ACCEPTED),
        (Response(200, {}, b'{"auth_error": false}'), Verdict.ACCEPTED),
        (Response(401, {}, b'{"error_code": 22}'), Verdict.UNAUTHORIZED),
        (Response(401, {}, b""), Verdict.UNAUTHORIZED),
        (Response(403, {}, b"<html>"), Verdict.UNAUTHORIZED),
        (Response(400, {}, b'{"error": "bad"}'), Verdict.REFUSED),
        (Response(413), Verdict.TOO_LARGE),
        (Response(302), Verdict.RETRY),
        (Response(404), Verdict.RETRY),
        (Response(429), Verdict.RETRY),
        (Response(503, {}, b"<html>"), Verdict.RETRY),
        (Response(0, error="timeout"), Verdict.RETRY),
    ],
)
def test_verdicts(client: Client, response: Response, verdict: Verdict) -> None:
    """Each answer has one meaning."""
    assert outcome(client, response).verdict is verdict


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("invalid_api_key", "HTTP 400: invalid_api_key"),
        ("events[3]: ce: data.n must be text", "HTTP 400: events[3]: ce: data.n must be text"),
        ('email must be an address, it is "ada@"', "HTTP 400: email must be an address, it is …"),
        ("no such user ada@example.com, +1 (555) 123-4567", "HTTP 400: no such user … …"),
        (["x" * 500], f"HTTP 400: ['{'x' * 198}"),
        (None, "HTTP 400"),
    ],
)
def test_reasons_quote_no_values(client: Client, error: object, reason: str) -> None:
    """The server's word for what is wrong goes into logs, what it quotes does not."""
    assert outcome(client, Response(400, {}, json.dumps({"error": error}).encode())).reason == reason


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("60", 60.0),
        ("1.5", 1.5),
        (" 0 ", 0.0),
        ("9" * 400, float("9" * 18)),
        ("Sat, 21 Nov 2026 16:32:25 GMT", 120.0 - 120.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
        ("٣", None),
    ],
)
def test_retry_after(client: Client, value: str, seconds: float | None) -> None:
    """Seconds or a date; nonsense counts as absent."""
    got = outcome(client, Response(503, {"retry-after": value})).retry_after
    if value.startswith("Sat"):
        assert got is not None
    else:
        assert got == seconds


def test_an_unreadable_answer_is_reported_once(client: Client) -> None:
    """The data counts as delivered, and nothing of the answer is sent on."""
    outcome(client, Response(200, {}, b"<html>"))
    assert [problem.code for problem in client.problems] == ["answer_unreadable"]
    assert client.delivery.records == []
    client.braze.log_custom_event("e")
    assert "html" not in json.dumps(client.send())


@pytest.mark.parametrize(
    ("enabled", "status", "verdict"),
    [
        (True, 200, Verdict.UNAUTHORIZED),
        (True, 401, Verdict.UNAUTHORIZED),
        (False, 200, Verdict.RETRY),  # there will never be a new signature
        (False, 401, Verdict.UNAUTHORIZED),  # but perhaps a new key
    ],
)
def test_what_an_authentication_failure_waits_for(
    make_client: Callable[..., Client], enabled: bool, status: int, verdict: Verdict
) -> None:
    """A new signature, where SDK authentication is on; subscribers hear of it either way."""
    client = make_client(":memory:", sdk_authentication=enabled)
    heard: list[AuthenticationFailure] = []
    client.braze.subscribe_to_sdk_authentication_failures(heard.append)
    client.braze.change_user("u1", "sig")
    failing = Response(status, {}, b'{"auth_error": {"error_code": 22, "reason": "EXPIRED"}}')
    assert outcome(client, failing).verdict is verdict
    assert heard == [AuthenticationFailure(22, "EXPIRED", "u1", "sig" if enabled else None)]


def test_the_same_callback_may_hear_of_failures_twice(client: Client) -> None:
    """Each subscription ends on its own, and what a callback raises is reported."""
    failing = Response(200, {}, b'{"auth_error": {"error_code": 22}}')
    heard: list[AuthenticationFailure] = []
    ends = [client.braze.subscribe_to_sdk_authentication_failures(heard.append) for _ in range(2)]
    ends[0]()
    ends[0]()
    client.braze.subscribe_to_sdk_authentication_failures(lambda _failure: 1 / 0)
    outcome(client, failing)
    assert len(heard) == 1
    assert "callback_failed" in [problem.code for problem in client.problems]


def test_answers_nested_beyond_reason_are_none() -> None:
    """What could not be stored or copied again is not read in the first place."""
    for levels, taken in ((99, True), (100, False), (900, False)):
        assert (parsed(b'{"a":' * levels + b"[]" + b"}" * levels) is not None) is taken
    assert parsed(b"5") == 5


def test_authentication_failures_reach_subscribers(make_client: Callable[..., Client]) -> None:
    """With code, reason, user and the signature that failed; one who raises does not disturb the next."""
    client = make_client(":memory:", sdk_authentication=True)
    heard: list[AuthenticationFailure] = []
    client.braze.subscribe_to_sdk_authentication_failures(lambda failure: 1 / 0)
    unsubscribe = client.braze.subscribe_to_sdk_authentication_failures(heard.append)
    client.braze.change_user("u1", "sig")
    failing = Response(200, {}, b'{"auth_error": {"error_code": 22, "reason": "EXPIRED"}}')
    outcome(client, failing)
    assert heard == [AuthenticationFailure(22, "EXPIRED", "u1", "sig")]
    assert "sig" not in repr(client.delivery.requests)
    assert "sig" not in repr(heard)
    unsubscribe()
    outcome(client, failing)
    assert len(heard) == 1
    assert len(client.delivery.records) == 3


# -- configuration --------------------------------------------------------------------------------------------------


def test_a_configuration_is_taken_when_newer_and_outlives_restarts(make_client: Callable[..., Client]) -> None:
    """It replaces the old one whole; its time is told with each request."""
    first = make_client()
    first.braze.open_session()
    first.send({"config": {"time": 5, "events_blacklist": ["x"], "purchases_blocklist": ["p"]}})
    assert not first.braze.log_custom_event("x")
    assert first.problems[-1].code == "blocked"
    first.send({"config": {"time": 5, "events_blacklist": []}})
    assert not first.braze.log_custom_event("x")
    second = make_client()
    assert not second.braze.log_custom_event("x")
    assert not second.braze.log_purchase("p", 1)
    second.braze.log_custom_event("y")
    assert second.send({"config": {"time": 6}})["respond_with"]["config"] == {"config_time": 5}
    assert second.braze.log_custom_event("x")
    assert second.braze.log_purchase("p", 1)


def test_known_names_are_blocked_too(client: Client) -> None:
    """A name that was logged before is checked against a new list."""
    assert client.braze.log_custom_event("x")
    client.send({"config": {"time": 5, "events_blocklist": ["x"]}})
    assert not client.braze.log_custom_event("x")
    client.braze.change_user("u1")
    assert not client.braze.log_custom_event("x")


@pytest.mark.parametrize(
    "raw",
    [
        None,
        [],
        "x",
        {"time": "5"},
        {"time": True},
        {"time": 5, "events_blacklist": "x", "attributes_blacklist": [1, None, ["a"]]},
        {"time": 5, "messaging_session_timeout": -1, "request_backoff": {"min_sleep_duration_ms": "x"}},
        {"time": 5, "global_request_rate_limit": 5},
        {"time": 5, "global_request_rate_limit": {"endpoint_overrides": {"data": []}}},
        {"time": 1e400},
        {"time": 10**300},
        {"time": 5, "global_request_rate_limit": {"capacity": 1e300, "refill_rate": 5e-324}},
    ],
)
def test_malformed_configurations_do_no_harm(client: Client, raw: Any) -> None:
    """What cannot be read takes its default."""
    client.braze.log_custom_event("e")
    client.send({"config": raw})
    assert client.braze.log_custom_event("e")
    client.send()


def test_back_off_follows_the_configuration(client: Client) -> None:
    """Milliseconds become seconds."""
    assert client.delivery.destination.backoff == Backoff(10.0, 300.0, 3.0)
    client.braze.open_session()
    slow = {"min_sleep_duration_ms": 2000, "max_sleep_duration_ms": 60000, "scale_factor": 2}
    client.send({"config": {"time": 1, "request_backoff": slow}})
    assert client.delivery.destination.backoff == Backoff(2.0, 60.0, 2.0, first=10.0)


def test_back_off_grows_from_ten_seconds() -> None:
    """With a random value in the middle; the first step does so whatever the configuration says."""

    def waits(backoff: Backoff, count: int) -> list[float]:
        pace, waited = Pace(), []
        for _ in range(count):
            pace = failed(pace, backoff, None, 0.0, 0.5)
            waited.append(pace.wait(0.0))
        return waited

    assert waits(ServerConfig().backoff, 3) == [20.0, 35.0, 57.5]
    assert waits(ServerConfig().backoff, 9)[-2:] == [300.0, 300.0]
    quick = {"min_sleep_duration_ms": 1000, "max_sleep_duration_ms": 300000, "scale_factor": 2}
    assert waits(ServerConfig.parse({"request_backoff": quick}).backoff, 2) == [10.5, 11.0]


def test_messaging_sessions_ask_for_messages_again(client: Client, clock: ManualClock) -> None:
    """After the configured inactivity triggers are asked for without a new session."""
    client.braze.open_session()
    client.send({"config": {"time": 1, "messaging_session_timeout": 300}})
    clock.advance(200)
    client.braze.log_custom_event("a")
    assert "triggers" not in client.send()["respond_with"]
    clock.advance(301)
    client.braze.log_custom_event("b")
    body = client.send()
    assert body["respond_with"]["triggers"] is True
    assert [event["name"] for event in body["events"]] == ["ce"]
    client.braze.log_custom_event("c")
    assert "triggers" not in client.send()["respond_with"]


def test_a_request_without_events_asks_for_messages_too(client: Client, clock: ManualClock) -> None:
    """Attributes do not extend a session: after the configured inactivity their request asks, once for the pause."""
    client.braze.open_session()
    client.send({"config": {"time": 1, "messaging_session_timeout": 300}})
    asked = []
    for seconds, event in ((300, False), (1, False), (50, False), (0, True), (301, True), (301, False)):
        clock.advance(seconds)
        client.user.set_first_name(f"Ada {clock.wall}")
        if event:
            client.braze.log_custom_event("e")
        asked.append(client.send()["respond_with"].get("triggers", False))
    assert asked == [False, True, False, False, True, True]
    assert client.codes() == []
    clock.advance(400)
    client.braze.disable()
    client.user.set_first_name("Bob")
    client.delivery.append("a", b'{"first_name":"Bob"}')
    assert "triggers" not in client.send()["respond_with"]


def test_the_minimum_session_time_out_holds_from_the_next_start(
    make_client: Callable[..., Client], clock: ManualClock
) -> None:
    """A floor from the server."""
    first = make_client(session_timeout=10)
    first.braze.open_session()
    first.send({"config": {"time": 1, "minimum_session_timeout": 60}})
    second = make_client(session_timeout=10)
    clock.advance(50)
    second.braze.log_custom_event("a")
    assert second.codes() == ["ce"]


# -- token bucket ---------------------------------------------------------------------------------------------------


LIMIT = {"capacity": 30, "refill_rate": 30}


def drain(client: Client, count: int) -> list[str | None]:
    """Send ``count`` requests; gives what each said was left."""
    left = []
    for _ in range(count):
        client.braze.log_custom_event("e")
        client.send()
        left.append(client.last_headers.get("X-Braze-Req-Tokens-Remaining"))
    return left


def test_thirty_tokens_and_one_more_every_thirty_seconds(client: Client, clock: ManualClock) -> None:
    """The first request is free; then the bucket runs down, waits, and goes on: no stall."""
    destination = client.delivery.destination
    assert drain(client, 31) == [None, *map(str, range(29, -1, -1))]
    assert destination.wait_before_request(clock.monotonic()) == 30.0
    clock.advance(10)
    assert destination.wait_before_request(clock.monotonic()) == 20.0
    clock.advance(20)
    assert destination.wait_before_request(clock.monotonic()) == 0.0
    assert drain(client, 1) == ["0"]
    clock.advance(95)
    assert drain(client, 1) == ["2"]
    clock.advance(100_000)
    assert drain(client, 1) == ["29"]


def test_the_bucket_outlives_a_restart(make_client: Callable[..., Client], clock: ManualClock) -> None:
    """Tokens and the time of the last request are stored; a clock set back regains nothing."""
    first = make_client()
    drain(first, 31)
    clock.advance(12)
    second = make_client()
    assert second.delivery.destination.wait_before_request(0) == pytest.approx(18.0)
    clock.wall -= 1e8
    third = make_client()
    assert third.delivery.destination.wait_before_request(0) == 30.0


@pytest.mark.parametrize(
    "limit",
    [{"enabled": False, "capacity": 30, "refill_rate": 30}, {"enabled": True, "capacity": 9, "refill_rate": 1}, {}],
)
def test_the_server_turns_the_limit_off(client: Client, limit: dict[str, Any]) -> None:
    """No wait and no header."""
    client.braze.open_session()
    client.send({"config": {"time": 1, "global_request_rate_limit": limit}})
    assert set(drain(client, 40)) == {None}
    assert client.delivery.destination.wait_before_request(0) == 0.0


def test_an_override_for_data_is_a_second_bucket(client: Client) -> None:
    """The tighter of the two decides."""
    client.braze.open_session()
    override = {"data": {"capacity": 2, "refill_rate": 7}}
    limit = {"enabled": True, "capacity": 30, "refill_rate": 30, "endpoint_overrides": override}
    client.send({"config": {"time": 1, "global_request_rate_limit": limit}})
    drain(client, 3)
    assert client.delivery.destination.wait_before_request(0) == 7.0


def test_the_override_regains_tokens_by_its_own_requests(client: Client, clock: ManualClock) -> None:
    """A request to another path does not set back what data requests may."""
    destination: Any = client.delivery.destination
    client.braze.open_session()
    override = {"data": {"capacity": 1, "refill_rate": 60}}
    client.send({"config": {"time": 1, "global_request_rate_limit": {"capacity": 30, "endpoint_overrides": override}}})
    assert client.delivery.destination.wait_before_request(0) == 0.0
    client.send({"config": {"time": 2, "global_request_rate_limit": {**LIMIT, "endpoint_overrides": override}}})
    drain(client, 2)
    clock.advance(40)
    destination.side_request("banners/sync", {}, headers={}, responds=False, now=clock.time())
    assert destination.wait_before_request(0) == pytest.approx(20.0)


def test_a_configuration_without_limits_keeps_the_default() -> None:
    """Only a limit object that says so turns the limiter off."""
    assert ServerConfig.parse({"time": 1}).limit is not None
