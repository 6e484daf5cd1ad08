"""Answers that refuse: a record, a whole request, its size, its key; and successes that are none."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from mparticle_kit_braze import MParticle
from mparticle_kit_braze.braze_kit import BrazeKit
from mparticle_kit_braze.sandbox import Reply, Sandbox
from mparticle_kit_braze.sandbox.recorder import SandboxRequest

from .support import Problems, ids, ids_of_request, log, prime

Make = Callable[..., MParticle]
Fault = Callable[[SandboxRequest], "Reply | None"]


def refusing(bad: Collection[int], reply: Reply | None = None) -> Fault:
    """A fault that refuses requests with one of these ids in them."""
    answer = reply or Reply(status=400, body={"message": "cannot be processed"})
    return lambda request: answer if set(bad) & set(ids_of_request(request)) else None


def dead_ids(client: MParticle) -> dict[int, str]:
    """The ids among the dead letters, with the reasons."""
    letters = client.kit("Braze").delivery.dead_letters()
    return {int(letter.payload.split(b'"id":')[1].split(b"}")[0]): letter.reason for letter in letters}


# -- 400 ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("count", [64, 1000])
def test_one_record_is_refused(make: Make, sandbox: Sandbox, problems: Problems, count: int) -> None:
    """It is found in O(log n) requests and set aside with the reason; all others are delivered once."""
    client = make()
    before = prime(client, sandbox)
    bad = count // 3
    sandbox.fault = refusing({bad})
    log(client, range(count))
    assert client.flush(timeout=20).complete
    assert len(sandbox.requests) - before <= 2 * math.log2(count) + 4
    assert sorted(ids(sandbox)) == [number for number in range(count) if number != bad]
    assert dead_ids(client) == {bad: "HTTP 400: cannot be processed"}
    assert problems.codes.count("record_refused") == 1
    assert client.stats().dead == 1


def test_some_records_are_refused(make: Make, sandbox: Sandbox) -> None:
    """Several in one batch are found too, the first and the last among them; they can be sent again from Python."""
    client = make()
    before = prime(client, sandbox)
    bad = {0, 100, 101, 499}
    sandbox.fault = refusing(bad)
    log(client, range(500))
    assert client.flush(timeout=20).complete
    assert len(sandbox.requests) - before <= len(bad) * (2 * math.log2(500) + 4)
    assert sorted(ids(sandbox)) == [number for number in range(500) if number not in bad]
    assert set(dead_ids(client)) == bad
    sandbox.fault = None
    assert client.kit("Braze").delivery.retry_dead_letters() == 4
    assert client.flush(timeout=20).complete
    assert sorted(ids(sandbox)) == list(range(500))
    assert client.stats().dead == 0


def test_every_request_is_refused(
    make: Make, sandbox: Sandbox, problems: Problems, caplog: pytest.LogCaptureFixture
) -> None:
    """A refusal that no record explains is the request's fault: nothing dies, however often; said once; all is kept."""
    client = make(flush_interval=0.05)
    before = prime(client, sandbox)
    sandbox.fault = lambda _request: Reply(status=400, body="<html>a gateway's page</html>")
    log(client, range(200))
    for _ in range(5):
        assert client.flush(timeout=0.3).kept == 200
    assert sandbox.wait_for(lambda: len(sandbox.requests) > before + 40, 20)
    assert dead_ids(client) == {}
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1
    assert set(problems.codes) == {"request_refused"}
    sandbox.fault = None
    assert sandbox.wait_for(lambda: sorted(ids(sandbox)) == list(range(200)), 20)


# -- successes that are none ----------------------------------------------------------------------------------------
def test_an_error_inside_a_success(make: Make, sandbox: Sandbox) -> None:
    """``error`` in a 2xx refuses the batch as a 400 does: the record it is about is found, the others arrive."""
    client = make()
    prime(client, sandbox)
    sandbox.fault = refusing({7}, Reply(body={"error": "bad event"}))
    log(client, range(40))
    assert client.flush(timeout=20).complete
    assert sorted(ids(sandbox)) == [number for number in range(40) if number != 7]
    assert dead_ids(client) == {7: "error in the answer: bad event"}


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body="<html>welcome to the hotel's network</html>"),
        Reply(body='{"config": {"time": 99}}', cut=10),
        Reply(body=b""),
        Reply(body=b"\xff\xfe\x00"),
        Reply(body="[" * 100_000),
        Reply(body="[1, 2]"),
        Reply(body='"text"'),
        Reply(status=204, body=b""),
        Reply(body={"config": "nonsense"}),
        Reply(body={"config": {"time": "now", "request_backoff": 7, "events_blacklist": {"a": 1}}}),
        Reply(body={"config": {"time": 9e300, "global_request_rate_limit": {"capacity": -1, "refill_rate": "x"}}}),
        Reply(body={"triggers": {"a": 1}, "auth_error": None}, record=True),
    ],
)
def test_an_odd_body_of_a_success(make: Make, sandbox: Sandbox, problems: Problems, reply: Reply) -> None:
    """HTML, a cut or an absurd body after a 2xx: accepted once, never a crash, and the next request goes out."""
    client = make()
    prime(client, sandbox)
    sandbox.respond_next(reply)
    log(client, range(5))
    assert client.flush(timeout=10).complete
    log(client, [5])
    assert client.flush(timeout=10).complete
    assert ids(sandbox) == list(range(6))
    assert set(problems.codes) <= {"answer_unreadable"}
    assert len(problems.codes) <= 1


