"""The examples that show messaging run as they are printed."""

from __future__ import annotations

import ast
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.support import ROOT, run_python

EXAMPLES = ROOT / "examples"


def test_device_follows_its_flags() -> None:
    """The device takes its interval from a flag, and the experiment's impression counts once."""
    result = run_python(EXAMPLES / "device_flags.py")
    assert (result.returncode, result.stderr) == (0, "")
    lines = [line.strip() for line in result.stdout.splitlines()]
    assert "flags: measure every 10 s, smoothing off" in lines
    assert "flags: measure every 10 s, smoothing on" in lines
    assert [line for line in lines if line.startswith("measured")] == ["measured 20.4", "measured 20"]
    assert lines[-1] == "Braze counted {'smoothing': 1} impressions."


@pytest.fixture
def display() -> Iterator[str]:
    """A virtual screen, or the one there is."""
    server = shutil.which("Xvfb")
    if server is None:
        if "DISPLAY" not in os.environ:
            pytest.skip("needs a display or Xvfb")
        yield os.environ["DISPLAY"]
        return
    reading, writing = os.pipe()
    command = [server, "-displayfd", str(writing), "-screen", "0", "640x480x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL) as process:
        os.close(writing)
        with os.fdopen(reading) as numbers:
            number = numbers.readline().strip()
        yield f":{number}"
        process.terminate()


@pytest.mark.skipif(importlib.util.find_spec("tkinter") is None, reason="needs Tk")
def test_desktop_shows_cards_and_a_message(display: str) -> None:
    """The window shows both cards and the message for the song; Braze counts their impressions."""
    result = run_python(EXAMPLES / "desktop_tk.py", "--seconds", "2.5", env={"DISPLAY": display})
    assert (result.returncode, result.stderr) == (0, "")
    assert ast.literal_eval(result.stdout) == {"cci": {"welcome": 1, "concert": 1}, "si": {"trigger-1": 1}}
