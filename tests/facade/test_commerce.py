"""Commerce values: their checks, copies, totals, and the expansion."""

from __future__ import annotations

import copy
import pickle
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mparticle_kit_braze.commerce import (
    CommerceEvent,
    Impression,
    Product,
    ProductAction,
    Promotion,
    PromotionAction,
    TransactionAttributes,
    expand,
)
from mparticle_kit_braze.errors import InvalidArgumentError
from mparticle_kit_braze.events import Event, EventType

TEA = Product("Tea", "tea", 4.5, 2, brand="Acme", attributes={"leaf": "green", "Name": "own"})


@pytest.mark.parametrize(
    ("kind", "arguments", "what"),
    [
        (Product, {"name": "Tea", "sku": "", "price": 1}, "sku"),
        (Product, {"name": "Tea", "sku": None, "price": 1}, "sku"),
        (Product, {"name": "", "sku": "s", "price": 1}, "name"),
        (Product, {"name": "Tea", "sku": "s", "price": "1"}, "price"),
        (Product, {"name": "Tea", "sku": "s", "price": None}, "price"),
        (Product, {"name": "Tea", "sku": "s", "price": True}, "price"),
        (Product, {"name": "Tea", "sku": "s", "price": 1, "quantity": -1}, "quantity"),
        (Product, {"name": "Tea", "sku": "s", "price": 1, "quantity": "2"}, "quantity"),
        (Product, {"name": "Tea", "sku": "s", "price": 1, "brand": 3}, "brand"),
        (Product, {"name": "Tea", "sku": "s", "price": 1, "position": "1"}, "position"),
        (Product, {"name": "Tea", "sku": "s", "price": 1, "attributes": [1]}, "attributes"),
        (Product, {"name": "Tea", "sku": "s", "price": 1, "attributes": {1: 2}}, "attributes"),
        (Promotion, {"id": 3}, "promotion id"),
        (Impression, {"name": ""}, "impression name"),
        (Impression, {"name": "list", "products": [3]}, "impression products"),
        (Impression, {"name": "list", "products": TEA}, "impression products"),
        (TransactionAttributes, {"id": 3}, "transaction id"),
        (TransactionAttributes, {"revenue": "9"}, "revenue"),
        (CommerceEvent, {}, "needs a product_action"),
        (CommerceEvent, {"products": [TEA]}, "needs a product_action"),
        (CommerceEvent, {"product_action": "purchase"}, "product_action"),
        (CommerceEvent, {"product_action": ProductAction.PURCHASE, "products": "tea"}, "products"),
        (CommerceEvent, {"product_action": ProductAction.PURCHASE, "transaction": {}}, "transaction"),
        (CommerceEvent, {"product_action": ProductAction.PURCHASE, "currency": 3}, "currency"),
        (CommerceEvent, {"product_action": ProductAction.PURCHASE, "checkout_step": True}, "checkout_step"),
        (CommerceEvent, {"promotion_action": PromotionAction.VIEW, "promotions": [{}]}, "promotions"),
        (CommerceEvent, {"promotion_action": ProductAction.CLICK}, "promotion_action"),
        (CommerceEvent, {"product_action": ProductAction.PURCHASE, "timestamp": "now"}, "timestamp"),
    ],
)
def test_mistakes_raise_where_they_are_made(kind: Any, arguments: dict[str, Any], what: str) -> None:
    """A wrong part raises when the value is made, and is named."""
    with pytest.raises(InvalidArgumentError, match=what):
        kind(**arguments)


def test_containers_are_copied() -> None:
    """Changing a dict or list afterwards does not change the value."""
    attributes: dict[str, Any] = {"a": [1]}
    products = [Product("Tea", "s", 1, attributes=attributes)]
    event = CommerceEvent(product_action=ProductAction.CLICK, products=products, attributes=attributes)
    attributes["a"].append(2)
    products.clear()
    assert event.attributes == {"a": [1]}
    assert event.products[0].attributes == {"a": [1]}


def test_values_can_be_copied_and_pickled() -> None:
    """The values travel between processes as any dataclass does."""
    event = CommerceEvent(product_action=ProductAction.CLICK, products=[TEA])
    assert copy.deepcopy(event) == event
    assert pickle.loads(pickle.dumps(event)) == event


@pytest.mark.parametrize(
    ("price", "quantity", "total"),
    [
        (4.5, 2, 9.0),
        (Decimal("1.10"), 3, Decimal("3.30")),
        (Decimal("1.5"), 0.5, 0.75),
        (10**400, 0.5, float("inf")),
        (1, 0, 0),
    ],
)
def test_total_product_amount(price: Any, quantity: Any, total: Any) -> None:
    """Price times quantity, whatever kinds of number they are."""
    assert Product("Tea", "s", price, quantity).total_amount == total


