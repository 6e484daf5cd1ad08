"""Rows of an imported file as objects for ``/users/track``.

Columns and keys that name an identity say who the row is about. ``event`` or ``event_name`` makes it an event, and so
does ``name`` beside a ``time`` (Braze's own form); ``product_id`` makes it a purchase; everything else is an attribute
or a property. Of the identities, only a user's row carries the email and the social accounts on to the profile: on
every event they would cost data points for nothing new.
"""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Container, Mapping
from typing import Any, NamedTuple

from ..identity import IdentityType
from .attributes import Refuse, attribute_fields, identity_fields
from .commerce import event_properties
from .settings import ServerSettings
from .validation import PURCHASE_RESERVED, ArrayName
from .values import JsonObject, detect, is_time_text, iso_time

__all__ = ["IDENTITY_COLUMNS", "RowError", "RowMapper"]

_IDENTITIES: Mapping[str, IdentityType] = {kind.value: kind for kind in IdentityType}

IDENTITY_COLUMNS = frozenset({"external_id", "mpid", *_IDENTITIES})
"""Columns that can name a user."""

_EVENT_NAMES = ("event", "event_name")
_RAW_NAME = "name"
_TIMES = ("time", "timestamp")
_NESTED = frozenset({"attributes", "properties", "user_attributes"})
_PURCHASE_FIELDS = ("product_id", "price", "currency", "quantity")

_FRACTION = re.compile(r"\.[0-9]+")
_NO_TIME = "the time is neither ISO 8601 nor a number of seconds"
_MOST_SHAPES = 1000


class RowError(Exception):
    """A row cannot be sent; the text says why, without its values."""


class _Shape(NamedTuple):
    """What the keys of a row say about it; rows of one file mostly share theirs."""

    users: tuple[str, ...]  # keys whose first value is the external id
    identities: tuple[tuple[str, IdentityType], ...]
    names: tuple[str, ...]
    times: tuple[str, ...]
    rest: tuple[str, ...]  # every key that names no identity
    nested: bool  # whether one of them may hold an object of attributes
    product: bool


