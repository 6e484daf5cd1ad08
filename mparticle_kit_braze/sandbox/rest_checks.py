"""What Braze's REST API refuses: one object of ``/users/track``, or one member of another endpoint's list.

Written from Braze's documents, sharing no code with the client. A reason is Braze's own code or text where one is
known; which of its push token codes means what is not published, so their choice here is a reading.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from .rest_currencies import CURRENCIES
from .values import JsonObject, is_text, within

__all__ = ["MAX_PROPERTIES_BYTES", "change_problem", "object_problem", "size_problem", "users_of"]

Check = Callable[[Any], "str | None"]

NO_IDENTIFIER = "'external_id' or 'braze_id' or 'user_alias' is required"
BAD_KEY = "a key is empty, too long or begins with $"
ID_TOO_LARGE = "EXTERNAL_USER_ID_TOO_LARGE"

MAX_ID_BYTES = 987
MAX_NAME = 255
MAX_PROPERTIES_BYTES = 102_400  # 50 KB in older pages
SURE_TO_FIT = MAX_ID_BYTES // 4  # characters: none takes more than four bytes

EVENT_RESERVED = frozenset({"time", "event_name"})
PURCHASE_RESERVED = EVENT_RESERVED | {"product_id", "quantity", "price", "currency"}
GROUP_STATES = ("subscribed", "unsubscribed")
SUBSCRIPTION_STATES = ("opted_in", *GROUP_STATES)


def object_problem(array: str, item: Any) -> str | None:
    """Why Braze refuses an object of one of the three arrays of ``/users/track``; ``None`` if it takes it."""
    return _OBJECTS[array](item) if type(item) is dict else "an object is expected"


def size_problem(array: str, item: Any) -> str | None:
    """Whether the properties of an event or a purchase, with arrays or objects in them, are too large.

    Apart from the other checks: only in a request that is large itself can this be.
    """
    properties = item.get("properties") if array != "attributes" and type(item) is dict else None
    if type(properties) is not dict or not any(type(value) in (dict, list) for value in properties.values()):
        return None
    written = json.dumps(properties, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return "'properties' with arrays or objects take up to 100 KB" if len(written) > MAX_PROPERTIES_BYTES else None


def change_problem(name: str, item: Any) -> str | None:
    """Why Braze refuses a member of a list of another endpoint, given by the list's name; ``None`` if it takes it."""
    return _MEMBERS[name](item)


def users_of(group: JsonObject) -> int:
    """How many users a subscription change names."""
    return sum(len(group.get(key) or ()) for key in _GROUP_USERS)


# -- identifiers --------------------------------------------------------------------------------------------------
def _external_id_problem(value: Any) -> str | None:
    if not is_text(value):
        return "'external_id' is required"
    too_large = len(value) > SURE_TO_FIT and len(value.encode("utf-8", "replace")) > MAX_ID_BYTES
    return ID_TOO_LARGE if too_large else None


def _alias_problem(value: Any) -> str | None:
    if type(value) is dict and is_text(value.get("alias_name")) and is_text(value.get("alias_label")):
        return None
    return "'user_alias' is an object with 'alias_name' and 'alias_label'"


_PRIMARY = ("external_id", "braze_id", "user_alias")


def _identifier_problem(item: JsonObject) -> str | None:
    external_id = item.get("external_id")
    others = "braze_id" in item or "user_alias" in item
    if not others and type(external_id) is str and 0 < len(external_id) <= SURE_TO_FIT:  # nearly all
        return None
    given = [key for key in _PRIMARY if item.get(key)]
    if len(given) > 1:
        return "only one of 'external_id', 'braze_id' and 'user_alias' may be given"
    if not given:
        return None if is_text(item.get("email")) or is_text(item.get("phone")) else NO_IDENTIFIER
    if given[0] == "user_alias":
        return _alias_problem(item["user_alias"])
    if not is_text(item[given[0]]):
        return NO_IDENTIFIER
    return _external_id_problem(external_id) if given[0] == "external_id" else None


# -- events and purchases -----------------------------------------------------------------------------------------
def _event_problem(item: JsonObject) -> str | None:
    return (
        _identifier_problem(item)
        or _name_problem("name", item.get("name"))
        or (None if is_text(item.get("time")) else "'time' is required")
        or _properties_problem(item.get("properties"), EVENT_RESERVED)
    )


