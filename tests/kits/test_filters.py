"""Filters: what a kit must not see never reaches it, and what it may see does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from mparticle_kit_braze.consent import CCPAConsent, ConsentState, GDPRConsent
from mparticle_kit_braze.events import Event, EventType, ScreenView
from mparticle_kit_braze.identity import IdentityType
from mparticle_kit_braze.kits import filters
from mparticle_kit_braze.kits.configuration import Filters, KitConfiguration
from mparticle_kit_braze.kits.filters import commerce_filter, event_filter, screen_filter
from mparticle_kit_braze.kits.hashing import mp_hash
from mparticle_kit_braze.kits.user_view import user_view, visible_consent
from tests.kits.recording import FixedResolver, RecordingKit

PURCHASE = CommerceEvent(
    product_action=ProductAction.PURCHASE,
    products=[
        Product(
            "Shirt",
            "s1",
            5,
            2,
            brand="Acme",
            category="Tops",
            variant="L",
            position=1,
            coupon_code="C",
            attributes={"color": "red", "size": "L"},
        )
    ],
    transaction=TransactionAttributes("t1", "web", "TC", 10, 2, 1),
    checkout_step=2,
    checkout_options="card",
    attributes={"gift": True, "note": "x"},
)


def hidden(**hashes: list[str]) -> KitConfiguration:
    """A mobile configuration that hides texts by their hashes."""
    return KitConfiguration.from_json(
        {"hs": {key: {str(mp_hash(t)): 0 for t in texts} for key, texts in hashes.items()}}
    )


def filtered(event: CommerceEvent, configuration: KitConfiguration) -> CommerceEvent | None:
    compiled = commerce_filter(configuration)
    assert compiled is not None
    return compiled(event)


def test_no_filters_compile_to_nothing() -> None:
    """A kit without filters is not even asked."""
    plain = KitConfiguration()
    assert event_filter(plain) is None
    assert screen_filter(plain) is None
    assert commerce_filter(plain) is None
    assert user_view(plain) is None


def test_product_fields_and_attributes() -> None:
    """``afa`` hides optional product fields and attributes by their labels, never name, SKU, price or quantity."""
    labels = ["Brand", "Coupon Code", "Position", "color", "Name", "Id", "Item Price", "Quantity"]
    event = filtered(
        PURCHASE, KitConfiguration.from_json({"hs": {"afa": {"1": {str(mp_hash(label)): 0 for label in labels}}}})
    )
    assert event is not None
    (product,) = event.products
    assert (product.brand, product.coupon_code, product.position) == (None, None, None)
    assert (product.name, product.sku, product.price, product.quantity) == ("Shirt", "s1", 5, 2)
    assert (product.category, product.variant, product.attributes) == ("Tops", "L", {"size": "L"})


def test_promotion_fields() -> None:
    """``afa`` hides every field of a promotion."""
    event = CommerceEvent(promotion_action=PromotionAction.VIEW, promotions=[Promotion("p", "Sale", "c", "top")])
    configuration = KitConfiguration.from_json(
        {"hs": {"afa": {"2": {str(mp_hash(label)): 0 for label in ("Id", "Creative", "Position")}}}}
    )
    result = filtered(event, configuration)
    assert result is not None
    assert result.promotions == (Promotion(name="Sale"),)


def test_fields_of_products_in_impressions() -> None:
    """``afa`` hides them under a number of their own, which leaves the products of the event alone."""
    product = Product("Shirt", "s1", 5, brand="Acme", attributes={"color": "red", "size": "L"})
    event = CommerceEvent(
        product_action=ProductAction.CLICK, products=[product], impressions=[Impression("Search", [product])]
    )
    hashes = {str(mp_hash(label)): 0 for label in ("Brand", "color", "Name")}
    result = filtered(event, KitConfiguration.from_json({"hs": {"afa": {"3": hashes}}}))
    assert result is not None
    assert result.products == (product,)
    assert result.impressions == (Impression("Search", [Product("Shirt", "s1", 5, attributes={"size": "L"})]),)


def test_event_fields_by_commerce_type() -> None:
    """``cea`` hides fields and attributes of the event for one action; a hidden revenue becomes 0.0."""
    labels = ["Checkout Step", "Checkout Options", "Coupon Code", "Shipping Amount", "Tax Amount", "Transaction Id"]
    configuration = hidden(cea=[f"16{label}" for label in [*labels, "Affiliation", "Total Amount", "gift"]])
    event = filtered(PURCHASE, configuration)
    assert event is not None
    assert event.transaction == TransactionAttributes(revenue=0.0)
    assert (event.checkout_step, event.checkout_options, event.attributes) == (None, None, {"note": "x"})
    refund = CommerceEvent(product_action=ProductAction.REFUND, transaction=PURCHASE.transaction)
    assert filtered(refund, configuration) == refund


def test_entities() -> None:
    """``ent`` empties products (in impressions too), promotions or impressions."""
    event = CommerceEvent(
        product_action=ProductAction.CLICK,
        products=PURCHASE.products,
        promotions=[Promotion("p")],
        impressions=[Impression("list", PURCHASE.products)],
    )
    without_products = filtered(event, KitConfiguration.from_json({"hs": {"ent": {"1": 0}}}))
    assert without_products is not None
    assert (without_products.products, without_products.impressions) == ((), (Impression("list"),))
    assert without_products.promotions == (Promotion("p"),)
    bare = filtered(event, KitConfiguration.from_json({"hs": {"ent": {"2": 0, "3": 0}}}))
    assert bare is not None
    assert (bare.promotions, bare.impressions, bare.products) == ((), (), event.products)


def test_commerce_type_and_rule() -> None:
    """``et`` uses the commerce type; the attribute rule looks at the event's own attributes."""
    assert filtered(PURCHASE, hidden(et=["16"])) is None
    assert filtered(PURCHASE, hidden(et=["4"])) == PURCHASE
    rule = {"avf": {"i": False, "a": mp_hash("gift"), "v": mp_hash("true")}}
    assert filtered(PURCHASE, KitConfiguration.from_json(rule)) is None


