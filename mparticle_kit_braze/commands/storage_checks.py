"""Checks of the storage directory: owner, modes, room, locks, and the state of the files in it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from ..delivery.lease import try_lock
from ..delivery.schema import MIGRATIONS
from ..storage import default_directory
from .checks import Finding, fail, ok, reason, warning
from .running import CommandError, UsageError
from .stored_queue import StoredQueue, copy_of, find_queues

__all__ = ["check_storage"]

MEBIBYTE = 1024 * 1024
LITTLE_ROOM, NO_ROOM = 512 * MEBIBYTE, 16 * MEBIBYTE
"""A queue may take 256 MiB, and as much again while it is written."""

OLD = 86_400
"""Seconds after which a record that waits is worth mentioning."""

ELSEWHERE = "name another directory with MPARTICLE_STORAGE or --storage"


def check_storage(given: str | None) -> Iterator[Finding]:
    """What can be said of a storage directory, the user's data directory unless another is given."""
    path = Path(given).expanduser().absolute() if given else default_directory()
    try:
        status = path.stat()
    except FileNotFoundError:
        yield _absent(path)
        return
    except (OSError, ValueError) as error:
        yield fail("storage", f"{path} cannot be reached ({reason(error)})", ELSEWHERE)
        return
    if not stat.S_ISDIR(status.st_mode):
        yield fail("storage", f"{path} is no directory", ELSEWHERE)
        return
    yield from _check_owner(path, status)
    yield from _check_modes(path, status)
    yield from _check_use(path)
    yield from _check_room(path)
    yield from _check_files(path)
    yield from _check_queues(path)


