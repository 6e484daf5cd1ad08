"""What a vector of kind ``filter`` expects, compared with what reached the endpoint."""

from __future__ import annotations

from typing import Any

from mparticle_kit_braze.sandbox import Sandbox

from .normal import JsonObject, Mismatch

__all__ = ["compare_filter"]


def compare_filter(sandbox: Sandbox, vector: JsonObject, *, active: bool) -> list[Mismatch]:
    """Every difference from the ``expect_...`` fields.

    Args:
        sandbox: What has arrived.
        vector: The vector.
        active: Whether the kit was running after the last call.
    """
    events, attributes = sandbox.events, sandbox.attributes
    got: JsonObject = {
        "expect_events": [
            {"name": event["data"]["n"], "attributes": sorted(event["data"].get("p", {}))}
            for event in events
            if event["name"] == "ce"
        ],
        "expect_array_ops": [
            {"op": event["name"], "key": event["data"]["key"], "value": event["data"]["value"]}
            for event in events
            if event["name"] in ("add", "rem")
        ],
        "expect_custom_attributes": _custom_attributes(events, attributes),
        "expect_active": active,
        "expect_user": _user(events, attributes),
    }
    expected = {**vector}
    expected.setdefault("expect_array_ops", [])
    fields = [field for field in got if field in expected and not _same(field, got[field], expected[field])]
    return [
        *_purchases([event["data"] for event in events if event["name"] == "p"], vector.get("expect_purchases", [])),
        *(Mismatch(field, got[field], expected[field]) for field in fields),
    ]


def _same(field: str, got: Any, expected: Any) -> bool:
    return bool(got == sorted(expected)) if field == "expect_custom_attributes" else bool(got == expected)


def _custom_attributes(events: list[JsonObject], attributes: list[JsonObject]) -> list[str]:
    """Names of the custom attributes that were set, lists among them."""
    keys = {key for item in attributes for key in item.get("custom", {})}
    return sorted(keys | {event["data"]["key"] for event in events if event["name"] == "set"})


def _user(events: list[JsonObject], attributes: list[JsonObject]) -> JsonObject:
    """The external id and the e-mail address that arrived last; ``None`` for what never did."""
    ids = [item["user_id"] for item in [*events, *attributes] if "user_id" in item]
    emails = [item["email"] for item in attributes if "email" in item]
    return {"user_id": ids[-1] if ids else None, "email": emails[-1] if emails else None}


def _purchases(got: list[JsonObject], expected: list[JsonObject]) -> list[Mismatch]:
    if [purchase["pid"] for purchase in got] != [purchase["pid"] for purchase in expected]:
        return [Mismatch("expect_purchases", got, expected)]
    return [
        Mismatch(f"expect_purchases[{index}]", sorted(purchase.get("pr", {})), wanted)
        for index, (purchase, wanted) in enumerate(zip(got, expected, strict=True))
        if not set(wanted.get("with", ())) <= purchase.get("pr", {}).keys()
        or set(wanted.get("without", ())) & purchase.get("pr", {}).keys()
    ]
