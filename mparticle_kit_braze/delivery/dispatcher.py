"""The dispatcher: one daemon thread that decides when to work and when to sleep.

The thread starts with the first record, sleeps without a time-out when there is nothing to do, and holds the
lease only while it works. All other threads talk to it by raising flags: nothing here waits for a lock that an
interrupted or a forking thread could hold.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
from collections.abc import Callable

from ..clock import Clock, WaitingClock, Wakeup
from ..diagnostics import Reporter
from .backlog import Backlog
from .courier import Courier
from .exchanges import Exchanges
from .flushes import Flushes, Ticket
from .intake import Intake
from .lease import Lease
from .options import DeliveryOptions
from .outbox import Totals
from .store import OutboxBusyError

__all__ = ["Dispatcher"]

POLL = 2.0
"""Seconds until a busy lease or a locked outbox is tried again."""

FLUSH_POLL = 0.05
"""The same while a caller waits in a flush."""

ABSORB_INTERVAL = 0.25
"""Seconds between two looks at the journals while full batches wait: each look is a transaction."""


class Dispatcher:
    """Runs the courier's errands.

    Args:
        name: The destination's name, for the name of the thread.
        courier: Who sends.
        exchanges: Requests without records, made on the same thread.
        backlog: What is sent.
        intake: Where it comes from.
        lease: Who of several processes may send.
        options: Intervals and bounds.
        reporter: Where trouble is reported.
        clock: Time, and the waiting for it if it is a :class:`~mparticle_kit_braze.clock.WaitingClock`.
        on_start: Called when the thread has been started.
        on_end: Called when it ends for good.

    Attributes:
        flushes: The flushes in progress.
    """

    def __init__(
        self,
        name: str,
        *,
        courier: Courier,
        exchanges: Exchanges,
        backlog: Backlog,
        intake: Intake,
        lease: Lease,
        options: DeliveryOptions,
        reporter: Reporter,
        clock: Clock,
        on_start: Callable[[], object],
        on_end: Callable[[], object],
    ) -> None:
        self._name = f"mparticle_kit_braze.delivery-{name}"
        self._courier = courier
        self._backlog = backlog
        self._intake = intake
        self._lease = lease
        self._options = options
        self._reporter = reporter
        self._clock = clock
        self._on_start = on_start
        self._on_end = on_end
        self._wait_on = clock.wait if isinstance(clock, WaitingClock) else Wakeup.wait
        self.exchanges = exchanges
        self.flushes: Flushes = Flushes(backlog, courier, clock)
        intake.wake = self.wake
        self.reset()

    def reset(self) -> None:
        """Begin anew, without a thread; also in a forked child."""
        self.exchanges.clear()
        self.flushes.reset()
        self._pid = os.getpid()
        self._wakeup = Wakeup()
        self._start_lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._finishing = False
        self._requested = False
        self._ignore_backoff = False
        self._only_full = False  # nothing was asked for: there is just enough for a full batch
        self._target = 0  # records before this id are due
        self._absorbed = -math.inf  # monotonic time of the last look at the journals
        self._due: float | None = None  # monotonic time of the next spell of work, if one is planned

    # -- called by any thread -----------------------------------------------------------------------------------
    def wake(self) -> None:
        """Have the thread look round, starting it if need be. Never blocks, never raises."""
        self._wakeup.set()
        # Tried, not waited for: whoever holds it is starting the thread already.
        if self._thread is None and self._start_lock.acquire(blocking=False):
            try:
                self._start()
            finally:
                self._start_lock.release()

    def _start(self) -> None:
        if self._thread is not None or self._stopping:
            return
        thread = self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # The interpreter is shutting down, or the machine is out of threads. The record is safe where it is, and
            # the next one tries again.
            self._thread = None
            self._intake.idle = True
        except BaseException:
            if thread.ident is None:  # KeyboardInterrupt came before it began
                self._thread = None
                self._intake.idle = True
            raise
        else:
            self._on_start()

    @property
    def running(self) -> bool:
        """Whether there is a thread."""
        return self._thread is not None or self._start_lock.locked()

    def is_current_thread(self) -> bool:
        """Whether the caller is the dispatcher itself (a callback, the destination)."""
        return self._thread is threading.current_thread()

    def request(self, *, ignore_backoff: bool) -> None:
        """Ask for a request now instead of at the interval."""
        if ignore_backoff:
            self._ignore_backoff = True
        self._requested = True
        self.wake()

    def flush(self, deadline: float | None) -> Ticket | None:
        """Begin a flush; ``None`` if there is no thread to do it."""
        ticket = self.flushes.open(deadline)
        self.wake()
        return ticket if self.running else None

    def wait_for(self, ticket: Ticket, timeout: float | None) -> bool:
        """Wait for a flush to be over; false at the time-out, or if the thread has ended."""
        thread = self._thread
        if thread is None or self._pid != os.getpid():  # a forked child that nobody told of the fork
            return ticket.done.wait(0)
        if timeout is not None:
            return ticket.done.wait(timeout)
        while not ticket.done.wait(1.0):
            # Not is_alive(): before Python 3.13 one that KeyboardInterrupt cuts short takes a thread for dead for ever.
            if self._thread is not thread:
                return ticket.done.wait(0)
        return True

    def finish(self) -> bool:
        """Have the thread end once it has sent what can be sent at once; false if there is none."""
        self._finishing = True
        self._requested = True
        self._wakeup.set()
        return self._thread is not None

    def stop(self, timeout: float) -> bool:
        """End the thread, waiting for it at most so long; says whether it has ended."""
        self._stopping = True
        self._wakeup.set()
        thread = self._thread
        if thread is None:
            return True
        if thread is threading.current_thread():
            return False
        thread.join(timeout)
        return self._thread is None

    def next_attempt(self) -> float | None:
        """Wall-clock time of the next planned request."""
        due = self._due
        if due is None or not math.isfinite(due) or self._courier.paused or self._courier.unauthorized:
            return None
        return self._clock.time() + max(0.0, due - self._clock.monotonic())

    # -- the thread ---------------------------------------------------------------------------------------------
    def _run(self) -> None:
        while not self._stopping:
            try:
                self._turn()
            except OutboxBusyError:
                self._try_later()
            except BaseException as error:  # noqa: BLE001  (no fault of ours, and no sys.exit() of a callback, ends delivery)
                with contextlib.suppress(BaseException):  # a logging handler may raise it once more
                    self._reporter.report(
                        "dispatcher_failed", f"Delivery failed ({type(error).__name__}): {error}", exception=error
                    )
                self.flushes.end_all(self._backlog.queued)
                self._try_later()
            if self._finishing and not self._requested:
                break
        self._courier.close()
        self.flushes.end_all(self._backlog.queued)
        if self._finishing or self._intake.closed:
            self._on_end()
        self._thread = None

    def _turn(self) -> None:
        """Sleep until there is something to do, and do it."""
        now = self._clock.monotonic()
        if self._requested or self.flushes.arrived:
            self._due = now
        elif self._due is None and not self._intake.idle:
            self._due = now + self._options.flush_interval  # the first record since the last flush
        due = self._due is not None and self._due <= now
        if due or self._intake.urgent:
            self._only_full = not due
            self._work()
            return
        # Only between spells of work: records go first.
        wait = None if self._courier.paused else self.exchanges.run()
        if wait != 0:
            now = self._clock.monotonic()
            self._sleep(now, None if wait is None else now + wait)

    def _sleep(self, now: float, exchange_due: float | None) -> None:
        dues = (self._due, exchange_due, self.flushes.next_deadline())
        ends = [end for end in dues if end is not None and end < math.inf]
        self._wait_on(self._wakeup, max(0.0, min(ends) - now) if ends else None)
        if self.flushes.waiting:
            self.flushes.end_hopeless(0.0, rate_limited=False)

    def _try_later(self) -> None:
        """Another process has the lease or the outbox."""
        self._take_requests()
        self.flushes.end_hopeless(0.0, rate_limited=False)
        self._due = self._clock.monotonic() + (FLUSH_POLL if self.flushes.waiting else POLL)

    def _look_on(self) -> None:
        """Another process is sending, our records too: see how far it has come, and sleep when it is through."""
        self._take_requests()
        with self._backlog.session():
            totals = self._backlog.observe()
            if totals is not None:
                self.flushes.mean_everything_before(totals.next_id)
                self.flushes.end_settled()
                if not totals.records:
                    self._lie_down(self._clock.monotonic())
                    return
        self._try_later()

    def _work(self) -> None:
        """One spell of work under the lease, and the decision when the next one is."""
        if not self._lease.acquire():
            self._look_on()
            return
        try:
            with self._backlog.session():
                wait = self._drain()
                self.flushes.end_hopeless(wait or 0.0, rate_limited=self._courier.rate_limited)
        finally:
            self._lease.release()
        now = self._clock.monotonic()
        if wait is None:
            self._lie_down(now)
        else:
            self._due = now + wait
            self._stopping = self._stopping or self._finishing

    def _lie_down(self, now: float) -> None:
        """Nothing is left that is due: sleep, unless a record came in the meantime or a batch is not yet full."""
        planned = self._due if self._only_full else None
        self._due = None
        intake = self._intake
        intake.idle = True
        # In this order: a record that came before the flag went up is seen here, a later one sees the flag.
        if self._backlog.queued:
            intake.idle = False
            self._due = now + self._options.flush_interval if planned is None else planned

    def _take_requests(self) -> None:
        self._intake.urgent = False
        self._requested = False
        if self._ignore_backoff or self.flushes.arrived:
            self._ignore_backoff = False
            self._courier.ignore_backoff()
        self.flushes.admit()

    def _drain(self) -> float | None:
        """Send everything that is due, and full batches of what comes meanwhile: each request is precious.

        Returns:
            Seconds until the next request may go (infinite: until somebody wakes us); ``None`` if nothing is due.
        """
        self._target = 0
        sent_any = False
        while True:
            was_paused = self._courier.paused
            totals = self._admit()
            records = self._courier.next_batch() if totals.records else []
            if self._backlog.is_stale or (was_paused and not self._courier.paused):
                continue  # whatever came before the pause ended is to go in one
            if not records:
                if sent_any:
                    self._backlog.compact()
                return None
            if records[0].id >= self._target and not self._is_full(totals):
                return None
            wait = self._courier.wait()
            if wait > 0 or self._stopping:
                return wait
            self._courier.send(records)
            sent_any = True

    def _is_full(self, totals: Totals) -> bool:
        options = self._options  # a queue that is smaller than a batch must not wait for one
        return totals.records >= min(options.max_batch_records, options.max_records) or totals.bytes >= min(
            options.max_batch_bytes, options.max_bytes
        )

    def _admit(self) -> Totals:
        """Absorb what came in, unless there is enough; note what is due and what callers mean by "everything"."""
        asked = self._requested or self.flushes.arrived or not (self._target or self._only_full)
        self._take_requests()
        now = self._clock.monotonic()
        totals = None if asked or now - self._absorbed >= ABSORB_INTERVAL else self._backlog.glance()
        if totals is None or not self._is_full(totals):
            totals, self._absorbed = self._backlog.refresh(), now
        self.flushes.mean_everything_before(totals.next_id)
        if asked:
            self._only_full = False
            self._target = totals.next_id
        self.flushes.end_settled()
        return totals
