"""Identities resolved by mParticle: nobody waits, nothing is lost meanwhile, and every answer means what it says."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mparticle_kit_braze import (
    CommerceEvent,
    ConfigurationError,
    EventType,
    IdentityFailure,
    IdentityRequest,
    IdentityResult,
    IDSyncResolver,
    Impression,
    InvalidArgumentError,
    MParticle,
    PendingResolution,
    Problem,
    Product,
    ProductAction,
    Promotion,
    PromotionAction,
    Resolution,
    TransactionAttributes,
)
from mparticle_kit_braze.consent import ConsentState, GDPRConsent
from mparticle_kit_braze.delivery import Response
from mparticle_kit_braze.events import Event, ScreenView
from mparticle_kit_braze.identity import User
from mparticle_kit_braze.idsync.api import Meaning, read_answer, read_mpid, signed_headers
from mparticle_kit_braze.kits.kit import IdentityOperation
from mparticle_kit_braze.kits.waiting import MOST_CALLS
from mparticle_kit_braze.sandbox import Reply, Sandbox
from tests.kits.recording import RecordingKit
from tests.support import ManualClock, run_python, wait_until

KEY, SECRET = "us1-key", "idsync-secret"


@pytest.fixture
def server() -> Iterator[Sandbox]:
    """An mParticle, which must have found nothing wrong with any request."""
    with Sandbox() as started:
        started.mparticle.keys[KEY] = SECRET
        yield started
        assert started.idsync.problems == []


def resolver_of(server: Sandbox, **settings: Any) -> IDSyncResolver:
    return IDSyncResolver(KEY, SECRET, endpoint=server.url, first_wait=0.01, **settings)


def client_of(server: Sandbox, kit: RecordingKit, storage: Any = ":memory:", **settings: Any) -> MParticle:
    return MParticle([kit], storage=storage, resolver=resolver_of(server), **settings)


def identified(client: MParticle) -> User:
    """Wait for the first user."""
    wait_until(lambda: client.current_user is not None and not client._state.waiting, what="a user")
    assert client.current_user is not None
    return client.current_user


ORDER = CommerceEvent(
    ProductAction.PURCHASE,
    [Product("Tea", "tea", 4.5, 2, attributes={"leaf": "whole"})],
    TransactionAttributes("t-1", revenue=9.0),
    promotion_action=PromotionAction.CLICK,
    promotions=[Promotion("p")],
    impressions=[Impression("List", [Product("Cup", "cup", 3)])],
    attributes={"a": [1, {"b": None}]},
)


# -- before the first user ------------------------------------------------------------------------------------------


def test_calls_wait_for_the_first_user(server: Sandbox) -> None:
    """Until mParticle has said who the user is calls wait; then they arrive in order, with the time they were made."""
    kit, clock = RecordingKit(), ManualClock()
    server.idsync.answering.clear()
    with client_of(server, kit, clock=clock) as client:
        made = clock.time()
        client.log_event("A", EventType.SOCIAL, {"n": [1, {"x": None}]})
        client.set_user_attribute("plan", "gold")
        client.log_screen("B", {"tab": 1}, timestamp=5)
        client.set_user_attribute("genres", ["Jazz"])
        client.set_user_tag("vip")
        client.increment_user_attribute("visits", 2)
        client.remove_user_attribute("vip")
        client.log_commerce_event(ORDER)
        client.set_consent("gdpr", "marketing", True, timestamp=1)
        client.set_consent(ConsentState({"ads": GDPRConsent(False, 2.0)}))
        client.remove_consent("gdpr", "ads")
        assert client.current_user is None
        assert client.current_session is None
        assert kit.names() == ["on_start"]
        assert client.flush(0).kept == 11
        clock.advance(100)
        server.idsync.answering.set()
        user = identified(client)
        client.log_event("C")
        assert client.current_session is not None
    assert kit.names() == [
        "on_start", "on_identity_completed", "log_event", "on_user_attribute_set", "log_screen",
        "on_user_attribute_list_set", "on_user_tag_set", "on_user_attribute_incremented", "on_user_attribute_removed",
        "log_commerce_event", "on_consent_changed", "on_consent_changed", "on_consent_changed", "log_event",
    ]  # fmt: skip
    assert kit.of("log_event")[0] == (Event("A", EventType.SOCIAL, {"n": (1, {"x": None})}, made),)
    assert kit.of("log_screen") == [(ScreenView("B", {"tab": 1}, 5.0),)]
    order = kit.of("log_commerce_event")[0][0]
    assert (order.products, order.transaction, order.promotions) == (
        ORDER.products,
        ORDER.transaction,
        ORDER.promotions,
    )
    assert (order.impressions, order.timestamp) == (ORDER.impressions, made)
    assert user.attributes == {"plan": "gold", "genres": ("Jazz",), "visits": 2}
    assert user.consent == ConsentState()


def test_what_waits_survives_the_end_of_the_process(server: Sandbox, tmp_path: Path) -> None:
    """Calls of a process that died before it knew the user are made by the next one, before its own."""
    server.idsync.answering.clear()
    code = f"""
        import os, sys
        from mparticle_kit_braze import IDSyncResolver, LoggingKit, MParticle
        resolver = IDSyncResolver("{KEY}", "{SECRET}", endpoint="{server.url}")
        client = MParticle([LoggingKit()], storage=sys.argv[1], resolver=resolver)
        for number in range(5):
            client.log_event(str(number))
        os._exit(0)
    """
    run_python(code, str(tmp_path))
    kit = RecordingKit()
    with client_of(server, kit, tmp_path) as client:
        client.log_event("5")
        assert client.flush(0).kept == 6
        server.idsync.answering.set()
        identified(client)
    assert [event.name for (event,) in kit.of("log_event")] == ["0", "1", "2", "3", "4", "5"]
    again = RecordingKit()
    with client_of(server, again, tmp_path):
        pass
    assert again.names() == ["on_start"]


def test_processes_that_wait_do_not_overwrite_each_other(server: Sandbox, tmp_path: Path) -> None:
    """Two clients on one directory, both without a user: every call of both is made, once."""
    kits = RecordingKit(), RecordingKit()
    server.idsync.answering.clear()
    with client_of(server, kits[0], tmp_path) as first, client_of(server, kits[1], tmp_path) as second:
        for number in range(5):
            first.log_event(f"first {number}")
            second.log_event(f"second {number}")
        server.idsync.answering.set()
        identified(first)
        identified(second)
    names = [event.name for kit in kits for (event,) in kit.of("log_event")]
    assert sorted(names) == sorted(f"{who} {number}" for who in ("first", "second") for number in range(5))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_asks_for_itself(server: Sandbox, tmp_path: Path) -> None:
    """A child forked while the answer is awaited asks again, and its calls are made once it knows."""
    kit = RecordingKit()
    server.idsync.answering.clear()
    with client_of(server, kit, tmp_path) as client:
        client.log_event("parent")
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                client.log_event("child")
                wait_until(lambda: len(kit.of("log_event")) >= 1, timeout=10)
                status = 0
            finally:
                os._exit(status)
        wait_until(lambda: len(server.idsync.requests) == 2)
        server.idsync.answering.set()
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        identified(client)


def test_the_room_is_bounded(server: Sandbox) -> None:
    """Calls beyond the bound are lost and reported; those before it arrive."""
    kit = RecordingKit()
    problems: list[Problem] = []
    server.idsync.answering.clear()
    with client_of(server, kit, on_error=problems.append) as client:
        for number in range(MOST_CALLS + 5):
            client.log_event(str(number))
        server.idsync.answering.set()
        identified(client)
    assert len(kit.of("log_event")) == MOST_CALLS
    assert [problem.code for problem in problems] == ["waiting_full"] * 5


def test_opted_out_calls_do_not_wait(server: Sandbox) -> None:
    """Opting out while calls wait: events are refused, those that wait as well; wrong calls raise as ever."""
    kit = RecordingKit({"id": 28, "as": {"honorOptOut": "False"}})
    server.idsync.answering.clear()
    with client_of(server, kit) as client:
        client.log_event("before")
        client.set_opt_out(True)
        client.log_event("refused")
        with pytest.raises(InvalidArgumentError):
            client.log_event("")
        client.increment_user_attribute("n")
        server.idsync.answering.set()
        identified(client)
        client.set_opt_out(False)
        client.log_event("after")
    assert [event.name for (event,) in kit.of("log_event")] == ["after"]
    assert len(kit.of("on_user_attribute_incremented")) == 1


@pytest.mark.parametrize("note", ["x", {"call": "no_such_call", "arguments": []}, {"call": "log_event"}, {"call": 5}])
def test_a_note_that_does_not_read_is_passed_over(server: Sandbox, tmp_path: Path, note: Any) -> None:
    """Damaged notes on disk harm no other call."""
    with client_of(server, RecordingKit(), tmp_path) as client:
        identified(client)
        assert client._state._room is not None
        client._state._room._values.update(
            {"call.000000000001": note, "call.000000000002": {"call": "set_tag", "arguments": ["t"]}}
        )
    kit = RecordingKit()
    with client_of(server, kit, tmp_path):
        pass
    assert kit.of("on_user_tag_set") == [("t",)]


# -- calls ----------------------------------------------------------------------------------------------------------


def test_the_user_stays_until_the_answer_comes(server: Sandbox) -> None:
    """A login in flight holds nothing up; the kits hear of it, then the request's callback, then listeners."""
    order: list[Any] = []

    class Kit(RecordingKit):
        def on_identity_completed(self, operation: IdentityOperation, *arguments: Any) -> None:
            order.append("kit")
            super().on_identity_completed(operation, *arguments)

    kit = Kit()
    with client_of(server, kit) as client:
        first = identified(client)
        order.clear()
        client.add_identity_listener(lambda result: order.append(("listener", result.operation)))
        results: list[IdentityResult] = []

        def succeeded(result: IdentityResult) -> None:
            order.append("request")
            results.append(result)

        server.idsync.answering.clear()
        start = time.monotonic()
        request = IdentityRequest(customer_id="ada", on_success=succeeded)
        assert client.login(request) is first
        client.log_event("meanwhile")
        assert time.monotonic() - start < 5
        assert client.current_user is first
        server.idsync.answering.set()
        wait_until(lambda: len(order) == 3)
        assert order == ["kit", "request", ("listener", "login")]
        (result,) = results
        assert (result.operation, result.previous_user) == ("login", first)
        assert result.user is client.current_user
        assert result.user.mpid != first.mpid
        assert result.user.is_logged_in
    assert [name for name in kit.names() if name != "on_start"] == [
        "on_identity_completed", "log_event", "on_identity_completed",
    ]  # fmt: skip
    assert server.idsync.requests[1].body["previous_mpid"] == str(first.mpid)
    assert server.idsync.requests[1].body["context"] == "context-1"


