"""Arguments beyond the recorded ones: numbers in their Python forms, odd types, edges."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mparticle_kit_braze.braze.refusal import Refused
from mparticle_kit_braze.braze.validation.attributes import custom_value, increment_amount
from mparticle_kit_braze.braze.validation.purchases import CURRENCIES, currency_code, price_text, quantity_count
from mparticle_kit_braze.braze.validation.users import birth_date, user_id_text

from .conftest import Client


def nothing_amiss(what: str) -> None:
    """What is tested here goes as it is."""
    pytest.fail(what)


@pytest.mark.parametrize(
    ("price", "text"),
    [
        (9.999, "10.00"),
        (9.995, "9.99"),
        (1.005, "1.00"),
        (2.675, "2.67"),
        (0.125, "0.13"),
        (-0.001, "-0.00"),
        (-0.0, "0.00"),
        (0, "0.00"),
        (1e21, "1e+21"),
        (Decimal("9.995"), "10.00"),
        ("12abc", "12.00"),
        (" 1,5", "1.00"),
        (".5", "0.50"),
        (1e20, "100000000000000000000.00"),
        (10**20, "100000000000000000000.00"),
        (10**21, "1e+21"),
    ],
)
def test_prices(price: Any, text: str) -> None:
    """Two decimals, half away from zero on the exact value."""
    assert price_text(price) == text


@pytest.mark.parametrize(
    "price", [None, True, [], "", "abc", math.nan, math.inf, "1e999", 10**309, Decimal("NaN"), object()]
)
def test_refused_prices(price: Any) -> None:
    """No number, no purchase."""
    with pytest.raises(Refused):
        price_text(price)


def test_price_ignores_the_hosts_decimal_context() -> None:
    """A host thread with a small precision gets the same text."""
    with localcontext() as context:
        context.prec = 3
        assert price_text(Decimal("12345.678")) == "12345.68"


def test_currencies() -> None:
    """171 codes, upper-cased, None is USD."""
    assert len(CURRENCIES) == 171
    assert (currency_code(None), currency_code("jPy")) == ("USD", "JPY")
    for wrong in ("", "BYN", " USD", 5, True):
        with pytest.raises(Refused):
            currency_code(wrong)


@pytest.mark.parametrize(("given_", "count"), [(None, 1), (1.9, 1), ("2", 2), (100, 100), (Decimal(3), 3)])
def test_quantities(given_: Any, count: int) -> None:
    """Fractions are cut, text is read."""
    assert quantity_count(given_) == count


@pytest.mark.parametrize("wrong", [0, 101, -1, math.nan, True, "x", 0.5, [], 10**400])
def test_refused_quantities(wrong: Any) -> None:
    """1 to 100 only."""
    with pytest.raises(Refused):
        quantity_count(wrong)


@pytest.mark.parametrize(("given_", "amount"), [(None, 1), (0, 0), (-3, -3), ("5", 5), (2.0, 2), (Decimal(4), 4)])
def test_increments(given_: Any, amount: int) -> None:
    """Whole numbers in any form."""
    assert increment_amount(given_) == amount


@pytest.mark.parametrize("wrong", [1.5, "x", "", True, math.nan, math.inf, 2**63, [], "1.5"])
def test_refused_increments(wrong: Any) -> None:
    """Nothing but whole numbers of 64 bits."""
    with pytest.raises(Refused):
        increment_amount(wrong)


@pytest.mark.parametrize(
    ("parts", "text"), [((0, 1, 1), "0-1-1"), ((-1, 12, 31), "-1-12-31"), (("1990", 2.9, "3x"), "1990-2-3")]
)
def test_birth_dates(parts: tuple[Any, Any, Any], text: str) -> None:
    """Read leniently, written without zeros in front."""
    assert birth_date(*parts) == text


def test_user_ids() -> None:
    """Text of up to 997 bytes; numbers are taken as text."""
    assert user_id_text(5) == "5"
    assert user_id_text(5.0) == "5"
    assert user_id_text(2**80) == str(2**80)
    assert len(user_id_text("é" * 498 + "x")) == 499
    for wrong in ("", None, "é" * 499, b"x", True, math.nan, 10**5000):
        with pytest.raises(Refused):
            user_id_text(wrong)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"d": datetime(2020, 1, 2, 3, 4, 5, 678_000)}, '{"d":"2020-01-02T03:04:05.678Z"}'),  # noqa: DTZ001 - naive is UTC
        (datetime(2020, 1, 2, 3, 4, 5, 678_000), '"2020-01-02T03:04:05"'),  # noqa: DTZ001  # naive on purpose
        ([{"a": 1}], '[{"a":1}]'),
        (True, "true"),
        (1.0, "1.0"),
        (Decimal("1.5"), "1.5"),
    ],
)
def test_attribute_forms(value: Any, text: str) -> None:
    """Dates inside objects keep the long form, elsewhere the short one."""
    assert custom_value(value, nothing_amiss, merge=False).text == text


@pytest.mark.parametrize("value", [math.nan, math.inf, 2**63, b"x", object(), {1}, [1], [{}, "x"], {"a": {'"': 1}}])
def test_refused_attribute_values(value: Any) -> None:
    """NaN would go as null and remove the attribute: it is refused, as is what has no form."""
    with pytest.raises(Refused):
        custom_value(value, nothing_amiss, merge=False)


def test_object_attribute_limit() -> None:
    """76800 bytes of JSON pass, one more does not."""
    assert len(custom_value({"a": "x" * 76792}, nothing_amiss, merge=False).text) == 76800
    with pytest.raises(Refused, match="76800"):
        custom_value({"a": "x" * 76793}, nothing_amiss, merge=True)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.just(object()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
    max_leaves=6,
)


@given(st.tuples(ANYTHING, ANYTHING, ANYTHING))
def test_no_value_whatever_raises(values: tuple[Any, Any, Any]) -> None:
    """Every call takes any value with a boolean answer, and what it queues is JSON."""
    client = _memory_client()
    first, second, third = values
    user = client.user
    results = [
        client.braze.log_custom_event(first, second),
        client.braze.log_purchase(first, second, third, first, second),
        client.braze.log_ecommerce_event(first),
        client.braze.log_ecommerce_event({"name": "ecommerce.product_viewed", "properties": first}),
        user.set_first_name(first),
        user.set_email(first),
        user.set_gender(first),
        user.set_phone_number(first),
        user.set_date_of_birth(first, second, third),
        user.set_line_id(first),
        user.set_email_subscription(first),
        user.set_push_token(first),
        user.set_custom_attribute(first, second, third),
        user.set_custom_attribute("k", second, bool(third)),
        user.increment_custom_attribute("k", first),
        user.add_to_custom_attribute_array("k", first),
        user.set_custom_location_attribute("k", first, second),
        user.set_last_known_location(first, second, third, first, second),
        user.add_to_subscription_group(first),
        user.add_alias(first, second),
    ]
    client.braze.change_user(first)
    assert all(isinstance(result, bool) for result in results)
    assert all(isinstance(record, dict) for record in client.queued())


def _memory_client() -> Client:
    """A client made outside of a fixture: hypothesis runs many examples in one test."""
    from . import conftest

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mparticle_kit_braze.braze.client.Delivery", conftest.ListDelivery)
        return Client(":memory:", conftest.ManualClock())


def test_email_and_phone_use_ascii_rules(client: Client) -> None:
    """JavaScript's white space counts as blank; digits of other scripts are no phone digits."""
    assert not client.user.set_email("a\u00a0b@c.de")
    assert not client.user.set_email("a@b.co\n")
    assert not client.user.set_phone_number("٣٤٥")
    assert client.user.set_email("\x1ca@b.co")


