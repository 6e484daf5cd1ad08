"""Checking what the app passes: a call that can never be right says so at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from ...errors import InvalidArgumentError

__all__ = ["checked", "checked_all"]

Kind = TypeVar("Kind")


def checked(value: Any, kind: type[Kind], name: str = "") -> Kind:
    """The value if it is of that kind.

    Raises:
        InvalidArgumentError: It is of another.
    """
    if not isinstance(value, kind):
        raise InvalidArgumentError(f"{name or 'argument'} must be {_named(kind)}, not {type(value).__name__}")
    return value


def checked_all(values: Any, kind: type[Kind], name: str = "") -> tuple[Kind, ...]:
    """One value of that kind, or all of a collection.

    Raises:
        InvalidArgumentError: There is anything else.
    """
    if isinstance(values, kind):
        return (values,)
    if not isinstance(values, Iterable):
        what = f"{_named(kind)} or a collection of such"
        raise InvalidArgumentError(f"{name or 'argument'} must be {what}, not {type(values).__name__}")
    return tuple(checked(value, kind, name) for value in values)


def _named(kind: type[object]) -> str:
    return "text" if kind is str else f"a {kind.__name__}"