class RowMapper:
    """Maps the rows of one file.

    Args:
        settings: The connection's settings.
        refuse: Told of single values that are left out of a row, and why.
    """

    def __init__(self, settings: ServerSettings, refuse: Refuse) -> None:
        self._settings = settings
        self._refuse = refuse
        self._year = time.gmtime().tm_year
        self._shapes: dict[tuple[str, ...], _Shape] = {}

    def map(self, values: Mapping[str, Any]) -> tuple[ArrayName, JsonObject]:
        """Map one row; empty values and nulls count as absent.

        Returns:
            The array the object is for, and the object.

        Raises:
            RowError: It names no user, its time cannot be read, or it says nothing.
            UnsupportedValueError: Its time lies outside the years 1 to 9999.
        """
        keys = tuple(values)
        shape = self._shapes.get(keys)
        if shape is None:
            shape = self._learn(keys)
        user = self._user(shape, values)
        if shape.product and values["product_id"] not in (None, ""):
            return "purchases", self._purchase(user, shape, values)
        for key in shape.names:
            name = values[key]
            if name not in (None, ""):
                if not isinstance(name, str):
                    raise RowError(f"{key} is not text")
                return "events", self._event(user, shape, key, values)
        return "attributes", self._attributes(user, shape, values)

    def _learn(self, keys: tuple[str, ...]) -> _Shape:
        kind = self._settings.user_identification_type
        own = "mpid" if isinstance(kind, str) else kind.value
        times = tuple(key for key in _TIMES if key in keys)
        names = [key for key in _EVENT_NAMES if key in keys]
        if _RAW_NAME in keys and (times or "properties" in keys):
            names.append(_RAW_NAME)
        shape = _Shape(
            users=tuple(key for key in ("external_id", own) if key in keys),
            identities=tuple((key, _IDENTITIES[key]) for key in keys if key in _IDENTITIES),
            names=tuple(names),
            times=times,
            rest=tuple(key for key in keys if key not in IDENTITY_COLUMNS),
            nested=not _NESTED.isdisjoint(keys),
            product="product_id" in keys,
        )
        if len(self._shapes) >= _MOST_SHAPES:
            self._shapes.clear()
        self._shapes[keys] = shape
        return shape

    def _user(self, shape: _Shape, values: Mapping[str, Any]) -> str:
        for key in shape.users:
            value = values[key]
            if value not in (None, ""):
                return _identity(key, value)
        raise RowError("the row names no user by the identity that is the external id")

    # -- the three sorts ----------------------------------------------------------------------------------------
    def _event(self, user: str, shape: _Shape, name: str, values: Mapping[str, Any]) -> JsonObject:
        moment = _filled(shape.times, values)
        event: JsonObject = {"external_id": user, "name": values[name], "time": _time(values, moment)}
        properties = event_properties(self._settings, _flat(shape, values, {name, moment}), self._refuse)
        if properties:
            event["properties"] = properties
        return event

    def _purchase(self, user: str, shape: _Shape, values: Mapping[str, Any]) -> JsonObject:
        moment = _filled(shape.times, values)
        purchase: JsonObject = {"external_id": user, "currency": "USD"}
        for key in _PURCHASE_FIELDS:
            value = values.get(key)
            if value not in (None, ""):
                purchase[key] = _purchase_field(key, value)
        purchase["product_id"] = str(purchase["product_id"])
        purchase["time"] = _time(values, moment)
        attributes = _flat(shape, values, {*_PURCHASE_FIELDS, moment})
        properties = event_properties(self._settings, attributes, self._refuse, reserved=PURCHASE_RESERVED)
        if properties:
            purchase["properties"] = properties
        return purchase

    def _attributes(self, user: str, shape: _Shape, values: Mapping[str, Any]) -> JsonObject:
        identities = {
            kind: _identity(key, values[key]) for key, kind in shape.identities if values[key] not in (None, "")
        }
        fields = identity_fields(self._settings, identities)
        for key, value in _flat(shape, values, ()).items():
            fields.update(attribute_fields(self._settings, key, value, self._refuse, year=self._year))
        if not fields:
            raise RowError("the row has nothing but its identity")
        return {"external_id": user, **fields}


def _identity(key: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise RowError(f"{key} is neither text nor a whole number")


def _purchase_field(key: str, value: Any) -> Any:
    if isinstance(value, str) and key != "product_id":
        value = value.strip() if key == "currency" else detect(value)
    # A column of numbers with gaps in it is written as 2.0 by many a tool.
    return int(value) if key == "quantity" and isinstance(value, float) and value.is_integer() else value


def _filled(keys: tuple[str, ...], values: Mapping[str, Any]) -> str | None:
    for key in keys:
        if values[key] not in (None, ""):
            return key
    return None


def _flat(shape: _Shape, values: Mapping[str, Any], used: Container[str | None]) -> JsonObject:
    """The attributes of a row, those in an ``attributes`` object beside the others."""
    flat: JsonObject = {
        key: value for key in shape.rest if (value := values[key]) is not None and value != "" and key not in used
    }
    if not shape.nested:
        return flat
    merged: JsonObject = {}
    for key, value in flat.items():
        merged.update(value if key in _NESTED and isinstance(value, Mapping) else {key: value})
    return merged


def _time(values: Mapping[str, Any], key: str | None) -> str:
    """The time of a row: ISO text, or seconds or milliseconds since the epoch; now if there is none."""
    value = values[key] if key is not None else time.time()
    if isinstance(value, str):
        if is_time_text(value):
            return value
        if ":" in value:
            return _python_time(value)
        value = detect(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise RowError(_NO_TIME)
    return iso_time(value / 1000 if abs(value) > 1e11 else value)


def _python_time(text: str) -> str:
    """A time as Python and databases write it (with a blank and a fraction of a second), which Braze does not read."""
    # The oldest Python supported wants six digits, and no Z.
    whole = _FRACTION.sub(lambda match: f"{match[0]:0<7.7}", text.strip().replace("Z", "+00:00"), count=1)
    try:
        return iso_time(dt.datetime.fromisoformat(whole))
    except ValueError:
        raise RowError(_NO_TIME) from None
