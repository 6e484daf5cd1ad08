"""An asyncio service that handles many messages at once, each about another user; the event loop is never held up.

Runs as it is, against a local Braze: ``python examples/asyncio_service.py``.
"""

from __future__ import annotations

import asyncio
import sys
import time

from mparticle_kit_braze import MParticle
from mparticle_kit_braze.sandbox import Reply, Sandbox
from mparticle_kit_braze.server import BrazeServerKit


async def work(client: MParticle, messages: asyncio.Queue[tuple[str, str]]) -> None:
    """One of several workers, which take turns on the loop."""
    while True:
        user, song = await messages.get()
        await handle(client, user, song)
        messages.task_done()


async def handle(client: MParticle, user: str, song: str) -> None:
    """One message. Whatever is called in the scope, in this task or in tasks it starts, is about its user."""
    with client.user_scope(customer_id=user):
        await asyncio.sleep(0)  # other work; other messages are handled meanwhile
        await recommend(client, song)
        client.increment_user_attribute("songs")


async def recommend(client: MParticle, song: str) -> None:
    """Code that knows of no user."""
    client.log_event("Played Song", attributes={"song": song})


async def watch_the_loop(longest: list[float]) -> None:
    """Note how long the loop was kept from what was due."""
    while True:
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        longest[0] = max(longest[0], time.perf_counter() - before)


async def serve(url: str) -> None:
    """Handle all messages, deliver, and say how the loop fared."""
    messages: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    for number in range(200):
        messages.put_nowait((f"user-{number % 20}", f"song-{number}"))
    longest = [0.0]
    async with MParticle([BrazeServerKit("rest-key", url)], storage=":memory:") as client:
        tasks = [asyncio.create_task(work(client, messages)) for _ in range(10)]
        tasks.append(asyncio.create_task(watch_the_loop(longest)))
        await messages.join()
        result = await client.aflush(timeout=10)
        print(f"{result.sent} records sent, {result.kept} kept")
    for task in tasks:
        task.cancel()
    print(f"The longest that anything on the loop had to wait: {longest[0] * 1000:.0f} ms")


def main() -> int:
    """Run the service against a Braze that takes its time to answer."""
    with Sandbox() as sandbox:
        sandbox.fault = lambda _request: Reply(delay=0.02)
        asyncio.run(serve(sandbox.url))
        songs = {user: sandbox.rest.user(user).attributes["songs"] for user in ("user-0", "user-19")}
        print(songs)
        return 0 if songs == {"user-0": 10, "user-19": 10} else 1


if __name__ == "__main__":
    sys.exit(main())
