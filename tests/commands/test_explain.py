"""``explain``: what it finds is what the client sends, and it neither sends nor stores anything."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mparticle_kit_braze.__main__ import main
from mparticle_kit_braze.braze_kit import mapping
from mparticle_kit_braze.braze_kit.profiles import profile_named
from mparticle_kit_braze.commands.calls import CALLS
from mparticle_kit_braze.commands.console import width_of
from mparticle_kit_braze.commands.explain import explain
from mparticle_kit_braze.commands.kit_settings import PROFILES
from mparticle_kit_braze.errors import ConfigurationError, InvalidArgumentError
from tests.vectors.normal import compare, normal_form
from tests.vectors.runner import load

VECTORS = Path(__file__).parent.parent / "vectors"
SONG = {"name": "Played Song", "attributes": {"genre": "Jazz", "plays": 3}}


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection would fail the test."""

    def refuse(*_: object) -> None:
        raise AssertionError("a connection was asked for")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def records(found: dict[str, Any], profile: str) -> list[dict[str, Any]]:
    return [entry["record"] for call in found["calls"] for entry in call["profiles"][profile]]


def replayed(profile: str) -> Iterator[tuple[str, Any, list[Any]]]:
    """The recorded examples of a profile: name, what explain finds, and what of it is not as recorded."""
    for file in (f"{profile}.json", f"more_{profile}.json"):
        for vector in load(VECTORS / file):
            calls = vector.get("calls")
            # The key is not explain's business.
            if vector.get("kind", "facade") != "facade" or not calls or "apiKey" in vector.get("settings", {}):
                continue
            if vector.get("identities"):
                calls = [{"call": "identify", "identities": vector["identities"]}, *calls]
            document = {"calls": calls, "settings": vector.get("settings"), "kit_config": vector.get("kit_config")}
            try:
                found = explain(document, profiles=[profile])
            except (InvalidArgumentError, ConfigurationError):
                continue  # a call or a setting that the original refuses in silence
            sent = [record for record in records(found, profile) if record.get("name") != "ss"]
            events = [record for record in sent if "data" in record]
            attributes = [record for record in sent if "data" not in record]
            first = next((record["user_id"] for record in sent if "user_id" in record), None)
            if first is not None and profile_named(profile).adopts_anonymous:  # which happens when a request is made
                attributes = [{"user_id": first, **record} for record in attributes]
            got = normal_form(events, attributes, deep=True)
            yield vector["name"], found, compare(got, vector["expect"], mpid="<mpid>")


def test_it_finds_what_the_client_sends() -> None:
    """The recorded examples of each profile, explained, come to what was sent, and every rule is there for some."""
    wrong = {}
    rules: set[str] = set()
    seen = 0
    for profile in PROFILES:
        for name, found, mismatches in replayed(profile):
            seen += 1
            if mismatches:
                wrong[name] = [str(mismatch) for mismatch in mismatches]
            rules.update(entry["rule"] for call in found["calls"] for entry in call["profiles"][profile])
    assert not wrong
    assert seen > 500
    assert set(mapping.RULES) - rules <= {"push-token"}


def test_profiles_stand_side_by_side() -> None:
    """Counterparts share a row, whatever their order, and what differs is told by path and profile."""
    refund = {"product_action": "refund", "products": [{"name": "Tea", "sku": "t", "price": 4.5}]}
    found = explain([SONG, {"call": "logCommerceEvent", "event": refund}])
    song, refunded = found["calls"]
    assert song["rows"] == [dict.fromkeys(PROFILES, 0)]
    assert song["differences"] == [
        {"row": 0, "path": "data.p.plays", "values": {"native": 3, "web": 3, "android": "3", "ios": "3"}}
    ]
    assert refunded["rows"][0] == {"native": 0, "web": 0, "android": 0, "ios": 1}  # the total comes last there
    assert {entry["rule"] for entry in refunded["profiles"]["ios"]} == {"commerce-item", "refund-total"}
    assert all(entry["text"] and entry["source"] for entry in song["profiles"]["web"])


def test_a_profile_that_sends_nothing_says_why() -> None:
    """No record: the reason is told, and the row of the others is marked."""
    (tag,) = explain({"call": "set_user_tag", "key": "vip"})["calls"]
    assert tag["silent"] == {"android": "the Android kit has no tags", "ios": "the Apple kit has no tags"}
    assert tag["differences"][0] == {"row": 0, "path": "", "values": {"native": "sent", "web": "sent"}}
    again = explain([{"call": "set_user_attribute", "key": "level", "value": 4}] * 2)["calls"][1]
    assert list(again["silent"]) == ["native"]
    (left_out,) = explain({"name": "$", "attributes": {}}, profiles=["native"])["calls"]
    assert "without its dollar signs" in left_out["silent"]["native"]
    assert [warning["code"] for warning in left_out["warnings"]] == ["value_refused"]


@pytest.mark.parametrize(
    ("settings", "detected"),
    [
        ({"enable_type_detection": True}, ["android", "ios"]),
        ({"enableTypeDetection": "True"}, ["android", "ios"]),
        ({"enableTypeDetection": "Y"}, ["ios"]),
        ({"id": 28, "as": {"enableTypeDetection": "true", "apiKey": "secret"}}, ["android", "ios"]),
    ],
)
def test_settings_by_either_name(settings: dict[str, Any], detected: list[str]) -> None:
    """Python's names take Python's values; mParticle's texts are read as each platform reads them."""
    found = explain({"name": "e", "attributes": {"plays": "3"}}, settings, profiles=["web", "android", "ios"])
    typed = [
        profile for profile in found["calls"][0]["profiles"] if records(found, profile)[0]["data"]["p"] == {"plays": 3}
    ]
    assert typed == detected
    assert "secret" not in json.dumps(found)


