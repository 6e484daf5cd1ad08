"""Where state lives: a private directory, or memory. Owns the choice of the directory and its permissions.

Trouble with the disk is reported, never raised: state then lives in memory until the process ends.
"""

from __future__ import annotations

import os
import re
import threading
import zlib
from pathlib import Path

from .diagnostics import Reporter
from .errors import InvalidArgumentError
from .key_values import KeyValues
from .locks import ForkSafeLock

__all__ = ["KeyValues", "Storage", "default_directory"]

APPLICATION = "mparticle_kit_braze"
MEMORY = ":memory:"


class Storage:
    """A directory of our own, or memory.

    Made with :meth:`open` and :meth:`directory`; asking twice for the same subdirectory or key-value file of
    one storage gives the same object, so that its cache is shared.

    Attributes:
        path: The directory; ``None`` for memory.
        reporter: Where trouble is reported.
    """

    def __init__(self, path: Path | None, reporter: Reporter) -> None:
        self.path = path
        self.reporter = reporter
        self._lock = ForkSafeLock()
        self._directories: dict[str, Storage] = {}
        self._files: dict[str, KeyValues] = {}

    @classmethod
    def open(cls, location: str | os.PathLike[str] | None, reporter: Reporter) -> Storage:
        """Open a storage directory, creating it for this user alone (mode 0700).

        Args:
            location: A directory; ``None`` for the user's data directory; ``":memory:"`` for nothing on disk.
            reporter: Where trouble is reported. A directory that cannot be created or written is reported once
                (``storage_unavailable``) and memory is used instead.

        Raises:
            InvalidArgumentError: ``location`` is neither a path nor ``None``, or an empty one.
        """
        if location is None:
            path = default_directory()
        elif not isinstance(location, str | os.PathLike):
            raise InvalidArgumentError(f"storage must be a directory, ':memory:' or None, not {location!r}")
        elif not (text := os.fspath(location)):
            raise InvalidArgumentError("storage is empty; give a directory, ':memory:' or None")
        elif text == MEMORY:
            return cls(None, reporter)
        else:
            path = Path(text).expanduser().absolute()
        try:
            prepare_directory(path)
        except (OSError, ValueError) as error:
            reporter.report(
                "storage_unavailable",
                f"The storage directory cannot be used ({type(error).__name__}); state and queue live in memory only",
                key=str(path),
                exception=error,
            )
            return cls(None, reporter)
        return cls(path, reporter)

    def directory(self, name: str) -> Storage:
        """A private subdirectory; characters that file systems treat specially are replaced."""
        name = safe_name(name)
        with self._lock.held:
            known = self._directories.get(name)
        if known is not None:
            return known
        made = Storage(None, self.reporter) if self.path is None else Storage.open(self.path / name, self.reporter)
        with self._lock.held:
            return self._directories.setdefault(name, made)

    def key_values(self, name: str = "state") -> KeyValues:
        """The key-value file of that name, opened on first use."""
        name = safe_name(name)
        with self._lock.held:
            known = self._files.get(name)
        if known is not None and not known.closed:
            return known
        made = KeyValues(None if self.path is None else self.path / f"{name}.db", self.reporter)
        with self._lock.held:
            known = self._files.get(name)
            if known is None or known.closed:
                self._files[name] = made
                return made
        made.close()  # another thread was quicker
        return known

    def __repr__(self) -> str:
        return f"Storage({MEMORY if self.path is None else str(self.path)!r})"


def default_directory() -> Path:
    """Where state lives unless told otherwise: the user's data directory. It need not exist."""
    import platformdirs  # noqa: PLC0415  # not needed by who names a directory

    return Path(platformdirs.user_data_dir(APPLICATION, appauthor=False))


def prepare_directory(path: Path) -> None:
    """Create the directory for this user alone and make sure that files can be written in it."""
    existed = path.is_dir()
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not existed:
        path.chmod(0o700)
    probe = path / f".probe-{os.getpid()}-{threading.get_ident()}"
    os.close(os.open(probe, os.O_CREAT | os.O_WRONLY, 0o600))
    probe.unlink(missing_ok=True)


def safe_name(name: str) -> str:
    """A file name for ``name``: itself if harmless, else its harmless part with a checksum of the whole."""
    if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", name):
        return name
    checksum = zlib.crc32(name.encode("utf-8", "surrogatepass"))
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', name)[:40]}-{checksum:08x}"
