"""The rules for objects of /users/track."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mparticle_kit_braze.server.validation import ArrayName, check

from .support import TIME, event, purchase

TOKEN = {"app_id": "a", "token": "t"}
ORDER: dict[str, Any] = {
    "order_id": "o1",
    "currency": "EUR",
    "source": "https://shop.example",
    "total_value": 3.0,
    "products": [{"product_id": "p", "product_name": "n", "variant_id": "v", "quantity": 1, "price": 3.0}],
}


@pytest.mark.parametrize(
    ("array", "item", "rule"),
    [
        ("events", {"name": "E", "time": TIME}, "no_identifier"),
        ("events", event(user=""), "no_identifier"),
        ("events", event(braze_id="b"), "two_identifiers"),
        ("events", {"email": "a@b.c", "name": "E", "time": TIME}, None),
        ("events", {"user_alias": {"alias_name": "n"}, "name": "E", "time": TIME}, "missing_field"),
        ("events", event(name=""), "missing_field"),
        ("events", event(time="soon"), "missing_field"),
        ("events", event(time=1767323045), "missing_field"),
        ("events", event("x" * 255), None),
        ("events", event("x" * 256), "value_too_long"),
        ("events", event(properties={"": 1}), "empty_key"),
        ("events", event(properties={"$a": 1}), "leading_dollar"),
        ("events", event(properties={"k" * 256: 1}), "key_too_long"),
        ("events", event(properties={"time": 1}), "reserved_key"),
        ("events", event(properties={"event_name": 1}), "reserved_key"),
        ("events", event(properties={"price": 1}), None),
        ("events", event(properties={"a": "x" * 256}), "value_too_long"),
        ("events", event(properties={"a": [{"$b": 1}]}), "leading_dollar"),
        ("events", event(properties={"a": ["x" * 250] * 420}), "payload_too_large"),
        ("events", event("ecommerce.order_placed", properties=ORDER), None),
        ("events", event("ecommerce.order_placed", properties={**ORDER, "vip": True}), "extra_property"),
        ("events", event("ecommerce.order_placed", properties={**ORDER, "order_id": 7}), "unexpected_data_type"),
        ("events", event("ecommerce.order_placed", properties={**ORDER, "products": []}), "unexpected_data_type"),
        ("events", event("ecommerce.order_cancelled", properties=ORDER), "missing_property"),
        ("events", event("Ecommerce.order_placed", properties={"a": 1}), None),
        ("purchases", purchase(), None),
        ("purchases", purchase(quantity=100), None),
        ("purchases", purchase(quantity=0), "quantity_range"),
        ("purchases", purchase(quantity=101), "quantity_range"),
        ("purchases", purchase(quantity=True), "quantity_range"),
        ("purchases", purchase(price="1.5"), "missing_field"),
        ("purchases", purchase(currency="XYZ"), "currency"),
        ("purchases", purchase(product_id="x" * 256), "product_id_too_long"),
        ("purchases", purchase(properties={"currency": "EUR"}), "reserved_key"),
        ("attributes", {"external_id": "c1", "email_subscribe": None}, "subscription_state"),
        ("attributes", {"external_id": "\u20ac" * 329, "k": 1}, None),
        ("attributes", {"external_id": "\u20ac" * 330, "k": 1}, "external_id_too_long"),
        ("attributes", {"external_id": "c1", "k": {"$time": TIME}}, None),
        ("attributes", {"external_id": "c1", "k": {"$add": [{"id": 1}]}}, None),
        ("attributes", {"external_id": "c1", "k": {"$bad": 1}}, "leading_dollar"),
        ("attributes", {"external_id": "c1", "k": {"a": "x" * 102_400}}, "payload_too_large"),
        ("attributes", {"push_token_import": True, "push_tokens": [{"app_id": "a"}]}, "missing_field"),
        ("attributes", {"external_id": "c1", "push_tokens": ["t"]}, "missing_field"),
        ("attributes", {"external_id": "c1", "push_tokens": [{**TOKEN, "device_id": "1234567"}]}, "device_id"),
        ("attributes", {"external_id": "c1", "push_tokens": [{**TOKEN, "device_id": "12345678"}]}, None),
    ],
)
def test_rules(array: ArrayName, item: dict[str, Any], rule: str | None) -> None:
    """Each rule is found, and its limit is where it should be."""
    assert check(array, item).rule == rule


@pytest.mark.parametrize(
    ("item", "warnings"),
    [
        ({"k": "x" * 256}, ("string_length",)),
        ({"k": "x" * 255}, ()),
        ({"k": list(range(26))}, ("array_length",)),
        ({"k": {"add": list(range(26))}}, ("array_length",)),
        ({"k": tuple(range(26))}, ("array_length",)),
        ({"k": ["x" * 256]}, ("string_length",)),
        ({"k": ["x" * 10_000] * 11}, ("array_length", "string_length")),
        ({"k": {"a": "x" * 256}}, ("string_length",)),
        ({"k": {"a b": 1}}, ("nested_dropped",)),
        ({"k": {"a": {"b": None}}}, ("nested_dropped",)),
        ({"k": {"$update": [{"$identifier_key": "id", "$identifier_value": 1, "$new_object": {"a": 1}}]}}, ()),
    ],
)
def test_warnings(item: dict[str, Any], warnings: tuple[str, ...]) -> None:
    """What Braze cuts is sent, with a warning."""
    finding = check("attributes", {"external_id": "c1", **item}, array_limit=25)
    assert (finding.rule, tuple(sorted(finding.warnings))) == (None, warnings)


def test_too_many_properties_only_warn() -> None:
    """Braze ignores properties beyond 256; the event goes."""
    assert check("events", event(properties={f"k{n}": n for n in range(257)})).warnings == ("too_many_properties",)


def test_deep_values_do_not_overflow() -> None:
    """A value nested beyond the interpreter's stack is refused, not a crash."""
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    assert check("events", event(properties={"a": deep})).rule == "not_json"
    while isinstance(deep, list):  # taken apart by hand: its destruction would recurse as well
        deep = deep.pop()


def test_values_that_hold_themselves_end() -> None:
    """A circle is refused, and found out in finite time."""
    circle: dict[str, Any] = {}
    circle["again"] = [circle]
    assert check("events", event(properties={"a": circle})).rule == "not_json"
    assert check("attributes", {"external_id": "c1", "k": circle}).rule == "not_json"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
KEYS = ["external_id", "name", "time", "properties", "price", "currency", "quantity", "product_id", "user_alias"]
KEYS += ["email_subscribe", "push_subscribe", "subscription_groups", "push_tokens", "push_token_import", "braze_id"]


@given(st.sampled_from(["attributes", "events", "purchases"]), st.dictionaries(st.sampled_from(KEYS), JSON) | JSON)
def test_any_json_gets_an_answer(array: ArrayName, item: Any) -> None:
    """Whatever is given, the answer is a rule or none; nothing is raised."""
    finding = check(array, item)
    assert finding.rule is None or finding.rule
