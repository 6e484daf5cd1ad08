"""The command line of the server side."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mparticle_kit_braze.__main__ import main
from mparticle_kit_braze._version import __version__
from mparticle_kit_braze.sandbox import Reply, Sandbox
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
        "from mparticle_kit_braze.__main__ import main; import sys; sys.exit(main())",
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


def test_commands_are_dispatched(tmp_path: Path) -> None:
    """``python -m mparticle_kit_braze`` knows its commands, says so, and runs them."""
    package = "import runpy; runpy.run_module('mparticle_kit_braze', run_name='__main__', alter_sys=True)"
    bare = run_python(package)
    assert (bare.returncode, bare.stdout) == (2, "")
    assert "import" in bare.stderr
    assert "sandbox" in bare.stderr
    assert run_python(package, "--help").returncode == 0
    assert run_python(package, "--version").stdout.strip() == __version__
    unknown = run_python(package, "nonsense")
    assert unknown.returncode == 2
    assert "'nonsense'" in unknown.stderr
    assert "Exit status" in run_python(package, "import", "--help").stdout
    path = tmp_path / "events.jsonl"
    path.write_text('{"customer_id": "c1", "event": "E"}\n')
    with Sandbox() as sandbox:
        result = run_python(
            package,
            "import",
            str(path),
            *("--instance", sandbox.url, "--state", str(tmp_path / "state")),
            env={"BRAZE_REST_API_KEY": "k"},
        )
        assert (result.returncode, result.stderr) == (0, "")
        assert "1 rows read, 1 objects queued, 0 rows refused" in result.stdout
        assert sandbox.rest.user("c1").events == {"E": 1}


@pytest.mark.parametrize("module", ["mparticle_kit_braze.server", "mparticle_kit_braze.sandbox", "argparse"])
def test_a_command_is_loaded_when_used(module: str) -> None:
    """The dispatcher itself loads nothing of what it dispatches to."""
    code = f"""
        import sys
        from mparticle_kit_braze.__main__ import main
        main(["--help"])
        sys.exit({module!r} in sys.modules)
    """
    assert run_python(code).returncode == 0


def test_what_braze_refused_is_said_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Objects refused by the answer are counted by reason, and come whole in the errors file."""
    path = tmp_path / "users.jsonl"
    path.write_text('{"customer_id": "c1", "email": "x"}\n{"customer_id": "c2", "email": "a@b.c"}\n')
    monkeypatch.setenv("BRAZE_REST_API_KEY", "k")
    error = {"type": "EMAIL_BAD_FORMAT", "input_array": "attributes", "index": 0}
    with Sandbox() as sandbox:
        sandbox.respond_next(Reply(status=201, body={"message": "success", "errors": [error]}))
        command = ["import", str(path), "--instance", sandbox.url, "--state", str(tmp_path / "s")]
        assert main([*command, "--errors", str(tmp_path / "errors.jsonl")]) == 1
        assert "1 x EMAIL_BAD_FORMAT" in capsys.readouterr().out
        (refused,) = map(json.loads, (tmp_path / "errors.jsonl").read_text().splitlines())
        assert refused["object"] == {"external_id": "c1", "email": "x"}
        assert main(command) == 0  # told once
    assert "2 of the rows were read by an earlier run" in capsys.readouterr().out


def test_a_wrong_key_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a key that Braze does not take the command ends soon, with the reason, and goes on later."""
    path = tmp_path / "users.jsonl"
    path.write_text('{"customer_id": "c1", "level": 1}\n')
    monkeypatch.setenv("BRAZE_REST_API_KEY", "wrong")
    with Sandbox() as sandbox:
        sandbox.rest.keys = {"right": frozenset()}
        command = ["import", str(path), "--instance", sandbox.url, "--state", str(tmp_path / "s")]
        assert main(command) == 1
        told = capsys.readouterr()
        assert "Invalid API key" in told.out
        assert "warning: " in told.err
        monkeypatch.setenv("BRAZE_REST_API_KEY", "right")
        assert main(command) == 0
        assert sandbox.rest.user("c1").attributes == {"level": 1}


def test_a_directory_that_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a place for its progress an import does not begin: it could not go on where it was."""
    path = tmp_path / "users.jsonl"
    path.write_text('{"customer_id": "c1", "level": 1}\n')
    monkeypatch.setenv("BRAZE_REST_API_KEY", "k")
    with Sandbox() as sandbox:
        assert main(["import", str(path), "--instance", sandbox.url, "--state", "/dev/null/state"]) == 2
        assert sandbox.rest.requests == []
    assert "/dev/null/state cannot be used" in capsys.readouterr().err


def test_a_summary_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The same figures for programs."""
    path = tmp_path / "users.csv"
    path.write_text("customer_id,level\nc1,1\n,2\n")
    monkeypatch.setenv("BRAZE_REST_API_KEY", "k")
    with Sandbox() as sandbox:
        command = ["import", str(path), "--instance", sandbox.url, "--state", str(tmp_path / "s"), "--json"]
        assert main(command) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["rows"], told["queued"], told["refused"], told["finished"]) == (2, 1, 1, True)
    assert told["problems"][0]["line"] == 3
