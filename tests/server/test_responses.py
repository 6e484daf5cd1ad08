"""What answers mean."""

from __future__ import annotations

import json

import pytest

from mparticle_kit_braze.server.rates import TokenBucket
from mparticle_kit_braze.server.responses import Meaning, RateHeaders, interpret, rate_headers

NOW = 1_767_323_045.0


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [
        (201, {"message": "success"}, Meaning.TAKEN),
        (202, {"message": "queued"}, Meaning.TAKEN),
        (400, {"message": "no"}, Meaning.REFUSED),
        (400, {"message": "Max Input Length Exceeded"}, Meaning.TOO_LARGE),
        (401, {}, Meaning.STOP),
        (403, {}, Meaning.STOP),
        (404, {}, Meaning.STOP),
        (413, {}, Meaning.TOO_LARGE),
        (429, {}, Meaning.WAIT),
        (500, {}, Meaning.RETRY),
        (503, {}, Meaning.RETRY),
        (302, {}, Meaning.RETRY),
        (0, {}, Meaning.RETRY),
    ],
)
def test_statuses(status: int, body: object, meaning: Meaning) -> None:
    """Each status means one thing."""
    assert interpret(status, {}, json.dumps(body).encode(), now=NOW).meaning is meaning


def test_partial_errors() -> None:
    """Refused objects are read with their reasons; what makes no sense is passed over."""
    errors = [
        {"type": "EMAIL_BAD_FORMAT", "input_array": "attributes", "index": 1},
        {"type": "x", "input_array": "elsewhere", "index": 0},
        {"input_array": "events", "index": True},
        "odd",
    ]
    answer = interpret(201, {}, json.dumps({"message": "success", "errors": errors}).encode(), now=NOW)
    assert answer.refused == {("attributes", 1): "EMAIL_BAD_FORMAT"}


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"errors": 7}', b"\xff"])
def test_odd_bodies(body: bytes) -> None:
    """A body that is not what it should be changes nothing about a success."""
    answer = interpret(201, {}, body, now=NOW)
    assert (answer.meaning, answer.refused) == (Meaning.TAKEN, {})


def test_a_page_of_somebody_else_is_no_success() -> None:
    """Braze answers 201 with JSON; a 200 with a page is a proxy's, and takes nothing."""
    assert interpret(200, {}, b"<html>Please log in</html>", now=NOW).meaning is Meaning.RETRY
    assert interpret(200, {}, b'{"message": "success"}', now=NOW).meaning is Meaning.TAKEN


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"X-Ratelimit-Retry-After": "7"}, 7.0),
        ({"retry-after": "3"}, 3.0),
        ({"Retry-After": "Fri, 02 Jan 2026 03:04:15 GMT"}, 10.0),
        ({"Retry-After": "soon"}, None),
        ({"X-RateLimit-Reset": "2"}, 2.0),
        ({"X-RateLimit-Reset": str(int(NOW) + 30)}, 30.0),
        ({"X-RateLimit-Reset": str(int(NOW) - 30)}, 0.0),
        ({"X-RateLimit-Reset": "soon"}, None),
        ({"X-Ratelimit-Retry-After": "nan"}, None),
        ({"X-Ratelimit-Retry-After": "999999"}, 3600.0),
        ({}, None),
    ],
)
def test_rate_headers(headers: dict[str, str], wait: float | None) -> None:
    """The wait is read from whichever header there is, bounded to an hour."""
    assert rate_headers(headers, NOW).wait == wait


def test_bucket_believes_the_headers() -> None:
    """An empty window holds requests until its end; the next begins full."""
    bucket = TokenBucket(2, 10.0)
    assert bucket.wait(0.0) == 0.0
    bucket.take(0.0)
    bucket.take(0.0)
    assert bucket.wait(4.0) == 6.0
    assert bucket.wait(10.0) == 0.0
    bucket.learn(RateHeaders(limit=5, remaining=0, reset_in=3.0), 20.0)
    assert bucket.wait(21.0) == 2.0
    assert bucket.wait(23.0) == 0.0
    bucket.take(23.0, cost=4)
    assert bucket.wait(24.0) == 0.0
    bucket.take(24.0, cost=4)
    assert bucket.wait(24.0) == 9.0
