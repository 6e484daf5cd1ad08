"""Erasure requests beyond the vectors: answers, restarts, failures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mparticle_kit_braze.diagnostics import Reporter
from mparticle_kit_braze.sandbox import Reply, Sandbox
from mparticle_kit_braze.server import ErasureForwarder, ErasureService, ServerSettings
from mparticle_kit_braze.storage import Storage
from tests.support import ManualClock

from .support import rest_client

ACTIVE = ServerSettings.from_python(erasure_forwarding=True)


def request(number: int = 1, **changes: Any) -> dict[str, Any]:
    """An erasure request that is in order."""
    return {
        "regulation": "gdpr",
        "subject_request_id": f"00000000-0000-4000-8000-{number:012d}",
        "subject_request_type": "erasure",
        "submitted_time": "2026-01-02T03:04:05Z",
        "subject_identities": {"controller_customer_id": {"value": f"c{number}", "encoding": "raw"}},
        **changes,
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"regulation": "lgpd"},
        {"subject_request_id": "1"},
        {"subject_request_id": "00000000-0000-1000-8000-000000000001"},
        {"subject_request_type": "forget"},
        {"subject_request_type": ["erasure"]},
        {"submitted_time": "now"},
        {"api_version": "2.0"},
        {"subject_identities": {}},
        {"subject_identities": {"email": {"value": "", "encoding": "raw"}}},
        {"subject_identities": {"email": {"value": "a", "encoding": "sha256"}}},
        {"subject_identities": {"passport": {"value": "a", "encoding": "raw"}}},
        {"subject_identities": ["email"]},
    ],
)
def test_malformed_requests(changes: dict[str, Any]) -> None:
    """Each is answered with 400 and queued nowhere."""
    forwarder = ErasureForwarder(ACTIVE)
    assert forwarder.request(request(**changes)).status == 400
    assert forwarder.statuses == {}


def test_receipt_repeats_and_lookup() -> None:
    """The receipt names the request; an id used twice is 400, the same identities in progress 409."""
    forwarder = ErasureForwarder(ACTIVE, controller_id="42", clock=ManualClock())
    receipt = forwarder.request(request())
    assert receipt.status == 201
    assert receipt.body["controller_id"] == "42"
    assert receipt.body["received_time"] < receipt.body["expected_completion_time"]
    assert forwarder.request(request()).status == 400
    again = request(2, subject_identities=request(1)["subject_identities"])
    assert forwarder.request(again).status == 409
    body = forwarder.lookup(request()["subject_request_id"]).body
    assert body["request_status"] == "pending"
    assert body["extensions"]["opendsr.mparticle.com"][0]["status"] == "pending"
    assert forwarder.cancel(request()["subject_request_id"]).status == 202
    assert forwarder.lookup(request()["subject_request_id"]).body["request_status"] == "cancelled"
    assert forwarder.lookup("unknown").status == forwarder.cancel("unknown").status == 404


def test_other_types_are_taken_but_not_forwarded() -> None:
    """Access and portability are none of Braze's business."""
    forwarder = ErasureForwarder(ACTIVE)
    assert forwarder.request(request(subject_request_type="access")).status == 201
    assert forwarder.statuses == {}


def test_an_id_no_user_can_have_is_skipped() -> None:
    """An id above Braze's limit of 987 bytes goes nowhere, where it could cost the other ids of its upload."""
    forwarder = ErasureForwarder(ACTIVE)
    long = {"controller_customer_id": {"value": "\u00e9" * 494, "encoding": "raw"}}
    assert forwarder.request(request(subject_identities=long)).status == 201
    assert list(forwarder.statuses.values()) == ["skipped"]


def test_a_thousand_go_at_once() -> None:
    """The thousandth request sends all of them, 50 ids a request, without waiting for the hour."""
    clock = ManualClock()
    with Sandbox() as sandbox, rest_client(sandbox) as rest:
        service = ErasureService(ErasureForwarder(ACTIVE, clock=clock), rest, timer=False)
        for number in range(1000):
            assert service.request(request(number)).status == 201
        assert rest.flush(10).complete
        assert [len(item.body["external_ids"]) for item in sandbox.rest.requests] == [50] * 20
        assert set(service.statuses.values()) == {"sent"}


def test_refused_deletions_have_failed() -> None:
    """What Braze refuses for good is a failed request, not a pending one."""
    clock = ManualClock()
    with Sandbox() as sandbox, rest_client(sandbox) as rest:
        service = ErasureService(ErasureForwarder(ACTIVE, clock=clock), rest, timer=False)
        service.request(request())
        clock.advance(3600)
        sandbox.respond_next(Reply(status=400, body={"message": "no"}))
        assert service.send_due() == 1
        rest.flush(5)
        assert list(service.statuses.values()) == ["failed"]


