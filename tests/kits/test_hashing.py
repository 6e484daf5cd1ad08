"""The hash and the bucket, against independent implementations."""

from __future__ import annotations

import ctypes
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mparticle_kit_braze.kits.hashing import bucket_of, hash_utf8, mp_hash, value_hash
from mparticle_kit_braze.kits.texts import value_text


def java_hash(text: str) -> int:
    """``s[0]*31^(n-1) + ... + s[n-1]`` over UTF-16 units, straight from Java's documentation."""
    units: list[int] = []
    for character in text.lower():
        code = ord(character)
        if code < 0x10000:
            units.append(code)
        else:
            units += [0xD800 + ((code - 0x10000) >> 10), 0xDC00 + ((code - 0x10000) & 0x3FF)]
    total = sum(unit * 31 ** (len(units) - 1 - place) for place, unit in enumerate(units))
    return ctypes.c_int32(total & 0xFFFFFFFF).value


@given(st.text(st.characters()))
def test_hash_equals_javas(text: str) -> None:
    """Over all of Unicode, lone surrogates included, the hash is Java's ``String.hashCode`` of the lower-cased text."""
    assert mp_hash(text) == java_hash(text)


def test_nothing_hashes_to_zero() -> None:
    """As an empty text, a missing one."""
    assert (mp_hash(""), mp_hash(None)) == (0, 0)


@given(st.text(st.characters(max_codepoint=127)))
def test_apples_hash_is_the_same_for_ascii(text: str) -> None:
    """The UTF-8 variant differs beyond ASCII only."""
    assert hash_utf8(text) == mp_hash(text)


@given(st.integers(-(2**63), 2**63 - 1))
def test_bucket_of_a_signed_and_an_unsigned_mpid(mpid: int) -> None:
    """The bucket lies in 0 to 99 and does not depend on how the 64 bits are written."""
    assert bucket_of(mpid) == bucket_of(mpid % 2**64) == abs(mpid >> 8) % 100


class Hostile:
    """Has no text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("value", "android", "web"),
    [
        (None, "", ""),
        (True, "true", "true"),
        (3, "3", "3"),
        (3.0, "3.0", "3"),
        (2.5, "2.5", "2.5"),
        ("Gold", "Gold", "Gold"),
        (-0.0, "-0.0", "0"),
        (1e7, "1.0E7", "10000000"),
        (12345678.9, "1.23456789E7", "12345678.9"),
        (0.001, "0.001", "0.001"),
        (0.00025, "2.5E-4", "0.00025"),
        (2.5e-7, "2.5E-7", "2.5e-7"),
        (1e21, "1.0E21", "1e+21"),
        (123456789012345680000.0, "1.2345678901234568E20", "123456789012345680000"),
        (2**53 + 1, "9007199254740993", "9007199254740992"),
        (10**22, "10000000000000000000000", "1e+22"),
        (float("inf"), "Infinity", "Infinity"),
        (float("nan"), "NaN", "NaN"),
        (["a", 1], "[a, 1]", "a,1"),
        (["a", None, [2.0]], "[a, null, [2.0]]", "a,,2"),
        ({"a": 1, "b": None}, "{a=1, b=null}", "[object Object]"),
        (Decimal("1.50"), "1.50", "1.50"),
        (Hostile(), "", ""),
    ],
)
def test_value_text(value: Any, android: str, web: str) -> None:
    """Values become the texts that each platform hashes."""
    assert value_text(value, web=False) == android
    assert value_text(value, web=True) == web
    assert value_hash(value, web=False) == mp_hash(android)
