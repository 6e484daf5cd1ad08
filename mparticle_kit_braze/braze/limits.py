"""The client-side limit on requests: a token bucket per device and user, as the Web SDK keeps, without its stall.

The bucket regains tokens for the time since the previous request, in whole tokens; the first request of a
user is free. All times are monotonic; only the state that outlives the process is told in wall-clock time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..clock import Clock
from .server_config import RateLimit, ServerConfig

__all__ = ["NO_PREVIOUS_REQUEST_MS", "RequestLimiter"]

NO_PREVIOUS_REQUEST_MS = 7_200_000
"""What the header says when there was no previous request."""


class RequestLimiter:
    """Counts tokens and the time since the last request. Used on the dispatcher's thread only.

    Args:
        clock: Where time comes from.
        saved: What :meth:`saved` gave in an earlier process, if anything.
    """

    def __init__(self, clock: Clock, saved: object = None) -> None:
        self._clock = clock
        self._last: float | None = None
        self._last_data: float | None = None
        self._tokens: int | None = None
        self._data_tokens: int | None = None
        if isinstance(saved, Mapping):
            self._restore(saved)

    def _restore(self, saved: Mapping[Any, Any]) -> None:
        self._last = self._monotonic(saved.get("at"))
        self._last_data = self._monotonic(saved.get("data_at", saved.get("at")))
        if self._last is not None:
            self._tokens = _count(saved.get("tokens"))
            self._data_tokens = _count(saved.get("data_tokens"))

    def _monotonic(self, at: object) -> float | None:
        if not isinstance(at, int | float):
            return None
        # A clock that was set back since counts as no time at all.
        return self._clock.monotonic() - max(0.0, self._clock.time() - at)

    def saved(self) -> dict[str, Any]:
        """The state to keep over restarts."""
        return {
            "at": self._wall(self._last, self._clock.time()),
            "data_at": self._wall(self._last_data, None),
            "tokens": self._tokens,
            "data_tokens": self._data_tokens,
        }

    def _wall(self, monotonic: float | None, never: float | None) -> float | None:
        return never if monotonic is None else self._clock.time() - (self._clock.monotonic() - monotonic)

    def ms_since_last_request(self) -> int:
        """Milliseconds since the previous data request; 7200000 when there was none."""
        if self._last_data is None:
            return NO_PREVIOUS_REQUEST_MS
        return max(0, int((self._clock.monotonic() - self._last_data) * 1000))

    def wait(self, config: ServerConfig) -> float:
        """Seconds until a request may leave."""
        return max(
            self._wait(config.limit, self._tokens, self._last),
            self._wait(config.data_limit, self._data_tokens, self._last_data),
        )

    def take(self, config: ServerConfig, *, data: bool = True) -> int | None:
        """Count one request, for ``data`` or another path of the endpoint.

        Returns:
            The tokens left for the header; ``None`` on a first request or without limit.
        """
        remaining = self._tokens if config.limit is None else self._taken(config.limit, self._tokens, self._last)
        told = None if config.limit is None or self._tokens is None else remaining
        self._tokens = remaining
        if data and config.data_limit is not None:
            self._data_tokens = self._taken(config.data_limit, self._data_tokens, self._last_data)
        self._last = self._clock.monotonic()
        if data:
            self._last_data = self._last
        return told

    def _taken(self, limit: RateLimit, tokens: int | None, last: float | None) -> int:
        if tokens is None:
            return limit.capacity
        return max(0, self._available(limit, tokens, last) - 1)

    def _available(self, limit: RateLimit, tokens: int, last: float | None) -> int:
        gained = int(self._since(last) / limit.refill_rate)
        return min(limit.capacity, tokens + gained)

    def _wait(self, limit: RateLimit | None, tokens: int | None, last: float | None) -> float:
        if limit is None or tokens is None or self._available(limit, tokens, last) > 0:
            return 0.0
        return max(0.0, limit.refill_rate - self._since(last))

    def _since(self, last: float | None) -> float:
        return 0.0 if last is None else max(0.0, self._clock.monotonic() - last)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