def _absent(path: Path) -> Finding:
    parent = next(each for each in path.parents if each.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        return fail("storage", f"{path} does not exist, and cannot be made in {parent}", ELSEWHERE)
    return ok("storage", f"{path} does not exist yet; the first client makes it")


def _check_owner(path: Path, status: os.stat_result) -> Iterator[Finding]:
    if not hasattr(os, "geteuid"):
        return
    if status.st_uid == os.geteuid():
        yield ok("storage", f"{path} belongs to this user")
    elif os.geteuid() == 0:
        mend = "run clients as that user: files made by root would lock it out"
        yield warning("storage", f"{path} belongs to user {status.st_uid}, and this is root", mend)
    else:
        mend = f"run as that user, or {ELSEWHERE}"
        yield fail("storage", f"{path} belongs to user {status.st_uid}, not to this one ({os.geteuid()})", mend)


def _check_modes(path: Path, status: os.stat_result) -> Iterator[Finding]:
    if sys.platform == "win32":
        return
    open_to_others = [path] if status.st_mode & 0o077 else []
    try:
        open_to_others += [
            each for each in sorted(path.rglob("*")) if each.lstat().st_mode & 0o077 and not each.is_symlink()
        ]
    except OSError as error:
        yield fail("modes", f"{path} cannot be looked through ({reason(error)})", ELSEWHERE)
        return
    if not open_to_others:
        yield ok("modes", "nobody else can read it (directories 0700, files 0600)")
        return
    first = open_to_others[0]
    more = f" and {len(open_to_others) - 1} more" if len(open_to_others) > 1 else ""
    mode = stat.S_IMODE(first.lstat().st_mode)
    yield warning("modes", f"others may have access to {first} ({mode:04o}){more}", f"chmod -R go= {path}")


def _is_open(path: Path) -> bool:
    """Whether others have any access; false for what is gone, as files of a running client may be."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    return bool(mode & 0o077) and not stat.S_ISLNK(mode)


def _check_use(path: Path) -> Iterator[Finding]:
    """Write a file of our own, lock it, and remove it."""
    probe = path / f".doctor-{os.getpid()}"
    try:
        descriptor = os.open(probe, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    except OSError as error:
        yield fail("writable", f"no file can be made in it ({reason(error)})", f"mend its permissions, or {ELSEWHERE}")
        return
    try:
        yield from _check_writing(descriptor)
        yield _check_lock(descriptor)
    finally:
        os.close(descriptor)
        probe.unlink(missing_ok=True)


def _check_writing(descriptor: int) -> Iterator[Finding]:
    try:
        os.write(descriptor, bytes(8192))
        os.fsync(descriptor)
    except OSError as error:
        yield fail("writable", f"nothing can be written in it ({reason(error)})", f"make room, or {ELSEWHERE}")
    else:
        yield ok("writable", "files can be made and written in it")


def _check_lock(descriptor: int) -> Finding:
    try:
        if try_lock(descriptor):
            return ok("locks", "the file system has locks, so processes can share the directory")
        said = "a fresh file is locked"
    except OSError as error:
        said = reason(error)
    mend = f"let one process at a time use it, or {ELSEWHERE} on a local disk"
    return warning("locks", f"the file system has no locks ({said})", mend)


def _check_room(path: Path) -> Iterator[Finding]:
    try:
        free = shutil.disk_usage(path).free
    except OSError as error:
        yield warning("room", f"the free space cannot be told ({reason(error)})", "look at it yourself")
        return
    said = f"{free // MEBIBYTE:,} MiB free"
    if free < NO_ROOM:
        yield fail("room", said, "make room: what cannot be stored lives in memory, and dies with the process")
    elif free < LITTLE_ROOM:
        yield warning("room", said, "a queue may take up to 256 MiB: make room, or lower max_bytes")
    else:
        yield ok("room", said)


def _check_files(path: Path) -> Iterator[Finding]:
    """The databases: readable, whole, and of a version that is known."""
    files = sorted(path.rglob("*.db"))
    sound = True
    for file in files:
        name = file.relative_to(path)
        try:
            with copy_of(file) as connection:
                version = int(connection.execute("PRAGMA user_version").fetchone()[0])
                verdict = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
        except FileNotFoundError:
            continue
        except sqlite3.DatabaseError as error:
            version, verdict = 0, str(error)
        except (OSError, CommandError) as error:
            sound = False
            yield fail("files", f"{name} cannot be read ({reason(error)})", "mend its permissions")
            continue
        if verdict != "ok":
            sound = False
            mend = "the next start sets it aside and begins a fresh one; keep a copy if what it held matters"
            yield fail("files", f"{name} is damaged ({verdict})", mend)
        elif file.name == "outbox.db" and version > len(MIGRATIONS):
            sound = False
            mend = "install that version again: this one would set the file aside"
            yield fail("files", f"{name} was written by a later version (schema {version})", mend)
    if sound:
        yield ok("files", f"{len(files)} databases, whole and of a known version (schema {len(MIGRATIONS)})")
    aside = sorted({each.relative_to(path) for why in ("damaged", "newer") for each in path.rglob(f"*.{why}-*")})
    if aside:
        mend = "rescue what you need from it, then delete it"
        yield warning("files", f"{len(aside)} files were set aside earlier, such as {aside[0]}", mend)


def _check_queues(path: Path) -> Iterator[Finding]:
    """What waits, and what was refused."""
    try:
        queues = find_queues(path)
    except UsageError as error:
        yield fail("queue", str(error), "mend its permissions")
        return
    for name, directory in queues.items():
        try:
            with StoredQueue(directory) as queue:
                waiting, dead, oldest = queue.count()[0], queue.count_dead(), queue.oldest()
        except (CommandError, OSError):
            continue  # said above
        age = 0.0 if oldest is None else time.time() - oldest
        if dead:
            mend = "see the command queue: dead, retry, delete"
            yield warning("queue", f"{name}: {dead} dead letters, refused by the other side", mend)
        if age > OLD:
            mend = "start a client on this directory, and check the endpoint"
            yield warning("queue", f"{name}: {waiting} records wait, the oldest for {age / 86_400:.1f} days", mend)
        elif not dead:
            yield ok("queue", f"{name}: {waiting} records wait")
