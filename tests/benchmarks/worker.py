"""Time one SDK: N events of five properties from one thread to a local sink, one JSON line of figures.

``python worker.py NAME N PORT``. Run by :mod:`tests.benchmarks.peers` in an environment that has the peers installed;
``ours`` is this package, with its durable queue in a fresh directory.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from typing import Any

Call = Callable[[int], object]
Finish = Callable[[], object]


def properties(i: int) -> dict[str, Any]:
    """Five properties of the usual types."""
    return {"genre": "Jazz", "plays": i, "rating": 4.5, "live": True, "title": "A Night in Tunisia"}


def segment(host: str) -> tuple[Call, Finish]:
    """Segment's client, with a queue that takes everything."""
    import segment.analytics as sdk

    sdk.write_key, sdk.host, sdk.max_queue_size = "k", host, 10**7
    return lambda i: sdk.track("user-1", "Played Song", properties(i)), lambda: (sdk.flush(), sdk.shutdown())


def rudderstack(host: str) -> tuple[Call, Finish]:
    """RudderStack's client."""
    import rudderstack.analytics as sdk

    sdk.write_key, sdk.dataPlaneUrl, sdk.max_queue_size = "k", host, 10**7
    return lambda i: sdk.track("user-1", "Played Song", properties(i)), lambda: (sdk.flush(), sdk.shutdown())


def posthog(host: str) -> tuple[Call, Finish]:
    """PostHog's client."""
    from posthog import Posthog

    sdk = Posthog("k", host=host, max_queue_size=10**7)
    return (
        lambda i: sdk.capture("Played Song", distinct_id="user-1", properties=properties(i)),
        lambda: (sdk.flush(), sdk.shutdown()),
    )


def amplitude(host: str) -> tuple[Call, Finish]:
    """Amplitude's client."""
    from amplitude import Amplitude, BaseEvent

    sdk = Amplitude("k")
    sdk.configuration.server_url = host + "/2/httpapi"
    return (
        lambda i: sdk.track(BaseEvent("Played Song", user_id="user-1", event_properties=properties(i))),
        sdk.shutdown,
    )


def snowplow(host: str) -> tuple[Call, Finish]:
    """Snowplow's tracker with its asynchronous emitter."""
    from snowplow_tracker import AsyncEmitter, SelfDescribing, SelfDescribingJson, Tracker

    port = int(host.rsplit(":", 1)[1])
    emitter = AsyncEmitter("127.0.0.1", protocol="http", port=port, method="post", batch_size=50)
    tracker = Tracker(namespace="n", emitters=emitter)
    schema = "iglu:com.example/played_song/jsonschema/1-0-0"
    return (
        lambda i: tracker.track(SelfDescribing(SelfDescribingJson(schema, properties(i)))),
        tracker.flush,
    )


def ours(host: str) -> tuple[Call, Finish]:
    """This package: native profile, one identified user, durable queue."""
    from mparticle_kit_braze import BrazeKit, EventType, MParticle

    client = MParticle(kits=[BrazeKit("app-key-1", host)], storage=tempfile.mkdtemp())
    client.identify(customer_id="user-1")
    return (
        lambda i: client.log_event("Played Song", EventType.OTHER, properties(i)),
        lambda: (client.flush(timeout=60), client.close(timeout=5)),
    )


SDKS: dict[str, Callable[[str], tuple[Call, Finish]]] = {
    "ours": ours,
    "snowplow": snowplow,
    "segment": segment,
    "rudderstack": rudderstack,
    "posthog": posthog,
    "amplitude": amplitude,
}


def arrived(host: str, wanted: int, timeout: float) -> dict[str, int]:
    """Wait until the sink has ``wanted`` events, and return what it counted."""
    total = {"requests": 0, "bytes": 0, "events": 0}
    deadline = time.monotonic() + timeout
    while True:
        with urllib.request.urlopen(host + "/stats") as answer:
            for key, value in json.load(answer).items():
                total[key] += value
        if total["events"] >= wanted or time.monotonic() > deadline:
            return total
        time.sleep(0.05)


def main() -> None:
    """Measure one SDK and print the figures."""
    name, count, port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    host = f"http://127.0.0.1:{port}"
    started = time.perf_counter()
    call, finish = SDKS[name](host)
    setup = time.perf_counter() - started
    call(-1)
    clock, latencies = time.perf_counter_ns, []
    start, cpu = time.perf_counter(), time.process_time()
    for i in range(count):
        before = clock()
        call(i)
        latencies.append(clock() - before)
    logged = time.perf_counter()
    finish()
    total, cpu = time.perf_counter() - start, time.process_time() - cpu
    sink = arrived(host, count, 60)
    latencies.sort()
    figures = {
        "setup_ms": setup * 1e3,
        "p50_us": latencies[count // 2] / 1e3,
        "p99_us": latencies[int(count * 0.99)] / 1e3,
        "max_ms": latencies[-1] / 1e6,
        "logging_s": logged - start,
        "events_per_s": count / total,
        "cpu_us_per_event": cpu / count * 1e6,
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "bytes_per_event": sink["bytes"] / max(1, sink["events"]),
        "requests": sink["requests"],
        "arrived": sink["events"],
    }
    print(json.dumps(figures), flush=True)
    os._exit(0)  # what is measured is over; some peers take a minute to leave


if __name__ == "__main__":
    main()
