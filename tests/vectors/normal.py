"""The normal form of what reached the endpoint, and its comparison with what a vector expects."""

from __future__ import annotations

import copy
import datetime as dt
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

__all__ = ["Mismatch", "compare", "decode", "normal_form", "parse_instant"]

JsonObject = dict[str, Any]

ABSENT = type("Absent", (), {"__repr__": lambda _self: "nothing"})()
"""Stands for a value that is not there."""


@dataclass(frozen=True)
class Mismatch:
    """One difference: where, what came and what should have come."""

    path: str
    got: Any
    expected: Any

    def __str__(self) -> str:
        return f"{self.path}: got {_shown(self.got)}, expected {_shown(self.expected)}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 400 else f"{text[:400]}... ({len(text)} characters)"


# -- values of the format -------------------------------------------------------------------------------------------


def decode(value: Any) -> Any:
    """A call's argument as a Python value: date-times and repeated texts are spelt out.

    A whole number beyond 64 bits is a float, as where the vectors were recorded.
    """
    if isinstance(value, list):
        return [decode(item) for item in value]
    if isinstance(value, dict):
        if value.keys() == {"$date"}:
            return parse_instant(value["$date"])
        if value.keys() == {"$repeat"}:
            text, count = value["$repeat"]
            return text * count
        if value.keys() == {"$year_minus"}:
            return _this_year() - value["$year_minus"]
        return {key: decode(item) for key, item in value.items()}
    if type(value) is int and not -(2**63) <= value < 2**63:
        return float(value)
    return value


def _this_year() -> int:
    return dt.datetime.now(dt.timezone.utc).year


_ISO = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?)?(Z|[+-]\d{2}:?\d{2})?",
    re.IGNORECASE,
)


def parse_instant(text: str) -> dt.datetime | None:
    """The instant an ISO text stands for; without a zone it is UTC. ``None`` if it is no ISO text."""
    match = _ISO.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    offset = dt.timedelta()
    if zone and zone.upper() != "Z":
        offset = dt.timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:])) * (-1 if zone[0] == "-" else 1)
    try:
        return dt.datetime(
            int(year),
            int(month),
            int(day),
            int(hour or 0),
            int(minute or 0),
            int(second or 0),
            int((fraction or "0").ljust(6, "0")[:6]),
            tzinfo=dt.timezone(offset),
        )
    except ValueError:
        return None


# -- the normal form ------------------------------------------------------------------------------------------------


def normal_form(events: Iterable[JsonObject], attributes: Iterable[JsonObject], *, deep: bool) -> JsonObject:
    """What was sent, in the form of a vector's ``expect``.

    Args:
        events: Events as received, in order.
        attributes: Attribute objects as received, in order.
        deep: Whether objects below ``custom`` merge (vectors of the facade) or are replaced whole (of the
            endpoint).
    """
    return {
        "events": [_plain_event(event) for event in events if event["name"] not in ("ss", "se")],
        "attributes": _merged_by_user(attributes, deep=deep),
    }


def _plain_event(event: JsonObject) -> JsonObject:
    return {key: value for key, value in event.items() if key not in ("time", "session_id")}


def _merged_by_user(attributes: Iterable[JsonObject], *, deep: bool) -> list[JsonObject]:
    users: dict[str | None, JsonObject] = {}
    for item in attributes:
        _merge(users.setdefault(item.get("user_id"), {}), item, depth=99 if deep else 1)
    return list(users.values())


def _merge(target: JsonObject, source: JsonObject, *, depth: int) -> None:
    for key, value in source.items():
        if depth and isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value, depth=depth - 1)
        else:
            target[key] = copy.deepcopy(value)


# -- comparing ------------------------------------------------------------------------------------------------------


def compare(got: JsonObject, expected: JsonObject, *, mpid: str | None) -> list[Mismatch]:
    """Every difference between two normal forms.

    Args:
        got: What was sent.
        expected: A vector's ``expect``.
        mpid: The current user's MPID as text, for ``{"$mpid": true}``.
    """
    comparison = _Comparison(mpid)
    comparison.lists("events", got["events"], expected.get("events", []), comparison.event)
    comparison.lists("attributes", got["attributes"], expected.get("attributes", []), comparison.attributes)
    return comparison.mismatches


