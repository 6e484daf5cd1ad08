"""The command line of the server side: ``import`` a file of users or events."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TextIO

from ..diagnostics import Reporter
from ..errors import MParticleError
from ..storage import Storage
from .importing import FileImport, ImportProblem, ImportReport
from .rest import BrazeRest
from .settings import ServerSettings

__all__ = ["main"]

KEY_VARIABLE = "BRAZE_REST_API_KEY"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        0 when everything was sent, 1 when something was refused or left, 2 when it could not begin.
    """
    options = _parser().parse_args(arguments)
    key = os.environ.get(KEY_VARIABLE, "")
    if not key:
        return _fail(
            f"set {KEY_VARIABLE} to the REST key (it is not taken from the command line, which others can see)"
        )
    progress = Progress(sys.stderr)
    try:
        storage = Storage.open(options.state, Reporter())
        settings = ServerSettings.from_python(track_batch_limit=options.batch_limit)
        with (
            BrazeRest(key, options.instance, settings=settings, storage=storage) as rest,
            _error_file(options.errors) as file,
        ):
            run = FileImport(
                options.file,
                rest,
                storage=storage,
                file_format=options.format,
                on_progress=progress.show,
                on_problem=lambda problem: _write(file, problem),
            )
            report = run.run(stall_timeout=options.stall_timeout)
            dead = len(rest.dead_letters())
            points = rest.data_points()
    except (MParticleError, OSError) as error:
        return _fail(str(error))
    progress.end()
    return _conclude(report, dead, points)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mparticle_kit_braze.server",
        description="Send files to Braze's REST API. Stopped or killed, the same command goes on where it was.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("import", help="send a CSV or JSONL file of users, events or purchases")
    command.add_argument("file", type=Path, help=".csv, .tsv, .jsonl or .ndjson")
    command.add_argument("--instance", default="US-03", help="Braze instance, REST host or URL (default US-03)")
    command.add_argument("--format", choices=["csv", "jsonl"], help="when the file's name does not say it")
    command.add_argument("--state", type=Path, help="directory for queue and progress (default: the user's data)")
    command.add_argument("--errors", type=Path, help="write every refused line and its reason to this JSONL file")
    command.add_argument("--batch-limit", choices=["combined", "per_array"], default="combined")
    command.add_argument("--stall-timeout", type=float, default=60.0, help="seconds without progress until it stops")
    return parser


class Progress:
    """A progress bar on a terminal; nothing elsewhere."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown = 0.0
        self._start = time.monotonic()
        self._first: int | None = None

    def show(self, report: ImportReport) -> None:
        """Draw it, at most ten times a second."""
        now = time.monotonic()
        if self._first is None:
            self._first = report.rows
        if not self._stream.isatty() or now - self._shown < 0.1:
            return
        self._shown = now
        share = report.offset / report.size if report.size else 1.0
        rate = (report.rows - self._first) / max(now - self._start, 0.001)
        bar = "#" * int(30 * share)
        self._stream.write(
            f"\r[{bar:<30}] {share:6.1%}  {report.rows:,} rows  {rate:,.0f}/s  {report.refused:,} refused "
        )
        self._stream.flush()

    def end(self) -> None:
        """Leave the line."""
        if self._shown:
            self._stream.write("\n")


def _error_file(path: Path | None) -> AbstractContextManager[TextIO | None]:
    return path.open("a", encoding="utf-8") if path is not None else nullcontext()


def _write(file: TextIO | None, problem: ImportProblem) -> None:
    if file is not None:
        file.write(json.dumps(problem._asdict(), ensure_ascii=False) + "\n")


def _conclude(report: ImportReport, dead: int, points: int) -> int:
    out = sys.stdout
    out.write(f"{report.rows:,} rows read, {report.queued:,} objects sent, {report.refused:,} rows refused\n")
    out.write(f"about {points:,} data points in this run\n")
    for problem in report.problems[:20]:
        out.write(f"  line {problem.line}: {problem.reason}\n")
    if len(report.problems) > 20:
        out.write("  and more; --errors FILE keeps them all\n")
    if dead:
        out.write(f"{dead:,} objects were refused by Braze and are kept as dead letters\n")
    if not report.finished:
        out.write("Braze takes nothing at the moment; run the same command again to go on\n")
    return 0 if report.finished and not report.refused and not dead else 1


def _fail(message: str) -> int:
    sys.stderr.write(f"error: {message}\n")
    return 2
