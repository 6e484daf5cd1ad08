"""What the sandbox refuses under the REST API's paths, and what it takes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mparticle_kit_braze.sandbox import Sandbox
from mparticle_kit_braze.sandbox.rest import RestApi

TIME = "2026-01-02T03:04:05Z"
HEADERS = {"Authorization": "Bearer rest-key-1"}
RESERVED = {
    "events": ("time", "event_name"),
    "purchases": ("time", "product_id", "quantity", "event_name", "price", "currency"),
}
ALIAS = {"alias_name": "n", "alias_label": "l"}
TOKENS = [{"app_id": "a", "token": "t"}]
REQUIRED = "'external_id' or 'braze_id' or 'user_alias' is required"
ONLY_ONE = "only one of 'external_id', 'braze_id' and 'user_alias' may be given"
CURRENCY = "'currency' must be an ISO 4217 currency"
QUANTITY = "'quantity' must be from 1 to 100"
KEY = "a key is empty, too long or begins with $"
TOO_LARGE = "'properties' with arrays or objects take up to 100 KB"
GOOD: dict[str, dict[str, Any]] = {
    "attributes": {"external_id": "c1", "color": "red"},
    "events": {"external_id": "c1", "name": "E", "time": TIME},
    "purchases": {"external_id": "c1", "product_id": "s", "currency": "USD", "price": 1.5, "time": TIME},
}


def post(path: str, body: Any) -> tuple[int, Any]:
    """Status and answer of one request to a fresh API."""
    _, status, answer = RestApi(lambda _request: None).receive("POST", path, HEADERS, json.dumps(body).encode())
    return status, answer


def reasons(array: str, *items: Any) -> list[str]:
    """Why each object is refused, ``""`` for one that is taken; a good object goes first."""
    status, answer = post("/users/track", {array: [GOOD[array], *items]})
    listed = {error["index"]: error["type"] for error in answer.get("errors", ())}
    assert (status, answer["message"], 0 in listed) == (201, "success", False)
    assert answer[f"{array}_processed"] == 1 + len(items) - len(listed)
    return [listed.get(index + 1, "") for index in range(len(items))]


def reason(array: str, **fields: Any) -> str:
    """Why a good object with these fields changed is refused; ``None`` leaves a field out."""
    (found,) = reasons(array, {key: value for key, value in {**GOOD[array], **fields}.items() if value is not None})
    return found


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"external_id": None}, REQUIRED),
        ({"external_id": ""}, REQUIRED),
        ({"external_id": 5}, REQUIRED),
        ({"external_id": None, "braze_id": "b"}, ""),
        ({"external_id": None, "user_alias": ALIAS}, ""),
        ({"external_id": None, "email": "a@b.c"}, ""),
        ({"external_id": None, "phone": "+1"}, ""),
        ({"email": "a@b.c"}, ""),
        ({"braze_id": "b"}, ONLY_ONE),
        ({"user_alias": ALIAS}, ONLY_ONE),
        ({"external_id": None, "user_alias": {"alias_name": "n"}}, "'user_alias' is an object with"),
        ({"external_id": "é" * 493}, ""),
        ({"external_id": "é" * 494}, "EXTERNAL_USER_ID_TOO_LARGE"),
    ],
)
@pytest.mark.parametrize("array", GOOD)
def test_identifiers(array: str, fields: dict[str, Any], expected: str) -> None:
    """Every object has one primary identifier of up to 987 bytes, or an address to look its user up by."""
    found = reason(array, **fields)
    assert found.startswith(expected)
    assert bool(found) == bool(expected)


@pytest.mark.parametrize("array", ["events", "purchases"])
def test_properties(array: str) -> None:
    """Reserved and impossible keys are refused, and more than 100 KB with arrays or objects in them."""
    for key in RESERVED["purchases"]:
        expected = f"the property key '{key}' is reserved" if key in RESERVED[array] else ""
        assert reason(array, properties={"a": 1, f" {key} ": 1}) == expected
    assert [reason(array, properties={key: 1}) for key in ("", "  ", "$a", "k" * 256)] == [KEY] * 4
    assert reason(array, properties={"k" * 255: 1, "Time": 1}) == ""
    assert reason(array, properties=["a"]) == "'properties' must be an object"
    most = 102_400 - len('{"rows":[""]}')
    assert reason(array, properties={"rows": ["x" * most]}) == ""
    assert reason(array, properties={"rows": ["x" * (most + 1)]}) == TOO_LARGE
    assert reason(array, properties={"rows": {"k": "é" * (most // 2 + 1)}}) == TOO_LARGE
    assert reason(array, properties={"text": "x" * 110_000}) == ""  # nothing nested, no such limit


def test_names() -> None:
    """Event names and product ids are text of 1 to 255 characters."""
    for array, field in (("events", "name"), ("purchases", "product_id")):
        assert reason(array, **{field: "x" * 255}) == ""
        assert reason(array, **{field: "x" * 256}) == f"'{field}' has more than 255 characters"
        for wrong in (None, "", "  ", 5):
            assert reason(array, **{field: wrong}) == f"'{field}' is required"
        assert reason(array, time=None) == "'time' is required"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"currency": "eur"}, ""),
        ({"currency": "XXX"}, ""),  # a code of the standard, if one for no currency
        ({"currency": "HRK"}, ""),
        ({"currency": "XXL"}, CURRENCY),
        ({"currency": "DOLLARS"}, CURRENCY),
        ({"currency": 978}, CURRENCY),
        ({"currency": None}, CURRENCY),
        ({"price": 0}, ""),
        ({"price": "1.5"}, "'price' is required"),
        ({"price": True}, "'price' is required"),
        ({"quantity": 1}, ""),
        ({"quantity": 100}, ""),
        ({"quantity": 0}, QUANTITY),
        ({"quantity": 101}, QUANTITY),
        ({"quantity": 1.5}, QUANTITY),
        ({"quantity": True}, QUANTITY),
    ],
)
def test_purchases(fields: dict[str, Any], expected: str) -> None:
    """Currency, price and quantity of a purchase."""
    assert reason("purchases", **fields) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"email_subscribe": "opted_in", "push_subscribe": "unsubscribed"}, ""),
        ({"email_subscribe": "yes"}, "BAD_EMAIL_SUBSCRIPTION_STATE"),
        ({"push_subscribe": True}, "BAD_PUSH_SUBSCRIPTION_STATE"),
        ({"email": ""}, ""),
        ({"email": "nobody"}, "EMAIL_BAD_FORMAT"),
        ({"email": "@host"}, "EMAIL_BAD_FORMAT"),
        ({"email": 5}, "EMAIL_BAD_FORMAT"),
        ({"current_location": {"longitude": -180, "latitude": 90}}, ""),
        ({"current_location": {"longitude": 1}}, "BAD_LOCATION_UPDATE"),
        ({"current_location": {"longitude": 1, "latitude": 90.5}}, "BAD_LOCATION_UPDATE"),
        ({"$a": 1}, KEY),
        ({"": 1}, KEY),
        ({"k" * 256: 1}, KEY),
        ({"time": 1, "price": 2, "properties": ["x" * 110_000]}, ""),  # reserved, and limited so, elsewhere only
    ],
)
def test_attributes(fields: dict[str, Any], expected: str) -> None:
    """Standard fields have their forms, with Braze's codes for what has not."""
    assert reason("attributes", **fields) == expected


