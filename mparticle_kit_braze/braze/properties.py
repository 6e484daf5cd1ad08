"""Properties of events and purchases: checked and encoded in one pass, since this is most of what an event costs.

Flat properties of exact Python types take a fast path (faster still with ``orjson``, if the host has it); anything
else takes the general one. All give the same text for the same properties.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from .encoding import INFINITY, INT_MAX, INT_MIN, MAX_PROPERTY_BYTES, compact, has_forbidden_character, plain, quote
from .encoding import size as byte_size
from .refusal import Refused, UnsupportedNumberError, shown

__all__ = ["PropertyEncoder", "orjson_dumps"]

MINUS_INFINITY = -INFINITY
MAX_KEYS = 2048
MAX_KEY_LENGTH = 128
SHORT = MAX_PROPERTY_BYTES // 4
"""Characters that cannot exceed the limit, whatever their UTF-8 length."""


def orjson_dumps() -> Callable[[Any], bytes] | None:
    """``orjson.dumps`` if the host has it installed."""
    try:
        dumps: Callable[[Any], bytes] = importlib.import_module("orjson").dumps
    except (ImportError, AttributeError):
        return None
    return dumps


class PropertyEncoder:
    """Encodes properties.

    Rules (as the Web SDK): a mapping with text keys free of control characters and double quotes; ``None`` at the
    top is left out, unless told otherwise; at most 51200 bytes of compact JSON. A number that does not fit is left out
    (at the top) or null (below).

    Args:
        amiss: Told the key and what was done when a single property does not go as it is, and the rest does.
        dumps: ``orjson.dumps`` or ``None``.
        keep_null: ``None`` at the top goes as null.
    """

    def __init__(
        self, amiss: Callable[[str, str], object], dumps: Callable[[Any], bytes] | None, *, keep_null: bool = False
    ) -> None:
        self._amiss = amiss
        self._keys: dict[str, str] = {}
        self._dumps = dumps
        self._keep_null = keep_null
        self.encode: Callable[[object], str] = self.encode_plainly if dumps is None else self._encode_with_orjson
        """The JSON object for properties; ``None`` gives ``{}``. Raises :class:`Refused`."""

    def encode_plainly(self, properties: object) -> str:
        """:attr:`encode` without ``orjson``."""
        if type(properties) is not dict:
            return self.encode_any(properties)
        keys = self._keys
        parts: list[str] = []
        try:
            for key, value in properties.items():
                kind = type(value)
                if kind is str:
                    parts += keys[key], quote(value)
                elif (kind is int and INT_MIN <= value <= INT_MAX) or (
                    kind is float and MINUS_INFINITY < value < INFINITY
                ):
                    parts += keys[key], repr(value)
                elif kind is bool:
                    parts += keys[key], "true" if value else "false"
                else:
                    return self.encode_any(properties)
        except (KeyError, RuntimeError):
            # A key not met before; or another thread changed the dict, and a copy cannot change.
            return self.encode_any(properties)
        text = "".join(parts)
        if len(text) > SHORT:
            _check_size(text)
        return f"{{{text[1:]}}}"

    def _encode_with_orjson(self, properties: object) -> str:
        if type(properties) is not dict or self._dumps is None:
            return self.encode_any(properties)
        keys = self._keys
        try:
            for key, value in properties.items():
                kind = type(value)
                if key not in keys or not (
                    kind is str
                    or kind is bool
                    or (kind is int and INT_MIN <= value <= INT_MAX)
                    # Beyond these bounds the two encoders write exponents differently.
                    or (kind is float and (1e-4 <= value < 1e16 or -1e16 < value <= -1e-4 or value == 0))
                ):
                    return self.encode_any(properties)
            text = self._dumps(properties).decode()
        except (TypeError, RuntimeError):
            # A lone surrogate; or as above.
            return self.encode_any(properties)
        if len(text) > SHORT:
            _check_size(text[:-1])
        return text

    def encode_any(self, properties: object) -> str:
        """:attr:`encode` for values of any type."""
        if properties is None:
            return "{}"
        if not isinstance(properties, Mapping):
            raise Refused(f"properties must be a mapping, not {type(properties).__name__}")
        try:
            parts = self._parts(dict(properties))
        except RecursionError:
            raise Refused("properties are nested too deeply") from None
        except Refused:
            raise
        except Exception as error:  # the caller's own classes run here
            raise Refused(f"properties could not be read ({type(error).__name__})") from error
        text = "".join(parts)
        _check_size(text)
        return f"{{{text[1:]}}}"

    def _parts(self, properties: dict[Any, Any]) -> list[str]:
        parts: list[str] = []
        for key, value in properties.items():
            head = self._keys.get(key) or self._key_text(key)
            try:
                member = plain(value, partial(self._amiss, key), depth=1)
            except UnsupportedNumberError as refused:
                self._amiss(key, f"left out: {refused.reason}")
                continue
            except Refused as refused:
                raise Refused(f"property {shown(key)} is {refused.reason}", key) from None
            if member is not None or self._keep_null:
                parts += head, compact(member)
        return parts

    def _key_text(self, key: object) -> str:
        """``,"key":`` for a key that passes; remembered, within bounds."""
        if not isinstance(key, str):
            raise Refused(f"a property key that is not text ({type(key).__name__})")
        if has_forbidden_character(key):
            raise Refused("a property key with a control character or a double quote", key)
        text = f",{quote(key)}:"
        if len(key) <= MAX_KEY_LENGTH:
            if len(self._keys) >= MAX_KEYS:
                self._keys.clear()
            self._keys[str.__str__(key)] = text
        return text


def _check_size(text: str) -> None:
    # The text lacks one byte of the object: a leading comma instead of two braces, or no closing brace.
    if text and byte_size(text) + 1 > MAX_PROPERTY_BYTES:
        raise Refused(f"properties of more than {MAX_PROPERTY_BYTES} bytes")
