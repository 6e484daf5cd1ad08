"""A token bucket for one kind of request, in wall-clock time so that it can be stored. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..server_config import RateLimit
from .fields import number

__all__ = ["Bucket"]


@dataclass(frozen=True, slots=True)
class Bucket:
    """So many tokens at a time, seconds since the epoch; ``tokens`` ``None`` is a full one."""

    tokens: float | None = None
    at: float = 0

    def taken(self, limit: RateLimit | None, now: float) -> Bucket | None:
        """The bucket after taking one token; ``None`` if there is none to take."""
        if limit is None:
            return self
        if self.tokens is None:
            return Bucket(limit.capacity - 1, now)
        # A clock that was set back since counts as no time at all.
        gained = max(0.0, now - self.at) / limit.refill_rate
        available = min(limit.capacity, self.tokens + gained)
        return Bucket(available - 1, now) if available >= 1 else None

    def to_json(self) -> dict[str, Any]:
        """What is stored."""
        return {"tokens": self.tokens, "at": self.at}

    @classmethod
    def parse(cls, raw: object) -> Bucket:
        """Read what was stored; anything malformed is a full bucket."""
        return cls(number(raw, "tokens"), number(raw, "at") or 0) if isinstance(raw, Mapping) else cls()