class _Comparison:
    def __init__(self, mpid: str | None) -> None:
        self.mismatches: list[Mismatch] = []
        self._mpid = mpid

    def lists(self, path: str, got: list[Any], expected: list[Any], each: Callable[[str, Any, Any], None]) -> None:
        """Member by member; what is left over on either side is a difference of its own."""
        for index in range(max(len(got), len(expected))):
            here = f"{path}[{index}]"
            mine = got[index] if index < len(got) else ABSENT
            theirs = expected[index] if index < len(expected) else ABSENT
            if mine is ABSENT or theirs is ABSENT:
                self._differ(here, mine, theirs)
            else:
                each(here, mine, theirs)

    def event(self, path: str, got: JsonObject, expected: JsonObject) -> None:
        """One event: the properties may be left out when empty, a price is money."""
        code = expected.get("name")
        if got.get("name") != code or not isinstance(got.get("data"), dict):
            self._differ(path, got, expected)
            return
        optional = {"ce": "p", "p": "pr"}.get(str(code))
        mine, theirs = dict(got["data"]), dict(expected.get("data", {}))
        if optional is not None:
            mine.setdefault(optional, {})
            theirs.setdefault(optional, {})
        if code == "p" and "p" in mine and "p" in theirs:
            self._price(f"{path}.data.p", mine.pop("p"), theirs.pop("p"))
        self.value(f"{path}.data", mine, theirs)
        rest = {key: value for key, value in got.items() if key != "data"}
        self.value(path, rest, {key: value for key, value in expected.items() if key != "data"})

    def attributes(self, path: str, got: JsonObject, expected: JsonObject) -> None:
        """One user's attributes: the date of birth is compared by its parts."""
        mine, theirs = dict(got), dict(expected)
        if "dob" in mine and "dob" in theirs:
            self._date_of_birth(f"{path}.dob", mine.pop("dob"), theirs.pop("dob"))
        self.value(path, mine, theirs)

    def value(self, path: str, got: Any, expected: Any) -> None:
        """Any value: numbers by value, booleans strictly, objects without regard to order."""
        if isinstance(expected, dict) and len(expected) == 1 and (special := self._special(expected)) is not None:
            if not special(got):
                self._differ(path, got, expected)
        elif isinstance(expected, dict) and isinstance(got, dict):
            for key in [*expected, *(key for key in got if key not in expected)]:
                mine, theirs = got.get(key, ABSENT), expected.get(key, ABSENT)
                if mine is ABSENT or theirs is ABSENT:
                    self._differ(f"{path}.{key}", mine, theirs)
                else:
                    self.value(f"{path}.{key}", mine, theirs)
        elif isinstance(expected, list) and isinstance(got, list):
            self.lists(path, got, expected, self.value)
        elif not _same_scalar(got, expected):
            self._differ(path, got, expected)

    def _special(self, expected: Mapping[str, Any]) -> Callable[[Any], bool] | None:
        ((key, argument),) = expected.items()
        if key == "$date" and isinstance(argument, str):
            return lambda got: isinstance(got, str) and parse_instant(got) == parse_instant(argument) is not None
        if key == "$repeat" and isinstance(argument, list):
            return lambda got: bool(got == argument[0] * argument[1])
        if key == "$year_minus" and isinstance(argument, int):
            return lambda got: _same_scalar(got, _this_year() - argument)
        if key == "$mpid" and argument is True:
            return lambda got: self._mpid is not None and bool(got == self._mpid)
        return None

    def _price(self, path: str, got: Any, expected: Any) -> None:
        if (mine := _cents(got)) is None or mine != _cents(expected):
            self._differ(path, got, expected)

    def _date_of_birth(self, path: str, got: Any, expected: Any) -> None:
        if isinstance(expected, dict) and expected.keys() == {"$year_minus"}:
            wanted: Any = (_this_year() - expected["$year_minus"], 1, 1)
        else:
            wanted = _date_parts(expected)
        same = got is None if expected is None else wanted is not None and _date_parts(got) == wanted
        if not same:
            self._differ(path, got, expected)

    def _differ(self, path: str, got: Any, expected: Any) -> None:
        self.mismatches.append(Mismatch(path, got, expected))


def _same_scalar(got: Any, expected: Any) -> bool:
    if isinstance(got, bool) or isinstance(expected, bool):
        return got is expected
    if isinstance(got, int | float) and isinstance(expected, int | float):
        return got == expected
    return type(got) is type(expected) and bool(got == expected)


def _cents(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        # A float counts with its exact binary value, as the SDK rounds it: 120.005 is a little less and so 120.00.
        price = Decimal(value)
        return price if abs(price) >= 10**21 else price.quantize(Decimal("0.01"), ROUND_HALF_UP)
    except InvalidOperation:
        return None


def _date_parts(value: Any) -> tuple[int, int, int] | None:
    match = re.match(r"(-?\d+)-(\d{1,2})-(\d{1,2})", value) if isinstance(value, str) else None
    return None if match is None else (int(match[1]), int(match[2]), int(match[3]))
