"""``send``: one call to an endpoint, with what was sent and what came back, and no trace left."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mparticle_kit_braze import BrazeKit, MParticle
from mparticle_kit_braze.__main__ import main
from mparticle_kit_braze.sandbox import Reply, Sandbox, SandboxRequest

KEY = "5f1e3a0c-8d2b-4b5e-9c1d-7a6b5c4d3e2f"


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A sandbox that knows one key, both named by the environment."""
    with Sandbox(KEY) as made:
        monkeypatch.setenv("BRAZE_API_KEY", KEY)
        monkeypatch.setenv("BRAZE_SDK_ENDPOINT", made.url)
        yield made


def told(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> Any:
    """The JSON that the command prints."""
    capsys.readouterr()
    assert main(["send", *arguments, "--json"]) == status
    return json.loads(capsys.readouterr().out)


def test_an_event_with_typed_attributes(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers, booleans and texts are what they look like; quotation marks make a text."""
    attributes = ["genre=Jazz", "plays=3", "rating=4.5", "live=True", 'year="1959"', "note=a=b", "none=null", "nan=NaN"]
    options = [option for pair in attributes for option in ("--attribute", pair)]
    found = told(capsys, "--event", "Played Song", *options, "--customer-id", "ada")
    assert found["accepted"]
    assert [exchange["status"] for exchange in found["requests"]] == [200]
    (event,) = [event for event in sandbox.events if event["name"] == "ce"]
    assert event["user_id"] == "ada"
    assert event["data"] == {
        "n": "Played Song",
        "p": {
            "genre": "Jazz",
            "plays": 3,
            "rating": 4.5,
            "live": True,
            "year": "1959",
            "note": "a=b",
            "nan": "NaN",
        },
    }


def test_a_purchase(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    """SKU, price, quantity and currency, as the profile maps them."""
    told(capsys, "--purchase", "SKU-1", "--price", "4.5", "--quantity", "2", "--currency", "EUR", "--profile", "web")
    (purchase,) = [event["data"] for event in sandbox.events if event["name"] == "p"]
    assert {key: purchase[key] for key in ("pid", "p", "q", "c")} == {"pid": "SKU-1", "p": "4.50", "q": 2, "c": "EUR"}


def test_user_attributes(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    """Standard fields, custom attributes and lists."""
    pairs = ("$FirstName=Ada", "level=4", 'tags=["a", "b"]')
    told(capsys, *(option for pair in pairs for option in ("--user-attribute", pair)), "--customer-id", "ada")
    profile = sandbox.profile("ada")
    assert profile.attributes["first_name"] == "Ada"
    assert profile.custom_attributes == {"level": 4, "tags": ["a", "b"]}


def test_calls_from_a_file(sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever explain takes, with identities and settings."""
    calls = [{"name": "a"}, {"call": "log_screen", "name": "s"}]
    settings = {"forwardScreenViews": "True"}
    file = tmp_path / "calls.json"
    file.write_text(json.dumps({"calls": calls, "identities": {"customer_id": "ada"}, "settings": settings}))
    found = told(capsys, str(file))
    assert [event["data"]["n"] for event in found["requests"][0]["events"] if event["name"] == "ce"] == ["a", "s"]
    assert {event["user_id"] for event in sandbox.events} == {"ada"}


def test_nothing_is_stored_and_the_key_is_not_shown(
    sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither in text nor in JSON, whatever the outcome; and no file is left."""
    before = sorted(tmp_path.rglob("*"))
    for arguments in (["--event", "e"], ["--event", "e", "--json"], ["--event", "e", "--api-key", f"{KEY[:-1]}0"]):
        main(["send", *arguments])
    shown = capsys.readouterr()
    assert KEY[:-1] not in shown.out + shown.err
    assert "5f1e... (36 characters)" in shown.out
    assert "set BRAZE_API_KEY instead" in shown.err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_refusal_is_a_failure(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    """A key that Braze does not know: the answer is shown, and the status is 1."""
    found = told(capsys, "--event", "e", "--api-key", "another-key", status=1)
    assert not found["accepted"]
    assert found["requests"][0]["status"] == 400
    assert "unknown api key" in json.dumps(found["requests"][0]["answer"])
    sandbox.respond_next(*[Reply(status=401)] * 2)
    assert told(capsys, "--event", "e", status=1)["requests"][0]["verdict"] == "unauthorized"


def test_a_value_braze_would_refuse_is_a_warning(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    """The rest goes; where nothing is left, that is a failure and nothing is sent."""
    found = told(capsys, "--event", "e", "--attribute", 'o={"a": 1}')
    assert found["accepted"]
    assert [warning["code"] for warning in found["warnings"]] == ["value_refused"]
    seen = len(sandbox.requests)
    assert told(capsys, "--event", "$", status=1)["requests"] == []
    assert len(sandbox.requests) == seen


def test_nobody_there(sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without storage it is lost, and said to be; with storage it is kept, and goes with the next."""
    sandbox.stop()
    found = told(capsys, "--event", "lost", status=1)
    assert (found["requests"][0]["error"], found["kept"] > 0) == ("connection", True)
    storage = ["--storage", str(tmp_path / "state")]
    assert main(["send", "--event", "kept", *storage]) == 1
    assert f"kept in {tmp_path / 'state'}" in capsys.readouterr().out
    sandbox.start()
    assert main(["send", "--event", "next", *storage]) == 0
    assert [event["data"]["n"] for event in sandbox.events if event["name"] == "ce"] == ["kept", "next"]


def test_another_process_sends_it(sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On a directory whose lease another process has, that process sends the event."""
    directory = tmp_path / "state"
    with MParticle([BrazeKit(KEY, sandbox.url)], storage=directory) as other:
        arrived, answered = threading.Event(), threading.Event()

        def hold(_request: SandboxRequest) -> None:
            arrived.set()
            answered.wait(20)

        sandbox.fault = hold
        other.log_event("first")
        other.kit("Braze").request_immediate_data_flush()
        assert arrived.wait(20)  # it is sending, and so it has the lease
        later = threading.Timer(0.2, answered.set)
        later.start()
        assert main(["send", "--event", "second", "--storage", str(directory), "--timeout", "20"]) == 0
        later.join()
    assert "result   accepted" in capsys.readouterr().out
    assert sorted(event["data"]["n"] for event in sandbox.events if event["name"] == "ce") == ["first", "second"]


def test_an_endpoint_that_hangs(
    hanging: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The time-out holds."""
    monkeypatch.setenv("BRAZE_API_KEY", KEY)
    began = time.monotonic()
    assert main(["send", "--event", "e", "--endpoint", hanging, "--timeout", "0.2"]) == 1
    assert time.monotonic() - began < 10
    assert "not sent" in capsys.readouterr().out


def test_an_untrusted_certificate(
    self_signed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing goes over such a connection."""
    monkeypatch.setenv("BRAZE_API_KEY", KEY)
    found = told(capsys, "--event", "e", "--endpoint", self_signed, status=1)
    assert {exchange["error"] for exchange in found["requests"]} == {"tls"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "one of the arguments"),
        (["--event", "e", "--purchase", "p"], "not allowed with"),
        (["--purchase", "p"], "--purchase needs --price"),
        (["--purchase", "p", "--price", "cheap"], "takes a number, not 'cheap'"),
        (["--purchase", "p", "--price", "1", "--quantity", "-1"], "quantity must be 0 or more"),
        (["--purchase", "p", "--price", "1", "--quantity", "nan"], "quantity"),
        (["--purchase", "p", "--price", "inf"], "price"),
        (["--event", ""], "event name must not be empty"),
        (["--event", "e", "--attribute", "genre"], "--attribute takes NAME=VALUE"),
        (["--event", "e", "--type", "musical"], "there is no event type"),
        (["--event", "e", "--timeout", "0"], "a number of seconds above 0"),
        (["--event", "e", "--setting", "bundle_commerce_event_data=perhaps"], "bundleCommerceEventData"),
        (["--event", "e", "--endpoint", "http://example.com"], "plain http://"),
        (["--event", "e", "--endpoint", "XX-99"], "XX-99"),
        (["none.json"], "'none.json' cannot be read"),
        (["--event", "e", "--storage", "/dev/null/state"], "the storage directory /dev/null/state cannot be used"),
    ],
)
def test_wrong_arguments(
    arguments: list[str], message: str, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2 and a line that says what is wrong; nothing is sent."""
    assert main(["send", *arguments]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.out == ""
    assert sandbox.requests == []


@pytest.mark.parametrize("missing", ["BRAZE_API_KEY", "BRAZE_SDK_ENDPOINT"])
def test_what_the_environment_lacks_is_named(
    missing: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The variable to set."""
    monkeypatch.delenv(missing)
    assert main(["send", "--event", "e"]) == 2
    assert missing in capsys.readouterr().err


def test_an_answer_that_is_no_http(
    serve: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A port that speaks something else is a failure like any other."""
    monkeypatch.setenv("BRAZE_API_KEY", KEY)
    port = serve(lambda connection, _over: connection.sendall(b"SSH-2.0-x\r\n"))
    assert main(["send", "--event", "e", "--endpoint", f"http://127.0.0.1:{port}", "--timeout", "2"]) == 1
    assert "answer   none" in capsys.readouterr().out
