"""Clocks that jump."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mparticle_kit_braze import Braze, DeliveryOptions
from mparticle_kit_braze.clock import Wakeup
from mparticle_kit_braze.sandbox import Reply, Sandbox

from .support import KEY

YEAR = 365.25 * 86400


class JumpingClock:
    """The machine's clock, with a wall clock that can be set to anything."""

    def __init__(self) -> None:
        self.offset = 0.0

    def time(self) -> float:
        """Wall-clock seconds, set off."""
        return time.time() + self.offset

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def wait(self, wakeup: Wakeup, timeout: float | None) -> None:
        """Sleep by the monotonic clock."""
        wakeup.wait(timeout)


@pytest.fixture
def clock() -> JumpingClock:
    """A clock to jump."""
    return JumpingClock()


@pytest.fixture
def braze(sandbox: Sandbox, state: Path, clock: JumpingClock) -> Iterator[Braze]:
    """Braze alone on that clock."""
    options = DeliveryOptions(flush_interval=0.05)
    with Braze(KEY, sandbox.url, storage=state, clock=clock, delivery_options=options) as made:
        made.log_custom_event("Primed")
        assert made.flush(timeout=10).complete
        yield made


def logged(sandbox: Sandbox) -> list[tuple[str, float]]:
    """The names and times of the custom events that arrived."""
    return [(event["data"]["n"], event["time"]) for event in sandbox.events if event["name"] == "ce"][1:]


@pytest.mark.parametrize("jump", [-30 * YEAR, -YEAR, -1.0, 1.0, YEAR, 40 * YEAR, -56 * YEAR])
def test_the_wall_clock_jumps(sandbox: Sandbox, braze: Braze, clock: JumpingClock, jump: float) -> None:
    """Order is kept, intervals go on, back-off ends when it should, and events keep the times they were given."""
    before = clock.time()
    primed = len(sandbox.requests)
    sandbox.respond_next(Reply(status=500))
    braze.log_custom_event("One")
    assert sandbox.wait_for(lambda: len(sandbox.requests) > primed, 20)
    clock.offset += jump
    after = clock.time()
    braze.log_custom_event("Two")
    braze.log_custom_event("Three", time=1_234_567_890.5)
    assert sandbox.wait_for(lambda: len(logged(sandbox)) == 3, 20)
    names = [name for name, _ in logged(sandbox)]
    times = [at for _, at in logged(sandbox)]
    assert names == ["One", "Two", "Three"]
    assert before - 0.1 <= times[0] <= before + 5
    assert after - 0.1 <= times[1] <= after + 5
    assert times[2] == 1_234_567_890.5
    clock.offset = 0.0
    braze.log_custom_event("Four")
    assert braze.flush(timeout=10).complete
    assert [name for name, _ in logged(sandbox)] == ["One", "Two", "Three", "Four"]
    oldest = braze.stats().oldest_age
    assert oldest is None or oldest >= 0


@pytest.mark.parametrize("jump", [-30 * YEAR, 40 * YEAR])
def test_a_jump_between_starts(sandbox: Sandbox, state: Path, jump: float) -> None:
    """What was queued under another clock is delivered first, and the stored rate limit and session do no harm."""
    sandbox.fault = lambda _request: Reply(status=500)
    past, now = JumpingClock(), JumpingClock()
    past.offset = jump
    with Braze(KEY, sandbox.url, storage=state, clock=past) as braze:
        braze.log_custom_event("Primed")
        braze.log_custom_event("One")
        assert not braze.flush().complete
    sandbox.fault = None
    with Braze(KEY, sandbox.url, storage=state, clock=now) as braze:
        braze.log_custom_event("Two")
        assert braze.flush(timeout=10).complete
    assert [name for name, _ in logged(sandbox)] == ["One", "Two"]
    assert sandbox.problems == []


@pytest.mark.parametrize("jump", [-30 * YEAR, 40 * YEAR])
def test_retry_after_and_a_jump(sandbox: Sandbox, braze: Braze, clock: JumpingClock, jump: float) -> None:
    """A wait the server asked for is counted by the monotonic clock."""
    sandbox.respond_next(Reply(status=429, headers={"Retry-After": "1"}))
    begun = time.monotonic()
    primed = len(sandbox.requests)
    braze.log_custom_event("One")
    assert sandbox.wait_for(lambda: len(sandbox.requests) > primed, 20)
    clock.offset = jump
    assert sandbox.wait_for(lambda: len(logged(sandbox)) == 1, 20)
    assert 1.0 <= time.monotonic() - begun < 8
