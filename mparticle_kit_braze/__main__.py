"""``python -m mparticle_kit_braze COMMAND ...``: the command line; each command's module is loaded when it is used."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ._version import __version__
from .commands.console import warn, write
from .commands.running import Exit, run

__all__ = ["main"]


class Command(NamedTuple):
    """One subcommand.

    Attributes:
        main: ``module:function``, relative to this package; takes the arguments and returns the exit status.
        help: What it does, in a line.
    """

    main: str
    help: str


COMMANDS: Mapping[str, Command] = {
    "sandbox": Command(".sandbox.command:main", "run a local Braze to send to, with a page to look at what arrives"),
    "explain": Command(".commands.explain:main", "show what a call becomes in each profile, side by side"),
    "send": Command(".commands.send:main", "send one event, purchase or user attribute and show the answer"),
    "queue": Command(".commands.queue:main", "look into a stored queue; retry, delete or export dead letters"),
    "doctor": Command(".commands.doctor:main", "check key, endpoint, clock and storage, and say what to mend"),
    "import": Command(".commands.import_file:main", "send a CSV or JSONL file of users, events or purchases to Braze"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that is named first.

    Args:
        arguments: The command line without the program; by default this process's.

    Returns:
        The command's exit status; 2 when there is no such command.
    """
    return run(_main, sys.argv[1:] if arguments is None else list(arguments))


def _main(given: Sequence[str]) -> int:
    name = given[0] if given else ""
    if name in ("-h", "--help"):
        write(_usage())
        return Exit.OK
    if name == "--version":
        write(__version__)
        return Exit.OK
    if name not in COMMANDS:
        if name:
            near = difflib.get_close_matches(name, COMMANDS, 1)
            warn(f"error: there is no command {name!r}" + (f"; did you mean {near[0]!r}?" if near else "") + "\n")
        warn(_usage())
        return Exit.USAGE
    module, _, function = COMMANDS[name].main.partition(":")
    return int(getattr(importlib.import_module(module, __package__), function)(given[1:]))


def _usage() -> str:
    width = max(map(len, COMMANDS))
    return "\n".join(
        [
            "usage: python -m mparticle_kit_braze COMMAND ...",
            "",
            *(f"  {name:<{width}}  {command.help}" for name, command in COMMANDS.items()),
            "",
            "COMMAND --help says more about each, with examples; --version prints the version.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
