"""The outbox: an SQLite file holding the queue in order, the dead letters, and how far each journal was absorbed.

Every change is one transaction, and what is absorbed from a journal is committed together with the offset
reached in it: a crash at any point neither loses nor doubles a record. The file is open only while it is worked on,
so that a fork finds no connection to inherit (SQLite forbids carrying one over).
"""

from __future__ import annotations

import contextlib
import sqlite3
import weakref
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from .destination import Record
from .guard import Guard
from .journal import CHUNK_BYTES, SEPARATOR
from .options import DeadLetter
from .schema import connect

__all__ = ["DEAD_LETTER_LIMIT", "NONE_DEAD", "Outbox", "Totals", "frame_of"]

NONE_DEAD: Mapping[int, str] = MappingProxyType({})

DEAD_LETTER_LIMIT = 10_000
"""The most dead letters kept; the oldest give way."""

ROWS = 256
"""Rows inserted or read by one step of a statement.

Every step lets the host's threads run and has to get the interpreter back from them: with a step for each row, a busy
host would leave the dispatcher hardly any time.
"""

INSERTS = tuple(
    (rows, f"INSERT INTO records VALUES {', '.join(['(?, ?, ?)'] * rows)}")  # noqa: S608  # only question marks are put in
    for rows in (ROWS, 64, 16, 4, 1)
)
"""How many rows a statement inserts, and the statement: any number is made up of these in a few steps."""

# The inner query is in order, and so is what is concatenated.
READ_ROWS = """
    SELECT count(*), min(id), max(id), sum(typeof(frame) = 'blob'), CAST(group_concat(frame, char(30)) AS BLOB)
    FROM (SELECT id, frame FROM records WHERE id >= ? ORDER BY id LIMIT ?)
"""

MOVE_RECORDS = 1000
"""How many records are read at a time when one outbox takes over another."""

COMPACT_PAGES = 4096
"""An emptied file with more free pages than this is given back to the file system."""


class Totals(NamedTuple):
    """The id of the next record, and how many records and payload bytes are queued."""

    next_id: int
    records: int
    bytes: int


