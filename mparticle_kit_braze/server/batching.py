"""How many objects go into one request: the batch rule, the body size, and an order that fills requests well.

Two batch rules are in force, by contract: 75 objects in all three arrays together, or 75 in each.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .validation import IDENTIFIERS, ArrayName
from .values import compact_json

__all__ = ["ARRAYS", "BatchLimits", "arrange", "leading", "user_key"]

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


_ENVELOPE = len(b'{"attributes":[],"events":[],"purchases":[]}')


def leading(sizes: Iterable[tuple[ArrayName, int]], limits: BatchLimits) -> int:
    """How many leading objects fit one request; at least one, even when that alone is too large.

    Args:
        sizes: Array and encoded size of each object, in order.
        limits: The limits.
    """
    counts: Counter[str] = Counter()
    body = _ENVELOPE
    taken = 0
    for array, size in sizes:
        full = taken if limits.rule == "combined" else counts[array]
        body += size + 1
        if full >= limits.objects or (body > limits.body_bytes and taken):
            break
        counts[array] += 1
        taken += 1
    return taken


def arrange(
    objects: Mapping[ArrayName, Sequence[Mapping[str, Any]]], limits: BatchLimits
) -> list[tuple[ArrayName, Mapping[str, Any]]]:
    """Put the objects of one call into the order in which they fill requests best.

    Under ``per_array`` an object whose array is full waits for the next request, and with it every later object of
    the same user: each user's objects keep their order. Under ``combined`` nothing is gained by reordering.
    """
    queue = [(array, item) for array in ARRAYS for item in objects.get(array, ())]
    if limits.rule == "combined" or len(queue) <= limits.objects:
        return queue
    arranged: list[tuple[ArrayName, Mapping[str, Any]]] = []
    pending = deque(queue)
    left = Counter(array for array, _ in queue)
    while pending:
        pending = _take_request(pending, left, limits.objects, arranged)
    return arranged


def _take_request(
    pending: deque[tuple[ArrayName, Mapping[str, Any]]],
    left: Counter[ArrayName],
    room: int,
    arranged: list[tuple[ArrayName, Mapping[str, Any]]],
) -> deque[tuple[ArrayName, Mapping[str, Any]]]:
    """Move what fits the next request to ``arranged``; return what stays, in order."""
    counts: Counter[ArrayName] = Counter()
    open_arrays = sum(1 for array in ARRAYS if left[array])
    waiting: set[Hashable] = set()
    stay: deque[tuple[ArrayName, Mapping[str, Any]]] = deque()
    while pending and open_arrays:
        array, item = pending.popleft()
        user = user_key(item)
        if counts[array] >= room or user in waiting:
            waiting.add(user)
            stay.append((array, item))
            continue
        counts[array] += 1
        left[array] -= 1
        if counts[array] == room or not left[array]:
            open_arrays -= 1
        arranged.append((array, item))
    stay.extend(pending)
    return stay


def user_key(item: Mapping[str, Any]) -> Hashable:
    """What tells the users of objects apart."""
    for key in (*IDENTIFIERS, "email", "phone"):
        value = item.get(key)
        if value is not None:
            return (key, value if isinstance(value, str) else compact_json(value))
    return None
