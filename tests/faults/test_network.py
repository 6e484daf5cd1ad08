"""Endpoints that are down, hang, break off, speak wrongly, or tell us to wait."""

from __future__ import annotations

import email.utils
import logging
import math
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mparticle_kit_braze import MParticle
from mparticle_kit_braze.sandbox import Reply, Sandbox
from tests.support import wait_until

from .support import BEHAVIOURS, Problems, ids, log, misbehaving, prime

Make = Callable[..., MParticle]


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The log lines at WARNING and above."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


# -- out of order ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("behaviour", ["refused", *BEHAVIOURS])
def test_an_endpoint_out_of_order_and_back(
    make: Make, sandbox: Sandbox, problems: Problems, caplog: pytest.LogCaptureFixture, behaviour: str
) -> None:
    """Everything is kept and tried again, said once an episode; it arrives unasked once the endpoint is back."""
    client = make(flush_interval=0.05, connect_timeout=0.3, read_timeout=0.2)
    prime(client, sandbox)
    caplog.clear()
    with misbehaving(sandbox, behaviour):
        log(client, range(10))
        wait_until(lambda: client.stats().kits["Braze"].retried >= 3, 15, what="a third attempt")
        assert client.stats().queued == 10
    # On a busy machine even a good answer may come too late, and the batch goes once more.
    assert sandbox.wait_for(lambda: list(dict.fromkeys(ids(sandbox))) == list(range(10)), 20)
    assert problems.codes.count("delivery_failed") >= 3
    assert len(warnings_of(caplog)) == 1


