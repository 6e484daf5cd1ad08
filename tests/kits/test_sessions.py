"""Sessions of the client: what begins, keeps and ends them, over restarts, crashes, forks and opt-outs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mparticle_kit_braze.client import MParticle
from mparticle_kit_braze.commerce import CommerceEvent, ProductAction
from mparticle_kit_braze.identity import User
from mparticle_kit_braze.kits.kit import KitContext
from mparticle_kit_braze.kits.sessions import Session
from tests.kits.recording import RecordingKit
from tests.support import ManualClock, run_python

TIMEOUT = 60.0


class SessionKit(RecordingKit):
    """Notes the sessions it hears of beside the other calls."""

    def on_start(self, context: KitContext, user: User | None) -> None:
        """Keep where sessions are looked up."""
        self.sessions = context.sessions
        super().on_start(context, user)

    def on_session_start(self) -> None:
        """Note the session."""
        self.calls.append(("on_session_start", self.sessions.current))

    def on_session_end(self) -> None:
        """Note the session."""
        self.calls.append(("on_session_end", self.sessions.ended))

    def on_application_background(self) -> None:
        """Note it."""
        self.calls.append(("on_application_background",))

    def on_application_foreground(self) -> None:
        """Note it."""
        self.calls.append(("on_application_foreground",))

    def started(self) -> list[Session]:
        """The sessions that began."""
        return [call[0] for call in self.of("on_session_start")]

    def ended(self) -> list[Session]:
        """The sessions that ended."""
        return [call[0] for call in self.of("on_session_end")]


def client_of(kit: SessionKit, clock: ManualClock, storage: Any = ":memory:", **settings: Any) -> MParticle:
    return MParticle([kit], storage=storage, session_timeout=TIMEOUT, clock=clock, **settings)


STARTING: dict[str, Callable[[MParticle], object]] = {
    "event": lambda client: client.log_event("A"),
    "screen": lambda client: client.log_screen("A"),
    "commerce": lambda client: client.log_commerce_event(CommerceEvent(ProductAction.CLICK)),
    "attribute": lambda client: client.set_user_attribute("a", 1),
    "none": lambda client: client.set_user_attribute("a", None),
    "list": lambda client: client.set_user_attribute("a", [1]),
    "tag": lambda client: client.set_user_tag("a"),
    "push token": lambda client: client.set_push_token("t"),
    "foreground": lambda client: client.enter_foreground(),
}
NOT_STARTING: dict[str, Callable[[MParticle], object]] = {
    "removal": lambda client: client.remove_user_attribute("a"),
    "increment": lambda client: client.increment_user_attribute("a"),
    "login": lambda client: client.login(customer_id="c"),
    "background": lambda client: client.enter_background(),
    "consent": lambda client: client.set_consent("gdpr", "m", True),
}


@pytest.mark.parametrize("call", STARTING)
def test_calls_that_begin_a_session(call: str) -> None:
    """The first such call begins a session before the kit gets the call itself; a second one does not."""
    kit, clock = SessionKit(), ManualClock()
    with client_of(kit, clock) as client:
        assert client.current_session is None
        STARTING[call](client)
        STARTING[call](client)
        session = client.current_session
    assert kit.started() == [session]
    assert kit.names()[1] == "on_session_start"
    assert session is not None
    assert session.id == session.id.upper()
    assert session.start == clock.time()
    assert client.current_session is None


@pytest.mark.parametrize("call", NOT_STARTING)
def test_calls_that_begin_none(call: str) -> None:
    """Other calls leave it at that."""
    kit = SessionKit()
    with client_of(kit, ManualClock()) as client:
        NOT_STARTING[call](client)
        assert client.current_session is None
    assert kit.started() == []
    assert kit.ended() == []


def test_a_session_lapses_after_its_time_out() -> None:
    """A call within the time-out keeps the session; after it, the old one ends as of its last activity."""
    kit, clock = SessionKit(), ManualClock()
    with client_of(kit, clock) as client:
        begun = clock.time()
        client.log_event("A")
        clock.advance(TIMEOUT)
        client.log_event("B")
        clock.advance(TIMEOUT + 2)
        assert client.current_session is None
        client.log_event("C")
        second = client.current_session
    assert second is not None
    assert [session.id for session in kit.started()] == [kit.ended()[0].id, second.id]
    assert (kit.ended()[0].start, kit.ended()[0].end) == (begun, begun + TIMEOUT)
    assert kit.names() == [
        "on_start", "on_session_start", "log_event", "log_event",
        "on_session_end", "on_session_start", "log_event", "on_session_end",
    ]  # fmt: skip


@settings(deadline=None)
@given(st.lists(st.floats(0, 200), min_size=1, max_size=30))
def test_any_rhythm_of_calls(pauses: list[float]) -> None:
    """Sessions never overlap, every one ends, and calls are parted exactly where the pause was too long."""
    kit, clock = SessionKit(), ManualClock()
    expected = 1
    with client_of(kit, clock) as client:
        client.log_event("A")
        for drawn in pauses:
            # Calls within a second of another are not noted one by one, so pauses that close are drawn out.
            pause = drawn + 2 if TIMEOUT < drawn <= TIMEOUT + 1 else drawn
            clock.advance(pause)
            before = client.current_session
            client.log_event("A")
            expected += pause > TIMEOUT
            if pause <= TIMEOUT - 1:
                assert client.current_session == before
            elif pause <= TIMEOUT:
                expected += client.current_session != before  # the second of the granularity
    marks = [name for name in kit.names() if name.startswith("on_session")]
    assert marks == ["on_session_start", "on_session_end"] * expected
    for ended, following in zip(kit.ended(), kit.started()[1:], strict=False):
        assert ended.end is not None
        assert ended.start <= ended.end <= following.start


def test_background_counts_as_the_last_activity() -> None:
    """The time-out runs from the moment the app went to the background; coming back in time keeps the session."""
    kit, clock = SessionKit(), ManualClock()
    with client_of(kit, clock) as client:
        client.log_event("A")
        first = client.current_session
        clock.advance(40)
        client.enter_background()
        clock.advance(40)
        client.enter_foreground()
        assert client.current_session == first
        client.enter_background()
        clock.advance(TIMEOUT + 1)
        client.enter_foreground()
        assert client.current_session != first
    assert kit.names() == [
        "on_start", "on_session_start", "log_event", "on_application_background", "on_application_foreground",
        "on_application_background", "on_session_end", "on_session_start", "on_application_foreground",
        "on_session_end",
    ]  # fmt: skip
    assert kit.ended()[0].end == kit.ended()[0].start + 80


def test_users_of_a_session() -> None:
    """A session keeps the users seen in it, each once."""
    kit = SessionKit()
    with client_of(kit, ManualClock()) as client:
        client.log_event("A")
        users = [client.current_user, client.login(customer_id="a"), client.login(customer_id="b")]
        client.login(customer_id="a")
    assert kit.ended()[0].mpids == tuple(dict.fromkeys(user.mpid for user in users if user is not None))
    assert len(kit.ended()[0].mpids) == 2  # the anonymous user became the first


def test_opting_out_ends_the_session_and_none_begins() -> None:
    """The kit hears the end before the opt-out; refused calls begin no session."""
    kit = SessionKit({"id": 28, "as": {"honorOptOut": "False"}})
    with client_of(kit, ManualClock()) as client:
        client.log_event("A")
        client.set_opt_out(True)
        client.log_event("B")
        client.set_push_token("t")
        client.enter_foreground()
        assert client.current_session is None
    assert kit.names()[:5] == ["on_start", "on_session_start", "log_event", "on_session_end", "on_opt_out"]
    assert len(kit.started()) == 1


def test_closing_ends_the_session(tmp_path: Path) -> None:
    """The end comes before the kit is closed, and the next start has nothing left to end."""
    kit, clock = SessionKit(), ManualClock()
    with client_of(kit, clock, tmp_path) as client:
        client.log_event("A")
    assert kit.names()[-1] == "on_session_end"
    again = SessionKit()
    with client_of(again, clock, tmp_path):
        pass
    assert again.names() == ["on_start"]


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_a_crash_leaves_a_session_that_the_next_start_ends(tmp_path: Path) -> None:
    """A killed process's session ends at the next start, as of its last noted activity, exactly once."""
    code = """
        import os, sys
        from tests.kits.recording import RecordingKit
        from mparticle_kit_braze import MParticle
        client = MParticle([RecordingKit()], storage=sys.argv[1])
        client.login(customer_id="c")
        client.log_event("A")
        session = client.current_session
        print(session.id, session.start, session.mpids[0], flush=True)
        os.kill(os.getpid(), 9)
    """
    result = run_python(code, str(tmp_path))
    session_id, start, mpid = result.stdout.split()
    kits = SessionKit(), SessionKit()
    for kit in kits:
        with MParticle([kit], storage=tmp_path):
            pass
    (left,) = kits[0].ended()
    assert (left.id, left.start, left.mpids) == (session_id, float(start), (int(mpid),))
    assert left.end is not None
    assert left.end >= left.start
    assert kits[0].names() == ["on_start", "on_session_end"]
    assert kits[1].ended() == []


