"""Event attributes copied to the user: the maps ``eaa`` (add to a list), ``ear`` (remove from it), ``eas`` (set)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..kits.configuration import KitConfiguration
from ..kits.hashing import hash_utf8, mp_hash
from .profiles.base import Profile
from .values import UnsupportedValueError

if TYPE_CHECKING:  # the adapter is loaded when a client starts
    from ..braze import Braze

__all__ = ["EventRules"]


class EventRules:
    """The three maps of one kit configuration, applied in the profile's order.

    Source: Android and Apple kits. The key of a map is the hash of the event's type number, name and attribute key.
    """

    def __init__(self, configuration: KitConfiguration, profile: Profile) -> None:
        maps = {
            "add": configuration.event_attribute_add,
            "remove": configuration.event_attribute_remove,
            "set": configuration.event_attribute_set,
        }
        self._profile = profile
        self._maps = [(rule, maps[rule]) for rule in profile.rule_order if maps[rule]]
        self._hash = hash_utf8 if profile.utf8_hash else mp_hash

    def __bool__(self) -> bool:
        return bool(self._maps)

    def apply(self, braze: Braze, event_type: int, name: str, attributes: Mapping[str, Any]) -> None:
        """Change user attributes as the maps say.

        Args:
            braze: Where the current user is.
            event_type: The number of the event's type (screens 0, commerce items 4).
            name: The event's name.
            attributes: Its attributes as the profile matches them.
        """
        for key, value in attributes.items():
            key_hash = self._hash(f"{event_type}{name}{key}")
            for rule, targets in self._maps:
                target = targets.get(key_hash)
                if target is not None:
                    self._act(braze, rule, target, value)

    def _act(self, braze: Braze, rule: str, target: str, value: Any) -> None:
        if rule == "set":
            self._profile.set_from_event(braze, target, value)
            return
        try:
            text = self._profile.text(value)
        except UnsupportedValueError:
            return  # reported when the event itself was mapped
        if rule == "add":
            braze.current_user.add_to_custom_attribute_array(target, text)
        else:
            braze.current_user.remove_from_custom_attribute_array(target, text)
