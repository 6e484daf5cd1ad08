"""The property filters of a trigger: what the server wrote, compiled to predicates over one event's properties.

The rules are those of the Web SDK. It decides by the value an event has: a number is compared as a number, text
as text; the declared type matters for dates only, and a date declared otherwise is compared as its text.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, timezone
from typing import Any, NamedTuple

from ...locks import importing
from ..encoding import plain_scalar, short_date
from ..refusal import Refused

__all__ = ["Moment", "PropertyFilters", "Unlike", "comparable_properties", "compile_filters"]

MAX_PATTERN_LENGTH = 4096

Predicate = Callable[[Any, float], bool]
"""Takes the property's comparable value (``None`` if absent) and the present time, seconds since the epoch."""
PropertyFilters = tuple[tuple[tuple[str, Predicate], ...], ...]
"""Groups that must all be met, each by at least one of its alternatives: a key and what its value must satisfy."""


class Moment(NamedTuple):
    """A date among the properties: seconds since the epoch, and the text it is sent as."""

    seconds: float
    text: str


class Unlike:
    """Stands for a value that is there but is neither text, number, boolean nor date."""

    __slots__ = ()


UNLIKE = Unlike()


def comparable_properties(properties: Mapping[Any, Any]) -> dict[Any, Any]:
    """The properties as filters see them; those that are null or cannot be sent are absent."""
    return {key: found for key, value in properties.items() if (found := _comparable(value)) is not None}


def _comparable(value: Any) -> Any:
    kind = type(value)
    if kind is str or kind is int or kind is bool:
        return value
    try:
        value = plain_scalar(value)
    except Refused:
        return None
    if isinstance(value, date):
        return _moment(value)
    return UNLIKE if isinstance(value, dict | list) else value


def _moment(value: date) -> Moment | None:
    try:
        text = short_date(value)
        return Moment(datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp(), text)
    except (Refused, ValueError, OverflowError):
        return None


def compile_filters(raw: object) -> PropertyFilters | None:
    """Compile ``property_filters``.

    Args:
        raw: A list (all must be met) of lists (one must be met) of filters. An empty outer list is met, an
            empty inner list is not.

    Returns:
        The compiled filters; ``None`` if they can never be met.
    """
    if not isinstance(raw, list):
        return None
    groups = []
    for alternatives in raw:
        if not isinstance(alternatives, list):
            return None
        group = tuple(filter(None, map(_compile, alternatives)))
        if not group:
            return None
        groups.append(group)
    return tuple(groups)


def _compile(raw: object) -> tuple[str, Predicate] | None:
    """One filter as a key and a predicate; ``None`` if it can never be met."""
    if not isinstance(raw, Mapping):
        return None
    key, comparator = raw.get("property_key"), raw.get("comparator")
    if not isinstance(key, str) or not isinstance(comparator, int) or isinstance(comparator, bool):
        return None
    make = _MAKERS.get(comparator)
    predicate = make(raw.get("property_value"), raw.get("property_type") == "date") if make else None
    return None if predicate is None else (key, predicate)


# -- one maker per comparator: (the filter's value, whether it is declared a date) -> predicate ----------------------


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _equals(wanted: Any, declared_date: bool) -> Predicate | None:
    if isinstance(wanted, str):
        if declared_date:
            return lambda value, _now: value.__class__ is str and value == wanted
        return lambda value, _now: value == wanted or (value.__class__ is Moment and value.text == wanted)
    if isinstance(wanted, bool):
        return lambda value, _now: value is wanted
    if _is_number(wanted):
        return lambda value, _now: value == wanted and (value.__class__ is int or value.__class__ is float)
    return None


def _differs(wanted: Any, declared_date: bool) -> Predicate | None:
    # Also true for a property that is absent or of another type, and for every date declared as one.
    equals = _equals(wanted, declared_date)
    return (lambda _value, _now: True) if equals is None else (lambda value, now: not equals(value, now))


def _ordered(
    compare: Callable[[Any, Any], bool], compare_date: Callable[[float, float, float], bool]
) -> Callable[[Any, bool], Predicate | None]:
    """A maker for ``>``, ``>=``, ``<`` or ``<=``; ``compare_date`` takes the date, the filter's value and now."""

    def make(wanted: Any, declared_date: bool) -> Predicate | None:
        if isinstance(wanted, str):
            return _text_order(compare, wanted, declared_date)
        if not _is_number(wanted):
            return None

        def number_order(value: Any, now: float) -> bool:
            kind = value.__class__
            if kind is int or kind is float:
                return compare(value, wanted)
            return declared_date and kind is Moment and compare_date(value.seconds, wanted, now)

        return number_order

    return make


def _text_order(compare: Callable[[Any, Any], bool], wanted: str, declared_date: bool) -> Predicate:
    units = _code_units(wanted)

    def order(value: Any, _now: float) -> bool:
        if value.__class__ is Moment and not declared_date:
            value = value.text
        return value.__class__ is str and compare(_code_units(value), units)

    return order


def _code_units(text: str) -> bytes:
    """Texts order by their UTF-16 code units in the Web SDK, which differs beyond U+FFFF."""
    return text.encode("utf-16-be", "surrogatepass")


def _matches(wanted: Any, declared_date: bool) -> Predicate | None:
    pattern = _pattern(wanted)
    if pattern is None:
        return None

    def matches(value: Any, _now: float) -> bool:
        if value.__class__ is Moment and not declared_date:
            value = value.text
        return value.__class__ is str and pattern.search(value) is not None

    return matches


def _does_not_match(wanted: Any, declared_date: bool) -> Predicate | None:
    matches = _matches(wanted, declared_date)
    return (lambda _value, _now: True) if matches is None else (lambda value, now: not matches(value, now))


def _pattern(wanted: Any) -> re.Pattern[str] | None:
    """The expression, which is written in JavaScript's syntax; ``None`` if it is invalid."""
    if not isinstance(wanted, str) or len(wanted) > MAX_PATTERN_LENGTH:
        return None
    with importing.held:
        from .expressions import in_python  # noqa: PLC0415 - seldom needed

    return in_python(wanted)


def _exists(_wanted: Any, _declared_date: bool) -> Predicate:
    return lambda value, _now: value is not None


def _is_missing(_wanted: Any, _declared_date: bool) -> Predicate:
    return lambda value, _now: value is None


def _sooner_than(wanted: Any, _declared_date: bool) -> Predicate | None:
    return (
        (lambda value, now: value.__class__ is Moment and value.seconds < now + wanted) if _is_number(wanted) else None
    )


def _later_than(wanted: Any, _declared_date: bool) -> Predicate | None:
    return (
        (lambda value, now: value.__class__ is Moment and value.seconds > now + wanted) if _is_number(wanted) else None
    )


_MAKERS: Mapping[int, Callable[[Any, bool], Predicate | None]] = {
    1: _equals,
    2: _differs,
    3: _ordered(operator.gt, lambda at, wanted, _now: at > wanted),
    4: _ordered(operator.ge, lambda at, wanted, now: at >= now - wanted),
    5: _ordered(operator.lt, lambda at, wanted, _now: at < wanted),
    6: _ordered(operator.le, lambda at, wanted, now: at <= now - wanted),
    10: _matches,
    11: _exists,
    12: _is_missing,
    15: _sooner_than,
    16: _later_than,
    17: _does_not_match,
}
"""By the comparator's number. The others (in, not in, all, circles, polygons) never match in the Web SDK."""
