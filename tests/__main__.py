"""The whole suite, long tests included, with a second look at what fails: ``python -m tests [pytest's options]``.

The fault tests set real processes against real clocks, on machines that others may share. A test that fails is run once
more by itself, with a line that says so: what fails twice is red, what fails once is in the log, to be mended.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOME_FAILED = 1


def run(*arguments: str) -> int:
    """Run pytest in a process of its own; returns its exit status."""
    return subprocess.run([sys.executable, "-m", "pytest", *arguments], cwd=ROOT, check=False).returncode


def main() -> int:
    """Run everything, and then what failed."""
    options = sys.argv[1:] or ["tests"]
    status = run("--cache-clear", *options)
    if status != SOME_FAILED:
        return status
    print("\nSome tests failed. A second look at these:\n", flush=True)
    return run("--last-failed", "--last-failed-no-failures", "none", *options)


if __name__ == "__main__":
    sys.exit(main())
