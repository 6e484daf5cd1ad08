"""The command ``import``: send a file of users, events or purchases to Braze's REST API."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TextIO

from ..delivery import DeadLetter
from ..diagnostics import Reporter
from ..errors import MParticleError
from ..storage import Storage
from .importing import FileImport, ImportProblem, ImportReport
from .rest import BrazeRest
from .settings import ServerSettings

__all__ = ["main"]

KEY_VARIABLE = "BRAZE_REST_API_KEY"

SHOWN = 20
"""Problems that are printed; ``--errors`` has them all."""

HELP = f"""\
What a row becomes:
  user      a column or key that names an identity (external_id, customer_id, email, mpid ...), and attributes
  event     the same with "event" (or "name" and "time"); everything else is a property
  purchase  the same with "product_id", "price", and perhaps "currency" (USD), "quantity" (1)
Times are ISO 8601, or seconds or milliseconds since 1970; without one it is now. Empty values are left out.

A CSV file has a header and is UTF-8; in it numbers and true/false are recognised. A row that cannot be sent costs
only itself: it is listed with its line number. Stopped or killed, the same command goes on where it was.

The REST key, with the permission users.track, is read from {KEY_VARIABLE}.

Exit status: 0 everything was sent; 1 something was refused or is left; 2 it could not begin; 130 interrupted.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        The exit status, see ``--help``.
    """
    options = _parser().parse_args(arguments)
    key = os.environ.get(KEY_VARIABLE, "")
    if not key:
        return _fail(
            f"set {KEY_VARIABLE} to the REST key (it is not taken from the command line, which others can see)"
        )
    try:
        return _import(options, key)
    except (MParticleError, OSError) as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped; run the same command again to go on\n")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mparticle_kit_braze import",
        description="Send a CSV or JSONL file of users, events or purchases to Braze's REST API.",
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, help=".csv, .tsv, .jsonl or .ndjson")
    parser.add_argument("--instance", default="US-03", help="Braze instance, REST host or URL (default: %(default)s)")
    parser.add_argument("--format", choices=["csv", "jsonl"], help="when the file's name does not say it")
    parser.add_argument("--state", type=Path, help="directory for queue and progress (default: the user's data)")
    parser.add_argument("--errors", type=Path, help="append everything refused, and why, to this JSONL file")
    parser.add_argument(
        "--batch-limit",
        choices=["combined", "per_array"],
        default="combined",
        help="75 objects a request in all (default), or in each array (older contracts)",
    )
    parser.add_argument(
        "--stall-timeout",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="stop when Braze has taken nothing for so long (default: 60)",
    )
    return parser


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < 1e6:
        raise argparse.ArgumentTypeError("takes a number of seconds from 0 up")
    return seconds


def _import(options: argparse.Namespace, key: str) -> int:
    progress = Progress(sys.stderr)
    reporter = Reporter()
    storage = Storage.open(options.state, reporter)
    settings = ServerSettings.from_python(track_batch_limit=options.batch_limit)
    with _error_file(options.errors) as file:
        with BrazeRest(key, options.instance, settings=settings, storage=storage, reporter=reporter) as rest:
            run = FileImport(
                options.file,
                rest,
                storage=storage,
                file_format=options.format,
                on_progress=progress.show,
                on_problem=lambda problem: _write(file, problem),
            )
            try:
                report = run.run(stall_timeout=options.stall_timeout)
            finally:
                progress.end()
            dead, points, why = rest.dead_letters(), rest.data_points(), rest.stats().last_error
        for letter in dead:
            _write_letter(file, letter)
    return _conclude(report, dead, points, why)


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
    return path.open("a", encoding="utf-8", errors="replace") if path is not None else nullcontext()


def _write(file: TextIO | None, problem: ImportProblem) -> None:
    if file is not None:
        file.write(json.dumps(problem._asdict(), ensure_ascii=False) + "\n")


def _write_letter(file: TextIO | None, letter: DeadLetter) -> None:
    """What Braze refused has no line number any more; it comes whole instead."""
    if file is not None:
        item = json.loads(letter.payload)
        file.write(json.dumps({"reason": letter.reason, "object": item}, ensure_ascii=False) + "\n")


def _conclude(report: ImportReport, dead: Sequence[DeadLetter], points: int, why: str | None) -> int:
    out = sys.stdout
    out.write(f"{report.rows:,} rows read, {report.queued:,} objects queued, {report.refused:,} rows refused\n")
    out.write(f"about {points:,} data points in this run\n")
    for problem in report.problems[:SHOWN]:
        out.write(f"  line {problem.line}: {problem.reason}\n")
    if len(report.problems) > SHOWN:
        out.write("  and more; --errors FILE keeps them all\n")
    if dead:
        out.write(f"{len(dead):,} objects were refused by Braze and are kept as dead letters\n")
        for reason, count in Counter(letter.reason for letter in dead).most_common(SHOWN):
            out.write(f"  {count:,} x {reason}\n")
    if not report.finished:
        out.write(f"Braze takes nothing at the moment ({why or 'no answer'}); run the same command again to go on\n")
    return 0 if report.finished and not report.refused and not dead else 1


def _fail(message: str) -> int:
    sys.stderr.write(f"error: {message}\n")
    return 2
