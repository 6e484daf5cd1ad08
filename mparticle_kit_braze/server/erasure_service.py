"""Erasure requests on their way to Braze: an :class:`ErasureForwarder` connected to a REST client and to time."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from typing_extensions import Self

from .erasure import DSRResponse, ErasureForwarder, ErasureStatus
from .rest import BrazeRest

__all__ = ["ErasureService"]


class ErasureService:
    """Takes OpenDSR requests in and has their users deleted, hourly or as soon as 1,000 are queued. A context manager.

    Args:
        forwarder: Queues the requests.
        rest: Deletes the users; its key needs the permission ``users.delete``. Stays open when the service closes.
        timer: Whether a daemon thread looks after the hour while requests wait. Without it :meth:`send_due` must be
            called from time to time.
    """

    def __init__(self, forwarder: ErasureForwarder, rest: BrazeRest, *, timer: bool = True) -> None:
        self._forwarder = forwarder
        self._rest = rest
        self._timer_wanted = timer
        self._timer: threading.Timer | None = None
        rest.on_deleted(self._deleted)
        self.send_due()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def request(self, body: Mapping[str, Any]) -> DSRResponse:
        """Take an OpenDSR request, see :meth:`ErasureForwarder.request`."""
        response = self._forwarder.request(body)
        self.send_due()
        return response

    def cancel(self, request_id: str) -> DSRResponse:
        """Cancel a request, see :meth:`ErasureForwarder.cancel`."""
        return self._forwarder.cancel(request_id)

    def lookup(self, request_id: str) -> DSRResponse:
        """The state of a request, see :meth:`ErasureForwarder.lookup`."""
        return self._forwarder.lookup(request_id)

    @property
    def statuses(self) -> dict[str, ErasureStatus]:
        """What became of each request."""
        return self._forwarder.statuses

    def send_due(self) -> int:
        """Queue the deletions that are due and return how many; look again when those that wait are due."""
        queued = 0
        for upload in self._forwarder.due():
            refused = [external_id for external_id in upload.external_ids if not self._rest.delete([external_id])]
            self._forwarder.settled(refused, sent=False)
            queued += len(upload.external_ids) - len(refused)
        wait = self._forwarder.due_in
        # After a fork the timer is there, but its thread is the parent's.
        if wait is not None and self._timer_wanted and (self._timer is None or not self._timer.is_alive()):
            self._timer = threading.Timer(wait + 1.0, self._hour_is_over)
            self._timer.daemon = True
            self._timer.start()
        return queued

    def close(self) -> None:
        """Stop the timer. What waits stays in the forwarder's storage."""
        timer, self._timer = self._timer, None
        self._timer_wanted = False
        if timer is not None:
            timer.cancel()

    def _hour_is_over(self) -> None:
        self._timer = None
        self.send_due()

    def _deleted(self, external_ids: Sequence[str], accepted: bool | None) -> None:
        self._forwarder.settled(external_ids, sent=accepted is True)
