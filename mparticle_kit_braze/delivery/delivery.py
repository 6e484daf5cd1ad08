"""The face of delivery: one object that takes records and sees to it that they arrive."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence

from ..clock import SYSTEM_CLOCK, Clock
from ..diagnostics import Reporter
from ..errors import InvalidArgumentError
from ..storage import Storage
from .destination import Destination, Exchange
from .engine import Engine
from .journal import newest_journal_time
from .options import DeadLetter, DeliveryOptions, DeliveryReport, DeliveryStats, FlushResult

__all__ = ["Delivery"]


class Delivery:
    """Takes records in, keeps them safe, and sends them in order to one destination.

    ``append(kind, payload)`` takes one record and returns whether it was accepted: ``kind`` is one ASCII character,
    ``payload`` bytes without control characters (as JSON is). When it returns, the record is safe from the death of
    the process (in memory storage, from everything but that). It takes no lock, waits for nothing but one write
    to a file, and never raises for trouble with disk or network. It is false when the queue is full under
    ``drop_newest`` and after ``close()``; both are counted and reported.

    ``append_all(records)`` does the same for pairs of kind and payload with one write for all, and returns the
    positions of those that were not accepted.

    All methods may be called from any thread, from signal handlers, callbacks and finalizers, and after a fork.

    Args:
        destination: Where records go; called on one thread of ours only.
        storage: The directory for queue and journals (of one destination; processes may share it), or memory.
        reporter: Where trouble is reported; ``storage.reporter`` by default.
        options: See :class:`DeliveryOptions`.
        clock: Time; another one is for tests.
        on_delivery: Called on our thread, no lock held, with a :class:`DeliveryReport` after each request that settled
            records.
        paused: Begin as after :meth:`pause`.

    Attributes:
        last_activity: Wall-clock time of the newest record that an earlier process left in a journal; ``None`` if
            none did (an orderly end leaves none).
    """

    append: Callable[[str, bytes], bool]
    append_all: Callable[[Sequence[tuple[str, bytes]]], list[int]]

    def __init__(
        self,
        destination: Destination,
        *,
        storage: Storage,
        reporter: Reporter | None = None,
        options: DeliveryOptions | None = None,
        clock: Clock = SYSTEM_CLOCK,
        on_delivery: Callable[[DeliveryReport], object] | None = None,
        paused: bool = False,
    ) -> None:
        directory = storage.path
        self._clock = clock
        self._engine = engine = Engine(
            destination,
            directory,
            options=options or DeliveryOptions(),
            reporter=reporter or storage.reporter,
            clock=clock,
            on_delivery=on_delivery,
        )
        self._reporter = reporter or storage.reporter
        self._intake = engine.intake
        self._backlog = engine.backlog
        self._courier = engine.courier
        self._dispatcher = engine.dispatcher
        self._courier.paused = paused
        self.append = engine.intake.append
        self.append_all = engine.intake.append_all
        self.last_activity: float | None = newest_journal_time(directory) if directory else None
        self._finalizer = weakref.finalize(self, engine.finish)
        self._finalizer.atexit = False
        if engine.backlog.has_leftovers():
            self.flush_soon()

    # -- sending ------------------------------------------------------------------------------------------------
    def flush_soon(self, *, ignore_backoff: bool = False) -> None:
        """Ask for a request now instead of at the interval; never waits.

        Args:
            ignore_backoff: Try also while our own back-off lasts, as an explicit flush of the SDKs does.
        """
        if not self._intake.closed:
            self._dispatcher.request(ignore_backoff=ignore_backoff)

    def call_soon(self, exchange: Exchange) -> bool:
        """Make a request that carries no records, on our thread, as soon as the rate limit lets it out; never waits.

        Returns:
            Whether it is taken on: not after :meth:`close`. What has not been made by then never is.
        """
        if self._intake.closed:
            return False
        self._dispatcher.exchanges.add(exchange)
        self._dispatcher.wake()
        return True

    def flush(self, timeout: float | None = None) -> FlushResult:
        """Send what is queued, and wait for it.

        Our own back-off is ignored, a wait the server asked for is not. Called by a callback on our thread, or by a
        signal handler that interrupted us at work on the queue, it only asks for a request.

        Args:
            timeout: Seconds to wait at most; ``None`` waits as long as requests succeed, and returns after
                the first that fails.

        Returns:
            What came of it: once all that was queued is settled, at the time-out, or when no further attempt fits.

        Raises:
            InvalidArgumentError: ``timeout`` is not a number of seconds from 0 up.
        """
        check_timeout(timeout)
        return self._engine.flush(timeout)

    def resume(self) -> None:
        """There are new credentials: leave the hold after an authentication failure and try at once."""
        self._courier.credentials += 1
        if self._courier.unauthorized:
            self._courier.unauthorized = False
            self._reporter.recovered("delivery_unauthorized", "Sending goes on with new credentials")
            self.flush_soon(ignore_backoff=True)

    def pause(self) -> None:
        """Send nothing until :meth:`unpause`; records are still accepted and kept."""
        self._courier.paused = True

    def unpause(self) -> None:
        """Go on sending."""
        self._courier.paused = False
        if self._dispatcher.running:
            self.flush_soon()

    def clear(self) -> int:
        """Discard everything queued, that of other processes on the directory included; dead letters stay.

        A request on its way cannot be called back. The destination is not told.

        Returns:
            How many records that was; those of other processes' journals are not counted.
        """
        return self._backlog.clear()

    def close(self, timeout: float) -> FlushResult:
        """Flush, accept nothing any more, and end the thread. Later calls do nothing.

        Args:
            timeout: Seconds to wait at most for the flush.

        Raises:
            InvalidArgumentError: ``timeout`` is not a number of seconds from 0 up.
        """
        check_timeout(timeout)
        if self._intake.closed:
            return FlushResult()
        self._finalizer.detach()
        return self._engine.close(timeout)

    # -- figures ------------------------------------------------------------------------------------------------
    def stats(self) -> DeliveryStats:
        """Figures of this process, and of the queue it shares."""
        intake, courier = self._intake, self._courier
        # First what is not yet in the outbox: what moves there meanwhile counts twice for a moment, never not at all.
        pending, pending_bytes = intake.pending, intake.pending_bytes
        totals = self._backlog.ask(lambda outbox: outbox.totals(), None)
        oldest = self._backlog.ask(lambda outbox: outbox.oldest_time(), None)
        return DeliveryStats(
            queued=(totals.records if totals else 0) + self._backlog.stranded + pending,
            bytes=(totals.bytes if totals else 0) + pending_bytes,
            oldest_age=None if oldest is None else max(0.0, self._clock.time() - oldest),
            sent=courier.sent,
            retried=courier.retried,
            dropped=dict(intake.dropped),
            dead=self._backlog.ask(lambda outbox: outbox.count_dead_letters(), 0),
            last_error=courier.last_error,
            next_attempt=self._dispatcher.next_attempt(),
        )

    @property
    def is_durable(self) -> bool:
        """Whether all that is queued outlives the process; not in memory, by choice or because the disk failed."""
        return self._backlog.is_durable

    def dead_letters(self) -> list[DeadLetter]:
        """The records that were refused for good, oldest first."""
        return self._backlog.ask(lambda outbox: outbox.dead_letters(), [])

    def retry_dead_letters(self, reason: str | None = None) -> int:
        """Queue dead letters again, behind what is queued; returns how many.

        Args:
            reason: Only those that died for exactly this reason; ``None`` for all.
        """
        revived = self._backlog.ask(lambda outbox: outbox.revive_dead_letters(self._clock.time(), reason), 0)
        if revived:
            self.flush_soon()
        return revived

    def delete_dead_letters(self) -> int:
        """Discard all dead letters; returns how many."""
        return self._backlog.ask(lambda outbox: outbox.delete_dead_letters(), 0)


def check_timeout(timeout: object) -> None:
    """Raise unless this is ``None`` or a number of seconds."""
    if timeout is None:
        return
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout >= 0:
        raise InvalidArgumentError(f"timeout must be a number of seconds from 0 up, or None, not {timeout!r}")
