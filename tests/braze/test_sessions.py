"""Sessions: when they begin, lapse and end, over changes of user and restarts."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mparticle_kit_braze.braze.sessions import to_milliseconds

from .conftest import START, Client, ManualClock


def test_the_first_event_begins_a_session(client: Client) -> None:
    """``ss`` goes before it, with the same session id, and a request is wanted soon."""
    client.braze.log_custom_event("e")
    start, event = client.queued()
    assert (start["name"], start["data"], start["time"]) == ("ss", {}, START)
    assert event["session_id"] == start["session_id"]
    assert client.delivery.wanted_soon == 1


@given(st.integers(0, 4_000_000_000), st.integers(0, 999))
def test_a_time_that_was_cut_stays_as_it_is(second: int, fraction: int) -> None:
    """However often it is cut: as a float, .007 is a little less than that."""
    at = second + fraction / 1000
    assert to_milliseconds(at) == at


@pytest.mark.parametrize("fraction", [0.1, 0.007, 0.678, 0.9999995])
def test_a_session_begins_with_its_first_event(client: Client, clock: ManualClock, fraction: float) -> None:
    """Both have the same time, to the millisecond, whatever the fraction of the second."""
    clock.advance(fraction)
    client.braze.log_custom_event("e")
    client.braze.log_custom_event("f")
    cut = f"{min(fraction, 0.999):.3f}"
    assert {f"{event['time'] - START:.3f}" for event in client.queued()} == {cut}


def test_no_event_seems_older_than_its_session(client: Client, clock: ManualClock) -> None:
    """Times are cut to milliseconds, all in the same way."""
    clock.advance(0.0006)
    client.braze.log_custom_event("e")
    client.braze.change_user("u1")
    assert {event["time"] for event in client.queued()} == {START}


def test_attributes_neither_begin_nor_extend_nor_revive_a_session(client: Client, clock: ManualClock) -> None:
    """Only events count as activity."""
    client.user.set_first_name("Ada")
    assert client.codes() == []
    client.braze.log_custom_event("a")
    clock.advance(1700)
    client.user.set_custom_attribute("k", 1)
    clock.advance(200)
    client.braze.log_custom_event("b")
    assert client.codes() == ["ss", "ce", "se", "ss", "ce"]


def test_a_lapsed_session_is_closed_by_the_next_event(client: Client, clock: ManualClock) -> None:
    """``se`` is stamped with the last activity and lasts from start to it; then ``ss`` now."""
    client.braze.log_custom_event("a")
    clock.advance(100.25)
    client.braze.log_custom_event("b")
    clock.advance(1800.5)
    client.braze.log_custom_event("c")
    end, start = client.queued()[3:5]
    assert (end["name"], end["time"], end["data"]) == ("se", START + 100.25, {"d": 100.25})
    assert (start["name"], start["time"]) == ("ss", START + 1900.75)
    assert end["session_id"] != start["session_id"]


def test_a_lapsed_session_lasted_ten_seconds_at_least(client: Client, clock: ManualClock) -> None:
    """As the Web SDK says of a session with one event."""
    client.braze.log_custom_event("a")
    clock.advance(2000)
    client.braze.open_session()
    assert client.queued()[2]["data"] == {"d": 10.0}
    assert client.codes() == ["ss", "ce", "se", "ss"]


def test_activity_extends_a_session(client: Client, clock: ManualClock) -> None:
    """No time-out while events keep coming."""
    for _ in range(5):
        client.braze.log_custom_event("e")
        clock.advance(1799)
    assert client.codes() == ["ss", *["ce"] * 5]


def test_opening_a_live_session_resumes_it(client: Client, clock: ManualClock) -> None:
    """No event, but what is queued goes soon, and the session is extended."""
    client.braze.open_session()
    clock.advance(1000)
    client.braze.open_session()
    clock.advance(1000)
    client.braze.request_immediate_data_flush()
    assert client.codes() == ["ss"]
    assert client.delivery.wanted_soon >= 3


@pytest.mark.parametrize(("given", "used"), [(3, 10), (60, 60)])
def test_the_time_out_has_a_floor(
    make_client: Callable[..., Client], clock: ManualClock, given: float, used: float
) -> None:
    """Less than ten seconds is ten."""
    client = make_client(":memory:", session_timeout=given)
    client.braze.log_custom_event("a")
    clock.advance(used)
    client.braze.log_custom_event("b")
    clock.advance(used + 0.5)
    client.braze.log_custom_event("c")
    assert client.codes() == ["ss", "ce", "ce", "se", "ss", "ce"]


def test_a_change_of_user_ends_the_session(client: Client, clock: ManualClock) -> None:
    """``se`` now under the old user, ``ss`` under the new one, and a request soon."""
    client.braze.log_custom_event("a")
    clock.advance(4.5)
    client.braze.change_user("u1")
    end, start = client.queued()[2:]
    assert (end["data"], end["time"]) == ({"d": 4.5}, START + 4.5)
    assert "user_id" not in end
    assert (start["name"], start["user_id"]) == ("ss", "u1")
    assert client.braze.user_id == "u1"


def test_a_change_of_user_closes_a_lapsed_session_at_its_last_activity(client: Client, clock: ManualClock) -> None:
    """As any other end of a session that ran out."""
    start = clock.time()
    client.braze.log_custom_event("a")
    clock.advance(40)
    client.braze.log_custom_event("b")
    clock.advance(2000)
    client.braze.change_user("u1")
    end, begin = client.queued()[-2:]
    assert (end["name"], end["time"], end["data"], end.get("user_id")) == ("se", start + 40, {"d": 40.0}, None)
    assert (begin["name"], begin["time"], begin["user_id"]) == ("ss", start + 2040, "u1")


def test_an_explicit_flush_begins_a_session_and_closes_a_lapsed_one(client: Client, clock: ManualClock) -> None:
    """Attributes alone are sent by the timer without any session; asking for a request opens one."""
    client.user.set_first_name("A")
    assert client.codes() == []
    client.braze.request_immediate_data_flush()
    clock.advance(2000)
    client.braze.request_immediate_data_flush()
    assert client.codes() == ["ss", "se", "ss"]


def test_a_change_of_user_without_a_session_only_begins_one(client: Client) -> None:
    """The old user had none, so there is no ``se``."""
    client.braze.change_user("u1")
    assert client.codes() == ["ss"]


@pytest.mark.parametrize("ignored", ["", None, "é" * 499, b"u"])
def test_an_unusable_user_id_is_ignored(client: Client, ignored: object) -> None:
    """The user stays, with a report."""
    client.braze.change_user("u1")
    client.braze.change_user(ignored)  # type: ignore[arg-type]  # wrong on purpose
    assert client.braze.user_id == "u1"
    assert len(client.refusals()) == 1


def test_a_session_goes_on_after_a_restart(make_client: Callable[..., Client], clock: ManualClock) -> None:
    """Session, user and device id survive; a lapsed session is ended by the next process."""
    first = make_client()
    first.braze.change_user("u1")
    session = first.queued()[0]["session_id"]
    clock.advance(600)
    first.braze.log_custom_event("a")
    first.braze.close()
    clock.advance(1500)
    second = make_client()
    assert (second.braze.user_id, second.braze.device_id) == ("u1", first.braze.device_id)
    second.braze.log_custom_event("b")
    assert [(event["name"], event["session_id"]) for event in second.queued()] == [("ce", session)]
    second.braze.close()
    clock.advance(1801)
    third = make_client()
    third.braze.log_custom_event("c")
    end = third.queued()[0]
    assert (end["name"], end["session_id"], end["data"]) == ("se", session, {"d": 2100.0})
    assert third.codes() == ["se", "ss", "ce"]


def test_a_request_remembers_the_last_activity(make_client: Callable[..., Client], clock: ManualClock) -> None:
    """A process that is killed after a request loses no more of the session than what followed it."""
    first = make_client()
    first.braze.open_session()
    clock.advance(1000)
    first.braze.log_custom_event("a")
    first.send()
    clock.advance(1000)
    second = make_client()
    second.braze.log_custom_event("b")
    assert second.codes() == ["ce"]


def test_the_queue_tells_of_later_activity(
    make_client: Callable[..., Client], clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a kill, delivery's newest record extends the remembered session."""
    make_client().braze.open_session()
    monkeypatch.setattr("tests.braze.conftest.ListDelivery.__init__", _with_activity(START + 1500))
    clock.advance(3000)
    second = make_client()
    second.braze.log_custom_event("b")
    assert second.codes() == ["ce"]


