"""The profiles an enriched connection sends along: what was set for each user before, kept over restarts."""

from __future__ import annotations

from typing import Any

from ..identity import IdentityType
from ..storage import KeyValues
from .mapping import StoredProfile
from .values import JsonObject, UnsupportedValueError, list_of, scalar

__all__ = ["ProfileStore"]


class ProfileStore:
    """Profiles by external id.

    Args:
        values: Where they are kept.
    """

    def __init__(self, values: KeyValues) -> None:
        self._values = values

    def load(self, external_id: str | None) -> StoredProfile:
        """The profile of a user; an empty one if nothing is known."""
        stored: Any = self._values.get(f"profile.{external_id}") if external_id is not None else None
        if not isinstance(stored, dict):
            return StoredProfile()
        identities = {IdentityType(name): value for name, value in stored.get("identities", {}).items()}
        return StoredProfile(dict(stored.get("attributes", {})), identities)

    def save(self, external_id: str, profile: StoredProfile) -> None:
        """Remember a profile. Values that cannot be sent are not remembered either."""
        key = f"profile.{external_id}"
        value: JsonObject = {
            "attributes": {name: plain for name, value in profile.attributes.items() for plain in _plain(value)},
            "identities": {kind.value: identity for kind, identity in profile.identities.items()},
        }
        if self._values.get(key) != value:
            self._values.set(key, value)


def _plain(value: Any) -> tuple[Any, ...]:
    """The value as JSON, in a tuple that is empty if it has no such form; a tag is ``None``."""
    if value is None:
        return (None,)
    members = list_of(value)
    try:
        return ([scalar(member) for member in members],) if members is not None else (scalar(value),)
    except UnsupportedValueError:
        return ()
