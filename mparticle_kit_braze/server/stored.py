"""The profiles an enriched connection sends along: what was set for each user before, kept over restarts."""

from __future__ import annotations

from typing import Any

from ..identity import IdentityType
from ..locks import ForkSafeLock
from ..storage import KeyValues
from .mapping import ProfileChanges, StoredProfile
from .values import JsonObject, UnsupportedValueError, list_of, scalar

__all__ = ["ProfileStore"]


class ProfileStore:
    """Profiles by external id.

    Args:
        values: Where they are kept.
    """

    def __init__(self, values: KeyValues) -> None:
        self._values = values
        self._lock = ForkSafeLock()

    def load(self, external_id: str | None) -> StoredProfile:
        """The profile of a user; an empty one if nothing is known."""
        stored: Any = self._values.get(f"profile.{external_id}") if external_id is not None else None
        if not isinstance(stored, dict):
            return StoredProfile()
        identities = {IdentityType(name): value for name, value in stored.get("identities", {}).items()}
        return StoredProfile(dict(stored.get("attributes", {})), identities)

    def save(self, changes: ProfileChanges) -> None:
        """Remember changes; the rest stays what other handles of the user made of it.

        Values that cannot be sent are not remembered either.
        """
        changed = {name: plain for name, value in changes.attributes.items() for plain in _plain(value)}
        with self._lock.held:
            profile = self.load(changes.external_id)
            kept = {name: value for name, value in profile.attributes.items() if name not in changes.changed}
            value: JsonObject = {
                "attributes": {**kept, **changed},
                "identities": {kind.value: identity for kind, identity in changes.identities.items()},
            }
            key = f"profile.{changes.external_id}"
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
