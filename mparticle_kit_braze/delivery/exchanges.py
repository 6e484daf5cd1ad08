"""Requests that carry no records: one shot each, on the dispatcher's thread, connection and rate limit.

They take no part in the queue: no lease, no back-off, no retry. Whoever asks for one decides what its failure means.
"""

from __future__ import annotations

import logging
from collections import deque

from ..clock import Clock
from ..diagnostics import Reporter
from .destination import Destination, Exchange
from .transport import Transport

__all__ = ["Exchanges"]


class Exchanges:
    """Those that wait to be made, oldest first.

    Args:
        destination: Says when the rate limit lets a request out.
        transport: How they are sent.
        reporter: Told when an exchange raises.
        clock: Where time comes from.
    """

    def __init__(self, destination: Destination, transport: Transport, reporter: Reporter, clock: Clock) -> None:
        self._destination = destination
        self._transport = transport
        self._reporter = reporter
        self._clock = clock
        self._waiting: deque[Exchange] = deque()

    def add(self, exchange: Exchange) -> None:
        """Have it made. Any thread."""
        self._waiting.append(exchange)

    def clear(self) -> None:
        """Make none of them."""
        self._waiting = deque()

    def run(self) -> float | None:
        """Make the oldest, if it may go. The dispatcher's thread.

        Returns:
            Seconds until there is more to do here: 0 after one was made, ``None`` if none waits.
        """
        if not self._waiting:
            return None
        wait = self._destination.wait_before_request(self._clock.monotonic())
        if wait <= 0:
            self._make(self._waiting.popleft())
        return max(0.0, wait)

    def _make(self, exchange: Exchange) -> None:
        try:
            request = exchange.build(now=self._clock.time())
            if request is not None:
                exchange.interpret(request, self._transport.send(request))
        except Exception as error:  # noqa: BLE001  (a fault in one must not end delivery)
            self._reporter.report(
                "destination_failed",
                f"An exchange raised {type(error).__name__}",
                key="exchange",
                level=logging.ERROR,
                exception=error,
            )
