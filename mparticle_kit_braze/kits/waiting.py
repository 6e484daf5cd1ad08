"""Calls that wait for the first user: bounded, in order, on disk, handed on as soon as the user is known.

Only a resolver that asks a server makes calls wait, and only before its first answer of all. Source: the Android
core's queue before its first configuration, with room for more than its ten.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from ..commerce import (
    CommerceEvent,
    Impression,
    Product,
    ProductAction,
    Promotion,
    PromotionAction,
    TransactionAttributes,
)
from ..diagnostics import Reporter
from ..errors import MParticleError
from ..locks import ForkSafeLock
from ..storage import KeyValues
from ..users import decode, encode

__all__ = ["WaitingRoom"]

MOST_CALLS = 1000
"""Calls that come to a full room are lost, as on Android; it is reported."""

PREFIX = "call."
"""Keys are ``call.<number>.<mark>``: processes that share the file must not overwrite each other's."""


class WaitingRoom:
    """Keeps calls until the user is known.

    Args:
        values: Where they are kept over restarts.
        reporter: Told when the room is full.

    Attributes:
        waiting: Whether calls must wait.
    """

    def __init__(self, values: KeyValues, reporter: Reporter) -> None:
        self._values = values
        self._reporter = reporter
        self._lock = ForkSafeLock()
        self._keys = deque(sorted(values.items(PREFIX)))
        self._next = 1 + max(map(number_of, self._keys), default=0)
        self._mark = os.urandom(4).hex()
        self._pid = os.getpid()
        self.waiting: bool = False

    def keep(self, call: str, arguments: Sequence[Any]) -> bool:
        """Keep a call if calls must wait; false if they need not."""
        with self._lock.held:
            if not self.waiting:
                return False
            full = len(self._keys) >= MOST_CALLS
            key = f"{PREFIX}{self._next:012}.{self._mark}"
            self._next += 1
        if full:
            self._reporter.report(
                "waiting_full", f"More than {MOST_CALLS} calls wait for the first user; this one is lost", key=call
            )
            return True
        self._values.set(key, {"call": call, "arguments": [to_json(argument) for argument in arguments]})
        with self._lock.held:
            kept = self.waiting
            if kept:
                self._keys.append(key)
        if not kept:  # the user became known meanwhile
            self._values.delete(key)
        return kept

    def __len__(self) -> int:
        return len(self._keys)

    def forked(self) -> bool:
        """Whether this is a forked child that asks for the first time: its calls wait under names of their own."""
        if self._pid == os.getpid():
            return False
        self._pid = os.getpid()
        self._mark = os.urandom(4).hex()
        return True

    def clear(self) -> None:
        """Forget what waits."""
        with self._lock.held:
            self._keys = deque()
        self._values.delete_prefix(PREFIX)

    def close(self) -> None:
        """Close the file; what waits stays in it."""
        self._values.close()

    def release(self, replay: Callable[[str, list[Any]], object]) -> bool:
        """Hand on what waits by now, in order. True if nothing did: then calls need not wait any more."""
        with self._lock.held:
            keys = sorted(self._keys)
            self._keys = deque()
            if not keys:
                self.waiting = False
                return True
        for key in keys:
            call = read_call(self._values.take(key))  # another process may have been quicker
            if call is not None:
                replay(*call)
        return False


def number_of(key: str) -> int:
    """The number in a key; 0 if it has none."""
    number = key[len(PREFIX) :].partition(".")[0]
    return int(number) if number.isascii() and number.isdigit() else 0


def read_call(entry: Any) -> tuple[str, list[Any]] | None:
    """A call and its arguments; ``None`` if it does not read."""
    if not isinstance(entry, dict) or not isinstance(entry.get("call"), str):
        return None
    arguments = entry.get("arguments")
    if not isinstance(arguments, list):
        return None
    try:
        return entry["call"], [from_json(argument) for argument in arguments]
    except (MParticleError, TypeError, ValueError, KeyError, AttributeError):
        return None


# -- arguments as JSON ----------------------------------------------------------------------------------------------


def to_json(argument: Any) -> Any:
    """An argument of a call as JSON that :func:`from_json` turns back."""
    if isinstance(argument, CommerceEvent):
        return {"type": "commerce", "value": encode(parts_of(argument))}
    return encode(argument)


def from_json(stored: Any) -> Any:
    """The argument from its JSON; lists come back as tuples."""
    if isinstance(stored, dict) and stored.get("type") == "commerce":
        return commerce_event(decode(stored["value"]))
    return decode(stored)


def parts_of(value: Any) -> Any:
    """A commerce event and all that is in it as mappings."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: parts_of(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Enum):
        return value.value
    return [parts_of(item) for item in value] if isinstance(value, list | tuple) else value


def commerce_event(parts: Mapping[str, Any]) -> CommerceEvent:
    """The commerce event from its parts."""
    made = dict(parts)
    if made["product_action"] is not None:
        made["product_action"] = ProductAction(made["product_action"])
    if made["promotion_action"] is not None:
        made["promotion_action"] = PromotionAction(made["promotion_action"])
    if made["transaction"] is not None:
        made["transaction"] = TransactionAttributes(**made["transaction"])
    made["products"] = [Product(**product) for product in made["products"]]
    made["promotions"] = [Promotion(**promotion) for promotion in made["promotions"]]
    made["impressions"] = [
        Impression(shown["name"], [Product(**product) for product in shown["products"]])
        for shown in made["impressions"]
    ]
    return CommerceEvent(**made)
