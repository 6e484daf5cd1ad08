"""The sandbox's messaging paths: strict about requests, and right about what they serve."""

from __future__ import annotations

import json
from typing import Any
from urllib.request import Request, urlopen

import pytest

from mparticle_kit_braze.sandbox import Sandbox

COMMON = {"api_key": "app-key-1", "sdk_version": "1", "device_id": "d", "time": 1_700_000_000}
PLAIN = {
    "Content-Type": "application/json",
    "X-Braze-Api-Key": "app-key-1",
    "X-Braze-Last-Req-Ms-Ago": "7200000",
    "X-Braze-Req-Attempt": "1",
}
WANTS = {"X-Braze-DataRequest": "true"}
REQUESTS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "content_cards/sync": (
        {"last_full_sync_at": 0, "last_card_updated_at": 0},
        {**WANTS, "X-Braze-ContentCardsRequest": "true", "BRAZE-SYNC-RETRY-COUNT": "0"},
    ),
    "feature_flags/sync": ({}, {**WANTS, "X-Braze-FeatureFlagsRequest": "true"}),
    "banners/sync": ({"time_ms": 1, "placements": [{"id": "p1"}], "pending_dismissals": []}, {}),
    "template/": (
        {"template": {"trigger_id": "t", "trigger_event_type": "open"}, "respond_with": {"config": {"config_time": 0}}},
        {},
    ),
    "push/unregister": ({"push_token": "x"}, {}),
}


def post(sandbox: Sandbox, endpoint: str, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, Any]:
    """One request, and its status and answer."""
    request = Request(f"{sandbox.url}/api/v3/{endpoint}", json.dumps(body).encode(), headers)
    try:
        with urlopen(request, timeout=5) as answer:
            return answer.status, json.load(answer)
    except OSError as error:
        return int(getattr(error, "code", 0)), None


@pytest.mark.parametrize("endpoint", REQUESTS)
def test_good_requests_are_taken(sandbox: Sandbox, endpoint: str) -> None:
    """What the real SDK sends is answered with 200."""
    body, headers = REQUESTS[endpoint]
    assert post(sandbox, endpoint, {**COMMON, **body}, {**PLAIN, **headers})[0] == 200
    assert not sandbox.problems


@pytest.mark.parametrize("endpoint", REQUESTS)
@pytest.mark.parametrize(
    "spoil",
    [
        lambda body, headers: body.pop("device_id"),
        lambda body, headers: body.update(events=[]),
        lambda body, headers: body.update(surprise=1),
        lambda body, headers: body.update(user_id=""),
        lambda body, headers: headers.update({"X-Braze-TriggersRequest": "true"}),
        lambda body, headers: headers.pop("X-Braze-Req-Attempt"),
        lambda body, headers: headers.update({"X-Braze-Api-Key": "other"}),
        lambda body, headers: headers.pop(next((name for name in headers if name in WANTS), "X-Braze-Api-Key")),
        lambda body, headers: [body.pop(key) for key in [*body] if key not in COMMON] or body.pop("time"),
    ],
)
def test_bad_requests_are_refused(sandbox: Sandbox, endpoint: str, spoil: Any) -> None:
    """Anything missing, unknown or contradictory is a 400 with a reason."""
    body, headers = REQUESTS[endpoint]
    spoilt_body, spoilt_headers = {**COMMON, **body}, {**PLAIN, **headers}
    spoil(spoilt_body, spoilt_headers)
    assert post(sandbox, endpoint, spoilt_body, spoilt_headers)[0] == 400
    assert sandbox.problems


def test_reset_forgets_campaigns(sandbox: Sandbox) -> None:
    """After a reset nothing is served any more."""
    sandbox.add_in_app_message()
    sandbox.add_content_card("a")
    sandbox.add_feature_flag("f")
    sandbox.reset()
    assert sandbox.triggers == []
    assert post(sandbox, "feature_flags/sync", COMMON, {**PLAIN, **REQUESTS["feature_flags/sync"][1]})[1] == {
        "feature_flags": []
    }
    assert not sandbox.config["content_cards"]["enabled"]


def test_withdrawn_tokens_are_remembered(sandbox: Sandbox) -> None:
    """The token of an unregistration is kept for tests to see."""
    body, headers = REQUESTS["push/unregister"]
    post(sandbox, "push/unregister", {**COMMON, **body}, {**PLAIN, **headers})
    assert sandbox.messaging.withdrawn_tokens == ["x"]
