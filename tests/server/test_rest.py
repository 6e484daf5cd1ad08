"""The REST client against the sandbox."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from mparticle_kit_braze.delivery import DeliveryOptions
from mparticle_kit_braze.diagnostics import Problem
from mparticle_kit_braze.errors import ClosedError, ConfigurationError, InvalidArgumentError
from mparticle_kit_braze.sandbox import Reply, Sandbox
from mparticle_kit_braze.server import Audience, AudienceUpdate, BrazeRest

from .support import event, purchase, rest_client


def test_objects_arrive_with_key_and_type() -> None:
    """A call's objects go out in one request with the key as bearer, and make a user."""
    with Sandbox() as sandbox, rest_client(sandbox) as rest:
        sandbox.rest.keys = {"rest-key-1": frozenset({"users.track"})}
        result = rest.track(
            attributes=[{"external_id": "c1", "color": "red", "visits": {"inc": 2}}],
            events=[event("Played Song")],
            purchases=[purchase(quantity=2)],
        )
        assert (result.queued, result.held_back) == (3, ())
        assert rest.flush(5).complete
        (request,) = sandbox.rest.requests
        assert request.headers["Authorization"] == "Bearer rest-key-1"
        assert request.headers["Content-Type"] == "application/json"
        user = sandbox.rest.user("c1")
        assert user.attributes == {"color": "red", "visits": 2}
        assert user.events == {"Played Song": 1}
        assert user.revenue == {"USD": 3.0}


def test_refused_objects_are_matched_back() -> None:
    """What Braze refuses object by object becomes a dead letter with its reason; the rest counts as sent."""
    with Sandbox() as sandbox, rest_client(sandbox) as rest:
        errors = [
            {"type": "EMAIL_BAD_FORMAT", "input_array": "attributes", "index": 0},
            {"type": "odd", "input_array": "events", "index": 1},
        ]
        sandbox.respond_next(Reply(status=201, body={"message": "success", "errors": errors}))
        rest.track(attributes=[{"external_id": "c1", "email": "x"}], events=[event("E0"), event("E1"), event("E2")])
        result = rest.flush(5)
        assert (result.sent, result.dead, result.kept) == (2, 2, 0)
        letters = {letter.reason: json.loads(letter.payload) for letter in rest.dead_letters()}
        assert letters["EMAIL_BAD_FORMAT"]["email"] == "x"
        assert letters["odd"]["name"] == "E1"
        assert sandbox.rest.user("c1").events == {"E0": 1, "E2": 1}


def test_a_refused_request_is_not_repeated_and_not_lost() -> None:
    """A 400 is sent once; its objects can be retried by hand later."""
    with Sandbox() as sandbox, rest_client(sandbox) as rest:
        sandbox.respond_next(Reply(status=400, body={"message": "no"}))
        rest.track(events=[event("E0"), event("E1")])
        assert rest.flush(5).dead == 2
        assert len(sandbox.rest.requests) == 1
        assert rest.retry_dead_letters() == 2
        assert rest.flush(5).complete
        assert sandbox.rest.user("c1").events == {"E0": 1, "E1": 1}


def test_too_large_is_halved_until_it_fits() -> None:
    """After a 413 the halves go in order, and nothing is lost."""
    with Sandbox() as sandbox, rest_client(sandbox) as rest:
        sandbox.respond_next(Reply(status=413), Reply(status=413))
        rest.track(events=[event(f"E{number}") for number in range(8)])
        assert rest.flush(5).sent == 8
        taken = [
            item["name"] for request in sandbox.rest.requests if request.recorded for item in request.body["events"]
        ]
        assert taken == [f"E{number}" for number in range(8)]


def test_one_object_too_large_for_anything() -> None:
    """An object that is refused as too large alone is set aside, and the next goes."""
    with Sandbox() as sandbox, rest_client(sandbox) as rest:
        sandbox.fault = lambda request: Reply(status=413) if b'"Big"' in request.raw else None
        rest.track(events=[event("Big"), event("Small")])
        result = rest.flush(5)
        assert (result.sent, result.dead) == (1, 1)


def test_a_wrong_key_stops_until_resume() -> None:
    """401 keeps everything and asks no more, until the key was put right."""
    with Sandbox() as sandbox, rest_client(sandbox) as rest:
        sandbox.rest.keys = {"another": frozenset()}
        rest.track(events=[event()])
        assert rest.flush(2).kept == 1
        assert rest.flush(2).kept == 1
        assert len(sandbox.rest.requests) == 1
        sandbox.rest.keys = {"rest-key-1": frozenset()}
        rest.resume()
        assert rest.flush(5).complete
        assert sandbox.rest.user("c1").events == {"E": 1}


