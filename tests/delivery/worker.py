"""What the process tests run: ``python -m tests.delivery.worker SCENARIO URL DIRECTORY [ARGUMENT]``."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from mparticle_kit_braze.delivery import Delivery, DeliveryOptions
from mparticle_kit_braze.diagnostics import Reporter
from mparticle_kit_braze.storage import Storage

from .support import JsonDestination, payloads


def say(text: str) -> None:
    print(text, flush=True)


def make(url: str, directory: str, **settings: float) -> Delivery:
    storage = Storage.open(directory, Reporter())
    return Delivery(JsonDestination(url), storage=storage, options=DeliveryOptions(**settings))  # type: ignore[arg-type]  # settings come as JSON


def endless(url: str, directory: str, prefix: str) -> None:
    """Append for ever, saying each number once it is accepted; a parent kills us."""
    delivery = make(url, directory, max_batch_records=200, flush_interval=0.05)
    number = int(prefix)
    write = os.write
    while True:
        delivery.append("e", b'{"n": %d}' % number)
        write(1, b"%d\n" % number)
        number += 1


def script(url: str, directory: str, count: str) -> None:
    """Append and simply end."""
    delivery = make(url, directory)
    for payload in payloads(range(int(count))):
        delivery.append("e", payload)


def fork_busy(url: str, directory: str, rounds: str) -> None:
    """Fork again and again while threads append and flush; every child appends its own and flushes."""
    delivery = make(url, directory, max_batch_records=50)
    stop = threading.Event()
    count = 0

    def hammer() -> None:
        nonlocal count
        while not stop.is_set():
            delivery.append("e", b'{"n": %d}' % count)
            count += 1
            if count % 40 == 0:
                delivery.flush_soon()
                delivery.stats()
                time.sleep(0.001)

    thread = threading.Thread(target=hammer)
    thread.start()
    children = []
    for number in range(int(rounds)):
        time.sleep(0.003)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                base = 1_000_000 * (number + 1)
                for index in range(20):
                    delivery.append("e", b'{"n": %d}' % (base + index))
                code = 0 if delivery.flush(20).complete else 2
                delivery.close(20)  # it may be sending for others: a batch in flight at the exit would go again
            finally:
                os._exit(code)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    stop.set()
    thread.join()
    complete = delivery.flush(20).complete
    say(f"{count} {codes} {complete}")


def fork_stuck(url: str, directory: str, _: str) -> None:
    """Fork while another thread keeps the outbox busy for longer than a fork waits."""
    delivery = make(url, directory)
    delivery.append("e", b'{"n": 1}')
    held, enough = threading.Event(), threading.Event()

    def hold() -> None:
        with delivery._engine.guard.held:
            held.set()
            enough.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    begun = time.monotonic()
    child = os.fork()
    if child == 0:
        accepted = delivery.append("e", b'{"n": 2}')
        kept = delivery.flush(0.3).kept
        os._exit(0 if accepted and kept == 1 else 1)
    waited = time.monotonic() - begun
    enough.set()
    thread.join()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    say(f"{code} {waited < 10} {delivery.flush(10).complete}")


def _pool_target(delivery: Delivery | None, url: str, directory: str, number: int) -> None:
    own = delivery or make(url, directory)
    own.append("e", b'{"n": %d}' % number)


def processes(url: str, directory: str, method: str) -> None:
    """Children of ``multiprocessing`` append and return."""
    context = multiprocessing.get_context(method)
    delivery = make(url, directory)
    delivery.append("e", b'{"n": 0}')
    handed = delivery if method == "fork" else None
    children = [
        context.Process(target=_pool_target, args=(handed, url, directory, number))  # type: ignore[attr-defined]  # contexts differ by start method
        for number in (1, 2, 3)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
    say(str([child.exitcode for child in children]))


def disk_limit(url: str, directory: str, limit: str) -> None:
    """Run into a file size limit: real short writes and real errors from the database."""
    import resource

    delivery = make(url, directory)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    accepted = sum(delivery.append("e", payload) for payload in payloads(range(250)))
    for start in range(250, 500, 25):  # the other half in groups, each with one write
        group = [("e", payload) for payload in payloads(range(start, start + 25))]
        accepted += len(group) - len(delivery.append_all(group))
    result = delivery.flush(20)
    say(f"{accepted} {result.sent} {result.kept}")
    os._exit(0)


def killed_with_a_full_disk(url: str, directory: str, limit: str) -> None:
    """Run into a file size limit while the server takes nothing, try to send all the same, and be killed."""
    import resource

    delivery = make(url, directory)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    for number in range(2000):
        delivery.append("e", b'{"n": %d, "text": "%s"}' % (number, b"x" * 60))
    for _ in range(3):
        delivery.flush(0.5)
    os.kill(os.getpid(), signal.SIGKILL)


def memory_budget(url: str, directory: str, count: str) -> None:
    """Log many records while the endpoint is dead and say how much memory that took, in KiB."""

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024

    delivery = make(url, directory)
    delivery.append("e", b"{}")
    delivery.flush(5)
    before = resident()
    for number in range(int(count)):
        delivery.append("e", b'{"n": %d, "text": "%s"}' % (number, b"x" * 500))
    delivery.flush(5)
    say(str(resident() - before))
    os._exit(0)


SCENARIOS: dict[str, Callable[[str, str, str], None]] = {
    function.__name__: function
    for function in (
        endless,
        script,
        fork_busy,
        fork_stuck,
        processes,
        disk_limit,
        killed_with_a_full_disk,
        memory_budget,
    )
}

if __name__ == "__main__":
    logging.getLogger("mparticle_kit_braze").addHandler(logging.NullHandler())  # what is logged is tested elsewhere
    SCENARIOS[sys.argv[1]](sys.argv[2], sys.argv[3], sys.argv[4] if len(sys.argv) > 4 else "0")