def test_null_removes() -> None:
    """Null is no wrong value of a field that can be removed."""
    fields = ("email", "phone", "current_location", "push_tokens", "subscription_groups", "color")
    assert reasons("attributes", {"external_id": "c1", **dict.fromkeys(fields)}) == [""]


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([{"app_id": "a", "token": "t", "device_id": "12345678"}], ""),
        ([{"app_id": "a", "token": "t", "device_id": "1234567"}], "BAD_DEVICE_ID"),
        ([{"app_id": "a", "token": "t", "device_id": "é" * 128}], "BAD_DEVICE_ID"),
        ([{"token": "t"}], "BAD_PUSH_TOKEN_APP_ID"),
        ([{"app_id": "a"}], "BAD_PUSH_TOKEN_STRING"),
        ([{"app_id": "a", "token": ""}], "BAD_PUSH_TOKEN_VALUE"),
        (["t"], "'push_tokens' must be an array of objects"),
        ({"app_id": "a", "token": "t"}, "'push_tokens' must be an array of objects"),
    ],
)
def test_push_tokens(tokens: Any, expected: str) -> None:
    """Tokens have an app and a text, and a device id of 8 to 255 bytes if any; also when they are imported."""
    assert reason("attributes", push_tokens=tokens) == expected
    assert reasons("attributes", {"push_token_import": True, "push_tokens": tokens}) == [expected]


