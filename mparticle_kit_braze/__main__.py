"""``python -m mparticle_kit_braze COMMAND ...``: the command line; each command's module is loaded when it is used."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ._version import __version__

__all__ = ["main"]


class Command(NamedTuple):
    """One subcommand.

    Attributes:
        module: Where its ``main(arguments)`` is, relative to this package; it returns the exit status.
        help: What it does, in a line.
    """

    module: str
    help: str


COMMANDS: Mapping[str, Command] = {
    "import": Command(".server.command", "send a CSV or JSONL file of users, events or purchases to Braze"),
    "sandbox": Command(".sandbox.__main__", "run a local Braze to send to"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that is named first.

    Args:
        arguments: The command line without the program; by default this process's.

    Returns:
        The command's exit status; 2 when there is no such command.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    name = given[0] if given else ""
    if name in ("-h", "--help"):
        sys.stdout.write(_usage())
        return 0
    if name == "--version":
        sys.stdout.write(f"{__version__}\n")
        return 0
    if name not in COMMANDS:
        sys.stderr.write((f"error: there is no command {name!r}\n\n" if name else "") + _usage())
        return 2
    module = importlib.import_module(COMMANDS[name].module, __package__)
    return int(module.main(given[1:]))


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command.help}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: python -m mparticle_kit_braze COMMAND ...",
            "",
            *lines,
            "",
            "COMMAND --help says more about each; --version prints the version.",
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
