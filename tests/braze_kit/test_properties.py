"""Whatever an app passes: no call raises, no request is refused, and the same calls give the same data."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mparticle_kit_braze.braze_kit import BrazeKit, ProfileName
from mparticle_kit_braze.commerce import CommerceEvent, Product, ProductAction, TransactionAttributes
from mparticle_kit_braze.events import Event, ScreenView
from mparticle_kit_braze.sandbox import Sandbox

from ..vectors.normal import normal_form
from .recording import start, user

KEYS = st.one_of(
    st.sampled_from(
        [
            "$FirstName",
            "$Age",
            "$Gender",
            "dob",
            "$Zip",
            "email",
            "email_subscribe",
            "news",
            "$",
            "",
            "$$k",
            "k",
            'a"b',
            "\x00",
            "\ud800",
        ]
    ),
    st.text(max_size=6),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=10),
    st.sampled_from(["true", "007", "1.5", "1e5", "-", "opted_in", "1990-02-03", "\ud83d", "x" * 5000]),
    st.decimals(),
    st.datetimes(timezones=st.none() | st.just(dt.timezone(dt.timedelta(hours=-14)))),
    st.dates(),
    st.binary(max_size=3),
    st.builds(object),
    st.just(Decimal("1e500")),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)
ATTRIBUTES = st.dictionaries(KEYS, VALUES, max_size=5)
PROFILES = st.sampled_from(["native", "web", "android", "ios"])
FLAGS = st.fixed_dictionaries(
    {
        "enable_type_detection": st.booleans(),
        "bundle_commerce_event_data": st.booleans(),
        "use_ecommerce_recommended_events": st.booleans(),
        "forward_screen_views": st.just(True),
        "cart_id_attribute": st.just("cart"),
        "subscription_group_mapping": st.just({"news": "g-1"}),
    }
)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """One sandbox for all examples."""
    with Sandbox("key", limiter=False) as running:
        yield running


def play(sandbox: Sandbox, profile: ProfileName, flags: dict[str, Any], attributes: dict[str, Any]) -> str:
    """Make one call of each kind and give what arrived."""
    sandbox.reset()
    kit = BrazeKit("key", sandbox.url, profile=profile, **flags)
    start(kit, user(customer_id="c1", email="a@b.co"))
    try:
        kit.log_event(Event("e", attributes=attributes))
        kit.log_screen(ScreenView("s", attributes))
        transaction = TransactionAttributes("t-1", shipping=2)
        product = Product("Tea", "tea", 4.5, 2, attributes=attributes)
        for action in (ProductAction.PURCHASE, ProductAction.REFUND, ProductAction.CLICK):
            kit.log_commerce_event(
                CommerceEvent(action, [product], transaction, attributes={**attributes, "cart": "c-1"})
            )
        for key, value in attributes.items():
            if isinstance(value, list):
                kit.on_user_attribute_list_set(None, key, value)
            else:
                kit.on_user_attribute_set(None, key, value)
            kit.on_user_tag_set(None, key)
            kit.on_user_attribute_incremented(None, key, 2, 3)
            kit.on_user_attribute_removed(None, key, was_set=True)
        result = kit.flush(10)
        assert result is not None
        assert result.complete
    finally:
        kit.close(1)
    assert not sandbox.problems
    # Merged per user: how many requests carried them does not matter.
    return json.dumps(normal_form(sandbox.events, sandbox.attributes, deep=True), sort_keys=True)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(profile=PROFILES, flags=FLAGS, attributes=ATTRIBUTES)
def test_any_attributes_pass_and_always_come_to_the_same(
    sandbox: Sandbox, profile: ProfileName, flags: dict[str, Any], attributes: dict[str, Any]
) -> None:
    """No exception, no refused request, and twice the same data."""
    assert play(sandbox, profile, flags, attributes) == play(sandbox, profile, flags, attributes)
