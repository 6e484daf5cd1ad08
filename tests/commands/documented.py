"""Runs the examples that a command's ``--help`` shows, as a reader would, and says what they print.

``python -m tests.commands.documented COMMAND`` prints the examples with what they print now.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from unittest import mock

from mparticle_kit_braze import BrazeKit, MParticle
from mparticle_kit_braze.__main__ import main
from mparticle_kit_braze.sandbox import Reply, Sandbox, SandboxRequest

__all__ = ["DOCUMENTED", "Example", "examples", "place", "plain", "play"]

DOCUMENTED = ("explain", "send", "queue", "doctor", "import_file")
SANDBOX = "http://127.0.0.1:8321"
"""How the examples call the sandbox that they are run against."""

PROMPT = "  $ "
PROGRAM = "python -m mparticle_kit_braze "


@dataclass
class Example:
    """A command line and what it is said to print."""

    command: str
    printed: list[str] = field(default_factory=list)


def examples(command: str) -> list[Example]:
    """The examples of a command, in order."""
    module = import_module(f"mparticle_kit_braze.commands.{command}")
    text = getattr(module, "EXAMPLES", None) or module.HELP
    found: list[Example] = []
    for line in text.partition("\nexamples:\n")[2].replace("\\\n", "").splitlines():
        if line.startswith(PROMPT):
            found.append(Example(line.removeprefix(PROMPT)))
        elif found:
            found[-1].printed.append(line.removeprefix("  "))
    for example in found:
        while example.printed and not example.printed[-1]:
            example.printed.pop()
    return found


@contextmanager
def place() -> Iterator[tuple[Path, Sandbox]]:
    """A directory with a storage directory ``state`` that holds a dead letter and two events, and a sandbox."""
    with tempfile.TemporaryDirectory() as name, Sandbox() as sandbox:
        here = Path(name)
        before = Path.cwd()
        os.chdir(here)
        try:
            _fill(here / "state", sandbox)
            sandbox.reset()
            yield here, sandbox
        finally:
            os.chdir(before)


def _fill(storage: Path, sandbox: Sandbox) -> None:
    def refuse(request: SandboxRequest) -> Reply | None:
        return Reply(status=400, body={"message": "name too long"}) if b"Refused" in request.raw else None

    sandbox.fault = refuse
    with MParticle([BrazeKit("any-key", sandbox.url)], storage=storage) as client:
        client.log_event("Refused Song")
        client.log_event("Played Song")
        client.flush(20)
    sandbox.fault = lambda _request: Reply(status=503)
    client = MParticle([BrazeKit("any-key", sandbox.url)], storage=storage)
    client.log_event("Played Song")
    client.set_user_attribute("level", 4)
    client.flush()  # to the first failure
    client.close(timeout=0)


def play(example: Example, sandbox: Sandbox, environment: dict[str, str]) -> str:
    """What an example prints; ``export`` changes the environment, ``cat`` makes the file as it is shown."""
    words = shlex.split(example.command.replace(SANDBOX, sandbox.url))
    if words[0] == "export":
        name, _, value = words[1].partition("=")
        environment[name] = value
        return ""
    if words[0] == "cat":
        Path(words[1]).write_text("\n".join([*example.printed, ""]), encoding="utf-8")
        return "\n".join(example.printed)
    if not example.command.startswith(PROGRAM):
        raise AssertionError(f"no way to run {example.command!r}")
    arguments = words[len(PROGRAM.split()) :]
    return _run(arguments, environment).replace(f":{sandbox.port}", ":8321").rstrip("\n")


def _run(arguments: list[str], environment: Mapping[str, str]) -> str:
    out = io.StringIO()
    width = "300" if arguments[0] == "doctor" else "80"
    with (
        mock.patch.dict(os.environ, {**environment, "COLUMNS": width}),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(out),
    ):
        main(arguments)
    return out.getvalue()


def plain(text: str, here: Path | str = "") -> str:
    """The text without what differs from machine to machine and from day to day."""
    if here:
        text = text.replace(os.path.realpath(here), "/home/ada").replace(str(here), "/home/ada")
    text = re.sub(r"[ ]+$", "", text, flags=re.MULTILINE)
    text = re.sub(r"\b\d+(?:[.,:]\d+)+\w*|\b\d{4}-\d\d-\d\d\b", "N", text)  # versions, sizes, times
    text = re.sub(r"\d+ ms", "N ms", text)
    text = re.sub(r"^ +\d+  Braze$", "  0  Braze", text, flags=re.MULTILINE)  # an age
    return re.sub(r" +\d+[smhd]  ", "  0s  ", text)


def show(command: str) -> None:
    """Print the examples with what they print now."""
    environment: dict[str, str] = {}
    with place() as (here, sandbox):
        for example in examples(command):
            print(f"{PROMPT}{example.command}")
            for line in play(example, sandbox, environment).replace(str(here), "/home/ada").splitlines():
                print(f"  {line}".rstrip())


if __name__ == "__main__":
    show(sys.argv[1])
