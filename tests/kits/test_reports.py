"""Forwarding reports: what they say is what happens, whatever is configured; without a listener nothing is made."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mparticle_kit_braze import (
    CommerceEvent,
    EventType,
    ForwardingReport,
    InvalidArgumentError,
    MParticle,
    Problem,
    Product,
    ProductAction,
    Promotion,
    PromotionAction,
)
from mparticle_kit_braze.events import Event
from mparticle_kit_braze.kits.hashing import mp_hash
from tests.kits.recording import RecordingKit
from tests.kits.test_manager import EventsOnly
from tests.support import run_python


def hidden(*texts: str) -> dict[str, int]:
    return {str(mp_hash(text)): 0 for text in texts}


def reports_of(configuration: dict[str, Any], *calls: Any, opted_out: bool = False) -> list[ForwardingReport]:
    """What is reported of some calls at a kit with a configuration."""
    heard: list[ForwardingReport] = []
    with MParticle([RecordingKit({"id": 28, **configuration})], storage=":memory:") as client:
        if opted_out:
            client.set_opt_out(True)
        client.add_forwarding_listener(heard.append)
        for call in calls:
            call(client)
        client.remove_forwarding_listener(heard.append)
    return heard


def song(client: MParticle) -> None:
    client.log_event("Played Song", EventType.NAVIGATION, {"genre": "Jazz", "plays": 3})


REASONS: list[tuple[dict[str, Any], str, str]] = [
    ({}, "forwarded", ""),
    ({"hs": {"et": hidden("1")}}, "filtered", "event_type"),
    ({"hs": {"ec": hidden("1Played Song")}}, "filtered", "event_name"),
    ({"hs": {"mt": {"e": 0}}}, "filtered", "message_type"),
    ({"avf": {"i": False, "a": mp_hash("genre"), "v": mp_hash("Jazz")}}, "filtered", "attribute_rule"),
    ({"hs": {"et": hidden("1"), "ec": hidden("1Played Song")}}, "filtered", "event_type"),
    ({"bk": {"lo": 0, "hi": 0}}, "closed", "bracket"),
    ({"crvf": {"i": True, "v": [{"h": 1, "c": True}]}}, "closed", "consent"),
    ({"eau": True}, "closed", "anonymous"),
]


@pytest.mark.parametrize(("configuration", "outcome", "reason"), REASONS)
def test_a_report_says_why(configuration: dict[str, Any], outcome: str, reason: str) -> None:
    """The first filter or rule that keeps an event off is the reason."""
    (report,) = reports_of(configuration, song)
    assert (report.outcome, report.reason) == (outcome, reason)
    assert (report.kit, report.kit_id, report.call) == ("Recording", 28, "log_event")
    assert (report.name, report.event_type) == ("Played Song", EventType.NAVIGATION)


def test_hidden_attributes_are_named() -> None:
    """Attributes, commerce labels, identities and purposes that filters take off."""
    order = CommerceEvent(
        ProductAction.PURCHASE,
        [Product("Tea", "tea", 1, brand="Acme", attributes={"own": 1})],
        promotion_action=PromotionAction.VIEW,
        promotions=[Promotion("p", creative="c")],
        checkout_options="o",
    )
    heard = reports_of(
        {
            "hs": {
                "ea": hidden("1Played Songgenre"),
                "svea": hidden("0Hometab"),
                "afa": {"1": hidden("Brand", "own"), "2": hidden("Creative")},
                "cea": hidden("16Checkout Options"),
                "uid": {"7": 0},
                "pur": hidden("1marketing"),
            }
        },
        song,
        lambda client: client.log_screen("Home", {"tab": 1, "other": 2}),
        lambda client: client.log_commerce_event(order),
        lambda client: client.login(customer_id="c", email="e"),
        lambda client: client.set_consent("gdpr", "marketing", True),
    )
    assert [(report.call, report.name, report.hidden) for report in heard] == [
        ("log_event", "Played Song", ("genre",)),
        ("log_screen", "Home", ("tab",)),
        ("log_commerce_event", "purchase", ("Brand", "Checkout Options", "Creative", "own")),
        ("on_identity_completed", "login", ("email",)),
        ("on_consent_changed", "", ("marketing",)),
    ]
    assert {report.outcome for report in heard} == {"forwarded"}


def test_screens_commerce_and_attributes_have_reasons_too() -> None:
    """Every routed call reports its own filters."""
    heard = reports_of(
        {"hs": {"svec": hidden("0Home"), "et": hidden("14"), "ua": hidden("plan")}},
        lambda client: client.log_screen("Home"),
        lambda client: client.log_commerce_event(CommerceEvent(ProductAction.CLICK)),
        lambda client: client.set_user_attribute("plan", "gold"),
        lambda client: client.set_user_tag("vip"),
        lambda client: client.increment_user_attribute("plan"),
    )
    assert [(report.call, report.outcome, report.reason) for report in heard] == [
        ("log_screen", "filtered", "screen_name"),
        ("log_commerce_event", "filtered", "event_type"),
        ("on_user_attribute_set", "filtered", "user_attribute"),
        ("on_user_tag_set", "forwarded", ""),
        ("on_user_attribute_incremented", "filtered", "user_attribute"),
    ]


def test_projected_events_are_named() -> None:
    """A report says what projections made of the event."""
    projection = {
        "id": 1,
        "matches": [{"message_type": 4, "event_match_type": "Hash", "event": str(mp_hash("1Played Song"))}],
        "action": {"projected_event_name": "Song"},
    }
    (report,) = reports_of({"pr": [projection]}, song)
    assert report.projected == ("Song",)


def test_opted_out_calls_are_reported() -> None:
    """What the client refuses for an opted-out user never reaches a kit, and says so."""
    (report,) = reports_of({}, song, opted_out=True)
    assert (report.call, report.outcome, report.reason) == ("event", "closed", "opted_out")


def test_kits_that_raise_and_kits_that_cannot() -> None:
    """A raising kit is reported after the hand-over; one without the callback as unsupported."""

    class Raises(RecordingKit):
        def log_event(self, event: Event) -> None:
            raise RuntimeError("no")

    heard: list[ForwardingReport] = []
    with MParticle([Raises(), EventsOnly()], storage=":memory:") as client:
        client.add_forwarding_listener(heard.append)
        client.log_event("A")
        client.log_screen("B")
    assert [(report.kit, report.outcome, report.reason) for report in heard] == [
        ("Recording", "forwarded", ""),
        ("EventsOnly", "forwarded", ""),
        ("Recording", "failed", "RuntimeError"),
        ("Recording", "forwarded", ""),
        ("EventsOnly", "unsupported", ""),
    ]


def test_a_listener_that_raises_harms_nobody() -> None:
    """The call goes on, the next listener hears, and it is reported."""
    problems: list[Problem] = []
    heard: list[ForwardingReport] = []
    kit = RecordingKit()

    def raises(_report: ForwardingReport) -> None:
        raise RuntimeError

    with MParticle([kit], storage=":memory:", on_error=problems.append) as client:
        client.add_forwarding_listener(raises)
        client.add_forwarding_listener(heard.append)
        song(client)
        client.remove_forwarding_listener(raises)
        client.remove_forwarding_listener(raises)
        song(client)
        with pytest.raises(InvalidArgumentError, match="listener"):
            client.add_forwarding_listener(None)  # type: ignore[arg-type]  # wrong on purpose
    assert len(kit.of("log_event")) == len(heard) == 2
    assert [problem.code for problem in problems] == ["listener_failed"]


def test_without_a_listener_nothing_is_loaded_or_wrapped() -> None:
    """The code of reports is not even imported; after the last listener left, calls take the short way again."""
    code = """
        import sys
        from mparticle_kit_braze import LoggingKit, MParticle
        with MParticle([LoggingKit()], storage=":memory:") as client:
            client.log_event("A")
            client.set_user_attribute("a", 1)
            assert "mparticle_kit_braze.kits.reports" not in sys.modules
            plain = client._kits.log_event.__code__
            client.add_forwarding_listener(print)
            assert client._kits.log_event.__code__ is not plain
            client.remove_forwarding_listener(print)
            assert client._kits.log_event.__code__ is plain
            assert client._kits._reports is None
    """
    result = run_python(code)
    assert result.returncode == 0, result.stderr


NAMES = st.sampled_from(["a", "b", "c"])
TYPES = st.sampled_from([EventType.OTHER, EventType.NAVIGATION])


@settings(deadline=None)
@given(
    hs=st.fixed_dictionaries(
        {
            "et": st.sets(TYPES.map(lambda kind: str(int(kind))), max_size=1),
            "ec": st.sets(st.tuples(TYPES, NAMES).map(lambda pair: f"{int(pair[0])}{pair[1]}"), max_size=3),
            "ea": st.sets(st.tuples(TYPES, NAMES, NAMES).map(lambda it: f"{int(it[0])}{it[1]}{it[2]}"), max_size=6),
        }
    ),
    rule=st.none() | st.tuples(st.booleans(), NAMES, NAMES),
    calls=st.lists(st.tuples(NAMES, TYPES, st.dictionaries(NAMES, NAMES)), max_size=5),
)
def test_reports_agree_with_what_arrives(
    hs: dict[str, set[str]],
    rule: tuple[bool, str, str] | None,
    calls: list[tuple[str, EventType, dict[str, str]]],
) -> None:
    """Under any filters, the forwarded reports are exactly the events the kit gets, less what they call hidden."""
    configuration: dict[str, Any] = {"hs": {key: hidden(*texts) for key, texts in hs.items()}}
    if rule is not None:
        configuration["avf"] = {"i": rule[0], "a": mp_hash(rule[1]), "v": mp_hash(rule[2])}
    heard: list[ForwardingReport] = []
    kit = RecordingKit({"id": 28, **configuration})
    with MParticle([kit], storage=":memory:") as client:
        client.add_forwarding_listener(heard.append)
        for name, event_type, attributes in calls:
            client.log_event(name, event_type, attributes)
    assert len(heard) == len(calls)
    passed = [(call, report) for call, report in zip(calls, heard, strict=True) if report.outcome == "forwarded"]
    assert [event.name for (event,) in kit.of("log_event")] == [report.name for _, report in passed]
    for (_, _, given_attributes), report in passed:
        assert set(report.hidden) <= given_attributes.keys()
    assert [sorted(event.attributes) for (event,) in kit.of("log_event")] == [
        sorted(given_attributes.keys() - set(report.hidden)) for (_, _, given_attributes), report in passed
    ]
