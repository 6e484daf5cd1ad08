"""Reading large files of doubtful quality: line by line, with line numbers and byte offsets, in bounded memory."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple
from zlib import crc32

__all__ = ["FileLine", "FileRow", "csv_rows", "read_lines"]

MAX_RECORD_LINES = 100
"""The most lines one CSV record with line breaks in quotes may have."""

_SKIP_CHUNK = 1 << 20


class FileLine(NamedTuple):
    """One line.

    Attributes:
        number: Its number, from 1.
        end: The byte offset behind it.
        check: The checksum of the file up to there.
        text: Its text without the line break; ``None`` if it cannot be read.
        problem: Why it cannot be read.
    """

    number: int
    end: int
    check: int
    text: str | None
    problem: str = ""


class FileRow(NamedTuple):
    """One record: of CSV, or one line of JSON.

    Attributes:
        number: The number of its first line.
        last_number: The number of its last line.
        end: The byte offset behind it.
        check: The checksum of the file up to there.
        values: Its values, a list in CSV and a dict in JSON; ``None`` if it cannot be read.
        problem: Why it cannot be read.
    """

    number: int
    last_number: int
    end: int
    check: int
    values: Any
    problem: str = ""


def read_lines(
    file: BinaryIO, *, first_number: int = 1, check: int = 0, max_bytes: int = 1_000_000
) -> Iterator[FileLine]:
    """The lines from the file's position on. A line that is too long or not UTF-8 comes with its problem.

    Args:
        file: A file opened in binary mode.
        first_number: The number of the next line.
        check: The checksum of what lies before it.
        max_bytes: Longer lines are passed over without being held in memory.
    """
    number, end = first_number, file.tell()
    while raw := file.readline(max_bytes + 1):
        end += len(raw)
        check = crc32(raw, check)
        if len(raw) > max_bytes and not raw.endswith(b"\n"):
            while raw := file.readline(_SKIP_CHUNK):
                end += len(raw)
                check = crc32(raw, check)
                if raw.endswith(b"\n"):
                    break
            yield FileLine(number, end, check, None, f"the line has more than {max_bytes:,} bytes")
        else:
            if end == len(raw):
                raw = raw.removeprefix(b"\xef\xbb\xbf")
            try:
                yield FileLine(number, end, check, raw.rstrip(b"\r\n").decode())
            except UnicodeDecodeError as error:
                yield FileLine(number, end, check, None, f"the line is not UTF-8 (byte {error.start + 1})")
        number += 1


def csv_rows(lines: Iterator[FileLine], delimiter: str = ",", columns: int | None = None) -> Iterator[FileRow]:
    """CSV records. A quotation mark that is never closed costs its own line, not the rest of the file.

    Args:
        lines: The lines.
        delimiter: What stands between values.
        columns: How many values a record over several lines must have to count as one.
    """
    pending: deque[FileLine] = deque()
    while True:
        line = pending.popleft() if pending else next(lines, None)
        if line is None:
            return
        text = line.text
        if text is None:
            yield FileRow(line.number, line.number, line.end, line.check, None, line.problem)
        elif not text or text.isspace():
            continue
        elif _is_plain(text):
            yield FileRow(line.number, line.number, line.end, line.check, text.split(delimiter))
        else:
            yield _row(line, lines, pending, delimiter, columns)


def _row(
    first: FileLine, lines: Iterator[FileLine], pending: deque[FileLine], delimiter: str, columns: int | None
) -> FileRow:
    """Parse one record, with further lines while a quotation mark is open; those not needed go back to ``pending``."""
    taken = [first]
    text = first.text or ""
    while True:
        try:
            values = _parse(text, delimiter)
        except (csv.Error, ValueError) as error:
            problem = str(error)
        else:
            if columns is not None and len(taken) > 1 and len(values) != columns:
                pending.extendleft(reversed(taken[1:]))
                return FileRow(
                    first.number, first.number, first.end, first.check, None, "a quotation mark is never closed"
                )
            return FileRow(first.number, taken[-1].number, taken[-1].end, taken[-1].check, values)
        following = None
        if "unexpected end of data" in problem and len(taken) < MAX_RECORD_LINES:
            following = pending.popleft() if pending else next(lines, None)
        if following is not None and following.text is not None:
            taken.append(following)
            text = f"{text}\n{following.text}"
            continue
        if following is not None:
            pending.appendleft(following)
        pending.extendleft(reversed(taken[1:]))
        return FileRow(first.number, first.number, first.end, first.check, None, f"the line is not CSV ({problem})")


def _parse(text: str, delimiter: str) -> list[str]:
    """The values of one record."""
    if _is_plain(text):
        return text.split(delimiter)
    (values,) = csv.reader([text], delimiter=delimiter, strict=True)
    return values


def _is_plain(text: str) -> bool:
    """Whether splitting at the delimiters is all there is to do."""
    return '"' not in text and "\r" not in text and "\0" not in text
