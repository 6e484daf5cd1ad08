"""What the process tests run: ``python worker.py SCENARIO URL DIRECTORY [ARGUMENT ...]``."""

from __future__ import annotations

import atexit
import faulthandler
import itertools
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mparticle_kit_braze import MParticle
from tests.faults.clients import log, make_client


def say(text: object) -> None:
    """Tell the test."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def client_on(url: str, directory: str, **options: Any) -> MParticle:
    """A client that logs nowhere: what is logged is tested elsewhere."""
    return make_client(url, directory, **options)


def endless(url: str, directory: str, notes: str, first: str = "0") -> None:
    """Log for ever, noting each id in a file once it is accepted; somebody kills us."""
    client = client_on(url, directory, flush_interval=0.02, max_batch_records=300)
    with Path(notes).open("ab", buffering=0) as file:
        for number in itertools.count(int(first)):
            log(client, [number])
            file.write(b"%d\n" % number)


def one_batch(url: str, directory: str, count: str) -> None:
    """Send one batch, and wait to be killed."""
    client = client_on(url, directory)
    log(client, range(int(count)))
    say("logged")
    client.flush(timeout=30)
    say("flushed")
    sys.stdin.read()


def script(url: str, directory: str, count: str, budget: str) -> None:
    """Log and simply end; say when the last line of the script was reached."""
    client = client_on(url, directory, exit_timeout=float(budget))
    log(client, range(int(count)))
    say(time.time())


def exit_in_thread(url: str, directory: str, count: str) -> None:
    """Make the client, log and ``sys.exit`` in a thread; then end."""
    clients = []

    def work() -> None:
        clients.append(client_on(url, directory))
        log(clients[0], range(int(count)))
        sys.exit(3)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def daemon_logs(url: str, directory: str, notes: str) -> None:
    """End while a daemon thread is logging."""
    client = client_on(url, directory, exit_timeout=20)  # it takes milliseconds; on a machine at its limits, who knows
    file = Path(notes).open("ab", buffering=0)  # noqa: SIM115  (it must outlive this function)

    def work() -> None:
        for number in itertools.count():
            log(client, [number])
            file.write(b"%d\n" % number)
            time.sleep(0.0002)

    threading.Thread(target=work, daemon=True).start()
    while Path(notes).stat().st_size < 500:
        time.sleep(0.002)


def exit_handlers(url: str, directory: str) -> None:
    """Exit handlers of the host log, before ours and after it."""
    clients: list[MParticle] = []
    atexit.register(lambda: log(clients[0], [1]))
    clients.append(client_on(url, directory))
    log(clients[0], [0])
    atexit.register(lambda: log(clients[0], [2]))


def interrupted(url: str, directory: str) -> None:
    """Ctrl-C while a flush waits ends the script with KeyboardInterrupt, caught by the host; then it ends."""
    client = client_on(url, directory)
    log(client, range(5))
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    try:
        client.flush(timeout=30)
    except KeyboardInterrupt:
        say("interrupted")
    log(client, range(5, 10))


def exits_with(url: str, directory: str, how: str) -> None:
    """End in an unusual way after logging."""
    client = client_on(url, directory)
    log(client, range(10))
    if how == "os._exit":
        os._exit(0)
    elif how == "closed streams":
        sys.stdout.close()
        sys.stderr.close()
    elif how == "finalizer":
        # Logged while the interpreter tears its modules down.
        class Late:
            def __init__(self, client: MParticle) -> None:
                self.client = client

            def __del__(self) -> None:
                log(self.client, [10])

        sys.late = Late(client)  # type: ignore[attr-defined]  # a place that outlives this module


def flush_and_leave(client: MParticle) -> None:
    """End a forked child, telling by its exit code whether everything was sent."""
    result = client.flush(timeout=20)
    if not result.complete:
        sys.stderr.write(f"{result} {client.stats()}\n")
    client.close(timeout=20)  # it may be sending for others: a batch in flight at the exit would go again
    os._exit(0 if result.complete else 9)


def fork_once(url: str, directory: str) -> None:
    """Fork with an unsent event; parent and child log and flush."""
    client = client_on(url, directory)
    log(client, [1])
    child = os.fork()
    if child == 0:
        log(client, [2])
        flush_and_leave(client)
    log(client, [3])
    say([wait_for(child), client.flush(timeout=20).complete])


def fork_while_importing(url: str, directory: str) -> None:
    """Fork at the very moment at which our thread imports the HTTP library."""
    client = client_on(url, directory)
    log(client, [1])
    client.kit("Braze").request_immediate_data_flush()
    while "urllib3" not in sys.modules:
        time.sleep(0)
    child = os.fork()
    if child == 0:
        log(client, [2])
        flush_and_leave(client)
    say([wait_for(child), client.flush(timeout=20).complete])


def fork_busy(url: str, directory: str, rounds: str) -> None:
    """Fork again and again while other threads log, set attributes, flush and ask, so that any lock may be held."""
    client = client_on(url, directory, max_batch_records=50, flush_interval=0.02)
    stop = threading.Event()
    logged = itertools.count()
    accepted: list[int] = []

    def events() -> None:
        while not stop.is_set():
            number = next(logged)
            log(client, [number])
            accepted.append(number)
            time.sleep(0.0003)

    def attributes() -> None:
        for number in itertools.count():
            if stop.is_set():
                return
            client.set_user_attribute("beat", number)
            client.stats()
            if number % 10 == 0:
                client.identify(customer_id=f"user-{number % 3}")

    threads = [threading.Thread(target=work) for work in (events, attributes)]
    for thread in threads:
        thread.start()
    codes = []
    for number in range(1, int(rounds) + 1):
        time.sleep(0.004)
        child = os.fork()
        if child == 0:
            client.set_user_attribute("child", number)
            log(client, range(1_000_000 * number, 1_000_000 * number + 10))
            client.identify(customer_id=f"child-{number}")
            client.stats()
            flush_and_leave(client)
        codes.append(child)
    codes = [wait_for(child) for child in codes]
    stop.set()
    for thread in threads:
        thread.join()
    say([len(accepted), sorted(set(codes)), client.flush(timeout=20).complete])


def wait_for(child: int) -> int:
    """The exit code of a child; kills one that hangs."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGUSR1)  # says on stderr where it hangs
    time.sleep(1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -99


def preload(url: str, directory: str, workers: str) -> None:
    """As a preforking web server: the application is loaded, with a client that has logged, then workers fork.

    The workers outlive the parent's client, serve requests that set attributes, and end without a flush.
    """
    client = client_on(url, directory)
    client.identify(customer_id="preloaded")
    log(client, [0])
    client.flush(timeout=10)
    children = []
    for number in range(1, int(workers) + 1):
        child = os.fork()
        if child == 0:
            os.read(gate_out, 1)
            for request in range(10):
                client.set_user_attribute(f"worker-{number}", request)
                log(client, [number * 100 + request])
            sys.exit(0)
        children.append(child)
    log(client, [1])
    client.close(timeout=10)
    os.write(gate_in, b"g" * len(children))
    say([wait_for(child) for child in children])


def outlive(url: str, directory: str) -> None:
    """A child outlives its parent's client, and others use the directory meanwhile."""
    client = client_on(url, directory)
    client.set_user_attribute("parent", "was here")
    child = os.fork()
    if child == 0:
        os.read(gate_out, 1)
        client.set_user_attribute("child", "was here first")
        say("set")
        sys.stdin.readline()
        client.set_user_attribute("child_again", "was here last")
        client.close(timeout=10)
        os._exit(0)
    client.close(timeout=10)
    os.write(gate_in, b"g")
    sys.exit(wait_for(child))


gate_out, gate_in = os.pipe()


def in_child(client: MParticle, number: int) -> None:
    """What a child of ``multiprocessing`` does with the client it inherited."""
    log(client, [number])


def in_new_child(url: str, directory: str, number: int) -> None:
    """What a child that inherits nothing does: it makes a client and ends without closing it."""
    in_new_child.client = client_on(url, directory, exit_timeout=20)  # type: ignore[attr-defined]  # kept on the function, for the child
    log(in_new_child.client, [number])  # type: ignore[attr-defined]  # kept on the function, for the child


def processes(url: str, directory: str, method: Any) -> None:
    """Children of multiprocessing, by each of its ways, beside a parent with an unsent event."""
    context = multiprocessing.get_context(method)
    client = client_on(url, directory, exit_timeout=20)  # it takes milliseconds; on a machine at its limits, who knows
    log(client, [0])
    children: list[Any] = []
    for number in (1, 2):
        if method == "fork":
            children.append(context.Process(target=in_child, args=(client, number)))
        else:
            children.append(context.Process(target=in_new_child, args=(url, directory, number)))
    for child in children:
        child.start()
    for child in children:
        child.join(30)
    say([child.exitcode for child in children])


def full_disk(url: str, directory: str, limit: str) -> None:
    """No file may grow beyond a limit, with real short writes and errors; say what was accepted and reported."""
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    problems: list[str] = []
    client = client_on(url, directory, on_error=lambda problem: problems.append(problem.code))
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
    for number in range(300):
        log(client, [number])
        client.set_user_attribute("n", number)
    complete = client.flush(timeout=20).complete
    say([complete, sorted(set(problems))])


def noise(url: str, directory: str, notes: str, first: str) -> None:
    """One of several processes on one directory: log for a while, then end in good order."""
    client = client_on(url, directory, flush_interval=0.02, max_batch_records=100)
    with Path(notes).open("ab", buffering=0) as file:
        for number in range(int(first), int(first) + 300):
            log(client, [number])
            file.write(b"%d\n" % number)
    client.close(timeout=15)


SCENARIOS: dict[str, Callable[..., None]] = {
    work.__name__: work
    for work in (
        endless,
        one_batch,
        script,
        exit_in_thread,
        daemon_logs,
        exit_handlers,
        interrupted,
        exits_with,
        fork_once,
        fork_while_importing,
        fork_busy,
        preload,
        outlive,
        processes,
        full_disk,
        noise,
    )
}

if __name__ == "__main__":
    faulthandler.register(signal.SIGUSR1)
    if sys.argv[1] != "script":
        logging.getLogger("mparticle_kit_braze").addHandler(logging.NullHandler())
    SCENARIOS[sys.argv[1]](*sys.argv[2:])
