"""This package and its peers doing the same work, side by side: ``python -m tests.benchmarks.peers``.

Installs the peers and this package into a throw-away environment, starts one sink, runs every SDK in turn for several
rounds, and prints the medians and the ratio of ours to the best peer. Ours is durable (every event is on disk before
the call returns); the peers keep their queues in memory.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

from tests.benchmarks.worker import SDKS

ROOT = Path(__file__).resolve().parent.parent.parent
WORKER = Path(__file__).with_name("worker.py")

PEERS = [
    "snowplow-tracker",
    "segment-analytics-python",
    "rudder-sdk-python",
    "posthog",
    "amplitude-analytics",
]

COLUMNS = {
    "p50_us": ("caller p50, us", min),
    "p99_us": ("p99, us", min),
    "max_ms": ("worst, ms", min),
    "events_per_s": ("events/s", max),
    "cpu_us_per_event": ("CPU us/event", min),
    "rss_mb": ("RSS, MB", min),
    "bytes_per_event": ("bytes/event", min),
}


def make_environment(directory: Path) -> Path:
    """A virtual environment with this package and the peers; returns its Python."""
    venv.create(directory, with_pip=True)
    python = directory / ("Scripts" if os.name == "nt" else "bin") / "python"
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(ROOT), *PEERS]
    subprocess.run(command, check=True)
    return python


def measure(python: Path, name: str, count: int, port: int) -> dict[str, float] | None:
    """One run of one SDK in a process of its own."""
    command = [str(python), str(WORKER), name, str(count), str(port)]
    # Not here: the installed package is what is measured, not this directory.
    elsewhere = tempfile.gettempdir()
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=elsewhere)
    lines = result.stdout.strip().splitlines()
    if result.returncode or not lines:
        print(f"{name}: failed: {result.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    figures: dict[str, float] = json.loads(lines[-1])
    if figures["arrived"] < count:
        print(f"{name}: only {figures['arrived']:.0f} of {count} arrived", file=sys.stderr)
    return figures


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    """The median of each figure."""
    return {key: statistics.median(run[key] for run in rounds) for key in rounds[0]}


def table(results: dict[str, dict[str, float]]) -> str:
    """A Markdown table of the medians with a last row of ratios."""

    def cells(values: list[str]) -> str:
        return "| " + " | ".join(values) + " |"

    lines = [
        cells(["", *(title for title, _ in COLUMNS.values())]),
        cells(["---", *("---:" for _ in COLUMNS)]),
        *(
            cells([name, *(f"{figures[key]:,.{0 if figures[key] >= 100 else 1}f}" for key in COLUMNS)])
            for name, figures in results.items()
        ),
    ]
    peers = {name: figures for name, figures in results.items() if name != "ours"}
    if "ours" in results and peers:
        ratios = [
            f"{results['ours'][key] / best(figures[key] for figures in peers.values()):.2f}"
            for key, (_, best) in COLUMNS.items()
        ]
        lines.append(cells(["ours / best peer", *ratios]))
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=sorted(SDKS), help="measure only these")
    parser.add_argument("--python", type=Path, help="an environment that has everything installed already")
    options: Any = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        python = options.python or make_environment(Path(scratch) / "venv")
        sink_command = [sys.executable, "-m", "tests.benchmarks.sink"]
        with subprocess.Popen(sink_command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as sink:
            assert sink.stdout is not None
            port = int(sink.stdout.readline())
            runs: dict[str, list[dict[str, float]]] = {}
            for _ in range(options.rounds):
                for name in options.only or SDKS:
                    figures = measure(python, name, options.events, port)
                    if figures is not None:
                        runs.setdefault(name, []).append(figures)
            sink.kill()
    print(table({name: medians(rounds) for name, rounds in runs.items()}))


if __name__ == "__main__":
    main()