def test_calls_are_resolved_one_after_the_other(server: Sandbox) -> None:
    """Each is sent with the user that the one before it made; the last one stays current."""
    with client_of(server, RecordingKit()) as client:
        identified(client)
        server.idsync.answering.clear()
        for name in ("a", "b", "a", "c"):
            client.login(customer_id=name)
        server.idsync.answering.set()
        wait_until(lambda: len(server.idsync.requests) == 5 and not client._state.identification.pending)
        last = client.current_user
    assert last is not None
    sent = [request.body for request in server.idsync.requests if request.path == "/v1/login"]
    assert [content["known_identities"]["customerid"] for content in sent] == ["a", "b", "a", "c"]
    previous = [content["previous_mpid"] for content in sent]
    assert previous[1] == previous[3] != previous[2]


def test_a_later_start_asks_whether_the_user_is_still_the_same(server: Sandbox, tmp_path: Path) -> None:
    """The last user is current at once; mParticle is asked with that user's identities, and may name another."""
    with client_of(server, RecordingKit(), tmp_path) as client:
        identified(client)
        client.login(customer_id="ada")
        wait_until(lambda: client.current_user is not None and client.current_user.is_logged_in)
        first = identified(client)
    server.idsync.reset()
    server.idsync.add_user(7, customerid="ada")
    kit = RecordingKit()
    server.idsync.answering.clear()
    with client_of(server, kit, tmp_path) as client:
        assert client.current_user is not None
        assert client.current_user.mpid == first.mpid
        client.log_event("at once")
        server.idsync.answering.set()
        wait_until(lambda: client.current_user is not None and client.current_user.mpid == 7)
    assert kit.names() == ["on_start", "log_event", "on_identity_completed"]
    (request,) = server.idsync.requests
    assert (request.path, request.body["previous_mpid"]) == ("/v1/identify", str(first.mpid))
    assert request.body["known_identities"]["customerid"] == "ada"