def _with_activity(at: float) -> Callable[..., None]:
    from .conftest import ListDelivery

    original = ListDelivery.__init__

    def initialise(self: ListDelivery, *arguments: object, **settings: object) -> None:
        original(self, *arguments, **settings)  # type: ignore[arg-type]  # passed on as they come
        self.last_activity = at

    return initialise


def test_a_clock_set_back_keeps_the_session(client: Client, clock: ManualClock) -> None:
    """Time going backwards is no inactivity, and no duration is negative."""
    client.braze.log_custom_event("a")
    clock.wall -= 1e8
    client.braze.log_custom_event("b")
    client.braze.change_user("u1")
    assert client.codes() == ["ss", "ce", "ce", "se", "ss"]
    assert client.queued()[3]["data"] == {"d": 0.0}


def test_event_times_may_be_given(client: Client) -> None:
    """A time of one's own is sent as it is, to the millisecond."""
    client.braze.log_custom_event("a", time=1.5)
    client.braze.log_purchase("p", 1, time=1234567890.1239)
    assert [event["time"] for event in client.queued()[1:]] == [1.5, 1234567890.124]


def test_a_forked_child_does_not_end_its_parents_session(client: Client, clock: ManualClock) -> None:
    """It goes on in it, and begins its own when it lapses, without a second ``se``."""
    client.braze.log_custom_event("a")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            clock.advance(5000)
            client.braze.log_custom_event("b")
            os.write(writing, " ".join(client.codes()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as answer:
        assert answer.read() == "ss ce ss ce"