def test_web_form_applies_the_rule_to_screens() -> None:
    """Only the web core asks the attribute rule about screens."""
    rule = {
        "eventAttributeName": str(mp_hash("plan")),
        "eventAttributeValue": str(mp_hash("3")),
        "includeOnMatch": True,
    }
    compiled = screen_filter(KitConfiguration.from_json({"filteringEventAttributeValue": rule}))
    assert compiled is not None
    assert compiled(ScreenView("Home", {"plan": 3.0})) is not None
    assert compiled(ScreenView("Home")) is None


@pytest.mark.parametrize(("word", "compiler"), [("e", event_filter), ("v", screen_filter), ("cm", commerce_filter)])
def test_message_types(word: str, compiler: Any) -> None:
    """``mt`` hides a whole kind of message (Apple SDK)."""
    compiled = compiler(KitConfiguration.from_json({"hs": {"mt": {word: 0}}}))
    assert compiled(object()) is None


def test_consent_filters() -> None:
    """``reg`` hides a regulation, ``pur`` one purpose (Apple SDK)."""
    state = ConsentState({"marketing": GDPRConsent(True), "ads": GDPRConsent(False)}, CCPAConsent(True))
    ccpa = frozenset({mp_hash("2data_sale_opt_out")})
    assert visible_consent(state, ccpa, frozenset()) == ConsentState(state.gdpr)
    assert visible_consent(state, frozenset({mp_hash("1")}), frozenset()) == ConsentState(ccpa=CCPAConsent(True))
    assert list(visible_consent(state, frozenset(), frozenset({mp_hash("1ads")})).gdpr) == ["marketing"]


