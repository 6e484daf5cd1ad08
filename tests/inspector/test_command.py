"""``python -m mparticle_kit_braze sandbox`` as a program."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import Popen
from urllib.request import urlopen

import pytest

from mparticle_kit_braze.sandbox import Sandbox
from mparticle_kit_braze.sandbox import command as module
from mparticle_kit_braze.sandbox.command import main
from tests.support import free_port, python_process, run_python

CODE = "import sys; from mparticle_kit_braze.__main__ import main; sys.exit(main(sys.argv[1:]))"


@contextmanager
def running(*arguments: str) -> Iterator[tuple[Popen[str], str]]:
    """The program, and the first line it printed."""
    with python_process(CODE, "sandbox", *arguments) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def rest_of(process: Popen[str]) -> tuple[str, str]:
    """What it printed after the first line, and its errors, once it has ended."""
    assert process.stdout is not None
    assert process.stderr is not None
    output, errors = process.stdout.read(), process.stderr.read()
    process.wait(20)
    return output, errors


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_it_serves_until_ctrl_c() -> None:
    """It prints the URL, what to put into a program and where to look; Ctrl-C ends it well and silently."""
    port = free_port()
    with running("--port", str(port), "--api-key", "app-key-1") as (process, url):
        assert url == f"http://127.0.0.1:{port}"
        with urlopen(f"{url}/", timeout=5) as page:
            assert b"<title>Inspector" in page.read()
        process.send_signal(signal.SIGINT)
        output, errors = rest_of(process)
    assert (process.returncode, errors) == (0, "")
    assert f'BrazeKit("app-key-1", "{url}")' in output
    assert f"BRAZE_SDK_ENDPOINT={url}" in output
    assert f"{url}/\n" in output
    assert "This key only." in output


def test_quiet_prints_the_url_alone() -> None:
    """``--quiet`` is for scripts."""
    with running("--port", "0", "--quiet", "--once") as (process, url):
        assert url.startswith("http://127.0.0.1:")
        request = f"{url}/sandbox/stats"
        with urlopen(request, timeout=5) as answer:
            assert answer.status == 200
        process.terminate()
        assert rest_of(process)[0] == ""


def test_the_usual_port_gives_way_when_taken(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without ``--port`` a free one is found; a port that was asked for and is taken is an error of one line."""
    monkeypatch.setattr(module, "_PORT", sandbox.port)
    monkeypatch.setattr(Sandbox, "wait_for", lambda *_args, **_kwargs: True)
    assert main(["--once", "--quiet"]) == 0
    url = capsys.readouterr().out.strip()
    assert url.startswith("http://127.0.0.1:")
    assert url != sandbox.url
    assert main(["--once", "--port", str(sandbox.port)]) == 1
    assert capsys.readouterr().err.startswith(f"cannot listen on port {sandbox.port}: ")


def test_it_opens_a_browser_and_warns_beyond_loopback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--open`` opens the page; listening for other machines is said to be what it is."""
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr(Sandbox, "wait_for", lambda *_args, **_kwargs: True)
    assert main(["--once", "--open", "--port", "0", "--host", "localhost"]) == 0
    quiet = capsys.readouterr().out
    assert opened == [quiet.splitlines()[0]]
    assert "Warning" not in quiet
    assert main(["--once", "--port", "0", "--host", "0.0.0.0"]) == 0
    assert "Warning: on 0.0.0.0, whoever reaches this machine can read" in capsys.readouterr().out


@pytest.mark.parametrize("port", ["x", "-1", "65536"])
def test_a_port_that_is_none(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2 and what is wrong."""
    with pytest.raises(SystemExit) as ended:
        main([f"--port={port}"])
    assert ended.value.code == 2
    assert "--port" in capsys.readouterr().err


def test_help_says_what_it_is_for() -> None:
    """The help has the purpose, examples, and how to point a program at it."""
    result = run_python(CODE, "sandbox", "--help")
    assert result.returncode == 0
    for expected in (
        "local Braze",
        "in memory only",
        "--open",
        'BrazeKit("any-key", "http://127.0.0.1:8321")',
        "inspect(",
    ):
        assert expected in result.stdout