def test_modify_sends_what_differs(server: Sandbox) -> None:
    """Only changed identities go; without any it succeeds at once; without a user it fails at once."""
    results: list[Any] = []
    with client_of(server, RecordingKit()) as client:
        user = identified(client)
        client.modify(IdentityRequest(email="e", other="o", on_success=results.append))
        wait_until(lambda: len(results) == 1)
        client.modify(IdentityRequest(email="e", on_success=results.append))
        assert len(results) == 2
        client.modify(IdentityRequest(email=None, other="new", on_success=results.append))
        wait_until(lambda: len(results) == 3)
        assert client.current_user is user
        assert {kind.value: value for kind, value in user.identities.items()} == {"other": "new"}
    modifies = [
        request.body["identity_changes"]
        for request in server.idsync.requests
        if request.path == f"/v1/{user.mpid}/modify"
    ]
    assert modifies[1] == [
        {"identity_type": "email", "old_value": "e", "new_value": None},
        {"identity_type": "other", "old_value": "o", "new_value": "new"},
    ]
    assert len(modifies) == 2
    failure = resolver_of(server).resolve("modify", {}, None)
    assert isinstance(failure, IdentityFailure)
    assert failure.code == -1


def test_answers_are_cached_as_long_as_mparticle_says(server: Sandbox) -> None:
    """The same login again asks nobody until its time is up; a logout or modify forgets all answers."""
    clock = ManualClock()
    server.idsync.max_age = 60
    resolver = resolver_of(server, clock=clock)
    with MParticle([RecordingKit()], storage=":memory:", resolver=resolver) as client:
        identified(client)

        def login() -> None:
            done = threading.Event()
            client.login(IdentityRequest(customer_id="grace", on_success=lambda _result: done.set()))
            assert done.wait(5)

        login()
        login()
        assert [request.path for request in server.idsync.requests] == ["/v1/identify", "/v1/login"]
        clock.advance(61)
        login()
        assert len(server.idsync.requests) == 3
        client.logout()
        login()
        assert len(server.idsync.requests) == 5
        assert b"grace" not in json.dumps(client._state.identification.resolver._values.items()).encode()  # type: ignore[attr-defined]  # the resolver is known here


