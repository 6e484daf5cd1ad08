"""What is remembered of users: attribute values of every kind, increments, damaged files."""

from __future__ import annotations

import datetime as dt
import enum
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mparticle_kit_braze.consent import CCPAConsent, ConsentState, GDPRConsent
from mparticle_kit_braze.diagnostics import Reporter
from mparticle_kit_braze.errors import InvalidArgumentError
from mparticle_kit_braze.identity import IdentityType
from mparticle_kit_braze.storage import Storage
from mparticle_kit_braze.users import UserStore, decode, encode, incremented

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.dates()
    | st.datetimes(timezones=st.none() | st.just(dt.timezone.utc))
    | st.decimals(allow_nan=False)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(values)
def test_values_come_back_as_they_were(value: Any) -> None:
    """Every kind of value that an attribute may have survives a restart, type included."""
    values_file = Storage.open(":memory:", Reporter()).key_values()
    values_file.set("v", encode(value))
    back = decode(values_file.get("v"))
    assert back == value
    assert type(back) is type(value)


class Color(enum.Enum):
    """Has a text as value."""

    RED = "red"


class Hostile:
    """Has no text."""

    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(("value", "back"), [(Color.RED, "red"), ({1}, (1,)), (b"x", "b'x'"), (Hostile(), None)])
def test_foreign_values_are_remembered_as_something(value: Any, back: Any) -> None:
    """An enum by its value, a set as a sequence, other objects as text; never an exception."""
    assert decode(encode(value)) == back


def test_a_value_that_holds_itself_ends_somewhere() -> None:
    """Endless values are cut."""
    loop: list[Any] = []
    loop.append(loop)
    assert encode(loop) is not None


@pytest.mark.parametrize(
    ("stored", "by", "total"),
    [
        (3, 2, 5),
        (3, 0.5, 3.5),
        (2.5, -1, 1.5),
        ("7", 1, 8),
        (" 1.5 ", 1, 2.5),
        ("1e2", 1, 101.0),
        (Decimal("1.5"), 1, 2.5),
        (True, 1, None),
        ("seven", 1, None),
        ("1_000", 1, None),
        ("nan", 1, None),
        ("inf", 1, None),
        ("", 1, None),
        (None, 1, 1),
        ((1,), 1, None),
        (10**400, 0.5, None),
        (float("inf"), 1, None),
        (1.7e308, 1.7e308, None),
        ("9" * 500, 1, None),
    ],
)
def test_increments(stored: Any, by: float, total: Any) -> None:
    """Numbers and texts that read as numbers add up; everything else has no sum."""
    assert incremented(stored, by) == total
    assert type(incremented(stored, by)) is type(total)


def test_a_file_with_nonsense_does_not_break_the_start() -> None:
    """What does not read is left out; the rest is there."""
    values_file = Storage.open(":memory:", Reporter()).key_values()
    values_file.update(
        {
            "current": 5,
            "user.5.identities": {"7": "e", "99": "x", "a": "b", "1": 3},
            "user.5.consent": {"gdpr": {"m": {"consented": "yes"}}},
            "user.5.attribute.good": 1,
            "user.5.attribute.bad": {"type": "date", "value": "never"},
            "user.5.logged_in": "perhaps",
        }
    )
    user = UserStore(values_file).current
    assert user is not None
    assert user.identities == {IdentityType.EMAIL: "e"}
    assert user.attributes == {"good": 1, "bad": None}
    assert (user.consent, user.is_logged_in) == (ConsentState(), False)


def test_views_of_a_user_cannot_be_edited() -> None:
    """A kit that writes into a user's mappings gets an error, not an effect."""
    store = UserStore(Storage.open(":memory:", Reporter()).key_values())
    user, _ = store.switch(5, logged_in=True)
    with pytest.raises(TypeError):
        user.attributes["a"] = 1  # type: ignore[index]  # the point
    with pytest.raises(TypeError):
        user.identities[IdentityType.EMAIL] = "e"  # type: ignore[index]  # the point


# -- consent --------------------------------------------------------------------------------------------------------


def test_consent_purposes_are_normalised() -> None:
    """Purposes are trimmed and lower-cased; the last of two that meet wins."""
    state = ConsentState({" Ads ": GDPRConsent(True), "ADS": GDPRConsent(False)})
    assert state.gdpr == {"ads": GDPRConsent(False)}
    assert state.with_gdpr("X ", GDPRConsent(True)).without_gdpr("x") == state


@given(
    st.dictionaries(
        st.text(min_size=1).filter(str.strip), st.builds(GDPRConsent, st.booleans(), st.none() | st.floats(0, 1e10))
    ),
    st.none() | st.builds(CCPAConsent, st.booleans(), document=st.none() | st.text()),
)
def test_consent_comes_back_from_json(gdpr: dict[str, GDPRConsent], ccpa: CCPAConsent | None) -> None:
    """A consent state survives its JSON."""
    state = ConsentState(gdpr, ccpa)
    assert ConsentState.from_json(state.to_json()) == state


@pytest.mark.parametrize(
    "make",
    [
        lambda: GDPRConsent("yes"),  # type: ignore[arg-type]  # the point; likewise below
        lambda: GDPRConsent(True, "now"),  # type: ignore[arg-type]  # wrong on purpose
        lambda: CCPAConsent(True, document=3),  # type: ignore[arg-type]  # wrong on purpose
        lambda: ConsentState({"": GDPRConsent(True)}),
        lambda: ConsentState({"x": True}),  # type: ignore[dict-item]  # wrong on purpose
        lambda: ConsentState([]),  # type: ignore[arg-type]  # wrong on purpose
        lambda: ConsentState(ccpa=GDPRConsent(True)),  # type: ignore[arg-type]  # wrong on purpose
    ],
)
def test_wrong_consent_raises(make: Any) -> None:
    """A wrong part of a consent state raises where it is made."""
    with pytest.raises(InvalidArgumentError):
        make()
