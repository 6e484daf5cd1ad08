"""The sandbox as a server: paths, configuration, scripted replies and faults, reading over HTTP, the program."""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from typing import Any
from urllib.request import urlopen

import pytest

from mparticle_kit_braze.sandbox import Reply, Sandbox, SandboxRequest
from tests.support import free_port, python_process, run_python, wait_until

from .requests_of_a_client import API_KEY, SESSION, Client, body, event


def one(**fields: Any) -> dict[str, Any]:
    return body(events=[event(user_id="u")], **fields)


@pytest.mark.parametrize("path", ["/api/v3/data/", "/api/v3/data", "/proxy/braze/data/", "/data"])
def test_data_path_under_any_prefix(client: Client, path: str) -> None:
    """The path of the SDK and whatever prefix a proxy has are served, with and without the last slash."""
    assert client.post(one(), path)[0] == 200


@pytest.mark.parametrize("path", ["/api/v3//data/", "/api/v3/", "/", "/api/v3/unknown", "/sandbox/unknown"])
def test_other_paths_do_not_exist(sandbox: Sandbox, client: Client, path: str) -> None:
    """Anything else, a doubled slash included, is answered with 404 and not recorded."""
    assert client.post(one(), path)[0] == 404
    assert sandbox.counts.requests == 0


def test_requests_are_remembered(sandbox: Sandbox, client: Client) -> None:
    """Method, path, headers in any case, body, status and problems of each request can be read."""
    client.post(one())
    client.post(body(events=[event("zz", {})]))
    good, bad = sandbox.requests
    assert (good.method, good.path, good.status, good.recorded) == ("POST", "/api/v3/data/", 200, True)
    assert good.headers["x-braze-api-key"] == API_KEY == good.headers["X-Braze-Api-Key"]
    assert good.body == json.loads(good.raw) == one()
    assert (bad.status, bad.recorded, len(bad.problems)) == (400, False, 1)


def test_config_is_handed_out_when_newer(sandbox: Sandbox, client: Client) -> None:
    """The configuration comes with the answer unless the client holds one as new."""
    config = client.post(one(respond_with={"config": {"config_time": 0}}))[1]["config"]
    assert config["global_request_rate_limit"] == {"enabled": True, "capacity": 30, "refill_rate": 30}
    held = {"config": {"config_time": config["time"]}}
    assert client.post(one(respond_with=held))[1] == {}
    sandbox.configure(events_blacklist=["Played"])
    assert client.post(one(respond_with=held))[1]["config"]["events_blacklist"] == ["Played"]


def test_limiter_can_be_switched_off() -> None:
    """``limiter=False`` hands out a configuration without a rate limit."""
    with Sandbox(limiter=False) as sandbox:
        assert sandbox.config["global_request_rate_limit"] == {"enabled": False}


def test_scripted_replies_come_in_order_and_only_once(sandbox: Sandbox, client: Client) -> None:
    """Each reply answers one request; afterwards all is ordinary again."""
    sandbox.respond_next(Reply(status=503, headers={"Retry-After": "7"}), Reply(status=201, body={"ok": 1}))
    client.connection.request("POST", "/data/", json.dumps(one()), {"Content-Type": "application/json"})
    with client.connection.getresponse() as response:
        assert (response.status, response.headers["retry-after"]) == (503, "7")
        response.read()
    assert client.post(one()) == (201, {"ok": 1})
    assert client.post(one())[0] == 200
    assert [request.recorded for request in sandbox.requests] == [False, True, True]
    assert (sandbox.counts.scripted, sandbox.counts.accepted) == (1, 2)


@pytest.mark.parametrize(
    ("reply", "recorded"),
    [
        (Reply(), True),
        (Reply(status=204), True),
        (Reply(status=500), False),
        (Reply(body={"auth_error": {"error_code": 22}}), False),
        (Reply(body={"error": "blacklisted"}), False),
        (Reply(body="<html>"), True),
        (Reply(status=500, record=True), True),
        (Reply(record=False), False),
    ],
)
def test_what_a_reply_records(sandbox: Sandbox, client: Client, reply: Reply, recorded: bool) -> None:
    """A success is taken in unless its body says otherwise; the script has the last word."""
    sandbox.respond_next(reply)
    client.post(one())
    assert len(sandbox.events) == recorded


