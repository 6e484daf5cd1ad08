"""The log that the page follows: numbered entries, bounded, read by any number of consumers at their own pace.

A consumer has no queue of its own: it remembers a number and asks for what came after. One that is too slow misses
what the log has dropped meanwhile, and is told how much that was.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections import deque
from collections.abc import Iterable
from itertools import islice

from ..values import JsonObject

__all__ = ["Stream"]

BATCH = 500


class Stream:
    """A bounded log of entries, each a JSON object with its number as ``id``.

    Args:
        keep: How many entries are kept; the oldest go first.

    Attributes:
        epoch: Tells this log from one of another run, or from before :meth:`clear`.
    """

    def __init__(self, keep: int = 50_000) -> None:
        self._changed = threading.Condition(threading.RLock())
        self._keep = keep
        self._entries: deque[JsonObject] = deque(maxlen=keep)
        self._next = 1
        self.epoch: str = new_epoch()

    def add(self, entries: Iterable[JsonObject]) -> None:
        """Append entries and wake the consumers."""
        with self._changed:
            for entry in entries:
                entry["id"] = self._next
                self._next += 1
                self._entries.append(entry)
            self._changed.notify_all()

    def update(self, changes: Iterable[tuple[JsonObject, JsonObject]]) -> None:
        """Change entries for those who read them later, and tell those who have read them, in one entry."""
        with self._changed:
            told = []
            for entry, changed in changes:
                entry.update(changed)
                told.append([entry["id"], changed])
            if told:
                self.add([{"t": "update", "changes": told}])

    def clear(self) -> None:
        """Drop everything; consumers begin anew."""
        with self._changed:
            self._entries.clear()
            self._next = 1
            self.epoch = new_epoch()
            self._changed.notify_all()

    def wake(self) -> None:
        """Have every consumer look up."""
        with self._changed:
            self._changed.notify_all()

    def place(self, last_event_id: str) -> tuple[str, int]:
        """Where a consumer goes on that has seen ``last_event_id``: an epoch and the next number."""
        epoch, _, number = last_event_id.partition("-")
        with self._changed:
            if epoch == self.epoch and number.isascii() and number.isdigit() and int(number) < self._next:
                return epoch, int(number) + 1
            return "", 1

    def read(self, epoch: str, number: int, timeout: float, ended: threading.Event) -> tuple[str, int, bytes]:
        """The next event for a consumer.

        Args:
            epoch: The log it read from; another one than the present makes it begin anew.
            number: The first entry it has not seen.
            timeout: Seconds to wait for one.
            ended: Set, and :meth:`wake` called, when the consumer shall not wait any longer.

        Returns:
            The epoch, the number to go on from, and an event of a stream of server-sent events; a comment when
            nothing came.
        """
        with self._changed:
            if epoch == self.epoch:
                self._changed.wait_for(
                    lambda: ended.is_set() or self._next > number or self.epoch != epoch, timeout=timeout
                )
            if epoch != self.epoch:
                return self.epoch, 1, _event(self.epoch, 0, "begin", {"epoch": self.epoch})
            first = self._next - len(self._entries)
            if number < first:
                return epoch, first, _event(epoch, first - 1, "missed", {"count": first - number})
            if number == self._next:
                return epoch, number, b": still here\n\n"
            batch = self.entries(number)
            number += len(batch)
            return epoch, number, _event(epoch, number - 1, "entries", batch)

    def entries(self, number: int, limit: int = BATCH) -> list[JsonObject]:
        """At most ``limit`` entries from a number on."""
        with self._changed:
            first = self._next - len(self._entries)
            start = max(number, first) - first
            return list(islice(self._entries, start, start + limit))

    def lines(self) -> bytes:
        """Everything kept, as JSON lines. Updates have gone into what they update."""
        with self._changed:
            kept = [entry for entry in self._entries if entry["t"] != "update"]
            return b"".join(_json(entry) + b"\n" for entry in kept)


def new_epoch() -> str:
    """A name without the separator."""
    return uuid.uuid4().hex[:12]


def _json(value: object) -> bytes:
    # Escaped: a lone surrogate in a value must not make a line that is no UTF-8.
    return json.dumps(value, separators=(",", ":")).encode()


def _event(epoch: str, number: int, kind: str, data: object) -> bytes:
    return b"id: %s-%d\nevent: %s\ndata: %s\n\n" % (epoch.encode(), number, kind.encode(), _json(data))