def test_the_rate_limit_is_kept_by_the_headers() -> None:
    """With two requests a window, no request is refused for the rate."""
    with Sandbox() as sandbox, rest_client(sandbox) as rest:
        sandbox.rest.rate_limit = (2, 0.2)
        rest.track(events=[event(f"E{number}") for number in range(75 * 5)])
        assert rest.flush(10).complete
        assert [request.status for request in sandbox.rest.requests] == [201] * 5


def test_a_missing_permission_stops_only_its_own_endpoint() -> None:
    """A key without users.delete still tracks."""
    with Sandbox() as sandbox, rest_client(sandbox) as rest:
        sandbox.rest.keys = {"rest-key-1": frozenset({"users.track"})}
        rest.delete(["c9"])
        rest.track(events=[event()])
        rest.flush(5)
        assert sandbox.rest.user("c1").events == {"E": 1}
        assert rest.user_call_stats().queued == 1


def test_user_calls() -> None:
    """Each call reaches its endpoint, in order, up to 50 objects of one sort together."""
    with Sandbox() as sandbox, rest_client(sandbox) as rest:
        rest.identify("c1", alias_name="n", alias_label="l")
        rest.identify_email("c2", "a@b.c")
        rest.identify_phone("c2", "+441632960000")
        rest.add_alias("n2", "l", external_id="c1")
        rest.update_alias("l", "n2", "n3")
        rest.merge({"external_id": "old"}, {"external_id": "new"})
        assert rest.delete(f"d{number}" for number in range(60)) == 60
        rest.set_subscription("g1", "subscribed", external_ids=[f"s{number}" for number in range(70)])
        assert rest.flush(5).complete
        sent = [(request.path, sorted(request.body)) for request in sandbox.rest.requests]
        assert sent == [
            ("/users/identify", ["aliases_to_identify"]),
            ("/users/identify", ["emails_to_identify"]),
            ("/users/identify", ["phone_numbers_to_identify"]),
            ("/users/alias/new", ["user_aliases"]),
            ("/users/alias/update", ["alias_updates"]),
            ("/users/merge", ["merge_updates"]),
            ("/users/delete", ["external_ids"]),
            ("/users/delete", ["external_ids"]),
            ("/v2/subscription/status/set", ["subscription_groups"]),
            ("/v2/subscription/status/set", ["subscription_groups"]),
        ]
        assert sandbox.rest.deleted == [f"d{number}" for number in range(60)]
        assert sandbox.rest.user("s69").subscription_groups == {"g1": "subscribed"}


def test_an_external_id_that_is_too_long_costs_no_other() -> None:
    """Braze would refuse the whole request for it: it is not queued, and said."""
    problems: list[Problem] = []
    long = "é" * 494
    with BrazeRest("rest-key-1", "http://127.0.0.1:9", storage=":memory:", on_error=problems.append) as rest:
        assert rest.delete(["c1", long]) == 1
        assert not rest.identify(long, alias_name="n", alias_label="l")
        assert not rest.merge({"external_id": "c1"}, {"external_id": long})
        assert not rest.set_subscription("g", "subscribed", external_ids=["c1", long])
        assert rest.set_subscription("g", "subscribed", external_ids=["x" * 987])
        assert rest.user_call_stats().queued == 2
        assert {problem.code for problem in problems} == {"value_refused"}
        rest.clear()


