"""Feature flags as values. Pure: parsing and typed access."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .fields import boolean, identifier, text
from .properties import TypedProperties, parse_properties

__all__ = ["FeatureFlag", "parse_flags"]


@dataclass(frozen=True, slots=True)
class FeatureFlag(TypedProperties):
    """A feature flag for the current user, as of the last sync.

    Attributes:
        id: The flag's id.
        enabled: Whether it is on.
        tracking: Ties impressions to an experiment; ``None`` when there is none, and then none are logged.
    """

    id: str
    enabled: bool
    tracking: str | None = None


def parse_flags(raw: object) -> Mapping[str, FeatureFlag] | None:
    """The flags of a list as received, by id; malformed ones are skipped. ``None`` if it is no list."""
    if not isinstance(raw, list):
        return None
    flags = {}
    for member in raw:
        if isinstance(member, dict) and (flag_id := identifier(member, "id")) is not None:
            properties = parse_properties(member.get("properties"))
            flags[flag_id] = FeatureFlag(properties, flag_id, boolean(member, "enabled"), text(member, "fts") or None)
    return flags