class Outbox:
    """The queue of one directory (or of memory), shared by all processes that use it.

    Methods raise ``sqlite3.Error`` or ``OSError`` when the file cannot be used, and :class:`NewerSchemaError`.

    Args:
        path: The file; ``None`` for memory.
        guard: See :class:`Guard`.
    """

    def __init__(self, path: Path | None, guard: Guard) -> None:
        self.path = path
        self._guard = guard
        self._connection: sqlite3.Connection | None = None
        self._sessions = 0

    # -- life ---------------------------------------------------------------------------------------------------
    @contextlib.contextmanager
    def session(self) -> Iterator[Outbox]:
        """Keep the file open between several calls."""
        with self._guard.held:
            self._sessions += 1
        try:
            yield self
        finally:
            with self._guard.held:
                self._sessions -= 1
                if not self._sessions:
                    self.disconnect()

    def disconnect(self) -> bool:
        """Close the file until it is needed again; false in the middle of a transaction. Memory stays."""
        with self._guard.held:
            connection = self._connection
            if connection is None or self.path is None:
                return True
            if connection.in_transaction:
                return False
            self._connection = None
            with contextlib.suppress(sqlite3.Error):
                connection.close()
            return True

    @property
    def is_disconnected(self) -> bool:
        """Whether no file is open; memory does not count."""
        return self._connection is None or self.path is None

    def abandon(self) -> sqlite3.Connection | None:
        """In a forked child: let go of the parent's connection without closing it; the caller keeps it referenced."""
        connection, self._connection, self._sessions = self._connection, None, 0
        return connection

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = connect(self.path)
            if self._connection is not None:  # a signal handler was quicker
                connection.close()
                return self._connection
            self._connection = connection
            if self.path is None:
                # Memory is there as long as we are, at the longest to the end of the process (after the last flush,
                # whose hook is younger); a connection left to itself is a ResourceWarning.
                weakref.finalize(self, connection.close)
        return self._connection

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self.session(), self._guard.held:
            connection = self._open()
            if connection.in_transaction:  # we interrupted ourselves, in a signal handler: one commit for both
                yield connection
                return
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise

    # -- filling ------------------------------------------------------------------------------------------------
    def offsets(self) -> dict[str, int]:
        """How far each known journal was absorbed."""
        with self.session(), self._guard.held:
            rows = self._open().execute("SELECT name, offset FROM journals").fetchall()
            return {name: whole(offset) for name, offset in rows}

    def absorb(
        self, name: str, read: Callable[[int], tuple[list[bytes], int]], now: float, *, least: int = 0
    ) -> tuple[int, int]:
        """Take over a stretch of a journal.

        Args:
            name: The journal.
            read: Given the offset reached so far, returns frames and the offset behind them.
            now: Wall-clock seconds.
            least: An offset known to have been reached, should this outbox not know it.

        Returns:
            The offset reached, and how many records that was.
        """
        with self._transaction() as connection:
            row = connection.execute("SELECT offset FROM journals WHERE name = ?", (name,)).fetchone()
            offset = max(whole(row[0]) if row else 0, least)
            frames, end = read(offset)
            if end != offset:
                self._insert(connection, frames, now)
                connection.execute("INSERT OR REPLACE INTO journals VALUES (?, ?)", (name, end))
        return end, len(frames)

    def add(self, frames: Sequence[bytes], now: float) -> None:
        """Queue frames that come from no journal."""
        with self._transaction() as connection:
            self._insert(connection, frames, now)

    def take_over(self, other: Outbox, now: float, *, offsets: Sequence[tuple[str, int]]) -> None:
        """Queue all that another outbox holds, and empty that one.

        Args:
            other: The other one.
            now: Wall-clock seconds.
            offsets: How far it absorbed journals, which are not to be absorbed again. They are noted together with its
                records, or neither: noted alone, they would lose what is in those journals.
        """
        with self._transaction() as connection:
            connection.executemany("INSERT OR REPLACE INTO journals VALUES (?, ?)", offsets)
            moved = 0
            while records := other.peek(MOVE_RECORDS, CHUNK_BYTES, skip=moved):
                self._insert(connection, list(map(frame_of, records)), now)
                moved += len(records)
            dead = [
                (letter.time, letter.kind.encode() + letter.payload, letter.reason) for letter in other.dead_letters()
            ]
            connection.executemany("INSERT INTO dead_letters (time, frame, reason) VALUES (?, ?, ?)", dead)
        other.clear()
        other.delete_dead_letters()

    def forget_journals(self, names: Sequence[str]) -> None:
        """Drop the offsets of journals whose files are gone."""
        with self._transaction() as connection:
            connection.executemany("DELETE FROM journals WHERE name = ?", [(name,) for name in names])

    @staticmethod
    def _insert(connection: sqlite3.Connection, frames: Sequence[bytes], now: float) -> None:
        if not frames:
            return
        first = totals_of(connection).next_id
        time = int(now)
        start = 0
        for rows, statement in INSERTS:
            while len(frames) - start >= rows:
                batch = enumerate(frames[start : start + rows], first + start)
                connection.execute(statement, [value for number, frame in batch for value in (number, time, frame)])
                start += rows
        connection.execute(
            "UPDATE totals SET next_id = next_id + ?, records = records + ?, bytes = bytes + ?",
            (len(frames), len(frames), sum(map(len, frames))),
        )

    # -- reading ------------------------------------------------------------------------------------------------
    def totals(self) -> Totals:
        """How much is queued."""
        with self.session(), self._guard.held:
            return totals_of(self._open())

    def first_id(self) -> int | None:
        """The id of the oldest record."""
        with self.session(), self._guard.held:
            row = self._open().execute("SELECT id FROM records ORDER BY id LIMIT 1").fetchone()
            return None if row is None else int(row[0])

    def count_before(self, end_id: int) -> int:
        """How many records with smaller ids are queued."""
        with self.session(), self._guard.held:
            row = self._open().execute("SELECT count(*) FROM records WHERE id < ?", (end_id,)).fetchone()
            return int(row[0])

    def oldest_time(self) -> float | None:
        """When the oldest record was absorbed, wall-clock seconds."""
        with self.session(), self._guard.held:
            row = self._open().execute("SELECT time FROM records ORDER BY id LIMIT 1").fetchone()
            return None if row is None else float(row[0])

    def peek(self, most: int, most_bytes: int, *, skip: int = 0) -> list[Record]:
        """The leading records, which stay queued.

        Args:
            most: At most so many.
            most_bytes: At most so many bytes; the first record comes in any case.
            skip: Leading records to pass over.
        """
        records: list[Record] = []
        room = most_bytes
        make = tuple.__new__  # what the constructor of a named tuple comes to, at half the time
        with self.session(), self._guard.held:
            for number, frame in self._frames(self._open(), most, skip):
                if not isinstance(frame, bytes) or not frame:
                    raise sqlite3.DatabaseError("a row is not what was stored")
                room -= len(frame)
                if room < 0 and records:
                    break
                records.append(make(Record, (number, chr(frame[0]), frame[1:])))
        return records

    @staticmethod
    def _frames(connection: sqlite3.Connection, most: int, skip: int) -> Iterator[tuple[int, object]]:
        """Ids and frames of the leading records."""
        row = connection.execute("SELECT id FROM records ORDER BY id LIMIT 1 OFFSET ?", (skip,)).fetchone()
        while row is not None and most > 0:
            count, first, last, blobs, text = connection.execute(READ_ROWS, (row[0], min(most, ROWS))).fetchone()
            frames = (text or b"").split(SEPARATOR)
            if count == blobs == len(frames) == last - first + 1:
                yield from enumerate(frames, first)
            else:  # some were removed in between, or it is damaged: row by row
                between = "SELECT id, frame FROM records WHERE id BETWEEN ? AND ? ORDER BY id"
                yield from connection.execute(between, (first, last)).fetchall()
            most -= count
            row = (last + 1,) if count == ROWS else None

    # -- emptying -----------------------------------------------------------------------------------------------
    def delete(self, records: Sequence[Record], *, dead: Mapping[int, str] = NONE_DEAD, now: float = 0.0) -> int:
        """Remove consecutive records, as :meth:`peek` returned them.

        Args:
            records: These.
            dead: Those of them that become dead letters: their position, and why.
            now: Wall-clock seconds, for the dead letters.

        Returns:
            How many old dead letters gave way.
        """
        with self._transaction() as connection:
            if self._holds(connection, records[0]) and self._holds(connection, records[-1]):
                self._delete(connection, records)
            if not dead:
                return 0
            rows = [(now, frame_of(records[index]), dead[index]) for index in sorted(dead)]
            connection.executemany("INSERT INTO dead_letters (time, frame, reason) VALUES (?, ?, ?)", rows)
            return connection.execute(
                "DELETE FROM dead_letters WHERE id <= (SELECT max(id) FROM dead_letters) - ?", (DEAD_LETTER_LIMIT,)
            ).rowcount

    @staticmethod
    def _holds(connection: sqlite3.Connection, record: Record) -> bool:
        """Whether it is this record that has the id: the file may have been replaced since it was read."""
        row = connection.execute("SELECT frame FROM records WHERE id = ?", (record.id,)).fetchone()
        return row is not None and row[0] == frame_of(record)

    @staticmethod
    def _delete(connection: sqlite3.Connection, records: Sequence[Record]) -> None:
        span = (records[0].id, records[-1].id)
        gone = connection.execute("DELETE FROM records WHERE id BETWEEN ? AND ?", span).rowcount
        if gone == len(records):
            size = sum(len(record.payload) for record in records) + gone
            connection.execute("UPDATE totals SET records = records - ?, bytes = bytes - ?", (gone, size))
        else:  # the queue was cleared or trimmed meanwhile
            connection.execute(
                "UPDATE totals SET records = (SELECT count(*) FROM records),"
                " bytes = (SELECT coalesce(sum(length(frame)), 0) FROM records)"
            )

    def clear(self, offsets: Sequence[tuple[str, int]] = ()) -> int:
        """Remove every record, and take journals for absorbed up to these offsets; returns how many there were."""
        with self._transaction() as connection:
            records = totals_of(connection).records
            connection.executemany("INSERT OR REPLACE INTO journals VALUES (?, ?)", offsets)
            connection.execute("DELETE FROM records")
            connection.execute("UPDATE totals SET records = 0, bytes = 0")
        return records

    def compact(self) -> None:
        """Give the space of an emptied file back; best effort."""
        with self.session(), self._guard.held, contextlib.suppress(sqlite3.Error):
            connection = self._open()
            (free,) = connection.execute("PRAGMA freelist_count").fetchone()
            if free > COMPACT_PAGES and not connection.in_transaction:
                connection.execute("VACUUM")

    # -- dead letters -------------------------------------------------------------------------------------------
    def dead_letters(self) -> list[DeadLetter]:
        """All dead letters, oldest first."""
        with self.session(), self._guard.held:
            rows = self._open().execute("SELECT id, frame, reason, time FROM dead_letters ORDER BY id").fetchall()
        return [DeadLetter(number, chr(frame[0]), frame[1:], reason, time) for number, frame, reason, time in rows]

    def count_dead_letters(self) -> int:
        """How many dead letters are kept."""
        with self.session(), self._guard.held:
            return int(self._open().execute("SELECT count(*) FROM dead_letters").fetchone()[0])

    def revive_dead_letters(self, now: float, reason: str | None = None, *, ids: Container[int] | None = None) -> int:
        """Queue dead letters, all or those with this reason or these ids, behind what is queued; returns how many."""
        with self._transaction() as connection:
            rows = self._take_dead_letters(connection, reason, ids)
            self._insert(connection, [frame for _, frame in rows], now)
        return len(rows)

    def delete_dead_letters(self, reason: str | None = None, *, ids: Container[int] | None = None) -> int:
        """Remove dead letters, all or those with this reason or these ids; returns how many."""
        with self._transaction() as connection:
            return len(self._take_dead_letters(connection, reason, ids))

    @staticmethod
    def _take_dead_letters(
        connection: sqlite3.Connection, reason: str | None, ids: Container[int] | None
    ) -> list[tuple[int, bytes]]:
        rows = connection.execute(
            "SELECT id, frame FROM dead_letters WHERE reason = ifnull(:reason, reason) ORDER BY id", {"reason": reason}
        ).fetchall()
        chosen = [(number, frame) for number, frame in rows if ids is None or number in ids]
        connection.executemany("DELETE FROM dead_letters WHERE id = ?", [(number,) for number, _ in chosen])
        return chosen


def frame_of(record: Record) -> bytes:
    """A record as it is stored."""
    return record.kind.encode() + record.payload


def totals_of(connection: sqlite3.Connection) -> Totals:
    """The totals as this connection sees them."""
    row = connection.execute("SELECT next_id, records, bytes FROM totals").fetchone()
    if row is None:
        raise sqlite3.DatabaseError("the totals are missing")
    return Totals(*map(whole, row))


def whole(value: object) -> int:
    """A number out of the database, whatever damage may have made of it."""
    if not isinstance(value, int):
        raise sqlite3.DatabaseError("a number is not what was stored")
    return value