def test_wrong_calls_raise() -> None:
    """Arguments that can never be right are refused at once."""
    with Sandbox() as sandbox, rest_client(sandbox) as rest:
        with pytest.raises(InvalidArgumentError):
            rest.merge({"external_id": "a", "email": "b"}, {"external_id": "c"})
        with pytest.raises(InvalidArgumentError, match="alias_label"):
            rest.merge({"user_alias": {"alias_name": "a"}}, {"external_id": "c"})
        with pytest.raises(InvalidArgumentError, match="prioritization"):
            rest.merge({"email": "a@b.c", "prioritization": ["newest"]}, {"external_id": "c"})
        with pytest.raises(InvalidArgumentError, match="prioritization"):
            rest.identify_email("c", "a@b.c", ["newest"])  # type: ignore[list-item]  # wrong on purpose
        with pytest.raises(InvalidArgumentError, match="not both"):
            rest.identify_phone("c", "+1", ["identified", "unidentified"])
        with pytest.raises(InvalidArgumentError):
            rest.delete(["c1", ""])
        assert rest.user_call_stats().queued == 0
        with pytest.raises(InvalidArgumentError):
            rest.set_subscription("g", "maybe", external_ids=["c"])  # type: ignore[arg-type]  # wrong on purpose
        with pytest.raises(InvalidArgumentError):
            rest.set_subscription("g", "subscribed", emails=["a"], phones=["b"])
        with pytest.raises(InvalidArgumentError, match="external_ids"):
            rest.set_subscription("g", "subscribed", external_ids=["c", ""])
        with pytest.raises(InvalidArgumentError):
            rest.identify("", alias_name="n", alias_label="l")
    with pytest.raises(ClosedError):
        rest.track(events=[event()])
    with pytest.raises(ConfigurationError):
        BrazeRest("", "US-03", storage=":memory:")


def test_what_is_held_back_is_said() -> None:
    """Objects Braze would refuse are in the result and reported once a rule, without their values."""
    problems: list[Problem] = []
    with Sandbox() as sandbox:
        rest = BrazeRest("k", sandbox.url, storage=":memory:", on_error=problems.append)
        result = rest.track(events=[event(), event(name=""), event(name=""), event(properties={"a": float("nan")})])
        rest.close()
    assert [(held.index, held.rule) for held in result.held_back] == [
        (1, "missing_field"),
        (2, "missing_field"),
        (3, "not_json"),
    ]
    assert [(problem.code, problem.count) for problem in problems] == [("value_refused", 2), ("value_refused", 1)]


def test_unsent_objects_survive_the_client(tmp_path: Path) -> None:
    """What could not be sent goes at the next start, in order."""
    with Sandbox() as sandbox:
        sandbox.fault = lambda _request: Reply(status=503)
        rest = rest_client(sandbox, storage=tmp_path)
        rest.track(events=[event(f"E{number}") for number in range(100)])
        rest.close(0.2)
        sandbox.fault = None
        with rest_client(sandbox, storage=tmp_path) as again:
            again.track(events=[event("Last")])
            assert again.flush(5).complete
        taken = [
            item["name"] for request in sandbox.rest.requests if request.recorded for item in request.body["events"]
        ]
        assert taken == [*(f"E{number}" for number in range(100)), "Last"]


def test_stream_forwarding_sends_at_once() -> None:
    """With event stream forwarding nobody has to flush, whatever the interval."""
    with Sandbox() as sandbox, rest_client(sandbox, event_stream_forwarding=True) as rest:
        rest.track(events=[event()])
        assert sandbox.wait_for(lambda: sandbox.rest.counts["events"] == 1)


def test_many_threads_lose_nothing() -> None:
    """Calls from several threads all arrive, once."""
    with Sandbox() as sandbox:
        options = DeliveryOptions(flush_interval=0.01)
        rest = BrazeRest("k", sandbox.url, storage=":memory:", delivery_options=options)

        def work(worker: int) -> None:
            for number in range(100):
                rest.track(events=[event(f"E{number}", user=f"u{worker}")])

        threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert rest.flush(10).complete
        rest.close()
        assert all(sandbox.rest.user(f"u{worker}").events.total() == 100 for worker in range(4))


def test_audience_updates() -> None:
    """Memberships go as attributes; users without an external id are reported, not sent."""
    problems: list[Problem] = []
    audience = Audience("13053", name="Possible Parisians", variant="B")
    with Sandbox() as sandbox:
        rest = BrazeRest("k", sandbox.url, storage=":memory:", on_error=problems.append)
        assert rest.update_audiences(None, AudienceUpdate([audience], ["13053"])).queued == 0
        assert rest.update_audiences("c1", AudienceUpdate([audience], [])).queued == 0
        assert rest.update_audiences("c1", AudienceUpdate([audience], ["13053"])).queued == 1
        rest.flush(5)
        assert sandbox.rest.user("c1").attributes == {"SegmentMembership": "13053"}
        rest.close()
    assert [problem.code for problem in problems] == ["anonymous_not_sent"]
    assert audience.attribute == "In Possible Parisians - B"
    with pytest.raises(InvalidArgumentError):
        Audience("1", external_name="x" * 101)
