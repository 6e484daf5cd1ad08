"""The backlog: everything that waits to be sent, wherever it is.

Owns the way from the journals into the outbox, the bound of the queue, and what happens when the disk fails: a
damaged or newer file is set aside, a locked one is waited for, and where nothing can be written the queue goes on
in memory until the disk is back.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from ..clock import Clock
from ..diagnostics import Reporter
from .absorber import Absorber
from .destination import Record
from .guard import Guard
from .intake import MEMORY_BYTES, Intake
from .journal import CHUNK_BYTES, journal_files
from .options import DeliveryOptions
from .outbox import NONE_DEAD, Outbox, Totals, frame_of
from .schema import NewerSchemaError, is_damage, is_locked, set_aside

__all__ = ["Backlog", "OutboxBusyError"]

T = TypeVar("T")

TRIM_RECORDS = 1000
"""How many records are dropped in one go when the queue is full."""

UNUSABLE = (sqlite3.Error, OSError, NewerSchemaError, TypeError, IndexError)
"""What a file that cannot be used makes its readers raise (the last two: rows of the wrong shape)."""


class OutboxBusyError(Exception):
    """Another process keeps the outbox locked; all is safe, try again later."""


class _Settled(NamedTuple):
    """Records that are done with and have still to be removed."""

    records: Sequence[Record]
    dead: Mapping[int, str]
    time: float


class Backlog:
    """The queue as the dispatcher sees it.

    All methods that touch the disk may raise :class:`OutboxBusyError`; no other failure of the disk gets out.

    Args:
        directory: Where journals and outbox are; ``None`` for memory.
        intake: This process's end of the queue.
        options: The bounds.
        reporter: Where trouble is reported; never called with a lock held.
        clock: For times of records.
        guard: The lock shared with intake and outbox.

    Attributes:
        on_dropped: Told which records gave way because the queue was full.
    """

    def __init__(
        self,
        directory: Path | None,
        intake: Intake,
        *,
        options: DeliveryOptions,
        reporter: Reporter,
        clock: Clock,
        guard: Guard,
    ) -> None:
        self._directory = directory
        self._intake = intake
        self._options = options
        self._reporter = reporter
        self._clock = clock
        self.on_dropped: Callable[[Sequence[Record], str], object] = lambda _records, _reason: None
        self._memory = Outbox(None, guard)
        self._outbox = self._disk = Outbox(directory / "outbox.db", guard) if directory else self._memory
        self._absorber = Absorber(directory, intake, clock) if directory else None
        self._last_totals = Totals(0, 0, 0)
        self._unsettled: list[_Settled] = []
        self._locked = False
        self._trimmed = False
        self._barred = False
        self._inherited: list[sqlite3.Connection | None] = []  # kept referenced: closing them would harm the parent

    # -- life ---------------------------------------------------------------------------------------------------
    @contextlib.contextmanager
    def session(self) -> Iterator[None]:
        """Keep the outbox open for a spell of work, and try a failed disk again at its start."""
        if self._barred:
            self._reporter.report(
                "outbox_locked", "The process forked in the middle of a write; its records wait for another process"
            )
            raise OutboxBusyError
        with self._disk.session():
            if self._outbox is not self._disk:
                self._return_to_disk()
            yield

    @property
    def on_disk(self) -> bool:
        """Whether the queue is where it should be."""
        return self._outbox is self._disk

    @property
    def is_durable(self) -> bool:
        """Whether what is queued outlives the process."""
        return self._directory is not None and self.on_disk and not self._intake.in_memory

    @property
    def queued(self) -> int:
        """Records waiting, as far as this process knows without asking the disk; for any thread."""
        return self._last_totals.records + self._intake.pending

    @property
    def dropped(self) -> int:
        """Records given up for whatever reason; for any thread."""
        return sum(self._intake.dropped.values())

    def disconnect(self) -> None:
        """Close the outbox for a moment, before a fork."""
        self._disk.disconnect()

    @property
    def is_disconnected(self) -> bool:
        """Whether no connection to a file is open."""
        return self._disk.is_disconnected

    def reset_after_fork(self, *, clean: bool) -> None:
        """In a forked child: let go of what is the parent's.

        Args:
            clean: Whether the outbox was closed at the fork. If not, this process must not touch it: SQLite would
                believe that it holds the parent's locks. Its records are safe and others send them.
        """
        self._inherited += [self._disk.abandon(), self._memory.abandon()]
        self._outbox = self._disk
        if self._absorber is not None:
            self._absorber.offsets.clear()
        self._unsettled.clear()
        self._last_totals = Totals(0, 0, 0)
        self._locked = self._trimmed = False
        self._barred = self._barred or not clean

    def has_leftovers(self) -> bool:
        """Whether records of earlier processes wait; cheap, and true when that cannot be told."""
        if self._directory is None:
            return False
        try:
            if any(size for _, size in journal_files(self._directory)):
                return True
            path = self._disk.path
            return path is not None and path.exists() and self._disk.totals().records > 0
        except UNUSABLE:
            return True

    # -- absorbing ----------------------------------------------------------------------------------------------
    def refresh(self) -> Totals:
        """Absorb all journals, make the queue fit its bound, and tell the intake; returns what is queued."""
        intake = self._intake
        position = intake.position()
        if intake.journal is not None and not intake.in_memory and not intake.journal.is_linked():
            intake.use_memory(FileNotFoundError("the journal is gone"))
        self._settle_rest()
        if self._absorber is not None:
            self._attempt(self._absorb_files)
        self._absorb_memory()
        totals = self._last_totals = self._trim(self.totals())
        intake.absorbed(position, (totals.records, totals.bytes), self._max_bytes())
        if intake.in_memory and self.on_disk and not intake.memory.frames:
            intake.reopen()
        self._end_lock()
        return totals

    def _max_bytes(self) -> int:
        bound = self._options.max_bytes
        return min(bound, MEMORY_BYTES) if self._outbox is self._memory else bound

    def _absorb_files(self, outbox: Outbox) -> None:
        if self._absorber is None:
            return
        if outbox is self._memory:
            # The disk has failed: only what this process itself wrote can be kept apart from what others may send.
            self._absorber.absorb_own(outbox)
        else:
            self._absorber.absorb_all(outbox)

    def _absorb_memory(self) -> None:
        journal = self._intake.memory
        while frames := journal.peek(TRIM_RECORDS):
            self._attempt(partial(Outbox.add, frames=frames, now=self._clock.time()))
            journal.forget(len(frames))

    # -- the bound ----------------------------------------------------------------------------------------------
    def _trim(self, totals: Totals) -> Totals:
        if self._options.overflow == "drop_newest" and self._outbox is self._disk:
            return totals
        max_records, max_bytes = self._options.max_records, self._max_bytes()
        while totals.records > max_records or totals.bytes > max_bytes:
            records = self._oldest_beyond(totals.records - max_records, totals.bytes - max_bytes)
            if not records:
                break
            self._attempt(partial(Outbox.delete, records=records))
            self._trimmed = True
            self._intake.dropped["queue_full"] += len(records)
            self._reporter.report(
                "record_dropped",
                "The queue is full; its oldest records are dropped",
                key="oldest",
                count=len(records),
            )
            self.on_dropped(records, "queue_full")
            totals = self.totals()
        if self._trimmed and totals.records < 0.9 * max_records and totals.bytes < 0.9 * max_bytes:
            self._trimmed = False
            self._reporter.recovered("record_dropped", "There is room in the queue again", key="oldest")
        return totals

    def _oldest_beyond(self, too_many: int, too_large: int) -> list[Record]:
        batch = self.peek(TRIM_RECORDS, CHUNK_BYTES)
        chosen = 0
        for record in batch:
            if chosen >= too_many and too_large <= 0:
                break
            chosen += 1
            too_large -= len(record.payload) + 1
        return batch[:chosen]

    # -- what the dispatcher asks -------------------------------------------------------------------------------
    def totals(self) -> Totals:
        """How much the outbox holds."""
        return self._attempt(lambda outbox: outbox.totals())

    def peek(self, most: int, most_bytes: int, *, skip: int = 0) -> list[Record]:
        """The leading records; they stay."""
        return self._attempt(lambda outbox: outbox.peek(most, most_bytes, skip=skip))

    def first_id(self) -> int | None:
        """The id of the oldest record."""
        return self._attempt(lambda outbox: outbox.first_id())

    def count_before(self, end_id: int) -> int:
        """How many records with smaller ids wait."""
        return self._attempt(lambda outbox: outbox.count_before(end_id))

    def settle(self, records: Sequence[Record], dead: Mapping[int, str] = NONE_DEAD) -> None:
        """These are done with: remove them, now or as soon as the disk allows. They are not sent again.

        Args:
            records: Consecutive records, as :meth:`peek` returned them.
            dead: Those that become dead letters: their position, and why.
        """
        settled = _Settled(records, dead, self._clock.time())
        if self.on_disk:
            self._unsettled.append(settled)
            self._settle_rest()
        else:
            self._delete(self._memory, settled)

    def _settle_rest(self) -> None:
        try:
            while self._unsettled and self.on_disk:
                self._delete(self._disk, self._unsettled[0])
                self._unsettled.pop(0)
        except UNUSABLE as error:
            self._disk_failed(error)
            if self.on_disk:  # a damaged file was set aside, and with it what was to be removed
                self._unsettled.clear()

    def _delete(self, outbox: Outbox, settled: _Settled) -> None:
        lost = outbox.delete(settled.records, dead=settled.dead, now=settled.time)
        if lost:
            self._intake.dropped["dead_letters_full"] += lost
            self._reporter.report(
                "record_dropped",
                "There are too many dead letters; the oldest are dropped",
                key="dead_letters",
                count=lost,
            )

    def compact(self) -> None:
        """Give space back after the queue was emptied."""
        if self.on_disk and self._disk is not self._memory:
            self._disk.compact()

    # -- what callers ask ---------------------------------------------------------------------------------------
    def ask(self, question: Callable[[Outbox], T], default: T) -> T:
        """Put a question to the outbox from any thread; ``default`` when it cannot answer."""
        if self._barred:
            return default
        try:
            return question(self._outbox)
        except UNUSABLE as error:
            self._reporter.report(
                "outbox_unavailable", f"The queue cannot be read ({type(error).__name__})", key="ask", exception=error
            )
            return default

    def clear(self) -> int:
        """Discard everything queued, absorbed or not; returns about how many records that was. For any thread."""
        intake = self._intake
        position, pending = intake.position(), intake.pending
        offsets: list[tuple[str, int]] = []
        if self._directory is not None:
            with contextlib.suppress(OSError):
                offsets = journal_files(self._directory)
        intake.memory.frames.clear()
        cleared = self.ask(lambda outbox: outbox.clear(offsets), 0)
        intake.absorbed(position, (0, 0), self._max_bytes())
        self._last_totals = Totals(self._last_totals.next_id, 0, 0)
        return cleared + pending

    # -- when the disk fails ------------------------------------------------------------------------------------
    def _attempt(self, operation: Callable[[Outbox], T]) -> T:
        """Do something with the outbox; if the disk fails, mend or leave it and do it with what there is then."""
        if self._barred:
            raise OutboxBusyError
        for _ in range(3):
            outbox = self._outbox
            try:
                return operation(outbox)
            except UNUSABLE as error:
                if outbox is self._memory:
                    raise
                self._disk_failed(error)
        return operation(self._outbox)

    def _disk_failed(self, error: BaseException) -> None:
        if is_locked(error):
            self._locked = True
            self._reporter.report(
                "outbox_locked", "Another process keeps the queue locked; sending waits for it", exception=error
            )
            raise OutboxBusyError from error
        if isinstance(error, NewerSchemaError) or is_damage(error) or isinstance(error, TypeError | IndexError):
            self._set_aside(error)
        else:
            self._leave_disk(error)

    def _set_aside(self, error: BaseException) -> None:
        newer = isinstance(error, NewerSchemaError)
        path = self._disk.path
        assert path is not None  # noqa: S101  (memory does not get here)
        self._disk.disconnect()
        try:
            aside = set_aside(path, "newer" if newer else "damaged")
        except OSError as again:
            self._leave_disk(again)
            return
        self._reporter.report(
            "outbox_newer" if newer else "outbox_damaged",
            f"The stored queue is {'of a later version of this package' if newer else 'damaged'};"
            f" it was set aside as {aside.name} and a fresh one begun",
            key=aside.name,
            level=logging.ERROR,
            exception=error,
        )

    def _leave_disk(self, error: BaseException) -> None:
        self._outbox = self._memory
        self._reporter.report(
            "outbox_unavailable",
            f"The stored queue cannot be used ({type(error).__name__}: {error}); the queue goes on in memory",
            level=logging.ERROR,
            exception=error,
        )

    def _known_offsets(self) -> list[tuple[str, int]]:
        return [] if self._absorber is None else list(self._absorber.offsets.items())

    def _return_to_disk(self) -> None:
        """Move what memory holds behind what the disk holds, if the disk takes it now."""
        try:
            for settled in self._unsettled:
                self._delete(self._disk, settled)
            # The offsets first: what memory absorbed from our journal must not be absorbed again.
            self._disk.add([], self._clock.time(), offsets=self._known_offsets())
            while records := self._memory.peek(TRIM_RECORDS, CHUNK_BYTES):
                self._disk.add(list(map(frame_of, records)), self._clock.time())
                self._memory.delete(records)
        except UNUSABLE as error:
            if is_damage(error):
                self._set_aside(error)
            return
        self._unsettled.clear()
        self._outbox = self._disk
        self._reporter.recovered("outbox_unavailable", "The stored queue can be used again")

    def _end_lock(self) -> None:
        if self._locked:
            self._locked = False
            self._reporter.recovered("outbox_locked", "The queue is no longer locked")

    # -- the end ------------------------------------------------------------------------------------------------
    def release_journal(self, *, quiet: bool) -> None:
        """At close: remove our journal if all of it is safe elsewhere, else leave it to the next process.

        Args:
            quiet: Whether it is certain that no thread is halfway through an append.
        """
        journal = self._intake.journal
        if journal is None or not quiet:
            return
        try:
            done = self.on_disk and self._absorber is not None and self._absorber.is_done()
        except OSError:
            done = False
        if not done:
            journal.release()
            return
        journal.discard()
        with contextlib.suppress(*UNUSABLE):
            self._disk.forget_journals([journal.path.name])
