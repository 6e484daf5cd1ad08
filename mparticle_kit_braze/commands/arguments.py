"""What commands are told: their arguments, and what ``--help`` says of all of them."""

from __future__ import annotations

import argparse
import math
import textwrap
from typing import Any, NoReturn

from .console import clean
from .running import Exit

__all__ = ["Arguments", "Parser", "add_json", "amount", "positive_seconds"]

EXIT_STATUS = """\
Exit status: 0 all is well; 1 something failed or was refused; 2 it could not
begin (wrong arguments or input); 130 interrupted; 141 nobody reads the output.
"""


class Arguments(argparse.ArgumentParser):
    """Arguments whose mistakes are told in two lines; names of options are not guessed."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"formatter_class": argparse.RawDescriptionHelpFormatter, **settings, "allow_abbrev": False})

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the arguments and where to read more, and exit with status 2."""
        self.exit(Exit.USAGE, f"error: {clean(message)}\n{self.prog} --help says more\n")


class Parser(Arguments):
    """Arguments of one command.

    Args:
        name: The command.
        description: What it does, in a sentence or two.
        examples: The rest of ``--help``; the exit statuses come after it.
    """

    def __init__(self, name: str, description: str, examples: str) -> None:
        super().__init__(
            prog=f"python -m mparticle_kit_braze {name}",
            description=textwrap.fill(description, 79),
            epilog=f"{examples}\n{EXIT_STATUS}",
        )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``, which every command has."""
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of text")


def positive_seconds(text: str) -> float:
    """A number of seconds above 0, for an argument.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise argparse.ArgumentTypeError(f"takes a number of seconds above 0, not {text!r}")
    return seconds


def amount(text: str) -> int | float:
    """A finite number, for an argument; a whole one if it is written so.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    try:
        number = int(text) if text.lstrip("+-").isdecimal() else float(text)
    except ValueError:
        number = math.nan
    if not -1e300 < number < 1e300:
        raise argparse.ArgumentTypeError(f"takes a number, not {text!r}")
    return number
