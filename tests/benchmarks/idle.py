"""What a client does when there is nothing to do: ``python -m tests.benchmarks.idle [--quick]``.

Counts how often the threads of this process gave up the processor by themselves (``/proc/self/task/*/status``): a
thread that sleeps without a time-out never does. Goals: no thread before the first event, no wake-up in a minute.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.local import log_events, make_client, running_sink


def switches() -> dict[int, int]:
    """Voluntary context switches of each thread but the main one."""
    counts = {}
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and thread.native_id is not None:
            status = Path(f"/proc/self/task/{thread.native_id}/status").read_text(encoding="ascii")
            line = next(line for line in status.splitlines() if line.startswith("voluntary_ctxt_switches"))
            counts[thread.native_id] = int(line.split()[1])
    return counts


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--quick", action="store_true", help="5 seconds")
    options: Any = parser.parse_args()
    seconds = 5.0 if options.quick else options.seconds
    with running_sink() as host, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as storage:
        client = make_client(host, storage, identified=False)
        print(f"before the first event: {threading.active_count() - 1} threads")
        log_events(client, 100)
        assert client.flush(timeout=30).complete
        time.sleep(0.2)
        before, cpu = switches(), time.process_time()
        time.sleep(seconds)
        after = switches()
        cpu = time.process_time() - cpu
        client.close()
    woken = {thread: count - before.get(thread, 0) for thread, count in after.items()}
    print(f"idle for {seconds:.0f} s: {len(woken)} threads, {sum(woken.values())} wake-ups, {cpu * 1e3:.1f} ms CPU")


if __name__ == "__main__":
    main()
