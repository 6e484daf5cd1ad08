"""What each record costs in data points under Braze's legacy measure.

Written from Braze's list of what uses data points and sharing nothing with the client's own meter, so that the two
can be held against each other.
"""

from __future__ import annotations

from typing import Any

from ..values import JsonObject

__all__ = ["attribute_cost", "event_cost"]

_KINDS = {
    "ss": "sessions",
    "se": "sessions",
    "ce": "custom_events",
    "p": "purchases",
    **dict.fromkeys(("set", "add", "rem", "inc", "ncam", "lcaa", "lcar", "lr"), "attributes"),
}
_FREE = frozenset({"email_subscribe", "push_subscribe", "push_token"})


def event_cost(event: JsonObject) -> tuple[str, int]:
    """The kind and the points of an event as on the wire; no kind when it costs nothing."""
    code, data = event["name"], event["data"]
    kind = _KINDS.get(code, "")
    if not kind or (code == "ce" and str(data.get("n", "")).startswith("ecommerce.")):
        return "", 0
    return kind, _value_cost(data.get("value")) if code == "ncam" else 1


def attribute_cost(key: str, value: Any, *, custom: bool) -> tuple[str, int]:
    """The same of one attribute."""
    if custom:
        return "attributes", _value_cost(value)
    return ("", 0) if key in _FREE else ("attributes", 1)


def _value_cost(value: Any) -> int:
    """One, or one for each key of an object at every depth."""
    return max(1, _keys(value))


def _keys(value: Any) -> int:
    if isinstance(value, dict):
        return len(value) + sum(map(_keys, value.values()))
    return sum(map(_keys, value)) if isinstance(value, list) else 0
