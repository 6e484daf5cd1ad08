"""A client's calls as JSON, and JSON as a client's calls."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from ..commerce import (
    CommerceEvent,
    Impression,
    Product,
    ProductAction,
    Promotion,
    PromotionAction,
    TransactionAttributes,
)
from ..errors import InvalidArgumentError
from ..events import EventType

if TYPE_CHECKING:
    from ..client import MParticle

__all__ = ["CALLS", "Script", "make_call", "read_call", "read_script"]

JsonObject = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Script:
    """Calls in order, and what holds before the first of them.

    Attributes:
        calls: Each with its name under ``call`` and its arguments beside it.
        identities: Whom the app has identified before.
        settings: Kit settings that came with the calls.
    """

    calls: list[JsonObject]
    identities: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Form:
    """The arguments of a call in JSON, and how it is made."""

    needs: tuple[str, ...]
    takes: tuple[str, ...]
    make: Callable[[MParticle, JsonObject], object]


# -- reading --------------------------------------------------------------------------------------------------------
def read_script(document: object) -> Script:
    """Read one call, a list of calls, or an object with ``calls`` and perhaps ``identities`` and ``settings``.

    Raises:
        InvalidArgumentError: It is none of these. The message says which call is wrong, and what is accepted.
    """
    if isinstance(document, Mapping) and "calls" in document:
        return Script(
            _read_calls(document["calls"]),
            _object(document.get("identities"), "identities"),
            {**_object(document.get("kit_config"), "kit_config"), **_object(document.get("settings"), "settings")},
        )
    return Script(_read_calls([document] if isinstance(document, Mapping) else document))


def _read_calls(calls: object) -> list[JsonObject]:
    if not isinstance(calls, Sequence) or isinstance(calls, str | bytes):
        raise InvalidArgumentError(f"calls must be an object or a list of objects, not {_kind(calls)}")
    return [_numbered(number, call) for number, call in enumerate(calls, 1)]


def _numbered(number: int, call: object) -> JsonObject:
    try:
        return read_call(call)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"call {number}: {error}") from None


def read_call(call: object) -> JsonObject:
    """A call with its name spelt out and its arguments checked for presence.

    Raises:
        InvalidArgumentError: It is no call.
    """
    if not isinstance(call, Mapping):
        raise InvalidArgumentError(f'must be an object such as {{"call": "log_event", "name": ...}}, not {_kind(call)}')
    given = {str(key): value for key, value in call.items()}
    name = given.pop("call", "log_event" if "name" in given else None)
    if not isinstance(name, str):
        raise InvalidArgumentError('needs its name: {"call": "log_event", ...}')
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()  # logEvent
    form = CALLS.get(name)
    if form is None:
        raise InvalidArgumentError(f"there is no call {name[:40]!r}; there are {', '.join(CALLS)}")
    if name == "log_commerce_event" and "event" not in given:
        given = {"event": given}
    for needed in form.needs:
        if needed not in given:
            raise InvalidArgumentError(f"{name} needs {needed!r}")
    for key in given:
        if key not in form.needs and key not in form.takes:
            accepted = ", ".join((*form.needs, *form.takes))
            raise InvalidArgumentError(f"{name} takes no {key[:40]!r}; it takes {accepted}")
    return {"call": name, **given}


def make_call(client: MParticle, call: JsonObject) -> None:
    """Make a call that :func:`read_call` returned.

    Raises:
        InvalidArgumentError: The client does not take an argument. The message names the call.
    """
    try:
        CALLS[call["call"]].make(client, call)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"{call['call']}: {error}") from None
    except RecursionError:
        raise InvalidArgumentError(f"{call['call']}: its arguments are nested too deeply") from None


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else type(value).__name__)


def _object(value: object, what: str) -> JsonObject:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidArgumentError(f"{what} must be an object, not {_kind(value)}")
    return dict(value)


# -- values ---------------------------------------------------------------------------------------------------------
def _value(value: Any) -> Any:
    """An argument as a Python value: ``{"$date": "2020-01-02T03:04:05Z"}`` is a date-time."""
    if isinstance(value, list):
        return [_value(member) for member in value]
    if not isinstance(value, Mapping):
        return value
    if value.keys() == {"$date"}:
        return _date(value["$date"])
    if value.keys() == {"$year_minus"}:
        return dt.datetime.now(dt.timezone.utc).year - value["$year_minus"]
    if value.keys() == {"$repeat"}:
        text, count = value["$repeat"]
        return text * count
    return {key: _value(member) for key, member in value.items()}


def _date(text: object) -> dt.datetime:
    if isinstance(text, str):
        with contextlib.suppress(ValueError):
            found = dt.datetime.fromisoformat(re.sub(r"[Zz]$", "+00:00", text))
            return found if found.tzinfo is not None else found.replace(tzinfo=dt.timezone.utc)
    raise InvalidArgumentError('$date takes an ISO 8601 text such as "2020-01-02T03:04:05Z"')


def _attributes(call: JsonObject) -> Any:
    return _value(call.get("attributes"))


def _timestamp(call: JsonObject) -> Any:
    value = call.get("timestamp")
    return _date(value) if isinstance(value, str) else _value(value)


def _event_type(value: object) -> EventType:
    if value is None:
        return EventType.OTHER
    if isinstance(value, str):
        with contextlib.suppress(KeyError):
            return EventType[value.upper()]
        names = ", ".join(member.name.lower() for member in EventType)
        raise InvalidArgumentError(f"there is no event type {value[:40]!r}; there are {names}")
    return EventType.of(value)


# -- commerce -------------------------------------------------------------------------------------------------------
def _commerce_event(call: JsonObject) -> CommerceEvent:
    readers: dict[str, Callable[[Any], Any]] = {
        "product_action": lambda value: _action(ProductAction, value, "product_action"),
        "promotion_action": lambda value: _action(PromotionAction, value, "promotion_action"),
        "products": lambda value: [_made(Product, each, "product") for each in _members(value, "products")],
        "transaction": lambda value: _made(TransactionAttributes, value, "transaction"),
        "promotions": lambda value: [_made(Promotion, each, "promotion") for each in _members(value, "promotions")],
        "impressions": lambda value: [_impression(each) for each in _members(value, "impressions")],
        "timestamp": lambda value: _date(value) if isinstance(value, str) else value,
    }
    given = {
        key: readers[key](value) if key in readers else value
        for key, value in _given(_value(call["event"]), "event").items()
    }
    return _constructed(CommerceEvent, given, "event")


def _impression(fields: Any) -> Impression:
    given = _given(fields, "impression")
    products = [_made(Product, each, "product") for each in _members(given.get("products", []), "products")]
    return _constructed(Impression, {**given, "products": products}, "impression")


def _made(kind: Callable[..., Any], fields: Any, what: str) -> Any:
    return _constructed(kind, _given(fields, what), what)


def _constructed(kind: Callable[..., T], fields: JsonObject, what: str) -> T:
    try:
        return kind(**fields)
    except TypeError as error:  # a field that is missing or unknown, by Python's own message
        raise InvalidArgumentError(f"{what}: {str(error).partition('() ')[2] or error}") from None


def _given(fields: Any, what: str) -> JsonObject:
    """The fields that are not null, which is the same as absent."""
    return {key: value for key, value in _object(fields, what).items() if value is not None}


def _members(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise InvalidArgumentError(f"{what} must be a list, not {_kind(value)}")
    return value


def _action(kind: type[ProductAction | PromotionAction], value: object, what: str) -> Any:
    try:
        return kind(value)
    except ValueError:
        names = ", ".join(member.value for member in kind)
        raise InvalidArgumentError(f"{what} must be one of {names}") from None


# -- the calls ------------------------------------------------------------------------------------------------------
def _identity_call(name: str) -> _Form:
    def make(client: MParticle, call: JsonObject) -> None:
        getattr(client, name)(_object(call.get("identities"), "identities"))

    return _Form((), ("identities",), make)


def _consent(client: MParticle, call: JsonObject) -> None:
    client.set_consent(call["regulation"], call.get("purpose"), call["consented"])


#: Every call that has a JSON form.
CALLS: Mapping[str, _Form] = {
    "log_event": _Form(
        ("name",),
        ("type", "attributes", "timestamp"),
        lambda client, call: client.log_event(
            call["name"], _event_type(call.get("type")), _attributes(call), timestamp=_timestamp(call)
        ),
    ),
    "log_screen": _Form(
        ("name",),
        ("attributes",),
        lambda client, call: client.log_screen(call["name"], _attributes(call)),
    ),
    "log_commerce_event": _Form(("event",), (), lambda client, call: client.log_commerce_event(_commerce_event(call))),
    "set_user_attribute": _Form(
        ("key", "value"), (), lambda client, call: client.set_user_attribute(call["key"], _value(call["value"]))
    ),
    "set_user_attribute_list": _Form(
        ("key", "value"), (), lambda client, call: client.set_user_attribute_list(call["key"], _value(call["value"]))
    ),
    "set_user_tag": _Form(("key",), (), lambda client, call: client.set_user_tag(call["key"])),
    "increment_user_attribute": _Form(
        ("key",), ("value",), lambda client, call: client.increment_user_attribute(call["key"], call.get("value", 1))
    ),
    "remove_user_attribute": _Form(("key",), (), lambda client, call: client.remove_user_attribute(call["key"])),
    **{name: _identity_call(name) for name in ("identify", "login", "logout", "modify")},
    "set_consent": _Form(("regulation", "consented"), ("purpose",), _consent),
    "set_opt_out": _Form(("value",), (), lambda client, call: client.set_opt_out(call["value"])),
    "set_push_token": _Form(("token",), (), lambda client, call: client.set_push_token(call["token"])),
}
