"""What was last sent for each user, so that unchanged attributes are not sent (and paid for) again."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from ..locks import ForkSafeLock
from .points import WHOLE_FIELDS
from .validation import CONTROL_KEYS
from .values import JsonObject, UnsupportedValueError, compact_json

__all__ = ["DeltaMemory"]


class DeltaMemory:
    """Remembers digests, never values, of the attributes last sent. Thread-safe; bounded, oldest users first.

    It lives as long as the process: after a restart an attribute is sent once more.

    Args:
        users: How many users are remembered.
    """

    def __init__(self, users: int = 20_000) -> None:
        self._users = users
        self._lock = ForkSafeLock()
        self._sent: OrderedDict[str, dict[str, bytes]] = OrderedDict()

    def changed(self, user: str, item: Mapping[str, Any]) -> JsonObject:
        """The object without the attributes whose values are those last sent, remembering the rest.

        Increments, array operations and merges are never left out, and make their attribute forgotten.

        Args:
            user: The external id.
            item: An attributes object.
        """
        kept: JsonObject = {}
        with self._lock.held:
            sent = self._sent.pop(user, {})
            for key, value in item.items():
                if key in CONTROL_KEYS and key != "push_tokens":
                    kept[key] = value
                    continue
                digest = _digest(key, value)
                if digest is None or sent.get(key) != digest:
                    kept[key] = value
                if digest is None:
                    sent.pop(key, None)
                else:
                    sent[key] = digest
            self._sent[user] = sent
            while len(self._sent) > self._users:
                self._sent.popitem(last=False)
        return kept

    def forget(self, user: str | None = None) -> None:
        """Forget a user, or everyone: something that was remembered as sent did not arrive."""
        with self._lock.held:
            if user is None:
                self._sent.clear()
            else:
                self._sent.pop(user, None)


def _digest(key: str, value: Any) -> bytes | None:
    """A digest that tells values and types apart; ``None`` for what changes a value instead of setting it."""
    if isinstance(value, Mapping) and key not in WHOLE_FIELDS:
        return None
    try:
        return hashlib.blake2b(compact_json(value), digest_size=8).digest()
    except UnsupportedValueError:
        return None
