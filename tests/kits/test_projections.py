"""Projections of events, screens and commerce events."""

from __future__ import annotations

from typing import Any

import pytest

from mparticle_kit_braze.commerce import (
    CommerceEvent,
    Impression,
    Product,
    ProductAction,
    Promotion,
    PromotionAction,
    TransactionAttributes,
)
from mparticle_kit_braze.events import Event, EventType, ScreenView
from mparticle_kit_braze.kits.configuration import KitConfiguration
from mparticle_kit_braze.kits.hashing import mp_hash
from mparticle_kit_braze.kits.projections import Projector
from tests.kits.recording import RecordingKit, manager

TEA = Product("Tea", "tea", 4.5, 2, attributes={"leaf": "green"})
CUP = Product("Cup", "cup", 7, brand="Acme")
ORDER = CommerceEvent(
    product_action=ProductAction.PURCHASE,
    products=[TEA, CUP],
    transaction=TransactionAttributes("t1", revenue=16),
    attributes={"gift": True},
)
SALE = CommerceEvent(
    promotion_action=PromotionAction.CLICK, promotions=[Promotion("p1", "Sale"), Promotion("p2", "Spring")]
)


def projector(*entries: dict[str, Any]) -> Projector:
    return Projector(KitConfiguration.from_json({"pr": list(entries)}).projections)


def entry(match: dict[str, Any], maps: list[dict[str, Any]] | None = None, **parts: Any) -> dict[str, Any]:
    action = {"projected_event_name": parts.pop("name", "Out"), "attribute_maps": maps or [], **parts.pop("action", {})}
    return {"id": 1, "matches": [{"message_type": 4, **match}], "action": action, "behavior": parts}


HASH = {"event_match_type": "Hash", "event": str(mp_hash("8Buy"))}
COMMERCE = {"message_type": 16, "event_match_type": "Hash", "event": str(mp_hash("16"))}


def test_string_match_needs_name_key_and_value() -> None:
    """A String match compares the name and the value without case, the key exactly."""
    match = {"event_match_type": "String", "event": "BUY", "attribute_key": "plan", "attribute_values": ["Gold", "3"]}
    projections = projector(entry(match))
    assert projections.project_event(Event("buy", attributes={"plan": "gold"}))
    assert projections.project_event(Event("buy", attributes={"plan": 3}))
    assert not projections.project_event(Event("buy", attributes={"Plan": "gold"}))
    assert not projections.project_event(Event("buy", attributes={"plan": "silver"}))
    assert not projections.project_event(Event("buy"))


@pytest.mark.parametrize("values", [{"attribute_values": "gold"}, {"attribute_value": "Gold"}])
def test_older_forms_of_values(values: dict[str, Any]) -> None:
    """A single value instead of an array is read as well."""
    projections = projector(entry({"event": "buy", "attribute_key": "plan", **values}))
    assert projections.project_event(Event("buy", attributes={"plan": "gold"}))


def test_all_matches_must_hold_and_an_entry_without_matches_never_does() -> None:
    """Several conditions are a conjunction; none is no licence."""
    both = entry(HASH)
    both["matches"].append({"message_type": 4, "event_match_type": "Hash", "event": "1"})
    assert not projector(both).project_event(Event("Buy"))
    assert not projector({"id": 1, "action": {"projected_event_name": "Out"}}).project_commerce(ORDER)


@pytest.mark.parametrize(
    ("data_type", "fitting", "unfit"),
    [
        (1, ["x", True], []),
        (2, [3, "-7"], ["3.0", 2**31, "x"]),
        (3, [True, "FALSE"], [1]),
        (4, [3, "1e3", 2.5], ["x", "1,5"]),
    ],
)
def test_data_types(data_type: int, fitting: list[Any], unfit: list[Any]) -> None:
    """A value that does not read as the data type is as good as missing."""
    maps = [{"projected_attribute_name": "v", "match_type": "String", "value": "a", "data_type": data_type}]
    for value in fitting:
        (event,) = projector(entry(HASH, maps)).project_event(Event("Buy", attributes={"a": value}))
        assert "v" in event.attributes
    for value in unfit:
        (event,) = projector(entry(HASH, maps)).project_event(Event("Buy", attributes={"a": value}))
        assert event.attributes == {}


