"""The client's side of Braze's rate limit: one bucket for all that share an endpoint's limit, kept by the headers."""

from __future__ import annotations

from ..locks import ForkSafeLock
from .responses import RateHeaders

__all__ = ["TokenBucket"]


class TokenBucket:
    """How many requests may go before the window ends. Thread-safe; shared by destinations with a common limit.

    It starts from the documented limit and then believes the headers of each answer. Times are of the monotonic clock.

    Args:
        capacity: Requests in a window (``/users/track``: 3,000).
        window: Seconds of a window (``/users/track``: 3).
    """

    def __init__(self, capacity: int, window: float) -> None:
        self._capacity = capacity
        self._window = window
        self._lock = ForkSafeLock()
        self._tokens = capacity
        self._window_end: float | None = None

    def wait(self, now: float) -> float:
        """Seconds until a request may go; 0 if at once."""
        with self._lock.held:
            if self._window_end is not None and now >= self._window_end:
                self._tokens, self._window_end = self._capacity, None
            return 0.0 if self._tokens > 0 or self._window_end is None else self._window_end - now

    def take(self, now: float, cost: int = 1) -> None:
        """Count one request, as so many where its own limit is lower than the shared one."""
        with self._lock.held:
            if self._window_end is None or now >= self._window_end:
                self._tokens, self._window_end = self._capacity, now + self._window
            self._tokens -= cost

    def learn(self, rate: RateHeaders, now: float) -> None:
        """Believe the headers of an answer."""
        with self._lock.held:
            if rate.limit:
                self._capacity = rate.limit
            if rate.remaining is not None and rate.reset_in is not None:
                self._tokens = rate.remaining
                self._window_end = now + rate.reset_in
