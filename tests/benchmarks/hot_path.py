"""What one ``log_event`` costs on the caller's thread, part by part: ``python -m tests.benchmarks.hot_path``.

No network: the endpoint is a closed loopback port and sending is put off, so only the caller's work is timed. All
take turns in short rounds, and what is shown is the median over the rounds: a machine that slows down slows down all.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

from mparticle_kit_braze import BrazeKit, Event, EventType, Kit, MParticle

PROPERTIES: dict[str, Any] = {"genre": "Jazz", "plays": 3, "rating": 4.5, "live": True, "title": "A Night in Tunisia"}
ENDPOINT = "http://127.0.0.1:9"


class NullKit(Kit):
    """A kit that does nothing: what is left is the facade."""

    name = "Null"

    def log_event(self, event: Event) -> None:
        """Take it."""


def time_calls(call: Callable[[], object], count: int) -> tuple[float, float, float]:
    """Median, 99th percentile and maximum of single calls, in microseconds."""
    clock, latencies = time.perf_counter_ns, []
    for _ in range(count):
        before = clock()
        call()
        latencies.append(clock() - before)
    latencies.sort()
    return latencies[count // 2] / 1e3, latencies[int(count * 0.99)] / 1e3, latencies[-1] / 1e3


def logging_call(kits: list[Kit], storage: str) -> tuple[MParticle, Callable[[], object]]:
    """A client with these kits, an identified user, and the call to time."""
    client = MParticle(kits=kits, storage=storage)
    client.identify(customer_id="user-1")
    return client, lambda: client.log_event("Played Song", EventType.OTHER, PROPERTIES)


def threads_against_one(client: MParticle, count: int) -> tuple[float, float, float]:
    """Events a second from one thread, from eight, and how much the slowest of the eight took of the fastest's time."""

    def log(times: int) -> float:
        start = time.perf_counter()
        for _ in range(times):
            client.log_event("Played Song", EventType.OTHER, PROPERTIES)
        return time.perf_counter() - start

    one = count / log(count)
    took: list[float] = []
    threads = [threading.Thread(target=lambda: took.append(log(count // 8))) for _ in range(8)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return one, count / (time.perf_counter() - start), max(took) / min(took)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=20_000)
    count: int = parser.parse_args().events
    filters = {"hs": {"ec": {str(number): 0 for number in range(1, 1001)}}}
    cases: dict[str, Callable[[], list[Kit]]] = {
        "facade alone": lambda: [NullKit()],
        "native": lambda: [BrazeKit("app-key-1", ENDPOINT)],
        "native and one more kit": lambda: [BrazeKit("app-key-1", ENDPOINT), NullKit()],
        "native, 1000 filters": lambda: [
            BrazeKit.from_configuration({"id": 28, "as": {"apiKey": "app-key-1", "host": ENDPOINT}, **filters})
        ],
        "web": lambda: [BrazeKit("app-key-1", ENDPOINT, profile="web")],
        "android": lambda: [BrazeKit("app-key-1", ENDPOINT, profile="android")],
        "android, type detection": lambda: [
            BrazeKit("app-key-1", ENDPOINT, profile="android", enable_type_detection=True)
        ],
    }
    rounds = 10
    with contextlib.ExitStack() as stack:
        calls: dict[str, Callable[[], object]] = {}
        for name, make in cases.items():
            for where in ("disk", "memory"):
                directory = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
                client, call = logging_call(make(), directory if where == "disk" else ":memory:")
                stack.callback(client.close, timeout=0)
                stack.callback(client.clear)
                call()
                calls[f"{name}, {where}"] = call
        found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in calls}
        for _ in range(rounds):
            for name, call in calls.items():
                found[name].append(time_calls(call, count // rounds))
    print(f"{'':34}{'p50 us':>10}{'p99 us':>10}{'max us':>10}")
    for name, figures in found.items():
        medians, highs, worsts = zip(*figures, strict=True)
        print(f"{name:34}{statistics.median(medians):10.2f}{statistics.median(highs):10.2f}{max(worsts):10.0f}")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        client, _ = logging_call([BrazeKit("app-key-1", ENDPOINT)], directory)
        one, eight, unfairness = threads_against_one(client, count)
        client.clear()
        client.close(timeout=0)
    print(f"\none thread {one:,.0f} events/s, eight threads {eight:,.0f} events/s, slowest / fastest {unfairness:.2f}")


if __name__ == "__main__":
    main()
