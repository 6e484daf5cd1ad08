"""Configuration from a server: fetched, kept, applied on the fly; what is wrong leaves what is in force."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mparticle_kit_braze import BrazeKit, ConfigurationError, IDSyncResolver, MParticle, Problem, RemoteConfiguration
from mparticle_kit_braze.kits.hashing import mp_hash
from mparticle_kit_braze.kits.remote import ClientConfiguration
from mparticle_kit_braze.sandbox import Reply, Sandbox, SandboxRequest
from tests.kits.recording import RecordingKit
from tests.support import ManualClock, run_python, wait_until

KEY, SECRET = "config-key", "config-secret"


@pytest.fixture
def server() -> Iterator[Sandbox]:
    """An mParticle, whose rules no request may have broken."""
    with Sandbox() as started:
        started.mparticle.keys[KEY] = SECRET
        yield started
        assert started.mparticle.configuration.problems == []


def requests_of(server: Sandbox) -> list[SandboxRequest]:
    return server.mparticle.configuration.requests


def remote(server: Sandbox, **settings: Any) -> RemoteConfiguration:
    return RemoteConfiguration(KEY, SECRET, **{"endpoint": server.url, "refresh_interval": 3600, **settings})


def hiding(name: str) -> dict[str, Any]:
    return {"eks": [{"id": 28, "as": {"n": name}, "hs": {"ec": {str(mp_hash(f"8{name}")): 0}}}]}


def test_what_the_server_says_is_applied_while_running(server: Sandbox) -> None:
    """The first answer and every later one reach the kits; the request says who asks."""
    server.set_configuration({**hiding("A"), "stl": 5})
    kit, source = RecordingKit(), remote(server, app_version="2.1")
    with MParticle([kit], storage=":memory:", remote_configuration=source, environment="development") as client:
        wait_until(lambda: kit.of("on_configuration_updated"))
        client.log_event("A")
        client.log_event("B")
        assert client._sessions._timeout == 5
        server.set_configuration(hiding("B"))
        source.refresh_soon()
        wait_until(lambda: len(kit.of("on_configuration_updated")) == 2)
        client.log_event("A")
        client.log_event("B")
    assert [event.name for (event,) in kit.of("log_event")] == ["B", "A"]
    path, headers = requests_of(server)[0].path, requests_of(server)[0].headers
    assert path.startswith(f"/config/v4/{KEY}/config?av=2.1&sv=")
    assert (headers["x-mp-env"], headers["x-mp-kits"]) == ("1", "28")
    assert "If-None-Match" not in headers


def test_an_unchanged_configuration_is_not_sent_again(server: Sandbox, tmp_path: Path) -> None:
    """The next start has it at once, and asks with what it has; 304 keeps it."""
    server.set_configuration(hiding("A"))
    with MParticle([RecordingKit()], storage=tmp_path, remote_configuration=remote(server)) as client:
        wait_until(lambda: client._remote is not None and client._remote._kept() is not None)
    kit = RecordingKit()
    with MParticle([kit], storage=tmp_path, remote_configuration=remote(server)) as client:
        client.log_event("A")
        client.log_event("B")
        wait_until(lambda: len(requests_of(server)) == 2)
    assert [event.name for (event,) in kit.of("log_event")] == ["B"]
    assert kit.names()[:2] == ["on_configuration_updated", "on_start"]  # told before it started
    assert [request.status for request in requests_of(server)] == [200, 304]
    assert "If-Modified-Since" in requests_of(server)[1].headers


@pytest.mark.parametrize("change", ["age", "environment", "key"])
def test_a_kept_configuration_that_does_not_apply_is_not_used(server: Sandbox, tmp_path: Path, change: str) -> None:
    """One that is too old, or another environment's or key's, counts for nothing."""
    clock = ManualClock()
    server.set_configuration(hiding("A"))
    with MParticle([RecordingKit()], storage=tmp_path, remote_configuration=remote(server, clock=clock)) as client:
        wait_until(lambda: client._remote is not None and client._remote._kept() is not None)
    clock.advance(101)
    server.respond_next(Reply(503))
    kit = RecordingKit()
    key = "other" if change == "key" else KEY
    source = RemoteConfiguration(key, endpoint=server.url, max_age=100 if change == "age" else None, clock=clock)
    environment: Any = "development" if change == "environment" else "production"
    with MParticle([kit], storage=tmp_path, remote_configuration=source, environment=environment) as client:
        client.log_event("A")
        wait_until(lambda: len(requests_of(server)) == 2)
    assert [event.name for (event,) in kit.of("log_event")] == ["A"]
    assert "If-None-Match" not in requests_of(server)[1].headers


@pytest.mark.parametrize(
    ("status", "document"),
    [
        (400, {}),
        (500, {}),
        (302, {}),
        (200, b"no JSON"),
        (200, b"[]"),
        (200, {}),
        (200, {"eks": 5}),
        (200, {"eks": [{"id": 28, "hs": 5}]}),
        (200, b'{"eks": []}' + b" " * 5_000_000),
    ],
)
def test_trouble_leaves_what_is_in_force(server: Sandbox, tmp_path: Path, status: int, document: Any) -> None:
    """A failing server or a malformed document changes nothing, on disk neither, and is reported."""
    server.set_configuration(hiding("A"))
    kit, source = RecordingKit(), remote(server)
    problems: list[Problem] = []
    with MParticle([kit], storage=tmp_path, remote_configuration=source, on_error=problems.append) as client:
        wait_until(lambda: source._kept() is not None)
        kept = source._kept()
        server.set_configuration(document)
        if status != 200:
            server.respond_next(Reply(status))
        source.refresh_soon()
        wait_until(lambda: problems)
        client.log_event("A")
        assert client.kit_is_active("Recording")
        assert source._kept() == kept
    assert kit.of("log_event") == []
    assert {problem.code for problem in problems} == {"configuration_not_fetched"}
    assert all(KEY not in problem.message for problem in problems)


def test_the_interval(server: Sandbox) -> None:
    """It is fetched again and again, at the interval."""
    with MParticle([RecordingKit()], storage=":memory:", remote_configuration=remote(server, refresh_interval=1)):
        wait_until(lambda: len(requests_of(server)) >= 2)


def test_a_dead_server_holds_nothing_up(tmp_path: Path) -> None:
    """The client starts and closes as ever; the trouble is reported."""
    problems: list[Problem] = []
    source = RemoteConfiguration(KEY, endpoint="http://127.0.0.1:9")
    start = time.monotonic()
    with MParticle([RecordingKit()], storage=tmp_path, remote_configuration=source, on_error=problems.append):
        wait_until(lambda: problems)
    assert time.monotonic() - start < 10


def test_the_web_form(server: Sandbox) -> None:
    """Web pages' configuration comes from another path, in the other form, and may move a Braze kit."""
    settings = {"apiKey": "new-key", "cluster": "127.0.0.1:9"}
    server.set_configuration(
        [{"moduleId": 28, "name": "Braze", "settings": settings, "eventNameFilters": []}], form="web"
    )
    kit = BrazeKit("old-key", "http://127.0.0.1:9", profile="web")
    source = RemoteConfiguration(KEY, form="web", endpoint=server.url)
    with MParticle([kit], storage=":memory:", remote_configuration=source) as client:
        wait_until(lambda: kit.settings.api_key == "new-key")
        client.clear()
        client.close(0)
    path, headers = requests_of(server)[0].path, requests_of(server)[0].headers
    assert path == f"/JS/v2/{KEY}/config?env=0"
    assert "x-mp-env" not in headers


