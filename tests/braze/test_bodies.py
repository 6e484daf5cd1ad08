"""Any calls with any values: bodies that the sandbox takes, and the same calls give the same body."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mparticle_kit_braze.braze import Braze
from mparticle_kit_braze.sandbox import Sandbox

from .conftest import Client

TEXT = st.text(max_size=12) | st.sampled_from(
    ["", " ", "$k", 'a"b', "a\nb", "\ud800", "\x85", "a@b.co", "\x1c@b.c", "+1 (2)", "1", "-0.001", "eur", "x" * 300]
)
NUMBERS = st.integers() | st.floats() | st.integers(0, 130) | st.decimals() | st.sampled_from([1e21, -0.0, 2**63, 90])
DATES = st.datetimes(timezones=st.none() | st.just(timezone.utc)) | st.dates()
SCALARS = st.none() | st.booleans() | NUMBERS | TEXT | DATES
VALUES = st.recursive(
    SCALARS | st.just(object()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT | st.integers(), inner, max_size=3),
    max_leaves=6,
)
PRODUCT = st.fixed_dictionaries(
    {"product_id": TEXT, "product_name": TEXT, "variant_id": TEXT, "quantity": NUMBERS, "price": NUMBERS}
)
ECOMMERCE = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["ecommerce.order_placed", "ecommerce.cart_updated", "ecommerce.product_viewed"]),
        "properties": st.fixed_dictionaries(
            {
                "order_id": TEXT,
                "cart_id": TEXT,
                "currency": st.sampled_from(["usd", "EUR", "", None]),
                "source": TEXT,
                "total_value": NUMBERS,
                "products": st.lists(PRODUCT, max_size=2),
            },
            optional={"metadata": VALUES, "discounts": VALUES, "tax": SCALARS, "type": VALUES},
        ),
    }
)


def arguments(*each: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    """One value for each argument."""
    return st.tuples(*each)


CALLS: dict[str, st.SearchStrategy[tuple[Any, ...]]] = {
    "log_custom_event": arguments(TEXT | VALUES, st.none() | st.dictionaries(TEXT, VALUES, max_size=3) | VALUES),
    "log_purchase": arguments(TEXT, NUMBERS | TEXT, TEXT | st.none(), NUMBERS | st.none(), VALUES),
    "log_ecommerce_event": arguments(ECOMMERCE | VALUES),
    "change_user": arguments(TEXT | NUMBERS),
    "user.set_first_name": arguments(TEXT | VALUES),
    "user.set_email": arguments(TEXT | st.emails()),
    "user.set_phone_number": arguments(TEXT),
    "user.set_gender": arguments(st.sampled_from(["m", "F", "x", None])),
    "user.set_line_id": arguments(TEXT),
    "user.set_date_of_birth": arguments(NUMBERS, st.integers(0, 13), st.integers(0, 32)),
    "user.set_email_subscription": arguments(st.sampled_from(["opted_in", "unsubscribed", None, "x"])),
    "user.set_custom_attribute": arguments(TEXT, VALUES, st.booleans()),
    "user.increment_custom_attribute": arguments(TEXT, NUMBERS | TEXT),
    "user.add_to_custom_attribute_array": arguments(TEXT, TEXT),
    "user.set_custom_location_attribute": arguments(TEXT, NUMBERS | st.none(), NUMBERS | st.none()),
    "user.set_last_known_location": arguments(*[NUMBERS | TEXT | st.none()] * 5),
    "user.add_to_subscription_group": arguments(TEXT),
    "user.add_alias": arguments(TEXT, TEXT),
    "user.set_push_token": arguments(TEXT | st.none()),
}
SCRIPTS = st.lists(
    st.sampled_from(sorted(CALLS)).flatmap(lambda name: CALLS[name].map(lambda given_: (name, given_))), max_size=12
)


def play(braze: Braze, script: list[tuple[str, tuple[Any, ...]]]) -> list[Any]:
    """Make the calls."""
    returned = []
    for name, given_ in script:
        target, _, method = name.rpartition(".")
        returned.append(getattr(braze.current_user if target else braze, method)(*given_))
    return returned


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A local Braze without a request limit."""
    with Sandbox(limiter=False) as running:
        yield running


@given(SCRIPTS)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_sandbox_refuses_no_body(sandbox: Sandbox, script: list[tuple[str, tuple[Any, ...]]]) -> None:
    """Whatever is passed, nothing raises, and what is queued is what Braze takes."""
    with Braze("key-1", sandbox.url, storage=":memory:", on_error=lambda _problem: None) as braze:
        returned = play(braze, script)
        assert braze.flush(10).complete
        assert braze.delivery.dead_letters() == []
    assert sandbox.problems == []
    for (name, _), result in zip(script, returned, strict=True):
        assert result is None if name == "change_user" else isinstance(result, bool)


@given(SCRIPTS)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
def test_the_same_calls_give_the_same_body(
    make_client: Callable[..., Client], script: list[tuple[str, tuple[Any, ...]]]
) -> None:
    """But for the random ids of device and sessions."""

    def body() -> tuple[list[Any], str]:
        client = make_client(":memory:")
        returned = play(client.braze, script)
        client.send()
        text = json.dumps(client.last_body)
        for number, found in enumerate(dict.fromkeys(re.findall(r"[0-9a-f]{8}-[0-9a-f-]{27}", text))):
            text = text.replace(found, f"id-{number}")
        return returned, text

    assert body() == body()