def _purchase_problem(item: JsonObject) -> str | None:
    if problem := _identifier_problem(item) or _name_problem("product_id", item.get("product_id")):
        return problem
    currency, quantity = item.get("currency"), item.get("quantity")
    if type(currency) is not str or currency.upper() not in CURRENCIES:
        return "'currency' must be an ISO 4217 currency"
    if type(item.get("price")) not in (int, float):
        return "'price' is required"
    if quantity is not None and not (type(quantity) is int and 1 <= quantity <= 100):
        return "'quantity' must be from 1 to 100"
    if not is_text(item.get("time")):
        return "'time' is required"
    return _properties_problem(item.get("properties"), PURCHASE_RESERVED)


def _name_problem(field: str, value: Any) -> str | None:
    if type(value) is not str or not value.strip():
        return f"'{field}' is required"
    return f"'{field}' has more than {MAX_NAME} characters" if len(value) > MAX_NAME else None


def _properties_problem(properties: Any, reserved: frozenset[str]) -> str | None:
    if properties is None:
        return None
    if type(properties) is not dict:
        return "'properties' must be an object"
    for key in properties:
        name = key.strip()  # the API trims it
        if not name or name[0] == "$" or len(name) > MAX_NAME:
            return BAD_KEY
        if name in reserved:
            return f"the property key '{name}' is reserved"
    return None


# -- attributes ---------------------------------------------------------------------------------------------------
def _attributes_problem(item: JsonObject) -> str | None:
    if item.get("push_token_import") is True:
        if item.get("external_id") or item.get("braze_id") or not item.get("push_tokens"):
            return "BAD_PUSH_TOKEN_IMPORT"
    elif problem := _identifier_problem(item):
        return problem
    for key, value in item.items():
        name = key.strip()
        if not name or name[0] == "$" or len(name) > MAX_NAME:
            return BAD_KEY
        if (check := _ATTRIBUTES.get(name)) and (problem := check(value)):
            return problem
    return None


def _one_of(states: tuple[str, ...], code: str) -> Check:
    return lambda value: None if value in states else code


def _email_problem(value: Any) -> str | None:
    if value is None or value == "":
        return None
    name, _, host = value.rpartition("@") if type(value) is str else ("", "", "")
    return None if name.strip() and host.strip() else "EMAIL_BAD_FORMAT"


def _location_problem(value: Any) -> str | None:
    if value is None:
        return None
    if type(value) is dict and within(value.get("longitude"), 180) and within(value.get("latitude"), 90):
        return None
    return "BAD_LOCATION_UPDATE"


def _push_tokens_problem(tokens: Any) -> str | None:
    if tokens is None:
        return None
    if type(tokens) is not list or not all(type(token) is dict for token in tokens):
        return "'push_tokens' must be an array of objects"
    for token in tokens:
        device_id = token.get("device_id")
        if not is_text(token.get("app_id")):
            return "BAD_PUSH_TOKEN_APP_ID"
        if type(token.get("token")) is not str:
            return "BAD_PUSH_TOKEN_STRING"
        if not token["token"]:
            return "BAD_PUSH_TOKEN_VALUE"
        if device_id is not None:
            length = len(device_id.encode("utf-8", "replace")) if type(device_id) is str else 0
            if not 8 <= length <= 255:
                return "BAD_DEVICE_ID"
    return None


def _groups_problem(groups: Any) -> str | None:
    if groups is None:
        return None
    if type(groups) is not list:
        return "BAD_SUBSCRIPTION_GROUP_ARRAY"
    for group in groups:
        if type(group) is not dict:
            return "BAD_SUBSCRIPTION_GROUP_HASH"
        if not is_text(group.get("subscription_group_id")):
            return "BAD_SUBSCRIPTION_GROUP_ID"
        if group.get("subscription_state") not in GROUP_STATES:
            return "BAD_SUBSCRIPTION_GROUP_STATE"
    return None


_ATTRIBUTES: Mapping[str, Check] = {
    "email": _email_problem,
    "email_subscribe": _one_of(SUBSCRIPTION_STATES, "BAD_EMAIL_SUBSCRIPTION_STATE"),
    "push_subscribe": _one_of(SUBSCRIPTION_STATES, "BAD_PUSH_SUBSCRIPTION_STATE"),
    "current_location": _location_problem,
    "push_tokens": _push_tokens_problem,
    "subscription_groups": _groups_problem,
}

_OBJECTS: Mapping[str, Callable[[JsonObject], str | None]] = {
    "attributes": _attributes_problem,
    "events": _event_problem,
    "purchases": _purchase_problem,
}