def test_requests_survive_a_restart(tmp_path: Path) -> None:
    """A queued request is still there after the process, and is sent once its hour is over."""
    clock = ManualClock()
    values = Storage.open(tmp_path / "dsr", Reporter()).key_values("erasures")
    ErasureForwarder(ACTIVE, values=values, clock=clock).request(request())
    values.close()
    clock.advance(4000)
    values = Storage.open(tmp_path / "dsr", Reporter()).key_values("erasures")
    with Sandbox() as sandbox, rest_client(sandbox) as rest:
        service = ErasureService(ErasureForwarder(ACTIVE, values=values, clock=clock), rest, timer=False)
        rest.flush(5)
        assert sandbox.rest.deleted == ["c1"]
        assert list(service.statuses.values()) == ["sent"]
    values.close()


def test_the_timer_goes_with_the_service() -> None:
    """While requests wait there is one daemon timer, and none after close."""
    with Sandbox() as sandbox, rest_client(sandbox) as rest:
        with ErasureService(ErasureForwarder(ACTIVE), rest) as service:
            service.request(request())
            timer = service._timer
            assert timer is not None
            assert timer.daemon
        timer.join(2)
        assert not timer.is_alive()


def test_the_timer_wakes_when_the_oldest_is_due(tmp_path: Path) -> None:
    """After a restart the hour counts from the request, not from the start."""
    clock = ManualClock()
    values = Storage.open(tmp_path, Reporter()).key_values("erasure")
    ErasureForwarder(ACTIVE, values=values, clock=clock).request(request())
    clock.advance(3000)
    with Sandbox() as sandbox, rest_client(sandbox) as rest:
        with ErasureService(ErasureForwarder(ACTIVE, values=values, clock=clock), rest) as service:
            timer = service._timer
            assert timer is not None
            assert timer.interval == 601
        timer.join(2)
    values.close()


def test_the_state_of_a_request() -> None:
    """Pending, in progress while Braze is asked, completed; with what became of it, and why."""
    clock = ManualClock()
    forwarder = ErasureForwarder(ACTIVE, clock=clock)
    nobody = {"ios_vendor_id": {"value": "v", "encoding": "raw"}}
    for number, identities in enumerate((request()["subject_identities"], nobody), 1):
        assert forwarder.request(request(number, subject_identities=identities)).status == 201

    def states() -> list[tuple[str, str, str]]:
        bodies = [forwarder.lookup(request(number)["subject_request_id"]).body for number in (1, 2)]
        entries = [body["extensions"]["opendsr.mparticle.com"][0] for body in bodies]
        return [
            (body["request_status"], entry["status"], entry["status_message"])
            for body, entry in zip(bodies, entries, strict=True)
        ]

    skipped = ("pending", "skipped", "no usable identity")
    assert states() == [("pending", "pending", ""), skipped]
    clock.advance(3600)
    (upload,) = forwarder.due()
    assert states() == [("in_progress", "pending", ""), skipped]
    forwarder.settled(upload.external_ids, sent=True)
    assert states() == [("completed", "sent", ""), skipped]
    assert forwarder.request(request(3, subject_identities=request()["subject_identities"])).status == 201
    assert forwarder.request(request(4, subject_identities=nobody)).status == 409
    clock.advance(21 * 86_400)
    assert forwarder.request(request(5, subject_identities=nobody)).status == 201


def test_a_refused_queue_fails_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deletion that the queue does not take is not left hanging."""
    clock = ManualClock()
    with Sandbox() as sandbox, rest_client(sandbox) as rest:
        service = ErasureService(ErasureForwarder(ACTIVE, clock=clock), rest, timer=False)
        service.request(request())
        monkeypatch.setattr(rest, "delete", lambda _ids: 0)
        clock.advance(3600)
        assert service.send_due() == 0
        assert list(service.statuses.values()) == ["failed"]


def test_a_key_that_may_not_delete_has_failed_until_it_may() -> None:
    """Who looks at the status learns of it; the request is kept, and sent with the right permission."""
    clock = ManualClock()
    with Sandbox() as sandbox, rest_client(sandbox) as rest:
        sandbox.rest.keys = {"rest-key-1": frozenset({"users.track"})}
        service = ErasureService(ErasureForwarder(ACTIVE, clock=clock), rest, timer=False)
        service.request(request())
        clock.advance(3600)
        service.send_due()
        rest.flush(5)
        assert list(service.statuses.values()) == ["failed"]
        sandbox.rest.keys = {}
        rest.resume()
        rest.flush(5)
        assert list(service.statuses.values()) == ["sent"]
        assert sandbox.rest.deleted == ["c1"]