def test_a_status_of_failure_storms_and_ends(make: Make, sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    """Attempts are counted up in the header, and the attempt after a success is the first again."""
    client = make(flush_interval=0.05)
    before = prime(client, sandbox)
    caplog.clear()
    sandbox.respond_next(*(Reply(status=status) for status in (500, 502, 503, 504, 404, 302)))
    log(client, [1])
    assert sandbox.wait_for(lambda: ids(sandbox) == [1], 20)
    log(client, [2])
    assert client.flush(timeout=10).complete
    attempts = [request.headers["X-Braze-Req-Attempt"] for request in sandbox.requests[before:]]
    assert attempts == ["1", "2", "3", "4", "5", "6", "7", "1"]
    assert len(warnings_of(caplog)) == 1


def test_a_name_that_does_not_resolve(
    make: Make, state: Path, problems: Problems, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead DNS costs a flush one attempt and keeps everything."""

    def resolve(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)  # nothing is asked outside
    client = make(endpoint="https://braze.invalid")
    log(client, range(3))
    assert client.flush(timeout=5).kept == 4  # and the session's start
    assert client.stats().kits["Braze"].last_error == "connection"
    assert set(problems.codes) == {"delivery_failed"}


@pytest.fixture
def self_signed(tmp_path: Path) -> Iterator[str]:
    """The URL of an endpoint with a certificate that nobody vouches for."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "1"]
    kind = ["-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command = [openssl, "req", *kind, "-keyout", str(key), "-out", str(certificate), *subject]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                try:
                    context.wrap_socket(connection, server_side=True).close()
                except OSError:
                    connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"https://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def test_a_certificate_nobody_vouches_for(make: Make, self_signed: str) -> None:
    """Nothing is sent over a connection that cannot be trusted; everything is kept."""
    client = make(endpoint=self_signed)
    log(client, [1])
    assert client.flush(timeout=5).kept == 2
    assert client.stats().kits["Braze"].last_error == "tls"


def test_tls_against_a_port_without_it(make: Make, sandbox: Sandbox) -> None:
    """A handshake that fails keeps everything."""
    client = make(endpoint=sandbox.url.replace("http:", "https:"))
    log(client, [1])
    assert client.flush(timeout=5).kept == 2
    assert client.stats().kits["Braze"].last_error == "tls"


# -- told to wait ---------------------------------------------------------------------------------------------------
def test_retry_after_is_a_minimum(make: Make, sandbox: Sandbox) -> None:
    """Not even a flush asks again before the server's time, and delivery goes on by itself afterwards."""
    client = make(flush_interval=0.05)
    prime(client, sandbox)
    asked: list[float] = []

    def refuse_once(_request: object) -> Reply | None:
        asked.append(time.monotonic())
        return Reply(status=429, headers={"Retry-After": "1"}) if len(asked) == 1 else None

    sandbox.fault = refuse_once
    log(client, [1])
    wait_until(lambda: client.stats().kits["Braze"].retried == 1, 20)
    assert client.flush(timeout=0.2).kept == 1
    assert sandbox.wait_for(lambda: ids(sandbox) == [1], 20)
    assert len(asked) == 2
    assert asked[1] - asked[0] >= 1.0


def planned_in(client: MParticle) -> float:
    """Seconds until the next attempt; infinite if none is planned."""
    planned = client.stats().kits["Braze"].next_attempt
    return math.inf if planned is None else planned - time.time()


@pytest.mark.parametrize(
    ("status", "value", "least", "most"),
    [
        (503, "100", 99, 101),
        (429, "in 200 seconds", 190, 201),
        (503, "99999999999999999999", 3599, 3601),
        (429, "Fri, 31 Dec 9999 23:59:59 GMT", 3599, 3601),
        (429, "Thu, 01 Jan 1970 00:00:00 GMT", 0, 1),
        (503, "0", 0, 1),
        (503, "-5", 0, 1),
        (503, "1e400", 0, 1),
        (429, "nan", 0, 1),
        (429, "inf", 0, 1),
        (429, "soon", 0, 1),
        (429, "", 0, 1),
        (429, "Fri, 99 Foo 2020 99:99:99 GMT", 0, 1),
        (429, "9" * 5000, 3599, 3601),
    ],
)
def test_retry_after_in_all_its_forms(  # noqa: PLR0917  (pytest passes them by name)
    make: Make, sandbox: Sandbox, problems: Problems, status: int, value: str, least: float, most: float
) -> None:
    """Seconds and dates are honoured up to an hour; what makes no sense counts as not said."""
    if value == "in 200 seconds":
        value = email.utils.formatdate(time.time() + 200, usegmt=True)
    client = make()
    prime(client, sandbox)
    sandbox.respond_next(Reply(status=status, headers={"Retry-After": value}))
    log(client, [1])
    begun = time.monotonic()
    result = client.flush(timeout=0.0 if least else 20)
    if least:
        wait_until(lambda: client.stats().kits["Braze"].retried == 1, 20)
        assert client.flush(timeout=1).kept == 1  # no attempt fits, so it does not wait
        wait_until(lambda: least <= planned_in(client) <= most, what="the wait asked for")
    else:
        assert result.complete
        assert ids(sandbox) == [1]
    assert time.monotonic() - begun < 30
    assert set(problems.codes) <= {"delivery_failed"}


# -- a flush in a storm ---------------------------------------------------------------------------------------------
def test_a_flush_in_a_storm_returns_at_its_deadline(make: Make, sandbox: Sandbox) -> None:
    """A flush tries until its deadline, then says what was sent and what is kept."""
    client = make(max_batch_records=10)
    prime(client, sandbox)
    sandbox.respond_next(Reply(), Reply(), Reply())
    sandbox.fault = lambda _request: Reply(status=500)
    log(client, range(50))
    begun = time.monotonic()
    result = client.flush(timeout=1.0)
    elapsed = time.monotonic() - begun
    assert (result.kept, result.dead, result.dropped) == (20, 0, 0)
    assert result.sent <= len(ids(sandbox)) == 30  # full batches may have gone before
    assert 0.7 < elapsed < 5
    assert client.stats().kits["Braze"].retried >= 3
    sandbox.fault = None
    assert client.flush(timeout=10).complete
    assert ids(sandbox) == list(range(50))


def test_a_flush_without_a_deadline_returns_from_a_storm(make: Make, sandbox: Sandbox) -> None:
    """``flush()`` waits as long as requests succeed, and not for an endpoint that fails."""
    client = make(max_batch_records=10)
    prime(client, sandbox)
    sandbox.respond_next(Reply(), Reply(status=500))
    log(client, range(30))
    result = client.flush()
    assert (result.sent, result.kept) == (10, 20)


def test_a_flush_while_the_endpoint_hangs(make: Make, sandbox: Sandbox) -> None:
    """A request that is not answered holds up neither a flush nor a close beyond their time."""
    client = make(read_timeout=30)
    prime(client, sandbox)
    sandbox.fault = lambda _request: Reply(hang=True)
    log(client, range(5))
    begun = time.monotonic()
    assert client.flush(timeout=0.3).kept == 5
    assert client.close(timeout=0.3).kept == 5
    assert time.monotonic() - begun < 10
    sandbox.reset()
    assert make().flush(timeout=20).complete
    assert ids(sandbox) == list(range(5))


def test_an_answer_that_trickles(make: Make, sandbox: Sandbox) -> None:
    """An endpoint that keeps a connection alive byte by byte cannot hold delivery for long."""
    client = make(read_timeout=0.3)
    prime(client, sandbox)
    sandbox.respond_next(Reply(trickle=0.005, body=" " * 10_000))
    log(client, [1])
    begun = time.monotonic()
    assert client.flush(timeout=20).complete
    log(client, [2])
    assert client.flush(timeout=20).complete
    assert time.monotonic() - begun < 15
    assert ids(sandbox) == [1, 2]
