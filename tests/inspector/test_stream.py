"""The stream of what arrives: order, resuming, bounds, and what a consumer that is slow or gone may cost."""

from __future__ import annotations

import json
import socket
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mparticle_kit_braze.sandbox import Reply, RequestProblem, Sandbox, SandboxRequest
from mparticle_kit_braze.sandbox.inspector import web
from mparticle_kit_braze.sandbox.inspector.records import records_of, request_entry
from mparticle_kit_braze.sandbox.inspector.stream import Stream
from tests.sandbox.requests_of_a_client import Client, body, event
from tests.support import wait_until

from .support import Consumer, ask, entries_of


def played(title: str) -> dict[str, object]:
    return event(data={"n": "Played", "p": {"title": title}}, user_id="ada")


def test_a_consumer_gets_what_was_there_and_what_comes(sandbox: Sandbox, client: Client) -> None:
    """Earlier requests come first, later ones at once; a request's entry goes before its records."""
    client.post(body(events=[played("a")]))
    with Consumer(sandbox) as consumer:
        assert consumer.response.headers["content-type"] == "text/event-stream; charset=utf-8"
        begin, first = consumer.next(), consumer.next()
        assert (begin.kind, first.kind) == ("begin", "entries")
        assert [(entry["t"], entry.get("name")) for entry in first.data] == [("request", None), ("record", "Played")]
        client.post(body(events=[played("b"), played("c")]))
        later = consumer.next().data
        assert [entry["wire"]["data"]["p"]["title"] for entry in later[1:]] == ["b", "c"]


def test_a_consumer_resumes_after_what_it_saw(sandbox: Sandbox, client: Client) -> None:
    """With ``Last-Event-ID`` nothing is sent twice and nothing is left out."""
    client.post(body(events=[played("a")]))
    with Consumer(sandbox) as consumer:
        consumer.next()
        seen = consumer.next()
    client.post(body(events=[played("b")]))
    with Consumer(sandbox, seen.id) as consumer:
        resumed = consumer.next()
    assert resumed.kind == "entries"
    assert [entry["id"] for entry in resumed.data] == [seen.data[-1]["id"] + 1, seen.data[-1]["id"] + 2]
    assert resumed.data[1]["wire"] == played("b")


@pytest.mark.parametrize("last", ["", "nonsense", "0123456789ab-5", "-1", "x-y-z", "\u00e9-1"])
def test_an_id_of_another_run_begins_anew(sandbox: Sandbox, client: Client, last: str) -> None:
    """What this run never sent as an id is answered with everything."""
    client.post(body(events=[played("a")]))
    with Consumer(sandbox, last) as consumer:
        assert consumer.next().kind == "begin"
        assert consumer.next().data[1]["name"] == "Played"


@pytest.mark.parametrize("path", ["/sandbox/reset", "/inspector/forget"])
def test_a_reset_begins_anew_for_everybody(sandbox: Sandbox, client: Client, path: str) -> None:
    """After a reset a consumer that goes on is told to forget, and gets only what came since."""
    client.post(body(events=[played("a")]))
    with Consumer(sandbox) as consumer:
        consumer.next()
        seen = consumer.next()
    ask(sandbox, path, {})
    client.post(body(events=[played("b")]))
    with Consumer(sandbox, seen.id) as consumer:
        assert consumer.next().kind == "begin"
        assert [entry["wire"]["data"]["p"]["title"] for entry in consumer.next().data[1:]] == ["b"]


def test_forgetting_keeps_what_was_set_up(sandbox: Sandbox, client: Client) -> None:
    """The page's button forgets what arrived, not the replies and campaigns that somebody prepared."""
    sandbox.respond_next(Reply(status=503))
    sandbox.add_feature_flag("flag")
    ask(sandbox, "/inspector/forget", {})
    assert client.post(body(events=[played("a")]))[0] == 503
    assert sandbox.messaging.flags
    assert sandbox.counts.requests == 1