# -- the other endpoints ------------------------------------------------------------------------------------------
_WORDS = frozenset({"identified", "unidentified", "most_recently_updated", "least_recently_updated"})
_OPPOSITES = (
    frozenset({"identified", "unidentified"}),
    frozenset({"most_recently_updated", "least_recently_updated"}),
)


def _prioritization_problem(item: JsonObject, words: frozenset[str] = _WORDS) -> str | None:
    if "prioritization" not in item:
        return None
    given = item["prioritization"]
    if type(given) is not list or not given or any(type(word) is not str or word not in words for word in given):
        return f"'prioritization' is a list of {', '.join(sorted(words))}"
    if any(opposites.issubset(given) for opposites in _OPPOSITES):
        return "'prioritization' has two words that exclude each other"
    return None


def _members(check: Callable[[JsonObject], str | None]) -> Check:
    return lambda item: check(item) if type(item) is dict else "an object is expected"


def _texts(*fields: str) -> Callable[[JsonObject], str | None]:
    """A check that these fields have text in them."""

    def check(item: JsonObject) -> str | None:
        return next((f"'{field}' is required" for field in fields if not is_text(item.get(field))), None)

    return check


def _identify(field: str) -> Check:
    """A check of who gets an external id, found by an alias, an email address or a phone number."""
    found = _texts(field)

    def check(item: JsonObject) -> str | None:
        problem = _alias_problem(item.get(field)) if field == "user_alias" else found(item)
        return _external_id_problem(item.get("external_id")) or problem or _prioritization_problem(item)

    return _members(check)


_alias_parts = _texts("alias_name", "alias_label")


def _new_alias_problem(item: JsonObject) -> str | None:
    known = item.get("external_id") is not None
    return _alias_parts(item) or (_external_id_problem(item["external_id"]) if known else None)


def _merge_problem(item: JsonObject) -> str | None:
    for side in ("identifier_to_merge", "identifier_to_keep"):
        identifier = item.get(side)
        if type(identifier) is not dict:
            return f"'{side}' is required"
        given = [key for key in _MERGE_IDENTIFIERS if identifier.get(key)]
        if len(given) != 1:
            return f"'{side}' takes exactly one of {', '.join(_MERGE_IDENTIFIERS)}"
        if problem := _MERGE_IDENTIFIERS[given[0]](identifier[given[0]]) or _prioritization_problem(identifier):
            return problem
    return None


def _text_problem(value: Any) -> str | None:
    return None if is_text(value) else "text is expected"


_MERGE_IDENTIFIERS: Mapping[str, Check] = {
    "external_id": _external_id_problem,
    "user_alias": _alias_problem,
    "email": _text_problem,
    "phone": _text_problem,
}


def _delete_by(field: str) -> Check:
    found = _texts(field)
    return _members(lambda item: found(item) or _prioritization_problem(item, _WORDS - {"least_recently_updated"}))


_delete_by_phone = _delete_by("phone")
_GROUP_USERS: Mapping[str, Check] = {
    "external_ids": _external_id_problem,
    "emails": _text_problem,
    "phones": _text_problem,
}


def _group_problem(group: JsonObject) -> str | None:
    if not is_text(group.get("subscription_group_id")):
        return "'subscription_group_id' is required"
    if group.get("subscription_state") not in GROUP_STATES:
        return "'subscription_state' must be subscribed or unsubscribed"
    named = [key for key in _GROUP_USERS if group.get(key)]
    if not named:
        return "one of 'external_ids', 'emails' and 'phones' is required"
    if "emails" in named and "phones" in named:
        return "'emails' and 'phones' may not be given together"
    for key in named:
        if type(group[key]) is not list:
            return f"'{key}' must be an array"
        if problem := next(filter(None, map(_GROUP_USERS[key], group[key])), None):
            return problem
    return None


_MEMBERS: Mapping[str, Check] = {
    "aliases_to_identify": _identify("user_alias"),
    "emails_to_identify": _identify("email"),
    "phone_numbers_to_identify": _identify("phone"),
    "user_aliases": _members(_new_alias_problem),
    "alias_updates": _members(_texts("alias_label", "old_alias_name", "new_alias_name")),
    "merge_updates": _members(_merge_problem),
    "external_ids": _external_id_problem,
    "braze_ids": _text_problem,
    "email_addresses": _delete_by("email"),
    # The form of a phone number there is not published: text, or an object as for an email address.
    "phone_numbers": lambda item: None if is_text(item) else _delete_by_phone(item),
    "subscription_groups": _members(_group_problem),
}
