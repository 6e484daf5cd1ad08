"""How long a call can be held up by the sending thread: ``python -m tests.benchmarks.stalls [--quick]``.

Logs events as fast as it can, first with sending off, then while the dispatcher sends that backlog and what comes
in, to a local sink. The first figures are what the machine itself does to a call. Goal: the worst call under 5 ms.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from typing import Any

from tests.benchmarks.local import delivery_of, log_events, make_client, running_sink


def latencies(call: Callable[[], object], seconds: float) -> list[int]:
    """Nanoseconds of each call, sorted."""
    clock, found = time.perf_counter_ns, []
    end = before = clock()
    end += int(seconds * 1e9)
    while before < end:
        before = clock()
        call()
        found.append(clock() - before)
    return sorted(found)


def report(name: str, found: list[int]) -> None:
    """One line."""
    shares = " ".join(f"p{share:g} {found[int(len(found) * share / 100)] / 1e3:8.1f} us" for share in (50, 99, 99.9))
    longest = " ".join(f"{nanoseconds / 1e6:.2f}" for nanoseconds in found[-5:])
    print(f"{name:14} {len(found):9,} calls  {shares}  worst five {longest} ms")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--quick", action="store_true", help="2 seconds")
    options: Any = parser.parse_args()
    seconds = 2.0 if options.quick else options.seconds
    with running_sink() as host, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as storage:
        client = make_client(host, storage)
        log_events(client, 1)
        client.flush(timeout=30)  # what is loaded at the first request is loaded
        delivery = delivery_of(client)

        def call() -> None:
            log_events(client, 1)

        delivery.pause()
        report("not sending", latencies(call, seconds))
        sent = delivery.stats().sent
        delivery.unpause()
        report("sending", latencies(call, seconds))
        print(f"{delivery.stats().sent - sent:,} events were sent meanwhile")
        client.clear()
        client.close(timeout=0)


if __name__ == "__main__":
    main()
