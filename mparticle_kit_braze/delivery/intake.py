"""The intake: the hot path that makes one record safe and returns.

Owns the journals of this process (a file, or memory when there is no disk), the count of what was accepted, and the
gate that closes when the queue is full. It takes no lock and reads no clock on the way; the dispatcher tells
it where the next mark is at which attention is needed.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from ..clock import Clock
from ..diagnostics import Reporter
from .guard import Guard
from .journal import FileJournal, MemoryJournal
from .options import MEBIBYTE, DeliveryOptions

__all__ = ["Intake"]

MEMORY_BYTES = 64 * MEBIBYTE
"""The most payload bytes kept while there is no disk."""


class Intake:
    """Takes records in.

    Counters are plain integers changed with ``+=``: CPython switches threads and runs signal handlers only at
    calls and jumps, never inside one. Should one be off, a mark comes a record early or late.

    Args:
        directory: Where journals go; ``None`` for memory.
        options: The bounds.
        reporter: Where trouble is reported; never called with a lock held.
        clock: For the names of journals.
        guard: Held while a journal is opened.

    Attributes:
        wake: Called when the dispatcher is needed; must not block.
        count: Records accepted so far.
        bytes: Their bytes, framing included.
        idle: Set by the dispatcher when it sleeps with nothing to do; the next record wakes it.
        journal: The current file; ``None`` until the first record, and while memory has to do.
        memory: What was accepted while there was no file.
        dropped: Records refused, by reason.
    """

    def __init__(
        self,
        directory: Path | None,
        *,
        options: DeliveryOptions,
        reporter: Reporter,
        clock: Clock,
        guard: Guard,
    ) -> None:
        self._directory = directory
        self._options = options
        self._reporter = reporter
        self._clock = clock
        self._guard = guard
        self.wake: Callable[[], object] = lambda: None
        self.closed: bool = False
        self.reset()

    def reset(self) -> None:
        """Begin anew, with no journal and nothing counted; also in a forked child."""
        self._write: Callable[[bytes], int] | None = None  # where frames go now; None sends them the slow way round
        self._sink: Callable[[bytes], int] | None = None  # where they go while the gate is open
        self._opener: int | None = None  # the thread that is opening a journal
        self._full = False
        self._begun = 0
        self.count: int = 0
        self.bytes: int = 0
        self.idle: bool = True
        self.urgent: bool = False
        self.journal: FileJournal | None = None
        self.memory: MemoryJournal = MemoryJournal()
        self.dropped: Counter[str] = Counter()
        self._base = (0, 0)
        self._queued = (0, 0)
        self._max_bytes = self._options.max_bytes
        self._full_at: tuple[float, float] = (0, 0)
        self._batch_at: tuple[float, float] = (0, 0)
        self._count_mark: float = 0
        self._bytes_mark: float = 0
        self._set_marks()

    # -- the hot path -------------------------------------------------------------------------------------------
    def append(self, kind: str, payload: bytes) -> bool:
        """Take one record in; see :class:`~mparticle_kit_braze.delivery.delivery.Delivery`."""
        frame = b"".join((b"\x1e", kind.encode(), payload, b"\n"))
        self._begun += 1
        write = self._write
        if write is None:
            return self._append_slowly(frame)
        size = len(frame)
        try:
            written = write(frame)
        except OSError as error:
            return self._append_to_memory(frame, error)
        if written != size:
            return self._append_to_memory(frame, None)
        self.count = count = self.count + 1
        self.bytes = total = self.bytes + size
        if self.idle or count >= self._count_mark or total >= self._bytes_mark:
            self._attend()
        return True

    def append_all(self, records: Sequence[tuple[str, bytes]]) -> list[int]:
        """Take several records in with one write; see :class:`~mparticle_kit_braze.delivery.delivery.Delivery`."""
        frames = [b"".join((b"\x1e", kind.encode(), payload, b"\n")) for kind, payload in records]
        data = b"".join(frames)
        journal, write = self.journal, self._write
        full = self.count + len(frames) >= self._full_at[0] or self.bytes + len(data) >= self._full_at[1]
        if journal is None or write is not journal.write or full:
            return [position for position, record in enumerate(records) if not self.append(*record)]
        self._begun += len(frames)
        error: OSError | None = None
        try:
            written = write(data)
        except OSError as caught:
            written, error = 0, caught
        whole = 0
        while whole < len(frames) and written >= len(frames[whole]):
            written -= len(frames[whole])
            whole += 1
        if whole < len(frames):  # the disk took only a part of it, or nothing
            self.use_memory(error)
            for frame in frames[whole:]:
                self.memory.write(frame)
        for frame in frames:
            self._count(frame)
        return []

    # -- beside the hot path ------------------------------------------------------------------------------------
    def _append_slowly(self, frame: bytes) -> bool:
        if self.closed:
            return self._refuse("closed", "A record came after close() and was not accepted")
        if self._full:
            return self._refuse("queue_full", "The queue is full; new records are dropped until there is room")
        sink = self._sink or self._open()
        try:
            complete = sink(frame) == len(frame)
        except OSError as error:
            return self._append_to_memory(frame, error)
        if not complete:
            return self._append_to_memory(frame, None)
        self._count(frame)
        self._set_gate()
        return True

    def _append_to_memory(self, frame: bytes, error: OSError | None) -> bool:
        """Keep what the disk did not take, and all that follows until the dispatcher has found a new journal."""
        self.use_memory(error)
        self.memory.write(frame)
        self._count(frame)
        return True

    def _count(self, frame: bytes) -> None:
        self.count += 1
        self.bytes += len(frame)
        if self.idle or self.count >= self._count_mark or self.bytes >= self._bytes_mark:
            self._attend()

    def _open(self) -> Callable[[bytes], int]:
        """Open the journal, unless somebody else has; returns where frames go."""
        error: OSError | None = None
        me = threading.get_ident()
        if self._opener == me:  # a signal handler or a finalizer interrupted us further down: memory will do
            return self.memory.write
        with self._guard.held:
            if self._sink is not None or self._opener is not None or self.closed:
                return self._where()
            self._opener = me  # no call since the test: no handler can have come in between
            try:
                if self._directory is None:
                    self._aim(self.memory.write)
                else:
                    self.journal = FileJournal(self._directory, self._clock.time())
                    self._aim(self.journal.write)
            except OSError as caught:
                error = caught
            finally:
                self._opener = None
        if error is not None:
            self.use_memory(error)
        return self._where()

    def _where(self) -> Callable[[bytes], int]:
        return self._sink or self.memory.write

    def _set_gate(self) -> None:
        self._write = None if self._full or self.closed else self._sink

    def _aim(self, sink: Callable[[bytes], int]) -> None:
        self._sink = sink
        self._set_marks()

    def _refuse(self, reason: str, message: str) -> bool:
        self._begun -= 1
        self.dropped[reason] += 1
        self._reporter.report("record_dropped", message, key=reason)
        return False

    def _attend(self) -> None:
        """A mark was reached, or the dispatcher sleeps and has to be woken."""
        if self.count >= self._full_at[0] or self.bytes >= self._full_at[1]:
            self._full = True
            self._write = None
            self.urgent = True
        if self.count >= self._batch_at[0] or self.bytes >= self._batch_at[1]:
            self._batch_at = (math.inf, math.inf)
            self._count_mark, self._bytes_mark = self._full_at
            self.urgent = True
        self.idle = False
        self.wake()

    # -- what the dispatcher does here --------------------------------------------------------------------------
    @property
    def pending(self) -> int:
        """Records accepted but not yet absorbed."""
        return max(0, self.count - self._base[0])

    @property
    def pending_bytes(self) -> int:
        """Their bytes."""
        return max(0, self.bytes - self._base[1])

    def position(self) -> tuple[int, int]:
        """Where the count stands: everything up to here is safe and can be absorbed."""
        return self.count, self.bytes

    def advance(self, records: int, size: int) -> None:
        """So many of ours were absorbed in the middle of a longer absorption; keeps the figures honest meanwhile."""
        self._base = min(self.count, self._base[0] + records), min(self.bytes, self._base[1] + size)

    def absorbed(self, position: tuple[int, int], queued: tuple[int, int], max_bytes: int) -> None:
        """Set the marks anew.

        Args:
            position: What :meth:`position` said before everything there was got absorbed.
            queued: Records and bytes in the outbox now.
            max_bytes: The most bytes it may hold.
        """
        was_full = self._full
        self._base = max(self._base[0], position[0]), max(self._base[1], position[1])
        self._queued = queued
        self._max_bytes = max_bytes
        self._set_marks()
        if self.count >= self._batch_at[0] or self.bytes >= self._batch_at[1]:
            self.urgent = True  # what came during the absorption has passed the mark already; perhaps nothing follows
        if was_full and not self._full:
            self._reporter.recovered("record_dropped", "There is room in the queue again", key="queue_full")

    def _set_marks(self) -> None:
        options = self._options
        # Dropping the oldest is the dispatcher's work; while it is busy the queue may outgrow its bound, up to twice.
        allowance = 1 if options.overflow == "drop_newest" else 2
        room = self._max_bytes * allowance - self._queued[1]
        if self._sink is not None and (self.journal is None or self._sink != self.journal.write):
            room = min(room, MEMORY_BYTES)
        self._full_at = (
            self._base[0] + options.max_records * allowance - self._queued[0],
            self._base[1] + room,
        )
        self._batch_at = (
            self._base[0]
            + min(_up_to(options.max_batch_records, self._queued[0]), max(1, options.max_records - self._queued[0])),
            self._base[1]
            + min(_up_to(options.max_batch_bytes, self._queued[1]), max(1, self._max_bytes - self._queued[1])),
        )
        self._count_mark = min(self._batch_at[0], self._full_at[0])
        self._bytes_mark = min(self._batch_at[1], self._full_at[1])
        self._full = self.count >= self._full_at[0] or self.bytes >= self._full_at[1]
        self._set_gate()

    def use_memory(self, error: OSError | None) -> None:
        """Keep records in memory from here on, and say so."""
        self._aim(self.memory.write)
        self._reporter.report(
            "journal_unavailable",
            f"Records cannot be written to disk ({_cause(error)}); they are kept in memory",
            level=logging.ERROR,
            exception=error,
        )

    @property
    def in_memory(self) -> bool:
        """Whether records go to memory though there should be a disk."""
        return self._directory is not None and self._sink is not None and self._sink == self.memory.write

    def reopen(self) -> None:
        """Go back from memory to a journal file, if the disk takes one now. The memory must be empty."""
        if self._directory is None or self.closed:
            return
        try:
            with self._guard.held:
                if self.journal is None:
                    self.journal = FileJournal(self._directory, self._clock.time(), probe=True)
                else:
                    self.journal.rotate(probe=True)
        except OSError:
            return
        self._aim(self.journal.write)
        self._reporter.recovered("journal_unavailable", "Records are written to disk again")

    def shut(self, *, for_good: bool) -> FileJournal | None:
        """Detach the journal, and return it if it is certain that no append to it is halfway through.

        Args:
            for_good: Accept nothing any more. Otherwise a late record opens a journal of its own.
        """
        journal = self.journal
        self.closed = self.closed or for_good
        self._write = None
        self._sink = None
        return journal if self._begun == self.count else None


def _up_to(batch: int, queued: int) -> int:
    """What fills the batch that the queue has begun; a whole one when there is one already, which has to wait."""
    return batch - queued if queued < batch else batch


def _cause(error: OSError | None) -> str:
    return "it is full" if error is None else type(error).__name__ + (f", {error.strerror}" if error.strerror else "")