def test_two_clients_on_one_directory_have_sessions_of_their_own(tmp_path: Path) -> None:
    """A second client does not end the session of one that still runs, unless it has lapsed: then once."""
    first, second, third, clock = SessionKit(), SessionKit(), SessionKit(), ManualClock()
    with client_of(first, clock, tmp_path) as one:
        one.log_event("A")
        with client_of(second, clock, tmp_path) as two:
            two.log_event("A")
            assert second.started() != first.started()
        assert len(second.ended()) == 1
        clock.advance(TIMEOUT + 30)
        with client_of(third, clock, tmp_path):
            pass
        assert [session.id for session in third.ended()] == [first.started()[0].id]
        one.log_event("B")
    assert len(first.ended()) == 1  # its second session; the first had been ended by then


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_does_not_end_its_parents_session(tmp_path: Path) -> None:
    """A child goes on in the session, and ends only sessions of its own."""
    kit = SessionKit()
    with MParticle([kit], storage=tmp_path) as client:
        client.log_event("A")
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                client.enter_foreground()
                client.close()
                status = len(kit.ended())
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert client.current_session is not None
    assert len(kit.ended()) == 1


def test_a_clock_set_back_does_not_freeze_a_session() -> None:
    """After the clock went back a day, the time-out counts from there."""
    kit, clock = SessionKit(), ManualClock()
    with client_of(kit, clock) as client:
        client.log_event("A")
        clock.jump(-86_400)
        client.log_event("B")
        clock.advance(TIMEOUT + 2)
        client.log_event("C")
    assert len(kit.started()) == 2
    assert all(session.end is not None and session.end >= session.start for session in kit.ended())


@pytest.mark.parametrize("note", ["text", {}, {"id": 1}, {"id": "a", "start": "b", "last": 1}, {"id": "a", "pid": "x"}])
def test_a_note_that_does_not_read_is_dropped(tmp_path: Path, note: Any) -> None:
    """A damaged note neither raises nor tells anything."""
    with client_of(SessionKit(), ManualClock(), tmp_path) as client:
        values = client._state._values
        values.set("session.damaged", note)
    kit = SessionKit()
    with client_of(kit, ManualClock(), tmp_path) as client:
        assert client._state._values.get("session.damaged") is None
    assert kit.names() == ["on_start"]
