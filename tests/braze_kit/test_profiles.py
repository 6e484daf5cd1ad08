"""Rules of the profiles that the tables do not show: limits, refusals, order, event attributes on the user."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from mparticle_kit_braze.events import Event, EventType, ScreenView
from mparticle_kit_braze.kits.hashing import hash_utf8, mp_hash

from .recording import Problems, RecordedKit, start, started

YEAR = dt.datetime.now(dt.timezone.utc).year


def configured(profile: str, **configuration: Any) -> tuple[RecordedKit, Problems]:
    """A started kit with a configuration of its own, and the problems it reports."""
    settings = {"apiKey": "key", "forwardScreenViews": "True", **configuration.pop("settings", {})}
    kit = RecordedKit.from_configuration({"id": 28, "as": settings, **configuration}, profile=profile)  # type: ignore[arg-type]  # profiles by name
    problems = start(kit)
    return kit, problems


def attribute(profile: str, key: str, value: Any, **settings: Any) -> tuple[list[Any], list[str]]:
    """What setting one attribute comes to: the calls and the problems."""
    kit = RecordedKit("key", profile=profile, **settings)  # type: ignore[arg-type]  # any setting by name
    problems = start(kit)
    if isinstance(value, list):
        kit.on_user_attribute_list_set(None, key, value)
    else:
        kit.on_user_attribute_set(None, key, value)
    return kit.calls, problems.codes


REFUSED: tuple[list[Any], list[str]] = ([], ["value_refused"])


@pytest.mark.parametrize(
    ("profile", "key", "value"),
    [
        ("native", "$Gender", "robot"),
        ("native", "$Gender", 3),
        ("native", "$Age", -1),
        ("native", "$Age", "old"),
        ("native", "$Age", True),
        ("native", "$Age", "1_0"),
        ("native", "dob", "soon"),
        ("native", "dob", 19900203),
        ("native", "email_subscribe", "bogus"),
        ("native", "email_subscribe", None),
        ("native", "$", "x"),
        ("native", "k", {"a": 1}),
        ("native", "$FirstName", ["x"]),
        ("native", "k", [object()]),
        ("web", "$Age", "30"),
        ("web", "dob", "1990-02-03"),
        ("web", "k", {"a": 1}),
        ("web", "k", ["a", 1]),
        ("android", "$Age", "thirty"),
        ("android", "dob", "11/05/1999"),
        ("android", "dob", "19991105"),
        ("android", "push_subscribe", "OPTED_IN"),
        ("android", "", "x"),
        ("android", "k" * 257, "x"),
        ("android", "k", "x" * 4097),
        ("android", "k", "🎷" * 2049),
        ("android", "k", ["x" * 2048, "y" * 2049]),
        ("android", "k", ["a", None]),
        ("ios", "$Age", "unknown"),
        ("ios", "dob", "1985-6"),
        ("ios", "email_subscribe", "maybe"),
        ("ios", "k", dt.date(2020, 1, 1)),
        ("ios", "k", {"a": 1}),
        ("ios", "k" * 257, "x"),
        ("ios", "k", "x" * 4097),
        ("ios", "k", ["a", 1]),
    ],
)
def test_attribute_that_is_left_out_is_reported_once(profile: str, key: str, value: Any) -> None:
    """Nothing is sent, and one problem says so."""
    assert attribute(profile, key, value) == REFUSED


@pytest.mark.parametrize(
    ("profile", "key", "value"),
    [("native", "$FirstName", ""), ("ios", "k", ""), ("ios", "k", []), ("android", "k", None)],
)
def test_attribute_that_means_nothing_is_ignored(profile: str, key: str, value: Any) -> None:
    """As the platform does, without a report."""
    assert attribute(profile, key, value) == ([], [])


@pytest.mark.parametrize(
    ("profile", "key", "value", "call"),
    [
        ("native", "$Age", 30.9, ("set_date_of_birth", YEAR - 30, 1, 1)),
        ("native", "$Age", " 30.9 ", ("set_date_of_birth", YEAR - 30, 1, 1)),
        ("native", "$Age", None, ("set_date_of_birth", None, None, None)),
        ("native", "dob", dt.date(1990, 2, 3), ("set_date_of_birth", 1990, 2, 3)),
        ("native", "dob", "1990-02-03T10:00:00Z", ("set_date_of_birth", 1990, 2, 3)),
        ("native", "gender", "PREFER_NOT_TO_SAY", ("set_gender", "p")),
        ("native", "$Gender", None, ("set_gender", None)),
        ("native", "$Zip", 2134, ("set_custom_attribute", "Zip", "2134")),
        (
            "native",
            "k",
            [1, 2.5, True, "x", None, {"a": 1}],
            ("set_custom_attribute", "k", ["1", "2.5", "true", "x", "null", '{"a": 1}']),
        ),
        ("web", "$Age", 30.5, ("set_date_of_birth", int(YEAR - 30.5), 1, 1)),
        ("web", "dob", dt.datetime.fromisoformat("1990-02-03"), ("set_date_of_birth", 1990, 2, 3)),
        ("web", "k", ["$a", "b"], ("set_custom_attribute", "k", ["a", "b"])),
        ("android", "$Age", "5.9", ("set_date_of_birth", YEAR - 5, 1, 1)),
        ("android", "dob", "2999-2-15 and more", ("set_date_of_birth", 2999, 2, 15)),
        ("android", "dob", "1999-02-30", ("set_date_of_birth", 1999, 3, 2)),
        ("android", "$Gender", "nonbinary", ("set_gender", "o")),
        ("android", "$Gender", "male", ("set_gender", "m")),
        ("android", "k", "x" * 4096, ("set_custom_attribute", "k", "x" * 4096)),
        ("android", "$colors", ["red"], ("set_custom_attribute", "colors", ["red"])),
        ("ios", "$Age", "30 years", ("set_date_of_birth", YEAR - 30, 1, 1)),
        ("ios", "$Gender", "NA", ("set_gender", "n")),
        ("ios", "dob", "1985-06-15T00:00:00Z", ("set_date_of_birth", 1985, 6, 15)),
    ],
)
def test_attribute_rules(profile: str, key: str, value: Any, call: Any) -> None:
    """Single rules of single platforms."""
    assert attribute(profile, key, value) == ([call], [])


@pytest.mark.parametrize(
    ("value", "expected"), [(True, True), ("5000000000", 5_000_000_000), ("007", 7), (2.5, 2.5), ("--5", "--5")]
)
def test_apple_detection_covers_attributes(value: Any, expected: object) -> None:
    """Booleans stay booleans and numbers keep their 64 bits, which the original gets wrong."""
    calls, _ = attribute("ios", "k", value, enable_type_detection=True)
    assert calls == [("set_custom_attribute", "k", expected)]


@pytest.mark.parametrize(
    ("profile", "value", "method"),
    [
        ("android", "TRUE", "add_to_subscription_group"),
        ("android", False, "remove_from_subscription_group"),
        ("android", "1", None),
        ("ios", True, "add_to_subscription_group"),
        ("ios", 0, "remove_from_subscription_group"),
        ("ios", "true", None),
        ("native", "False", "remove_from_subscription_group"),
        ("native", True, "add_to_subscription_group"),
        ("native", 1, None),
    ],
)
def test_subscription_groups(profile: str, value: Any, method: str | None) -> None:
    """Which values subscribe and unsubscribe differs; others are refused."""
    calls, codes = attribute(profile, "weekly", value, subscription_group_mapping={"weekly": "g-1"})
    assert (calls, codes) == (([(method, "g-1")], []) if method else REFUSED)


@pytest.mark.parametrize("profile", ["native", "android", "ios"])
def test_reserved_keys_come_before_subscription_groups(profile: str) -> None:
    """A mapping cannot take a standard field away."""
    calls, _ = attribute(profile, "$City", "true", subscription_group_mapping={"$City": "g-1"})
    assert calls == [("set_home_city", "true")]


@pytest.mark.parametrize(
    ("profile", "key", "was_set", "call"),
    [
        ("android", "$Gender", True, ("set_gender", None)),
        ("android", "$Zip", True, ("set_custom_attribute", "Zip", None)),
        ("ios", "$Age", True, ("set_date_of_birth", None, None, None)),
        ("ios", "$State", True, ("set_custom_attribute", "State", None)),
        ("ios", "k", False, None),
        ("native", "dob", False, ("set_date_of_birth", None, None, None)),
        ("native", "email_subscribe", True, None),
        ("native", "$$k", False, ("set_custom_attribute", "k", None)),
    ],
)
def test_removal(profile: str, key: str, was_set: bool, call: Any) -> None:
    """Fields are cleared, custom attributes unset; iOS only what had been set."""
    kit = started(profile)
    kit.on_user_attribute_removed(None, key, was_set=was_set)
    assert kit.calls == ([call] if call else [])


@pytest.mark.parametrize("profile", ["native", "web", "ios"])
@pytest.mark.parametrize("was_set", [True, False])
def test_setting_none_clears(profile: str, was_set: bool) -> None:
    """What was set is cleared; what was not is cleared all the same, but on iOS."""
    kit = started(profile)
    kit.on_user_attribute_cleared(None, "k", was_set=was_set)
    assert kit.calls == ([("set_custom_attribute", "k", None)] if was_set or profile != "ios" else [])


def test_increment_without_a_total() -> None:
    """Where only a total could be sent and there is none, nothing is."""
    for profile, by, expected in (
        ("native", 2, 1),
        ("native", 0.5, 0),
        ("web", 2, 0),
        ("android", 2, 0),
        ("ios", 2.7, 1),
    ):
        kit = started(profile)
        kit.on_user_attribute_incremented(None, "k", by, None)
        assert len(kit.calls) == expected, profile


# -- events -------------------------------------------------------------------------------------------------------
def test_native_event_keeps_the_dict_it_was_given() -> None:
    """Plain attributes are handed on without a copy: the hot path."""
    attributes = {"a": "x", "b": 1, "c": 2.5, "d": True}
    assert started().profile == "native"
    assert started()._profile.properties(attributes) is attributes


@pytest.mark.parametrize(
    ("profile", "name", "expected"),
    [
        ("native", "$", None),
        ("android", "n" * 300, "n" * 256),
        ("ios", "n" * 257, None),
        ("ios", "n" * 256, "n" * 256),
        ("web", "$$", ""),
    ],
)
def test_event_names(profile: str, name: str, expected: str | None) -> None:
    """Cut, dropped or passed on as the platform does."""
    kit = started(profile)
    kit.log_event(Event(name))
    assert kit.calls == ([] if expected is None else [("event", expected, {})])


def test_android_drops_a_screen_with_too_long_a_name() -> None:
    """Events are cut, screens are not."""
    kit, problems = configured("android")
    kit.log_screen(ScreenView("n" * 257))
    assert (kit.calls, problems.codes) == ([], ["value_refused"])


def test_one_oversized_attribute_discards_all_on_ios() -> None:
    """The event itself is still sent."""
    kit, problems = configured("ios")
    kit.log_event(Event("e", attributes={"a": "x", "b": "y" * 4097}))
    assert (kit.calls, problems.codes) == ([("event", "e", {})], ["value_refused"])


def test_refused_properties_leave_the_rest() -> None:
    """One report each, with the name and never the value."""
    kit, problems = configured("native")
    kit.log_event(Event("e", attributes={"o": {"secret": 1}, "l": [1], "keep": "x", "$": 1, 'a"b': 1, "none": None}))
    assert kit.calls == [("event", "e", {"keep": "x"})]
    assert [problem.message.split(" ")[3] for problem in problems] == ["'o'", "'l'", "'$'", "'a\"b'"]
    assert not any("secret" in problem.message for problem in problems)


# -- event attributes on the user ---------------------------------------------------------------------------------
def rules(profile: str, kind: EventType | int, name: str, key: str) -> dict[str, Any]:
    """All three maps for one attribute."""
    key_hash = (hash_utf8 if profile == "ios" else mp_hash)(f"{int(kind)}{name}{key}")
    return {"eaa": {str(key_hash): "added"}, "ear": {str(key_hash): "removed"}, "eas": {str(key_hash): "set"}}


@pytest.mark.parametrize(
    ("profile", "order"),
    [
        ("native", ["add", "remove", "set"]),
        ("android", ["add", "remove", "set"]),
        ("ios", ["remove", "add", "set"]),
        ("web", []),
    ],
)
def test_event_attributes_reach_the_user_in_order(profile: str, order: list[str]) -> None:
    """After the event; the web core knows no such maps."""
    kit, _ = configured(profile, hs=rules(profile, EventType.SOCIAL, "Größe", "ключ"))
    kit.log_event(Event("Größe", EventType.SOCIAL, {"ключ": "x", "other": 1}))
    calls = {
        "add": ("add_to_custom_attribute_array", "added", "x"),
        "remove": ("remove_from_custom_attribute_array", "removed", "x"),
        "set": ("set_custom_attribute", "set", "x"),
    }
    assert kit.calls[1:] == [calls[name] for name in order]


def test_list_values_are_texts_and_set_values_are_typed() -> None:
    """Lists of Braze hold texts; a set attribute keeps its type where the profile has types."""
    for profile, added, value in (("native", "5", 5), ("android", "5", 5), ("ios", "5", 5)):
        kit, _ = configured(profile, hs=rules(profile, 8, "e", "$k"), settings={"enableTypeDetection": "True"})
        kit.log_event(Event("e", attributes={"$k": 5}))
        assert {call[0]: call[2] for call in kit.calls[1:]} == {
            "add_to_custom_attribute_array": added,
            "remove_from_custom_attribute_array": added,
            "set_custom_attribute": value,
        }, profile


@pytest.mark.parametrize(("profile", "count"), [("ios", 4), ("android", 1), ("native", 1)])
def test_screens_reach_the_user_on_ios_only(profile: str, count: int) -> None:
    """With the type number 0."""
    kit, _ = configured(profile, hs=rules(profile, 0, "s", "k"))
    kit.log_screen(ScreenView("s", {"k": "v"}))
    assert len(kit.calls) == count
