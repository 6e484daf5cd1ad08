"""Files of users, events or purchases sent through a REST client: resumable, in bounded memory, line by line.

CSV files have a header line; JSONL files one object a line. What a row is taken for is said in
:mod:`~mparticle_kit_braze.server.rows`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

from ..errors import ConfigurationError
from ..storage import Storage
from .batching import Outgoing
from .file_lines import FileLine, FileRow, csv_rows, read_lines
from .pacing import QueuePace
from .progress import ImportProgress, Position
from .rest import BrazeRest
from .rows import IDENTITY_COLUMNS, RowError, RowMapper
from .settings import ServerSettings
from .values import JsonObject, UnsupportedValueError

__all__ = ["FileImport", "ImportProblem", "ImportReport"]

Format = Literal["csv", "jsonl"]

GROUP = 25
"""Rows that are queued, and noted as read, in one go: what a kill in between can double."""

GROUP_BYTES = 256 * 1024
"""A group of large rows is queued as soon as it has so many bytes."""

KEPT_PROBLEMS = 1000


class ImportProblem(NamedTuple):
    """One row that was not sent, or not whole.

    Attributes:
        line: The number of its (first) line.
        reason: Why.
    """

    line: int
    reason: str


@dataclass(slots=True)
class ImportReport:
    """What became of a file.

    Attributes:
        rows: Rows read, header and blank lines aside.
        queued: Objects queued.
        refused: Rows that were not sent.
        problems: The first 1,000 problems.
        earlier: Rows among them that an earlier run had read.
        finished: Whether the end of the file was reached.
        offset: Bytes read so far.
        size: The file's size in bytes.
    """

    rows: int = 0
    queued: int = 0
    refused: int = 0
    problems: list[ImportProblem] = field(default_factory=list)
    earlier: int = 0
    finished: bool = False
    offset: int = 0
    size: int = 0


class FileImport:
    """One file on its way.

    Args:
        path: The file; ``.csv``, ``.tsv``, ``.jsonl`` or ``.ndjson`` unless ``file_format`` says what it is.
        rest: Where the objects go.
        storage: Where the progress is kept: a second run goes on behind the last row that was queued, in a file that
            has grown as well; one that begins otherwise starts anew. ``None`` (or storage in memory): each run begins
            at the beginning.
        settings: How rows are mapped; by default the REST client's. In CSV, where all is text, types are guessed.
        file_format: ``csv`` or ``jsonl``.
        on_progress: Called with the report now and then.
        on_problem: Called with each problem.

    Attributes:
        report: What became of it so far.

    Raises:
        ConfigurationError: The format is unknown.
        OSError: The file cannot be read.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        rest: BrazeRest,
        *,
        storage: Storage | None = None,
        settings: ServerSettings | None = None,
        file_format: Format | None = None,
        on_progress: Callable[[ImportReport], object] | None = None,
        on_problem: Callable[[ImportProblem], object] | None = None,
    ) -> None:
        self._path = Path(path)
        self._rest = rest
        self._directory = storage.directory("imports").path if storage is not None else None
        self._delimiter = "\t" if self._path.suffix.lower() == ".tsv" else ","
        self._format = file_format or _format_of(self._path)
        settings = settings or rest.settings
        if self._format == "csv":
            settings = replace(settings, attribute_typing="detected", event_typing="detected")
        self._columns: list[str] | None = None  # of a CSV file
        self._mapper = RowMapper(settings, self._left_out)
        self._on_progress = on_progress
        self._on_problem = on_problem
        self._line = 0
        self._group: list[tuple[int, Outgoing]] = []  # with the lines of their rows
        self._group_bytes = 0
        self.report: ImportReport = ImportReport(size=self._path.stat().st_size)

    def run(self, *, stall_timeout: float = 60.0) -> ImportReport:
        """Send the file and wait until Braze has taken everything.

        Args:
            stall_timeout: Seconds without any object being taken after which it stops, unfinished; a later run goes on.

        Returns:
            What became of it; also :attr:`report` while it runs.

        Raises:
            ConfigurationError: The file is not UTF-8 at all, or its CSV header is unusable.
            OSError: The file cannot be read, or the progress not be noted.
        """
        progress = ImportProgress(self._directory, self._path, self._rest.base_url)
        try:
            with self._path.open("rb") as file:
                _check_encoding(file)
                self.report.finished = self._send_rows(self._rows(file, progress), progress, stall_timeout)
        finally:
            progress.close()
        self._tell()
        return self.report

    def _send_rows(self, rows: Iterator[FileRow], progress: ImportProgress, stall_timeout: float) -> bool:
        """Send all of them; false when Braze takes none for too long."""
        pace = QueuePace(self._rest, self._tell)
        row: FileRow | None = None
        for row in rows:
            self._take(row)
            if self.report.rows % GROUP and self._group_bytes < GROUP_BYTES:
                continue
            size = len(self._group), self._group_bytes
            noted = self._queue(progress, row)
            if not (pace.keep(*size, stall_timeout) if noted else pace.send_all(stall_timeout)):
                return False
            if not noted:
                self._note(progress, row)
        if row is not None:
            self._queue(progress, row)
        finished = pace.send_all(stall_timeout)
        if row is not None and finished:
            self._note(progress, row)
        return finished

    # -- reading ------------------------------------------------------------------------------------------------
    def _rows(self, file: BinaryIO, progress: ImportProgress) -> Iterator[FileRow]:
        if self._format == "jsonl":
            lines = self._lines(file, progress, Position())
            return (_json_row(line) for line in lines if line.text is None or not _is_blank(line.text))
        header = next(csv_rows(read_lines(file), self._delimiter), None)
        if header is None:
            raise ConfigurationError("line 1: the file is empty; a CSV file needs a header")
        self._columns = _columns(header.values, header.number, header.problem)
        start = Position(header.end, header.last_number, check=header.check)
        return csv_rows(self._lines(file, progress, start), self._delimiter, len(self._columns))

    def _lines(self, file: BinaryIO, progress: ImportProgress, start: Position) -> Iterator[FileLine]:
        """The lines behind the progress of an earlier run, or behind the header."""
        known = progress.load(file)
        if known is not None:
            start = known
            self.report = replace(
                self.report,
                rows=known.rows,
                earlier=known.rows,
                queued=known.queued,
                refused=known.refused,
                offset=known.offset,
            )
        file.seek(start.offset)
        return read_lines(file, first_number=start.line + 1, check=start.check)

    # -- sending ------------------------------------------------------------------------------------------------
    def _take(self, row: FileRow) -> None:
        report = self.report
        report.rows += 1
        report.offset = row.end
        self._line = row.number
        values, columns = row.values, self._columns
        if values is None:
            self._refuse(row.problem)
            return
        if columns is not None:
            if len(values) != len(columns):
                self._refuse(f"the row has {len(values)} columns, the header {len(columns)}")
                return
            values = dict(zip(columns, values))  # noqa: B905 - just compared
        try:
            array, item = self._mapper.map(values)
        except RowError as error:
            self._refuse(str(error))
            return
        except UnsupportedValueError as error:
            self._refuse(f"the time {error}")
            return
        finding, prepared = self._rest.prepare(array, item)
        if prepared is None:
            self._refuse(f"{finding.rule} {finding.where}".strip())
            return
        self._group.append((row.number, prepared))
        self._group_bytes += len(prepared.payload)
        for warning in finding.warnings:
            self._mention(f"Braze will keep only a part of a value ({warning})")

    def _queue(self, progress: ImportProgress, row: FileRow) -> bool:
        """Queue what was taken, and note that all up to this row is done.

        Returns:
            Whether that is noted: not while only memory holds what is queued. A kill would lose it.
        """
        group, self._group, self._group_bytes = self._group, [], 0
        refused = self._rest.queue([prepared for _, prepared in group])
        self.report.queued += len(group) - len(refused)
        for position in refused:
            self._line = group[position][0]
            self._refuse("queue_full")
        safe = self._rest.is_durable or not progress.is_kept
        if safe:
            self._note(progress, row)
        return safe

    def _note(self, progress: ImportProgress, row: FileRow) -> None:
        """Note that all up to this row is done."""
        report = self.report
        progress.note(row.end, row.last_number, report.rows, report.queued, report.refused, row.check)

    def _refuse(self, reason: str) -> None:
        self.report.refused += 1
        self._mention(reason)

    def _left_out(self, key: str, why: str) -> None:
        self._mention(f"{key}: {why}")

    def _mention(self, reason: str) -> None:
        problem = ImportProblem(self._line, reason)
        if len(self.report.problems) < KEPT_PROBLEMS:
            self.report.problems.append(problem)
        if self._on_problem is not None:
            self._on_problem(problem)

    def _tell(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self.report)


