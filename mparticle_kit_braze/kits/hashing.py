"""The hash of filters and rules, and the bucket of bracketing, exactly as mParticle's client SDKs compute them."""

from __future__ import annotations

from typing import Any

__all__ = ["bucket_of", "hash_utf8", "mp_hash", "value_hash", "value_text"]

_TWO_32 = 1 << 32
_TWO_64 = 1 << 64


def mp_hash(text: str) -> int:
    """The signed 32-bit hash of a text, ignoring case.

    Java's ``String.hashCode`` of the lower-cased text: ``h = 31 * h + unit`` over the UTF-16 code units.
    Source: Android ``MPUtility.mpHash``, web ``generateHash``.
    """
    lowered = text.lower()
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


def value_text(value: Any, *, web: bool) -> str:
    """An attribute value as the text that rules hash.

    ``True`` is ``true`` and ``None`` is empty everywhere; ``3.0`` is ``3.0`` on Android and ``3`` on the web;
    a list is its members joined with commas on the web, and in brackets on Android.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if web and value.is_integer() and abs(value) < 1e21 else str(value)
    if isinstance(value, list | tuple):
        texts = [value_text(item, web=web) for item in value]
        return ",".join(texts) if web else f"[{', '.join(texts)}]"
    try:
        return str(value)
    except Exception:  # noqa: BLE001  # a value of the host's own class must not break the call
        return ""


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
