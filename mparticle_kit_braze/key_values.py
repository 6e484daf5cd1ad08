"""Small key-value files: a write-through cache over one SQLite file each.

Trouble with the disk is reported, never raised: what cannot be written stays in memory.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .diagnostics import Reporter
from .forks import watch_forks
from .locks import ForkSafeLock

__all__ = ["KeyValues"]

encode: Callable[[Any], str] = json.JSONEncoder(separators=(",", ":")).encode
BUSY_TIMEOUT = 0.1
"""Seconds to wait for another process that is writing the same file: a caller's thread waits as well."""

HOLD_OFF = 2.0
"""Seconds until a file that could not be written is tried again."""

FORK_PATIENCE = 0.5
"""Seconds that a fork waits for a write to end."""


class KeyValues:
    """Small JSON values by key: read from memory, written through to one SQLite file.

    Reads see what this process wrote and what :meth:`reload` found; other processes may share the file. A
    value is on the disk when :meth:`set` returns (safe from the death of the process). If the disk refuses,
    the value stays in memory and the trouble is reported once per episode (``storage_write_failed``). A damaged
    file is renamed to ``<name>.damaged-<n>``, reported (``storage_damaged``), and a fresh one begun.

    Safe to use from several threads, and in a forked child, which opens the file anew: it is closed at the fork, as
    SQLite forbids carrying an open one over.
    """

    def __init__(self, path: Path | None, reporter: Reporter) -> None:
        self.closed: bool = False
        self._path = path
        self._reporter = reporter
        self._lock = ForkSafeLock()
        self._connection: sqlite3.Connection | None = None
        self._inherited: sqlite3.Connection | None = None
        self._forking = False
        self._values: dict[str, str] = {}
        self._unwritten: set[str] = set()
        self._failing = False
        self._writing = False
        self._retry_at = -math.inf
        self._seen: tuple[sqlite3.Connection, int] | None = None
        with self._lock.held:
            troubles = self._load()
        self._tell(troubles)
        if path is not None:
            watch_forks(self)

    # -- reading ------------------------------------------------------------------------------------------------
    def get(self, key: str, default: Any = None) -> Any:
        """The value of ``key``, or ``default``. Always a fresh object: change it freely."""
        text = self._values.get(key)
        return default if text is None else json.loads(text)

    def items(self, prefix: str = "") -> dict[str, Any]:
        """All keys that begin with ``prefix``, with their values."""
        found = [(key, text) for key, text in self._values.copy().items() if key.startswith(prefix)]
        return {key: json.loads(text) for key, text in found}

    # -- writing ------------------------------------------------------------------------------------------------
    def set(self, key: str, value: Any) -> None:
        """Store one value (anything ``json`` takes)."""
        self.update({key: value})

    def update(self, values: Mapping[str, Any]) -> None:
        """Store several values in one commit."""
        texts = {key: encode(value) for key, value in values.items()}
        with self._lock.held:
            self._values.update(texts)
            self._unwritten.update(texts)
            troubles = self._write()
        self._tell(troubles)

    def set_default(self, key: str, value: Any) -> Any:
        """Store a value unless there is one, in one step even among processes, and return what is stored."""
        text = encode(value)
        with self._lock.held:
            troubles = self._claim(key, text)
            found = json.loads(self._values[key])
        self._tell(troubles)
        return found

    def take(self, key: str) -> Any:
        """Remove a value and return it, in one step even among processes: only one of them gets it, others ``None``."""
        with self._lock.held:
            text, troubles = self._take(key)
        self._tell(troubles)
        return None if text is None else json.loads(text)

    def delete(self, key: str) -> None:
        """Forget one key."""
        self._delete([key])

    def delete_prefix(self, prefix: str) -> None:
        """Forget every key that begins with ``prefix``."""
        with self._lock.held:
            keys = [key for key in list(self._values) if key.startswith(prefix)]
        self._delete(keys)

    # -- life ---------------------------------------------------------------------------------------------------
    def reload(self) -> None:
        """Read the file again, to see what other processes wrote."""
        with self._lock.held:
            troubles = self._load()
        self._tell(troubles)

    def close(self) -> None:
        """Close the file. Reading goes on from memory; writing after this reaches memory only."""
        with self._lock.held:
            self._retry_at = -math.inf
            troubles = self._write() if self._unwritten else []
            self.closed = True
            self._disconnect()
        self._tell(troubles)

    def __del__(self) -> None:
        """Nobody refers to it any more: do not leave the file open until the interpreter notices."""
        with contextlib.suppress(Exception):
            self._disconnect()

    def before_fork(self) -> None:
        """Have the file closed at the fork; waits for a write that is under way, but not long."""
        if self._lock.held.acquire(timeout=FORK_PATIENCE):
            self._forking = True
            if self._connection is not None and not self._connection.in_transaction:
                self._disconnect()

    def after_fork_in_parent(self) -> None:
        """Go on; the file is opened again when it is needed."""
        if self._forking:
            self._forking = False
            self._lock.held.release()

    def after_fork_in_child(self) -> None:
        """Begin with a free lock. An open connection is the parent's: it must be neither used nor closed here."""
        self._forking = False
        if self._lock.is_mine():
            self._lock.renew()
        self._inherited = self._inherited or self._connection
        self._connection = None

    # -- inside -------------------------------------------------------------------------------------------------
    def _delete(self, keys: list[str]) -> None:
        with self._lock.held:
            for key in keys:
                self._values.pop(key, None)
            self._unwritten.update(keys)
            troubles = self._write()
        self._tell(troubles)

    def _open(self) -> sqlite3.Connection | None:
        if self._inherited is not None:
            # SQLite would believe that this process holds the parent's locks.
            raise sqlite3.OperationalError("the process forked in the middle of a write")
        if self._connection is None and self._path is not None and not self.closed:
            connection = open_database(self._path)
            if self._connection is None:
                self._connection = connection
            else:  # a signal handler or a finalizer was quicker
                connection.close()
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection, self._seen = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _load(self) -> list[Trouble]:
        """Fill the cache; called with the lock held, returns what there is to report once it is released."""
        if self._holds_off():
            return []
        try:
            connection = self._open()
            if connection is None:
                return []
            # SQLite counts the commits of other connections: nothing new is the usual answer, and a cheap one.
            seen = connection, connection.execute("PRAGMA data_version").fetchone()[0]
            if seen == self._seen:
                return []
            while True:
                before = self._values.copy()
                found = readable(connection.execute("SELECT key, value FROM key_values"))
                if self._values == before:
                    break  # else a finalizer or a signal handler has stored something meanwhile
            self._seen = seen
        except (sqlite3.Error, OSError) as error:
            return self._recover(error)
        for key in list(self._unwritten):
            if key in self._values:
                found[key] = self._values[key]
            else:
                found.pop(key, None)
        self._values = found
        return []

    def _write(self) -> list[Trouble]:
        """Bring the file up to date, with what earlier failures left unwritten; as :meth:`_load` otherwise."""
        if self._holds_off():
            return []
        try:
            with self._while_writing():
                while self._unwritten:
                    self._commit()
        except (sqlite3.Error, OSError) as error:
            return self._recover(error)
        if not self._failing:
            return []
        self._failing = False
        return [Trouble("storage_write_failed", None, None)]

    def _claim(self, key: str, text: str) -> list[Trouble]:
        """Take over what another process stored under ``key``, else store ``text``."""
        if key in self._values:
            return []
        try:
            connection = None if self._holds_off() else self._open()
            if connection is not None and key not in self._unwritten:
                with self._while_writing(), connection:
                    connection.execute("BEGIN IMMEDIATE")
                    connection.execute("INSERT OR IGNORE INTO key_values VALUES (?, ?)", (key, text))
                    rows = connection.execute("SELECT key, value FROM key_values WHERE key = ?", (key,))
                    self._values[key] = readable(rows).get(key, text)
                return []
        except (sqlite3.Error, OSError) as error:
            self._values[key] = text
            self._unwritten.add(key)
            return self._recover(error)
        self._values[key] = text
        self._unwritten.add(key)
        return self._write()

    def _take(self, key: str) -> tuple[str | None, list[Trouble]]:
        """Remove a value and return its text; of one that was never written, what memory holds."""
        known = self._values.pop(key, None)
        unwritten = key in self._unwritten
        if self._holds_off():
            self._unwritten.add(key)
            return known, []
        try:
            connection = self._open()
            if connection is not None:
                with self._while_writing(), connection:
                    connection.execute("BEGIN IMMEDIATE")
                    found = readable(connection.execute("SELECT key, value FROM key_values WHERE key = ?", (key,)))
                    connection.execute("DELETE FROM key_values WHERE key = ?", (key,))
                self._unwritten.discard(key)
                return (known if unwritten else found.get(key)), []
        except (sqlite3.Error, OSError) as error:
            self._unwritten.add(key)
            return known, self._recover(error)
        self._unwritten.discard(key)
        return known, []

    @contextlib.contextmanager
    def _while_writing(self) -> Iterator[None]:
        self._writing = True
        try:
            yield
        finally:
            self._writing = False

    def _commit(self) -> None:
        connection = self._open()
        if connection is None:
            self._unwritten.clear()  # memory, or closed: there is nowhere to write to, ever
            return
        keys = list(self._unwritten)
        values = self._values.copy()
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            rows = [(key, values[key]) for key in keys if key in values]
            connection.executemany("INSERT OR REPLACE INTO key_values VALUES (?, ?)", rows)
            gone = [(key,) for key in keys if key not in values]
            connection.executemany("DELETE FROM key_values WHERE key = ?", gone)
        # Not those that a signal handler has changed meanwhile.
        self._unwritten.difference_update([key for key in keys if self._values.get(key) is values.get(key)])

    def _recover(self, error: sqlite3.Error | OSError) -> list[Trouble]:
        """Deal with a failing file: set a damaged one aside and write what we know to a fresh one."""
        if self._path is None or not is_damage(error):
            return self._hold_off(error)
        self._disconnect()
        troubles = [Trouble("storage_damaged", "A damaged state file was set aside and a fresh one begun", error)]
        try:
            set_aside(self._path)
            self._unwritten.update(self._values)
            self._commit()
        except (sqlite3.Error, OSError) as again:
            troubles += self._hold_off(again)
        return troubles

    def _hold_off(self, error: sqlite3.Error | OSError) -> list[Trouble]:
        """Let go of a file that cannot be used now, so that not every call waits for it."""
        self._failing = True
        self._retry_at = time.monotonic() + HOLD_OFF
        reason = f"({type(error).__name__})"
        return [
            Trouble("storage_write_failed", f"State cannot be read or written {reason}; it is kept in memory", error)
        ]

    def _holds_off(self) -> bool:
        """Whether not to touch the file: it failed a moment ago, or this is a signal handler that interrupted a write.

        What a handler changes goes with the write it interrupted, or the next one.
        """
        return self._writing or time.monotonic() < self._retry_at

    def _tell(self, troubles: list[Trouble]) -> None:
        for trouble in troubles:
            if trouble.message is None:
                self._reporter.recovered(trouble.code, "State can be written again", key=str(self._path))
            else:
                self._reporter.report(trouble.code, trouble.message, key=str(self._path), exception=trouble.error)


