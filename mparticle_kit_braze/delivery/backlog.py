"""The backlog: everything that waits to be sent, wherever it is.

Brings the journals and the outbox together, keeps the queue within its bound, and knows how much there is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from ..clock import Clock
from ..diagnostics import Reporter
from .absorber import Absorber
from .destination import Record
from .guard import Guard
from .intake import MEMORY_BYTES, Intake
from .journal import CHUNK_BYTES, FileJournal, journal_files
from .options import DeliveryOptions
from .outbox import NONE_DEAD, Outbox, Totals
from .store import UNUSABLE, Store

__all__ = ["Backlog"]

T = TypeVar("T")

TRIM_RECORDS = 1000
"""How many records are dropped in one go when the queue is full."""


class Backlog:
    """The queue as the dispatcher sees it.

    Methods for the dispatcher may raise :class:`~mparticle_kit_braze.delivery.store.OutboxBusyError`.

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
        self._absorber = Absorber(directory, intake, clock) if directory else None
        path = directory / "outbox.db" if directory else None
        self._store = Store(path, self._absorber, reporter=reporter, clock=clock, guard=guard)
        self._reset()

    def _reset(self) -> None:
        self._totals = Totals(0, 0, 0)
        self._trimmed = False
        self._spilled = False  # whether records are in memory that are nowhere else

    # -- life ---------------------------------------------------------------------------------------------------
    @contextlib.contextmanager
    def session(self) -> Iterator[None]:
        """Keep the outbox open for a spell of work."""
        with self._store.session():
            yield

    def disconnect(self) -> None:
        """Close the outbox for a moment, before a fork."""
        self._store.disconnect()

    @property
    def is_disconnected(self) -> bool:
        """Whether no connection to a file is open."""
        return self._store.is_disconnected

    def reset_after_fork(self, *, clean: bool) -> None:
        """In a forked child: let go of what is the parent's; ``clean`` says whether the outbox was closed."""
        self._store.reset_after_fork(clean=clean)
        if self._absorber is not None:
            self._absorber.reset()
        self._reset()

    def release_journal(self, journal: FileJournal | None) -> None:
        """At the end: remove our journal if all of it is safe elsewhere, else leave it to the next process.

        Args:
            journal: What :meth:`~mparticle_kit_braze.delivery.intake.Intake.shut` said. A record that came later has
                one of its own, which must stay.
        """
        if journal is None:
            return
        try:
            # With a disk that failed the journal stays unless all that memory took from it has been delivered.
            safe = self._store.on_disk or not self.totals().records
            done = safe and self._absorber is not None and self._absorber.is_done(journal)
        except UNUSABLE:
            done = False
        if self._intake.journal is journal:
            self._intake.journal = None
        if not done:
            journal.release()
            return
        journal.discard()
        if self._store.on_disk:
            self._store.ask(partial(Outbox.forget_journals, names=[journal.path.name]), None)

    # -- what anybody may ask, on any thread --------------------------------------------------------------------
    @property
    def queued(self) -> int:
        """Records waiting, as far as this process knows without asking the disk."""
        return self._totals.records + self._store.stranded + self._intake.pending

    @property
    def stranded(self) -> int:
        """Records on a disk that cannot be used at present."""
        return self._store.stranded

    @property
    def dropped(self) -> int:
        """Records given up for whatever reason."""
        return sum(self._intake.dropped.values())

    @property
    def is_durable(self) -> bool:
        """Whether all that is queued outlives the process."""
        return self._directory is not None and not self._spilled and not self._intake.memory.frames

    def has_leftovers(self) -> bool:
        """Whether records of earlier processes wait; cheap, and true when that cannot be told."""
        if self._directory is None:
            return False
        try:
            if any(size for _, size in journal_files(self._directory)):
                return True
        except OSError:
            return False
        return self._store.may_hold_records()

    def ask(self, question: Callable[[Outbox], T], default: T) -> T:
        """Put a question to the outbox; ``default`` when it cannot answer."""
        return self._store.ask(question, default)

    def clear(self) -> int:
        """Discard everything queued, absorbed or not; returns about how many records that was."""
        intake = self._intake
        position, pending = intake.position(), intake.pending
        offsets: list[tuple[str, int]] = []
        if self._directory is not None:
            with contextlib.suppress(OSError):
                offsets = journal_files(self._directory)
        intake.memory.frames.clear()
        cleared = self.ask(partial(Outbox.clear, offsets=offsets), 0)
        intake.absorbed(position, (0, 0), self._max_bytes())
        self._totals = Totals(self._totals.next_id, 0, 0)
        return cleared + pending

    # -- absorbing ----------------------------------------------------------------------------------------------
    def refresh(self) -> Totals:
        """Absorb all journals, make the queue fit its bound, and tell the intake; returns what is queued."""
        intake, store = self._intake, self._store
        store.replaced = False
        position = intake.position()
        if intake.journal is not None and not intake.in_memory and not intake.journal.is_linked():
            intake.use_memory(FileNotFoundError("the journal is gone"))
        store.settle_rest()
        if self._absorber is not None:
            store.do(self._absorb_files)
        self._absorb_memory()
        totals = self._trim(self.totals())
        if self._absorber is not None and not totals.records:
            self._absorber.note_empty()
        self._note(position, totals)
        if intake.in_memory and store.on_disk and not intake.memory.frames:
            intake.reopen()
        return totals

    def glance(self) -> Totals | None:
        """What the outbox holds, without a look at the journals; ``None`` if there is more to do first."""
        if self.is_stale or not self._store.is_settled or self._intake.in_memory:
            return None
        self._totals = self.totals()
        return self._totals

    def observe(self) -> Totals | None:
        """What is queued, if another process has absorbed all of ours; ``None`` while it has not."""
        position = self._intake.position()
        if self._absorber is None or not self._store.on_disk or self._intake.memory.frames:
            return None
        if not self._store.do(self._absorber.is_done_by):
            return None
        totals = self.totals()
        self._note(position, totals)
        return totals

    @property
    def is_stale(self) -> bool:
        """Whether the outbox was replaced since the last :meth:`refresh`, so that there may be more to absorb."""
        return self._store.replaced

    def _note(self, position: tuple[int, int], totals: Totals) -> None:
        self._totals = totals
        self._intake.absorbed(position, (totals.records, totals.bytes), self._max_bytes())
        if self._store.on_disk:
            self._spilled = False
            self._store.works(totals.records)

    def _max_bytes(self) -> int:
        bound = self._options.max_bytes
        return min(bound, MEMORY_BYTES) if self._store.in_memory else bound

    def _absorb_files(self, outbox: Outbox) -> None:
        if self._absorber is None:
            return
        if self._store.on_disk:
            self._absorber.absorb_all(outbox)
        else:
            # The disk has failed: only what this process itself wrote can be kept apart from what others may send.
            self._absorber.absorb_own(outbox)

    def _absorb_memory(self) -> None:
        journal = self._intake.memory
        while frames := journal.peek(TRIM_RECORDS):
            self._store.do(partial(Outbox.add, frames=frames, now=self._clock.time()))
            self._spilled = self._spilled or not self._store.on_disk
            journal.forget(len(frames))

    # -- the bound ----------------------------------------------------------------------------------------------
    def _trim(self, totals: Totals) -> Totals:
        if self._options.overflow == "drop_newest" and self._store.on_disk:
            return totals
        max_records, max_bytes = self._options.max_records, self._max_bytes()
        while totals.records > max_records or totals.bytes > max_bytes:
            records = self._oldest_beyond(totals.records - max_records, totals.bytes - max_bytes)
            if not records:
                break
            self._store.settle(records)
            self._trimmed = True
            self._drop("queue_full", "The queue is full; its oldest records are dropped", len(records))
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

    def _drop(self, reason: str, message: str, count: int) -> None:
        self._intake.dropped[reason] += count
        self._reporter.report("record_dropped", message, key="oldest", count=count)

    # -- what the dispatcher asks -------------------------------------------------------------------------------
    def totals(self) -> Totals:
        """How much the outbox holds."""
        return self._store.do(Outbox.totals)

    def peek(self, most: int, most_bytes: int, *, skip: int = 0) -> list[Record]:
        """The leading records; they stay."""
        return self._store.do(partial(Outbox.peek, most=most, most_bytes=most_bytes, skip=skip))

    def first_id(self) -> int | None:
        """The id of the oldest record."""
        return self._store.do(Outbox.first_id)

    def count_before(self, end_id: int) -> int:
        """How many records with smaller ids wait."""
        return self._store.do(partial(Outbox.count_before, end_id=end_id))

    def settle(self, records: Sequence[Record], dead: Mapping[int, str] = NONE_DEAD) -> None:
        """These are done with, some of them as dead letters (their position, and why); they are not sent again."""
        self._store.settle(records, dead)
        lost, self._store.lost_dead_letters = self._store.lost_dead_letters, 0
        if lost:
            self._drop("dead_letters_full", "There are too many dead letters; the oldest are dropped", lost)

    def compact(self) -> None:
        """Give space back after the queue was emptied."""
        if not self._store.in_memory:
            self._store.do(Outbox.compact)
