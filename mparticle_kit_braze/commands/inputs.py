"""What commands are given: JSON from a file or standard input, and settings as ``name=value``."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..braze_kit.settings import SETTING_NAMES
from .running import UsageError

__all__ = ["loose_value", "pair", "read_document", "read_settings"]


def read_document(name: str) -> Any:
    """The JSON value in a file (``-`` for standard input); several of them, as in JSON lines, come as a list.

    Raises:
        UsageError: There is no such file, or it is no JSON.
    """
    text = _read(name)
    shown = "standard input" if name == "-" else name
    decoder = json.JSONDecoder()
    values = []
    at = _skip_space(text, 0)
    while at < len(text):
        try:
            value, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            place = f"line {error.lineno}, column {error.colno}"
            raise UsageError(f"{shown} is not JSON: {error.msg}, {place}") from None
        except (RecursionError, ValueError) as error:  # nested too deeply, or a number of too many digits
            raise UsageError(f"{shown} cannot be read: {error}") from None
        values.append(value)
        at = _skip_space(text, at)
    if not values:
        raise UsageError(f"{shown} is empty; it takes JSON")
    return values[0] if len(values) == 1 else values


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _read(name: str) -> str:
    try:
        if name != "-":
            data = Path(name).read_bytes()
        elif sys.stdin is None:
            raise UsageError("standard input is closed")
        else:
            data = sys.stdin.buffer.read()
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} is not UTF-8 text (byte {error.start})") from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise UsageError(f"{name!r} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def read_settings(file: str | None, pairs: Iterable[str]) -> dict[str, Any]:
    """Kit settings from a file, and single ones on top.

    Raises:
        UsageError: The file holds no object, or a setting has no value.
    """
    settings: dict[str, Any] = {}
    if file is not None:
        found = read_document(file)
        if not isinstance(found, Mapping):
            raise UsageError(f"{file} must hold a JSON object of settings")
        settings.update(found)
    for text in pairs:
        name, value = pair(text, "--setting")
        settings[name] = loose_value(value, numbers=False) if name in SETTING_NAMES else value
    return settings


def pair(text: str, option: str) -> tuple[str, str]:
    """The two sides of ``name=value``.

    Raises:
        UsageError: It has no name, or no equals sign.
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"{option} takes NAME=VALUE, not {text!r}")
    return name, value


def loose_value(text: str, *, numbers: bool) -> Any:
    """A value as one types it: JSON where it is any (``true`` in any case), else the text itself.

    Args:
        text: What was typed.
        numbers: Whether numbers are numbers.
    """
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    with contextlib.suppress(ValueError, RecursionError):
        value = json.loads(text, parse_constant=_no_constant)
        if numbers or not isinstance(value, int | float) or isinstance(value, bool):
            return value
    return text


def _no_constant(name: str) -> Any:
    raise ValueError(name)
