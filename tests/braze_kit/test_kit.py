"""The kit's life: start, identity, consent, opt-out, push, new configurations, delegation."""

from __future__ import annotations

from typing import Any

import pytest

from mparticle_kit_braze.braze_kit import BrazeKit
from mparticle_kit_braze.consent import ConsentState, GDPRConsent
from mparticle_kit_braze.errors import MParticleError
from mparticle_kit_braze.identity import IdentityType
from mparticle_kit_braze.kits.configuration import KitConfiguration

from .recording import RecordedKit, start, started, user

PROFILES = ("native", "web", "android", "ios")
CONSENT = [
    {"map": "Ads", "value": "google_ad_user_data"},
    {"map": "Ads", "value": "google_ad_personalization"},
]


def test_kit_tells_what_it_is() -> None:
    """Name and number are mParticle's."""
    kit = BrazeKit("key")
    assert (kit.name, kit.kit_id, kit.profile) == ("Braze", 28, "native")
    assert kit.instance is kit
    assert (kit.flush(), kit.close(1), kit.clear(), kit.stats()) == (None, None, 0, None)
    with pytest.raises(MParticleError, match="not been started"):
        _ = kit.braze


def test_starting_again_keeps_the_client() -> None:
    """A gate that closed and opened is no reason for another queue."""
    kit = started()
    braze = kit.braze
    kit.on_stop()
    start(kit)
    assert kit.braze is braze
    assert kit.instance is braze


def test_session_opens_at_start_where_the_platform_does() -> None:
    """The native profile leaves it to the first event, which costs nothing for a script that logs none."""
    assert [started(profile).braze.sessions for profile in PROFILES] == [0, 1, 1, 1]  # type: ignore[attr-defined]  # the recording stands in for it


def test_soft_push_event_is_logged_at_start() -> None:
    """By its configured name."""
    assert started("web", soft_push_custom_event_name="prompt").calls == [("event", "prompt", {})]


# -- identity -----------------------------------------------------------------------------------------------------
def identified(profile: str, requested: dict[IdentityType, str | None], current: Any, **settings: Any) -> RecordedKit:
    """A kit after one identity call."""
    kit = started(profile, **settings)
    kit.on_identity_completed("login", current, requested)
    return kit


@pytest.mark.parametrize("profile", PROFILES)
def test_user_at_start_becomes_brazes(profile: str) -> None:
    """User id first, then the email."""
    kit = RecordedKit("key", profile=profile, email_identification_type="Email")  # type: ignore[arg-type]  # profiles by name
    start(kit, user(customer_id="c1", email="a@b.co"))
    assert kit.calls == [("change_user", "c1"), ("set_email", "a@b.co")]


@pytest.mark.parametrize("profile", PROFILES)
def test_mpid_may_be_the_user_id(profile: str) -> None:
    """As a decimal text."""
    kit = identified(profile, {}, user(mpid=-42), user_identification_type="MPID")
    assert kit.calls == [("change_user", "-42")]


def test_the_same_user_is_not_changed_again() -> None:
    """A change of user ends the session; the same id must not."""
    kit = started()
    for _ in range(2):
        kit.on_identity_completed("login", user(customer_id="c1"), {})
    assert kit.calls == [("change_user", "c1")]


def test_ios_looks_at_the_request_only() -> None:
    """The others look at all identities of the user."""
    for profile, expected in (("ios", []), ("android", [("change_user", "c1")])):
        assert identified(profile, {}, user(customer_id="c1")).calls == expected


def test_email_never_goes_to_the_previous_user() -> None:
    """Native: an address without a user id is refused while somebody else is Braze's user."""
    kit = RecordedKit("key")
    problems = start(kit, user(customer_id="c1"))
    kit.on_identity_completed("login", user(mpid=8, email="b@b.co"), {IdentityType.EMAIL: "b@b.co"})
    assert kit.calls == [("change_user", "c1")]
    assert problems.codes == ["value_refused"]
    assert "b@b.co" not in problems[0].message
    anonymous = started()
    anonymous.on_identity_completed("login", user(email="b@b.co"), {})
    assert anonymous.calls == [("set_email", "b@b.co")]


# -- consent, opt-out, push ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("profile", "keys"),
    [(profile, ["$google_ad_user_data", "$google_ad_personalization"]) for profile in ("native", "web", "ios")]
    + [("android", ["$google_ad_personalization"])],
)
def test_consent_at_start_and_on_change(profile: str, keys: list[str]) -> None:
    """Mapped purposes with an answer; one target a purpose on Android."""
    kit = RecordedKit("key", profile=profile, consent_mapping=CONSENT)  # type: ignore[arg-type]  # profiles by name
    current = user()
    current.consent = ConsentState(gdpr={"ads": GDPRConsent(True), "other": GDPRConsent(True)})
    start(kit, current)
    assert kit.calls == [("set_custom_attribute", key, True) for key in keys]
    kit.on_consent_changed(current, current.consent, ConsentState(gdpr={"ads": GDPRConsent(False)}))
    assert kit.calls[len(keys) :] == [("set_custom_attribute", key, False) for key in keys]


def test_opting_in_sends_nothing() -> None:
    """Only opting out does, and only on iOS."""
    kit = started("ios")
    kit.on_opt_out(False)
    assert kit.calls == []


def test_push_token_goes_to_braze_if_enabled() -> None:
    """Off by default on Android."""
    for profile, taken in (("native", True), ("android", False)):
        kit = started(profile)
        assert kit.on_push_token("token") is taken
        assert kit.calls == ([("set_push_token", "token")] if taken else [])


# -- configurations, stored attributes ----------------------------------------------------------------------------
def test_new_configuration_is_taken_while_running() -> None:
    """Settings at once; a new endpoint makes a new client, whose queue is the same."""
    kit = started()
    braze = kit.braze
    kit.on_configuration_updated(
        KitConfiguration(kit_id=28, settings={"apiKey": "key", "host": "127.0.0.1", "forwardScreenViews": "True"})
    )
    assert kit.braze is braze
    assert kit.settings.forward_screen_views
    kit.on_configuration_updated(KitConfiguration(kit_id=28, settings={"apiKey": "key", "cluster": "EU-01"}))
    assert braze.calls == [("close", 0)]  # type: ignore[attr-defined]  # the recording stands in for it
    assert kit.braze is not braze


def test_android_sends_stored_attributes_once_after_installation() -> None:
    """A kit that comes to an app with users already finds out about them."""
    kit = RecordedKit("key", profile="android")
    current = user(attributes={"plan": "gold", "colors": ("red",), "tag": None})
    start(kit, current)
    assert kit.calls == [("set_custom_attribute", "plan", "gold"), ("set_custom_attribute", "colors", ["red"])]
