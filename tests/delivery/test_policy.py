"""The pure decisions: verdicts, waits, narrowing."""

from __future__ import annotations

import math
from email.utils import formatdate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mparticle_kit_braze.delivery import Backoff, Response, Verdict, policy
from mparticle_kit_braze.delivery.policy import Action, Episode, Pace

NOW = 1_700_000_000.0


def expected_verdict(status: int) -> Verdict:
    if 200 <= status < 300:
        return Verdict.ACCEPTED
    special = {400: Verdict.REFUSED, 413: Verdict.TOO_LARGE, 401: Verdict.UNAUTHORIZED, 403: Verdict.UNAUTHORIZED}
    return special.get(status, Verdict.RETRY)


def test_every_status_has_its_verdict() -> None:
    """2xx accepts, 400 narrows, 413 halves, 401 and 403 hold, all else is tried again."""
    for status in range(100, 600):
        assert policy.judge(Response(status), NOW).verdict is expected_verdict(status), status


@pytest.mark.parametrize("error", ["timeout", "connection", "tls", "proxy", "protocol"])
def test_no_answer_is_tried_again(error: str) -> None:
    """A request without an answer is kept, and its reason is the kind of failure."""
    outcome = policy.judge(Response(0, error=error), NOW)
    assert (outcome.verdict, outcome.reason) == (Verdict.RETRY, error)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30.0),
        ("0", 0.0),
        ("2.5", 2.5),
        ("-5", 0.0),
        ("1e99", policy.MAX_RETRY_AFTER),
        ("inf", policy.MAX_RETRY_AFTER),
        ("99999999999999999999", policy.MAX_RETRY_AFTER),
        ("nan", None),
        ("", None),
        ("  ", None),
        ("soon", None),
        (formatdate(NOW + 90, usegmt=True), 90.0),
        (formatdate(NOW - 90, usegmt=True), 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", policy.MAX_RETRY_AFTER),
        ("Fri, 99 Foo 2023 99:99:99 GMT", None),
    ],
)
def test_retry_after_is_read_in_all_its_forms(text: str, seconds: float | None) -> None:
    """Seconds and dates count, absurd ones are bounded, unreadable ones are ignored."""
    assert policy.retry_after({"retry-after": text}, NOW) == seconds


def test_retry_after_missing() -> None:
    """Without the header nothing is asked for."""
    assert policy.retry_after({}, NOW) is None


@given(st.text(max_size=40))
def test_retry_after_never_raises(text: str) -> None:
    """Whatever a server sends, the wait is absent or within bounds."""
    wait = policy.retry_after({"retry-after": text}, NOW)
    assert wait is None or 0 <= wait <= policy.MAX_RETRY_AFTER


def waits(chance: float, count: int, asked: float | None = None) -> list[float]:
    pace, found = Pace(), []
    for _ in range(count):
        pace = policy.failed(pace, Backoff(), asked, 0.0, chance)
        found.append(pace.wait(0.0))
    return found


def test_backoff_grows_as_the_web_sdk_does() -> None:
    """With a fixed random value the waits are those measured on the Web SDK."""
    assert waits(0.5, 8) == [20, 35, 57.5, 91.25, 141.875, 217.8125, 300, 300]
    assert waits(0.0, 3) == [10, 10, 10]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_backoff_stays_within_its_bounds(chances: list[float]) -> None:
    """Every wait is between minimum and maximum, and attempts count up."""
    pace = Pace()
    for number, chance in enumerate(chances, 2):
        pace = policy.failed(pace, Backoff(), None, 50.0, chance)
        assert 10 <= pace.wait(50.0) <= 300
        assert pace.attempt == number
    assert policy.succeeded() == Pace()