@pytest.mark.parametrize(
    ("reply", "code", "reason"),
    [
        (
            Reply(400, body={"errors": [{"code": "LOOKUP_ERROR", "message": "ada@example.com"}]}),
            400,
            "HTTP 400 (LOOKUP_ERROR)",
        ),
        (Reply(400, body={"Errors": [{"ErrorCode": "X", "Message": "m"}]}), 400, "HTTP 400 (X)"),
        (Reply(401), 401, "HTTP 401"),
        (Reply(403, body={"ErrorCode": "NOT_PROVISIONED"}), 403, "HTTP 403 (NOT_PROVISIONED)"),
        (Reply(404), 404, "HTTP 404"),
        (Reply(302, headers={"Location": "http://127.0.0.1:9/"}), 302, "HTTP 302"),
        (Reply(200, body={"mpid": "zero"}), 200, "the answer names no MPID"),
        (Reply(200, body={"mpid": 0}), 200, "the answer names no MPID"),
    ],
)
def test_refusals_fail_the_call(server: Sandbox, reply: Reply, code: int, reason: str) -> None:
    """A refused call leaves the user, tells the callback, is reported without identities, and is not tried again."""
    problems: list[Problem] = []
    failures: list[IdentityFailure] = []
    with client_of(server, RecordingKit(), on_error=problems.append) as client:
        user = identified(client)
        server.idsync.respond_next(reply)
        client.login(IdentityRequest(email="ada@example.com", on_failure=failures.append))
        wait_until(lambda: len(failures) == 1)
        assert client.current_user is user
        assert len(server.idsync.requests) == 2
    assert failures == [IdentityFailure("login", code, reason)]
    assert [problem.code for problem in problems] == ["identity_failed"]
    assert "ada" not in problems[0].message


