"""The pytest plugin, as the tests of an app meet it."""

from __future__ import annotations

import pytest

from tests.support import ROOT, run_python

pytest_plugins = ["pytester"]

PLUGIN = "mparticle_kit_braze.pytest_plugin"


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """The test suite of an app: no plugin but ours, the package importable."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return pytester


def test_an_apps_tests(project: pytest.Pytester) -> None:
    """Fixtures and assertions work together, kits can be overridden, and a failure shows the test's line only."""
    project.makeconftest("")
    project.makepyfile(
        test_app="""
        import threading
        import pytest
        from mparticle_kit_braze.server import BrazeServerKit

        KEPT = []

        def test_event(mparticle, braze_sandbox):
            KEPT.extend([mparticle, braze_sandbox])
            mparticle.log_event("Played Song", attributes={"genre": "Jazz"})
            braze_sandbox.assert_event("Played Song", genre="Jazz")

        def test_nothing_is_left(braze_sandbox):
            client, sandbox = KEPT
            with pytest.raises(RuntimeError, match="closed"):
                client.log_event("Too Late")
            assert not [thread for thread in threading.enumerate() if thread.name.startswith("mparticle_kit_braze")]
            braze_sandbox.assert_no_event()
            assert braze_sandbox.url != sandbox.url

        def test_near_miss(mparticle, braze_sandbox):
            mparticle.log_event("Played Song", attributes={"plays": "1"})
            braze_sandbox.assert_event("Played Song", plays=1)

        class TestBackend:
            @pytest.fixture
            def mparticle_kits(self, braze_sandbox):
                return [BrazeServerKit("rest-key", braze_sandbox.url)]

            def test_request(self, mparticle, braze_sandbox):
                with mparticle.for_user(customer_id="ada") as user:
                    user.log_event("Ordered")
                braze_sandbox.assert_event("Ordered", user="ada")
        """
    )
    result = project.runpytest_subprocess("-p", PLUGIN, "-W", "error")
    result.assert_outcomes(passed=3, failed=1)
    text = result.stdout.str()
    assert "- 'Played Song': plays is '1' (str), not 1 (int)" in text
    assert "assertions.py:" not in text


def test_loading_it_loads_nothing_else() -> None:
    """A pytest run that uses none of it pays for the package's own few lines only."""
    code = f"""
        import sys, pytest, typing
        before = set(sys.modules)
        import {PLUGIN}
        print(sorted(set(sys.modules) - before))
    """
    result = run_python(code)
    assert result.stdout.strip() == str(["mparticle_kit_braze", "mparticle_kit_braze._version", PLUGIN]), result.stderr


def test_the_entry_point_names_it() -> None:
    """The package's metadata points pytest to the plugin."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'[project.entry-points.pytest11]\nmparticle_kit_braze = "{PLUGIN}"\n' in project
