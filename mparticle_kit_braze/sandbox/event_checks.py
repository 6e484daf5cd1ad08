"""What an event must look like on the wire: one check for each event code."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from .values import (
    CONTROL,
    JsonObject,
    alias_mark_problem,
    is_list_of_text,
    is_number,
    is_text,
    name_problem,
    properties_problem,
    shown,
    user_id_problem,
    within,
)

__all__ = ["EVENT_CODES", "event_problem"]

DataCheck = Callable[[JsonObject], "str | None"]

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_PRICE = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")


def _only(data: JsonObject, required: frozenset[str], optional: frozenset[str] = frozenset()) -> str | None:
    keys = data.keys()
    if missing := required - keys:
        return f"data lacks {', '.join(sorted(missing))}"
    if unknown := keys - required - optional:
        return f"data has unknown {', '.join(sorted(unknown))}"
    return None


def _shape(*required: str, optional: tuple[str, ...] = ()) -> Callable[[DataCheck], DataCheck]:
    """Give a check its required and optional keys; the body then only looks at types."""
    needed, allowed = frozenset(required), frozenset(optional)
    everything = needed | allowed

    def decorate(check: DataCheck) -> DataCheck:
        def checked(data: JsonObject) -> str | None:
            keys = data.keys()
            if not (needed <= keys <= everything):
                return _only(data, needed, allowed)
            return check(data)

        return checked

    return decorate


@_shape()
def _session_start(_data: JsonObject) -> str | None:
    return None


@_shape("d")
def _session_end(data: JsonObject) -> str | None:
    return None if is_number(data["d"]) and data["d"] >= 0 else f"data.d must be seconds, not {shown(data['d'])}"


@_shape("n", optional=("p",))
def _custom_event(data: JsonObject) -> str | None:
    return name_problem("data.n", data["n"]) or (properties_problem("data.p", data["p"]) if "p" in data else None)


@_shape("pid", "c", "p", "q", optional=("pr",))
def _purchase(data: JsonObject) -> str | None:
    if problem := name_problem("data.pid", data["pid"]):
        return problem
    currency, price, quantity = data["c"], data["p"], data["q"]
    if type(currency) is not str or not _CURRENCY.fullmatch(currency):
        return f"data.c must be three capital letters, not {shown(currency)}"
    if not (is_number(price) or (type(price) is str and _PRICE.fullmatch(price))):
        return f"data.p must be a number or a number as text, not {shown(price)}"
    if type(quantity) is not int or not 1 <= quantity <= 100:
        return f"data.q must be a whole number from 1 to 100, not {shown(quantity)}"
    return properties_problem("data.pr", data["pr"]) if "pr" in data else None


def _key_problem(data: JsonObject) -> str | None:
    key = data["key"]
    if type(key) is not str:
        return f"data.key must be text, not {shown(key)}"
    return "data.key holds a control character or a double quote" if CONTROL.search(key) else None


@_shape("key", "value")
def _array_set(data: JsonObject) -> str | None:
    if problem := _key_problem(data):
        return problem
    return None if is_list_of_text(data["value"]) else f"data.value must be a list of text, not {shown(data['value'])}"


@_shape("key", "value")
def _array_member(data: JsonObject) -> str | None:
    if problem := _key_problem(data):
        return problem
    return None if type(data["value"]) is str else f"data.value must be text, not {shown(data['value'])}"


@_shape("key", "value")
def _increment(data: JsonObject) -> str | None:
    if problem := _key_problem(data):
        return problem
    return None if type(data["value"]) is int else f"data.value must be a whole number, not {shown(data['value'])}"


@_shape("key", "value")
def _nested_merge(data: JsonObject) -> str | None:
    if problem := _key_problem(data):
        return problem
    return None if type(data["value"]) is dict else f"data.value must be an object, not {shown(data['value'])}"


def _coordinates_problem(data: JsonObject) -> str | None:
    if not within(data["latitude"], 90):
        return f"data.latitude must be from -90 to 90, not {shown(data['latitude'])}"
    if not within(data["longitude"], 180):
        return f"data.longitude must be from -180 to 180, not {shown(data['longitude'])}"
    return None


@_shape("key", "latitude", "longitude")
def _custom_location(data: JsonObject) -> str | None:
    return _key_problem(data) or _coordinates_problem(data)


@_shape("key")
def _custom_location_removed(data: JsonObject) -> str | None:
    return _key_problem(data)


@_shape("latitude", "longitude", optional=("altitude", "ll_accuracy", "alt_accuracy"))
def _location(data: JsonObject) -> str | None:
    if problem := _coordinates_problem(data):
        return problem
    if "altitude" in data and not is_number(data["altitude"]):
        return f"data.altitude must be a number, not {shown(data['altitude'])}"
    for key in ("ll_accuracy", "alt_accuracy"):
        if key in data and not (is_number(data[key]) and data[key] >= 0):
            return f"data.{key} must be a number from 0 up, not {shown(data[key])}"
    return None


@_shape("a", "l")
def _alias(data: JsonObject) -> str | None:
    return None if is_text(data["a"]) and is_text(data["l"]) else "data.a and data.l must be non-empty text"


@_shape("group_id", "status")
def _subscription_group(data: JsonObject) -> str | None:
    if not is_text(data["group_id"]):
        return "data.group_id must be non-empty text"
    if data["status"] not in ("subscribed", "unsubscribed"):
        return f"data.status must be subscribed or unsubscribed, not {shown(data['status'])}"
    return None


def _ids_problem(data: JsonObject, key: str) -> str | None:
    ids = data[key]
    if not (is_list_of_text(ids) and ids and all(ids)):
        return f"data.{key} must be a list of ids, not {shown(ids)}"
    return None


@_shape("trigger_ids")
def _message(data: JsonObject) -> str | None:
    return _ids_problem(data, "trigger_ids")


@_shape("trigger_ids", "bid")
def _message_button(data: JsonObject) -> str | None:
    if type(data["bid"]) not in (int, str):
        return f"data.bid must be a number or text, not {shown(data['bid'])}"
    return _ids_problem(data, "trigger_ids")


@_shape("ids")
def _cards(data: JsonObject) -> str | None:
    return _ids_problem(data, "ids")


@_shape("fid", "fts")
def _flag_impression(data: JsonObject) -> str | None:
    return None if is_text(data["fid"]) and is_text(data["fts"]) else "data.fid and data.fts must be non-empty text"


@_shape("id", optional=("bid",))
def _banner_click(data: JsonObject) -> str | None:
    if "bid" in data and type(data["bid"]) not in (int, str):
        return f"data.bid must be a number or text, not {shown(data['bid'])}"
    return None if is_text(data["id"]) else "data.id must be non-empty text"


@_shape("id")
def _banner_dismissal(data: JsonObject) -> str | None:
    return None if is_text(data["id"]) else "data.id must be non-empty text"


@_shape("e")
def _internal_error(data: JsonObject) -> str | None:
    return None if type(data["e"]) is str else f"data.e must be text, not {shown(data['e'])}"


def _anything(_data: JsonObject) -> str | None:
    return None  # a code of old clients whose fields are not public


_EVENT_CHECKS: Mapping[str, DataCheck] = {
    "ss": _session_start,
    "se": _session_end,
    "ce": _custom_event,
    "p": _purchase,
    "set": _array_set,
    "add": _array_member,
    "rem": _array_member,
    "inc": _increment,
    "ncam": _nested_merge,
    "lcaa": _custom_location,
    "lcar": _custom_location_removed,
    "lr": _location,
    "uae": _alias,
    "sgu": _subscription_group,
    "si": _message,
    "iec": _message,
    "sc": _message,
    "sbc": _message_button,
    "cci": _cards,
    "ccc": _cards,
    "ccd": _cards,
    "ffi": _flag_impression,
    "bi": _cards,
    "bc": _banner_click,
    "bd": _banner_dismissal,
    "ie": _internal_error,
    "pc": _anything,
    "ca": _anything,
    "i": _anything,
    "ci": _anything,
    "cc": _anything,
}

EVENT_CODES = frozenset(_EVENT_CHECKS)
"""Every event code the endpoint takes."""

_EVENT_NEEDS = frozenset({"name", "time", "data", "session_id"})
_EVENT_KEYS = _EVENT_NEEDS | {"user_id", "alias"}


def event_problem(event: object) -> str | None:
    """What is wrong with one member of ``events``; ``None`` if nothing is."""
    if type(event) is not dict:
        return f"must be an object, not {shown(event)}"
    keys = event.keys()
    if not (_EVENT_NEEDS <= keys <= _EVENT_KEYS):
        if missing := _EVENT_NEEDS - keys:
            return f"lacks {', '.join(sorted(missing))}"
        return f"has unknown {', '.join(sorted(keys - _EVENT_KEYS))}"
    code, data, session = event["name"], event["data"], event["session_id"]
    check = _EVENT_CHECKS.get(code) if type(code) is str else None
    if check is None:
        return f"unknown event code {shown(code)}"
    if not (is_number(event["time"]) and event["time"] > 0):
        return f"time must be seconds since 1970, not {shown(event['time'])}"
    if type(session) is not str or not _UUID.fullmatch(session):
        return f"session_id must be a lower-case UUID, not {shown(session)}"
    if "user_id" in keys:
        if problem := user_id_problem(event["user_id"]):
            return problem
        if "alias" in keys:
            return "has both user_id and alias: the alias mark is for anonymous users"
    elif "alias" in keys and (problem := alias_mark_problem(event["alias"])):
        return problem
    if type(data) is not dict:
        return f"data must be an object, not {shown(data)}"
    if problem := check(data):
        return f"{code}: {problem}"
    return None
