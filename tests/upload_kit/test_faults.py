"""The upload kit under the faults that the Braze kit is put through: nothing is lost, doubled or out of order."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from mparticle_kit_braze import DeliveryOptions, MParticle, MParticleUploadKit
from mparticle_kit_braze.sandbox import Reply, Sandbox, SandboxRequest
from tests.faults.support import accepted_by, misbehaving
from tests.support import python_process, run_python, wait_until

KEY, SECRET = "s2s-key", "s2s-secret"

QUICK: dict[str, Any] = {"flush_interval": 0.05, "connect_timeout": 0.3, "read_timeout": 0.2}

CLIENT = f"""
    import itertools, os, signal, sys, time
    from mparticle_kit_braze import DeliveryOptions, MParticle, MParticleUploadKit

    def client_on(url, directory, **options):
        kit = MParticleUploadKit("{KEY}", "{SECRET}", pod=url, delivery_options=DeliveryOptions(**options))
        return MParticle([kit], storage=directory)

    def log(client, numbers):
        for number in numbers:
            client.log_event("Numbered", attributes={{"id": number}})
"""


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """An mParticle."""
    with Sandbox() as started:
        started.mparticle.keys[KEY] = SECRET
        yield started


@pytest.fixture
def make(sandbox: Sandbox, tmp_path: Path) -> Iterator[Callable[..., MParticle]]:
    """Make clients of the sandbox on one storage directory."""
    made: list[MParticle] = []

    def build(**options: Any) -> MParticle:
        kit = MParticleUploadKit(KEY, SECRET, pod=sandbox.url, delivery_options=DeliveryOptions(**options))
        made.append(MParticle([kit], storage=tmp_path / "state"))
        return made[-1]

    yield build
    for client in made:
        client.close(timeout=0)


Make = Callable[..., MParticle]


def log(client: MParticle, numbers: Sequence[int]) -> None:
    for number in numbers:
        client.log_event("Numbered", attributes={"id": number})


def ids(sandbox: Sandbox) -> list[int]:
    """The ids of the events that were taken in, in order, with batches that came again left out."""
    return [data["custom_attributes"]["id"] for data in sandbox.uploads.of("custom_event")]


def ids_of(request: SandboxRequest) -> list[int]:
    """The ids in one request."""
    return [
        event["data"]["custom_attributes"]["id"]
        for batch in request.body
        for event in batch["events"]
        if event["event_type"] == "custom_event"
    ]


# -- processes ------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
@pytest.mark.parametrize("round_", range(2))
def test_sigkill_while_logging(make: Make, sandbox: Sandbox, tmp_path: Path, round_: int) -> None:
    """Killed at a random instant, with requests on their way: what was accepted arrives once and in order.

    A batch in flight comes again under its id, by which mParticle tells that it has it.
    """
    notes = tmp_path / "accepted"
    notes.touch()
    code = (
        CLIENT
        + """
    client = client_on(*sys.argv[1:3], flush_interval=0.02, max_batch_records=300)
    with open(sys.argv[3], "ab", buffering=0) as file:
        for number in itertools.count():
            log(client, [number])
            file.write(b"%d\\n" % number)
    """
    )
    after = random.Random().uniform(0.0, 0.15)
    with python_process(code, sandbox.url, str(tmp_path / "state"), str(notes)) as process:
        wait_until(lambda: notes.stat().st_size > 1000 + round_ * 4000, 30)
        time.sleep(after)  # the instant is random on purpose
        process.kill()
    accepted = accepted_by(notes)
    client = make()
    log(client, [-1])
    assert client.flush(timeout=20).complete
    arrived = ids(sandbox)
    assert arrived == [*range(len(arrived) - 1), -1], after
    assert len(accepted) < len(arrived)


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_another_process_sends_the_same_batches(make: Make, sandbox: Sandbox, tmp_path: Path) -> None:
    """The process that sends is killed before it learns the answer: another, long open, sends the same again."""
    sandbox.fault = lambda request: Reply(hang=True, record=True) if request.method == "POST" else None
    code = (
        CLIENT
        + """
    client = client_on(*sys.argv[1:3])
    log(client, range(5))
    client.flush(30)
    """
    )
    with python_process(code, sandbox.url, str(tmp_path / "state")) as holder:
        client = make(flush_interval=0.1)
        assert sandbox.wait_for(lambda: sandbox.uploads.requests, 30)
        log(client, range(5, 8))
        sandbox.fault = None
        holder.kill()
    assert sandbox.wait_for(lambda: len(ids(sandbox)) >= 8, 15)
    assert ids(sandbox) == list(range(8))
    first, second = sandbox.uploads.requests[:2]
    assert ids_of(first) == list(range(5))
    assert [batch["source_request_id"] for batch in second.body] == [batch["source_request_id"] for batch in first.body]
    assert sandbox.uploads.repeated > 0


def test_a_script_simply_ends(sandbox: Sandbox, tmp_path: Path) -> None:
    """No flush, no close: everything is delivered at the end, nothing is printed."""
    result = run_python(
        CLIENT + "\n    log(client_on(*sys.argv[1:3]), range(300))", sandbox.url, str(tmp_path / "state")
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert ids(sandbox) == list(range(300))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_fork_with_unsent_events(sandbox: Sandbox, tmp_path: Path) -> None:
    """What was unsent at the fork is the parent's; the child sends its own; every event goes once."""
    code = (
        CLIENT
        + """
    client = client_on(*sys.argv[1:3])
    log(client, [1])
    child = os.fork()
    if child == 0:
        log(client, [2])
        os._exit(0 if client.flush(20) is not None and client.close(10) is not None else 1)
    log(client, [3])
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    sys.exit(status or not client.flush(20).complete)
    """
    )
    options = ("-W", "error", "-W", "ignore::DeprecationWarning")
    result = run_python(code, sandbox.url, str(tmp_path / "state"), options=options)
    assert (result.returncode, result.stderr) == (0, "")
    assert sorted(ids(sandbox)) == [1, 2, 3]
    assert sandbox.uploads.problems == []