def test_push_token_import() -> None:
    """An import has tokens and neither an external id nor a Braze id."""
    assert reasons(
        "attributes",
        {"push_token_import": True, "push_tokens": TOKENS},
        {"push_token_import": True, "push_tokens": TOKENS, "external_id": "c1"},
        {"push_token_import": True, "push_tokens": TOKENS, "braze_id": "b"},
        {"push_token_import": True, "push_tokens": []},
        {"push_token_import": True},
        {"push_token_import": False, "push_tokens": TOKENS},
    ) == ["", *["BAD_PUSH_TOKEN_IMPORT"] * 4, REQUIRED]


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ([{"subscription_group_id": "g", "subscription_state": "unsubscribed"}], ""),
        ([{"subscription_group_id": "g", "subscription_state": "opted_in"}], "BAD_SUBSCRIPTION_GROUP_STATE"),
        ([{"subscription_group_id": "g"}], "BAD_SUBSCRIPTION_GROUP_STATE"),
        ([{"subscription_state": "subscribed"}], "BAD_SUBSCRIPTION_GROUP_ID"),
        (["g"], "BAD_SUBSCRIPTION_GROUP_HASH"),
        ({"g": "subscribed"}, "BAD_SUBSCRIPTION_GROUP_ARRAY"),
    ],
)
def test_subscription_groups_of_attributes(groups: Any, expected: str) -> None:
    """Groups inside attributes are a list of ids with one of two states."""
    assert reason("attributes", subscription_groups=groups) == expected


def test_whole_requests() -> None:
    """Nothing but bad objects, an array that is none, and what is no object at all."""
    status, answer = post("/users/track", {"events": [{"external_id": "c1"}]})
    assert status == 400
    assert answer["message"].startswith("Valid data must be provided")
    assert answer["errors"] == [{"type": "'name' is required", "input_array": "events", "index": 0}]
    assert post("/users/track", {"events": {}, "attributes": [GOOD["attributes"]]})[0] == 400
    assert post("/users/track", {})[0] == 400
    assert reasons("events", "E", 5) == ["an object is expected"] * 2


LISTS: dict[str, tuple[str, Any, Any]] = {
    "aliases_to_identify": ("/users/identify", {"external_id": "c", "user_alias": ALIAS}, {"aliases_processed": 1}),
    "emails_to_identify": (
        "/users/identify",
        {"external_id": "c", "email": "a@b.c", "prioritization": ["unidentified", "most_recently_updated"]},
        {"aliases_processed": 1},
    ),
    "phone_numbers_to_identify": ("/users/identify", {"external_id": "c", "phone": "+1"}, {"aliases_processed": 1}),
    "user_aliases": ("/users/alias/new", {**ALIAS, "external_id": "c"}, {"aliases_processed": 1}),
    "alias_updates": (
        "/users/alias/update",
        {"alias_label": "l", "old_alias_name": "n", "new_alias_name": "m"},
        {"aliases_processed": 1},
    ),
    "merge_updates": (
        "/users/merge",
        {
            "identifier_to_merge": {"email": "a@b.c", "prioritization": ["identified"]},
            "identifier_to_keep": {"user_alias": ALIAS},
        },
        {},
    ),
    "external_ids": ("/users/delete", "c", {"deleted": 1}),
    "email_addresses": ("/users/delete", {"email": "a@b.c", "prioritization": ["identified"]}, {"deleted": 1}),
    "phone_numbers": ("/users/delete", "+1", {"deleted": 1}),
    "braze_ids": ("/users/delete", "b", {"deleted": 1}),
    "subscription_groups": (
        "/v2/subscription/status/set",
        {"subscription_group_id": "g", "subscription_state": "subscribed", "external_ids": ["c"]},
        {},
    ),
}


