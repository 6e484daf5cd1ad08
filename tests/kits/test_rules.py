"""The gates of kits, decided alone and while a client runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from typing_extensions import override

from mparticle_kit_braze.client import MParticle
from mparticle_kit_braze.consent import CCPAConsent, ConsentState, GDPRConsent
from mparticle_kit_braze.identity import IdentityType, Operation, PendingResolution, Resolution, User
from mparticle_kit_braze.kits.configuration import AttributeRule, KitConfiguration
from mparticle_kit_braze.kits.hashing import mp_hash
from mparticle_kit_braze.kits.rules import closed_because
from mparticle_kit_braze.users import LocalUser, UserState
from tests.kits.recording import FixedResolver, RecordingKit

MARKETING = mp_hash("1marketing")


def user(mpid: int = 1000, **state: Any) -> LocalUser:
    return LocalUser(mpid, UserState(**state))


def reason(
    entry: dict[str, Any], who: LocalUser | None, *, opted_out: bool = False, environment: str = "production"
) -> str | None:
    return closed_because(KitConfiguration.from_json(entry), who, opted_out=opted_out, environment=environment)


def test_an_empty_configuration_admits_everyone() -> None:
    """Without rules the gate is open, even without a user."""
    assert reason({}, None) is None
    assert reason({}, user()) is None


@pytest.mark.parametrize(
    ("entry", "opted_out", "expected"),
    [
        ({}, True, "opted_out"),
        ({"as": {"honorOptOut": "False"}}, True, None),
        ({"eau": True}, False, "anonymous"),
        ({"bk": {"lo": 4, "hi": 101}}, False, "bracket"),
        ({"bk": {"lo": 3, "hi": 4}}, False, None),
        ({"bk": {"lo": 0, "hi": 3}}, False, "bracket"),
        ({"isDebug": True, "isSandbox": True}, False, "environment"),
        ({"isDebug": False}, False, None),
    ],
)
def test_rules_for_an_anonymous_user(entry: dict[str, Any], opted_out: bool, expected: str | None) -> None:
    """Each rule alone closes the gate for a user of bucket 3 who is not logged in."""
    assert reason(entry, user(), opted_out=opted_out) == expected


def test_anonymous_rule_admits_who_is_logged_in() -> None:
    """Excluding anonymous users lets the others through, and nobody without a user."""
    assert reason({"eau": True}, user(logged_in=True)) is None
    assert reason({"eau": True}, None) == "anonymous"


@pytest.mark.parametrize("include", [True, False])
def test_consent_rule(include: bool) -> None:
    """Any matching answer decides; without a user the rule keeps the kit off whatever its sense."""
    entry = {"crvf": {"i": include, "v": [{"h": MARKETING, "c": True}, {"h": 5, "c": False}]}}
    agreed = user(consent=ConsentState({"Marketing ": GDPRConsent(True), "x": GDPRConsent(True)}))
    refused = user(consent=ConsentState({"marketing": GDPRConsent(False)}))
    assert (reason(entry, agreed) is None) is include
    assert (reason(entry, refused) is None) is not include
    assert (reason(entry, user()) is None) is not include
    assert reason(entry, None) == "consent"


def test_consent_rule_for_ccpa() -> None:
    """CCPA has a hash of its own."""
    entry = {"crvf": {"i": True, "v": [{"h": mp_hash("2data_sale_opt_out"), "c": False}]}}
    assert reason(entry, user(consent=ConsentState(ccpa=CCPAConsent(False)))) is None
    assert reason(entry, user(consent=ConsentState(ccpa=CCPAConsent(True)))) == "consent"
    assert reason(entry, user(consent=ConsentState({"data_sale_opt_out": GDPRConsent(False)}))) == "consent"


@pytest.mark.parametrize(
    ("value", "matched"), [("Pro", True), ("pro", True), ("basic", False), (None, False), (3.0, False)]
)
def test_user_attribute_rule(value: Any, matched: bool) -> None:
    """The rule compares hashed texts, so without case; a user who lacks the attribute does not match."""
    including = KitConfiguration(
        form="web", user_attribute_rule=AttributeRule(mp_hash("tier"), mp_hash("pro"), include=True)
    )
    excluding = KitConfiguration(
        form="web", user_attribute_rule=AttributeRule(mp_hash("tier"), mp_hash("pro"), include=False)
    )
    who = user(attributes={"tier": value})
    assert (closed_because(including, who, opted_out=False, environment="production") is None) is matched
    assert (closed_because(excluding, who, opted_out=False, environment="production") is None) is not matched
    assert closed_because(excluding, None, opted_out=False, environment="production") == "user_attribute"


# -- while running --------------------------------------------------------------------------------------------------


def test_a_gate_follows_consent() -> None:
    """The kit starts when the answer arrives, hears of the consent, and stops when it is withdrawn."""
    kit = RecordingKit({"crvf": {"i": True, "v": [{"h": MARKETING, "c": True}]}})
    with MParticle([kit], storage=":memory:", resolver=FixedResolver(1000)) as client:
        client.log_event("A")
        client.set_consent("gdpr", "Marketing", True)
        client.log_event("B")
        client.set_consent("gdpr", "Marketing", False)
        client.log_event("C")
        assert client.stats().gates == {"Recording": "consent"}
    assert kit.names() == ["on_start", "on_consent_changed", "log_event", "on_stop"]


class LateResolver:
    """Answers when the test says so."""

    def __init__(self) -> None:
        self.answer = PendingResolution()

    def resolve(
        self, operation: Operation, identities: Mapping[IdentityType, str | None], current: User | None
    ) -> PendingResolution:
        """The one answer that is to come."""
        return self.answer


class SessionKit(RecordingKit):
    """Notes the start of sessions too."""

    @override
    def on_session_start(self) -> None:
        self.calls.append(("on_session_start",))


CONSENT = {"crvf": {"i": True, "v": [{"h": MARKETING, "c": True}]}}
TIER = {"userAttributeName": str(mp_hash("tier")), "userAttributeValue": str(mp_hash("pro")), "includeOnMatch": True}


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({}, ["on_start", "on_identity_completed", "on_session_start", "log_event", "on_user_attribute_set"]),
        (CONSENT, ["on_start", "on_consent_changed"]),
        ({"filteringUserAttributeValue": TIER}, ["on_start", "on_user_attribute_set"]),
    ],
)
def test_gates_follow_calls_that_have_waited(entry: dict[str, Any], told: list[str]) -> None:
    """What such a call opens is open for the next one, as when calls need not wait; sessions start before events."""
    kit, resolver = SessionKit(entry), LateResolver()
    with MParticle([kit], storage=":memory:", resolver=resolver) as client:
        client.log_event("A")
        client.set_user_attribute("tier", "Pro")
        client.set_consent("gdpr", "Marketing", True)
        client.log_event("B")
        resolver.answer.complete(Resolution(1000, is_logged_in=False))
        names = kit.names()
    assert names[: len(told)] == told
    assert (names[-1], kit.of("log_event")[-1][0].name) == ("log_event", "B")


def test_a_gate_follows_the_user() -> None:
    """Bracketing is decided anew when the user changes."""
    resolver = FixedResolver(256)
    kit = RecordingKit({"bk": {"lo": 0, "hi": 2}})
    with MParticle([kit], storage=":memory:", resolver=resolver) as client:
        assert client.kit_is_active("Recording")
        resolver.mpid = 256 * 50
        client.login(customer_id="other")
        assert not client.kit_is_active("Recording")
        resolver.mpid = 256
        client.logout()
        assert client.kit_is_active("Recording")
    assert kit.names() == ["on_start", "on_stop", "on_start", "on_identity_completed"]


def test_opt_out_tells_before_it_stops_and_survives_a_restart(tmp_path: Any) -> None:
    """Kits hear of the opt-out before they stop, and of the opt-in after they started again."""
    kit = RecordingKit()
    deaf = RecordingKit({"as": {"honorOptOut": "False"}}, name="Deaf", kit_id=1_000_001)
    with MParticle([kit, deaf], storage=tmp_path) as client:
        client.set_opt_out(True)
        client.log_event("refused")
        client.set_user_attribute("refused", 1)
        client.increment_user_attribute("passes")
        assert client.stats().problems == {"opted_out": 2}
    assert kit.names() == ["on_start", "on_opt_out", "on_stop"]
    assert deaf.names() == ["on_start", "on_opt_out", "on_user_attribute_incremented"]
    again = RecordingKit()
    with MParticle([again], storage=tmp_path) as client:
        assert not client.kit_is_active("Recording")
        client.set_opt_out(False)
        client.log_event("heard")
    assert again.names() == ["on_start", "on_opt_out", "log_event"]


def test_a_gate_follows_a_user_attribute() -> None:
    """The kit that an attribute opens gets that attribute; the one that it closes does not."""
    rule = {
        "userAttributeName": str(mp_hash("tier")),
        "userAttributeValue": str(mp_hash("pro")),
        "includeOnMatch": True,
    }
    kit = RecordingKit({"filteringUserAttributeValue": rule})
    with MParticle([kit], storage=":memory:") as client:
        client.set_user_attribute("tier", "Pro")
        client.set_user_attribute("tier", "basic")
        client.set_user_tag("tier")
        client.set_user_attribute("tier", "pro")
        client.remove_user_attribute("tier")
    assert kit.names() == ["on_start", "on_user_attribute_set", "on_stop"] * 2
