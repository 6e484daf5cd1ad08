"""The adapter on real delivery, real files and a real HTTP server."""

from __future__ import annotations

import gc
import os
import signal
import weakref
from pathlib import Path

from mparticle_kit_braze.braze import AuthenticationFailure, Braze
from mparticle_kit_braze.diagnostics import Problem
from mparticle_kit_braze.sandbox import Reply, Sandbox, SandboxRequest
from tests.support import python_process, wait_until


def test_everything_arrives(sandbox: Sandbox, tmp_path: Path) -> None:
    """One of each call: the sandbox refuses nothing and shows the profile."""
    with Braze("key-1", sandbox.url, storage=tmp_path, sdk_metadata=["mp"], app_version="1.0.0.0") as braze:
        user = braze.current_user
        assert user.add_alias("visitor", "cookie")
        braze.change_user("u1")
        assert user.set_first_name("Ada")
        assert user.set_email("ada@example.com")
        assert user.set_date_of_birth(1815, 12, 10)
        assert user.set_custom_attribute("k", {"a": [1, None]})
        assert user.set_custom_attribute("k", {"b": 2}, merge=True)
        assert user.set_custom_attribute("list", ["a"])
        assert user.add_to_custom_attribute_array("list", "b")
        assert user.remove_from_custom_attribute_array("list", "a")
        assert user.increment_custom_attribute("n", 3)
        assert user.set_custom_location_attribute("home", 1, 2.5)
        assert user.set_custom_location_attribute("home", None, None)
        assert user.set_last_known_location(1, 2, 3, 4, 5)
        assert user.add_to_subscription_group("g")
        assert user.set_push_token("token")
        assert braze.log_custom_event("Played Song", {"genre": "Jazz", "plays": 3})
        assert braze.log_purchase("sku", 4.5, "eur", 2, {"size": "L"})
        products = [{"product_id": "p", "product_name": "n", "variant_id": "v", "quantity": 1, "price": 2}]
        sale = {"order_id": "o", "currency": "USD", "source": "app", "total_value": 2, "products": products}
        assert braze.log_ecommerce_event({"name": "ecommerce.order_placed", "properties": sale})
        assert braze.flush(10).complete
    assert sandbox.problems == []
    profile = sandbox.profile("u1")
    assert profile.custom_events["Played Song"] == 1
    assert profile.attributes["first_name"] == "Ada"
    assert braze.data_points().since_start["purchases"] == 1