@pytest.mark.parametrize("name", LISTS)
def test_changes_of_users(name: str) -> None:
    """Every list takes 50 good members, alone, and no member that is something else."""
    path, good, answer = LISTS[name]
    status = 202 if path == "/users/merge" else 201
    assert post(path, {name: [good]}) == (status, {"message": "success", **answer})
    assert post(path, {name: [good] * 50})[0] == status
    for wrong in ([good] * 51, [good, 5], [good, {}], [good, ""], [], good, None):
        assert post(path, {name: wrong})[0] == 400
    others = {other: [LISTS[other][1]] for other in LISTS if other != name and LISTS[other][0] == path}
    for other, items in others.items():
        assert post(path, {name: [good], other: items})[0] == 400


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("aliases_to_identify", {"user_alias": {"alias_name": "n"}}),
        ("aliases_to_identify", {"external_id": "x" * 988}),
        ("emails_to_identify", {"email": ""}),
        ("emails_to_identify", {"prioritization": ["newest"]}),
        ("emails_to_identify", {"prioritization": []}),
        ("emails_to_identify", {"prioritization": "identified"}),
        ("emails_to_identify", {"prioritization": ["identified", "unidentified"]}),
        ("emails_to_identify", {"prioritization": ["most_recently_updated", "least_recently_updated"]}),
        ("user_aliases", {"alias_label": ""}),
        ("user_aliases", {"external_id": 5}),
        ("alias_updates", {"new_alias_name": ""}),
        ("merge_updates", {"identifier_to_keep": {}}),
        ("merge_updates", {"identifier_to_keep": {"external_id": "c", "email": "a@b.c"}}),
        ("merge_updates", {"identifier_to_keep": {"user_alias": {"alias_name": "n"}}}),
        ("merge_updates", {"identifier_to_merge": {"email": "a@b.c", "prioritization": ["newest"]}}),
        ("email_addresses", {"prioritization": ["least_recently_updated"]}),  # not for deletion
        ("subscription_groups", {"subscription_state": "opted_in"}),
        ("subscription_groups", {"subscription_group_id": ""}),
        ("subscription_groups", {"external_ids": []}),
        ("subscription_groups", {"external_ids": "c"}),
        ("subscription_groups", {"external_ids": ["c", ""]}),
        ("subscription_groups", {"emails": ["a@b.c"], "phones": ["+1"]}),
        ("subscription_groups", {"external_ids": ["c"] * 51}),
    ],
)
def test_wrong_changes_of_users(name: str, change: dict[str, Any]) -> None:
    """One wrong member costs the whole request."""
    path, good, _ = LISTS[name]
    status, answer = post(path, {name: [good, {**good, **change}]})
    assert (status, answer["message"].partition(":")[0].partition("[")[0]) == (400, name)


def test_fifty_users_in_all_changes() -> None:
    """The limit of a subscription request counts users, not changes, and emails with external ids are fine."""
    path, good, _ = LISTS["subscription_groups"]
    group = {**good, "external_ids": ["c"] * 20, "emails": ["a@b.c"] * 5}
    assert post(path, {"subscription_groups": [group, group]})[0] == 201
    assert post(path, {"subscription_groups": [group, group, good]})[0] == 400


def test_a_refused_change_is_told_and_not_applied() -> None:
    """The request is remembered with its problem; nobody is subscribed."""
    with Sandbox() as sandbox:
        path, good, _ = LISTS["subscription_groups"]
        body = {"subscription_groups": [good, {**good, "phones": ["+1"], "emails": ["a@b.c"]}]}
        _, status, _ = sandbox.rest.receive("POST", path, HEADERS, json.dumps(body).encode())
        (request,) = sandbox.rest.requests
        assert (status, request.recorded, sandbox.rest.users) == (400, False, {})
        assert [str(problem) for problem in request.problems] == [
            "subscription_groups[1]: 'emails' and 'phones' may not be given together"
        ]
