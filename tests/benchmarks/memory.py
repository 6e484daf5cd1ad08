"""How memory grows with use: ``python -m tests.benchmarks.memory [--quick]``.

One client logs and sends 20,000 events, then a million more. Goal: less than 2 MB of growth over the million.
"""

from __future__ import annotations

import argparse
import tempfile
from typing import Any

from tests.benchmarks.local import log_events, make_client, peak_mb, rss_mb, running_sink

ROUND = 20_000
"""Events between two flushes."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--quick", action="store_true", help="100,000 events")
    options: Any = parser.parse_args()
    rounds = (100_000 if options.quick else options.events) // ROUND
    with running_sink() as host, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as storage:
        client = make_client(host, storage)
        figures = []
        for _ in range(rounds + 1):
            log_events(client, ROUND)
            assert client.flush(timeout=60).complete
            figures.append(rss_mb())
        client.close()
    print(f"after {ROUND:,} events {figures[0]:.1f} MB, after {rounds * ROUND:,} more {figures[-1]:.1f} MB")
    print(f"growth {figures[-1] - figures[0]:+.1f} MB; at most {peak_mb():.1f} MB")


if __name__ == "__main__":
    main()