def test_without_it_there_is_no_thread_and_no_code() -> None:
    """A client that was not asked to fetch anything loads none of it."""
    code = """
        import sys, threading
        from mparticle_kit_braze import LoggingKit, MParticle
        with MParticle([LoggingKit()], storage=":memory:") as client:
            client.log_event("A")
            assert "mparticle_kit_braze.kits.remote" not in sys.modules
            assert threading.active_count() == 1
    """
    result = run_python(code)
    assert result.returncode == 0, result.stderr


def test_nothing_goes_before_a_required_configuration(server: Sandbox, tmp_path: Path) -> None:
    """Calls wait, over failures and restarts, until there is a configuration; then they pass its filters, in order."""
    server.set_configuration(hiding("A"))
    server.respond_next(Reply(503))
    problems: list[Problem] = []
    first = RecordingKit()
    source = remote(server, required=True)
    with MParticle([first], storage=tmp_path, remote_configuration=source, on_error=problems.append) as client:
        wait_until(lambda: problems)
        client.log_event("A")
        client.log_event("B")
        client.set_user_attribute("k", 1)
        anonymous = client.current_user
        assert client.login(customer_id="ada") is anonymous
        assert client.stats().gates == {"Recording": "configuration"}
        assert client.flush(0).kept == 3
    assert first.names() == []

    kit = RecordingKit()
    server.mparticle.configuration.answering.clear()
    with MParticle([kit], storage=tmp_path, remote_configuration=source) as client:
        client.log_event("C")
        client.login(customer_id="ada")
        client.log_screen("D")
        server.mparticle.configuration.answering.set()
        wait_until(lambda: "on_identity_completed" in kit.names())
        assert not client._state.waiting
        client.log_event("E")
    assert kit.names() == [
        "on_configuration_updated", "on_start", "log_event", "on_user_attribute_set", "log_event", "log_screen",
        "on_identity_completed", "log_event",
    ]  # fmt: skip
    assert [event.name for (event,) in kit.of("log_event")] == ["B", "C", "E"]

    last = RecordingKit()
    server.stop()
    with MParticle([last], storage=tmp_path, remote_configuration=source) as client:
        client.log_event("F")  # the configuration that was kept will do
    assert [event.name for (event,) in last.of("log_event")] == ["F"]


