"""Messaging is loaded when it is needed, and knows then what happened before."""

from __future__ import annotations

from pathlib import Path

import pytest

from mparticle_kit_braze.sandbox import Sandbox
from tests.support import run_python

from .conftest import KEY, Lab


def test_a_client_that_only_logs_does_not_load_it(lab: Lab, tmp_path: Path) -> None:
    """Sessions, users, events and the triggers that come for them leave messaging out of memory."""
    lab.sandbox.add_in_app_message({"message": "hi"}, event="show", id="t1")
    code = """
        import sys
        from mparticle_kit_braze.braze import Braze
        with Braze(sys.argv[1], sys.argv[2], storage=sys.argv[3]) as braze:
            for user in ("ada", "bob"):
                braze.change_user(user)
                braze.log_custom_event("show")
                assert braze.flush(10).complete
        print([name for name in sys.modules if ".messaging" in name])
    """
    result = run_python(code, KEY, lab.sandbox.url, str(tmp_path / "alone"))
    assert (result.returncode, result.stdout.strip()) == (0, "[]"), result.stderr
    assert lab.sandbox.profile("bob").custom_events == {"show": 1}


@pytest.mark.parametrize("restart", [False, True])
def test_triggers_that_came_before_are_held(lab: Lab, restart: bool) -> None:
    """Who begins to listen later, or after a restart, gets messages without another request for them."""
    lab.sandbox.add_in_app_message({"message": "hi"}, event="show", id="t1")
    braze = lab.client()
    braze.log_custom_event("begin")
    assert braze.flush(5).complete
    if restart:
        braze.close()
        braze = lab.client()
    before = len(lab.sandbox.requests)
    with braze.in_app_messages.stream() as stream:
        braze.log_custom_event("show")
        message = stream.take(5)
    assert message is not None
    assert message.trigger_id == "t1"
    assert len(lab.sandbox.requests) == before
    assert braze._state.values.get("unread_triggers") is None


def test_a_message_for_the_session_comes_up_for_who_listens_later(lab: Lab) -> None:
    """A session that began before anybody listened still brings up its message."""
    lab.sandbox.add_in_app_message({"message": "welcome"}, conditions=[{"type": "open"}], id="t1")
    braze = lab.client()
    braze.open_session()
    braze.log_custom_event("begin")
    assert braze.flush(5).complete
    with braze.in_app_messages.stream() as stream:
        message = stream.take(5)
    assert message is not None
    assert message.trigger_id == "t1"


def test_listening_while_triggers_are_on_their_way(lab: Lab) -> None:
    """A session that was not answered yet when messaging is loaded: its events wait for the answer."""
    lab.sandbox.add_in_app_message({"message": "hi"}, event="show", id="t1")
    braze = lab.client()
    braze.log_custom_event("begin")
    with braze.in_app_messages.stream() as stream:
        braze.log_custom_event("show")
        assert braze.flush(5).complete
        message = stream.take(5)
    assert message is not None


def test_triggers_of_another_user_are_dropped(lab: Lab) -> None:
    """What came for one user brings up nothing for the next, and is gone from the storage."""
    lab.sandbox.add_in_app_message({"message": "hi"}, event="show", id="t1")
    braze = lab.client()
    braze.change_user("ada")
    assert braze.flush(5).complete
    assert braze._state.values.get("unread_triggers") is not None
    braze.change_user("bob")
    assert braze._state.values.get("unread_triggers") is None


def test_flags_are_asked_for_unasked(sandbox: Sandbox, lab: Lab) -> None:
    """A configuration that switches feature flags on has them fetched for the session that began before."""
    sandbox.add_feature_flag("f", enabled=True)
    sandbox.config["feature_flags"] = {"enabled": True, "refresh_rate_limit": 0}
    braze = lab.client()
    braze.log_custom_event("begin")
    assert braze.flush(5).complete
    lab.wait_for("feature_flags/sync")
    lab.until(lambda: braze.feature_flags.get("f"))


def test_a_feature_first_used_after_close(lab: Lab) -> None:
    """It is there, and begins nothing."""
    braze = lab.client()
    braze.close()
    assert braze.content_cards.cards == ()
    assert braze.feature_flags.all == ()
