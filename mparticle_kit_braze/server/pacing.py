"""Keeps an import from outrunning delivery: what is queued stays well below the bound at which records give way."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..delivery import DeliveryStats
from .rest import BrazeRest

__all__ = ["QueuePace"]

MOST_RECORDS = 20_000
MOST_BYTES = 16 * 1024 * 1024
"""The most records and payload bytes that wait in the queue, however many it may hold: more would gain nothing."""

LOOKS = 16
"""How many looks at the queue it takes to fill it; each is a query."""

POLL = 0.05
"""Seconds between two looks while reading pauses."""

PATIENCE = 1.0
"""Seconds without progress after which a flush finds out whether there is any hope."""


class QueuePace:
    """How far ahead of delivery an import may be.

    Args:
        rest: Whose queue it is.
        tell: Called at each look at the queue.
    """

    def __init__(self, rest: BrazeRest, tell: Callable[[], object]) -> None:
        options = rest.delivery_options
        self._rest = rest
        self._tell = tell
        self._records = min(MOST_RECORDS, options.max_records // 2)
        self._bytes = min(MOST_BYTES, options.max_bytes // 2)
        self._batch = options.max_batch_records
        self._new_records = 0
        self._new_bytes = 0

    def keep(self, records: int, size: int, stall_timeout: float) -> bool:
        """So much was queued: wait, if that is too much by now, until little is left.

        Args:
            records: Records queued since the last call.
            size: Their payload bytes.
            stall_timeout: Seconds without any record being taken after which to give up.

        Returns:
            Whether to go on; false when Braze takes none for too long.
        """
        self._new_records += records
        self._new_bytes += size
        if self._new_records * LOOKS <= self._records and self._new_bytes * LOOKS <= self._bytes:
            return True
        self._new_records = self._new_bytes = 0
        self._tell()
        stats = self._rest.stats()
        if self._holds(stats, 1):
            return True
        moved = time.monotonic()
        while not self._holds(stats, 4):
            if stats.queued < self._batch:  # which waits for more unless somebody asks
                return self.send_all(stall_timeout)
            time.sleep(POLL)
            before, stats = stats, self._rest.stats()
            if stats.queued < before.queued:
                moved = time.monotonic()
            elif time.monotonic() - moved > min(PATIENCE, stall_timeout):
                return self.send_all(stall_timeout)
        return True

    def _holds(self, stats: DeliveryStats, share: int) -> bool:
        return stats.queued * share <= self._records and stats.bytes * share <= self._bytes

    def send_all(self, stall_timeout: float) -> bool:
        """Send what is queued; false when Braze takes none for too long."""
        while True:
            result = self._rest.flush(stall_timeout)
            self._tell()
            if result.complete:
                return True
            if not result.sent and not result.dead:
                return False
