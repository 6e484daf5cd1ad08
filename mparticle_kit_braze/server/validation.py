"""What Braze would refuse in an object for ``/users/track``, found before it is sent.

Each check returns a :class:`Finding`: the first rule that is broken (the object is held back), and the warnings
(Braze takes the object, but cuts something off). Source of the limits: Braze REST API, users/track and its objects.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .currencies import ISO_4217
from .ecommerce import broken_rule, is_recommended
from .values import MAX_TEXT, JsonObject, UnsupportedValueError, compact_json, is_time_text

__all__ = [
    "CONTROL_KEYS",
    "EVENT_RESERVED",
    "FINE",
    "MAX_PAYLOAD",
    "PURCHASE_RESERVED",
    "SUBSCRIPTION_STATES",
    "ArrayName",
    "Finding",
    "check",
    "is_long_id",
]

ArrayName = Literal["attributes", "events", "purchases"]

MAX_EXTERNAL_ID = 987
"""Longest external id, in bytes of UTF-8."""

MAX_PAYLOAD = 102_400
"""Largest properties, or nested attribute, with arrays or objects in it, in bytes. (Older pages say 50 KB.)"""

MAX_PROPERTIES = 256
"""Distinct properties of an event; Braze ignores what is over."""

SUBSCRIPTION_STATES = frozenset({"opted_in", "subscribed", "unsubscribed"})
EVENT_RESERVED = frozenset({"time", "event_name"})
PURCHASE_RESERVED = frozenset({"time", "product_id", "quantity", "event_name", "price", "currency"})

IDENTIFIERS = ("external_id", "user_alias", "braze_id")
CONTROL_KEYS = frozenset(
    {*IDENTIFIERS, "_update_existing_only", "_merge_objects", "push_token_import", "push_tokens", "subscription_groups"}
)
"""Keys of an attributes object that are no attributes."""

_NESTED = (list, tuple, Mapping)
_NESTED_KEY = re.compile(r"[ .$]")
"""What the keys of a nested attribute may not have in them."""

# Operators inside attribute values. Any other key there must not begin with a dollar sign.
_OPERATORS = frozenset({"$time", "$add", "$remove", "$update", "$identifier_key", "$identifier_value", "$new_object"})


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found.

    Attributes:
        rule: The broken rule for which the object is held back; ``None``: it can be sent.
        where: The field or key it is about (names only, never values).
        warnings: ``string_length``, ``array_length``, ``too_many_properties`` (Braze keeps only a part) or
            ``nested_dropped`` (it drops this nested attribute, and takes the rest of the object).
    """

    rule: str | None = None
    where: str = ""
    warnings: tuple[str, ...] = ()


FINE = Finding()
"""Nothing was found."""


class _BrokenError(Exception):
    def __init__(self, rule: str, where: str = "") -> None:
        super().__init__(rule, where)
        self.rule = rule
        self.where = where


def is_long_id(external_id: str) -> bool:
    """Whether an external id is longer than Braze takes."""
    return len(external_id.encode("utf-8", "replace")) > MAX_EXTERNAL_ID


def check(array: ArrayName, item: object, *, array_limit: int = 500) -> Finding:
    """Check one object of a request.

    Args:
        array: The array it is for.
        item: The object.
        array_limit: Longest array attribute the workspace keeps (25, 100 or 500, by contract and time).

    Returns:
        The first broken rule in a fixed order, or none, and the warnings.
    """
    try:
        warnings = _checked(array, item, array_limit)
        return Finding(warnings=warnings) if warnings else FINE
    except _BrokenError as broken:
        return Finding(broken.rule, broken.where)


def _checked(array: ArrayName, item: object, array_limit: int) -> tuple[str, ...]:
    if not isinstance(item, Mapping):
        raise _BrokenError("missing_field", "object")
    if array == "attributes":
        return _check_attributes(item, array_limit)
    _check_identifier(item)
    return _check_event(item) if array == "events" else _check_purchase(item)


