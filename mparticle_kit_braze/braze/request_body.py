"""Stored records to the ``events`` and ``attributes`` of a request body."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..delivery.destination import Record
from .encoding import compact, to_bytes
from .points import attribute_points, event_points
from .sessions import ANONYMOUS_EVENT

__all__ = ["ATTRIBUTES", "Contents", "contents", "json_object", "leading_of_one_user"]

ATTRIBUTES = "a"
"""The kind of record that holds an attribute object."""
_USER_KEY = b',"user_id":'


class Contents(NamedTuple):
    """What a request carries.

    Attributes:
        events: Event objects, in order, as they were stored.
        attributes: One merged object a user, in order of first appearance.
        merged_away: Data points saved by merging.
        damaged: Attribute records that could not be read and are not in it.
    """

    events: list[bytes]
    attributes: list[dict[str, Any]]
    merged_away: int
    damaged: int

    def points(self) -> Counter[str]:
        """Data points by kind."""
        points = event_points(self.events)
        attributes = sum(map(attribute_points, self.attributes))
        if attributes:
            points["attributes"] += attributes
        return points

    def json_parts(self) -> list[bytes]:
        """The members ``events`` and ``attributes`` of the body, to be joined by commas; an empty one is left out."""
        # Member by member: a batch is copied once, into the body, and not on the way there too.
        parts = list(self.events)
        if parts:
            parts[0] = b'"events":[' + parts[0]
            parts[-1] += b"]"
        if self.attributes:
            parts.append(b'"attributes":%b' % to_bytes(compact(self.attributes)))
        return parts


def contents(records: Sequence[Record], *, adopter: str | None, alias: dict[str, str] | None) -> Contents:
    """Sort records into events and merged attributes.

    Args:
        records: Stored records.
        adopter: Who takes the anonymous user's attributes, if anyone.
        alias: The mark on the anonymous user's events, if any.
    """
    mark = None if alias is None else b',"alias":%b}' % to_bytes(compact(alias))
    events: list[bytes] = []
    merged: dict[str | None, dict[str, Any]] = {}
    points = damaged = 0
    for _, kind, payload in records:
        if kind != ATTRIBUTES:
            events.append(payload if mark is None or kind != ANONYMOUS_EVENT else payload[:-1] + mark)
            continue
        patch = _attributes(payload)
        if patch is None:
            damaged += 1
            continue
        points += attribute_points(patch)
        _merge(merged, patch, adopter)
    objects = list(merged.values())
    return Contents(events, objects, points - sum(map(attribute_points, objects)), damaged)


def _merge(merged: dict[str | None, dict[str, Any]], patch: dict[str, Any], adopter: str | None) -> None:
    """Later values replace earlier ones key by key, at the top and inside ``custom``; deeper ones whole."""
    user_id = patch.get("user_id", adopter)
    target = merged.get(user_id)
    if target is None:
        target = merged[user_id] = {} if user_id is None else {"user_id": user_id}
    custom = patch.pop("custom", None)
    target.update(patch)
    if custom:
        target.setdefault("custom", {}).update(custom)


def _attributes(payload: bytes) -> dict[str, Any] | None:
    try:
        patch = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return patch if isinstance(patch, dict) else None


def json_object(members: list[bytes]) -> bytes:
    """The JSON object with these members, at least one; the list is used up. Its text is copied once."""
    members[0] = b"{" + members[0]
    members[-1] += b"}"
    return b",".join(members)


def leading_of_one_user(records: Sequence[Record], adopter: str | None) -> tuple[str | None, int]:
    """The user of the first record, and how many leading records are that user's."""
    user_id = _user_of(records[0], adopter)
    used = 1
    while used < len(records) and _user_of(records[used], adopter) == user_id:
        used += 1
    return user_id, used


def _user_of(record: Record, adopter: str | None) -> str | None:
    if record.kind == ANONYMOUS_EVENT:
        return None
    if record.kind == ATTRIBUTES:
        user_id = (_attributes(record.payload) or {}).get("user_id", adopter)
    else:
        # The last member of a stored event; a quote inside a text is always escaped.
        user_id = _text(record.payload[record.payload.rfind(_USER_KEY) + len(_USER_KEY) : -1])
    return user_id if isinstance(user_id, str) else None


def _text(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return None
