"""Properties of any kind: never an exception, always JSON that the rules accept, the same from every encoder."""

from __future__ import annotations

import json
import math
from collections import UserDict
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mparticle_kit_braze.braze.encoding import to_bytes
from mparticle_kit_braze.braze.properties import PropertyEncoder, orjson_dumps
from mparticle_kit_braze.braze.refusal import Refused

KEYS = st.text(max_size=8) | st.sampled_from(["a", "b", "$x", "", 'q"', "\n", "\ud800"])
FLAT = st.text(max_size=20) | st.integers() | st.floats() | st.booleans() | st.none()
ODD = st.sampled_from([object(), {1, 2}, b"x", 1j, len, Decimal("NaN"), math.inf, 2**70, type, Fraction(1, 3)])
DATES = st.datetimes(timezones=st.none() | st.just(timezone.utc)) | st.dates()
ANY = st.recursive(
    FLAT | ODD | DATES | st.decimals(allow_nan=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.integers(), inner, max_size=4),
    max_leaves=12,
)


class Colour(Enum):
    """An Enum as apps have them."""

    RED = "red"
    DEEP = Decimal("1.5")


class Index:
    """A scalar that is a whole number."""

    def __index__(self) -> int:
        """Seven."""
        return 7


class Float:
    """A scalar that is a fraction."""

    def __float__(self) -> float:
        """Two and a half."""
        return 2.5


class Array(Float):
    """Something with a length is no scalar, even if it converts."""

    def __len__(self) -> int:
        """One."""
        return 1


class Hostile(UserDict[str, Any]):
    """A mapping that breaks when read."""

    def keys(self) -> Any:
        """Fail."""
        raise ZeroDivisionError


def encoder(left_out: list[str] | None = None) -> PropertyEncoder:
    """An encoder without orjson."""
    noted = [] if left_out is None else left_out
    return PropertyEncoder(lambda key, reason: noted.append(key), None)


def encoded(properties: Any) -> Any:
    """Encode and decode."""
    return json.loads(to_bytes(encoder().encode(properties)))


def accepted(value: Any) -> bool:
    """Whether a decoded value is what Braze takes: no NaN, no number beyond 64 bits."""
    if isinstance(value, dict):
        return all(map(accepted, value.values()))
    if isinstance(value, list):
        return all(map(accepted, value))
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return not isinstance(value, float) or math.isfinite(value)


@given(st.dictionaries(KEYS | st.integers(), ANY, max_size=6) | ANY)
def test_any_properties_are_refused_or_become_valid_json(properties: Any) -> None:
    """Whatever is given, the outcome is a refusal or strict JSON within the limits."""
    try:
        text = encoder().encode(properties)
    except Refused:
        return
    data = to_bytes(text)
    decoded = json.loads(data, parse_constant=pytest.fail)
    assert isinstance(decoded, dict)
    assert len(data) <= 51200
    assert accepted(decoded)
    assert b"\n" not in data


@given(st.dictionaries(st.text(max_size=6), FLAT, max_size=8))
def test_encoders_agree(properties: dict[str, Any]) -> None:
    """The fast path, with its keys known or not, gives the same text as the general one."""

    def outcome(encode: Any) -> str:
        try:
            return str(encode(properties))
        except Refused as refused:
            return f"refused {refused.reason}"

    fast = encoder()
    general = outcome(fast.encode_any)
    assert outcome(fast.encode) == general
    assert outcome(fast.encode) == general
    dumps = orjson_dumps()
    if dumps is not None:
        with_orjson = PropertyEncoder(lambda key, reason: None, dumps)
        with_orjson.encode_any(dict.fromkeys(properties, 1)) if not general.startswith("refused") else None
        assert outcome(with_orjson.encode) == general


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        (Colour.RED, "red"),
        (Colour.DEEP, 1.5),
        (Decimal("9.99"), 9.99),
        (Decimal("1E+2"), 100),
        (Fraction(1, 4), 0.25),
        (Index(), 7),
        (Float(), 2.5),
        (("a", 1), ["a", 1]),
        (UserDict(a=1), {"a": 1}),
        (datetime(2020, 1, 2, 3, 4, 5, 678_900), "2020-01-02T03:04:05"),  # noqa: DTZ001 - naive is UTC
        (datetime(2020, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=-2))), "2020-01-02T05:04:05"),
        (date(2020, 1, 2), "2020-01-02T00:00:00"),
        (datetime(12, 1, 2), "0012-01-02T00:00:00"),  # noqa: DTZ001  # naive on purpose
        ([math.nan, 2**64, {"d": date(2020, 1, 2)}], [None, None, {"d": "2020-01-02T00:00:00"}]),
        ("lone \ud800 and paired \ud83d\ude00", "lone \ufffd and paired \U0001f600"),
    ],
)
def test_python_types(value: Any, wire: Any) -> None:
    """Python's own types have their natural form on the wire."""
    assert encoded({"k": value}) == {"k": wire}


@pytest.mark.parametrize("value", [math.nan, -math.inf, 2**63, Decimal("Infinity"), Decimal("1e999")])
def test_numbers_that_do_not_fit_are_left_out(value: Any) -> None:
    """Such a number is left out and told; the rest goes."""
    left_out: list[str] = []
    assert json.loads(encoder(left_out).encode({"a": 1, "n": value, "b": 2})) == {"a": 1, "b": 2}
    assert left_out == ["n"]


@pytest.mark.parametrize(
    "properties",
    [
        {"k": object()},
        {"k": {1, 2}},
        {"k": b"bytes"},
        {"k": [1j]},
        {"k": Array()},
        {"k": {5: 1}},
        {5: 1},
        {"a\x1fb": 1},
        {'"': None},
        {"k": datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))},
        Hostile(),
        ["a"],
        "text",
        5,
    ],
)
def test_refused(properties: Any) -> None:
    """What has no JSON form, or a bad key, refuses the whole call."""
    with pytest.raises(Refused):
        encoder().encode(properties)


def test_self_containing_values_are_refused() -> None:
    """A list within itself ends as a refusal, not in a recursion."""
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(Refused):
        encoder().encode({"k": endless})


@pytest.mark.parametrize("letter", ["x", "é", "\U0001f600", "\ud800"])
def test_size_limit_counts_bytes(letter: str) -> None:
    """51200 bytes pass, one more does not, by whichever path."""
    width = len(to_bytes(letter))
    count, rest = divmod(51200 - len('{"a":""}'), width)
    text = letter * count + "x" * rest
    for encode in (encoder().encode, encoder().encode_any):
        assert len(to_bytes(encode({"a": text}))) == 51200
        with pytest.raises(Refused, match="51200"):
            encode({"a": text + "x"})


def test_null_goes_where_it_is_kept() -> None:
    """With and without ``orjson``; numbers that do not fit are left out all the same."""
    for dumps in (None, orjson_dumps()):
        keeping = PropertyEncoder(lambda key, reason: None, dumps, keep_null=True)
        assert json.loads(keeping.encode({"a": None, "n": math.nan, "b": 1})) == {"a": None, "b": 1}


def test_key_memory_is_bounded() -> None:
    """An app that makes up keys does not make the encoder grow for ever."""
    it = encoder()
    for number in range(5000):
        it.encode({f"key-{number}": 1})
    assert len(it._keys) <= 2048