def test_a_success_cannot_be_scripted_for_a_bad_request(sandbox: Sandbox, client: Client) -> None:
    """What the checks refuse is never taken in, whatever the script answers."""
    sandbox.respond_next(Reply(status=200))
    client.post(body(events=[event("zz", {})]))
    assert sandbox.events == []
    assert sandbox.counts.refused == 1


def test_fault_decides_for_each_request(sandbox: Sandbox, client: Client) -> None:
    """A callable sees each request and may answer it."""

    def refuse_large(request: SandboxRequest) -> Reply | None:
        return Reply(status=413) if len(request.raw) > 1000 else None

    sandbox.fault = refuse_large
    assert client.post(one())[0] == 200
    assert client.post(body(events=[event()] * 10))[0] == 413


def test_close_without_answer(sandbox: Sandbox, client: Client) -> None:
    """The connection ends without a byte."""
    sandbox.respond_next(Reply(close=True))
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        client.post(one())
    assert (sandbox.requests[0].status, sandbox.events) == (0, [])


def test_cut_in_the_middle_of_the_body(sandbox: Sandbox, client: Client) -> None:
    """The head promises more bytes than come."""
    sandbox.respond_next(Reply(body={"long": "x" * 100}, cut=10))
    with pytest.raises(http.client.IncompleteRead) as caught:
        client.post(one())
    assert len(caught.value.partial) == 10
    assert len(sandbox.events) == 1


def test_hang_until_closed(sandbox: Sandbox) -> None:
    """A hanging request gets no byte within the client's patience, and a reset lets it go."""
    patient = Client(sandbox.port, timeout=0.1)
    sandbox.respond_next(Reply(hang=True))
    with pytest.raises(TimeoutError):
        patient.post(one())
    patient.close()
    sandbox.reset()
    again = Client(sandbox.port)
    assert again.post(one())[0] == 200
    again.close()


def test_delay_and_trickle_take_their_time(sandbox: Sandbox, client: Client) -> None:
    """A delayed answer is late but whole; a trickled one comes byte by byte."""
    sandbox.respond_next(Reply(delay=0.1), Reply(body={"a": 1}, trickle=0.001))
    begun = time.monotonic()
    assert client.post(one())[0] == 200
    assert time.monotonic() - begun >= 0.1
    assert client.post(one()) == (200, {"a": 1})


def test_stop_and_start_on_the_same_port(sandbox: Sandbox, client: Client) -> None:
    """Stopped, nothing listens and open connections are cut; started again, it is the same sandbox."""
    client.post(one())
    sandbox.stop()
    with pytest.raises(OSError):
        client.post(one())
    client.close()
    with pytest.raises(ConnectionRefusedError):
        client.post(one())
    client.close()
    sandbox.start()
    assert client.post(one())[0] == 200
    assert len(sandbox.events) == 2


def test_wait_for(sandbox: Sandbox, client: Client) -> None:
    """Waiting ends when the condition is met, or says that it was not."""
    poster = threading.Timer(0.05, client.post, (one(),))
    poster.start()
    assert sandbox.wait_for(lambda: len(sandbox.events) == 1)
    poster.join()
    assert not sandbox.wait_for(lambda: len(sandbox.events) == 2, timeout=0.05)


def test_reset_forgets_everything(sandbox: Sandbox, client: Client) -> None:
    """After a reset there are no requests, profiles, scripts or faults, and the first configuration is back."""
    client.post(one())
    sandbox.respond_next(Reply(status=500))
    sandbox.fault = lambda _request: Reply(status=500)
    sandbox.configure(events_blacklist=["x"])
    sandbox.reset()
    assert (sandbox.requests, sandbox.profiles, sandbox.counts.requests) == ([], [], 0)
    assert sandbox.config["events_blacklist"] == []
    assert client.post(one())[0] == 200


def test_bounded_memory_keeps_the_counters() -> None:
    """With a bound only the newest requests are kept, but counters and profiles cover all."""
    with Sandbox(keep_requests=3) as sandbox:
        client = Client(sandbox.port)
        for _ in range(10):
            client.post(one())
        client.close()
        assert len(sandbox.requests) == 3
        assert len(sandbox.events) == 3
        assert sandbox.counts.events == 10
        assert sandbox.profile("u").custom_events == {"Played": 10}


