"""What a client tells of itself beside its requests: its calls, the records they became, warnings and its queue.

Anyone on this machine could send it, so nothing of it is trusted beyond being text and numbers of modest size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..values import JsonObject, is_number

__all__ = ["MAX_TOLD_BYTES", "Told", "read_told"]

MAX_TOLD_BYTES = 16_000_000
_MAX_TEXT = 4000
_MAX_ITEMS = 5000
_MAX_NAMES = 100


class Told:
    """One message of a client.

    Attributes:
        client: Who it is: ``id``, ``profile``, ``device``, ``process``, ``version``.
        calls: The calls it made, in order.
        records: What it queued for them: ``record`` as on the wire, ``call`` its number, and the rule's words.
        warnings: What it warned of; ``call`` is the number of the call, if it belongs to one.
        stats: Its delivery figures; ``None`` if it sent none.
        lost: How many calls it could not tell of.
    """

    __slots__ = ("calls", "client", "lost", "records", "stats", "warnings")

    def __init__(self, value: JsonObject) -> None:
        self.client: JsonObject = _read(value.get("client"), _CLIENT)
        self.calls: list[JsonObject] = [_read(item, _CALL) for item in _items(value.get("calls"))]
        self.records: list[JsonObject] = [_read(item, _RECORD) for item in _items(value.get("records"))]
        self.warnings: list[JsonObject] = [_read(item, _WARNING) for item in _items(value.get("warnings"))]
        stats = value.get("stats")
        self.stats: JsonObject | None = None if stats is None else _read(stats, _STATS)
        self.lost: int = int(_number(value.get("lost")) or 0)


def read_told(value: Any) -> Told:
    """Read a message. Raises ``ValueError`` when it is none."""
    told = Told(_object(value))
    if not told.client["id"]:
        raise ValueError("client.id is missing")
    return told


def _text(value: Any) -> str:
    return "" if value is None else str(value)[:_MAX_TEXT]


def _number(value: Any) -> float | None:
    return value if is_number(value) else None


def _names(value: Any) -> list[str]:
    return [_text(name) for name in value[:_MAX_NAMES]] if type(value) is list else []


def _object(value: Any) -> JsonObject:
    if type(value) is not dict:
        raise ValueError("an object is expected")
    return value


_Fields = dict[str, Callable[[Any], Any]]
_CLIENT: _Fields = {"id": _text, "profile": _text, "device": _text, "process": _number, "version": _text}
_CALL: _Fields = {
    **dict.fromkeys(("number", "time"), _number),
    **dict.fromkeys(("call", "name", "text", "place", "outcome", "reason"), _text),
    **dict.fromkeys(("hidden", "projected"), _names),
}
_RECORD: _Fields = {
    "call": _number,
    "record": _object,
    **dict.fromkeys(("rule", "text", "particular", "source"), _text),
}
_WARNING: _Fields = {**dict.fromkeys(("call", "time", "count"), _number), "code": _text, "message": _text}
_STATS: _Fields = {
    **dict.fromkeys(("queued", "bytes", "sent", "retried", "dropped", "dead", "next_attempt"), _number),
    **dict.fromkeys(("last_error", "gate"), _text),
    "points_saved": _number,
}


def _read(value: Any, fields: _Fields) -> JsonObject:
    given = _object(value)
    return {name: read(given.get(name)) for name, read in fields.items()}


def _items(value: Any) -> list[Any]:
    if value is None:
        return []
    if type(value) is not list or len(value) > _MAX_ITEMS:
        raise ValueError(f"a list of at most {_MAX_ITEMS} is expected")
    return value