# -- 413 ------------------------------------------------------------------------------------------------------------
def test_too_large(make: Make, sandbox: Sandbox) -> None:
    """Batches are halved until they fit; nothing is lost, doubled or reordered."""
    client = make()
    before = prime(client, sandbox)
    sandbox.fault = lambda request: Reply(status=413) if len(request.raw) > 12_000 else None
    log(client, range(500))
    assert client.flush(timeout=20).complete
    assert ids(sandbox) == list(range(500))
    sizes = [len(ids_of_request(request)) for request in sandbox.requests[before:] if request.status == 413]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) <= 6
    assert dead_ids(client) == {}


def test_one_record_too_large(make: Make, sandbox: Sandbox) -> None:
    """A record that is too large by itself is set aside; the others arrive."""
    client = make()
    prime(client, sandbox)
    sandbox.fault = lambda request: Reply(status=413) if len(request.raw) > 12_000 else None
    log(client, range(10))
    client.log_event("Large", attributes={"text": "x" * 20_000, "id": 10})
    log(client, range(11, 20))
    assert client.flush(timeout=20).complete
    assert ids(sandbox) == [number for number in range(20) if number != 10]
    (letter,) = client.kit("Braze").delivery.dead_letters()
    assert letter.reason == "HTTP 413"


# -- 401, 403 -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=401),
        Reply(status=403, body="<html>forbidden</html>"),
        Reply(status=401, body={"error_code": 22, "reason": "EXPIRED"}),
        Reply(body={"auth_error": {"error_code": 22, "reason": "EXPIRED"}}),
    ],
)
def test_a_signature_that_is_not_accepted(
    make: Make, sandbox: Sandbox, problems: Problems, caplog: pytest.LogCaptureFixture, reply: Reply
) -> None:
    """Sending stops, is said once, and everything is kept; a new signature resumes it."""
    client = make(flush_interval=0.02, kit={"sdk_authentication": True})
    braze = client.kit("Braze")
    client.identify(customer_id="ada")
    braze.set_sdk_authentication_signature("old-signature")
    prime(client, sandbox)
    sandbox.fault = lambda request: None if request.headers.get("X-Braze-Auth-Signature") == "new-signature" else reply
    before = len(sandbox.requests)
    log(client, range(10))
    assert sandbox.wait_for(lambda: len(sandbox.requests) == before + 1, 20)
    log(client, range(10, 20))
    assert client.flush(timeout=1).kept == 20
    assert client.stats().kits["Braze"].next_attempt is None
    assert len(sandbox.requests) == before + 1
    assert problems.codes.count("delivery_unauthorized") == 1
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 1
    assert "signature" not in caplog.text.replace("new signature", "")
    braze.set_sdk_authentication_signature("new-signature")
    assert sandbox.wait_for(lambda: ids(sandbox) == list(range(20)), 20)


def test_a_key_that_is_not_accepted(make: Make, sandbox: Sandbox, problems: Problems, state: Path) -> None:
    """A wrong key stops sending; the right one resumes it, given while running or at the next start."""

    def configuration(key: str) -> dict[str, object]:
        return {"id": 28, "as": {"apiKey": key, "host": sandbox.url}}

    def wrong_key(request: SandboxRequest) -> Reply | None:
        return None if request.headers["X-Braze-Api-Key"] in {"app-key-1", "right-2"} else Reply(status=401)

    sandbox.fault = wrong_key
    sandbox.api_key = None
    client = MParticle(kits=[BrazeKit.from_configuration(configuration("wrong"))], storage=state, on_error=problems)
    log(client, range(5))
    assert client.flush(timeout=3).kept >= 5
    assert problems.codes == ["delivery_unauthorized"]
    client.apply_configuration([configuration("right-2")])
    log(client, range(5, 8))
    assert client.flush(timeout=10).complete
    assert ids(sandbox) == list(range(8))
    client.apply_configuration([configuration("wrong")])
    log(client, range(8, 10))
    begun = time.monotonic()
    assert client.close(timeout=3).kept >= 2
    assert time.monotonic() - begun < 8
    make()
    assert sandbox.wait_for(lambda: ids(sandbox) == list(range(10)), 20)
