"""``doctor``: what can be wrong is found, said in a line, and told how to mend; nothing is sent or changed."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import stat
import threading
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mparticle_kit_braze import BrazeKit, MParticle
from mparticle_kit_braze.__main__ import main
from mparticle_kit_braze.commands.endpoint_checks import check_clock
from mparticle_kit_braze.delivery.guard import Guard
from mparticle_kit_braze.delivery.outbox import Outbox
from mparticle_kit_braze.sandbox import Sandbox

KEY = "5f1e3a0c-8d2b-4b5e-9c1d-7a6b5c4d3e2f"
Findings = dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def left_behind(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage directory as a client leaves it, with a record that waits."""
    directory = tmp_path_factory.mktemp("storage") / "state"
    with MParticle([BrazeKit(KEY, "http://127.0.0.1:9")], storage=directory) as client:
        client.log_event("e")
        client.flush()
    return directory


@pytest.fixture
def storage(left_behind: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, named by the environment; key and endpoint are set and well."""
    directory = tmp_path / "state"
    shutil.copytree(left_behind, directory)
    monkeypatch.setenv("MPARTICLE_STORAGE", str(directory))
    monkeypatch.setenv("BRAZE_API_KEY", KEY)
    monkeypatch.setenv("BRAZE_SDK_ENDPOINT", "sdk.iad-03.braze.com")
    return directory


def examined(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> Findings:
    """What the doctor finds, by check; the worst of each."""
    capsys.readouterr()
    assert main(["doctor", *arguments, "--json"]) == status
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert told["ok"] is (status == 0)
    order = ["OK", "WARN", "FAIL"]
    found: Findings = {}
    for finding in told["findings"]:
        assert finding["mend"] or finding["verdict"] == "OK"
        worse = found.get(finding["check"])
        if worse is None or order.index(finding["verdict"]) > order.index(worse["verdict"]):
            found[finding["check"]] = finding
    return found


def verdicts(found: Findings) -> dict[str, str]:
    """What is not in order."""
    return {check: finding["verdict"] for check, finding in found.items() if finding["verdict"] != "OK"}


def test_all_is_well(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything in order: status 0, and the storage is as it was."""
    before = {path: path.stat().st_mtime_ns for path in storage.rglob("*")}
    with Sandbox() as sandbox:
        found = examined(capsys, "--endpoint", sandbox.url)
        assert sandbox.counts.requests == sandbox.counts.events == 0  # no event, nor anything else for the SDK's paths
    assert verdicts(found) == {}
    assert {"python", "requests", "tls", "key", "endpoint", "name", "answer"} <= found.keys()
    assert {"storage", "modes", "writable", "locks", "room", "files", "queue"} <= found.keys()
    assert {path: path.stat().st_mtime_ns for path in storage.rglob("*")} == before


@pytest.mark.parametrize(
    ("key", "verdict"),
    [("", "WARN"), ("my-key", "WARN"), (f" {KEY}", "FAIL"), (f"{KEY}\u200b", "FAIL"), (KEY.upper(), "OK")],
)
def test_the_shape_of_the_key(
    key: str, verdict: str, storage: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing or odd key is mentioned, one with characters too many cannot work; it is never shown whole."""
    monkeypatch.setenv("BRAZE_API_KEY", key)
    assert main(["doctor", "--offline"]) == (1 if verdict == "FAIL" else 0)
    out = capsys.readouterr().out
    assert not key.strip() or key.strip() not in out
    (line,) = [line for line in out.splitlines() if line.split()[1:2] == ["key"]]
    assert line.startswith(verdict)


@pytest.mark.parametrize(
    ("endpoint", "verdict", "says"),
    [
        ("US-03", "OK", "Braze's instance US-03"),
        ("sdk.fra-02.braze.eu", "OK", "EU-02"),
        ("https://proxy.example.com/braze", "WARN", "no instance of Braze"),
        ("127.0.0.1:8321", "OK", "this machine"),
        ("rest.iad-03.braze.com", "FAIL", "REST endpoint"),
        ("http://sdk.iad-03.braze.com", "FAIL", "plain http://"),
        ("https://key:secret@host", "FAIL", "credentials"),
    ],
)
def test_the_endpoint(
    endpoint: str, verdict: str, says: str, storage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An instance is known by its host; what the client would refuse is a failure."""
    found = examined(capsys, "--offline", "--endpoint", endpoint, status=1 if verdict == "FAIL" else 0)["endpoint"]
    assert found["verdict"] == verdict
    assert says in found["message"]
    assert "secret" not in str(found)


def test_a_name_nobody_knows(
    storage: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The name server's word, and no further checks of the endpoint."""

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    found = examined(capsys, status=1)
    assert verdicts(found) == {"name": "FAIL"}
    assert "answer" not in found


def test_a_name_server_that_hangs(
    storage: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is waited for as long as asked, though the system would wait longer."""
    over = threading.Event()

    def wait(*_: object, **__: object) -> list[object]:
        over.wait()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", wait)
    try:
        found = examined(capsys, "--timeout", "0.05", status=1)
    finally:
        over.set()
    assert "no answer in 0.05 s" in found["name"]["message"]


def test_nobody_listens(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The system's reason."""
    found = examined(capsys, "--endpoint", "http://127.0.0.1:9", status=1)
    assert "Connection refused" in found["answer"]["message"]


def test_an_endpoint_that_hangs(hanging: str, storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The time-out holds."""
    began = time.monotonic()
    found = examined(capsys, "--endpoint", hanging, "--timeout", "0.1", status=1)
    assert time.monotonic() - began < 10
    assert found["answer"]["message"] == "no answer within 0.1 seconds"


def test_an_endpoint_that_trickles(
    serve: Callable[..., int], storage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An answer that comes byte by byte does not hold the doctor up either."""

    def trickle(connection: socket.socket, over: threading.Event) -> None:
        while not over.wait(0.02):
            connection.sendall(b"H")

    url = f"http://127.0.0.1:{serve(trickle)}"
    found = examined(capsys, "--endpoint", url, "--timeout", "0.3", status=1)
    assert found["answer"]["verdict"] == "FAIL"


def test_an_untrusted_certificate(
    self_signed: str,
    certificate: tuple[Path, Path],
    storage: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """OpenSSL's reason and the way out, which helps."""
    refused = examined(capsys, "--endpoint", self_signed, status=1)["certificate"]
    assert "self" in refused["message"]
    assert "REQUESTS_CA_BUNDLE" in refused["mend"]
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
    found = examined(capsys, "--endpoint", self_signed)
    assert found["certificate"]["message"] == "verified"
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]) + ".gone")
    assert "which does not exist" in examined(capsys, "--endpoint", self_signed, status=1)["tls"]["message"]


def test_a_port_without_tls(serve: Callable[..., int], storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """TLS that is met with something else."""
    port = serve(lambda connection, _over: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    found = examined(capsys, "--endpoint", f"https://127.0.0.1:{port}", status=1)
    assert found["certificate"]["message"].startswith("TLS fails")


def test_a_server_in_trouble(serve: Callable[..., int], storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It answers, so nothing is wrong on this side."""
    port = serve(lambda connection, _over: connection.sendall(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"))
    assert verdicts(examined(capsys, "--endpoint", f"http://127.0.0.1:{port}")) == {"answer": "WARN"}


@pytest.mark.parametrize(
    ("skew", "verdict"), [(5, "OK"), (-600, "WARN"), (600, "WARN"), (90_000, "FAIL"), (None, "WARN")]
)
def test_the_clock(skew: float | None, verdict: str) -> None:
    """The server's time is compared with ours."""
    now = 1_700_000_000.0
    finding = check_clock(None if skew is None else formatdate(now - skew, usegmt=True), now)
    assert finding.verdict.value == verdict
    if skew is not None and verdict != "OK":
        assert ("ahead of" in finding.message) is (skew > 0)


def test_a_proxy_is_told_without_its_password(
    serve: Callable[..., int], storage: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name that only the proxy knows is no failure; a proxy that is not there is."""
    monkeypatch.setenv("HTTPS_PROXY", "http://me:secret@127.0.0.1:9")
    found = examined(capsys, "--endpoint", "https://braze.invalid", "--timeout", "2", status=1)
    assert "127.0.0.1:9" in found["proxy"]["message"] or found["proxy"]["verdict"] == "FAIL"
    assert found["name"]["verdict"] == "OK"
    assert "secret" not in str(found)


# -- storage ----------------------------------------------------------------------------------------------------------


def test_a_directory_that_is_not_there(storage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It will be made, if it can be; the doctor does not make it."""
    absent = tmp_path / "a" / "b"
    assert examined(capsys, "--offline", "--storage", str(absent))["storage"]["verdict"] == "OK"
    assert not absent.parent.exists()
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        assert examined(capsys, "--offline", "--storage", str(path), status=1)["storage"]["verdict"] == "FAIL"


def test_modes_that_let_others_in(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file is named, and the command that mends it does."""
    path = storage / "Braze" / "outbox.db"
    path.chmod(0o644)
    found = examined(capsys, "--offline")["modes"]
    assert (found["verdict"], found["mend"]) == ("WARN", f"chmod -R go= {storage}")
    assert f"{path} (0644)" in found["message"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_directory_of_somebody_else(
    storage: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A failure for a user, a warning for root."""
    owner = storage.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert examined(capsys, "--offline", status=1)["storage"]["verdict"] == "FAIL"


def test_a_directory_that_cannot_be_written(
    storage: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The system's reason."""
    real = os.open

    def read_only(path: Any, *rest: Any, **options: Any) -> int:
        if ".doctor-" in str(path):
            raise OSError(30, "Read-only file system")
        return real(path, *rest, **options)

    monkeypatch.setattr(os, "open", read_only)
    found = examined(capsys, "--offline", status=1)["writable"]
    assert "Read-only file system" in found["message"]


@pytest.mark.parametrize(("free", "verdict"), [(2**20, "FAIL"), (2**28, "WARN"), (2**33, "OK")])
def test_the_room(
    free: int, verdict: str, storage: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A queue needs some."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=free))
    assert examined(capsys, "--offline", status=int(verdict == "FAIL"))["room"]["verdict"] == verdict


def test_files_that_are_damaged(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No database, one with a broken page, and one of a later version."""
    path = storage / "Braze" / "outbox.db"
    whole = path.read_bytes()
    path.write_bytes(b"nonsense" * 512)
    assert "Braze/outbox.db is damaged" in examined(capsys, "--offline", status=1)["files"]["message"]
    path.write_bytes(whole[:4096] + bytes([255]) * 4096 + whole[8192:])
    assert "is damaged" in examined(capsys, "--offline", status=1)["files"]["message"]
    path.write_bytes(whole)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    assert "later version" in examined(capsys, "--offline", status=1)["files"]["message"]


def test_files_that_were_set_aside(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They are kept for rescue, which somebody has to do."""
    (storage / "Braze" / "outbox.db.damaged-1").touch(0o600)
    assert "outbox.db.damaged-1" in examined(capsys, "--offline")["files"]["message"]


def test_records_that_wait_for_long(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody seems to send them; dead letters are mentioned too."""
    outbox = Outbox(storage / "Braze" / "outbox.db", Guard())
    outbox.clear()
    outbox.add([b"e1", b"e2"], time.time() - 5 * 86_400)
    assert "the oldest for 5.0 days" in examined(capsys, "--offline")["queue"]["message"]
    outbox.delete(outbox.peek(2, 1000), dead={0: "HTTP 400", 1: "HTTP 400"}, now=time.time())
    assert "2 dead letters" in examined(capsys, "--offline")["queue"]["message"]


def test_beside_a_running_client(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A client at work disturbs neither the doctor nor is disturbed."""
    with MParticle([BrazeKit(KEY, "http://127.0.0.1:9")], storage=storage) as client:
        client.log_event("e")
        assert verdicts(examined(capsys, "--offline")) == {}
        client.log_event("f")
        assert client.stats().problems.get("outbox_locked") is None
