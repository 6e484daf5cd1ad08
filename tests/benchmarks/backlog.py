"""Drain a backlog of stored events through the whole stack: ``python -m tests.benchmarks.backlog [--quick]``.

One process logs the events with sending off and dies; a second one opens the same storage and sends them all to a
local sink. Goals: at least 20,000 events/s, and memory that stays less than 20 MB above that of an idle client.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from typing import Any

from tests.benchmarks.local import ROOT, delivery_of, log_events, make_client, peak_mb, rss_mb, running_sink


def fill(host: str, storage: str, count: int) -> None:
    """Log the events, send none, and die."""
    client = make_client(host, storage)
    delivery_of(client).pause()
    log_events(client, count)
    os._exit(0)


def idle(host: str, storage: str, _count: int) -> None:
    """Send one event, and say how much memory a client takes that has nothing to do."""
    client = make_client(host, storage)
    log_events(client, 1)
    client.flush(timeout=30)
    print(rss_mb())
    client.close()


def drain(host: str, storage: str, _count: int) -> None:
    """Send everything that is stored; say how much that was, how long it took, and the most memory in between."""
    start = time.perf_counter()
    client = make_client(host, storage)
    result = client.flush(timeout=600)
    took = time.perf_counter() - start
    assert result.complete
    print(client.stats().kits["Braze"].sent, took, peak_mb(), time.process_time())
    client.close()


def run(step: str, host: str, storage: str, count: int) -> list[float]:
    """One step in a process of its own; what it printed."""
    command = [sys.executable, "-m", "tests.benchmarks.backlog", "--step", step, host, storage, "--events", str(count)]
    output = subprocess.run(command, cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE).stdout
    return [float(word) for word in output.split()]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--quick", action="store_true", help="50,000 events")
    parser.add_argument("--step", nargs=3, metavar=("STEP", "HOST", "STORAGE"), help=argparse.SUPPRESS)
    options: Any = parser.parse_args()
    if options.step:
        step, host, storage = options.step
        {"fill": fill, "idle": idle, "drain": drain}[step](host, storage, options.events)
        return
    count = 50_000 if options.quick else options.events
    with running_sink() as host, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        (resting,) = run("idle", host, f"{scratch}/idle", 0)
        run("fill", host, f"{scratch}/backlog", count)
        sent, took, peak, cpu = run("drain", host, f"{scratch}/backlog", count)
    print(f"sent        {sent:,.0f} in {took:.1f} s = {sent / took:,.0f} events/s, {cpu / sent * 1e6:.1f} us CPU each")
    print(f"memory      {resting:.1f} MB idle, {peak:.1f} MB at most while draining ({peak - resting:+.1f} MB)")


if __name__ == "__main__":
    main()