@pytest.mark.parametrize("reply", [Reply(429, headers={"Retry-After": "0"}), Reply(500), Reply(503), Reply(close=True)])
def test_passing_trouble_is_tried_again(server: Sandbox, reply: Reply) -> None:
    """Throttling, server errors and broken connections are waited out; it is said once."""
    problems: list[Problem] = []
    server.idsync.respond_next(*[reply] * 3)
    with client_of(server, RecordingKit(), on_error=problems.append) as client:
        client.log_event("waits")
        identified(client)
    assert len(server.idsync.requests) == 4
    assert [problem.code for problem in problems] == ["identity_delayed"]


def test_retry_after_is_obeyed(server: Sandbox) -> None:
    """The server's wait is kept to, and closing does not wait for it."""
    server.idsync.respond_next(Reply(429, headers={"Retry-After": "600"}))
    with client_of(server, RecordingKit()) as client:
        wait_until(lambda: len(server.idsync.requests) == 1)
        start = time.monotonic()
        client.close()
    assert time.monotonic() - start < 10
    assert len(server.idsync.requests) == 1


def test_closing_does_not_wait_for_an_answer(server: Sandbox) -> None:
    """A request in flight does not hold up the end; an answer that comes later changes nothing."""
    server.idsync.answering.clear()
    kit = RecordingKit()
    client = client_of(server, kit)
    wait_until(lambda: len(server.idsync.requests) == 1)
    start = time.monotonic()
    client.close()
    assert time.monotonic() - start < 10
    identification = client._state.identification
    server.idsync.answering.set()
    wait_until(lambda: not any(thread.name.startswith("mparticle_kit_braze") for thread in threading.enumerate()))
    assert kit.names() == ["on_start"]
    assert identification.pending


def test_callbacks_that_raise_harm_nobody(server: Sandbox) -> None:
    """The next callback is called, and the fault is reported."""
    problems: list[Problem] = []
    heard: list[IdentityResult] = []

    def raises(_result: Any) -> None:
        raise RuntimeError

    with client_of(server, RecordingKit(), on_error=problems.append) as client:
        identified(client)
        client.add_identity_listener(raises)
        client.add_identity_listener(heard.append)
        client.login(IdentityRequest(customer_id="a", on_success=raises))
        wait_until(lambda: len(heard) == 1)
        client.remove_identity_listener(raises)
        client.remove_identity_listener(raises)
        client.login(customer_id="b")
        wait_until(lambda: len(heard) == 2)
    assert [problem.code for problem in problems] == ["listener_failed"] * 2


# -- aliases --------------------------------------------------------------------------------------------------------


def test_aliases(server: Sandbox) -> None:
    """Users are aliased by object or MPID, with times; trouble is tried again."""
    with client_of(server, RecordingKit()) as client:
        first = identified(client)
        server.idsync.respond_next(Reply(503))
        assert client.alias_users(first, 77, start=time.time() - 60)
        assert client.alias_users(5, 6)
        wait_until(lambda: len(server.idsync.aliases) == 2)
    assert (server.idsync.aliases[0]["source_mpid"], server.idsync.aliases[0]["destination_mpid"]) == (first.mpid, 77)
    assert server.idsync.aliases[0]["end_unixtime_ms"] - server.idsync.aliases[0]["start_unixtime_ms"] == pytest.approx(
        60_000, abs=500
    )


@pytest.mark.parametrize(
    ("source", "destination", "times"),
    [(1, 1, {}), (0, 1, {}), (1, None, {}), (1, True, {}), (1, 2, {"start": 5, "end": 4}), (1, 2, {"start": 5})],
)
def test_wrong_aliases_raise(source: Any, destination: Any, times: dict[str, float]) -> None:
    """Equal or missing users, and times in the wrong order or too long ago, are wrong calls."""
    with MParticle([RecordingKit()], storage=":memory:") as client, pytest.raises(InvalidArgumentError):
        client.alias_users(source, destination, **times)


