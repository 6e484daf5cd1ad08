"""Files of users, events or purchases sent through a REST client: resumable, in bounded memory, line by line.

CSV files have a header line; JSONL files one object a line. Columns and keys that name an identity say who the row is
about; ``event`` (or ``name``) and ``time`` (or ``timestamp``) make it an event; ``product_id`` makes it a purchase;
everything else is an attribute or property.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

from ..errors import ConfigurationError
from ..identity import IdentityType
from ..storage import KeyValues
from .attributes import attribute_fields, external_id, identity_fields
from .commerce import event_properties
from .file_lines import FileLine, csv_rows, read_lines
from .rest import BrazeRest, TrackResult
from .settings import ServerSettings
from .validation import PURCHASE_RESERVED, ArrayName
from .values import JsonObject, UnsupportedValueError, detect, is_time_text, iso_time

__all__ = ["FileImport", "ImportProblem", "ImportReport"]

Format = Literal["csv", "jsonl"]

CHUNK = 75
"""Rows between two notes of the progress: at most so many are sent twice after a crash."""

QUEUE_HIGH = 20_000
"""Waiting objects above which reading pauses until Braze has taken some."""

KEPT_PROBLEMS = 1000

_EVENT_NAMES = ("event", "event_name", "name")
_TIMES = ("time", "timestamp")
_NESTED = ("attributes", "properties", "user_attributes")
_IDENTITIES = {kind.value: kind for kind in IdentityType}
_PURCHASE_FIELDS = ("product_id", "price", "currency", "quantity")


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
        finished: Whether the end of the file was reached.
        offset: Bytes read so far.
        size: The file's size in bytes.
    """

    rows: int = 0
    queued: int = 0
    refused: int = 0
    problems: list[ImportProblem] = field(default_factory=list)
    finished: bool = False
    offset: int = 0
    size: int = 0


class _RowError(Exception):
    """A row cannot be sent; the text says why."""


class _Row(NamedTuple):
    line: int
    last_line: int
    end: int
    values: JsonObject | None
    problem: str = ""


