"""The configuration Braze sends back: block lists, session times, limits, back-off. Parsed leniently, held whole."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from ..delivery.destination import Backoff

__all__ = ["RateLimit", "ServerConfig", "is_newer", "rate_limit"]

MIN_CAPACITY = 10
MAX_NUMBER = 2**53
"""Beyond this no version, time or limit is meant; one taken as a version would keep every later one out."""


class RateLimit(NamedTuple):
    """A token bucket's settings: how many tokens it holds, and in how many seconds it regains one."""

    capacity: int = 30
    refill_rate: float = 30.0


class ServerConfig(NamedTuple):
    """What is in force. Without a configuration from the server: nothing blocked, 30 requests, one more every 30 s.

    Attributes:
        time: Its version, seconds since the epoch; 0 for none.
        blocked_events: Names of events (eCommerce events too) not to be logged; exact, case-sensitive.
        blocked_attributes: Keys of custom attributes not to be touched; standard fields are never blocked.
        blocked_purchases: Product ids not to be logged.
        messaging_session_timeout: Seconds of inactivity after which in-app messages are asked for again.
        minimum_session_timeout: Lower bound of the session time-out, seconds.
        limit: The limit over all requests; ``None`` when it is off.
        limits: Further limits by path (``data``, ``content_cards/sync``, ...).
        backoff: Waiting times after failures.
    """

    time: float = 0
    blocked_events: frozenset[str] = frozenset()
    blocked_attributes: frozenset[str] = frozenset()
    blocked_purchases: frozenset[str] = frozenset()
    messaging_session_timeout: float | None = None
    minimum_session_timeout: float | None = None
    limit: RateLimit | None = RateLimit()
    limits: Mapping[str, RateLimit] = MappingProxyType({})
    backoff: Backoff = Backoff()

    @classmethod
    def parse(cls, raw: object) -> ServerConfig:
        """Read a configuration as received; what is missing or malformed takes its default."""
        if not isinstance(raw, Mapping):
            return cls()
        limits = _mapping(raw.get("global_request_rate_limit"))
        limit = _global_limit(limits) if "global_request_rate_limit" in raw else RateLimit()
        return cls(
            time=_number(raw.get("time")) or 0,
            blocked_events=_block_list(raw, "events"),
            blocked_attributes=_block_list(raw, "attributes"),
            blocked_purchases=_block_list(raw, "purchases"),
            messaging_session_timeout=_positive(raw.get("messaging_session_timeout")),
            minimum_session_timeout=_positive(raw.get("minimum_session_timeout")),
            limit=limit,
            limits={} if limit is None else _overrides(limits.get("endpoint_overrides")),
            backoff=_backoff(_mapping(raw.get("request_backoff"))),
        )


def is_newer(raw: object, held: ServerConfig) -> bool:
    """Whether a received configuration replaces the one held: only one with a later ``time`` does."""
    time = _number(raw.get("time")) if isinstance(raw, Mapping) else None
    return time is not None and time > held.time


def _block_list(raw: Mapping[Any, Any], kind: str) -> frozenset[str]:
    # The Web SDK reads the first spelling, the Roku SDK the second.
    names: set[str] = set()
    for key in (f"{kind}_blacklist", f"{kind}_blocklist"):
        entries = raw.get(key)
        if isinstance(entries, list):
            names.update(entry for entry in entries if isinstance(entry, str))
    return frozenset(names)


def _global_limit(limits: Mapping[Any, Any]) -> RateLimit | None:
    limit = rate_limit(limits)
    # As the Web SDK: a small or missing capacity turns the limiter off.
    return None if limits.get("enabled") is False or limit is None or limit.capacity < MIN_CAPACITY else limit


def _overrides(raw: object) -> dict[str, RateLimit]:
    overrides = _mapping(raw)
    return {str(path): limit for path in overrides if (limit := rate_limit(overrides[path])) is not None}


def rate_limit(raw: object) -> RateLimit | None:
    """A limit as received; ``None`` if it is none that could be kept."""
    limits = _mapping(raw)
    capacity, refill_rate = _positive(limits.get("capacity")), _positive(limits.get("refill_rate"))
    if capacity is None or capacity < 1 or refill_rate is None:
        return None
    return RateLimit(int(capacity), refill_rate)


def _backoff(raw: Mapping[Any, Any]) -> Backoff:
    default = Backoff()
    minimum = _positive(raw.get("min_sleep_duration_ms"))
    maximum = _positive(raw.get("max_sleep_duration_ms"))
    scale = _positive(raw.get("scale_factor"))
    low = default.minimum if minimum is None else minimum / 1000
    high = default.maximum if maximum is None else maximum / 1000
    # The first wait grows from the default minimum whatever the configuration says, as in the Web SDK.
    return Backoff(low, max(low, high), default.scale if scale is None else max(1.0, scale), default.minimum)


def _mapping(value: object) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MAX_NUMBER:
        return value
    return None


def _positive(value: object) -> float | None:
    number = _number(value)
    return number if number is not None and 1e-6 <= number < 1e12 else None
