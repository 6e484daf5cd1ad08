"""Comparing what arrived with what a test expects, and saying in words how the two differ."""

from __future__ import annotations

import datetime as dt
import difflib
import reprlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import EllipsisType
from typing import Any, Literal

__all__ = ["Arrival", "Expectation", "differences", "nearest", "person", "resembles", "shown", "value_difference"]

MOST_SHOWN = 5
"""How many near misses a failure lists."""

_PLAIN = (bool, int, float, str, list, tuple, dict)
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 120


@dataclass(frozen=True, slots=True)
class Arrival:
    """A custom event or a purchase as it arrived, over the SDK endpoint or over REST.

    Attributes:
        kind: ``"event"`` or ``"purchase"``.
        name: The event's name, or the product id.
        user: The user's external id; ``None`` while anonymous.
        properties: The properties, as on the wire.
        details: Of a purchase: ``price``, ``currency`` and ``quantity``.
    """

    kind: Literal["event", "purchase"]
    name: str
    user: str | None
    properties: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a test looks for; ``...`` and an empty mapping take anything."""

    kind: Literal["event", "purchase"]
    name: str | EllipsisType
    user: str | EllipsisType | None
    properties: Mapping[str, Any]
    details: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        name = "" if self.name is ... else f" {self.name!r}"
        wanted = [f"{key}={shown(value)}" for key, value in {**self.details, **self.properties}.items()]
        of = "" if self.user is ... else f" of {person(self.user)}"
        return f"{self.kind}{name}{of}" + (f" with {', '.join(wanted)}" if wanted else "")

    def met_by(self, arrival: Arrival) -> bool:
        """Whether an arrival is what was looked for; properties that are not named may be anything."""
        return arrival.kind == self.kind and not differences(self, arrival)


# -- differences ----------------------------------------------------------------------------------------------------


def differences(expected: Expectation, arrival: Arrival) -> list[str]:
    """Each difference in a few words; none if the arrival is what was expected."""
    found = []
    if expected.name is not ... and arrival.name != expected.name:
        found.append(f"the name is {arrival.name!r}")
    if expected.user is not ... and arrival.user != expected.user:
        found.append(f"it is of {person(arrival.user)}, not of {person(expected.user)}")
    for wanted, actual in ((expected.details, arrival.details), (expected.properties, arrival.properties)):
        for key, value in wanted.items():
            if key in actual:
                difference = value_difference(value, actual[key])
            else:
                similar = [other for other in actual if resembles(key, other)]
                difference = "is missing" + (f" (there is {similar[0]!r})" if similar else "")
            if difference:
                found.append(f"{key} {difference}")
    return found


def value_difference(expected: Any, actual: Any) -> str:
    """How a value differs, empty if it does not: 1 is not ``"1"`` and not ``True``, but 1.0."""
    if expected is ... or _equal(expected, actual):
        return ""
    told = shown(actual)
    types = [type(value).__name__ for value in (actual, expected)]
    if types[0] != types[1] and actual is not None and isinstance(expected, _PLAIN):
        return f"is {told} ({types[0]}), not {shown(expected)} ({types[1]})"
    return f"is {told}, not {shown(expected)}"


def _equal(expected: Any, actual: Any) -> bool:
    if isinstance(expected, bool) != isinstance(actual, bool) and isinstance(expected, bool | int | float):
        return False
    if isinstance(expected, list | tuple) and isinstance(actual, list):
        return len(expected) == len(actual) and all(map(_equal, expected, actual))
    if isinstance(expected, Mapping) and isinstance(actual, dict):
        return expected.keys() == actual.keys() and all(_equal(expected[key], actual[key]) for key in actual)
    if isinstance(expected, dt.datetime) and isinstance(actual, str):
        return _is_moment(expected, actual)
    return bool(expected == actual)


def _is_moment(expected: dt.datetime, actual: str) -> bool:
    """Whether a text on the wire is this date-time, to the millisecond; one without a zone is UTC."""
    try:
        moment = dt.datetime.fromisoformat(actual.replace("Z", "+00:00"))
    except ValueError:
        return False
    utc = [time if time.tzinfo else time.replace(tzinfo=dt.timezone.utc) for time in (expected, moment)]
    return abs(utc[0] - utc[1]) < dt.timedelta(milliseconds=1)


# -- near misses ----------------------------------------------------------------------------------------------------


def nearest(expected: Expectation, arrivals: Iterable[Arrival]) -> list[str]:
    """Lines on what came closest, the closest first; else on what there is at all."""
    arrivals = [arrival for arrival in arrivals if arrival.kind == expected.kind]
    if not arrivals:
        return [f"no {expected.kind} arrived at all"]
    alike = [each for each in arrivals if expected.name is ... or resembles(expected.name, each.name)]
    if not alike:
        return [f"{len(arrivals)} other {expected.kind}s arrived: {_counted(arrival.name for arrival in arrivals)}"]
    misses = Counter((each.name, tuple(differences(expected, each))) for each in alike)
    lines = ["nearest:"]
    ordered = sorted(misses.items(), key=lambda miss: len(miss[0][1]))
    for (name, found), count in ordered[:MOST_SHOWN]:
        times = f" ({count} times)" if count > 1 else ""
        lines.append(f"  - {name!r}{times}: {'; '.join(found) or 'as expected'}")
    if len(ordered) > MOST_SHOWN:
        lines.append(f"  and {len(ordered) - MOST_SHOWN} others")
    return lines


def resembles(expected: str, actual: str) -> bool:
    """Whether two names are the same but for case, punctuation and a few letters."""
    one, other = ("".join(filter(str.isalnum, name.casefold())) for name in (expected, actual))
    return one == other or difflib.SequenceMatcher(None, one, other).ratio() >= 0.75


def shown(value: Any) -> str:
    """A value for a message, bounded in length."""
    return _SHORT.repr(value)


def _counted(names: Iterable[str]) -> str:
    counts: Sequence[tuple[str, int]] = Counter(names).most_common()
    listed = [repr(name) + (f" ({count} times)" if count > 1 else "") for name, count in counts[: 2 * MOST_SHOWN]]
    return ", ".join(listed) + (" ..." if len(counts) > len(listed) else "")


def person(user: str | EllipsisType | None) -> str:
    """A user for a message."""
    return "an anonymous user" if user is None else f"user {user!r}"