def test_refused_requests_show_the_records_at_fault(sandbox: Sandbox, client: Client) -> None:
    """A refused request has its problems, and a row for the record that caused them but not for the others."""
    client.post(body(events=[played("good"), event(data={"n": "bad\nname", "p": {}})]))
    request, record = entries_of(sandbox)
    assert (request["state"], request["status"], request["records"]) == ("refused", 400, 2)
    assert (record["state"], record["index"], record["points"]) == ("refused", 1, 0)
    assert "control character" in record["reason"]


def test_a_fault_shows_the_request_and_no_records(sandbox: Sandbox, client: Client) -> None:
    """What a script answered without taking it in is a failed request; its records come with the next attempt."""
    sandbox.respond_next(Reply(status=503))
    client.post(body(events=[played("a")]))
    client.post(body(events=[played("a")]), head={"X-Braze-Req-Attempt": "2"})
    kinds = [(entry["t"], entry["state"], entry.get("attempt")) for entry in entries_of(sandbox)]
    assert kinds == [("request", "failed", 1), ("request", "accepted", 2), ("record", "accepted", None)]


def test_requests_to_mparticle_are_shown_whole(sandbox: Sandbox) -> None:
    """Those of before somebody looked, in the order they came, and those of after; each with its body, no records."""
    batch = {"environment": "production", "events": [{"event_type": "custom_event", "data": {}}]}
    ask(sandbox, "/v1/identify", {"known_identities": {"customerid": "ada"}}, {"x-mp-key": "key"})
    ask(sandbox, "/v4/key/config?av=1&sv=2", headers={"x-mp-env": "1"})
    early = entries_of(sandbox)
    sandbox.mparticle.keys["key"] = "secret"
    ask(sandbox, "/v2/events", batch)
    requests = entries_of(sandbox)
    assert requests[:2] == early
    assert [(entry["t"], entry["source"], entry["records"]) for entry in requests] == [("request", "mparticle", 0)] * 3
    assert [(entry["path"], entry["status"], entry["state"], entry["wire"]) for entry in requests] == [
        ("/v1/identify", 400, "refused", {"known_identities": {"customerid": "ada"}}),
        ("/v4/key/config?av=1&sv=2", 200, "accepted", None),
        ("/v2/events", 401, "failed", batch),
    ]
    assert requests[0]["problems"]


def test_every_attribute_is_a_record_with_its_price(sandbox: Sandbox, client: Client) -> None:
    """An attribute object comes apart into attributes; a subscription costs nothing, an object one point a key."""
    attributes = {
        "user_id": "ada",
        "email": "a@b.co",
        "email_subscribe": "opted_in",
        "custom": {"k": 1, "o": {"a": 1, "b": 2}},
    }
    client.post(body(attributes=[attributes]))
    found = {entry["name"]: (entry["code"], entry["points"]) for entry in entries_of(sandbox, "record")}
    assert found == {
        "email": ("standard", 1),
        "email_subscribe": ("standard", 0),
        "k": ("custom", 1),
        "o": ("custom", 2),
    }


def test_rest_requests_are_shown(sandbox: Sandbox) -> None:
    """Requests to the REST API appear with their objects; one that is refused among good ones says why."""
    track = {
        "attributes": [{"external_id": "ada", "plan": "gold"}],
        "events": [{"external_id": "ada", "name": "Played", "time": "2026-01-02T03:04:05Z"}, {"external_id": "ada"}],
    }
    entries_of(sandbox)  # somebody looks
    ask(sandbox, "/users/track", track, {"Authorization": "Bearer key", "Content-Type": "application/json"})
    found = [(entry["kind"], entry["name"], entry["state"]) for entry in entries_of(sandbox, "record")]
    assert found == [
        ("attribute", "plan", "accepted"),
        ("event", "Played", "accepted"),
        ("other", "events", "refused"),
    ]


