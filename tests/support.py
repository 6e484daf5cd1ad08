"""Helpers that tests of every area share."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

__all__ = ["ManualClock", "free_port", "python_process", "run_python", "wait_until"]

ROOT = Path(__file__).resolve().parent.parent
"""The directory that the package is importable from."""


class ManualClock:
    """A clock that moves only when told to. Wall and monotonic time can be moved apart."""

    def __init__(self, wall: float = 1_700_000_000.0, monotonic: float = 1000.0) -> None:
        self._lock = threading.Lock()
        self._wall = wall
        self._monotonic = monotonic

    def time(self) -> float:
        """Wall-clock seconds since the epoch."""
        with self._lock:
            return self._wall

    def monotonic(self) -> float:
        """Seconds that never go back."""
        with self._lock:
            return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        with self._lock:
            self._wall += seconds
            self._monotonic += seconds

    def jump(self, seconds: float) -> None:
        """Set the wall clock forth or back, as an administrator would."""
        with self._lock:
            self._wall += seconds


def wait_until(predicate: Callable[[], object], timeout: float = 20.0, *, what: str = "the condition") -> None:
    """Wait until ``predicate()`` is true; fail after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not predicate():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} was not met within {timeout} s")
        time.sleep(0.002)


def child_environment(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment with the package importable, and ``env`` on top."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **(env or {})}


def run_python(
    code: str | Path,
    *arguments: str,
    timeout: float = 30.0,
    env: Mapping[str, str] | None = None,
    options: Sequence[str] = ("-W", "error"),
) -> subprocess.CompletedProcess[str]:
    """Run a child interpreter to its end.

    Args:
        code: The program text (indentation is taken off), or the path of a script.
        arguments: What it finds in ``sys.argv[1:]``.
        timeout: Seconds after which the child is killed and the test fails.
        env: Environment variables on top of this process's.
        options: The interpreter's own options; warnings are errors unless told otherwise.

    Returns:
        The exit status (``returncode``), ``stdout`` and ``stderr``.
    """
    return subprocess.run(
        _command(code, arguments, options),
        capture_output=True,
        text=True,
        timeout=timeout,
        env=child_environment(env),
        check=False,
    )


def python_process(
    code: str | Path,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    options: Sequence[str] = ("-W", "error"),
) -> subprocess.Popen[str]:
    """Start a child interpreter; its input and output are pipes. Use it as a context manager."""
    return subprocess.Popen(
        _command(code, arguments, options),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=child_environment(env),
    )


def _command(code: str | Path, arguments: Sequence[str], options: Sequence[str]) -> list[str]:
    program = [str(code)] if isinstance(code, Path) else ["-c", textwrap.dedent(code)]
    return [sys.executable, *options, *program, *arguments]


def free_port() -> int:
    """A port of the loopback address that nothing listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