# -- identifiers --------------------------------------------------------------------------------------------------
def _check_identifier(item: Mapping[str, Any]) -> None:
    if "user_alias" not in item and "braze_id" not in item:
        value = item.get("external_id")
        if type(value) is str and 0 < len(value) <= MAX_EXTERNAL_ID // 4:  # the common case, at once
            return
    given = [key for key in IDENTIFIERS if key in item and item[key] not in (None, "")]
    if len(given) > 1:
        raise _BrokenError("two_identifiers", given[1])
    if not given:
        if not any(isinstance(item.get(key), str) and item[key] for key in ("email", "phone")):
            raise _BrokenError("no_identifier")
        return
    value = item[given[0]]
    if given[0] == "user_alias":
        if not isinstance(value, Mapping):
            raise _BrokenError("no_identifier", "user_alias")
        for part in ("alias_name", "alias_label"):
            if not isinstance(value.get(part), str) or not value[part]:
                raise _BrokenError("missing_field", part)
    elif not isinstance(value, str):
        raise _BrokenError("no_identifier", given[0])
    elif given[0] == "external_id" and is_long_id(value):
        raise _BrokenError("external_id_too_long", "external_id")


# -- attributes ---------------------------------------------------------------------------------------------------
def _check_attributes(item: Mapping[str, Any], array_limit: int) -> tuple[str, ...]:
    warnings = []
    if item.get("push_token_import") is True:
        if not item.get("push_tokens") or any(item.get(key) is not None for key in ("external_id", "braze_id")):
            raise _BrokenError("push_token_import", "push_tokens")
    else:
        _check_identifier(item)
    for key, value in item.items():
        if key in CONTROL_KEYS:
            continue
        _check_key(key)
        if key in ("email_subscribe", "push_subscribe"):
            if not isinstance(value, str) or value not in SUBSCRIPTION_STATES:
                raise _BrokenError("subscription_state", key)
        elif isinstance(value, str):
            if len(value) > MAX_TEXT:
                warnings.append("string_length")
        elif isinstance(value, _NESTED):
            warnings.extend(_check_nested_attribute(key, value, array_limit))
    _check_push_tokens(item.get("push_tokens"))
    _check_subscription_groups(item.get("subscription_groups"))
    return tuple(warnings)


def _check_nested_attribute(key: str, value: Any, array_limit: int) -> set[str]:
    size = _size(value, key)  # first: what holds itself has no end
    warnings = _check_nested(value, operators=True)
    members = _members(value)
    if members is not None and (len(members) > array_limit or size > MAX_PAYLOAD):
        warnings.add("array_length")
    elif size > MAX_PAYLOAD:
        raise _BrokenError("payload_too_large", key)
    return warnings


def _members(value: Any) -> Sequence[Any] | None:
    """The members of an array of scalars, or those an array operation names; ``None`` for what is nested."""
    if isinstance(value, Mapping):
        value = next(iter(value.values())) if len(value) == 1 and value.keys() <= {"add", "remove"} else None
    flat = isinstance(value, (list, tuple)) and not any(isinstance(member, _NESTED) for member in value)
    return value if flat else None


def _check_push_tokens(tokens: Any) -> None:
    if tokens is None:
        return
    for given in tokens if isinstance(tokens, list) else [None]:
        token: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
        for field in ("app_id", "token"):
            if not isinstance(token.get(field), str) or not token[field]:
                raise _BrokenError("missing_field", f"push_tokens.{field}")
        device = token.get("device_id")
        if device is not None and not (isinstance(device, str) and 8 <= len(device.encode("utf-8", "replace")) <= 255):
            raise _BrokenError("device_id", "push_tokens.device_id")


def _check_subscription_groups(groups: Any) -> None:
    if groups is None:
        return
    for group in groups if isinstance(groups, list) else [None]:
        if not isinstance(group, Mapping) or not isinstance(group.get("subscription_group_id"), str):
            raise _BrokenError("missing_field", "subscription_groups.subscription_group_id")
        if group.get("subscription_state") not in ("subscribed", "unsubscribed"):
            raise _BrokenError("subscription_state", "subscription_groups.subscription_state")


# -- events and purchases -----------------------------------------------------------------------------------------
def _check_event(item: Mapping[str, Any]) -> tuple[str, ...]:
    name = _required_text(item, "name")
    _check_time(item)
    if len(name) > MAX_TEXT:
        raise _BrokenError("value_too_long", "name")
    properties = _properties(item)
    if is_recommended(name):
        rule = broken_rule(name, properties)
        if rule is not None:
            raise _BrokenError(rule, "properties")
        _check_size(properties)
        return ()
    return _check_properties(properties, EVENT_RESERVED)