def _columns(columns: list[str] | None, line: int, problem: str) -> list[str]:
    """The names of a header, or why it is none."""
    if columns is None:
        raise ConfigurationError(f"line {line}: the header cannot be read: {problem}")
    names = [column.strip() for column in columns]
    if not all(names):
        raise ConfigurationError(f"line {line}: column {names.index('') + 1} of the header has no name")
    if len(set(names)) != len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise ConfigurationError(f"line {line}: the header has the column {repeated[:40]!r} more than once")
    if not IDENTITY_COLUMNS & set(names):
        raise ConfigurationError(
            f"line {line}: no column names a user; name one external_id, customer_id, email or another identity"
            f"{_hint(names)}"
        )
    return names


def _hint(names: list[str]) -> str:
    """What may be wrong with a header that names no user."""
    mark = next((mark for mark in ";\t|" if len(names) == 1 and mark in names[0]), None)
    if mark is not None:
        return f" (they seem to be separated by {mark!r}, not by commas)"
    meant = {name: re.sub(r"[\s-]+", "_", name).lower() for name in names}
    near = next((name for name in names if meant[name] in IDENTITY_COLUMNS), None)
    return f" ({near!r} is to be written {meant[near]!r})" if near is not None else ""


def _check_encoding(file: BinaryIO) -> None:
    """Raise for a file whose every line would be refused: no UTF-8 from its first bytes on, or no lines."""
    if not file.seekable():
        raise ConfigurationError("the file is a pipe or a device; save it, so that a later run can go on with it")
    start = file.read(4096)
    if start[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in start[:2]:
        raise ConfigurationError("line 1: the file is UTF-16; save it as UTF-8")
    if b"\r" in start and b"\n" not in start:
        raise ConfigurationError(
            "line 1: the lines end with a carriage return alone; save the file with usual line ends"
        )
    file.seek(0)


def _is_blank(text: str) -> bool:
    return not text or text.isspace()


def _json_row(line: FileLine) -> FileRow:
    values, problem = (None, line.problem) if line.text is None else _json_object(line.text)
    return FileRow(line.number, line.number, line.end, line.check, values, problem)


def _json_object(text: str) -> tuple[JsonObject | None, str]:
    """The object on a line, or what is wrong with it."""
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = getattr(error, "msg", type(error).__name__)
        where = f" at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else ""
        return None, f"the line is not JSON ({reason}{where})"
    if not isinstance(value, dict):
        hint = "; write each object of the array on a line of its own" if isinstance(value, list) else ""
        return None, f"the line is not a JSON object{hint}"
    return value, ""


def _format_of(path: Path) -> Format:
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return "csv"
    if suffix in (".jsonl", ".ndjson"):
        return "jsonl"
    raise ConfigurationError(f"{path.name}: name the file .csv, .tsv, .jsonl or .ndjson, or say its format")
