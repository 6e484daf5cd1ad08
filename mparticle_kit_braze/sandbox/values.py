"""The small vocabulary of the checks: what is text, a number, a name, a user id on the wire."""

from __future__ import annotations

import json
import math
import re
from typing import Any

__all__ = [
    "CONTROL",
    "JsonObject",
    "alias_mark_problem",
    "is_list_of_text",
    "is_number",
    "is_text",
    "name_problem",
    "properties_problem",
    "shown",
    "user_id_problem",
    "within",
]

JsonObject = dict[str, Any]

USER_ID_BYTES = 997
CONTROL = re.compile(r'[\x00-\x1f"]')  # what the SDKs refuse in names and keys


def is_number(value: object) -> bool:
    """Whether it is a finite number; a boolean is none."""
    kind = type(value)
    return kind is int or (kind is float and math.isfinite(value))  # type: ignore[arg-type]  # narrowed by kind


def is_text(value: object) -> bool:
    """Whether it is text that is not empty."""
    return type(value) is str and value != ""


def is_list_of_text(value: object) -> bool:
    """Whether it is a list of nothing but text."""
    return type(value) is list and all(type(item) is str for item in value)


def within(value: object, bound: float) -> bool:
    """Whether it is a number from ``-bound`` to ``bound``."""
    return is_number(value) and -bound <= value <= bound  # type: ignore[operator]  # a number by then


def name_problem(label: str, value: object) -> str | None:
    """What is wrong with an event name or a product id."""
    if type(value) is not str or not value:
        return f"{label} must be non-empty text, not {shown(value)}"
    if CONTROL.search(value):
        return f"{label} holds a control character or a double quote"
    return None


def properties_problem(label: str, value: object) -> str | None:
    """What is wrong with the properties of an event or a purchase."""
    if type(value) is not dict:
        return f"{label} must be an object, not {shown(value)}"
    if value and CONTROL.search("".join(value)):
        return f"{label} has a key with a control character or a double quote"
    return None


def shown(value: object) -> str:
    """The value as JSON, cut short, for a message."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def user_id_problem(value: object) -> str | None:
    """What is wrong with a user id."""
    if type(value) is not str or not value:
        return f"user_id must be non-empty text, not {shown(value)}"
    if len(value) > USER_ID_BYTES // 4 and len(value.encode()) > USER_ID_BYTES:
        return f"user_id is longer than {USER_ID_BYTES} bytes"
    return None


def alias_mark_problem(value: object) -> str | None:
    """What is wrong with the mark that an anonymous user with an alias carries."""
    if type(value) is dict and value.keys() == {"label", "name"} and all(is_text(part) for part in value.values()):
        return None
    return f'alias must be {{"label": text, "name": text}}, not {shown(value)}'
