"""Event loops: no call of ours stalls one."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from mparticle_kit_braze import CommerceEvent, MParticle, Product, ProductAction
from mparticle_kit_braze.sandbox import Reply, Sandbox

from .support import ids, log, misbehaving, prime

Make = Callable[..., MParticle]

SLOW = 0.75
"""Seconds in a call that count as a stall. Ours take microseconds; a machine that is busy otherwise takes its time."""


def stalls(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the loop's debug mode complained about."""
    return [record.getMessage() for record in caplog.records if record.name == "asyncio" and "took" in record.message]


async def work(client: MParticle, rounds: int) -> None:
    """Every kind of call, each in a step of the loop of its own."""
    steps: list[Callable[[int], object]] = [
        lambda number: log(client, [number]),
        lambda number: client.set_user_attribute("n", number),
        lambda number: client.set_user_attribute_list("colors", [str(number)]),
        lambda _number: client.increment_user_attribute("visits"),
        lambda _number: client.log_screen("Screen"),
        lambda _number: client.log_commerce_event(
            CommerceEvent(product_action=ProductAction.PURCHASE, products=[Product("Tea", "SKU-1", 4.5)])
        ),
        lambda number: client.identify(customer_id=f"user-{number % 3}"),
        lambda number: client.set_consent("gdpr", "marketing", number % 2 == 0),
        lambda _number: client.kit("Braze").request_immediate_data_flush(),
        lambda _number: client.stats(),
    ]
    for number in range(rounds):
        for step in steps:
            step(number)
            await asyncio.sleep(0)


def run(main: Callable[[], object]) -> None:
    """Run in a loop in debug mode that calls everything slow by its name."""

    async def watched() -> None:
        asyncio.get_running_loop().slow_callback_duration = SLOW
        await main()  # type: ignore[misc]  # typed as any function

    asyncio.run(watched(), debug=True)


@pytest.mark.parametrize("behaviour", ["fine", "refused", "hangs"])
def test_no_call_stalls_the_loop(
    make: Make, sandbox: Sandbox, caplog: pytest.LogCaptureFixture, behaviour: str
) -> None:
    """With the endpoint fine, down or silent, no call holds the loop up, ``aflush`` and ``aclose`` included."""
    client = make(flush_interval=0.02, read_timeout=1)
    prime(client, sandbox)

    async def main() -> None:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.01)

        ticking = asyncio.create_task(tick())
        await work(client, 20)
        begun = ticks
        result = await client.aflush(timeout=0.5 if behaviour != "fine" else 20)
        assert result.complete == (behaviour == "fine")
        await client.aclose(timeout=0.3)
        assert behaviour == "fine" or ticks > begun + 5
        ticking.cancel()

    with caplog.at_level(logging.WARNING, "asyncio"):
        if behaviour == "fine":
            run(main)
            assert ids(sandbox) == list(range(20))
        else:
            with misbehaving(sandbox, behaviour):
                run(main)
    assert stalls(caplog) == []


def test_no_call_stalls_the_loop_while_files_are_locked(
    make: Make, sandbox: Sandbox, state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Another program that holds all our databases costs a call a tenth of a second a file, now and then."""
    client = make(flush_interval=0.02)
    prime(client, sandbox)
    intruders = [sqlite3.connect(path, isolation_level=None) for path in state.rglob("*.db")]
    for intruder in intruders:
        intruder.execute("BEGIN IMMEDIATE")
    with caplog.at_level(logging.WARNING, "asyncio"):
        run(lambda: work_and_see(client))
    for intruder in intruders:
        intruder.execute("ROLLBACK")
        intruder.close()
    assert client.flush(timeout=20).complete
    assert ids(sandbox) == list(range(20))
    assert len(stalls(caplog)) <= 3
    assert all("took 0." in line for line in stalls(caplog))


async def work_and_see(client: MParticle) -> None:
    """As :func:`work`, without ``stats``, which asks the locked file."""
    for number in range(20):
        log(client, [number])
        await asyncio.sleep(0)
        client.set_user_attribute("n", number)
        await asyncio.sleep(0)
        client.identify(customer_id=f"user-{number % 3}")
        await asyncio.sleep(0)


def test_a_client_in_async_with(make: Make, sandbox: Sandbox) -> None:
    """``async with`` closes, and a cancelled ``aflush`` leaves the client in order."""

    async def main() -> None:
        sandbox.respond_next(Reply(delay=0.5))
        async with make() as client:
            log(client, range(3))
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.aflush(timeout=20), 0.1)
            log(client, range(3, 6))
            assert (await client.aflush(timeout=20)).complete

    run(main)
    assert ids(sandbox) == list(range(6))