def _check_purchase(item: Mapping[str, Any]) -> tuple[str, ...]:
    product_id = _required_text(item, "product_id")
    currency = _required_text(item, "currency")
    price = item.get("price")
    if isinstance(price, bool) or not isinstance(price, (int, float)):
        raise _BrokenError("missing_field", "price")
    _check_time(item)
    if len(product_id) > MAX_TEXT:
        raise _BrokenError("product_id_too_long", "product_id")
    if currency.upper() not in ISO_4217:
        raise _BrokenError("currency", "currency")
    quantity = item.get("quantity")
    if quantity is not None and (
        isinstance(quantity, bool) or not isinstance(quantity, int) or not 1 <= quantity <= 100
    ):
        raise _BrokenError("quantity_range", "quantity")
    return _check_properties(_properties(item), PURCHASE_RESERVED)


def _required_text(item: Mapping[str, Any], field: str) -> str:
    value = item.get(field)
    if not isinstance(value, str) or not value.strip():
        raise _BrokenError("missing_field", field)
    return value


def _check_time(item: Mapping[str, Any]) -> None:
    if not is_time_text(item.get("time")):
        raise _BrokenError("missing_field", "time")


def _properties(item: Mapping[str, Any]) -> JsonObject:
    properties = item.get("properties")
    if properties is None:
        return {}
    if not isinstance(properties, dict):
        raise _BrokenError("missing_field", "properties")
    return properties


def _check_properties(properties: Mapping[str, Any], reserved: frozenset[str]) -> tuple[str, ...]:
    nested = False
    for key, value in properties.items():
        if type(key) is not str or not key or len(key) > MAX_TEXT or key[0] == "$" or key[0].isspace():
            _check_key(key)  # only then is it worth a call
        if key.strip() in reserved:
            raise _BrokenError("reserved_key", key)
        kind = type(value)
        if kind is str:
            if len(value) > MAX_TEXT:
                raise _BrokenError("value_too_long", key)
        elif kind is int or kind is bool or kind is float:
            continue
        elif isinstance(value, str):
            _check_text(key, value)
        elif isinstance(value, _NESTED):
            nested = True
    if nested:
        _check_size(properties)
        for value in properties.values():
            if isinstance(value, _NESTED):
                _check_nested(value, operators=False)
    return ("too_many_properties",) if len(properties) > MAX_PROPERTIES else ()


def _check_size(properties: Mapping[str, Any]) -> None:
    if _size(properties, "properties") > MAX_PAYLOAD:
        raise _BrokenError("payload_too_large", "properties")


def _size(value: Any, where: str) -> int:
    try:
        return len(compact_json(value))
    except UnsupportedValueError:
        raise _BrokenError("not_json", where) from None


# -- keys and texts -----------------------------------------------------------------------------------------------
def _check_key(key: object) -> None:
    name = key.strip() if isinstance(key, str) else ""  # the API trims it
    if not name:
        raise _BrokenError("empty_key")
    if len(name) > MAX_TEXT:
        raise _BrokenError("key_too_long", f"{name[:20]}...")
    if name[0] == "$":
        raise _BrokenError("leading_dollar", name)


def _check_text(key: str, value: str) -> None:
    if len(value) > MAX_TEXT:
        raise _BrokenError("value_too_long", key)


def _check_nested(value: Any, *, operators: bool) -> set[str]:
    """Check what is inside a property, or (with ``operators``) an attribute, at every depth.

    Without recursion: a host's data may be deep. It has been written as JSON before, and so has an end.

    Returns:
        The warnings, for an attribute; a property is refused instead.
    """
    warnings = set()
    pending = [("array", value)]
    while pending:
        where, current = pending.pop()
        if isinstance(current, Mapping):
            for key, item in current.items():
                if not (operators and key in _OPERATORS):
                    _check_key(key)
                    if operators and _NESTED_KEY.search(key):
                        warnings.add("nested_dropped")
                pending.append((key, item))
        elif isinstance(current, (list, tuple)):
            pending.extend(("array", item) for item in current)
        elif isinstance(current, str) and len(current) > MAX_TEXT:
            if not operators:
                raise _BrokenError("value_too_long", where)
            warnings.add("string_length")
        elif current is None and operators:
            warnings.add("nested_dropped")
    return warnings
