"""How commands begin and end, whatever they are given and wherever their output goes."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from mparticle_kit_braze.__main__ import COMMANDS, main
from mparticle_kit_braze.commands.console import masked
from tests.support import child_environment, run_python

PROGRAM = [sys.executable, "-W", "error", "-m", "mparticle_kit_braze"]
SONG = '{"name": "Played Song", "attributes": {"genre": "Jazz", "plays": 3}}'


def run_program(arguments: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the program as a user does."""
    settings: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 60, **options}
    settings["env"] = child_environment(options.get("env"))
    return subprocess.run([*PROGRAM, *arguments], check=False, **settings)


@pytest.fixture
def event(tmp_path: Path) -> str:
    """A file with one call."""
    path = tmp_path / "event.json"
    path.write_text(SONG)
    return str(path)


def test_the_package_does_not_load_its_commands() -> None:
    """``import mparticle_kit_braze`` and a client cost nothing of the command line."""
    code = """
        import sys, mparticle_kit_braze
        mparticle_kit_braze.MParticle([mparticle_kit_braze.BrazeKit("k", "US-03")], storage=":memory:").close()
        sys.exit(any(name.startswith("mparticle_kit_braze.commands") for name in sys.modules))
    """
    assert run_python(code).returncode == 0


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_there(command: str) -> None:
    """What the table names exists."""
    module, _, function = COMMANDS[command].main.partition(":")
    assert callable(getattr(import_module(module, "mparticle_kit_braze"), function))


def test_a_slip_of_the_hand_is_recognised(capsys: pytest.CaptureFixture[str]) -> None:
    """The command that was meant, and all there are."""
    assert main(["expain"]) == 2
    shown = capsys.readouterr()
    assert "did you mean 'explain'?" in shown.err
    assert all(name in shown.err for name in COMMANDS)
    assert shown.out == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file"),
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xff\xfe\x00\x01\x80", "is not UTF-8 text"),
        (b"\x00\x01\x02\x03", "is not JSON"),
        (b"{'name': 'e'}", "is not JSON: Expecting property name enclosed in double quotes"),
        (b'{"name": "e"', "is not JSON"),
        (b"3", "must be an object or a list"),
        (b"[3]", "call 1: must be an object"),
        (b'{"name": "e"} x', "is not JSON: Expecting value, line 1, column 15"),
        (b"[" * 100_000, "cannot be read"),
        (b'{"name": "e", "attributes": {"n": ' + b"9" * 5000 + b"}}", ""),
        (b'{"name": "e", "attributes": {"n": ' + b"[" * 900 + b"]" * 900 + b"}}", ""),
        (b'{"name": "e", "timestamp": 1e999}', "timestamp"),
    ],
)
def test_files_that_are_no_calls(
    content: bytes | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line that says what is wrong and where, status 2, and no traceback."""
    path = tmp_path / "calls.json"
    if content is not None:
        path.write_bytes(content)
    status = main(["explain", str(path)])
    shown = capsys.readouterr()
    assert message in shown.err
    if message:
        assert (status, shown.out) == (2, "")
        assert shown.err.startswith("error: ")
        assert shown.err.count("\n") == 1
    else:
        assert status in (0, 2)


def test_calls_as_json_lines_and_with_a_byte_order_mark(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What exports and editors make is taken."""
    path = tmp_path / "calls.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + f"{SONG}\n\n{SONG}\n".encode())
    assert main(["explain", str(path), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["calls"]) == 2


def test_a_large_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ten megabytes in one attribute: Braze's limit is told, and what is shown is short."""
    path = tmp_path / "large.json"
    path.write_text(json.dumps({"name": "e", "attributes": {"a": "x" * 10_000_000}}))
    assert main(["explain", str(path)]) == 0
    out = capsys.readouterr().out
    assert "warning" in out
    assert len(out) < 50_000


def test_calls_from_standard_input() -> None:
    """``-`` is standard input; a closed one is said to be."""
    assert '"Jazz"' in run_program(["explain", "-"], input=SONG).stdout
    closed = run_program(["explain", "-"], preexec_fn=lambda: os.close(0), stdin=None)
    assert closed.returncode == 2
    assert "Traceback" not in closed.stderr


def test_output_that_nobody_reads() -> None:
    """A closed pipe, a closed descriptor and a full disk end a command without a traceback."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        broken = run_program(["--help"], capture_output=False, stdout=writing, stderr=subprocess.PIPE)
    finally:
        os.close(writing)
    assert (broken.returncode, broken.stderr) == (141, "")
    closed = run_program(["--help"], preexec_fn=lambda: os.close(1))
    assert (closed.returncode, closed.stderr) == (0, "")
    with open("/dev/full", "w") as full:  # noqa: PTH123 - as a shell does
        result = run_program(["--help"], capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert os.strerror(errno.ENOSPC) in result.stderr


def test_interrupted(hanging: str) -> None:
    """Ctrl-C ends a command at once with status 130 and a word, and no traceback."""
    process = subprocess.Popen(
        [*PROGRAM, "send", "--event", "e", "--endpoint", hanging, "--timeout", "60", "--setting", "flush_interval=1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=child_environment({"BRAZE_API_KEY": "key", "PYTHONFAULTHANDLER": "1"}),
    )
    with process:
        wait_for_connection(hanging, process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "interrupted\n")


def wait_for_connection(url: str, process: subprocess.Popen[str]) -> None:
    """Wait until the process has a connection to a port of this machine."""
    port = int(url.rpartition(":")[2])
    wanted = f":{port:04X} 01 "
    while process.poll() is None:
        lines = Path("/proc/net/tcp").read_text().splitlines()
        if any(wanted in f":{line.split()[2].partition(':')[2]} {line.split()[3]} " for line in lines[1:]):
            return
    raise AssertionError("the command ended before it connected")


class Terminal(io.StringIO):
    """Standard output as a terminal is."""

    def isatty(self) -> bool:
        """As said."""
        return True


def test_colours_are_for_terminals(
    event: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On one, unless ``NO_COLOR`` or a dumb terminal says otherwise; never elsewhere."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert main(["explain", event]) == 0
    assert "\x1b" not in capsys.readouterr().out

    def on_a_terminal() -> str:
        with monkeypatch.context() as patch:
            terminal = Terminal()
            patch.setattr(sys, "stdout", terminal)
            assert main(["explain", event]) == 0
            return terminal.getvalue()

    assert "\x1b[33m" in on_a_terminal()
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in on_a_terminal()
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in on_a_terminal()


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_output_in_any_encoding(encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal without the characters gets their codes, and JSON stays JSON."""
    name = "Größe 日本 😀"
    path = tmp_path / "event.json"
    path.write_text(json.dumps({"name": name, "attributes": {"lone": "\ud800", "c1": "\u009b31m"}}))

    def printed(*options: str) -> str:
        with monkeypatch.context() as patch:
            stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
            patch.setattr(sys, "stdout", stream)
            assert main(["explain", str(path), *options]) == 0
            data: bytes = stream.buffer.getvalue()
            return data.decode(encoding)

    text = printed()
    assert "\x9b" not in text
    assert (name in text) is (encoding == "utf-8")
    assert json.loads(printed("--json"))["calls"][0]["call"]["name"] == name


def test_keys_are_masked() -> None:
    """Never more than the beginning, and of short ones nothing."""
    assert masked("5f1e3a0c-8d2b-4b5e-9c1d-7a6b5c4d3e2f") == "5f1e... (36 characters)"
    assert masked("secret") == "... (6 characters)"
