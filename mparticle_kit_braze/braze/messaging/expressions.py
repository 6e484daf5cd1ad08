"""Regular expressions in JavaScript's syntax, as campaigns write them, to Python's. Pure."""

from __future__ import annotations

import re

__all__ = ["in_python"]

_PARTS = re.compile(
    r"""
      \\k<(?P<reference>\w+)>                 # a reference to a named group
    | \\c(?P<control>[A-Za-z])               # a control character
    | \\(?P<escaped>[A-Za-z])                # any other letter behind a backslash
    | \\.                                    # anything else behind one
    | \[(?P<inner>\^?(?:\\.|[^\]\\])*)\]      # a character class
    | \(\?(?P<group><[=!]?|[:=!]|)           # a group that is more than a pair of parentheses
    | \{(?=,)                                # no count of repetitions
    | \$
    | \.
    """,
    re.DOTALL | re.VERBOSE,
)
_LETTERS = frozenset("bBdDsSwWfnrtvxu")
"""Letters that mean the same in both languages behind a backslash; all others stand for themselves in JavaScript."""
_SPACE = r"\s\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
_PLAIN = {"$": r"\Z", ".": r"[^\n\r\u2028\u2029]", "{": r"\{"}
"""The dollar is the very end of the text, and the dot no end of a line."""


def in_python(expression: str) -> re.Pattern[str] | None:
    """The compiled expression; ``None`` if JavaScript would not take it, or Python cannot."""
    try:
        return re.compile(_PARTS.sub(_translated, expression), re.ASCII)
    except (re.error, RecursionError, OverflowError, _UnknownError, Warning):
        return None


class _UnknownError(Exception):
    """Python's own syntax, which is an error in JavaScript."""


def _translated(found: re.Match[str]) -> str:
    whole = found[0]
    if found["reference"]:
        return f"(?P={found['reference']})"
    if found["inner"] is not None:
        return _character_class(found["inner"])
    if found["group"] is not None:
        return _group(found["group"])
    return _PLAIN.get(whole) or _escape(found)


def _escape(found: re.Match[str]) -> str:
    letter, control = found["escaped"], found["control"]
    if control:
        return re.escape(chr(ord(control) % 32))
    if letter == "s":
        return f"[{_SPACE}]"
    if letter == "S":
        return f"[^{_SPACE}]"
    return letter if letter and letter not in _LETTERS else found[0]


def _group(kind: str) -> str:
    if not kind:
        raise _UnknownError
    return "(?P<" if kind == "<" else f"(?{kind}"


def _character_class(inner: str) -> str:
    if inner in ("", "^"):
        return r"[\s\S]" if inner else "(?!)"
    negated = "^" if inner[0] == "^" else ""
    parts = re.sub(r"\\c([A-Za-z])|\\([A-Za-z])|\\.|[\[&|~]", _in_class, inner[len(negated) :], flags=re.DOTALL)
    return f"[{negated}{parts}]"


def _in_class(found: re.Match[str]) -> str:
    control, letter = found[1], found[2]
    if control:
        return re.escape(chr(ord(control) % 32))
    if letter == "s":
        return _SPACE
    if letter:
        return found[0] if letter in _LETTERS and letter != "B" else letter
    # Those that Python reads as the beginning of something, or will one day.
    return found[0] if found[0].startswith("\\") else f"\\{found[0]}"
