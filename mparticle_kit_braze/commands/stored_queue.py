"""Stored queues as others left them: read without a lock and without touching a file of theirs."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from typing_extensions import Self

from ..delivery.guard import Guard
from ..delivery.journal import READ_FLAGS, journal_files, read_frames
from ..delivery.lease import Lease
from ..delivery.options import DeadLetter
from ..delivery.outbox import Outbox
from ..delivery.schema import MIGRATIONS
from ..storage import default_directory
from .running import CommandError, UsageError

__all__ = ["Item", "StoredQueue", "copy_of", "find_queues", "mutable", "storage_directory"]

OUTBOX = "outbox.db"
DEPTH = 3
"""How many levels below a storage directory queues are looked for."""

ATTEMPTS = 5
"""How often a copy is made anew because a process wrote in the middle of it."""

HEADER_BYTES = 32
"""A write-ahead log's header; it changes whenever the log begins anew."""


class Item(NamedTuple):
    """A record that waits to be sent.

    Attributes:
        id: Its place in the outbox; ``None`` while it is in a journal only.
        time: When it came into the outbox, or when its journal was last written; seconds since the epoch.
        kind: One character that only the destination understands.
        payload: Its bytes.
    """

    id: int | None
    time: float
    kind: str
    payload: bytes

    @property
    def value(self) -> Any:
        """The payload as JSON, or as text where it is none."""
        return decoded(self.payload)


def decoded(payload: bytes) -> Any:
    """A record's payload as JSON, or as text where it is none."""
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return payload.decode("utf-8", "backslashreplace")


def storage_directory(given: str | None) -> Path:
    """The storage directory: the one given, that of ``MPARTICLE_STORAGE``, or the user's data directory.

    Raises:
        UsageError: It is none, or cannot be looked into.
    """
    text = given or os.environ.get("MPARTICLE_STORAGE")
    path = Path(text).expanduser().absolute() if text else default_directory()
    try:
        with os.scandir(path):
            return path
    except FileNotFoundError:
        raise UsageError(f"there is no storage directory {path}; --storage names another") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"the storage directory {path} cannot be read: {why}") from None


