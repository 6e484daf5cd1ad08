"""Typed properties, as feature flags and banners carry them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any

from .fields import number, text

__all__ = ["TypedProperties", "parse_properties"]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True, slots=True)
class TypedProperties:
    """Getters that give a property only when it is declared and stored as the type asked for, else ``None``.

    Attributes:
        properties: Each property as received: ``{"type": ..., "value": ...}``.
    """

    properties: Mapping[str, Mapping[str, Any]]

    def get_string_property(self, key: str) -> str | None:
        """A text."""
        return text(self._value(key, "string"), "value")

    def get_number_property(self, key: str) -> int | float | None:
        """A number."""
        return number(self._value(key, "number"), "value")

    def get_boolean_property(self, key: str) -> bool | None:
        """A boolean."""
        value = self._value(key, "boolean").get("value")
        return value if isinstance(value, bool) else None

    def get_image_property(self, key: str) -> str | None:
        """The URL of an image."""
        return text(self._value(key, "image"), "value")

    def get_timestamp_property(self, key: str) -> datetime | None:
        """A moment, in UTC."""
        milliseconds = number(self._value(key, "datetime"), "value")
        try:
            return None if milliseconds is None else _EPOCH + timedelta(milliseconds=milliseconds)
        except OverflowError:
            return None

    def get_json_property(self, key: str) -> dict[str, Any] | None:
        """A JSON object; a fresh copy."""
        value = self._value(key, "jsonobject").get("value")
        return copy.deepcopy(value) if isinstance(value, dict) else None

    def _value(self, key: str, kind: str) -> Mapping[str, Any]:
        found = self.properties.get(key)
        return found if found is not None and found.get("type") == kind else {}


def parse_properties(raw: object) -> Mapping[str, Mapping[str, Any]]:
    """The well-formed members of a ``properties`` object."""
    if not isinstance(raw, dict):
        return MappingProxyType({})
    return MappingProxyType({key: value for key, value in raw.items() if isinstance(value, dict)})
