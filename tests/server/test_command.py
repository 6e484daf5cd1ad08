"""The command line of the server side."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mparticle_kit_braze.sandbox import Sandbox
from mparticle_kit_braze.server.command import main
from tests.support import child_environment, run_python


def test_import_reports_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file is sent, refused lines are listed and written down, and a second run sends nothing again."""
    path = tmp_path / "users.csv"
    path.write_text("customer_id,level\nc1,1\n,2\nc3,3\n")
    monkeypatch.setenv("BRAZE_REST_API_KEY", "rest-key-1")
    with Sandbox() as sandbox:
        command = ["import", str(path), "--instance", sandbox.url, "--state", str(tmp_path / "state")]
        assert main([*command, "--errors", str(tmp_path / "errors.jsonl")]) == 1
        assert "line 3: the row names no user" in capsys.readouterr().out
        (problem,) = [json.loads(line) for line in (tmp_path / "errors.jsonl").read_text().splitlines()]
        assert problem["line"] == 3
        assert sandbox.rest.user("c3").attributes == {"level": 3}
        sent = len(sandbox.rest.requests)
        main(command)
        assert len(sandbox.rest.requests) == sent


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    """No traceback: what is wrong, and exit status 2."""
    result = run_python(
        "from mparticle_kit_braze.server.command import main; import sys; sys.exit(main())",
        "import",
        str(tmp_path / "none.csv"),
        "--state",
        str(tmp_path),
        env={**child_environment(), "BRAZE_REST_API_KEY": "k"},
    )
    assert result.returncode == 2
    assert "none.csv" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_key_is_needed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a key nothing begins, and the message names the variable."""
    monkeypatch.delenv("BRAZE_REST_API_KEY", raising=False)
    assert main(["import", "x.csv"]) == 2
    assert "BRAZE_REST_API_KEY" in capsys.readouterr().err