def test_total_of_an_event() -> None:
    """The revenue if given, else products + shipping + tax; nothing without either."""
    action = ProductAction.PURCHASE
    assert CommerceEvent(action, [TEA], TransactionAttributes(revenue=0)).total_amount == 0
    assert CommerceEvent(action, [TEA], TransactionAttributes(shipping=2, tax=0.5)).total_amount == 11.5
    assert CommerceEvent(action, [TEA]).total_amount == 9.0
    assert CommerceEvent(action).total_amount is None
    mixed = [TEA, Product("Cup", "cup", Decimal("1.5"))]
    assert CommerceEvent(action, mixed).total_amount == 10.5


@pytest.mark.parametrize(
    ("event", "number"),
    [
        (CommerceEvent(ProductAction.ADD_TO_CART), 10),
        (CommerceEvent(ProductAction.REFUND, promotion_action=PromotionAction.VIEW), 17),
        (CommerceEvent(promotion_action=PromotionAction.VIEW), 18),
        (CommerceEvent(promotion_action=PromotionAction.CLICK), 19),
        (CommerceEvent(ProductAction.REMOVE_FROM_WISHLIST), 21),
        (CommerceEvent(impressions=[Impression("list")]), 22),
    ],
)
def test_commerce_types(event: CommerceEvent, number: int) -> None:
    """The product action decides, then the promotion action, else it is an impression."""
    assert event.commerce_type == number


def test_expansion_of_a_purchase() -> None:
    """A Total with the order's fields, then an Item for each product; all of type Transaction, at the event's time."""
    event = CommerceEvent(
        ProductAction.PURCHASE,
        [TEA],
        TransactionAttributes("t1", "web", tax=0.5),
        checkout_step=2,
        attributes={"gift": True},
        timestamp=5,
    )
    assert expand(event) == [
        Event(
            "eCommerce - purchase - Total",
            EventType.TRANSACTION,
            {
                "gift": True,
                "Transaction Id": "t1",
                "Affiliation": "web",
                "Total Amount": 9.5,
                "Tax Amount": 0.5,
                "Currency Code": "USD",
                "Checkout Step": 2,
            },
            5.0,
        ),
        Event(
            "eCommerce - purchase - Item",
            EventType.TRANSACTION,
            {
                "Name": "own",
                "Id": "tea",
                "Brand": "Acme",
                "Item Price": 4.5,
                "Quantity": 2,
                "Total Product Amount": 9.0,
                "leaf": "green",
                "Transaction Id": "t1",
            },
            5.0,
        ),
    ]


def test_expansion_of_the_rest() -> None:
    """Other actions give Items only; promotions and impressions one event each, with the event's attributes."""
    event = CommerceEvent(
        ProductAction.CLICK,
        [TEA],
        promotion_action=PromotionAction.VIEW,
        promotions=[Promotion("p1", position="top"), Promotion(name="Sale")],
        impressions=[Impression("list", [TEA, TEA])],
        attributes={"a": 1, "Id": "event's"},
    )
    plain = expand(event)
    assert [item.name for item in plain] == [
        "eCommerce - click - Item",
        "eCommerce - view - Item",
        "eCommerce - view - Item",
        "eCommerce - Impression - Item",
        "eCommerce - Impression - Item",
    ]
    assert "a" not in plain[0].attributes
    assert plain[1].attributes == {"a": 1, "Id": "p1", "Position": "top"}
    assert plain[2].attributes == {"a": 1, "Id": "event's", "Name": "Sale"}
    assert plain[3].attributes["Product Impression List"] == "list"
    assert plain[3].attributes["Name"] == "Tea"


amounts = st.integers(0, 10**6) | st.floats(0, 1e6)


@given(st.lists(st.tuples(amounts, st.integers(0, 50)), max_size=5))
def test_expansion_keeps_totals(items: list[tuple[float, int]]) -> None:
    """The Items' totals add up to the purchase's Total."""
    products = [Product("Tea", f"s{number}", price, quantity) for number, (price, quantity) in enumerate(items)]
    total, *parts = expand(CommerceEvent(ProductAction.PURCHASE, products, TransactionAttributes("t")))
    assert len(parts) == len(items)
    if products:
        assert total.attributes["Total Amount"] == pytest.approx(
            sum(part.attributes["Total Product Amount"] for part in parts)
        )
