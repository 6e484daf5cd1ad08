"""What the fault tests share: clients on the public face, endpoints that misbehave, and worker processes."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import struct
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mparticle_kit_braze import MParticle, Problem
from mparticle_kit_braze.sandbox import Sandbox
from mparticle_kit_braze.sandbox.server import DEFAULT_CONFIG
from tests.support import python_process

from .clients import KEY, log, make_client

__all__ = [
    "KEY",
    "QUICK",
    "Problems",
    "accepted_by",
    "doubled",
    "ids",
    "ids_of_request",
    "log",
    "make_client",
    "misbehaving",
    "mode_of",
    "prime",
    "run_worker",
    "start_worker",
]

QUICK: dict[str, Any] = {
    **DEFAULT_CONFIG,
    "global_request_rate_limit": {"enabled": False},
    "request_backoff": {"min_sleep_duration_ms": 30, "max_sleep_duration_ms": 150, "scale_factor": 3},
}
"""A server configuration with which a client waits for fractions of a second instead of 10 and more."""

WORKER = Path(__file__).with_name("worker.py")
FORK_OPTIONS = ("-W", "error", "-W", "ignore::DeprecationWarning")
"""From 3.12 on Python warns of every fork in a process with threads: that is what we are here to try."""


# -- clients --------------------------------------------------------------------------------------------------------
class Problems:
    """An ``on_error`` that keeps what it is told."""

    def __init__(self) -> None:
        self.all: list[Problem] = []

    def __call__(self, problem: Problem) -> None:
        """One more."""
        self.all.append(problem)

    @property
    def codes(self) -> list[str]:
        """The codes in order."""
        return [problem.code for problem in self.all]

    def count(self, code: str) -> int:
        """What the problems of one code add up to."""
        return sum(problem.count for problem in self.all if problem.code == code)


def ids(sandbox: Sandbox) -> list[int]:
    """The ids of the events that were accepted, in the order of their arrival."""
    return list(_ids(sandbox.events))


def ids_of_request(request: Any) -> list[int]:
    """The ids in one request."""
    return list(_ids((request.body or {}).get("events", [])))


def _ids(events: Iterable[Any]) -> Iterator[int]:
    for event in events:
        number = event["data"].get("p", {}).get("id") if event["name"] == "ce" else None
        if number is not None:
            yield number


def prime(client: MParticle, sandbox: Sandbox) -> int:
    """Have the client learn the sandbox's configuration; gives how many requests that took."""
    client.log_event("Primed")
    assert client.flush(timeout=20).complete
    return len(sandbox.requests)


# -- endpoints that misbehave ---------------------------------------------------------------------------------------
def _swallow(connection: socket.socket) -> None:
    """Take everything in and say nothing."""
    while connection.recv(65536):
        pass


def _reset(connection: socket.socket) -> None:
    """Break the connection off in the middle of the request."""
    connection.recv(100)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _garbage(connection: socket.socket) -> None:
    """Speak no HTTP."""
    _read_request(connection)
    connection.sendall(b"\x15\x03\x01\x00\x02\x02\x46 this is not HTTP\r\n\r\n")


def _cut_status(connection: socket.socket) -> None:
    """Break off in the middle of the status line."""
    _read_request(connection)
    connection.sendall(b"HTTP/1.1 2")


def _cut_headers(connection: socket.socket) -> None:
    """Break off before there is an answer at all."""
    _read_request(connection)


def _read_request(connection: socket.socket) -> None:
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            return
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    (length,) = (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
    while len(body) < length and (part := connection.recv(65536)):
        body += part


BEHAVIOURS: dict[str, Callable[[socket.socket], None]] = {
    "hangs": _swallow,
    "resets": _reset,
    "garbage": _garbage,
    "cut-status": _cut_status,
    "no-answer": _cut_headers,
}


class _RawServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int, behaviour: str) -> None:
        self.attempts = 0
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                outer.attempts += 1
                with contextlib.suppress(OSError):
                    BEHAVIOURS[behaviour](self.request)

        super().__init__(("127.0.0.1", port), Handler)


@contextlib.contextmanager
def misbehaving(sandbox: Sandbox, behaviour: str) -> Iterator[Callable[[], int]]:
    """For a while nothing (``refused``) or something that misbehaves listens in place of the sandbox.

    Gives a function that says how many connections were tried; for ``refused`` there is no telling.
    """
    sandbox.stop()
    if behaviour == "refused":
        try:
            yield lambda: -1
        finally:
            sandbox.start()
        return
    server = _RawServer(sandbox.port, behaviour)
    thread = threading.Thread(target=server.serve_forever, args=(0.002,), daemon=True)
    thread.start()
    try:
        yield lambda: server.attempts
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        sandbox.start()


# -- processes ------------------------------------------------------------------------------------------------------
def start_worker(scenario: str, sandbox: Sandbox | str, storage: Path, *arguments: object) -> subprocess.Popen[str]:
    """Start one of the programs of ``worker.py``."""
    url = sandbox if isinstance(sandbox, str) else sandbox.url
    return python_process(WORKER, scenario, url, str(storage), *map(str, arguments), options=FORK_OPTIONS)


def run_worker(
    scenario: str, sandbox: Sandbox | str, storage: Path, *arguments: object, timeout: float = 40, stderr: str = ""
) -> str:
    """Run one to its end, which must be a good one; returns what it printed."""
    with start_worker(scenario, sandbox, storage, *arguments) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            try:
                out, err = process.communicate(timeout=5)
            except subprocess.TimeoutExpired:  # children of its own keep the pipes open
                out, err = "", "a child of it hangs"
            raise AssertionError(
                f"{scenario} did not end within {timeout} s; it said {out[-500:]!r} {err[-2000:]!r}"
            ) from None
    if (process.returncode, err) != (0, stderr):
        raise AssertionError(f"{scenario} ended with {process.returncode}; it said {out[-500:]!r} {err[-2000:]!r}")
    return out


def accepted_by(path: Path) -> list[int]:
    """The ids a worker noted in a file after ``log_event`` had returned; a line cut short does not count."""
    return [int(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def doubled(numbers: Sequence[int]) -> set[int]:
    """What occurs more than once."""
    return {number for number, times in Counter(numbers).items() if times > 1}


def mode_of(path: Path) -> int:
    """The permissions of a file."""
    return path.stat().st_mode & 0o777
