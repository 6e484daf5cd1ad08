"""How the answers of a real HTTP server are acted on: waits, holds, halves, and what is matched back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from mparticle_kit_braze.delivery import DeliveryOptions
from mparticle_kit_braze.sandbox import Reply, Sandbox
from mparticle_kit_braze.server import BrazeRest
from tests.vectors.server_replay import VectorClock

from .support import event, purchase

NOW = 1_767_323_045.0


@contextmanager
def waiting_client(sandbox: Sandbox) -> Iterator[tuple[BrazeRest, VectorClock]]:
    """A client whose waits are noted and over at once."""
    clock = VectorClock(NOW)
    options = DeliveryOptions(flush_interval=1e9)
    with BrazeRest("rest-key-1", sandbox.url, storage=":memory:", clock=clock, delivery_options=options) as rest:
        yield rest, clock
        clock.running.clear()


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"X-Ratelimit-Retry-After": "7"}, 7.0),
        ({"Retry-After": "3"}, 3.0),
        ({"X-RateLimit-Limit": "3000", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "2"}, 2.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW) + 30)}, 30.0),
        ({"X-RateLimit-Reset": str(int(NOW) + 9), "X-Ratelimit-Retry-After": "4"}, 4.0),
    ],
)
def test_too_many_requests_waits_as_told(headers: Mapping[str, str], wait: float) -> None:
    """After a 429 the next request goes when the headers say, in whichever form, and nothing is lost."""
    with Sandbox() as sandbox, waiting_client(sandbox) as (rest, clock):
        sandbox.respond_next(Reply(status=429, headers=headers))
        rest.track(events=[event("E0"), event("E1")])
        clock.running.set()
        assert rest.flush(600).complete
        assert clock.waits == [wait]
        assert [request.status for request in sandbox.rest.requests] == [429, 201]
        assert sandbox.rest.user("c1").events == {"E0": 1, "E1": 1}


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 302])
def test_without_headers_the_waits_grow(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Faults without a word on the wait are tried again after pauses that double up to five minutes (chance apart)."""
    monkeypatch.setattr("mparticle_kit_braze.delivery.courier.random.random", lambda: 0.5)
    with Sandbox() as sandbox, waiting_client(sandbox) as (rest, clock):
        sandbox.respond_next(*[Reply(status=status)] * 12)
        rest.track(events=[event(f"E{number}") for number in range(3)])
        clock.running.set()
        assert rest.flush(6000).complete
        assert [round(wait, 1) for wait in clock.waits[:4]] == [2.5, 5.5, 11.5, 23.5]
        assert clock.waits == sorted(clock.waits)
        assert clock.waits[-4:] == [300] * 4
        assert sandbox.rest.counts["events"] == 3


@pytest.mark.parametrize("headers", [{"X-RateLimit-Reset": str(int(NOW) - 60)}, {"X-Ratelimit-Retry-After": "0"}])
def test_a_wait_of_nothing_is_no_storm(headers: Mapping[str, str]) -> None:
    """A reset that is over (the clocks differ), or a wait of 0, leaves the back-off in force."""
    with Sandbox() as sandbox, waiting_client(sandbox) as (rest, clock):
        sandbox.respond_next(*[Reply(status=429, headers=headers)] * 3)
        rest.track(events=[event()])
        clock.running.set()
        assert rest.flush(600).complete
        assert [wait >= 1 for wait in clock.waits] == [True] * 3


def test_errors_that_name_no_object_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """An error that cannot be matched back to a record is not passed over in silence."""
    errors = ["odd", {"type": "x"}, {"type": "x", "input_array": "events", "index": 7}]
    with Sandbox() as sandbox, waiting_client(sandbox) as (rest, _clock):
        sandbox.respond_next(Reply(status=201, body={"message": "success", "errors": errors}))
        rest.track(events=[event()])
        assert rest.flush(5).complete
        assert rest.dead_letters() == []
    assert "3 errors that name no object" in caplog.text


def test_the_window_is_kept_for_all_requests() -> None:
    """When an answer says that nothing is left in the window, the next request waits for its end unasked."""
    with Sandbox() as sandbox, waiting_client(sandbox) as (rest, clock):
        sandbox.respond_next(Reply(headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "5"}))
        rest.track(events=[event(f"E{number}") for number in range(76)])
        clock.running.set()
        assert rest.flush(600).complete
        assert clock.waits == [5.0]
        assert [request.status for request in sandbox.rest.requests] == [201, 201]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_hold_keeps_everything_and_asks_no_more(status: int) -> None:
    """A wrong key, a missing permission or a wrong host is no reason to try again, nor to lose anything."""
    with Sandbox() as sandbox, waiting_client(sandbox) as (rest, clock):
        sandbox.respond_next(Reply(status=status, body={"message": "no"}))
        rest.track(events=[event(f"E{number}") for number in range(100)])
        clock.running.set()
        assert rest.flush(600).kept == 100
        rest.track(events=[event("Later")])
        assert rest.flush(600).kept == 101
        assert len(sandbox.rest.requests) == 1
        assert rest.stats().last_error == "no"
        rest.resume()
        assert rest.flush(600).complete
        assert sandbox.rest.counts["events"] == 101


def test_errors_of_all_three_arrays_find_their_objects() -> None:
    """Each index counts within its own array, over the objects of the request it answers."""
    errors = [
        {"type": "bad a", "input_array": "attributes", "index": 1},
        {"type": "bad e", "input_array": "events", "index": 0},
        {"type": "bad p", "input_array": "purchases", "index": 2},
        {"type": "nobody", "input_array": "events", "index": 99},
    ]
    with Sandbox() as sandbox, waiting_client(sandbox) as (rest, _):
        sandbox.respond_next(Reply(status=201, body={"message": "success", "errors": errors}))
        rest.track(
            attributes=[{"external_id": f"a{number}", "x": number} for number in range(3)],
            events=[event(f"E{number}") for number in range(2)],
            purchases=[purchase(product_id=f"p{number}") for number in range(3)],
        )
        result = rest.flush(5)
        assert (result.sent, result.dead, result.kept) == (5, 3, 0)
        letters = {letter.reason: json.loads(letter.payload) for letter in rest.dead_letters()}
        assert letters["bad a"]["external_id"] == "a1"
        assert letters["bad e"]["name"] == "E0"
        assert letters["bad p"]["product_id"] == "p2"
        assert len(letters) == 3


def test_too_many_objects_is_halved_too() -> None:
    """An account with a lower limit than known answers 400 Max Input Length Exceeded; the halves go."""

    def limited(request: Any) -> Reply | None:
        if len(request.body.get("events", ())) > 20:
            return Reply(status=400, body={"message": "Max Input Length Exceeded"})
        return None

    with Sandbox() as sandbox, waiting_client(sandbox) as (rest, _):
        sandbox.fault = limited
        rest.track(events=[event(f"E{number}") for number in range(150)])
        result = rest.flush(600)
        assert (result.sent, result.dead, result.kept) == (150, 0, 0)
        taken = [
            item["name"] for request in sandbox.rest.requests if request.recorded for item in request.body["events"]
        ]
        assert taken == [f"E{number}" for number in range(150)]


def test_a_connection_cut_in_the_answer_is_tried_again() -> None:
    """No answer is no success: the objects go again (Braze knows no key to prevent the repeat)."""
    with Sandbox() as sandbox, waiting_client(sandbox) as (rest, clock):
        sandbox.respond_next(Reply(close=True))
        rest.track(events=[event()])
        clock.running.set()
        assert rest.flush(600).complete
        assert sandbox.rest.counts["events"] == 1
