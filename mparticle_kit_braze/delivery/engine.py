"""The engine behind a delivery: puts the parts together and takes them apart again.

It is a separate object so that it can outlive the delivery that a host forgot to close, for as long as it takes
to send what is queued. Forks and the end of the process are its business.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..clock import Clock
from ..diagnostics import Reporter
from ..forks import watch_forks
from .backlog import Backlog
from .courier import Courier
from .destination import Destination
from .dispatcher import Dispatcher
from .exchanges import Exchanges
from .guard import Guard
from .intake import Intake
from .lease import Lease
from .lifecycle import ExitHook
from .options import DeliveryOptions, DeliveryReport, FlushResult
from .transport import Transport

__all__ = ["Engine"]

FORK_PATIENCE = 0.5
"""Seconds that a fork waits for a write to the outbox to end."""

IMPORT_PATIENCE = 5.0
"""Seconds that a fork waits for our thread to import the HTTP library."""

STOP_PATIENCE = 1.0
"""The most seconds that the end waits for the thread after the flush; it takes longer only if a request hangs."""

LEAST_STOP_PATIENCE = 0.05
"""The seconds it waits even when the flush has used up the time."""


class Engine:
    """All parts of a delivery, see :class:`~mparticle_kit_braze.delivery.delivery.Delivery` for the arguments."""

    def __init__(
        self,
        destination: Destination,
        directory: Path | None,
        *,
        options: DeliveryOptions,
        reporter: Reporter,
        clock: Clock,
        on_delivery: Callable[[DeliveryReport], object] | None,
    ) -> None:
        self._options = options
        self._reporter = reporter
        self._clock = clock
        guard = Guard()
        self.guard: Guard = guard
        self._lease = Lease(directory / "lease.lock" if directory else None)
        self._transport = transport = Transport(options.connect_timeout, options.read_timeout)
        intake = Intake(directory, options=options, reporter=reporter, clock=clock, guard=guard)
        self.intake: Intake = intake
        backlog = Backlog(directory, intake, options=options, reporter=reporter, clock=clock, guard=guard)
        self.backlog: Backlog = backlog
        courier = Courier(
            destination,
            backlog,
            transport,
            options=options,
            reporter=reporter,
            clock=clock,
            on_delivery=on_delivery,
        )
        self.courier: Courier = courier
        self._exit_hook = ExitHook(self._at_exit)
        self.dispatcher: Dispatcher = Dispatcher(
            destination.name,
            courier=courier,
            exchanges=Exchanges(destination, transport, reporter, clock),
            backlog=backlog,
            intake=intake,
            lease=self._lease,
            options=options,
            reporter=reporter,
            clock=clock,
            on_start=self._exit_hook.arm,
            on_end=self._let_go,
        )
        watch_forks(self)

    # -- flushing and ending ------------------------------------------------------------------------------------
    def flush(self, timeout: float | None) -> FlushResult:
        """Send what is queued and wait for it."""
        dispatcher, queued = self.dispatcher, self.backlog.queued
        if self.intake.closed or not (dispatcher.running or queued):
            return FlushResult()
        if dispatcher.is_current_thread() or self.guard.is_mine():
            dispatcher.request(ignore_backoff=True)
            return FlushResult(kept=queued)
        start = self.courier.tally()
        ticket = dispatcher.flush(None if timeout is None else self._clock.monotonic() + timeout)
        if ticket is not None and dispatcher.wait_for(ticket, timeout) and ticket.result is not None:
            return ticket.result
        return self.courier.tally().since(start, max(1, self.backlog.queued))

    def close(self, timeout: float) -> FlushResult:
        """Flush, accept nothing any more, and end the thread."""
        self._exit_hook.disarm()
        return self._end(timeout, for_good=True)

    def finish(self) -> None:
        """Nobody refers to the delivery any more: send what can be sent at once, then let go of everything."""
        if not self.dispatcher.finish():
            self._let_go()

    def _let_go(self) -> None:
        self._exit_hook.disarm()
        self.backlog.release_journal(self.intake.shut(for_good=True))

    def _at_exit(self) -> None:
        """The process ends. A record that comes even later is still written to a journal, for the next start."""
        if not self.intake.closed:
            self._end(self._options.exit_timeout, for_good=False)

    def _end(self, timeout: float, *, for_good: bool) -> FlushResult:
        end = self._clock.monotonic() + timeout
        result = self.flush(timeout)
        journal = self.intake.shut(for_good=for_good)
        left = end - self._clock.monotonic()
        if self.dispatcher.stop(min(max(left, LEAST_STOP_PATIENCE), STOP_PATIENCE)):
            self.backlog.release_journal(journal)
        if result.kept and not self.backlog.is_durable:
            self.intake.dropped["closed"] += result.kept
            self._reporter.report(
                "record_dropped",
                "Records kept in memory are lost with the end of delivery",
                key="end",
                count=result.kept,
            )
        return result

    # -- forks --------------------------------------------------------------------------------------------------
    def before_fork(self) -> None:
        """Have no write under way, no database open and no import unfinished at the fork; waits, but not long."""
        self._transport.loading.held.acquire(timeout=IMPORT_PATIENCE)
        if self.guard.held.acquire(timeout=FORK_PATIENCE):
            self.backlog.disconnect()

    def after_fork_in_parent(self) -> None:
        """Go on; the outbox is opened again when it is needed."""
        if self._transport.loading.is_mine():
            self._transport.loading.held.release()
        if self.guard.is_mine():
            self.guard.held.release()

    def after_fork_in_child(self) -> None:
        """Begin afresh: what is unsent stays the parent's, and so do its thread, lease and connections."""
        # Some servers fork without asking before; that is as good when nobody was at work.
        clean = self.backlog.is_disconnected and (self.guard.is_mine() or self.guard.is_free())
        self.guard.renew()
        self._lease.abandon()
        self._transport.abandon()
        if self.intake.journal is not None:
            self.intake.journal.release()
        self.intake.reset()
        self.backlog.reset_after_fork(clean=clean)
        self.courier.reset()
        self.dispatcher.reset()
