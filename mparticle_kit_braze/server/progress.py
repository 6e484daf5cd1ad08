"""How far an import has come: a few bytes of shared memory in a file that outlive a kill."""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, NamedTuple

__all__ = ["ImportProgress", "Position"]

_FIELDS = struct.Struct("<6Q")
_CHECK = struct.Struct("<I")
_SIZE = _FIELDS.size + _CHECK.size
_CHUNK = 1 << 20
_SLOTS = (slice(0, _SIZE), slice(_SIZE, 2 * _SIZE))
_FLAGS = os.O_CREAT | os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class Position(NamedTuple):
    """How far a file was read.

    Attributes:
        offset: Bytes, to the end of a row.
        line: The number of that row's last line.
        rows: Rows read, header and blank lines aside.
        queued: Objects queued.
        refused: Rows that were not sent.
        check: The checksum of the file up to the offset.
    """

    offset: int = 0
    line: int = 0
    rows: int = 0
    queued: int = 0
    refused: int = 0
    check: int = 0


class ImportProgress:
    """The noted position of one file.

    It holds as long as the file begins with what was read: one that has grown goes on, another one starts anew.

    A note costs no system call, so that there can be many. Notes go into two slots in turn: one that the
    end of the process cuts short leaves the one before.

    Args:
        directory: Where notes are kept; ``None`` keeps none.
        path: The file that is imported.
        target: Where it is imported to.

    Raises:
        OSError: The note cannot be opened.
    """

    def __init__(self, directory: Path | None, path: Path, target: str = "") -> None:
        self._memory: mmap.mmap | None = None
        self._slot = 0
        if directory is None:
            return
        identity = f"{path.resolve()}|{target}"
        name = hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:24]
        descriptor = os.open(directory / f"{name}.progress", _FLAGS, 0o600)
        try:
            if os.fstat(descriptor).st_size < 2 * _SIZE:
                os.write(descriptor, bytes(2 * _SIZE))  # a full disk shows here, not when the memory is touched
            self._memory = mmap.mmap(descriptor, 2 * _SIZE)
        finally:
            os.close(descriptor)

    @property
    def is_kept(self) -> bool:
        """Whether notes are kept at all."""
        return self._memory is not None

    def load(self, file: BinaryIO) -> Position | None:
        """The position noted by an earlier run; ``None`` if there is none, or the file is another one now.

        Args:
            file: The file, opened in binary mode; its position is moved.
        """
        memory = self._memory
        if memory is None:
            return None
        found: Position | None = None
        for number, slot in enumerate(_SLOTS):
            raw = memory[slot]
            if _CHECK.pack(zlib.crc32(raw[: _FIELDS.size])) != raw[_FIELDS.size :]:
                continue
            position = Position(*_FIELDS.unpack_from(raw))
            if position.offset and (found is None or position.offset > found.offset):
                found, self._slot = position, 1 - number
        if found is not None and _checksum(file, found.offset) != found.check:
            memory[:] = bytes(2 * _SIZE)
            return None
        return found

    def note(self, *position: int) -> None:
        """Note the fields of a :class:`Position`."""
        if self._memory is not None:
            fields = _FIELDS.pack(*position)
            self._memory[_SLOTS[self._slot]] = fields + _CHECK.pack(zlib.crc32(fields))
            self._slot = 1 - self._slot

    def close(self) -> None:
        """Let go of the file; the note stays."""
        memory, self._memory = self._memory, None
        if memory is not None:
            memory.close()


def _checksum(file: BinaryIO, size: int) -> int | None:
    """The checksum of the file's first bytes; ``None`` if there are fewer."""
    file.seek(0)
    check = 0
    while size > 0:
        chunk = file.read(min(size, _CHUNK))
        if not chunk:
            return None
        check = zlib.crc32(chunk, check)
        size -= len(chunk)
    return check
