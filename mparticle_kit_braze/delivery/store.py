"""Where the queue lives at present: in the outbox file, or in memory while the disk cannot be used.

Decides what to do about a failing disk: a damaged or newer file is set aside, a locked one is waited for, and
where nothing can be written the queue goes on in memory and moves back when the disk is usable again.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from ..clock import Clock
from ..diagnostics import Reporter
from .absorber import Absorber
from .destination import Record
from .guard import Guard
from .outbox import NONE_DEAD, Outbox
from .schema import NewerSchemaError, is_damage, is_locked, set_aside

__all__ = ["UNUSABLE", "OutboxBusyError", "Store"]

T = TypeVar("T")

MOST_SET_ASIDE = 3
"""So many files are set aside by one process; if the next is damaged too, the disk is not to be trusted."""

UNUSABLE = (sqlite3.Error, OSError, NewerSchemaError)
"""What a file that cannot be used makes its readers raise."""


class OutboxBusyError(Exception):
    """Another process keeps the outbox locked; all is safe, try again later."""


class _Settled(NamedTuple):
    """Records that are done with and have still to be removed."""

    records: Sequence[Record]
    dead: Mapping[int, str]
    time: float


class Store:
    """The outbox in use.

    Methods may raise :class:`OutboxBusyError`; no other failure of the disk gets out.

    Args:
        path: The outbox file; ``None`` for memory.
        absorber: Told when what it absorbed is lost with a damaged file; ``None`` for memory.
        reporter: Where trouble is reported; never called with a lock held.
        clock: For times of records.
        guard: The lock shared with the outbox.

    Attributes:
        stranded: Records on a disk that cannot be used at present.
        replaced: Set when another outbox had to take over: what was read before is stale, and there may be
            more to absorb. The user takes it down.
        lost_dead_letters: Dead letters that gave way to newer ones and were not reported yet.
    """

    def __init__(
        self, path: Path | None, absorber: Absorber | None, *, reporter: Reporter, clock: Clock, guard: Guard
    ) -> None:
        self._absorber = absorber
        self._reporter = reporter
        self._clock = clock
        self._memory = Outbox(None, guard)
        self._disk = Outbox(path, guard) if path is not None else self._memory
        self._barred = False
        self._set_asides = 0
        self._inherited: list[sqlite3.Connection | None] = []  # kept referenced: closing them would harm the parent
        self._reset()

    def _reset(self) -> None:
        self._outbox = self._disk
        self._unsettled: list[_Settled] = []
        self._locked = False
        self._known_records = 0
        self.stranded: int = 0
        self.replaced: bool = False
        self.lost_dead_letters: int = 0

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
            if not self.on_disk:
                self._return_to_disk()
            yield

    @property
    def on_disk(self) -> bool:
        """Whether the queue is where it should be."""
        return self._outbox is self._disk

    @property
    def in_memory(self) -> bool:
        """Whether the queue is in memory, by choice or by need."""
        return self._outbox is self._memory

    def may_hold_records(self) -> bool:
        """Whether an earlier process left records; true when that cannot be told, says nothing to anybody."""
        if self._disk.path is None or not self._disk.path.exists():
            return False
        try:
            return self._disk.totals().records > 0
        except UNUSABLE:
            return True

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
        self._barred = self._barred or not clean
        self._reset()

    # -- use ----------------------------------------------------------------------------------------------------
    def do(self, operation: Callable[[Outbox], T]) -> T:
        """Do something with the outbox; if the disk fails, mend or leave it and do it with what there is then."""
        if self._barred:
            raise OutboxBusyError
        for _ in range(MOST_SET_ASIDE + 1):
            outbox = self._outbox
            try:
                return operation(outbox)
            except UNUSABLE as error:
                if outbox is self._memory:
                    raise
                self._disk_failed(error)
        return operation(self._outbox)

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

    def settle(self, records: Sequence[Record], dead: Mapping[int, str] = NONE_DEAD) -> None:
        """These are done with: remove them, now or as soon as the disk allows. They are not sent again.

        Args:
            records: Consecutive records, as :meth:`~mparticle_kit_braze.delivery.outbox.Outbox.peek` returned them.
            dead: Those that become dead letters: their position, and why.
        """
        settled = _Settled(records, dead, self._clock.time())
        if self.on_disk:
            self._unsettled.append(settled)
            self.settle_rest()
        else:
            self._delete(self._memory, settled)

    @property
    def is_settled(self) -> bool:
        """Whether the outbox is on disk and holds nothing any more that was settled."""
        return self.on_disk and not self._unsettled

    def settle_rest(self) -> None:
        """Remove what could not be removed before."""
        try:
            while self._unsettled and self.on_disk:
                self._delete(self._disk, self._unsettled[0])
                self._unsettled.pop(0)
        except UNUSABLE as error:
            if self._disk is self._memory:
                raise
            self._disk_failed(error)
            if self.on_disk:  # a damaged file was set aside, and with it what was to be removed
                self._unsettled.clear()

    def _delete(self, outbox: Outbox, settled: _Settled) -> None:
        self.lost_dead_letters += outbox.delete(settled.records, dead=settled.dead, now=settled.time)

    def works(self, records: int) -> None:
        """Note that all is well, and how much is queued: that is stranded should the disk fail now."""
        self._known_records = records
        if self._locked:
            self._locked = False
            self._reporter.recovered("outbox_locked", "The queue is no longer locked")

    # -- when the disk fails ------------------------------------------------------------------------------------
    def _disk_failed(self, error: BaseException) -> None:
        if is_locked(error):
            self._locked = True
            self._reporter.report(
                "outbox_locked", "Another process keeps the queue locked; sending waits for it", exception=error
            )
            raise OutboxBusyError from error
        self.replaced = True
        if isinstance(error, NewerSchemaError) or is_damage(error):
            self._set_aside(error)
        else:
            self._leave_disk(error)

    def _set_aside(self, error: BaseException) -> None:
        if self._absorber is not None:
            self._absorber.roll_back()
        self._disk.disconnect()
        self._set_asides += 1
        path = self._disk.path
        if path is None or self._set_asides > MOST_SET_ASIDE:
            self._leave_disk(error)
            return
        newer = isinstance(error, NewerSchemaError)
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
        if self.on_disk:
            done_with = sum(len(settled.records) for settled in self._unsettled)
            self.stranded = max(0, self._known_records - done_with)
        self._outbox = self._memory
        self._reporter.report(
            "outbox_unavailable",
            f"The stored queue cannot be used ({type(error).__name__}: {error}); the queue goes on in memory",
            level=logging.ERROR,
            exception=error,
        )

    def _return_to_disk(self) -> None:
        """Move what memory holds behind what the disk holds, if the disk takes it now."""
        offsets = list(self._absorber.offsets.items()) if self._absorber is not None else []
        try:
            for settled in self._unsettled:
                self._delete(self._disk, settled)
            self._disk.take_over(self._memory, self._clock.time(), offsets=offsets)
        except UNUSABLE as error:
            if is_damage(error):
                self._set_aside(error)
            return
        self._unsettled.clear()
        self._outbox = self._disk
        self.stranded = 0
        self._reporter.recovered("outbox_unavailable", "The stored queue can be used again")
