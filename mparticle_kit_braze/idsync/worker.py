"""One thread that makes requests in order and waits between attempts; it exists only while there is something to do."""

from __future__ import annotations

import os
import random
import threading
from collections import deque
from collections.abc import Callable

from ..clock import Wakeup
from ..locks import ForkSafeLock

__all__ = ["Job", "Worker"]

FIRST_WAIT = 1.0
LONGEST_WAIT = 300.0

Job = Callable[[int], float | None]
"""Makes one attempt, given its number from 1 on. Returns ``None`` when done, else the least seconds to wait."""


class Worker:
    """Runs jobs one after the other, each until it is done.

    Args:
        name: The thread's name.
        first_wait: Seconds that the first wait is at most; the next ones double, up to five minutes.
    """

    def __init__(self, name: str, *, first_wait: float = FIRST_WAIT) -> None:
        self._name = name
        self._first_wait = first_wait
        self._lock = ForkSafeLock()
        self._jobs: deque[Job] = deque()
        self._thread: threading.Thread | None = None
        self._wakeup = Wakeup()
        self._closed = False
        self._pid = os.getpid()

    def add(self, job: Job) -> None:
        """Run a job after those that wait; never waits."""
        with self._lock.held:
            if self._pid != os.getpid():  # a forked child: the thread and its jobs are the parent's
                self._pid = os.getpid()
                self._jobs, self._thread, self._wakeup = deque(), None, Wakeup()
            if self._closed:
                return
            self._jobs.append(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def close(self, timeout: float = 0.25) -> None:
        """End the thread; what it has not done is given up. Waits ``timeout`` seconds at most."""
        with self._lock.held:
            self._closed = True
            self._jobs = deque()
            thread = self._thread if self._pid == os.getpid() else None
        self._wakeup.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def _run(self) -> None:
        while (job := self._next()) is not None:
            attempt = 1
            while not self._closed and (least := job(attempt)) is not None:
                grown = min(LONGEST_WAIT, self._first_wait * 2 ** min(attempt - 1, 16))
                # Full jitter over the half: clients that failed together do not come back together.
                self._wakeup.wait(max(least, grown * random.uniform(0.5, 1.0)))  # noqa: S311 - not a secret
                attempt += 1

    def _next(self) -> Job | None:
        with self._lock.held:
            if self._jobs and not self._closed:
                return self._jobs.popleft()
            self._thread = None
            return None
