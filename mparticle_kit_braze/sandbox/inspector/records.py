"""A request taken apart: what it brought, one entry for the request and one for each record in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..mparticle import is_for_mparticle
from ..recorder import SandboxRequest
from ..rest import REST_PATHS
from ..values import JsonObject
from .descriptions import description_of
from .points import attribute_cost, event_cost

__all__ = ["records_of", "request_entry"]

_KINDS = {
    **dict.fromkeys(("ss", "se"), "session"),
    "ce": "event",
    "p": "purchase",
    **dict.fromkeys(("set", "add", "rem", "inc", "ncam", "lcaa", "lcar"), "attribute"),
    **dict.fromkeys(("si", "iec", "sc", "sbc", "cci", "ccc", "ccd", "ffi"), "message"),
    **dict.fromkeys(("bi", "bc", "bd", "pc", "ca", "i", "ci", "cc"), "message"),
}
_LABELS = {
    "ss": "Session start",
    "se": "Session end",
    "lr": "Last known location",
    "ie": "Internal error",
    "si": "In-app message shown",
    "iec": "Control message",
    "sc": "In-app message clicked",
    "sbc": "In-app message button clicked",
    "cci": "Content card shown",
    "ccc": "Content card clicked",
    "ccd": "Content card dismissed",
    "ffi": "Feature flag used",
    "bi": "Banner shown",
    "bc": "Banner clicked",
    "bd": "Banner dismissed",
    "pc": "Push opened",
}
_REST_USERS = ("external_id", "user_alias", "braze_id", "_update_existing_only", "_merge_objects")
_REST_CODES = {"events": "ce", "purchases": "p"}


def request_entry(request: SandboxRequest, number: int) -> JsonObject:
    """The request itself: how the client's delivery goes, what became of it, and its body if it holds no records."""
    headers = request.headers
    body = request.body if isinstance(request.body, dict) else {}
    source = _source(request)
    entry = {
        "t": "request",
        "number": number,
        "at": request.time,
        "path": request.path,
        "source": source,
        "status": request.status,
        "state": _state(request),
        "records": sum(1 for _ in _items(body, source)),
        "bytes": len(request.raw),
        "attempt": _number(headers.get("X-Braze-Req-Attempt")),
        "tokens": _number(headers.get("X-Braze-Req-Tokens-Remaining")),
        "since_last_ms": _number(headers.get("X-Braze-Last-Req-Ms-Ago")),
        "problems": [str(problem) for problem in request.problems],
        "device": _text(body.get("device_id")),
        "sdk": _text(body.get("sdk_version")),
        "tags": body.get("sdk_metadata"),
    }
    if source == "mparticle":
        entry["wire"] = request.body
    return entry


def records_of(request: SandboxRequest, number: int) -> Iterator[JsonObject]:
    """The records that were taken in, and those for which a request was refused."""
    wrong = {(problem.where, problem.index): problem.reason for problem in request.problems}
    body = request.body if isinstance(request.body, dict) else {}
    source, device = _source(request), _text(body.get("device_id"))
    for where, index, item in _items(body, source):
        reason = wrong.get((where, index), "")
        if not (request.recorded or reason):
            continue
        for part in _parts(where, item, source) if not reason else [_broken(where, item)]:
            record = {
                "t": "record",
                "at": request.time,
                "request": number,
                "source": source,
                "list": where,
                "index": index,
                "device": device,
                "state": "refused" if reason else "accepted",
                "reason": reason,
                "told": False,
                "profile": None,
                "call": None,
                **part,
            }
            text, likely = ("", "") if reason else description_of(record)
            record["rule"] = {"text": text}
            record["likely"] = likely
            yield record


def _items(body: JsonObject, source: str) -> Iterator[tuple[str, int, Any]]:
    """The members of the lists, attributes first: they are applied first. Nothing sent to mParticle is a record."""
    for where in ("attributes", "events", "purchases") if source != "mparticle" else ():
        items = body.get(where)
        for index, item in enumerate(items if isinstance(items, list) else ()):
            yield where, index, item


def _parts(where: str, item: JsonObject, source: str) -> Iterator[JsonObject]:
    if where == "attributes":
        yield from _attributes(item, source)
    elif source == "rest":
        yield _rest_event(where, item)
    else:
        yield _event(item)


def _event(event: JsonObject) -> JsonObject:
    code, data = event["name"], event["data"]
    kind, points = event_cost(event)
    named = data.get("n") or data.get("pid") or data.get("key") or data.get("l") or data.get("group_id")
    return {
        "time": event["time"],
        "kind": _KINDS.get(code, "other"),
        "code": code,
        "name": str(named or _LABELS.get(code, code)),
        "user": event.get("user_id"),
        "cost": kind,
        "points": points,
        "wire": event,
    }


def _attributes(attributes: JsonObject, source: str) -> Iterator[JsonObject]:
    """One part for each attribute: each has its own price and its own call."""
    users = _REST_USERS if source == "rest" else ("user_id",)
    user = _rest_user(attributes) if source == "rest" else attributes.get("user_id")
    owner = {key: attributes[key] for key in users if key in attributes}
    for key, value in attributes.items():
        if key == "custom" and isinstance(value, dict):
            for name, custom in value.items():
                yield _attribute("custom", name, custom, user, {**owner, "custom": {name: custom}})
        elif key not in users:
            yield _attribute("standard", key, value, user, {**owner, key: value})


def _attribute(code: str, key: str, value: Any, user: str | None, wire: JsonObject) -> JsonObject:
    kind, points = attribute_cost(key, value, custom=code == "custom")
    return {
        "time": None,
        "kind": "attribute",
        "code": code,
        "name": key,
        "user": user,
        "cost": kind,
        "points": points,
        "wire": wire,
    }


def _rest_event(where: str, item: JsonObject) -> JsonObject:
    code = _REST_CODES[where]
    return {
        "time": None,
        "kind": _KINDS[code],
        "code": code,
        "name": str(item.get("name") or item.get("product_id") or ""),
        "user": _rest_user(item),
        "cost": "custom_events" if code == "ce" else "purchases",
        "points": 1,
        "wire": item,
    }


def _broken(where: str, item: Any) -> JsonObject:
    """What was refused: nothing about it can be relied on."""
    fields = item if isinstance(item, dict) else {}
    data = fields.get("data")
    named = data.get("n") or data.get("pid") or data.get("key") if isinstance(data, dict) else None
    code = _text(fields.get("name")) or ""
    return {
        "time": None,
        "kind": "attribute" if where == "attributes" else _KINDS.get(code, "other"),
        "code": code,
        "name": _text(named) or code or where,
        "user": _text(fields.get("user_id")) or _text(fields.get("external_id")),
        "cost": "",
        "points": 0,
        "wire": item,
    }


def _rest_user(item: JsonObject) -> str | None:
    """Whose object it is, by any of the ids that the REST API takes."""
    alias = item.get("user_alias")
    name = alias.get("alias_name") if isinstance(alias, dict) else None
    return _text(item.get("external_id")) or _text(name) or _text(item.get("braze_id")) or _text(item.get("email"))


def _source(request: SandboxRequest) -> str:
    if is_for_mparticle(request.method, request.path):
        return "mparticle"
    return "rest" if request.path.partition("?")[0] in REST_PATHS else "sdk"


def _state(request: SandboxRequest) -> str:
    if request.recorded:
        return "accepted"
    return "refused" if request.problems else "failed"


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 16 else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