def test_a_required_configuration_and_a_user_are_both_awaited(server: Sandbox, tmp_path: Path) -> None:
    """Whichever comes last lets the calls go."""
    for late, early in (
        (server.idsync, server.mparticle.configuration),
        (server.mparticle.configuration, server.idsync),
    ):
        server.reset()
        server.set_configuration(hiding("A"))
        late.answering.clear()
        kit = RecordingKit()
        resolver = IDSyncResolver(KEY, SECRET, endpoint=server.url)
        source = remote(server, required=True)
        storage = tmp_path / type(late).__name__
        with MParticle([kit], storage=storage, resolver=resolver, remote_configuration=source) as client:
            client.log_event("A")
            client.log_event("B")
            wait_until(lambda: early.requests and late.requests)  # noqa: B023  # called before the next round
            assert kit.of("log_event") == []
            late.answering.set()
            wait_until(lambda: kit.of("log_event"))  # noqa: B023  # called before the next round
        assert [event.name for (event,) in kit.of("log_event")] == ["B"]


def test_collecting_from_users_who_opted_out(server: Sandbox, tmp_path: Path) -> None:
    """With ``oo`` calls go on to the kits that do not honour an opt-out; without it they are refused."""
    entry = {"id": 28, "as": {"honorOptOut": "False"}}
    kits = RecordingKit(), RecordingKit(name="Honours", kit_id=29)
    source = remote(server)
    server.set_configuration({"eks": [entry, {"id": 29}], "oo": True})
    with MParticle(kits, storage=tmp_path, remote_configuration=source) as client:
        client.set_opt_out(True)
        wait_until(lambda: client._state.collects_opted_out and not client._refusing)
        client.log_event("A")
        client.log_screen("B")
        client.set_user_attribute("k", 1)
    again = RecordingKit()
    server.set_configuration({"eks": [entry]})
    server.mparticle.configuration.answering.clear()
    with MParticle([again], storage=tmp_path, remote_configuration=source) as client:
        client.log_event("C")  # the configuration that was kept still says so
        server.mparticle.configuration.answering.set()
        wait_until(lambda: not client._state.collects_opted_out and client._refusing)
        client.log_event("D")
    assert [name for name in kits[0].names() if name.startswith("log") or "attribute" in name] == [
        "log_event", "log_screen", "on_user_attribute_set",
    ]  # fmt: skip
    assert "log_event" not in kits[1].names()
    assert [event.name for (event,) in again.of("log_event")] == ["C"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_goes_on_with_what_is_in_force(server: Sandbox) -> None:
    """A child fetches nothing, and closing does not wait for the parent's thread."""
    server.set_configuration(hiding("A"))
    kit, source = RecordingKit(), remote(server)
    with MParticle([kit], storage=":memory:", remote_configuration=source) as client:
        wait_until(lambda: kit.of("on_configuration_updated"))
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                client.log_event("A")
                client.log_event("B")
                client.close()
                status = 0 if [event.name for (event,) in kit.of("log_event")] == ["B"] else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["eks", "kitConfigs", "stl", "id", "as", "hs", "ec", "bk", "pr", "x"]), inner)
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(
    JSON | st.binary(max_size=30) | st.fixed_dictionaries({"eks": st.lists(JSON, max_size=2), "stl": JSON}),
    st.sampled_from(["mobile", "web"]),
)
def test_documents_read_or_raise_a_configuration_error(document: Any, form: Any) -> None:
    """No document raises anything else, as an object or as text."""
    for given_as in (document, document if isinstance(document, bytes) else json.dumps(document)):
        try:
            read = ClientConfiguration.read(given_as, form)
        except ConfigurationError:
            continue
        assert read.session_timeout is None or read.session_timeout > 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": ""},
        {"secret": 5},
        {"form": "desktop"},
        {"endpoint": "ftp://example.com"},
        {"refresh_interval": 0},
        {"refresh_interval": True},
        {"max_age": -1},
        {"timeout": 0},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    """Each is named."""
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        RemoteConfiguration(**{"key": "k", **wrong})