def test_maps_by_hash_field_and_constant() -> None:
    """Attributes come from a key's hash, the event's name or a constant; values are texts."""
    maps = [
        {"projected_attribute_name": "renamed", "match_type": "Hash", "value": str(mp_hash("8Buya"))},
        {"projected_attribute_name": "", "match_type": "Hash", "value": str(mp_hash("8Buyb"))},
        {"projected_attribute_name": "was", "match_type": "Field", "value": ""},
        {"projected_attribute_name": "fixed", "match_type": "Static", "value": "1"},
    ]
    (event,) = projector(entry(HASH, maps)).project_event(Event("Buy", attributes={"a": 1.5, "b": True}))
    assert event.attributes == {"renamed": "1.5", "b": "true", "was": "Buy", "fixed": "1"}
    assert (event.name, event.event_type) == ("Out", EventType.OTHER)


def test_unmapped_copy_is_sorted_and_capped() -> None:
    """The rest is copied in order of keys up to the cap; mapped ones may exceed it."""
    maps = [{"projected_attribute_name": f"m{n}", "match_type": "Static", "value": f"{n}"} for n in range(3)]
    attributes = {"d": 4, "b": 2, "a": None}
    (few,) = projector(entry(HASH, maps, append_unmapped_as_is=True, max_custom_params=2)).project_event(
        Event("Buy", attributes=attributes)
    )
    assert set(few.attributes) == {"m0", "m1", "m2"}
    (more,) = projector(entry(HASH, maps, append_unmapped_as_is=True, max_custom_params=4)).project_event(
        Event("Buy", attributes=attributes)
    )
    assert set(more.attributes) == {"m0", "m1", "m2", "b"}


def test_several_projections_each_emit() -> None:
    """Every projection that matches gives an event; the default only if none did."""
    default = entry({}, name="Default", is_default=True)
    projections = projector(entry(HASH, name="One"), default, entry(HASH, name=""))
    assert [event.name for event in projections.project_event(Event("Buy"))] == ["One", "Buy"]
    assert [event.name for event in projections.project_event(Event("Other"))] == ["Default"]


def test_a_default_that_yields_nothing_leaves_the_original() -> None:
    """A missing required attribute in the default does not lose the event."""
    required = [{"projected_attribute_name": "v", "value": "missing", "is_required": True}]
    kit = RecordingKit({"pr": [entry({}, required, is_default=True)]})
    manager(kit).log_event(Event("Buy", attributes={"a": 1}))
    assert kit.of("log_event") == [(Event("Buy", attributes={"a": 1}),)]


def test_screens_reach_the_kit_as_events() -> None:
    """A projected screen goes to ``log_event``, others to ``log_screen``; hashes use type 0."""
    match = {"message_type": 3, "event_match_type": "Hash", "event": str(mp_hash("0Home"))}
    maps = [{"projected_attribute_name": "t", "match_type": "Hash", "value": str(mp_hash("0Hometab"))}]
    kit = RecordingKit({"pr": [entry(match, maps)]})
    routed = manager(kit)
    routed.log_screen(ScreenView("Home", {"tab": 1}))
    routed.log_screen(ScreenView("Other"))
    assert kit.of("log_event") == [(Event("Out", EventType.OTHER, {"t": "1"}),)]
    assert kit.of("log_screen") == [(ScreenView("Other"),)]


# -- commerce -------------------------------------------------------------------------------------------------------


def test_one_output_for_each_product() -> None:
    """``foreach`` gives one event a product with fields of event, product and attributes; amounts are doubles."""
    maps: list[dict[str, Any]] = [
        {"projected_attribute_name": "sku", "value": "Id", "property": "ProductField"},
        {"projected_attribute_name": "price", "value": "Item Price", "property": "ProductField", "data_type": 4},
        {"projected_attribute_name": "leaf", "value": "leaf", "property": "ProductAttribute"},
        {"projected_attribute_name": "total", "value": "Total Amount", "property": "EventField"},
        {"projected_attribute_name": "gift", "value": "gift", "property": "EventAttribute"},
    ]
    out = projector(entry(COMMERCE, maps, name="Bought")).project_commerce(ORDER)
    assert out == [
        Event(
            "Bought",
            EventType.TRANSACTION,
            {"sku": "tea", "price": "4.5", "leaf": "green", "total": "16.0", "gift": "true"},
        ),
        Event("Bought", EventType.TRANSACTION, {"sku": "cup", "price": "7.0", "total": "16.0", "gift": "true"}),
    ]


