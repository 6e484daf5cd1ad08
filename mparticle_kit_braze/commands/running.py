"""How a command runs and ends: exit statuses, and errors in one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import TextIO

from ..errors import MParticleError
from .console import warn

__all__ = ["CommandError", "Exit", "UsageError", "run"]


class Exit(IntEnum):
    """Exit statuses, the same for all commands."""

    OK = 0
    FAILED = 1
    USAGE = 2
    INTERRUPTED = 130
    PIPE = 141


class CommandError(Exception):
    """Something failed: one line on standard error, and exit status 1."""


class UsageError(Exception):
    """The command cannot begin: one line on standard error, and exit status 2."""


def run(command: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    """Run a command's ``main`` and return the exit status; what a user can bring about ends in one line."""
    prepare(sys.stdout)
    prepare(sys.stderr)
    try:
        status = int(command(arguments))
        flush()
    except SystemExit as end:  # of argparse, after --help or a usage error
        status = end.code if isinstance(end.code, int) else Exit.OK if end.code is None else Exit.FAILED
        return status if flushed() else Exit.PIPE
    except KeyboardInterrupt:
        return _ended(Exit.INTERRUPTED, "interrupted")
    except BrokenPipeError:
        silence()
        return Exit.PIPE
    except UsageError as error:
        return _ended(Exit.USAGE, str(error))
    except MParticleError as error:
        return _ended(Exit.USAGE, str(error))
    except CommandError as error:
        return _ended(Exit.FAILED, str(error))
    except OSError as error:
        status = _ended(Exit.FAILED, str(error))
        if not flushed():
            silence()
        return status
    return status


def _ended(status: Exit, message: str) -> int:
    flushed()
    warn(f"error: {message}" if status is not Exit.INTERRUPTED else message)
    return status


def prepare(stream: TextIO | None) -> None:
    """Have a stream never fail for a character that it has no code for."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def flush() -> None:
    """Bring everything out now, while a failure can still be told."""
    if sys.stdout is not None:
        sys.stdout.flush()


def flushed() -> bool:
    """As :func:`flush`; whether it could be done."""
    try:
        flush()
    except (OSError, ValueError):
        silence()
        return False
    return True


def silence() -> None:
    """Nothing more can be written: spare the interpreter's end the attempt, which would print a traceback."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError, AttributeError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