def test_retry_after_is_a_minimum_even_for_a_flush() -> None:
    """The longer of the two waits counts; a flush overrides only ours; an hour is the most."""
    pace = policy.failed(Pace(), Backoff(), 60.0, 0.0, 0.5)
    assert pace.wait(0.0) == 60
    assert policy.without_backoff(pace).wait(0.0) == 60
    assert policy.failed(Pace(), Backoff(), 5.0, 0.0, 0.5).wait(0.0) == 20
    assert policy.without_backoff(policy.failed(Pace(), Backoff(), 5.0, 0.0, 0.5)).wait(0.0) == 5
    assert policy.without_backoff(policy.failed(Pace(), Backoff(), None, 0.0, 0.5)).wait(0.0) == 0
    for absurd in (1e12, math.inf):
        assert policy.failed(Pace(), Backoff(), absurd, 0.0, 0.5).wait(0.0) == policy.MAX_RETRY_AFTER
    assert policy.failed(Pace(), Backoff(), math.nan, 0.0, 0.5).wait(0.0) == 20


def test_a_configured_backoff_with_maximum_below_minimum_is_survived() -> None:
    """A server's own numbers never make a wait negative or endless."""
    for backoff in (Backoff(5, 1, 3), Backoff(0, 0, 0), Backoff(10, 300, 0.1)):
        pace = policy.failed(Pace(), backoff, None, 0.0, 0.7)
        assert 0 <= pace.wait(0.0) <= 300


@pytest.mark.parametrize(
    ("wait", "deadline", "rate_limited", "fits"),
    [
        (5.0, 10.0, False, True),
        (10.0, 10.0, False, False),
        (math.inf, 10.0, False, False),
        (5.0, None, False, False),
        (5.0, None, True, True),
        (math.inf, None, True, False),
    ],
)
def test_what_a_flush_waits_for(wait: float, deadline: float | None, rate_limited: bool, fits: bool) -> None:
    """A flush waits when the next request fits its time; without one, only for the client's own rate limit."""
    assert policy.wait_fits(wait, 0.0, deadline, rate_limited=rate_limited) is fits


def test_the_size_ceiling_halves_and_creeps_back() -> None:
    """A request too large halves the ceiling; accepted ones raise it slowly up to the option's value."""
    assert policy.lowered_ceiling(1000) == 500
    assert policy.lowered_ceiling(1) == 1
    ceiling = 1
    for _ in range(2000):
        ceiling = policy.grown_ceiling(ceiling, 1000)
    assert ceiling == 1000


class Simulation:
    """A queue and a server that refuses some records, driven by the policy alone."""

    def __init__(self, count: int, refuses: set[int] | None, batch: int) -> None:
        self.queue = list(range(count))
        self.refuses = refuses  # None refuses everything
        self.batch = batch
        self.delivered: list[int] = []
        self.dead: list[int] = []
        self.requests = 0
        self.gave_up = 0

    def run(self, episodes: int = 1) -> Simulation:
        """Send until the queue is empty or so many episodes went unexplained."""
        episode = Episode()
        while self.queue and self.gave_up < episodes:
            most = min(self.batch, episode.limit or self.batch)
            first = episode.suspects
            chosen = self.queue[first : first + most]
            self.requests += 1
            assert self.requests < 100_000
            if self.refuses is not None and not self.refuses & set(chosen):
                self.delivered += chosen
                del self.queue[first : first + most]
                episode = policy.after_accepted(episode, len(chosen))
                continue
            more = len(self.queue) > episode.suspects + 1
            action, episode = policy.after_refused(episode, len(chosen), more=more)
            if action is Action.CONDEMN:
                self.dead.append(self.queue.pop(0))
            elif action is Action.GIVE_UP:
                self.gave_up += 1
        return self


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 64, 1000])
@pytest.mark.parametrize("bad", [0, 1, 31, 62])
def test_one_bad_record_is_found_in_a_logarithm_of_requests(bad: int, batch: int) -> None:
    """The bad record alone is condemned, all others arrive once and in order, in O(log n) requests."""
    simulation = Simulation(64, {bad}, batch).run(episodes=3)
    others = [number for number in range(64) if number != bad]
    assert simulation.dead == [bad]
    assert simulation.delivered == others
    whole_batches = math.ceil(64 / batch)
    assert simulation.requests <= whole_batches + 2 * math.log2(min(batch, 64)) + 5