def test_a_setting_nobody_knows_is_told() -> None:
    """It has no effect, and a warning says so."""
    found = explain(SONG, {"colour": "red"}, profiles=["native"])
    assert [warning["code"] for warning in found["warnings"]] == ["unknown_setting"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"call": "log_evnt", "name": "e"}, "there is no call 'log_evnt'"),
        ({"call": "log_event"}, "log_event needs 'name'"),
        ({"call": "log_event", "name": "e", "colour": 1}, "takes no 'colour'; it takes name, type, attributes"),
        ({"call": "log_event", "name": ""}, "must not be empty"),
        ({"call": "log_event", "name": 3}, "must be a non-empty str"),
        ({"call": "log_event", "name": "e", "attributes": [1]}, "log_event: attributes must be a mapping"),
        ({"call": "log_event", "name": "e", "type": "musical"}, "there is no event type 'musical'"),
        ({"call": "log_event", "name": "e", "attributes": {"t": {"$date": "today"}}}, r"\$date takes an ISO 8601 text"),
        ({"call": 5}, "needs its name"),
        ({"call": "log_commerce_event", "product_action": "steal"}, "product_action must be one of add_to_cart"),
        ({"call": "log_commerce_event", "product_action": "click", "products": [{"sku": "x"}]}, "product: missing"),
        ({"call": "log_commerce_event", "product_action": "click", "products": 3}, "products must be a list"),
        ({"call": "log_commerce_event", "event": None}, "needs a product_action"),
        ({"call": "identify", "identities": {"shoe_size": "42"}}, "unknown identity type"),
        ({"call": "identify", "identities": "ada"}, "identities must be an object"),
        ("log_event", "must be an object or a list"),
        ([SONG, 3], "call 2: must be an object"),
        ({"calls": 3}, "calls must be an object or a list"),
        ({"calls": [], "settings": 3}, "settings must be an object"),
    ],
)
def test_a_wrong_call_is_named(call: Any, message: str) -> None:
    """What is wrong, in which call, and what is accepted."""
    with pytest.raises(InvalidArgumentError, match=message):
        explain(call)


def test_every_call_of_the_client_has_a_form() -> None:
    """The calls are the client's methods that take data, and all of them can be explained."""
    made: list[dict[str, Any]] = [
        {"call": "log_event", "name": "e", "attributes": {"t": {"$date": "2020-01-02T03:04:05Z"}}},
        {"call": "log_screen", "name": "s"},
        {"call": "log_commerce_event", "promotion_action": "view", "promotions": [{"id": "p"}]},
        {"call": "set_user_attribute", "key": "k", "value": 1},
        {"call": "set_user_attribute_list", "key": "l", "value": ["a"]},
        {"call": "set_user_tag", "key": "t"},
        {"call": "increment_user_attribute", "key": "i"},
        {"call": "remove_user_attribute", "key": "k"},
        *({"call": name, "identities": {"customer_id": name}} for name in ("identify", "login", "modify", "logout")),
        {"call": "set_consent", "regulation": "gdpr", "purpose": "ads", "consented": True},
        {"call": "set_push_token", "token": "abc"},
        {"call": "set_opt_out", "value": True},
    ]
    assert {call["call"] for call in made} == set(CALLS)
    found = explain({"calls": made}, {"push_enabled": True, "consent_mapping": {"ads": "google_ad_user_data"}})
    silent = {call["call"]["call"] for call in found["calls"] if not call["profiles"]["native"]}
    assert silent == {"log_screen", "set_opt_out"}
    assert "push-token" in {entry["rule"] for entry in found["calls"][-2]["profiles"]["native"]}


def test_nothing_random_is_told() -> None:
    """Ids that are made up in each run are told as what they are, so that two runs say the same."""
    cart = {"product_action": "add_to_cart", "products": [{"name": "Tea", "sku": "t", "price": 4.5}]}
    calls = [{"call": "identify", "identities": {"email": "ada@example.com"}}, {"call": "log_commerce_event", **cart}]
    settings = {"useEcommerceRecommendedEvents": "True", "userIdentificationType": "MPID"}
    first, second = (explain(calls, settings) for _ in range(2))
    assert first == second
    record = records(first, "ios")[-1]
    assert (record["user_id"], record["data"]["p"]["cart_id"]) == ("<mpid>", "<session id>")


def test_nothing_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The command leaves the user's data directory, and whatever storage is set, alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPARTICLE_STORAGE", str(tmp_path / "state"))
    (tmp_path / "event.json").write_text(json.dumps(SONG))
    assert main(["explain", "event.json", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["calls"][0]["call"]["name"] == "Played Song"
    assert [path.name for path in tmp_path.iterdir()] == ["event.json"]


@pytest.mark.parametrize("columns", [36, 50, 80, 300])
def test_the_text_fits(
    columns: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No line is longer than the terminal is wide, and what data says never steers the terminal."""
    monkeypatch.setenv("COLUMNS", str(columns))
    name = "日本語の長い名前" * 6 + "\x1b[2J\u202e" + "x" * 50
    file = tmp_path / "event.json"
    file.write_text(
        json.dumps([{"name": name, "attributes": {name: "v\r" * 20}}, {"call": "set_user_tag", "key": "k"}])
    )
    assert main(["explain", str(file)]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\r" not in out
    assert "\u202e" not in out
    assert max(map(width_of, out.splitlines())) <= columns
