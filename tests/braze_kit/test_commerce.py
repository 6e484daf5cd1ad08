"""Commerce events: expansion, bundling, totals, precedence, Braze's recommended events."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mparticle_kit_braze.commerce import (
    CommerceEvent,
    Impression,
    Product,
    ProductAction,
    Promotion,
    PromotionAction,
    TransactionAttributes,
)

from .recording import started

PROFILES = ("native", "web", "android", "ios")
CENTS = st.integers(0, 1_000_000).map(lambda cents: cents / 100)
NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters='"$', exclude_categories=("Cc", "Cs")), min_size=1, max_size=8
)
ATTRIBUTES = st.dictionaries(NAMES, st.one_of(NAMES, st.integers(-(2**40), 2**40), st.booleans()), max_size=3)
PRODUCTS = st.builds(Product, NAMES, NAMES, CENTS, st.integers(1, 100), attributes=ATTRIBUTES)


def purchases(profile: str, event: CommerceEvent, **options: Any) -> list[Any]:
    """The purchases a commerce event becomes."""
    kit = started(profile, **options)
    kit.log_commerce_event(event)
    return [call for call in kit.calls if call[0] == "purchase"]


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(PROFILES), st.lists(PRODUCTS, min_size=1, max_size=4), ATTRIBUTES)
def test_expansion_keeps_totals(profile: str, products: list[Product], attributes: dict[str, Any]) -> None:
    """Item by item: as many, in order, and their prices times quantities are those of the event."""
    event = CommerceEvent(ProductAction.PURCHASE, products, attributes=attributes)
    made = purchases(profile, event)
    assert len(made) == len(products)
    assert [(call[2], call[4]) for call in made] == [(product.price, product.quantity) for product in products]
    spent = sum(Decimal(str(call[2])) * Decimal(str(call[4])) for call in made)
    assert spent == sum(Decimal(str(product.price)) * Decimal(str(product.quantity)) for product in products)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(("native", "android", "ios")), st.lists(PRODUCTS, min_size=1, max_size=4), CENTS, CENTS)
def test_missing_revenue_is_filled_in(profile: str, products: list[Product], shipping: float, tax: float) -> None:
    """Products, shipping and tax, in one purchase for the bundle."""
    transaction = TransactionAttributes("t", shipping=shipping, tax=tax)
    event = CommerceEvent(ProductAction.PURCHASE, products, transaction)
    (made,) = purchases(profile, event, bundle_commerce_event_data=True)
    expected = sum(float(product.price) * float(product.quantity) for product in products) + shipping + tax
    assert made[2] == pytest.approx(expected, abs=0.006)
    assert made[5]["Total Amount"] == made[2]
    assert len(made[5]["products"]) == len(products)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(PROFILES),
    st.tuples(st.booleans(), st.booleans()),
    st.sampled_from(ProductAction),
    st.lists(PRODUCTS, max_size=3),
    ATTRIBUTES,
)
def test_the_same_event_gives_the_same_calls(
    profile: str, flags: tuple[bool, bool], action: ProductAction, products: list[Product], attributes: dict[str, Any]
) -> None:
    """Nothing is remembered from one event to the next, and the event is not changed."""
    transaction = TransactionAttributes("t", revenue=1)
    event = CommerceEvent(action, products, transaction, attributes={**attributes, "cart": "c", "out": "o"})
    bundle, recommended = flags
    kit = started(
        profile,
        bundle_commerce_event_data=bundle,
        use_ecommerce_recommended_events=recommended,
        cart_id_attribute="cart",
        checkout_id_attribute="out",
    )
    kit.log_commerce_event(event)
    first = list(kit.calls)
    kit.log_commerce_event(event)
    assert kit.calls[len(first) :] == first


def test_product_fields_do_not_run_on_from_product_to_product() -> None:
    """Each item has its own fields only."""
    products = [Product("A", "a", 1, brand="Acme", attributes={"material": "wool"}), Product("B", "b", 2)]
    for profile in PROFILES:
        for action in (ProductAction.PURCHASE, ProductAction.CLICK):
            kit = started(profile)
            kit.log_commerce_event(CommerceEvent(action, products))
            assert "Brand" not in kit.calls[1][-1]
            assert "material" not in kit.calls[1][-1]


@pytest.mark.parametrize(
    ("profile", "winner"),
    [("native", "product attribute"), ("web", "product"), ("android", "event attribute"), ("ios", "event attribute")],
)
def test_precedence_in_items(profile: str, winner: str) -> None:
    """Which of the same names wins in an expanded item."""
    product = Product("A", "a", 1, brand="product", attributes={"Brand": "product attribute"})
    kit = started(profile)
    kit.log_commerce_event(CommerceEvent(ProductAction.CLICK, [product], attributes={"Brand": "event attribute"}))
    assert kit.calls[0][2]["Brand"] == winner


def test_order_of_a_refund() -> None:
    """The total comes first, on iOS last."""
    for profile, order in (("native", "TII"), ("web", "TII"), ("android", "TII"), ("ios", "IIT")):
        kit = started(profile)
        kit.log_commerce_event(CommerceEvent(ProductAction.REFUND, [Product("A", "a", 1), Product("B", "b", 2)]))
        assert "".join(call[1].rpartition(" - ")[2][0] for call in kit.calls) == order, profile


def test_product_action_without_products() -> None:
    """One event in native, the total on Android for orders, else nothing."""
    event = CommerceEvent(ProductAction.PURCHASE, attributes={"a": "b"}, checkout_step=3)
    names = {}
    for profile in PROFILES:
        kit = started(profile)
        kit.log_commerce_event(event)
        names[profile] = [call[1] for call in kit.calls]
    assert names == {
        "native": ["eCommerce - purchase"],
        "web": [],
        "android": ["eCommerce - purchase - Total"],
        "ios": [],
    }


@pytest.mark.parametrize("profile", PROFILES)
def test_impressions_name_every_product(profile: str) -> None:
    """One item a product a list, which the Android original gets wrong."""
    lists = [Impression("L1", [Product("A", "a", 1), Product("B", "b", 2)]), Impression("L2", [Product("B", "b", 2)])]
    kit = started(profile)
    kit.log_commerce_event(CommerceEvent(impressions=lists))
    assert [(call[1], call[2]["Product Impression List"], call[2]["Name"]) for call in kit.calls] == [
        ("eCommerce - Impression - Item", "L1", "A"),
        ("eCommerce - Impression - Item", "L1", "B"),
        ("eCommerce - Impression - Item", "L2", "B"),
    ]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("action", list(PromotionAction))
def test_promotions(profile: str, action: PromotionAction) -> None:
    """One item a promotion, or all in one event."""
    event = CommerceEvent(promotion_action=action, promotions=[Promotion("p1", position="top"), Promotion("p2")])
    kit = started(profile)
    kit.log_commerce_event(event)
    items = [("event", f"eCommerce - {action.value} - Item", {"Id": "p1", "Position": "top"})]
    assert kit.calls == [*items, ("event", f"eCommerce - {action.value} - Item", {"Id": "p2"})]
    kit = started(profile, bundle_commerce_event_data=True)
    kit.log_commerce_event(event)
    ((_, name, properties),) = kit.calls
    assert (name, properties["promotions"]) == (
        f"eCommerce - {action.value}",
        [{"Id": "p1", "Position": "top"}, {"Id": "p2"}],
    )


def test_apple_amounts_are_rounded_half_to_even() -> None:
    """By their decimal digits, as the core does when an amount is set."""
    products = [Product("A", "a", price) for price in (7.445, 7.435, 7.4461, 3)]
    assert [call[2] for call in purchases("ios", CommerceEvent(ProductAction.PURCHASE, products))] == [
        7.44,
        7.44,
        7.45,
        3,
    ]


def test_decimal_prices_become_numbers() -> None:
    """Exact types of the app are no obstacle."""
    event = CommerceEvent(ProductAction.PURCHASE, [Product("A", "a", Decimal("9.99"), Decimal(2))])
    for profile in PROFILES:
        ((_, _, price, _, quantity, _),) = purchases(profile, event)
        assert (price, quantity) == (9.99, 2)


# -- recommended events -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("profile", PROFILES)
def test_recommended_events_in_every_profile(profile: str) -> None:
    """The names and ids of Braze's schema; only texts and the source differ."""
    kit = started(profile, use_ecommerce_recommended_events=True, cart_id_attribute="cart")
    product = Product("Tea", "tea", 4.5, 2, attributes={"$origin": "Assam", "empty": ""})
    for action in ProductAction:
        transaction = TransactionAttributes("t-1", revenue=9, tax=1)
        kit.log_commerce_event(CommerceEvent(action, [product], transaction, attributes={"cart": "c-1", "n": 3}))
    made = {call[1]: call[2] for call in kit.calls if call[1].startswith("ecommerce.")}
    assert list(made) == [
        "ecommerce.cart_updated",
        "ecommerce.checkout_started",
        "ecommerce.product_viewed",
        "ecommerce.order_placed",
        "ecommerce.order_refunded",
    ]
    placed = made["ecommerce.order_placed"]
    assert placed["order_id"] == "t-1"
    assert placed["cart_id"] == "c-1"
    assert placed["total_value"] == 9
    assert placed["tax"] == 1
    assert placed["products"][0]["metadata"] == {"sku": "tea", "origin": "Assam"}
    assert placed["metadata"] == {"n": "3" if profile in ("android", "ios") else 3}
    assert "tax" not in made["ecommerce.order_refunded"]
    assert placed["source"] == {"native": "Python", "web": "web", "android": "Android", "ios": "iOS"}[profile]


def test_missing_ids_fall_back_to_the_session() -> None:
    """The same id within a session, another in the next."""
    kit = started(use_ecommerce_recommended_events=True, source="shop")
    event = CommerceEvent(ProductAction.PURCHASE, [Product("Tea", "tea", 4.5)])
    kit.log_commerce_event(event)
    kit.log_commerce_event(event)
    kit.on_session_start()
    kit.log_commerce_event(event)
    first, second, third = (call[2]["order_id"] for call in kit.calls)
    assert first == second != third
    assert {call[2]["cart_id"] for call in kit.calls[:2]} == {first}
    assert kit.calls[0][2]["source"] == "shop"


def test_recommended_events_need_a_product_and_a_known_action() -> None:
    """Otherwise the usual mapping applies."""
    kit = started(use_ecommerce_recommended_events=True)
    kit.log_commerce_event(CommerceEvent(ProductAction.CHECKOUT))
    kit.log_commerce_event(CommerceEvent(ProductAction.CLICK, [Product("Tea", "tea", 4.5)]))
    assert [call[1] for call in kit.calls] == ["eCommerce - checkout", "eCommerce - click - Item"]
