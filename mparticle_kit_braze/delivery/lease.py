"""Locks that the operating system holds for us and lets go when the process dies, however it dies.

The :class:`Lease` decides which of several processes on one directory sends; :func:`try_lock` also marks the
owner of a journal. No clock and no heartbeat is involved: a lock is held exactly as long as its holder lives.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from pathlib import Path

__all__ = ["Lease", "try_lock"]

if sys.platform == "win32":
    import msvcrt

    def try_lock(descriptor: int) -> bool:
        """Lock an open file for its open description; false if another one holds it."""
        os.lseek(descriptor, 0x7FFF_0000, os.SEEK_SET)  # far behind the data: such locks also bar reading
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
        return True

    def unlock(descriptor: int) -> None:
        """Closing the descriptor lets the lock go."""

else:
    import fcntl

    def try_lock(descriptor: int) -> bool:
        """Lock an open file for its open description; false if another one holds it.

        Raises:
            OSError: The file system knows no locks.
        """
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
                return False
            raise
        return True

    def unlock(descriptor: int) -> None:
        """Let the lock go for every copy of the descriptor, one leaked into a forked child included."""
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)


class Lease:
    """The right to send, held by one process (or one delivery) per directory at a time.

    Used by the dispatcher's thread alone. A file system without locks, or a directory that cannot be written,
    cannot exclude anybody: the lease is then granted, because not sending at all would be worse.

    Args:
        path: The lock file; ``None`` when nothing is shared.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Take the lease if it is free; never waits."""
        if self._path is None or self._descriptor is not None:
            return True
        try:
            descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600)
        except OSError:
            return True
        try:
            granted = try_lock(descriptor)
        except OSError:
            os.close(descriptor)
            return True
        if granted:
            self._descriptor = descriptor
        else:
            os.close(descriptor)
        return granted

    def release(self) -> None:
        """Give the lease back."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            unlock(descriptor)
            os.close(descriptor)

    def abandon(self) -> None:
        """In a forked child: drop the inherited descriptor, which leaves the parent's lock as it is."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(descriptor)
