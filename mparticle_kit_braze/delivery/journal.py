"""Journals: append-only files that make a record safe from the death of the process with one system call.

A record is framed as in JSON text sequences (RFC 7464): a record separator, its kind and payload, a line feed.
A record cut short by a full disk or by the end of its process lacks the line feed and is recognised as no
record at all, whatever follows. Each process writes journals of its own and marks them with a lock that lasts as
long as it lives; any process may read them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from .lease import try_lock

__all__ = [
    "CHUNK_BYTES",
    "FRAME_BYTES",
    "SEPARATOR",
    "FileJournal",
    "MemoryJournal",
    "journal_files",
    "newest_journal_time",
    "parse_frames",
    "read_frames",
]

SUFFIX = ".journal"
SEPARATOR = b"\x1e"
BOUNDARY = b"\n\x1e"
FRAME_BYTES = 3
"""What framing adds to a payload: separator, kind, line feed."""

CHUNK_BYTES = 256 * 1024
"""How much of a journal is read at a time."""

PROBE = SEPARATOR * 8192
"""Bytes that hold no record; written to find out whether the disk takes anything again."""

OPEN_FLAGS = os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
READ_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class FileJournal:
    """The journals of this process, one at a time, behind one file descriptor that never changes.

    ``write`` may be called by any number of threads and by signal handlers at once: it is a bare ``os.write``
    in append mode, and a whole record each. :meth:`rotate` swaps the file behind the descriptor in one step.

    Attributes:
        write: Appends bytes and returns how many were written.
        path: The file being written.

    Raises:
        OSError: The file cannot be created or written.
    """

    def __init__(self, directory: Path, now: float, *, probe: bool = False) -> None:
        # Names sort in the order in which processes began, and within a process in the order of rotation.
        self._stem = f"{int(now * 1000):015d}-{os.getpid()}-{os.urandom(4).hex()}"
        self._directory = directory
        self._sequence = 0
        self.path: Path
        self._descriptor, self._reader, self.path = self._create(probe=probe)
        self.write: Callable[[bytes], int] = partial(os.write, self._descriptor)

    def _create(self, *, probe: bool) -> tuple[int, int, Path]:
        """Make the next file; returns descriptors to write and to read it by, and its path."""
        path = self._directory / f"{self._stem}-{self._sequence:06d}{SUFFIX}"
        self._sequence += 1
        # Locked before it gets its name: no other process can take it for one whose owner is gone.
        unnamed = path if sys.platform == "win32" else path.with_suffix(".new")
        descriptor = os.open(unnamed, OPEN_FLAGS, 0o600)
        try:
            with contextlib.suppress(OSError):  # no locks on this file system: others then cannot tell, and keep off
                try_lock(descriptor)
            if unnamed is not path:
                unnamed.rename(path)
            if probe and os.write(descriptor, PROBE) != len(PROBE):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # noqa: TRY301  (cleans up like every other)
            return descriptor, os.open(path, READ_FLAGS), path
        except OSError:
            os.close(descriptor)
            for leftover in {unnamed, path}:
                with contextlib.suppress(OSError):
                    leftover.unlink()
            raise

    def owns(self, name: str) -> bool:
        """Whether this is the name of the current file or of an earlier one of ours."""
        return name.startswith(self._stem)

    def size(self) -> int:
        """The bytes in the current file."""
        return os.fstat(self._descriptor).st_size

    def reader(self) -> int:
        """A descriptor to read the current file by, also when its name is gone."""
        return self._reader

    def is_linked(self) -> bool:
        """Whether the file can still be found under its name."""
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self._descriptor))
        except OSError:
            return False

    def rotate(self, *, probe: bool = False) -> None:
        """Go on in a new file. The old one belongs to nobody from then on; what is in it gets absorbed.

        Args:
            probe: Find out first whether the disk takes anything.

        Raises:
            OSError: No new file can be made; the old one stays in use.
        """
        descriptor, reader, path = self._create(probe=probe)
        # One atomic step: a write in another thread lands in the old file or in the new one, and the old one's
        # lock is let go only when such a write has ended.
        os.dup2(descriptor, self._descriptor, inheritable=False)
        os.close(descriptor)
        self.path = path
        self._reader, reader = reader, self._reader
        os.close(reader)

    def release(self) -> None:
        """Close the descriptors; nobody may be writing any more. The file becomes a dead process's journal."""
        for descriptor in (self._descriptor, self._reader):
            if descriptor >= 0:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        self._descriptor = self._reader = -1

    def discard(self) -> None:
        """Release the journal and remove its file, because nothing is in it that is not safe elsewhere."""
        with contextlib.suppress(OSError):
            self.path.unlink()
        self.release()