def test_nothing_is_lost_when_the_process_is_killed(sandbox: Sandbox, tmp_path: Path) -> None:
    """What was accepted before a SIGKILL is delivered by the next start, in the same session."""
    program = """
        import sys
        from mparticle_kit_braze.braze import Braze
        braze = Braze("key-1", sys.argv[1], storage=sys.argv[2])
        braze.delivery.pause()
        braze.change_user("u1")
        for number in range(100):
            braze.log_custom_event("e", {"number": number})
        print("ready", flush=True)
        sys.stdin.read()
    """
    with python_process(program, sandbox.url, str(tmp_path)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.kill(process.pid, signal.SIGKILL)
    with Braze("key-1", sandbox.url, storage=tmp_path) as braze:
        assert braze.user_id == "u1"
        assert braze.log_custom_event("after")
        assert braze.flush(10).complete
    events = [event for event in sandbox.events if event["name"] == "ce"]
    assert [event["data"]["p"].get("number") for event in events] == [*range(100), None]
    assert len({event["session_id"] for event in events}) == 1


def test_authentication_failures_hold_and_a_new_signature_releases(sandbox: Sandbox, tmp_path: Path) -> None:
    """Nothing is lost meanwhile."""
    heard: list[AuthenticationFailure] = []
    sandbox.respond_next(Reply(body={"auth_error": {"error_code": 22, "reason": "EXPIRED"}}))
    with Braze(
        "key-1", sandbox.url, storage=tmp_path, sdk_authentication=True, on_error=lambda _problem: None
    ) as braze:
        braze.subscribe_to_sdk_authentication_failures(heard.append)
        braze.change_user("u1", "old")
        wait_until(lambda: heard, what="the failure")
        assert (heard[0].reason, heard[0].signature) == ("EXPIRED", "old")
        braze.log_custom_event("e")
        braze.set_sdk_authentication_signature("new")
        wait_until(lambda: len(sandbox.events) == 2, what="delivery")
    signatures = [request.headers.get("X-Braze-Auth-Signature") for request in sandbox.requests]
    assert (signatures[0], set(signatures[1:])) == ("old", {"new"})


def test_a_signature_set_by_the_failure_callback_is_used_at_once(sandbox: Sandbox, tmp_path: Path) -> None:
    """The request that is being judged does not hold up what the callback has just released, data and syncs alike."""
    refused = {"auth_error": {"error_code": 22, "reason": "EXPIRED"}}
    sandbox.add_feature_flag("f")
    sandbox.fault = lambda request: None if request.headers["X-Braze-Auth-Signature"] == "new" else Reply(body=refused)
    with Braze("key-1", sandbox.url, storage=tmp_path, sdk_authentication=True, on_error=lambda _: None) as braze:
        end = braze.subscribe_to_sdk_authentication_failures(
            lambda _failure: braze.set_sdk_authentication_signature("new")
        )
        braze.change_user("u1", "old")
        wait_until(lambda: [event["name"] for event in sandbox.events] == ["ss"], what="delivery")
        wait_until(lambda: braze.feature_flags.all, what="the flags")
        end()
        braze.set_sdk_authentication_signature("old")
        braze.subscribe_to_sdk_authentication_failures(lambda _failure: braze.set_sdk_authentication_signature("new"))
        done: list[bool] = []
        assert braze.feature_flags.refresh(done.append)
        wait_until(lambda: len([one for one in sandbox.requests if "flags" in one.path]) == 3, what="flags again")
    assert done == [False]


def test_an_earlier_users_bad_signature_does_not_hold_up_others(sandbox: Sandbox, tmp_path: Path) -> None:
    """Their records are set aside, and go, in order, when that user is back with a new signature."""

    def refuse(request: SandboxRequest) -> Reply | None:
        if request.headers.get("X-Braze-Auth-Signature") == "bad":
            return Reply(status=401, body={"error_code": 22, "reason": "EXPIRED"})
        return None

    def names(user_id: str) -> list[str]:
        return [event["data"].get("n", event["name"]) for event in sandbox.events if event.get("user_id") == user_id]

    sandbox.fault = refuse
    problems: list[Problem] = []
    with Braze("key-1", sandbox.url, storage=tmp_path, sdk_authentication=True, on_error=problems.append) as braze:
        braze.change_user("ada", "bad")
        braze.log_custom_event("a1")
        braze.current_user.set_first_name("Ada")
        wait_until(lambda: braze.stats().last_error, what="the failure")
        braze.change_user("bob", "good")
        braze.log_custom_event("b1")
        assert braze.flush(10).complete
        assert names("bob") == ["ss", "b1"]
        assert names("ada") == []
        aside = braze.delivery.dead_letters()
        assert len(aside) == 4
        assert not any("ada" in letter.reason for letter in aside)
        assert {problem.code for problem in problems} == {"delivery_unauthorized", "record_refused"}
        braze.change_user("ada", "new")
        braze.log_custom_event("a2")
        assert braze.flush(10).complete
        assert braze.delivery.dead_letters() == []
    assert names("ada") == ["ss", "a1", "se", "ss", "a2"]
    assert names("bob") == ["ss", "b1", "se"]
    assert sandbox.profile("ada").attributes["first_name"] == "Ada"


def test_disabling_sends_what_is_queued_and_then_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    """The call does not wait; when the request fails there is no other, and everything is there when enabled again."""
    with Braze("key-1", sandbox.url, storage=tmp_path) as braze:
        braze.open_session()
        assert braze.flush(10).complete
        assert braze.log_custom_event("last words")
        braze.disable()
        assert not braze.log_custom_event("too late")
        wait_until(lambda: len(sandbox.events) == 2, what="delivery")
        braze.enable()
        sandbox.fault = lambda _request: Reply(status=503)
        assert braze.log_custom_event("kept")
        braze.disable()
        wait_until(lambda: braze.stats().last_error and braze.stats().next_attempt is None, what="silence")
        sandbox.fault = None
        requests = len(sandbox.requests)
        assert braze.flush(0.05).kept == 1
        assert len(sandbox.requests) == requests
    with Braze("key-1", sandbox.url, storage=tmp_path) as braze:
        assert not braze.log_custom_event("still disabled")
        assert braze.flush(0.05).kept == 1
        braze.enable()
        assert braze.flush(10).complete
    assert [event["data"].get("n") for event in sandbox.events] == [None, "last words", "kept"]


def test_an_error_in_a_2xx_answer_loses_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    """It is a refusal: the records are sent again, not dropped."""
    sandbox.respond_next(Reply(body={"error": "no_device_identifier"}))
    with Braze("key-1", sandbox.url, storage=tmp_path, on_error=lambda _problem: None) as braze:
        for number in range(5):
            braze.log_custom_event("e", {"number": number})
        wait_until(lambda: braze.flush(5).complete, what="delivery")
        assert braze.delivery.dead_letters() == []
    assert sorted(event["data"]["p"]["number"] for event in sandbox.events if event["name"] == "ce") == list(range(5))


def test_the_configuration_blocks_and_is_remembered(sandbox: Sandbox, tmp_path: Path) -> None:
    """From the first answer on, and in the next process."""
    sandbox.config = {**sandbox.config, "events_blacklist": ["blocked"]}
    with Braze("key-1", sandbox.url, storage=tmp_path) as braze:
        assert braze.log_custom_event("blocked")
        assert braze.flush(10).complete
        assert not braze.log_custom_event("blocked")
    with Braze("key-1", sandbox.url, storage=tmp_path) as braze:
        assert not braze.log_custom_event("blocked")


def test_a_forgotten_client_is_freed(sandbox: Sandbox) -> None:
    """Neither its thread nor its fork hook keeps it alive."""
    braze = Braze("key-1", sandbox.url, storage=":memory:")
    braze.log_custom_event("e")
    assert braze.flush(10).complete
    reference = weakref.ref(braze)
    del braze
    # Not one collection: it does nothing while another thread is at it.
    wait_until(lambda: gc.collect() is not None and reference() is None, what="the end of the client")