class Trouble:
    """What to tell the reporter once the lock is released; no message means that it is over."""

    __slots__ = ("code", "error", "message")

    def __init__(self, code: str, message: str | None, error: BaseException | None) -> None:
        self.code: str = code
        self.message: str | None = message
        self.error: BaseException | None = error


def open_database(path: Path) -> sqlite3.Connection:
    """Open a key-value file (mode 0600), making its table when new."""
    if not path.exists():
        # Made before SQLite does, so that it never exists with wider permissions; its -wal inherits the mode.
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS key_values (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"
        )
    except BaseException:
        connection.close()
        raise
    return connection


def readable(rows: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The rows whose value is JSON (a file edited by hand must not break a later read)."""
    found = {}
    for key, text in rows:
        with contextlib.suppress(ValueError, TypeError):
            json.loads(text)
            found[key] = text
    return found


def is_damage(error: BaseException) -> bool:
    """Whether the file itself is broken, as against busy, full or read-only (which are subclasses)."""
    return type(error) is sqlite3.DatabaseError


def set_aside(path: Path) -> None:
    """Rename a damaged file and its companions to the first free ``<name>.damaged-<n>``."""
    number = 1
    while (target := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    path.rename(target)
    for suffix in ("-wal", "-shm"):
        companion = path.with_name(path.name + suffix)
        if companion.exists():
            companion.rename(target.with_name(target.name + suffix))
