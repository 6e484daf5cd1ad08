"""What every test gets: a clean environment, a check that nothing of ours outlives it, and, if it asks, a sandbox."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from mparticle_kit_braze.sandbox import Sandbox

# The same examples in every run, however busy the machine is: a red run must mean a fault of the code.
settings.register_profile("steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")


LONG = ("faults/", "delivery/test_processes.py", "upload_kit/test_faults.py", "inspector/test_browser.py", "examples")
"""Many processes, time-outs, a browser: left out by ``pytest`` alone, run by ``pytest tests`` and by tox."""

MEMORY = Path("/dev/shm")
numbers = itertools.count()


def pytest_configure() -> None:
    """Take Ctrl-C as a terminal gives it; keep the tests' files in memory where there is room.

    A shell has what it starts in the background ignore Ctrl-C, and so would every child. A slow disk would be waited
    for thousands of times.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if "TMPDIR" not in os.environ and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 1 << 30:
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long tests out of a run that names nothing, so that it takes less than two minutes; say so."""
    if config.args_source is not config.ArgsSource.TESTPATHS or config.option.keyword or config.option.markexpr:
        return
    here = Path(__file__).parent
    kept: list[pytest.Item] = []
    long: list[pytest.Item] = []
    for item in items:
        name = item.path.relative_to(here).as_posix()
        (long if name.startswith(LONG) or name.endswith("test_examples.py") else kept).append(item)
    config.hook.pytest_deselected(items=long)
    items[:] = kept


def pytest_report_header(config: pytest.Config) -> str | None:
    """Name what is left out."""
    left_out = config.args_source is config.ArgsSource.TESTPATHS
    return f"without {', '.join(LONG)}: `pytest tests` runs these too" if left_out else None


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No setting of the developer's machine reaches a test, and no test writes to the user's data directory."""
    for name in ("BRAZE_API_KEY", "BRAZE_SDK_ENDPOINT", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    # A path of its own that is made when it is used, by hardly any test.
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path_factory.getbasetemp() / f"data-{next(numbers)}"))


@pytest.fixture(autouse=True)
def no_thread_left(clean_environment: None) -> Iterator[None]:
    """Fail a test that leaves one of our threads running."""
    yield
    deadline = time.monotonic() + 5
    while True:
        ours = [thread.name for thread in threading.enumerate() if thread.name.startswith("mparticle_kit_braze")]
        if not ours:
            return
        if time.monotonic() > deadline:
            pytest.fail(f"threads left running: {ours}")
        time.sleep(0.002)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A Braze of the test's own, without the client-side rate limit; areas that want another have their own."""
    with Sandbox(limiter=False) as sandbox:
        yield sandbox
