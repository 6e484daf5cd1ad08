"""What the server's configuration says about messaging."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..server_config import RateLimit, rate_limit
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
    """

    content_cards: bool = False
    card_limit: RateLimit | None = None
    feature_flags: bool = False
    flag_interval: float = 0
    banners: bool = False
    max_placements: int | None = None

    @classmethod
    def parse(cls, raw: object) -> MessagingConfig:
        """Read a configuration as received; what is missing or malformed counts as off."""
        cards, flags, banners = _part(raw, "content_cards"), _part(raw, "feature_flags"), _part(raw, "banners")
        interval = number(flags, "refresh_rate_limit")
        placements = number(banners, "max_placements")
        return cls(
            content_cards=boolean(cards, "enabled"),
            card_limit=rate_limit(cards.get("rate_limit")),
            # As the Web SDK: no flags without a numeric limit.
            feature_flags=boolean(flags, "enabled") and interval is not None,
            flag_interval=max(0, interval or 0),
            banners=boolean(banners, "enabled"),
            max_placements=None if placements is None else max(0, int(placements)),
        )


def _part(raw: object, key: str) -> Mapping[str, Any]:
    part = raw.get(key) if isinstance(raw, Mapping) else None
    return part if isinstance(part, Mapping) else {}