def test_a_local_alias_leads_identities_to_the_other_user() -> None:
    """Without a server the source's identities become the destination's."""
    with MParticle([RecordingKit()], storage=":memory:") as client:
        old = client.login(customer_id="old")
        new = client.login(customer_id="new")
        assert old is not None
        assert new is not None
        assert client.alias_users(old, new)
        again = client.login(customer_id="old")
        assert again is not None
        assert again.mpid == new.mpid


# -- the seam and its parts -----------------------------------------------------------------------------------------


def test_any_resolver_may_answer_later() -> None:
    """A resolver of one's own may return a pending answer and complete it on any thread, once."""

    class Later:
        def __init__(self) -> None:
            self.pending: list[PendingResolution] = []

        def resolve(self, *_arguments: Any) -> PendingResolution:
            self.pending.append(PendingResolution())
            return self.pending[-1]

    resolver, kit = Later(), RecordingKit()
    with MParticle([kit], storage=":memory:", resolver=resolver) as client:
        client.log_event("A")
        thread = threading.Thread(target=lambda: resolver.pending[0].complete(Resolution(7, is_logged_in=False)))
        thread.start()
        thread.join()
        resolver.pending[0].complete(Resolution(8, is_logged_in=True))
        assert client.current_user is not None
        assert client.current_user.mpid == 7
        client.login(customer_id="c")
        resolver.pending[1].complete(None)
        assert client.current_user.mpid == 7
    assert kit.names() == ["on_start", "on_identity_completed", "log_event"]


FIELDS = st.sampled_from(["mpid", "errors", "context", "is_logged_in", "ErrorCode"])
CONTENTS: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers() | st.text() | st.floats(),
    lambda inner: st.dictionaries(FIELDS, inner) | st.lists(inner),
)


@given(
    st.sampled_from(["identify", "login", "logout", "modify", None]),
    st.integers(0, 599),
    st.binary(max_size=40) | CONTENTS.map(lambda value: json.dumps(value).encode()),
    st.dictionaries(st.sampled_from(["retry-after", "x-mp-max-age"]), st.text(max_size=8)),
)
def test_no_answer_breaks_the_reader(operation: Any, status: int, body: bytes, headers: dict[str, str]) -> None:
    """Whatever comes back is read as resolved, failed or to be tried again."""
    answer = read_answer(operation, Response(status, headers, body), 0.0)
    if answer.meaning is Meaning.RESOLVED:
        assert 200 <= status < 300
        assert operation in (None, "modify") or answer.mpid
    assert answer.max_age >= 0


@pytest.mark.parametrize(
    ("value", "mpid"),
    [
        ("5", 5),
        (str(2**64 - 1), -1),
        ("-5", -5),
        ("0", None),
        (None, None),
        (True, None),
        ("x", None),
        (str(2**64), None),
    ],
)
def test_mpids(value: Any, mpid: int | None) -> None:
    """MPIDs are texts; unsigned ones are folded to signed; 0 is nobody."""
    assert read_mpid(value) == mpid


@pytest.mark.parametrize(
    "settings",
    [{"key": ""}, {"key": 5}, {"key": "k\n"}, {"secret": ""}, {"endpoint": "http://example.com"}, {"endpoint": 5}],
)
def test_wrong_settings_are_refused(settings: dict[str, Any]) -> None:
    """A key must fit into a header, an endpoint be https."""
    with pytest.raises(ConfigurationError):
        IDSyncResolver(**{"key": "k", **settings})


def test_pods() -> None:
    """With direct routing the key's pod is asked, us1 without one."""
    assert IDSyncResolver("k")._base == "https://identity.mparticle.com"
    assert IDSyncResolver("eu1-k", direct_routing=True)._base == "https://identity.eu1.mparticle.com"
    assert IDSyncResolver("k", direct_routing=True)._alias_base == "https://nativesdks.us1.mparticle.com"


def test_a_proxys_prefix_is_not_signed() -> None:
    """The signed path is that of mParticle's own host, which checks it behind the proxy."""
    signatures = {
        signed_headers(f"{host}/v1/identify", b"{}", key=KEY, secret=SECRET, now=0)["x-mp-signature"]
        for host in ("https://identity.mparticle.com", "https://proxy.example/mp", "https://proxy.example/v1/mp")
    }
    assert len(signatures) == 1
