"""``import``: send a file of users, events or purchases to Braze's REST API."""

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
from typing import Any, TextIO

from ..delivery import DeadLetter
from ..diagnostics import Problem, Reporter
from ..server.importing import FileImport, ImportProblem, ImportReport
from ..server.rest import BrazeRest
from ..server.settings import ServerSettings
from ..storage import Storage, default_directory
from .arguments import Parser, add_json
from .console import clean, warn, write, write_json
from .running import Exit, UsageError

__all__ = ["main"]

KEY_VARIABLE = "BRAZE_REST_API_KEY"

SHOWN = 20
"""Problems that are printed; ``--errors`` has them all."""

HELP = f"""\
what a row becomes:
  user      a column or key that names an identity (external_id, customer_id, email, mpid ...), and attributes
  event     the same with "event" (or "name" and "time"); everything else is a property
  purchase  the same with "product_id", "price", and perhaps "currency" (USD), "quantity" (1)
Times are ISO 8601, or seconds or milliseconds since 1970; without one it is now. Empty values are left out.

A CSV file has a header and is UTF-8; in it numbers and true/false are recognised. A row that cannot be sent costs
only itself: it is listed with its line number. Stopped or killed, the same command goes on where it was.

The REST key, with the permission users.track, is read from {KEY_VARIABLE}.

examples:
  $ cat users.csv
  customer_id,level
  ada-1815,4
  ,2
  $ export BRAZE_REST_API_KEY=your-rest-key
  $ python -m mparticle_kit_braze import users.csv --instance http://127.0.0.1:8321
  2 rows read, 1 objects queued, 1 rows refused
  about 1 data points in this run
    line 3: the row names no user by the identity that is the external id
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command; see ``--help``."""
    options = _parser().parse_args(arguments)
    key = os.environ.get(KEY_VARIABLE, "")
    if not key:
        raise UsageError(
            f"set {KEY_VARIABLE} to the REST key (it is not taken from the command line, which others can see)"
        )
    try:
        return _import(options, key)
    except OSError as error:  # of the file, or of the file for errors
        raise UsageError(str(error)) from None
    except KeyboardInterrupt:
        warn("\nstopped; run the same command again to go on")
        return Exit.INTERRUPTED


def _parser() -> Parser:
    parser = Parser("import", "Send a CSV or JSONL file of users, events or purchases to Braze's REST API.", HELP)
    parser.add_argument("file", type=Path, help=".csv, .tsv, .jsonl or .ndjson")
    parser.add_argument("--instance", default="US-03", help="Braze instance, REST host or URL (default: %(default)s)")
    parser.add_argument("--format", choices=["csv", "jsonl"], help="when the file's name does not say it")
    parser.add_argument(
        "--state", type=Path, metavar="DIR", help="directory for queue and progress (default: the user's data)"
    )
    parser.add_argument(
        "--errors", type=Path, metavar="FILE", help="append everything refused, and why, to this JSONL file"
    )
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
    add_json(parser)
    return parser


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < 1e6:
        raise argparse.ArgumentTypeError("takes a number of seconds from 0 up")
    return seconds


def _import(options: argparse.Namespace, key: str) -> int:
    progress = Progress(sys.stderr)
    troubles: dict[str, str] = {}

    def tell(problem: Problem) -> None:
        if problem.code not in troubles:
            troubles[problem.code] = problem.message
            warn(f"warning: {problem.message}")

    reporter = Reporter(tell)
    storage = Storage.open(options.state, reporter)
    if storage.path is None:
        raise UsageError(f"the directory {options.state or default_directory()} cannot be used; --state names another")
    settings = ServerSettings.from_python(track_batch_limit=options.batch_limit)
    with _error_file(options.errors) as file:
        with BrazeRest(key, options.instance, settings=settings, storage=storage, reporter=reporter) as rest:
            before = {(letter.id, letter.kind) for letter in rest.dead_letters()}  # of earlier runs, which told of them
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
            dead = [letter for letter in rest.dead_letters() if (letter.id, letter.kind) not in before]
            points, why = rest.data_points(), rest.stats().last_error or next(iter(troubles.values()), None)
        for letter in dead:
            _write_letter(file, letter)
    return _conclude(report, dead, points, why, as_json=options.json)


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


def _conclude(report: ImportReport, dead: Sequence[DeadLetter], points: int, why: str | None, *, as_json: bool) -> int:
    reasons = Counter(letter.reason for letter in dead)
    if as_json:
        write_json(_summary(report, reasons, points, why))
    else:
        _tell(report, reasons, points, why)
    return Exit.OK if report.finished and not report.refused and not dead else Exit.FAILED


def _summary(report: ImportReport, reasons: Counter[str], points: int, why: str | None) -> dict[str, Any]:
    return {
        "finished": report.finished,
        "rows": report.rows,
        "earlier": report.earlier,
        "queued": report.queued,
        "refused": report.refused,
        "data_points": points,
        "problems": [problem._asdict() for problem in report.problems],
        "dead": dict(reasons.most_common()),
        "error": None if report.finished else why or "no answer",
    }


def _tell(report: ImportReport, reasons: Counter[str], points: int, why: str | None) -> None:
    write(f"{report.rows:,} rows read, {report.queued:,} objects queued, {report.refused:,} rows refused")
    if report.earlier:
        write(f"{report.earlier:,} of the rows were read by an earlier run, which this one went on from")
    write(f"about {points:,} data points in this run")
    write(f"  line {problem.line}: {clean(problem.reason)}" for problem in report.problems[:SHOWN])
    if len(report.problems) > SHOWN:
        write("  and more; --errors FILE keeps them all")
    if reasons:
        write(f"{reasons.total():,} objects were refused by Braze and are kept as dead letters")
        write(f"  {count:,} x {clean(reason)}" for reason, count in reasons.most_common(SHOWN))
    if not report.finished:
        write(f"Braze takes nothing at the moment ({why or 'no answer'}); run the same command again to go on")
