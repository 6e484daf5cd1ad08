"""What the server's configuration says about messaging."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..server_config import RateLimit
from .fields import boolean, number

__all__ = ["MessagingConfig"]


@dataclass(frozen=True, slots=True)
class MessagingConfig:
    """Which features are on, and how often they may be asked for. Without a configuration all are off.

    Attributes:
        content_cards, feature_flags, banners: Whether the feature is on.
        card_limit: The limit on requests for cards; ``None`` for no own one.
        flag_interval: The fewest seconds between requests for flags.
        max_placements: The most banner placements in one request; ``None`` for any number.
        limits: Further limits by path.
    """

    content_cards: bool = False
    card_limit: RateLimit | None = None
    feature_flags: bool = False
    flag_interval: float = 0
    banners: bool = False
    max_placements: int | None = None
    limits: Mapping[str, RateLimit] = field(default_factory=dict)

    def limit_of(self, path: str) -> RateLimit | None:
        """The further limit of a path; ``None`` if it has none."""
        return self.limits.get(path)

    @classmethod
    def parse(cls, raw: object) -> MessagingConfig:
        """Read a configuration as received; what is missing or malformed counts as off."""
        cards, flags, banners = _part(raw, "content_cards"), _part(raw, "feature_flags"), _part(raw, "banners")
        interval = number(flags, "refresh_rate_limit")
        placements = number(banners, "max_placements")
        return cls(
            content_cards=boolean(cards, "enabled"),
            card_limit=_limit(_part(cards, "rate_limit")),
            # As the Web SDK: no flags without a numeric limit.
            feature_flags=boolean(flags, "enabled") and interval is not None,
            flag_interval=max(0, interval or 0),
            banners=boolean(banners, "enabled"),
            max_placements=None if placements is None else max(0, int(placements)),
            limits=_overrides(_part(raw, "global_request_rate_limit")),
        )


def _part(raw: object, key: str) -> Mapping[str, Any]:
    part = raw.get(key) if isinstance(raw, Mapping) else None
    return part if isinstance(part, Mapping) else {}


def _limit(raw: Mapping[str, Any]) -> RateLimit | None:
    capacity, refill_rate = number(raw, "capacity"), number(raw, "refill_rate")
    if capacity is None or capacity < 1 or refill_rate is None or refill_rate <= 0:
        return None
    return RateLimit(int(capacity), refill_rate)


def _overrides(limits: Mapping[str, Any]) -> Mapping[str, RateLimit]:
    if not boolean(limits, "enabled"):
        return {}
    overrides = _part(limits, "endpoint_overrides")
    return {path: limit for path in overrides if (limit := _limit(_part(overrides, path))) is not None}
