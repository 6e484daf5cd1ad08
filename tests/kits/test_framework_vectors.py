"""The conformance vectors of the kit framework, as far as a kit that only records can show them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mparticle_kit_braze.client import MParticle
from mparticle_kit_braze.commerce import (
    CommerceEvent,
    Impression,
    Product,
    ProductAction,
    Promotion,
    PromotionAction,
    TransactionAttributes,
)
from mparticle_kit_braze.events import EventType
from mparticle_kit_braze.kits.hashing import bucket_of, hash_utf8, mp_hash
from tests.kits.recording import FixedResolver, RecordingKit

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "framework.json").read_text(encoding="utf-8"))


def of_kind(kind: str) -> list[Any]:
    return [pytest.param(vector, id=vector.get("name")) for vector in VECTORS if vector["kind"] == kind]


@pytest.mark.parametrize("vector", of_kind("hash"))
def test_hash(vector: dict[str, Any]) -> None:
    """The hash is the recorded one."""
    assert mp_hash(vector["input"]) == vector["expect"]


@pytest.mark.parametrize("vector", of_kind("hash_utf8"))
def test_hash_utf8(vector: dict[str, Any]) -> None:
    """The Apple variant is the recorded one."""
    assert hash_utf8(vector["input"]) == vector["expect"]


@pytest.mark.parametrize("vector", of_kind("bucket"))
def test_bucket(vector: dict[str, Any]) -> None:
    """The bucket is the recorded one."""
    assert bucket_of(int(vector["mpid"])) == vector["expect"]


@pytest.mark.parametrize("vector", of_kind("filter"))
def test_filter(vector: dict[str, Any]) -> None:
    """What a recording kit gets is what the vector says reached Braze."""
    settings = "settings" if vector["profile"] == "web" else "as"
    kit = RecordingKit({**vector["kit_config"], settings: vector.get("settings", {})})
    mpid = int(vector["mpid"]) if "mpid" in vector else None
    resolver = FixedResolver(mpid, logged_in=vector.get("logged_in", False))
    with MParticle([kit], storage=":memory:", resolver=resolver) as client:
        if "identities" in vector:
            client.identify(**vector["identities"])
        for call in vector["calls"]:
            replay(client, dict(call))
        if "expect_active" in vector:
            assert client.kit_is_active("Recording") is vector["expect_active"]
    assert plain_events(kit) == [
        (event["name"], event["attributes"])
        for event in vector["expect_events"]
        if not event["name"].startswith("eComm")
    ]
    if "expect_custom_attributes" in vector:
        keys = {call[0] for call in kit.of("on_user_attribute_set", "on_user_attribute_list_set")}
        from_events = set(vector["kit_config"].get("hs", {}).get("eas", {}).values())
        assert keys | from_events == set(vector["expect_custom_attributes"])
    if "expect_user" in vector:
        ((_operation, _mpid, identities, request),) = kit.of("on_identity_completed")
        seen = {kind.value: value for kind, value in identities.items()}
        assert seen.get("email") == vector["expect_user"]["email"]
        assert seen.get("customer_id") == vector["expect_user"]["user_id"]
        assert {kind.value for kind in request} == set(seen)


def plain_events(kit: RecordingKit) -> list[tuple[str, list[str]]]:
    """Custom events and screens; commerce events are compared one by one in ``test_filters``."""
    return [(item.name, sorted(item.attributes)) for (item,) in kit.of("log_event", "log_screen")]


def replay(client: MParticle, call: dict[str, Any]) -> None:
    kind = call.pop("call")
    if kind == "log_event":
        client.log_event(call["name"], EventType[call.get("type", "other").upper()], call.get("attributes"))
    elif kind == "log_commerce_event":
        client.log_commerce_event(commerce_event(call["event"]))
    elif kind in ("identify", "login", "logout", "modify"):
        getattr(client, kind)(**call.get("identities", {}))
    else:
        getattr(client, kind)(*call.values())


def commerce_event(given: dict[str, Any]) -> CommerceEvent:
    fields = dict(given)
    if "product_action" in fields:
        fields["product_action"] = ProductAction(fields["product_action"])
    if "promotion_action" in fields:
        fields["promotion_action"] = PromotionAction(fields["promotion_action"])
    fields["products"] = [Product(**product) for product in fields.get("products", [])]
    fields["promotions"] = [Promotion(**promotion) for promotion in fields.get("promotions", [])]
    fields["impressions"] = [
        Impression(item["name"], [Product(**product) for product in item["products"]])
        for item in fields.get("impressions", [])
    ]
    if "transaction" in fields:
        fields["transaction"] = TransactionAttributes(**fields["transaction"])
    return CommerceEvent(**fields)
