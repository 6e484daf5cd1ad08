"""What commands show: lines and JSON on standard output, colours, and widths."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterable
from typing import Any

__all__ = ["clean", "colour", "masked", "pad", "pieces", "terminal_width", "warn", "width_of", "write", "write_json"]


# -- writing --------------------------------------------------------------------------------------------------------
def write(lines: Iterable[str] | str) -> None:
    """Print a line, or several, on standard output; nowhere if it is closed."""
    if sys.stdout is not None:
        for line in [lines] if isinstance(lines, str) else lines:
            sys.stdout.write(f"{line}\n")


def warn(line: str) -> None:
    """Print a line on standard error; nowhere if it is closed."""
    try:
        if sys.stderr is not None:
            sys.stderr.write(f"{clean(line)}\n")
            sys.stderr.flush()
    except (OSError, ValueError):
        pass


def write_json(value: Any) -> None:
    """Print a JSON document on standard output, indented."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    text = json.dumps(value, indent=2, ensure_ascii=encoding.replace("-", "").lower() != "utf8")
    # JSON takes these as they are, a terminal takes them for commands.
    write(re.sub("[\x7f-\x9f\u2028\u2029\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text))


def clean(text: str) -> str:
    """The text with everything that is not printable spelt out: what is shown comes from data, and a terminal obeys."""
    return "".join(letter if letter.isprintable() or letter == "\n" else _spelt(letter) for letter in text)


def _spelt(letter: str) -> str:
    return letter.encode("unicode_escape", "backslashreplace").decode("ascii")


def masked(key: str) -> str:
    """A key as it may be shown: its beginning, if it is long, and its length."""
    beginning = f"{clean(key[:4])}..." if len(key) >= 16 else "..."
    return f"{beginning} ({len(key)} characters)"


COLOURS = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}


def colour(text: str, name: str) -> str:
    """The text in a colour, on a terminal that has any and if ``NO_COLOR`` is not set."""
    stream = sys.stdout
    if stream is None or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return text
    return f"\x1b[{COLOURS[name]}m{text}\x1b[0m"


# -- widths ---------------------------------------------------------------------------------------------------------
def terminal_width() -> int:
    """Columns to print in: the terminal's, or 100 where there is none; ``COLUMNS`` wins."""
    return max(20, shutil.get_terminal_size((100, 24)).columns)


def width_of(text: str) -> int:
    """The columns that a text takes: wide characters two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text
    )


def pad(text: str, width: int) -> str:
    """The text with spaces up to a width."""
    return text + " " * (width - width_of(text))


def pieces(text: str, width: int) -> list[str]:
    """The text in lines of at most a width, broken after spaces where there are any; at least one line."""
    lines = []
    for line in text.split("\n"):
        rest = line
        while width_of(rest) > width:
            end = _fitting(rest, width)
            space = rest.rfind(" ", 1, end + 1)
            lines.append(rest[: space if space > 0 else end].rstrip())
            rest = rest[space + 1 if space > 0 else end :]
        lines.append(rest)
    return lines


def _fitting(text: str, width: int) -> int:
    """How many leading characters fit into a width; at least one."""
    used = 0
    for index, letter in enumerate(text):
        used += width_of(letter)
        if used > width:
            return max(1, index)
    return len(text)
