"""Compact JSON as Braze takes it: no blanks, characters beyond ASCII as they are, finite numbers only."""

from __future__ import annotations

import json
import json.encoder
from collections.abc import Callable
from typing import Any

__all__ = ["compact"]

# Without the check for circles: those end in a RecursionError.
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":"))


def _compact_encoder() -> Callable[[Any], str]:
    """``JSONEncoder.encode`` makes its C encoder anew at each call, a third of the time it takes; here it is kept."""
    try:
        make: Callable[..., Callable[[Any, int], tuple[str, ...]]] = json.encoder.c_make_encoder  # type: ignore[attr-defined]  # not in its stubs
        encode = make(None, _ENCODER.default, json.encoder.encode_basestring, None, ":", ",", False, False, False)
    except (AttributeError, TypeError):  # an interpreter without it, or with another one
        return _ENCODER.encode
    return lambda value: "".join(encode(value, 0))


compact: Callable[[Any], str] = _compact_encoder()
"""The JSON of a value of exact JSON types.

Raises ``TypeError``, ``ValueError`` (not-a-number, an infinity) or ``RecursionError`` for what has none.
"""