def find_queues(storage: Path, only: str | None = None) -> dict[str, Path]:
    """The queues below a storage directory, by their path relative to it.

    Raises:
        UsageError: There is none of the name asked for, or a directory cannot be read.
    """

    def unreadable(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise UsageError(f"{error.filename} cannot be read: {error.strerror}")

    found = {}
    for directory, names, files in os.walk(storage, onerror=unreadable):
        here = Path(directory)
        depth = len(here.relative_to(storage).parts)
        if depth >= DEPTH:
            names.clear()
        if OUTBOX in files or any(name.endswith(".journal") for name in files):
            found[here.relative_to(storage).as_posix() if depth else here.name] = here
    if only is None:
        return dict(sorted(found.items()))
    if only not in found:
        there = f"there are {', '.join(sorted(found))}" if found else "there is none"
        raise UsageError(f"there is no queue {only!r} in {storage}; {there}")
    return {only: found[only]}


# -- reading --------------------------------------------------------------------------------------------------------
@contextmanager
def copy_of(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a private copy of an SQLite file as it is at one moment, whatever others do to it meanwhile.

    Raises:
        sqlite3.Error: It is damaged, or no database.
        OSError: It cannot be read, or copied.
    """
    with tempfile.TemporaryDirectory(prefix="mparticle_kit_braze-") as room:
        copy = Path(room) / "copy.db"
        if not any(_copied(path, copy) for _ in range(ATTEMPTS)):
            _back_up(path, copy)
        with contextlib.closing(sqlite3.connect(copy)) as connection:
            yield connection


def _copied(path: Path, copy: Path) -> bool:
    """Copy a file and its write-ahead log; says whether they fit together.

    Opening the file itself would take locks and write to its companions. The copy is whole if the log did not begin
    anew meanwhile: whatever was moved from it into the file is then still in it.
    """
    log, log_copy = (each.with_name(f"{each.name}-wal") for each in (path, copy))
    before = _state(path, log)
    shutil.copyfile(path, copy)
    log_copy.unlink(missing_ok=True)
    with contextlib.suppress(FileNotFoundError):
        shutil.copyfile(log, log_copy)
    return before == _state(path, log)


def _back_up(path: Path, copy: Path) -> None:
    """Copy a file by SQLite's own means, for one that is written all the time; its writers are not held up."""
    for each in (copy, copy.with_name(f"{copy.name}-wal")):
        each.unlink(missing_ok=True)
    with (
        contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as source,
        contextlib.closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)


def _state(path: Path, log: Path) -> tuple[object, ...]:
    """What stays the same as long as copies of the file and its log fit together."""
    try:
        with log.open("rb") as file:
            header = file.read(HEADER_BYTES)
    except FileNotFoundError:
        header = b""
    status = path.stat()
    return (status.st_ino, header) if header else (status.st_ino, status.st_mtime_ns, status.st_size)


class StoredQueue:
    """One queue, as it is when it is opened. A context manager.

    Raises:
        CommandError: It is damaged, or of a later version.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._open = ExitStack()
        self._outbox: sqlite3.Connection | None = None
        self._journals: list[tuple[str, int, int, float]] = []
        self._unabsorbed: list[tuple[int, int, int, float]] = []

    def __enter__(self) -> Self:
        try:
            # The journals first: what others move into the outbox meanwhile is then seen there, and not twice.
            for name, size in journal_files(self.directory):
                self._hold_journal(name, size)
            path = self.directory / OUTBOX
            if path.exists():
                with self._told():
                    self._outbox = self._open.enter_context(copy_of(path))
                self._check_version(path)
            self._forget_absorbed()
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _hold_journal(self, name: str, size: int) -> None:
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(self.directory / name, READ_FLAGS)
            self._open.callback(os.close, descriptor)
            self._journals.append((name, descriptor, size, os.fstat(descriptor).st_mtime))

    def _check_version(self, path: Path) -> None:
        version = int(self._rows("PRAGMA user_version")[0][0])
        if version > len(MIGRATIONS):
            raise CommandError(f"{path} was written by a later version of this package (schema {version})")
        if version == 0:  # made, and never used
            self._outbox = None

    def _forget_absorbed(self) -> None:
        """Pass over what the outbox has taken from the journals; a journal that is gone was taken whole."""
        taken = dict(self._rows("SELECT name, offset FROM journals"))
        self._unabsorbed = [
            (descriptor, int(taken.get(name, 0)), size, written)
            for name, descriptor, size, written in self._journals
            if name in taken or (self.directory / name).exists()
        ]

    def _rows(self, query: str) -> list[Any]:
        if self._outbox is None:
            return []
        with self._told():
            return self._outbox.execute(query).fetchall()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise CommandError(
                f"{self.directory / OUTBOX} is damaged ({error}); the next start sets it aside"
            ) from None

    def records(self) -> Iterator[Item]:
        """What waits to be sent, oldest first."""
        if self._outbox is not None:
            with self._told():
                for number, absorbed, frame in self._outbox.execute("SELECT id, time, frame FROM records ORDER BY id"):
                    yield Item(number, absorbed, *_parts(frame))
        for frame, written in self._frames():
            yield Item(None, written, *_parts(frame))

    def _frames(self) -> Iterator[tuple[bytes, float]]:
        for descriptor, start, size, written in self._unabsorbed:
            offset, end = start, start
            while offset < size:
                frames, end = read_frames(descriptor, offset, size)
                yield from ((frame, written) for frame in frames)
                if end <= offset:
                    break
                offset = end

    def count(self) -> tuple[int, int]:
        """How many records wait, and their bytes."""
        counted, size = next(iter(self._rows("SELECT count(*), coalesce(sum(length(frame)), 0) FROM records")), (0, 0))
        for frame, _ in self._frames():
            counted, size = counted + 1, size + len(frame)
        return int(counted), int(size)

    def oldest(self) -> float | None:
        """When the oldest record that waits came, seconds since the epoch; ``None`` if none waits."""
        times = [absorbed for (absorbed,) in self._rows("SELECT time FROM records ORDER BY id LIMIT 1")]
        times += [written for _, written in islice(self._frames(), 1)]
        return float(min(times)) if times else None

    def dead(self) -> list[DeadLetter]:
        """The dead letters, oldest first."""
        return [
            DeadLetter(number, *_parts(frame), reason or "", when)
            for number, frame, reason, when in self._rows(
                "SELECT id, frame, reason, time FROM dead_letters ORDER BY id"
            )
        ]

    def count_dead(self) -> int:
        """How many dead letters there are."""
        return int(next(iter(self._rows("SELECT count(*) FROM dead_letters")), (0,))[0])


def _parts(frame: object) -> tuple[str, bytes]:
    """Kind and payload of a stored record."""
    data = frame if isinstance(frame, bytes) else str(frame).encode()
    return data[:1].decode("ascii", "replace"), data[1:]


# -- changing -------------------------------------------------------------------------------------------------------
@contextmanager
def mutable(directory: Path, wait: float) -> Iterator[Outbox]:
    """The queue's outbox, to change it while nobody else sends from it.

    Args:
        directory: The queue's.
        wait: Seconds to wait at most for a process that is sending.

    Raises:
        CommandError: It is somebody else's, another process is sending all the time, or the file cannot be used.
    """
    path = directory / OUTBOX
    if not path.exists():
        raise CommandError(f"{directory} has no outbox yet, and so no dead letters")
    owner = path.stat().st_uid
    if hasattr(os, "geteuid") and owner != os.geteuid():
        # Files made now would lock their owner out.
        raise CommandError(f"{path} belongs to user {owner}; run this as that user")
    lease = Lease(directory / "lease.lock")
    until = time.monotonic() + wait
    while not lease.acquire():
        if time.monotonic() >= until:
            raise CommandError(
                f"another process is sending from {directory} and holds its lease; nothing was changed. "
                "Try again when it is idle, wait longer with --wait SECONDS, or stop it first"
            )
        time.sleep(0.05)
    outbox = Outbox(path, Guard())
    try:
        with outbox.session():
            yield outbox
    except sqlite3.Error as error:
        raise CommandError(f"{path} cannot be changed: {error}") from None
    finally:
        lease.release()
