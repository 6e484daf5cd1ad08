"""The client-side limit on requests: a token bucket per device and user, as the Web SDK keeps, without its stall.

One bucket is shared by all paths of the endpoint, and the first request of a user is free; a path may have a further
one of its own. A bucket regains tokens for the time since the previous request, in whole tokens. All times are
monotonic; only the state that outlives the process is told in wall-clock time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..clock import Clock
from .server_config import RateLimit, ServerConfig

__all__ = ["DATA", "NO_PREVIOUS_REQUEST_MS", "RequestLimiter"]

DATA = "data"
"""The path of requests with data, as limits name it."""

NO_PREVIOUS_REQUEST_MS = 7_200_000
"""What the header says when there was no previous request."""

SHARED = ""
"""In place of a path: the bucket of all of them."""


class Bucket:
    """Tokens, and when the last one was taken.

    Attributes:
        last: Monotonic seconds of the last request; ``None`` for never.
        tokens: What was left after it; ``None`` while no limit was in force.
    """

    __slots__ = ("last", "tokens")

    def __init__(self, last: float | None = None, tokens: int | None = None) -> None:
        self.last = last
        self.tokens = tokens

    def available(self, limit: RateLimit, now: float) -> int:
        """The tokens there are now."""
        if self.tokens is None or self.last is None:
            return limit.capacity
        return min(limit.capacity, self.tokens + int((now - self.last) / limit.refill_rate))

    def wait(self, limit: RateLimit | None, now: float) -> float:
        """Seconds until there is a token."""
        if limit is None or self.tokens is None or self.last is None or self.available(limit, now) > 0:
            return 0.0
        return max(0.0, limit.refill_rate - (now - self.last))

    def take(self, limit: RateLimit | None, now: float, *, cost: int = 1) -> None:
        """Take a token for a request, if there is a limit."""
        if limit is not None:
            self.tokens = max(0, self.available(limit, now) - cost)
        self.last = now


class RequestLimiter:
    """Counts tokens and the time since the last request. Used on the dispatcher's thread only.

    Paths are named as limits name them: ``data``, ``content_cards/sync``, ...

    Args:
        clock: Where time comes from.
        saved: What :meth:`saved` gave in an earlier process, if anything.
    """

    def __init__(self, clock: Clock, saved: object = None) -> None:
        self._clock = clock
        self._buckets: dict[str, Bucket] = {}
        if isinstance(saved, Mapping):
            for path, bucket in saved.items():
                self._buckets[str(path)] = self._restored(bucket)

    def _restored(self, saved: object) -> Bucket:
        at, tokens = (saved.get("at"), saved.get("tokens")) if isinstance(saved, Mapping) else (None, None)
        if not isinstance(at, int | float):
            return Bucket()
        # A clock that was set back since counts as no time at all.
        last = self._clock.monotonic() - max(0.0, self._clock.time() - at)
        return Bucket(last, tokens if type(tokens) is int and tokens >= 0 else None)

    def saved(self) -> dict[str, Any]:
        """The state to keep over restarts."""
        offset = self._clock.time() - self._clock.monotonic()
        return {
            path: {"at": bucket.last + offset, "tokens": bucket.tokens}
            for path, bucket in self._buckets.items()
            if bucket.last is not None
        }

    def ms_since_last_request(self, path: str = DATA) -> int:
        """Milliseconds since the previous request to a path; 7200000 when there was none."""
        last = self._bucket(path).last
        return NO_PREVIOUS_REQUEST_MS if last is None else max(0, int((self._clock.monotonic() - last) * 1000))

    def wait(self, config: ServerConfig, path: str = DATA) -> float:
        """Seconds until a request to a path may leave."""
        now = self._clock.monotonic()
        shared = self._bucket(SHARED).wait(config.limit, now)
        return max(shared, self._bucket(path).wait(config.limits.get(path), now))

    def admits(self, config: ServerConfig, path: str) -> bool:
        """Whether the path's own limit, if it has one, lets a request out now."""
        return self._bucket(path).wait(config.limits.get(path), self._clock.monotonic()) <= 0

    def take(self, config: ServerConfig, path: str = DATA) -> int | None:
        """Count one request to a path.

        Returns:
            The tokens left for the header; ``None`` on a first request or without limit.
        """
        now = self._clock.monotonic()
        self._bucket(path).take(config.limits.get(path), now)
        shared = self._bucket(SHARED)
        first = shared.last is None
        shared.take(config.limit, now, cost=0 if first else 1)
        return None if first or config.limit is None else shared.tokens

    def _bucket(self, path: str) -> Bucket:
        return self._buckets.setdefault(path, Bucket())