def test_selector_last() -> None:
    """``last`` gives one event, for the last item."""
    maps = [{"projected_attribute_name": "sku", "value": "Id", "property": "ProductField"}]
    (out,) = projector(entry(COMMERCE, maps, selector="LAST")).project_commerce(ORDER)
    assert isinstance(out, Event)
    assert out.attributes == {"sku": "cup"}


def test_commerce_output_keeps_one_product_each() -> None:
    """Outbound type 16 gives commerce events, each with its own product and the mapped attributes."""
    out = projector(entry(COMMERCE, action={"outbound_message_type": 16})).project_commerce(ORDER)
    assert [event.products for event in out if isinstance(event, CommerceEvent)] == [(TEA,), (CUP,)]
    assert all(isinstance(event, CommerceEvent) and event.attributes == {} for event in out)


@pytest.mark.parametrize(
    ("match", "skus"),
    [
        ({"property": "ProductField", "property_name": str(mp_hash("16Brand")), "property_values": ["ACME"]}, ["cup"]),
        (
            {"property": "ProductAttribute", "property_name": str(mp_hash("16leaf")), "property_values": ["green"]},
            ["tea"],
        ),
        (
            {"property": "EventField", "property_name": str(mp_hash("16Transaction Id")), "property_values": ["T1"]},
            ["tea", "cup"],
        ),
        (
            {"property": "EventAttribute", "property_name": str(mp_hash("16gift")), "property_values": ["true"]},
            ["tea", "cup"],
        ),
        ({"property": "EventAttribute", "property_name": str(mp_hash("16gift")), "property_values": ["false"]}, []),
        ({"property": "PromotionField", "property_name": str(mp_hash("16Name")), "property_values": ["Sale"]}, []),
        ({"property": "Elsewhere", "property_name": "1", "property_values": ["Sale"]}, []),
    ],
)
def test_property_matches_narrow_the_event(match: dict[str, Any], skus: list[str]) -> None:
    """A condition on products keeps those that match, for this projection only."""
    maps = [{"projected_attribute_name": "sku", "value": "Id", "property": "ProductField"}]
    narrow = entry({"message_type": 16, **match}, maps)
    whole = entry(COMMERCE, maps, name="All")
    out = [event for event in projector(narrow, whole).project_commerce(ORDER) if isinstance(event, Event)]
    assert [event.attributes["sku"] for event in out if event.name == "Out"] == skus
    assert [event.attributes["sku"] for event in out if event.name == "All"] == ["tea", "cup"]


def test_promotions() -> None:
    """Promotion events give one output a promotion; a condition on promotions narrows them."""
    match = {
        "message_type": 16,
        "property": "PromotionField",
        "property_name": str(mp_hash("19Name")),
        "property_values": ["spring"],
    }
    maps = [{"projected_attribute_name": "id", "value": "Id", "property": "PromotionField"}]
    click = {"message_type": 16, "event_match_type": "Hash", "event": str(mp_hash("19"))}
    out = projector(entry(match, maps), entry(click, maps, name="Every")).project_commerce(SALE)
    assert [(event.name, event.attributes["id"]) for event in out if isinstance(event, Event)] == [
        ("Out", "p2"),
        ("Every", "p1"),
        ("Every", "p2"),
    ]


def test_impressions_are_never_projected_and_nameless_outputs_are_none() -> None:
    """Impressions go on as they are; an output without a name is no event."""
    shown = CommerceEvent(impressions=[Impression("list", [TEA])])
    default = {**entry({"message_type": 16}, is_default=True)}
    assert projector(default).project_commerce(shown) == []
    assert projector(entry(COMMERCE, name="")).project_commerce(ORDER) == []
    assert len(projector(default).project_commerce(ORDER)) == 2


def test_commerce_outputs_reach_their_callbacks() -> None:
    """Custom outputs go to ``log_event``, commerce outputs to ``log_commerce_event``, others unchanged."""
    kit = RecordingKit(
        {"pr": [entry(COMMERCE), entry(COMMERCE, action={"outbound_message_type": 16}, selector="last")]}
    )
    routed = manager(kit)
    routed.log_commerce_event(ORDER)
    routed.log_commerce_event(SALE)
    assert kit.names() == ["on_start", "log_event", "log_event", "log_commerce_event", "log_commerce_event"]
