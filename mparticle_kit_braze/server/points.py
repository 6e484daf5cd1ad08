"""The data point meter: what an object for ``/users/track`` costs under Braze's measure of old contracts.

Contracts made after spring 2025 use other measures; there the numbers only show how much is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .ecommerce import broken_rule, is_recommended
from .validation import CONTROL_KEYS, IDENTIFIERS, ArrayName

__all__ = ["WHOLE_FIELDS", "data_points"]

_FREE = CONTROL_KEYS | {"email_subscribe", "push_subscribe"}
WHOLE_FIELDS = frozenset({"current_location", "facebook", "twitter"})
"""Standard fields that are objects but count once."""


def data_points(array: ArrayName, item: Mapping[str, Any], *, segmented_properties: Iterable[str] = ()) -> int:
    """How many data points one object costs.

    An increment counts 1 and a purchase counts 1 whatever its quantity; the public texts leave both open.

    Args:
        array: The array it is for.
        item: The object, as sent.
        segmented_properties: Property names that are enabled for "X in Y days" segmentation; 1 each.
    """
    if array == "attributes":
        looked_up = not any(item.get(key) is not None for key in IDENTIFIERS)
        return sum(
            _attribute_points(key, value)
            for key, value in item.items()
            if key not in _FREE and not (looked_up and key in ("email", "phone"))
        )
    properties = item.get("properties") or {}
    if array == "events" and is_recommended(item.get("name")):
        return 0 if broken_rule(item["name"], properties) is None else 1
    return 1 + (sum(1 for name in segmented_properties if name in properties) if segmented_properties else 0)


def _attribute_points(key: str, value: Any) -> int:
    if not isinstance(value, Mapping) or key in WHOLE_FIELDS:
        return 1  # a scalar, a null, or an array set as a whole
    if set(value) <= {"add", "remove"} and value:
        return sum(len(items) if isinstance(items, list) else 1 for items in value.values())
    if set(value) == {"inc"}:
        return 1
    return _leaves(value)


def _leaves(value: Any) -> int:
    """Keys with a value of their own in an object, at any depth; an operator's objects count by their keys."""
    count = 0
    pending: list[Any] = [value]
    while pending:
        current = pending.pop()
        for key, item in current.items():
            if isinstance(item, Mapping) and item and "$time" not in item:
                pending.append(item)
            elif key.startswith("$") and isinstance(item, list):
                pending.extend(member for member in item if isinstance(member, Mapping))
            else:
                count += 1
    return max(count, 1)
