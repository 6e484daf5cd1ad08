"""The outbox file: its schema and migrations, how it is opened, and how one that cannot be used is set aside."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

__all__ = ["MIGRATIONS", "NewerSchemaError", "connect", "is_damage", "is_locked", "migrate", "set_aside"]

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        # frame: one character for the kind, then the payload; time: when it was absorbed, for the age of the queue.
        "CREATE TABLE records (id INTEGER PRIMARY KEY, time INTEGER NOT NULL, frame BLOB NOT NULL)",
        "CREATE TABLE dead_letters (id INTEGER PRIMARY KEY, time REAL NOT NULL, frame BLOB NOT NULL, reason TEXT)",
        "CREATE TABLE journals (name TEXT PRIMARY KEY, offset INTEGER NOT NULL) WITHOUT ROWID",
        "CREATE TABLE totals (next_id INTEGER NOT NULL, records INTEGER NOT NULL, bytes INTEGER NOT NULL)",
        "INSERT INTO totals VALUES (1, 0, 0)",
    ),
)
"""Statements that bring the schema from each version to the next; the version is their number."""

CACHE_KIBIBYTES = 256
"""Memory for pages. Records are read once and in order: more of it would not make anything faster."""

BUSY_TIMEOUT = 2.0
"""Seconds to wait for another process that is writing."""


class NewerSchemaError(Exception):
    """The file was written by a later version of this package."""


def connect(path: Path | None) -> sqlite3.Connection:
    """Open an outbox file (mode 0600) and bring its schema up to date."""
    if path is not None and not path.exists():
        # Made before SQLite does, so that it never exists with wider permissions; its -wal inherits the mode.
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    connection = sqlite3.connect(
        path or ":memory:", timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
    )
    try:
        refuse_newer(connection)  # before anything is written to it, were it only the journal mode
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(f"PRAGMA cache_size=-{CACHE_KIBIBYTES}")
        migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the schema to the current version in one transaction.

    Raises:
        NewerSchemaError: It is of a later version; nothing was changed.
    """
    if refuse_newer(connection) == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = refuse_newer(connection)  # again: another process may have been quicker
        for statements in MIGRATIONS[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def refuse_newer(connection: sqlite3.Connection) -> int:
    """The schema version.

    Raises:
        NewerSchemaError: It is a later one than we know.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > len(MIGRATIONS):
        raise NewerSchemaError(f"schema version {version}")
    return version


def is_locked(error: BaseException) -> bool:
    """Whether another process holds the file; it will pass."""
    text = str(error)
    return isinstance(error, sqlite3.OperationalError) and ("locked" in text or "busy" in text)


def is_damage(error: BaseException) -> bool:
    """Whether the file itself is broken, as against busy, full or read-only (which are subclasses).

    A missing or misshapen table counts as damage too: the file is then not what its version says.
    """
    if type(error) is sqlite3.DatabaseError or isinstance(error, sqlite3.IntegrityError):
        return True
    return isinstance(error, sqlite3.OperationalError) and str(error).startswith(("no such", "table", "malformed"))


def set_aside(path: Path, why: str) -> Path:
    """Rename a file and its companions to the first free ``<name>.<why>-<n>``, and say which.

    Raises:
        OSError: It cannot be renamed.
    """
    number = 1
    while (target := path.with_name(f"{path.name}.{why}-{number}")).exists():
        number += 1
    path.rename(target)
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(target.with_name(target.name + suffix))
    return target
