"""The hash of filters and rules, and the bucket of bracketing, exactly as mParticle's client SDKs compute them."""

from __future__ import annotations

from typing import Any

from .texts import value_text

__all__ = ["bucket_of", "hash_utf8", "mp_hash", "value_hash"]

_TWO_32 = 1 << 32
_TWO_64 = 1 << 64


def mp_hash(text: str | None) -> int:
    """The signed 32-bit hash of a text, ignoring case; 0 if it is empty or missing.

    Java's ``String.hashCode`` of the lower-cased text: ``h = 31 * h + unit`` over the UTF-16 code units.
    Source: Android ``MPUtility.mpHash``, web ``generateHash``.
    """
    lowered = (text or "").lower()
    value = 0
    if lowered.isascii():  # one byte is one code unit then
        for unit in lowered.encode("ascii"):
            value = (31 * value + unit) & 0xFFFFFFFF
    else:
        units = lowered.encode("utf-16-le", "surrogatepass")
        for low, high in zip(units[::2], units[1::2], strict=True):
            value = (31 * value + low + (high << 8)) & 0xFFFFFFFF
    return value - _TWO_32 if value & 0x80000000 else value


def hash_utf8(text: str) -> int:
    """The Apple SDK's variant: the same over UTF-8 bytes. Equal to :func:`mp_hash` for ASCII."""
    value = 0
    for byte in text.lower().encode("utf-8", "surrogatepass"):
        value = (31 * value + byte) & 0xFFFFFFFF
    return value - _TWO_32 if value & 0x80000000 else value


def value_hash(value: Any, *, web: bool) -> int:
    """The hash of an attribute value; 0 for ``None`` and empty texts."""
    return mp_hash(value_text(value, web=web))


def bucket_of(mpid: int) -> int:
    """The bucket of a user, 0 to 99: ``abs(mpid >> 8) % 100`` of the MPID as a signed 64-bit integer.

    Source: Android ``KitConfiguration.passesBracketing``; an unsigned MPID is folded first.
    """
    signed = mpid % _TWO_64
    if signed >= _TWO_64 >> 1:
        signed -= _TWO_64
    return abs(signed >> 8) % 100