def test_decisions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made-up names and keys do not make the remembered decisions grow for ever, nor wrong."""
    monkeypatch.setattr(filters, "CACHED_NAMES", 8)
    monkeypatch.setattr(filters, "CACHED_KEYS", 8)
    configuration = hidden(ea=["8EventSecret"], ec=["8Forbidden"])
    compiled = event_filter(configuration)
    assert compiled is not None
    cells = [cell.cell_contents for cell in getattr(compiled, "__closure__")]  # noqa: B009  # a closure keeps them
    (decisions,) = (value for value in cells if isinstance(value, filters.NameDecisions))
    for number in range(100):
        assert compiled(Event(f"Event {number}")) is not None
        assert compiled(Event("Forbidden")) is None
        result = compiled(Event("Event", attributes={f"key {number}": 1, "secret": 2}))
        assert result is not None
        assert result.attributes == {f"key {number}": 1}
        assert len(decisions) <= 8
        assert all(keys is None or len(keys) <= 8 for keys in decisions.values())


# -- nothing hidden gets through ------------------------------------------------------------------------------------

NAMES = st.sampled_from(["Play", "PLAY", "Pause", "1Play", "é"])
KEYS = st.sampled_from(["a", "B", "genre", "Genre", "$x", "ß"])
TYPES = st.sampled_from(list(EventType))
ATTRIBUTES = st.dictionaries(KEYS, st.integers() | st.text(max_size=3) | st.none(), max_size=4)
IDENTITIES = st.sampled_from([IdentityType.EMAIL, IdentityType.CUSTOMER_ID, IdentityType.OTHER])


@st.composite
def filter_sets(draw: st.DrawFn) -> Filters:
    return Filters.hiding(
        event_types=draw(st.sets(TYPES, max_size=2)),
        events=draw(st.sets(st.tuples(TYPES, NAMES), max_size=3)),
        event_attributes=draw(st.sets(st.tuples(TYPES, NAMES, KEYS), max_size=6)),
        screens=draw(st.sets(NAMES, max_size=2)),
        screen_attributes=draw(st.sets(st.tuples(NAMES, KEYS), max_size=4)),
        user_attributes=draw(st.sets(KEYS, max_size=3)),
        identities=draw(st.sets(IDENTITIES, max_size=2)),
    )


CALLS = st.one_of(
    st.tuples(st.just("log_event"), NAMES, TYPES, ATTRIBUTES),
    st.tuples(st.just("log_screen"), NAMES, ATTRIBUTES),
    st.tuples(st.just("set_user_attribute"), KEYS, st.integers() | st.none()),
    st.tuples(st.just("set_user_attribute_list"), KEYS, st.lists(st.text(max_size=2), max_size=2)),
    st.tuples(st.just("set_user_tag"), KEYS),
    st.tuples(st.just("increment_user_attribute"), KEYS, st.integers(-3, 3)),
    st.tuples(st.just("remove_user_attribute"), KEYS),
    st.tuples(
        st.sampled_from(["identify", "login", "modify"]),
        st.dictionaries(IDENTITIES, st.text("ab", min_size=1), max_size=2),
    ),
)


@given(filter_sets(), st.lists(CALLS, max_size=8))
def test_nothing_hidden_reaches_a_kit(chosen: Filters, calls: list[tuple[Any, ...]]) -> None:
    """Whatever is called, a kit sees nothing that its filters hide; a kit beside it without filters sees everything."""
    kit = RecordingKit(KitConfiguration(filters=chosen))
    everything = RecordingKit(name="Everything")
    with MParticle([kit, everything], storage=":memory:", resolver=FixedResolver(1)) as client:
        for name, *arguments in calls:
            getattr(client, name)(*arguments)
    for event in (call[0] for call in kit.of("log_event")):
        number = int(event.event_type)
        assert mp_hash(str(number)) not in chosen.event_types
        assert mp_hash(f"{number}{event.name}") not in chosen.event_names
        assert not {mp_hash(f"{number}{event.name}{key}") for key in event.attributes} & chosen.event_attributes
    for screen in (call[0] for call in kit.of("log_screen")):
        assert mp_hash(f"0{screen.name}") not in chosen.screen_names
        assert not {mp_hash(f"0{screen.name}{key}") for key in screen.attributes} & chosen.screen_attributes
    for name, *arguments in kit.calls:
        if "attribute" in name or "tag" in name:
            assert mp_hash(arguments[0]) not in chosen.user_attributes
        if name == "on_user_attribute_set":
            assert not {mp_hash(key) for key in arguments[2]} & chosen.user_attributes
        if name == "on_identity_completed":
            assert not {kind.number for kind in [*arguments[2], *arguments[3]]} & chosen.user_identities
    assert len(everything.calls) == 1 + len(calls)
    allowed = [call for call in everything.of("log_event") if may_see(call[0], chosen)]
    assert len(kit.of("log_event")) == len(allowed)


def may_see(event: Event, chosen: Filters) -> bool:
    number = int(event.event_type)
    return mp_hash(str(number)) not in chosen.event_types and mp_hash(f"{number}{event.name}") not in chosen.event_names


@pytest.mark.parametrize(
    ("hidden", "total"),
    [
        (Filters.hiding(commerce_attributes=[(ProductAction.PURCHASE, "Tax Amount")]), 13.5),
        (Filters(commerce_entities=frozenset({1})), 13.5),
        (Filters.hiding(commerce_attributes=[(ProductAction.PURCHASE, "Total Amount")]), 0.0),
    ],
)
def test_a_missing_revenue_is_filled_in_before_anything_is_hidden(hidden: Filters, total: float) -> None:
    """As in the mobile cores: the total is that of the whole order, unless it is hidden itself."""
    order = CommerceEvent(
        product_action=ProductAction.PURCHASE,
        products=[Product("Tea", "tea", 5, 2)],
        transaction=TransactionAttributes("t1", tax=1.5, shipping=2),
    )
    seen = filtered(order, KitConfiguration(filters=hidden))
    assert seen is not None
    assert seen.transaction is not None
    assert seen.transaction.revenue == total


def test_no_revenue_is_made_up_where_there_is_none() -> None:
    """Without a product action, or without products and revenue, the event stays without."""
    configuration = KitConfiguration(filters=Filters(commerce_entities=frozenset({2})))
    shown = CommerceEvent(promotion_action=PromotionAction.VIEW, promotions=[Promotion("p1")])
    empty = CommerceEvent(product_action=ProductAction.VIEW_DETAIL)
    for event in (shown, empty):
        seen = filtered(event, configuration)
        assert seen is not None
        assert seen.transaction is None