def test_coordinates_as_text(client: Client) -> None:
    """Decimal text in ASCII digits is read; other scripts, names of numbers and underscores are not."""
    locate: Callable[..., bool] = client.user.set_last_known_location  # the types promise numbers only
    assert locate(" 1.5 ", "-2e1", accuracy="+3.")
    assert client.queued()[-1]["data"] == {"latitude": 1.5, "longitude": -20.0, "ll_accuracy": 3.0}
    for wrong in ("٣", "nan", "inf", "1_0", "1,5", "1a", ""):
        assert not locate(wrong, 1)


def test_characters_are_counted_as_javascript_does(client: Client) -> None:
    """A character beyond U+FFFF counts twice."""
    assert client.user.set_line_id("😀" * 16)
    assert not client.user.set_line_id("😀" * 17)
    assert client.user.set_email("😀" * 124 + "ab@cd.ef")
    assert not client.user.set_email("😀" * 125 + "ab@cd.ef")


ORDER: dict[str, Any] = {
    "order_id": "o1",
    "currency": "eur",
    "source": "app",
    "total_value": Decimal("9.5"),
    "products": [{"product_id": "p", "product_name": "n", "variant_id": "v", "quantity": 1.0, "price": 0}],
}


def test_ecommerce_events_of_the_whole_schema(client: Client) -> None:
    """Cancellations and refunds are taken too, other names are not; currency is upper-cased, a Decimal is a number."""
    log = client.braze.log_ecommerce_event
    assert log({"name": "ecommerce.order_refunded", "properties": ORDER})
    assert log({"name": "ecommerce.order_cancelled", "properties": {**ORDER, "cancel_reason": "late"}})
    assert not log({"name": "ecommerce.order_cancelled", "properties": ORDER})
    assert not log({"name": "ecommerce.unknown", "properties": ORDER})
    sent = client.queued()[1]["data"]["p"]
    many = {**ORDER, "products": ORDER["products"] * 900}
    assert log({"name": "ecommerce.order_placed", "properties": many})
    assert (sent["currency"], sent["total_value"], sent["products"][0]["quantity"]) == ("EUR", 9.5, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"order_id": ""},
        {"order_id": "x" * 256},
        {"order_id": "😀" * 128},
        {"total_value": "9.5"},
        {"total_value": -1},
        {"total_value": True},
        {"total_value": math.nan},
        {"currency": "ZZZ"},
        {"metadata": {"$a": 1}},
        {"metadata": {"": 1}},
        {"metadata": ["a"]},
        {"metadata": {"a": "x" * 51200}},
        {"discounts": "x"},
        {"products": [{}]},
    ],
)
def test_ecommerce_fields_are_checked_strictly(client: Client, change: dict[str, Any]) -> None:
    """One wrong field refuses the event."""
    assert client.braze.log_ecommerce_event({"name": "ecommerce.order_placed", "properties": ORDER})
    assert not client.braze.log_ecommerce_event({"name": "ecommerce.order_placed", "properties": {**ORDER, **change}})
