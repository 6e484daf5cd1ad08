"""What the real SDK endpoint is known to be sent, as strict checks of one request to the ``data`` path.

Written from the observed wire format alone and sharing no code with the client, so that a mistake there
cannot excuse itself here. Every problem names the list and the index it was found at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from .event_checks import event_problem
from .values import CONTROL, JsonObject, alias_mark_problem, is_list_of_text, is_number, is_text, shown, user_id_problem

__all__ = ["RequestProblem", "check_body", "check_headers", "parse_json"]

MAX_PROBLEMS = 20  # of one request: enough to see a pattern, not enough to flood a log


@dataclass(frozen=True, slots=True)
class RequestProblem:
    """One reason for refusing a request.

    Attributes:
        where: ``headers``, ``body``, ``events`` or ``attributes``.
        index: The position in the list, for the last two.
        reason: One sentence.
    """

    where: str
    index: int | None
    reason: str

    def __str__(self) -> str:
        place = self.where if self.index is None else f"{self.where}[{self.index}]"
        return f"{place}: {self.reason}"


_DATE_OF_BIRTH = re.compile(r"-?\d+-\d{1,2}-\d{1,2}(T.*)?")
# What JavaScript takes for white space; Python's idea of it differs.
_PART = "[^@\\t-\\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff]+"
_EMAIL = re.compile(rf"{_PART}@{_PART}\.{_PART}")
_PHONE = re.compile(r"[0-9 +\-.()]+")
_WHOLE_NUMBER = re.compile(r"\d+")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def parse_json(raw: bytes) -> Any:
    """Parse strictly: UTF-8 and no ``NaN`` or ``Infinity``. Raises ``ValueError``."""
    return json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)


# -- attributes -----------------------------------------------------------------------------------------------------

_TEXT_ATTRIBUTES = frozenset(
    {"first_name", "last_name", "country", "home_city", "language", "native_line_id", "image_url", "bio"}
    | {"push_token", "custom_push_public_key", "custom_push_user_auth", "custom_push_vapid_public_key"}
    | {"foursquare", "foursquare_access_token"}
)
_SUBSCRIPTION_STATES = ("opted_in", "subscribed", "unsubscribed")
_OLD_ATTRIBUTES = frozenset({"facebook", "twitter"})  # objects in old clients
_STANDARD_ATTRIBUTES = _TEXT_ATTRIBUTES | _OLD_ATTRIBUTES | {"email", "phone", "gender", "dob"}


def _custom_problem(custom: object) -> str | None:
    if type(custom) is not dict:
        return f"custom must be an object, not {shown(custom)}"
    for key, value in custom.items():
        if CONTROL.search(key):
            return "custom has a key with a control character or a double quote"
        if type(value) is list and not (is_list_of_text(value) or all(type(item) is dict for item in value)):
            return f"custom.{key} must be a list of text or of objects, not {shown(value)}"
    return None


def _standard_problem(key: str, value: Any) -> str | None:
    """Check one standard field. ``None`` clears all of them but the subscription states."""
    if key in ("email_subscribe", "push_subscribe"):
        return None if value in _SUBSCRIPTION_STATES else f"must be one of {', '.join(_SUBSCRIPTION_STATES)}"
    if key not in _STANDARD_ATTRIBUTES:
        return "is unknown"
    if value is None or key in _OLD_ATTRIBUTES:
        return None
    if type(value) is not str:
        return "must be text or null"
    if key == "gender":
        return None if value in tuple("mfounp") else "must be one of m, f, o, u, n, p"
    if key == "dob":
        return None if _DATE_OF_BIRTH.fullmatch(value) else "must be year-month-day"
    if key == "email":
        return None if len(value) <= 256 and _EMAIL.fullmatch(value) else "must be an e-mail address"
    if key == "phone":
        return None if _PHONE.fullmatch(value) else "must be digits, space and + - . ( )"
    return None


def _attribute_problem(attributes: object) -> str | None:
    if type(attributes) is not dict:
        return f"must be an object, not {shown(attributes)}"
    if not attributes.keys() - {"user_id"}:
        return "has no attribute"
    for key, value in attributes.items():
        if key == "user_id":
            problem = user_id_problem(value)
        elif key == "custom":
            problem = _custom_problem(value)
        elif problem := _standard_problem(key, value):
            problem = f"{key} {problem}, it is {shown(value)}"
        if problem:
            return problem
    return None


# -- the request ----------------------------------------------------------------------------------------------------

_DEVICE_KEYS = frozenset(
    {"browser", "browser_version", "os_version", "locale", "time_zone", "user_agent", "resolution", "model"}
    | {"carrier", "roku_ad_id", "ad_tracking_enabled", "ios_idfv", "ios_idfa", "google_ad_id", "ios_push_auth"}
    | {"remote_notification_enabled"}
)
_METADATA_TAGS = frozenset({"gg", "mp", "sg", "tl", "npm", "wcd", "shp", "manu"})


def _respond_with_problem(value: object) -> str | None:
    if type(value) is not dict:
        return f"must be an object, not {shown(value)}"
    if unknown := value.keys() - {"triggers", "user_id", "config", "alias"}:
        return f"has unknown {', '.join(sorted(unknown))}"
    if "triggers" in value and type(value["triggers"]) is not bool:
        return "triggers must be a boolean"
    if "user_id" in value and (problem := user_id_problem(value["user_id"])):
        return problem
    if "alias" in value and (problem := alias_mark_problem(value["alias"])):
        return problem
    if "config" in value:
        config = value["config"]
        if type(config) is not dict or config.keys() != {"config_time"} or not is_number(config["config_time"]):
            return 'config must be {"config_time": number}'
    return None


def _device_problem(value: object) -> str | None:
    if type(value) is not dict:
        return f"must be an object, not {shown(value)}"
    unknown = value.keys() - _DEVICE_KEYS
    return f"has unknown {', '.join(sorted(unknown))}" if unknown else None


def _metadata_problem(value: object) -> str | None:
    if isinstance(value, list) and is_list_of_text(value) and _METADATA_TAGS.issuperset(value):
        return None
    return f"must be a list of known tags, not {shown(value)}"


def _text_problem(value: object) -> str | None:
    return None if is_text(value) else f"must be non-empty text, not {shown(value)}"


def _seconds_problem(value: object) -> str | None:
    return None if type(value) is int and value > 0 else f"must be whole seconds since 1970, not {shown(value)}"


def _version_code_problem(value: object) -> str | None:
    return None if type(value) is str and value.count(".") == 3 else "must be a four-part version as text"


_BODY_CHECKS: Mapping[str, Callable[[object], str | None]] = {
    "api_key": _text_problem,
    "sdk_version": _text_problem,
    "device_id": _text_problem,
    "time": _seconds_problem,
    "app_version": _text_problem,
    "app_version_code": _version_code_problem,
    "respond_with": _respond_with_problem,
    "user_id": user_id_problem,
    "alias": alias_mark_problem,
    "device": _device_problem,
    "sdk_metadata": _metadata_problem,
}
_BODY_NEEDS = ("api_key", "sdk_version", "device_id", "time")
_LISTS: Mapping[str, Callable[[object], str | None]] = {"events": event_problem, "attributes": _attribute_problem}


def check_body(body: object) -> list[RequestProblem]:
    """Check a parsed request body. An empty answer means that it is in order."""
    if type(body) is not dict:
        return [RequestProblem("body", None, f"must be an object, not {shown(body)}")]
    problems = [RequestProblem("body", None, f"lacks {key}") for key in _BODY_NEEDS if key not in body]
    for key, value in body.items():
        if key in _LISTS:
            problems += _list_problems(key, value)
        elif (check := _BODY_CHECKS.get(key)) is None:
            problems.append(RequestProblem("body", None, f"unknown field {key}"))
        elif reason := check(value):
            problems.append(RequestProblem("body", None, f"{key} {reason}"))
    return problems[:MAX_PROBLEMS]


def _list_problems(name: str, items: object) -> list[RequestProblem]:
    if type(items) is not list or not items:
        return [RequestProblem("body", None, f"{name} must be a list with members, or be left out")]
    check = _LISTS[name]
    problems: list[RequestProblem] = []
    for index, item in enumerate(items):
        if reason := check(item):
            problems.append(RequestProblem(name, index, reason))
            if len(problems) == MAX_PROBLEMS:
                break
    return problems


def check_headers(headers: Mapping[str, str], body: object, api_key: str | None) -> list[RequestProblem]:
    """Check the headers against each other and against the body.

    Args:
        headers: The request's headers; looking one up must ignore case.
        body: The parsed body, for the fields that the headers repeat.
        api_key: The only key that is known, or ``None`` when any will do.
    """
    fields: JsonObject = body if type(body) is dict else {}
    reasons = [*_plain_header_reasons(headers), *_key_reasons(headers, fields, api_key)]
    respond_with = fields.get("respond_with")
    wants_triggers = type(respond_with) is dict and respond_with.get("triggers") is True
    for name in ("X-Braze-TriggersRequest", "X-Braze-DataRequest"):
        sent = headers.get(name)
        if wants_triggers and sent != "true":
            reasons.append(f"{name} must be true: the body asks for triggers")
        elif not wants_triggers and sent is not None:
            reasons.append(f"{name} is only for requests that ask for triggers")
    return [RequestProblem("headers", None, reason) for reason in reasons]


def _plain_header_reasons(headers: Mapping[str, str]) -> list[str]:
    reasons = []
    if headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
        reasons.append("Content-Type must be application/json")
    if headers.get("Content-Encoding", "identity") != "identity":
        reasons.append("Content-Encoding: bodies are never compressed on the way up")
    if not _WHOLE_NUMBER.fullmatch(headers.get("X-Braze-Last-Req-Ms-Ago", "")):
        reasons.append("X-Braze-Last-Req-Ms-Ago must be whole milliseconds")
    attempt = headers.get("X-Braze-Req-Attempt", "")
    if not _WHOLE_NUMBER.fullmatch(attempt) or int(attempt) < 1:
        reasons.append("X-Braze-Req-Attempt must be a whole number from 1 up")
    tokens = headers.get("X-Braze-Req-Tokens-Remaining")
    if tokens is not None and not _WHOLE_NUMBER.fullmatch(tokens):
        reasons.append("X-Braze-Req-Tokens-Remaining must be a whole number")
    if headers.get("X-Braze-Auth-Signature") == "":
        reasons.append("X-Braze-Auth-Signature must not be empty")
    reasons.extend(
        f"{name} is not for the data path"
        for name in ("X-Braze-ContentCardsRequest", "X-Braze-FeatureFlagsRequest", "BRAZE-SYNC-RETRY-COUNT")
        if headers.get(name) is not None
    )
    return reasons


def _key_reasons(headers: Mapping[str, str], fields: JsonObject, api_key: str | None) -> list[str]:
    sent = headers.get("X-Braze-Api-Key")
    if not sent:
        return ["X-Braze-Api-Key is missing"]
    if "api_key" in fields and fields["api_key"] != sent:
        return ["X-Braze-Api-Key differs from api_key in the body"]
    return ["unknown api key"] if api_key is not None and sent != api_key else []