def test_the_export_is_json_lines(sandbox: Sandbox, client: Client) -> None:
    """Each line is an entry, and odd characters, a lone surrogate among them, survive."""
    titles = ["\u2028 \u00e9 \U0001f3b5 </script>", "\ud800"]
    client.post(body(events=[played(title) for title in titles]))
    assert [entry["wire"]["data"]["p"]["title"] for entry in entries_of(sandbox, "record")] == titles


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
LISTS = st.fixed_dictionaries(
    {}, optional={name: st.lists(JSON, max_size=4) | JSON for name in ("events", "attributes")}
)


@given(
    LISTS | JSON, st.lists(st.tuples(st.sampled_from(["events", "attributes", "body"]), st.none() | st.integers(0, 4)))
)
def test_whatever_is_refused_can_be_shown(content: Any, wrong: list[tuple[str, int | None]]) -> None:
    """Nothing in a refused request can break the stream."""
    problems = tuple(RequestProblem(where, index, "is wrong") for where, index in wrong)
    request = SandboxRequest("POST", "/data/", {}, content, b"", 1.0, 400, problems, recorded=False)
    for entry in [request_entry(request, 1), *records_of(request, 1)]:
        assert json.loads(json.dumps(entry)) == entry


# -- bounds ---------------------------------------------------------------------------------------------------------


def test_the_log_is_bounded_and_says_what_a_slow_consumer_missed() -> None:
    """The oldest entries go; who had not read them is told how many."""
    stream = Stream(keep=10)
    running = threading.Event()
    epoch, number, _ = stream.read("", 1, 0, running)
    stream.add({"t": "x"} for _ in range(25))
    assert len(stream.entries(1, limit=100)) == 10
    epoch, number, event = stream.read(epoch, number, 0, running)
    assert b"event: missed" in event
    assert b'{"count":15}' in event
    _, number, event = stream.read(epoch, number, 0, running)
    assert (number, event.count(b'"t":"x"')) == (26, 10)


def test_an_update_changes_what_later_readers_see() -> None:
    """Who has read an entry gets the change, who reads it later gets it changed."""
    stream = Stream()
    entry: dict[str, object] = {"t": "record"}
    stream.add([entry])
    stream.update([(entry, {"call": 7})])
    assert stream.entries(1) == [
        {"t": "record", "id": 1, "call": 7},
        {"t": "update", "id": 2, "changes": [[1, {"call": 7}]]},
    ]
    assert stream.lines().count(b"\n") == 1


def test_a_consumer_that_does_not_read_is_dropped(
    sandbox: Sandbox, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds up nobody meanwhile, and its thread ends when its time is up."""
    monkeypatch.setattr(web, "_SEND_TIMEOUT", 0.2)
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", sandbox.port))
        deaf.sendall(f"GET /inspector/stream HTTP/1.1\r\nHost: 127.0.0.1:{sandbox.port}\r\n\r\n".encode())
        wait_until(lambda: sandbox.pages.open_streams == 1, timeout=20)
        for _ in range(3):
            client.post(body(events=[played("x" * 100_000) for _ in range(50)]))
        wait_until(lambda: sandbox.pages.open_streams == 0, timeout=20)
    assert client.post(body(events=[played("still served")]))[0] == 200


def test_only_so_many_may_watch(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """One consumer too many is told to come back later."""
    monkeypatch.setattr(web, "_MAX_STREAMS", 1)
    with Consumer(sandbox) as first:
        first.next()
        with Consumer(sandbox) as second:
            assert second.response.status == 503


def test_stopping_ends_every_stream(sandbox: Sandbox) -> None:
    """A stopped sandbox leaves no consumer waiting."""
    with Consumer(sandbox) as consumer:
        consumer.next()
        sandbox.stop()
        with pytest.raises((EOFError, ConnectionError)):
            consumer.next()
    wait_until(lambda: sandbox.pages.open_streams == 0, timeout=20)