def test_a_bad_record_alone_in_the_queue_waits_for_company() -> None:
    """Refused alone with nothing else to send proves nothing; the next record to come settles it."""
    simulation = Simulation(64, {63}, 7).run()
    assert (simulation.queue, simulation.dead) == ([63], [])
    simulation.queue.append(64)
    assert simulation.run(episodes=2).dead == [63]
    assert simulation.delivered[-1] == 64


def test_a_bad_record_among_ten_thousand() -> None:
    """Ten thousand records with one bad one take at most thirty-odd requests."""
    for bad in (0, 1, 4999, 5000, 9998, 9999):
        simulation = Simulation(10_000, {bad}, 10_000).run(episodes=3)
        assert simulation.dead == [bad]
        assert simulation.requests <= 2 * math.log2(10_000) + 6


@given(st.sets(st.integers(0, 59)), st.integers(1, 60))
@settings(max_examples=300, deadline=None)
def test_any_mixture_is_told_apart(bad: set[int], batch: int) -> None:
    """No good record is ever condemned or doubled, order is kept, and what is kept could not be explained."""
    simulation = Simulation(60, bad, batch).run(episodes=12)
    assert not set(simulation.delivered) & bad
    assert simulation.delivered == sorted(set(simulation.delivered))
    assert set(simulation.dead) <= bad
    assert sorted(simulation.delivered + simulation.dead + simulation.queue) == list(range(60))
    if simulation.queue:  # only a run of bad ones with too few good ones behind can remain
        assert simulation.queue[0] in bad
        lead = next((index for index, number in enumerate(simulation.queue) if number not in bad), None)
        assert lead is None or lead >= 31


def test_a_fault_of_the_request_condemns_nothing() -> None:
    """When every request is refused nothing is dead, and each episode costs few requests."""
    first = Simulation(5000, None, 5000).run(episodes=1)
    assert (first.dead, first.delivered, len(first.queue)) == ([], [], 5000)
    assert first.requests <= math.log2(5000) + 10
    many = Simulation(5000, None, 5000).run(episodes=10)
    assert many.dead == []
    assert many.requests <= first.requests + 9 * 34


def test_a_single_queued_record_is_never_condemned_for_lack_of_evidence() -> None:
    """One record, refused alone, with nothing else accepted, stays; later ones then prove it bad."""
    action, episode = policy.after_refused(Episode(), 1, more=False)
    assert action is Action.GIVE_UP
    assert Simulation(3, {0}, 10).run(episodes=2).dead == [0]
    assert episode.fruitless == 1


def test_each_condemnation_needs_evidence_of_its_own() -> None:
    """A server that turns against everything after one acceptance costs at most one record."""
    episode = policy.after_accepted(Episode(limit=4, region=8), 4)
    dead = 0
    for _ in range(200):
        used = episode.limit or 8
        action, episode = policy.after_refused(episode, used, more=True)
        dead += action is Action.CONDEMN
    assert dead == 1


def test_suspects_get_another_chance_when_the_server_takes_records_again() -> None:
    """Records refused alone while the whole service refused are delivered, not condemned, once it recovers."""
    episode = Episode()
    for _ in range(3):
        action, episode = policy.after_refused(episode, 1, more=True)
        assert action is Action.PROBE
    assert episode.suspects == 3
    episode = policy.after_accepted(episode, 1)
    assert (episode.limit, episode.suspects, episode.region) == (1, 0, 3)
    for _ in range(3):
        episode = policy.after_accepted(episode, min(episode.limit or 3, 3))
    assert episode == Episode()


def test_an_outage_in_the_middle_leaves_no_evidence() -> None:
    """After an outage what was found out stands, but condemns nobody."""
    episode = Episode(limit=4, region=9, suspects=2, evidence=3, fruitless=1)
    assert policy.after_interruption(episode) == Episode(limit=4, region=9, fruitless=1)
