"""What ``--help`` shows is what the commands do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mparticle_kit_braze.__main__ import COMMANDS, main
from mparticle_kit_braze.sandbox import Sandbox

from .documented import DOCUMENTED, examples, place, plain, play


@pytest.fixture
def set_up() -> Iterator[tuple[Path, Sandbox]]:
    """Where the examples run."""
    with place() as made:
        yield made


@pytest.mark.parametrize("command", DOCUMENTED)
def test_shown_examples_print_what_is_shown(command: str, set_up: tuple[Path, Sandbox]) -> None:
    """Every example of a command, run in order, prints the lines beneath it."""
    here, sandbox = set_up
    environment: dict[str, str] = {}
    shown = examples(command)
    assert sum(example.command.startswith("python") for example in shown) >= 1
    for example in shown:
        expected = plain("\n".join(example.printed))
        assert plain(play(example, sandbox, environment), here) == expected, example.command


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "sandbox"])
def test_help_is_there_for_every_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each tells its options, ``--json``, examples and exit statuses, in lines that a terminal holds."""
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert "--json" in text or command == "queue"  # whose actions have it
    assert "\nexamples:\n" in text
    assert "Exit status: 0 all is well; 1 something failed or was refused" in text
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize("action", ["list", "count", "age", "dead", "retry", "delete", "export"])
def test_actions_of_queue_explain_themselves(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each action has its own options, and ``--json`` among them."""
    assert main(["queue", action, "--help"]) == 0
    text = capsys.readouterr().out
    assert "--json" in text
    assert "--storage" in text