class MemoryJournal:
    """A journal without a disk: frames in a double-ended queue, whose operations need no lock."""

    def __init__(self) -> None:
        self.frames: deque[bytes] = deque()

    def write(self, frame: bytes) -> int:
        """Append one frame."""
        self.frames.append(frame)
        return len(frame)

    def peek(self, most: int) -> list[bytes]:
        """The oldest frames without separator and line feed, at most so many; they stay until :meth:`forget`."""
        frames = self.frames
        return [frames[index][1:-1] for index in range(min(most, len(frames)))]

    def forget(self, count: int) -> None:
        """Remove the oldest frames."""
        for _ in range(min(count, len(self.frames))):
            self.frames.popleft()


def parse_frames(data: bytes) -> tuple[list[bytes], int]:
    """The records in a stretch of a journal, and how many bytes of it are done with.

    A record comes as its kind and payload. What follows the last line feed is not done with: the rest of it may
    be on its way. What lacks its line feed further up was cut short and is no record.
    """
    end = data.rfind(b"\n") + 1
    if data.startswith(SEPARATOR):
        parts = data[1 : end - 1].split(BOUNDARY)
        if data.count(SEPARATOR, 0, end) == len(parts) and all(parts):  # none is torn, which is the usual case
            return parts, end
    parts = data[:end].split(SEPARATOR)
    del parts[0]  # nothing, or the rest of something that began before
    return [part[:-1] for part in parts if len(part) > 1 and part[-1] == 10], end


def read_frames(descriptor: int, offset: int, end: int) -> tuple[list[bytes], int]:
    """Read records between two offsets of a journal, about :data:`CHUNK_BYTES` of them.

    Returns:
        The records (kind and payload) and the offset behind them; the offset given when there is none.

    Raises:
        OSError: The file cannot be read.
    """
    size = CHUNK_BYTES
    while offset < end:
        os.lseek(descriptor, offset, os.SEEK_SET)
        data = _read_exactly(descriptor, min(size, end - offset))
        frames, used = parse_frames(data)
        if used:
            return frames, offset + used
        if len(data) < size:
            break
        size *= 2  # one record longer than all we have read
    return [], offset


def _read_exactly(descriptor: int, size: int) -> bytes:
    parts = []
    while size > 0 and (part := os.read(descriptor, size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def journal_files(directory: Path) -> list[tuple[str, int]]:
    """Names and sizes of all journals in a directory, oldest first.

    Raises:
        OSError: The directory cannot be read.
    """
    return sorted((entry.name, status.st_size) for entry, status in _entries(directory))


def newest_journal_time(directory: Path) -> float | None:
    """The wall time of the newest record in any journal, by the file system; ``None`` without one."""
    try:
        return max((status.st_mtime for _, status in _entries(directory) if status.st_size), default=None)
    except OSError:
        return None


def _entries(directory: Path) -> Iterator[tuple[os.DirEntry[str], os.stat_result]]:
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.endswith(SUFFIX):
                with contextlib.suppress(FileNotFoundError):  # deleted meanwhile by another process
                    yield entry, entry.stat()