def test_reading_over_http(sandbox: Sandbox, client: Client) -> None:
    """Profiles, events, attributes, requests and totals are JSON at paths of their own."""
    client.post(one(attributes=[{"user_id": "u", "first_name": "Ada"}]))
    assert client.get("/sandbox/profiles")[1][0]["attributes"] == {"first_name": "Ada"}
    assert client.get("/sandbox/profiles/u")[1]["custom_events"]["Played"]["count"] == 1
    assert client.get("/sandbox/events")[1][0]["session_id"] == SESSION
    assert client.get("/sandbox/attributes")[1] == [{"user_id": "u", "first_name": "Ada"}]
    assert client.get("/sandbox/requests")[1][0]["status"] == 200
    assert client.get("/sandbox/stats")[1]["events"] == 1
    for path in ("/sandbox/profiles/nobody", "/sandbox/", "/api/v3/data/"):
        assert client.get(path)[0] == 404


def test_commands_over_http(sandbox: Sandbox, client: Client) -> None:
    """Another process can script replies, change the configuration and reset."""
    assert client.post([{"status": 500}], "/sandbox/replies") == (200, {})
    assert client.post(one())[0] == 500
    assert client.post({"events_blacklist": ["x"]}, "/sandbox/config")[0] == 200
    assert sandbox.config["events_blacklist"] == ["x"]
    assert client.post([{"colour": 1}], "/sandbox/replies")[0] == 400
    assert client.post({}, "/sandbox/reset")[0] == 200
    assert sandbox.requests == []


def test_large_batches_are_counted_whole(sandbox: Sandbox, client: Client) -> None:
    """20,000 events in batches of 5,000 are all checked and counted."""
    events = [event("ce", {"n": f"E{i % 5}", "p": {"genre": "Jazz", "plays": i}}, user_id="u") for i in range(5000)]
    raw = json.dumps(body(events=events)).encode()
    for _ in range(4):
        assert client.post({}, raw=raw)[0] == 200
    assert sandbox.counts.events == 20_000


def test_program_serves_until_the_first_request() -> None:
    """The program prints its URL first, serves, and with ``--once`` ends by itself."""
    code = "import sys; from mparticle_kit_braze.sandbox.__main__ import main; sys.exit(main(sys.argv[1:]))"
    with python_process(code, "--once", "--api-key", API_KEY) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with urlopen(f"{url}/sandbox/stats", timeout=5) as response:
            assert json.load(response)["requests"] == 0
        client = Client(int(url.rpartition(":")[2]))
        assert client.post(one())[0] == 200
        client.close()
        assert process.wait(10) == 0


def test_program_says_when_the_port_is_taken(sandbox: Sandbox) -> None:
    """A taken port is one line on stderr and exit status 1."""
    code = "import sys; from mparticle_kit_braze.sandbox.__main__ import main; sys.exit(main(sys.argv[1:]))"
    result = run_python(code, "--port", str(sandbox.port))
    assert (result.returncode, result.stdout) == (1, "")
    assert f"cannot listen on port {sandbox.port}" in result.stderr


def test_the_sandbox_leaves_no_thread() -> None:
    """After closing, neither the server nor a hanging connection is left."""
    sandbox = Sandbox(port=free_port())
    sandbox.respond_next(Reply(hang=True))
    client = Client(sandbox.port, timeout=0.05)
    with pytest.raises(TimeoutError):
        client.post(one())
    client.close()
    sandbox.close()
    wait_until(lambda: not [t for t in threading.enumerate() if t.name.startswith("braze-sandbox")])


def test_a_crash_inside_is_logged_not_printed(
    sandbox: Sandbox, client: Client, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """A fault callable that raises ends its connection and leaves a traceback in the log only."""

    def broken(_request: SandboxRequest) -> Reply | None:
        raise RuntimeError("made to fail")

    sandbox.fault = broken
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        client.post(one())
    wait_until(lambda: "made to fail" in caplog.text)
    assert capsys.readouterr().err == ""
    assert sys.exc_info() == (None, None, None)
