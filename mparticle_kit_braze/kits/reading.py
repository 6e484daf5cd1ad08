"""Reading JSON with errors that name the key: what a :class:`Reader` returns has the type it promises."""

from __future__ import annotations

import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from ..errors import ConfigurationError
from ..values import copy_value

__all__ = ["Reader"]

REQUIRED: Any = object()
"""Default of a key that must be there."""


class Reader:
    """A JSON object and where it stands.

    Attributes:
        ignored: Notes of what has no effect, shared by all readers of one document.
    """

    __slots__ = ("_path", "_values", "ignored")

    def __init__(self, values: Mapping[str, Any], path: str, ignored: list[str]) -> None:
        self._values = values
        self._path = path
        self.ignored: list[str] = ignored

    @classmethod
    def root(cls, source: object) -> Reader:
        """The reader of a whole document: an object, or its text."""
        if isinstance(source, str | bytes | bytearray):
            try:
                source = json.loads(source)
            except (ValueError, RecursionError) as error:
                raise ConfigurationError(f"kit configuration is no JSON: {type(error).__name__}") from error
        if not isinstance(source, Mapping):
            raise ConfigurationError(f"kit configuration must be a JSON object, not {kind_of(source)}")
        for key in source:
            if not isinstance(key, str):
                raise ConfigurationError(f"kit configuration must have text keys; one is {kind_of(key)}")
        return cls(source, "", [])

    def error(self, what: str, key: str | None = None) -> ConfigurationError:
        """An error that says where."""
        where = self._where(key)
        return ConfigurationError(f"kit configuration: {where + ' ' if where else ''}{what}")

    def ignore(self, what: str, key: str | None = None) -> None:
        """Note something that has no effect."""
        where = self._where(key)
        self.ignored.append(f"{where + ': ' if where else ''}{what}")

    def names(self) -> AbstractSet[str]:
        """The keys that are there."""
        return self._values.keys()

    def get(self, key: str) -> Any:
        """The raw value; ``None`` if absent."""
        return self._values.get(key)

    def rest(self, known: AbstractSet[str]) -> dict[str, Any]:
        """A copy of everything but the known keys."""
        return {key: copy_value(value) for key, value in self._values.items() if key not in known}

    # -- one value ----------------------------------------------------------------------------------------------
    def object(self, key: str) -> Reader | None:
        """An object, or ``None`` if absent or null."""
        value = self.get(key)
        if value is None:
            return None
        if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
            raise self.error(f"must be an object, not {kind_of(value)}", key)
        return Reader(value, self._where(key), self.ignored)

    def objects(self, key: str) -> list[Reader]:
        """The objects of an array; none if absent or null."""
        members = self._array(key)
        readers = []
        for index, member in enumerate(members):
            if not isinstance(member, Mapping) or not all(isinstance(name, str) for name in member):
                raise self.error(f"must be an object, not {kind_of(member)}", f"{key}[{index}]")
            readers.append(Reader(member, self._where(f"{key}[{index}]"), self.ignored))
        return readers

    def integer(self, key: str, default: int = REQUIRED) -> int:
        """A whole number, also as text."""
        value = self.get(key)
        if value is None and default is not REQUIRED:
            return default
        number = as_integer(value)
        if number is None:
            raise self.error(f"must be a whole number, not {kind_of(value)}", key)
        return number

    def boolean(self, key: str, *, default: bool = REQUIRED) -> bool:
        """True or false, also as text in any case."""
        value = self.optional_boolean(key)
        if value is not None:
            return value
        if default is REQUIRED:
            raise self.error("must be true or false, not null", key)
        return default

    def optional_boolean(self, key: str) -> bool | None:
        """As :meth:`boolean`; ``None`` if absent or null."""
        value = self.get(key)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        raise self.error(f"must be true or false, not {kind_of(value)}", key)

    def text(self, key: str) -> str | None:
        """A text, or ``None`` if absent or null."""
        value = self.get(key)
        if value is None or isinstance(value, str):
            return value
        raise self.error(f"must be a text, not {kind_of(value)}", key)

    # -- several ------------------------------------------------------------------------------------------------
    def texts(self, key: str) -> dict[str, str]:
        """Settings: texts by name. Null is dropped; other values become mParticle's text for them."""
        reader = self.object(key)
        if reader is None:
            return {}
        return {name: reader.setting(name) for name in reader.names() if reader.get(name) is not None}

    def integers(self, key: str) -> frozenset[int]:
        """An array of whole numbers; empty if absent or null."""
        found = set()
        for index, member in enumerate(self._array(key)):
            number = as_integer(member)
            if number is None:
                raise self.error(f"must be a whole number, not {kind_of(member)}", f"{key}[{index}]")
            found.add(number)
        return frozenset(found)

    def hidden_hashes(self, key: str) -> frozenset[int]:
        """A filter ``{"<hash>": 0 or 1}``: the hashes with any number but 1; other values are noted and skipped."""
        reader = self.object(key)
        if reader is None:
            return frozenset()
        return frozenset(reader.hash_of(name) for name in reader.names() if reader.hides(name))

    def hidden_words(self, key: str) -> frozenset[str]:
        """As :meth:`hidden_hashes`, with words in place of hashes."""
        reader = self.object(key)
        return frozenset() if reader is None else frozenset(name for name in reader.names() if reader.hides(name))

    def texts_by_hash(self, key: str) -> dict[int, str]:
        """An object ``{"<hash>": "<text>"}``."""
        reader = self.object(key)
        if reader is None:
            return {}
        found = {reader.hash_of(name): reader.text(name) for name in reader.names()}
        return {number: text for number, text in found.items() if text}

    # -- members of an object -----------------------------------------------------------------------------------
    def hash_of(self, name: str) -> int:
        """A key that must be a hash."""
        number = as_integer(name)
        if number is None:
            raise self.error("must have hashes (whole numbers) as keys", name[:40])
        return number

    def hides(self, name: str) -> bool:
        """Whether the number under a key hides what the key stands for."""
        value = self.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value != 1
        number = as_integer(value)
        if number is None:
            self.ignore(f"must be 0 or 1, not {kind_of(value)}; it hides nothing", name[:40])
            return False
        return number != 1

    def setting(self, name: str) -> str:
        """One setting as text."""
        value = self.get(name)
        if isinstance(value, str):
            return value
        if isinstance(value, bool):
            return "True" if value else "False"
        try:
            return json.dumps(value, separators=(",", ":"))
        except (TypeError, ValueError, RecursionError) as error:
            raise self.error(f"must be a text, not {kind_of(value)}", name) from error

    # -- inside -------------------------------------------------------------------------------------------------
    def _where(self, key: str | None) -> str:
        if key is None:
            return self._path
        return f"{self._path}.{key}" if self._path else key

    def _array(self, key: str) -> list[Any]:
        value = self.get(key)
        if value is None:
            return []
        if not isinstance(value, list | tuple):
            raise self.error(f"must be an array, not {kind_of(value)}", key)
        return list(value)


def as_integer(value: object) -> int | None:
    """A whole number from a JSON number or text; ``None`` if it is none, or longer than any we use."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and len(value) <= 20 and value.lstrip("+-").isascii() and value.lstrip("+-").isdigit():
        try:
            return int(value)
        except ValueError:
            return None
    return None


def kind_of(value: object) -> str:
    """A JSON value's type, for messages."""
    if value is None:
        return "null"
    for kind, name in ((bool, "a boolean"), (int | float, "a number"), (str, "a text"), (Mapping, "an object")):
        if isinstance(value, kind):
            return name
    return "an array" if isinstance(value, list | tuple) else type(value).__name__