# -- the network ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("behaviour", ["refused", "hangs", "resets", "garbage", "no-answer"])
def test_an_endpoint_out_of_order_and_back(make: Make, sandbox: Sandbox, behaviour: str) -> None:
    """Everything is kept while mParticle cannot be reached, and goes in order once it is back."""
    client = make(**QUICK)
    with misbehaving(sandbox, behaviour):
        log(client, range(10))
        wait_until(lambda: client.stats().kits["mParticle"].retried >= 1, 15, what="a second attempt")
        assert client.stats().queued == 11  # and the session's start
    assert client.flush(10).complete
    assert ids(sandbox) == list(range(10))
    assert sandbox.uploads.problems == []


def test_throttling_and_server_errors_while_logging(make: Make, sandbox: Sandbox) -> None:
    """Through 429, 500 and 503 in the middle of the traffic every event arrives once and in order."""
    statuses = iter([200, 429, 503, 200, 500, 429, 429])
    sandbox.fault = lambda _request: None if (status := next(statuses, 200)) == 200 else Reply(
        status, headers={"Retry-After": "0"}
    )  # fmt: skip
    client = make(flush_interval=0.0, max_batch_records=40)
    for start in range(0, 400, 20):
        log(client, range(start, start + 20))
        client.flush(0.05)
    wait_until(lambda: client.flush(5).complete, 20)
    assert next(statuses, None) is None
    assert ids(sandbox) == list(range(400))


def test_a_refusal_in_the_middle_of_many_users(make: Make, sandbox: Sandbox) -> None:
    """One record that mParticle refuses is set aside; those of its user and of others go, each user's in order."""
    refused = Reply(400, body={"errors": [{"code": "BAD_REQUEST", "message": "no"}]})
    sandbox.fault = lambda request: refused if b'"id":17}' in request.raw else None
    client = make(flush_interval=3600)
    for number in range(30):
        client.login(customer_id=f"user-{number // 5}")
        log(client, [number])
    wait_until(lambda: client.flush(5).complete, 20)
    assert ids(sandbox) == [number for number in range(30) if number != 17]
    for batch in sandbox.uploads.batches:
        users = {
            f"user-{event['data']['custom_attributes']['id'] // 5}"
            for event in batch["events"]
            if event["event_type"] == "custom_event"
        }
        assert users <= {batch.get("user_identities", {}).get("customer_id")}
    kit = client.kit("mParticle")
    (letter,) = kit.delivery.dead_letters()
    assert b'"id":17' in letter.payload


# -- files ----------------------------------------------------------------------------------------------------------


def test_a_damaged_state_file_loses_no_event(make: Make, sandbox: Sandbox, tmp_path: Path) -> None:
    """The file that remembers the request in flight is set aside when it is damaged; the queue goes all the same."""
    sandbox.uploads.respond_next(Reply(503))
    first = make(flush_interval=3600)
    log(first, range(5))
    first.flush(0.3)
    first.close(timeout=0)
    (state,) = (tmp_path / "state").rglob("upload.db")
    state.write_bytes(b"no database" * 1000)
    assert make().flush(10).complete
    assert ids(sandbox) == list(range(5))
