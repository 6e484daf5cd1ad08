"""Banners as values. Pure: parsing and expiry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .fields import boolean, identifier, number, objects, text
from .properties import TypedProperties, parse_properties

__all__ = ["Banner", "parse_banners", "placements"]


@dataclass(frozen=True, slots=True)
class Banner(TypedProperties):
    """What a placement shows.

    Attributes:
        id: For analytics.
        placement_id: The placement it was asked for.
        html: What to show; empty for a control.
        is_control: Whether it belongs to a control group: show nothing, but log the impression.
        expires_at: Seconds since the epoch; ``None`` for never.
        stable_key: Without one it cannot be dismissed.
        is_test: Whether it is a test send.
    """

    id: str
    placement_id: str
    html: str = ""
    is_control: bool = False
    expires_at: float | None = None
    stable_key: str | None = None
    is_test: bool = False

    def is_expired(self, now: float) -> bool:
        """Whether it must not be shown any more at ``now``, seconds since the epoch."""
        return self.expires_at is not None and self.expires_at <= now


def parse_banners(raw: object) -> Mapping[str, Banner] | None:
    """The banners of an answer's ``banners`` list, by placement; malformed ones are skipped. ``None`` if no list."""
    if not isinstance(raw, list):
        return None
    found = (banner for entry in objects({"": raw}, "") if (banner := _banner(entry.get("banner"))) is not None)
    return {banner.placement_id: banner for banner in found}


def _banner(raw: object) -> Banner | None:
    if not isinstance(raw, dict):
        return None
    banner_id, placement_id = identifier(raw, "id"), identifier(raw, "placement_id")
    if banner_id is None or placement_id is None:
        return None
    expires_at = number(raw, "expires_at")
    return Banner(
        properties=parse_properties(raw.get("properties")),
        id=banner_id,
        placement_id=placement_id,
        html=text(raw, "html") or "",
        is_control=boolean(raw, "is_control"),
        expires_at=None if expires_at is None or expires_at < 0 else expires_at,
        stable_key=text(raw, "stable_key") or None,
        is_test=boolean(raw, "is_test_send"),
    )


def placements(ids: Iterable[str], max_placements: int | None) -> Sequence[Mapping[str, Any]]:
    """The ``placements`` member of a request: at most so many, the rest cut, duplicates kept (as the Web SDK)."""
    return [{"id": placement_id} for placement_id in list(ids)[:max_placements]]