class FileImport:
    """One file on its way.

    Args:
        path: The file; ``.csv``, ``.tsv``, ``.jsonl`` or ``.ndjson`` unless ``file_format`` says what it is.
        rest: Where the objects go.
        values: Where the progress is kept; a second run goes on behind the last chunk. ``None``: from the beginning.
        settings: How rows are mapped; by default the REST client's. In CSV, where all is text, types are guessed.
        file_format: ``csv`` or ``jsonl``.
        on_progress: Called with the report now and then.
        on_problem: Called with each problem.

    Raises:
        ConfigurationError: The format is unknown, or a CSV header names no identity.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        rest: BrazeRest,
        *,
        values: KeyValues | None = None,
        settings: ServerSettings | None = None,
        file_format: Format | None = None,
        on_progress: Callable[[ImportReport], object] | None = None,
        on_problem: Callable[[ImportProblem], object] | None = None,
    ) -> None:
        self._path = Path(path)
        self._rest = rest
        self._values = values
        self._delimiter = "\t" if self._path.suffix.lower() == ".tsv" else ","
        self._format = file_format or _format_of(self._path)
        settings = settings or rest.settings
        if self._format == "csv":
            settings = replace(settings, attribute_typing="detected", event_typing="detected")
        self._settings = settings
        self._on_progress = on_progress
        self._on_problem = on_problem
        self._year = time.gmtime().tm_year
        self.report = ImportReport(size=self._path.stat().st_size)

    def run(self, *, stall_timeout: float = 60.0) -> ImportReport:
        """Send the file and wait until Braze has taken everything.

        Args:
            stall_timeout: Seconds without any object being taken after which it stops, unfinished; a later run goes on.

        Returns:
            What became of it; also :attr:`report` while it runs.
        """
        with self._path.open("rb") as file:
            for chunk in self._chunks(file):
                self._send(chunk)
                if not self._make_room(QUEUE_HIGH, stall_timeout):
                    return self.report
        self.report.finished = self._make_room(0, stall_timeout)
        self._tell()
        return self.report

    # -- reading ------------------------------------------------------------------------------------------------
    def _chunks(self, file: BinaryIO) -> Iterator[list[_Row]]:
        chunk: list[_Row] = []
        for row in self._rows(file):
            chunk.append(row)
            if len(chunk) == CHUNK:
                yield chunk
                chunk = []
        if chunk:
            yield chunk

    def _rows(self, file: BinaryIO) -> Iterator[_Row]:
        if self._format == "jsonl":
            for line in self._lines(file, 0, 1):
                if line.text is None:
                    yield _Row(line.number, line.number, line.end, None, line.problem)
                elif line.text.strip():
                    yield _json_row(line)
            return
        header_rows = csv_rows(read_lines(file), self._delimiter)
        header = next(header_rows, None)
        columns = self._header(header.values if header is not None else None, header.problem if header else "")
        start = header.end if header is not None else 0
        file.seek(start)
        first_number = header.last_number + 1 if header is not None else 1
        for row in csv_rows(self._lines(file, start, first_number), self._delimiter, len(columns)):
            if row.values is None:
                yield _Row(row.number, row.last_number, row.end, None, row.problem)
            elif len(row.values) != len(columns):
                problem = f"the row has {len(row.values)} columns, the header {len(columns)}"
                yield _Row(row.number, row.last_number, row.end, None, problem)
            else:
                yield _Row(row.number, row.last_number, row.end, dict(zip(columns, row.values, strict=True)))

    def _lines(self, file: BinaryIO, start: int, first_number: int) -> Iterator[FileLine]:
        """The lines behind the progress of an earlier run, or behind the header."""
        progress: Any = self._values.get(self._key) if self._values is not None else None
        if isinstance(progress, dict):
            known = {key: progress[key] for key in ("rows", "queued", "refused", "offset")}
            self.report = replace(self.report, **known)
            start, first_number = progress["offset"], progress["line"] + 1
        file.seek(start)
        return read_lines(file, first_number=first_number)

    def _header(self, columns: list[str] | None, problem: str) -> list[str]:
        if columns is None:
            raise ConfigurationError(f"line 1: {problem or 'the file is empty; a CSV file needs a header'}")
        names = [column.strip() for column in columns]
        if len(set(names)) != len(names) or not all(names):
            raise ConfigurationError("line 1: the header has an empty or a repeated column name")
        if not any(name in _IDENTITIES or name == "external_id" for name in names):
            raise ConfigurationError(
                "line 1: no column names a user; name one external_id, customer_id, email or another identity type"
            )
        return names

    @property
    def _key(self) -> str:
        """Tells this file, as it is now, from others: a changed file starts anew."""
        stat = self._path.stat()
        identity = f"{self._path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
        return f"import.{hashlib.sha256(identity.encode()).hexdigest()[:24]}"

    # -- sending ------------------------------------------------------------------------------------------------
    def _send(self, chunk: list[_Row]) -> None:
        objects: dict[ArrayName, list[JsonObject]] = {"attributes": [], "events": [], "purchases": []}
        lines: dict[ArrayName, list[int]] = {"attributes": [], "events": [], "purchases": []}
        for row in chunk:
            self.report.rows += 1
            try:
                array, item = self._mapped(row)
            except (_RowError, UnsupportedValueError) as error:
                self._refuse(row.line, str(error))
            else:
                objects[array].append(item)
                lines[array].append(row.line)
        result: TrackResult = self._rest.track(**objects)
        self.report.queued += result.queued
        for held in result.held_back:
            self._refuse(lines[held.array][held.index], f"{held.rule} {held.where}".strip())
        self._note(chunk[-1])

    def _note(self, last: _Row) -> None:
        self.report.offset = last.end
        if self._values is not None:
            known = {"rows": self.report.rows, "queued": self.report.queued, "refused": self.report.refused}
            self._values.set(self._key, {**known, "offset": last.end, "line": last.last_line})

    def _refuse(self, line: int, reason: str) -> None:
        self.report.refused += 1
        self._mention(line, reason)

    def _mention(self, line: int, reason: str) -> None:
        problem = ImportProblem(line, reason)
        if len(self.report.problems) < KEPT_PROBLEMS:
            self.report.problems.append(problem)
        if self._on_problem is not None:
            self._on_problem(problem)

    def _make_room(self, most: int, stall_timeout: float) -> bool:
        """Wait until at most so many objects are queued; false when Braze takes none for too long."""
        if most and self.report.rows % (CHUNK * 20):
            return True  # counting the queue for every chunk would be slow
        self._tell()
        while not most or self._rest.stats().queued > most:
            result = self._rest.flush(stall_timeout)
            self._tell()
            if result.complete:
                return True
            if not result.sent and not result.dead:
                return False
        return True

    def _tell(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self.report)

    # -- mapping ------------------------------------------------------------------------------------------------
    def _mapped(self, row: _Row) -> tuple[ArrayName, JsonObject]:
        if row.values is None:
            raise _RowError(row.problem)
        values = {key: value for key, value in row.values.items() if value not in (None, "")}
        identifier, profile = self._identifier(values)

        def refuse(key: str, why: str) -> None:
            self._mention(row.line, f"{key}: {why}")

        if "product_id" in values:
            return "purchases", {**identifier, **self._purchase(values, refuse)}
        name = next((key for key in _EVENT_NAMES if isinstance(values.get(key), str)), None)
        if name is not None:
            event = {"name": values.pop(name), "time": _time(values)}
            properties = event_properties(self._settings, _flat(values), refuse)
            return "events", {**identifier, **event, **({"properties": properties} if properties else {})}
        fields: JsonObject = dict(profile)
        for key, value in _flat(values).items():
            fields.update(attribute_fields(self._settings, key, value, refuse, year=self._year))
        if not fields:
            raise _RowError("the row has nothing but its identity")
        return "attributes", {**identifier, **fields}

    def _identifier(self, values: JsonObject) -> tuple[JsonObject, JsonObject]:
        """Take the identities out of a row: the identifier, and the identities that are fields of a profile."""
        identities: dict[IdentityType, str] = {}
        mpid = values.pop("mpid", None)
        direct = values.pop("external_id", None)
        for key in values.keys() & _IDENTITIES.keys():
            identities[_IDENTITIES[key]] = str(values.pop(key))
        user = direct if direct is not None else external_id(self._settings, identities, mpid)
        if user is None:
            raise _RowError("the row names no user by the identity that is the external id")
        return {"external_id": str(user)}, identity_fields(self._settings, identities)

    def _purchase(self, values: JsonObject, refuse: Callable[[str, str], object]) -> JsonObject:
        fields: JsonObject = {key: values.pop(key) for key in _PURCHASE_FIELDS if key in values}
        purchase: JsonObject = {"currency": "USD", **fields, "product_id": str(fields["product_id"])}
        for key in ("price", "quantity"):
            if isinstance(purchase.get(key), str):
                purchase[key] = detect(purchase[key])
        purchase["time"] = _time(values)
        properties = event_properties(self._settings, _flat(values), refuse, reserved=PURCHASE_RESERVED)
        return {**purchase, **({"properties": properties} if properties else {})}


def _json_row(line: FileLine) -> _Row:
    try:
        value = json.loads(line.text or "")
    except (ValueError, RecursionError) as error:
        reason = getattr(error, "msg", type(error).__name__)
        return _Row(line.number, line.number, line.end, None, f"the line is not JSON ({reason})")
    if not isinstance(value, dict):
        return _Row(line.number, line.number, line.end, None, "the line is not a JSON object")
    return _Row(line.number, line.number, line.end, value)


def _format_of(path: Path) -> Format:
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return "csv"
    if suffix in (".jsonl", ".ndjson"):
        return "jsonl"
    raise ConfigurationError(f"{path.name}: name the file .csv, .tsv, .jsonl or .ndjson, or say its format")


def _flat(values: Mapping[str, Any]) -> JsonObject:
    """The attributes of a row, those in an ``attributes`` object beside the others."""
    flat: JsonObject = {}
    for key, value in values.items():
        if key in _NESTED and isinstance(value, Mapping):
            flat.update(value)
        else:
            flat[key] = value
    return flat


def _time(values: JsonObject) -> str:
    """Take the time out of a row: ISO text, or seconds or milliseconds since the epoch; now if there is none."""
    key = next((name for name in _TIMES if name in values), None)
    value = values.pop(key) if key is not None else time.time()
    if isinstance(value, str):
        if is_time_text(value):
            return value
        value = detect(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _RowError("the time is neither ISO 8601 nor a number of seconds")
    return iso_time(value / 1000 if abs(value) > 1e11 else value)
