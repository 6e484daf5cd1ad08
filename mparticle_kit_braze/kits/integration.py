"""Integration attributes: what kits want mParticle's servers to know, such as their destination's id of the device."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import InvalidArgumentError
from ..storage import KeyValues
from ..values import describe

__all__ = ["IntegrationAttributes"]

PREFIX = "integration."


class IntegrationAttributes:
    """Texts by kit id, kept on disk; kits that bring data to mParticle itself send them along.

    Args:
        values: Where they are kept; ``None`` for memory only.

    Attributes:
        changes: How often they have changed.
    """

    def __init__(self, values: KeyValues | None = None) -> None:
        self._values = values
        self._known: dict[str, dict[str, str]] = {}
        self.changes: int = 0
        for key, attributes in {} if values is None else values.items(PREFIX).items():
            if isinstance(attributes, dict):
                self._known[key.removeprefix(PREFIX)] = attributes

    def set(self, kit_id: int, attributes: Mapping[str, str]) -> None:
        """Replace those of a kit; an empty mapping removes them. They go when the kit is stopped.

        Raises:
            InvalidArgumentError: It is no mapping of texts to texts.
        """
        given: object = attributes
        if not isinstance(given, Mapping) or not all(isinstance(text, str) for pair in given.items() for text in pair):
            raise InvalidArgumentError(f"integration attributes must map str to str, not {describe(attributes)}")
        known = {key: value for key, value in self._known.items() if key != str(kit_id)}
        if attributes:
            known[str(kit_id)] = dict(attributes)
        if known == self._known:
            return
        self._known = known
        self.changes += 1
        if self._values is not None and attributes:
            self._values.set(f"{PREFIX}{kit_id}", dict(attributes))
        elif self._values is not None:
            self._values.delete(f"{PREFIX}{kit_id}")

    def all(self) -> Mapping[str, Mapping[str, str]]:
        """Those of every kit, by its number as text."""
        return self._known
