"""How many objects go into one request: the batch rule, the body size, and an order that fills requests well.

Two batch rules are in force, by contract: 75 objects in all three arrays together, or 75 in each.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from .validation import IDENTIFIERS, ArrayName
from .values import compact_json

__all__ = ["ARRAYS", "BatchLimits", "Outgoing", "arrange", "leading", "user_key"]

ARRAYS: tuple[ArrayName, ...] = ("attributes", "events", "purchases")
"""The arrays of a request, in the order in which Braze processes them."""


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """What one request may hold.

    Attributes:
        rule: ``combined``: ``objects`` in all; ``per_array``: ``objects`` in each array.
        objects: Number of objects (75).
        body_bytes: Size of the body (4 MB, taken as 4,000,000 bytes).
    """

    rule: Literal["combined", "per_array"] = "combined"
    objects: int = 75
    body_bytes: int = 4_000_000


class Outgoing(NamedTuple):
    """An object on its way into the queue: the array it is for, the object, and its bytes."""

    array: ArrayName
    item: Mapping[str, Any]
    payload: bytes


_ENVELOPE = len(b'{"attributes":[],"events":[],"purchases":[]}')


def leading(sizes: Iterable[tuple[ArrayName, int]], limits: BatchLimits) -> int:
    """How many leading objects fit one request; at least one, even when that alone is too large.

    Args:
        sizes: Array and encoded size of each object, in order.
        limits: The limits.
    """
    counts = dict.fromkeys(ARRAYS, 0)
    combined = limits.rule == "combined"
    body = _ENVELOPE
    taken = 0
    for array, size in sizes:
        body += size + 1
        if (taken if combined else counts[array]) >= limits.objects or (body > limits.body_bytes and taken):
            break
        counts[array] += 1
        taken += 1
    return taken


def arrange(objects: Sequence[Outgoing], limits: BatchLimits) -> Sequence[Outgoing]:
    """Put the objects of one call into the order in which they fill requests best.

    Under ``per_array`` an object whose array is full waits for the next request, and with it every later object of
    the same user: each user's objects keep their order. Under ``combined`` nothing is gained by reordering.

    Args:
        objects: Attributes first, then events, then purchases.
        limits: The limits.
    """
    if limits.rule == "combined" or len(objects) <= limits.objects:
        return objects
    arranged: list[Outgoing] = []
    pending = deque(objects)
    left = Counter(entry.array for entry in objects)
    while pending:
        pending = _take_request(pending, left, limits.objects, arranged)
    return arranged


def _take_request(
    pending: deque[Outgoing], left: Counter[ArrayName], room: int, arranged: list[Outgoing]
) -> deque[Outgoing]:
    """Move what fits the next request to ``arranged``; return what stays, in order."""
    counts: Counter[ArrayName] = Counter()
    open_arrays = sum(1 for array in ARRAYS if left[array])
    waiting: set[Hashable] = set()
    stay: deque[Outgoing] = deque()
    while pending and open_arrays:
        entry = pending.popleft()
        array, user = entry.array, user_key(entry.item)
        if counts[array] >= room or user in waiting:
            waiting.add(user)
            stay.append(entry)
            continue
        counts[array] += 1
        left[array] -= 1
        if counts[array] == room or not left[array]:
            open_arrays -= 1
        arranged.append(entry)
    stay.extend(pending)
    return stay


def user_key(item: Mapping[str, Any]) -> Hashable:
    """What tells the users of objects apart."""
    for key in (*IDENTIFIERS, "email", "phone"):
        value = item.get(key)
        if value is not None:
            return (key, value if isinstance(value, str) else compact_json(value))
    return None
