"""The examples run as they are printed in the documentation."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

from mparticle_kit_braze.sandbox import Reply, Sandbox
from tests.support import ROOT, run_python

EXAMPLES = ROOT / "examples"


def test_quickstart_prints_the_profile_and_the_event_stream() -> None:
    """The quickstart ends well and its tables hold what its calls say."""
    result = run_python(EXAMPLES / "quickstart.py")
    assert (result.returncode, result.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    for expected in (
        "identity external id ada-1815",
        "attribute first_name Ada",
        "attribute email ada@example.com",
        "custom attribute plan gold",
        "custom attribute favorite genres [Jazz, Baroque]",
        "custom attribute visits 1",
        "custom event Played Song 2x",
        "purchase SKU-1 2x",
        "purchase SKU-2 1x",
        "revenue EUR 21.00",
    ):
        assert expected in lines, result.stdout
    stream = lines[lines.index("Event stream") :]
    assert "ada-1815 custom event Played Song genre=Jazz, plays=3, live=yes" in stream
    assert sum(" purchase SKU-" in line for line in stream) == 2
    assert stream.index("(anonymous) custom event App Opened") < stream.index("ada-1815 session start")


def test_quickstart_sends_to_a_sandbox_that_runs_and_tells_its_inspector() -> None:
    """With an endpoint in the environment the calls arrive there, and the inspector knows the calls."""
    with Sandbox() as sandbox:
        result = run_python(EXAMPLES / "quickstart.py", env={"BRAZE_SDK_ENDPOINT": sandbox.url})
        assert (result.returncode, result.stderr) == (0, "")
        assert sandbox.profile("ada-1815").custom_events == {"App Opened": 1, "Played Song": 2}
        assert b"quickstart.py:" in sandbox.inspector.stream.lines()


def test_quickstart_leaves_nothing_behind(tmp_path: Path) -> None:
    """Nothing is written but to its own temporary directory, which is gone afterwards."""
    result = run_python(EXAMPLES / "quickstart.py", env={"TMPDIR": str(tmp_path), "HOME": str(tmp_path)})
    assert result.returncode == 0, result.stderr
    assert list(tmp_path.iterdir()) == []


def test_quickstart_imports_nothing_but_the_package() -> None:
    """It needs no third-party package of its own."""
    tree = ast.parse((EXAMPLES / "quickstart.py").read_text(encoding="utf-8"))
    roots = {
        node.module.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module
    }
    roots |= {
        name.name.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    }
    assert roots - set(sys.stdlib_module_names) == {"mparticle_kit_braze"}


def test_a_kit_of_ones_own_takes_few_lines() -> None:
    """The custom kit does what it says, and its class has fewer than 40 lines."""
    result = run_python(EXAMPLES / "custom_kit.py")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == ["Played Clair de lune: 2", "Played Naima: 1"]
    tree = ast.parse((EXAMPLES / "custom_kit.py").read_text(encoding="utf-8"))
    (kit,) = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    assert kit.end_lineno is not None
    assert kit.end_lineno - kit.lineno + 1 < 40


def test_a_device_tells_what_it_gave_up() -> None:
    """Days offline and little room: what arrives is the newest, in order, and every other record is counted."""
    result = run_python(EXAMPLES / "iot_device.py")
    assert (result.returncode, result.stderr) == (0, "")
    arrived, measured = map(int, re.findall(r"last (\d+) of (\d+) measurements", result.stdout)[0])
    given_up = int(re.findall(r"Given up and told: (\d+)", result.stdout)[0])
    assert measured == 192
    assert 0 < arrived < measured
    assert arrived + given_up == measured + 1  # the start of the session


def test_a_service_on_asyncio_mixes_no_users() -> None:
    """All records of all users arrive, and each user's count is right."""
    result = run_python(EXAMPLES / "asyncio_service.py")
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert (lines[0], lines[-1]) == ("400 records sent, 0 kept", "{'user-0': 10, 'user-19': 10}")


def test_migration_ends_in_the_same_user() -> None:
    """By hand, through the queue and with mParticle's calls Braze has the same user."""
    result = run_python(EXAMPLES / "migration_from_rest.py")
    assert (result.returncode, result.stderr) == (0, "")
    *ways, last = result.stdout.splitlines()
    assert last == "The same user each time."
    assert [way.split(":")[0] for way in ways] == ["before", "first_step", "second_step"]


def test_every_example_is_run() -> None:
    """Each example has its test, here or with what it is about."""
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_examples.py"))
    assert not [path.name for path in EXAMPLES.glob("*.py") if path.name not in tests]


def test_real_braze_delivers() -> None:
    """The real-instance example, pointed at the sandbox, delivers the same calls and says so."""
    with Sandbox("app-key-1") as sandbox:
        result = run_python(
            EXAMPLES / "real_braze.py", env={"BRAZE_API_KEY": "app-key-1", "BRAZE_SDK_ENDPOINT": sandbox.url}
        )
        assert result.returncode == 0, result.stdout + result.stderr
        assert "Not delivered: 0. Refused: 0." in result.stdout
        profile = sandbox.profile("ada-1815")
        assert profile.purchases == {"SKU-1": 2, "SKU-2": 1}
        assert profile.revenue == {"USD": 21.0}


@pytest.mark.parametrize(
    "env",
    [
        {},
        {"BRAZE_API_KEY": "k"},
        {"BRAZE_SDK_ENDPOINT": "sdk.iad-03.braze.com"},
        {"BRAZE_API_KEY": "k", "BRAZE_SDK_ENDPOINT": "http://example.com"},
    ],
)
def test_real_braze_needs_its_settings(env: dict[str, str]) -> None:
    """Without a key or a usable endpoint it says so in a line and ends with status 2."""
    result = run_python(EXAMPLES / "real_braze.py", env=env)
    assert (result.returncode, result.stderr) == (2, "")
    assert "BRAZE_API_KEY" in result.stdout or "not usable" in result.stdout
    assert len(result.stdout.splitlines()) == 1


def test_real_braze_says_when_nothing_was_delivered() -> None:
    """A dead endpoint gives status 1, within the bound of its flush."""
    with Sandbox() as sandbox:
        # Asked to come back in an hour, the flush has no reason to wait any longer.
        sandbox.fault = lambda _request: Reply(status=503, headers={"Retry-After": "3600"})
        result = run_python(EXAMPLES / "real_braze.py", env={"BRAZE_API_KEY": "k", "BRAZE_SDK_ENDPOINT": sandbox.url})
    assert result.returncode == 1
    assert "Delivered: 0 records." in result.stdout
