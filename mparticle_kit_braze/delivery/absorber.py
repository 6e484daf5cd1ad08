"""From journals into the outbox: reads what is new in every journal, and removes those that are done with."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from ..clock import Clock
from .intake import Intake
from .journal import READ_FLAGS, FileJournal, journal_files, read_frames
from .lease import try_lock
from .options import MEBIBYTE
from .outbox import Outbox

__all__ = ["Absorber"]

ROTATE_BYTES = 4 * MEBIBYTE
"""A journal of ours that has grown beyond this goes on in a new file."""


class Absorber:
    """Absorbs the journals of one directory. Used by the dispatcher's thread alone.

    Methods raise what :class:`~mparticle_kit_braze.delivery.outbox.Outbox` raises, and ``OSError``.

    Args:
        directory: Where journals are.
        intake: This process's end of the queue.
        clock: For times of records.

    Attributes:
        offsets: How far each journal was absorbed, as far as is known here.
    """

    def __init__(self, directory: Path, intake: Intake, clock: Clock) -> None:
        self._directory = directory
        self._intake = intake
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Know nothing; also in a forked child."""
        self.offsets: dict[str, int] = {}
        self._settled: dict[str, int] = {}

    def note_empty(self) -> None:
        """All that was absorbed has been settled: what comes from here on is what a lost outbox would lose."""
        self._settled = dict(self.offsets)

    def roll_back(self) -> None:
        """The outbox is lost. Go back to where it was last empty: rather a record twice than never."""
        self.offsets = dict(self._settled)

    def absorb_all(self, outbox: Outbox) -> None:
        """Absorb the journals of all processes, and remove those whose process is gone."""
        own = self._intake.journal
        own_name = own.path.name if own is not None else None
        files = journal_files(self._directory)
        known = outbox.offsets()
        for name, size in files:
            self.offsets[name] = max(known.get(name, 0), self.offsets.get(name, 0))
            if name != own_name:
                self._absorb_foreign(outbox, name)
            elif size > self.offsets[name]:
                self.absorb_own(outbox)
                self._rotate_if_long(name)
        names = {name for name, _ in files}
        if own_name is not None and own_name not in names:
            names.add(own_name)
            self.absorb_own(outbox)
        stale = known.keys() - names
        if stale:
            outbox.forget_journals(sorted(stale))
        self.offsets = {name: offset for name, offset in self.offsets.items() if name in names}

    def absorb_own(self, outbox: Outbox) -> None:
        """Absorb this process's journal, by the descriptor it has open: its name may be gone."""
        journal = self._intake.journal
        if journal is not None:
            self._absorb(outbox, journal.path.name, journal.reader(), journal.size())

    def is_done_by(self, outbox: Outbox) -> bool:
        """Whether all of this process's journal has been absorbed, by whomever."""
        self.offsets.update(outbox.offsets())
        journal = self._intake.journal
        return journal is None or self.is_done(journal)

    def is_done(self, journal: FileJournal) -> bool:
        """Whether all of a journal of this process was absorbed."""
        return self.offsets.get(journal.path.name, 0) >= journal.size()

    def _absorb(self, outbox: Outbox, name: str, descriptor: int, size: int) -> None:
        offset = self.offsets.get(name, 0)
        journal = self._intake.journal
        is_ours = journal is not None and journal.owns(name)
        while offset < size:
            reached, records = outbox.absorb(
                name, lambda start: read_frames(descriptor, start, size), self._clock.time(), least=offset
            )
            if reached <= offset:
                break
            if is_ours:
                self._intake.advance(records, reached - offset)
            self.offsets[name] = offset = reached

    def _absorb_foreign(self, outbox: Outbox, name: str) -> None:
        """Absorb the journal of another process, or an earlier one of ours."""
        path = self._directory / name
        try:
            descriptor = os.open(path, READ_FLAGS)
        except FileNotFoundError:
            return
        try:
            self._absorb(outbox, name, descriptor, os.fstat(descriptor).st_size)
            try:
                ownerless = try_lock(descriptor)
            except OSError:
                return  # no locks on this file system: nobody can tell whether its process lives
            if ownerless:
                # What was written between the reading and the end of its process.
                self._absorb(outbox, name, descriptor, os.fstat(descriptor).st_size)
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()
                outbox.forget_journals([name])
                del self.offsets[name]
        finally:
            os.close(descriptor)

    def _rotate_if_long(self, name: str) -> None:
        journal = self._intake.journal
        if journal is not None and self.offsets.get(name, 0) > ROTATE_BYTES:
            with contextlib.suppress(OSError):
                journal.rotate()
