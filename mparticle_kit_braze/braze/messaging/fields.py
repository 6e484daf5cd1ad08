"""Reading members of what the server sent without ever trusting their types.

Every function takes an object that may be anything and gives a usable value or the default: an answer with
wrong types costs the member concerned, never the app.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

__all__ = ["boolean", "identifier", "number", "objects", "text", "texts"]


def text(raw: Mapping[Any, Any], key: str) -> str | None:
    """The member if it is text."""
    value = raw.get(key)
    return value if isinstance(value, str) else None


def identifier(raw: Mapping[Any, Any], key: str) -> str | None:
    """The member if it is text that is not empty; a whole number is taken as its digits."""
    value = raw.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return value if isinstance(value, str) and value else None


def number(raw: Mapping[Any, Any], key: str) -> int | float | None:
    """The member if it is a finite number that a float can hold."""
    value = raw.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < 1e300 and not math.isnan(value) else None


def boolean(raw: Mapping[Any, Any], key: str, *, default: bool = False) -> bool:
    """The member if it is a boolean, or 0 or 1 in its place."""
    value = raw.get(key)
    return bool(value) if isinstance(value, int) else default


def objects(raw: Mapping[Any, Any], key: str) -> list[dict[str, Any]]:
    """The objects in a list member; anything else in it is skipped."""
    value = raw.get(key)
    return [member for member in value if isinstance(member, dict)] if isinstance(value, list) else []


def texts(raw: Mapping[Any, Any], key: str) -> Mapping[str, str]:
    """An object member with its values as text; what is neither text, number nor boolean is left out."""
    value = raw.get(key)
    if not isinstance(value, dict):
        return MappingProxyType({})
    return MappingProxyType(
        {
            name: member if isinstance(member, str) else json.dumps(member)
            for name, member in value.items()
            if isinstance(name, str) and isinstance(member, str | int | float)
        }
    )
