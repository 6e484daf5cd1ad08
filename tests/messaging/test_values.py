"""What the server sends as typed values: messages, cards, flags, banners, push payloads."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mparticle_kit_braze.braze.messaging.banners import parse_banners, placements
from mparticle_kit_braze.braze.messaging.content_cards import (
    CaptionedImageCard,
    CardSet,
    ClassicCard,
    ControlCard,
    ImageOnlyCard,
    parse_card,
)
from mparticle_kit_braze.braze.messaging.feature_flags import parse_flags
from mparticle_kit_braze.braze.messaging.in_app_messages import (
    ClickAction,
    Color,
    ControlMessage,
    DismissType,
    FullScreenMessage,
    HtmlMessage,
    ModalMessage,
    SlideupMessage,
    parse_message,
)
from mparticle_kit_braze.braze.messaging.push import parse_push

from .test_conditions import json_values

NOW = 1_700_000_000.0


# -- in-app messages ------------------------------------------------------------------------------------------------


def test_modal_message() -> None:
    """Every field of a modal lands under its name, typed."""
    message = parse_message(
        {
            "type": "MODAL",
            "trigger_id": "t1",
            "header": "Hello",
            "message": "hi",
            "extras": {"a": "b", "n": 5, "skip": []},
            "message_close": "AUTO_DISMISS",
            "duration": 4500,
            "bg_color": 0xFF102030,
            "text_color": -16777216,
            "frame_color": 0x80FFFFFF,
            "image_style": "GRAPHIC",
            "image_url": "https://x/i.png",
            "text_align_header": "CENTER",
            "open_target": "BLANK",
            "btns": [
                {"id": 0, "text": "OK", "click_action": "NONE"},
                {"id": 1, "text": "Go", "click_action": "URI", "uri": "https://x", "bg_color": 1, "border_color": 2},
            ],
        }
    )
    assert type(message) is ModalMessage
    assert (message.trigger_id, message.header, message.message) == ("t1", "Hello", "hi")
    assert message.extras == {"a": "b", "n": "5"}
    assert (message.dismiss_type, message.duration) == (DismissType.AUTO_DISMISS, 4.5)
    assert message.background_color == Color(0xFF102030)
    assert message.background_color.rgb == (0x10, 0x20, 0x30)
    assert message.background_color.alpha == 255
    assert message.background_color.hex == "#102030"
    assert message.text_color == Color(0xFF000000)
    assert message.frame_color == Color(0x80FFFFFF)
    assert (message.image_style, message.image_url, message.header_align) == ("GRAPHIC", "https://x/i.png", "CENTER")
    assert [(button.id, button.text, button.click_action, button.uri) for button in message.buttons] == [
        (0, "OK", ClickAction.NONE, None),
        (1, "Go", ClickAction.URI, "https://x"),
    ]
    with pytest.raises(FrozenInstanceError):
        message.header = "other"  # type: ignore[misc]  # wrong on purpose: it is frozen


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        ({"type": "SLIDEUP", "slide_from": "TOP"}, SlideupMessage),
        ({"type": "MODAL"}, ModalMessage),
        ({"type": "MODAL_STYLED"}, ModalMessage),
        ({"type": "FULL", "orientation": "PORTRAIT"}, FullScreenMessage),
        ({"type": "HTML"}, HtmlMessage),
        ({"type": "HTML_FULL"}, HtmlMessage),
        ({"type": "WEB_HTML", "message": "<p>"}, HtmlMessage),
        ({"is_control": True, "trigger_id": "t"}, ControlMessage),
        ({"is_control": True, "type": "MODAL", "trigger_id": "t"}, ControlMessage),
        ({"is_control": True}, type(None)),
        ({"type": "CAROUSEL"}, type(None)),
        ({}, type(None)),
        (None, type(None)),
        ("MODAL", type(None)),
        ({"type": ["MODAL"]}, type(None)),
    ],
)
def test_message_types(raw: object, kind: type[object]) -> None:
    """Each wire type has its class; unknown ones give nothing."""
    assert type(parse_message(raw)) is kind


def test_wrong_types_count_as_missing() -> None:
    """A message whose members are all of the wrong type is still one, with defaults."""
    raw: dict[str, Any] = {
        key: [] for key in ("message", "header", "extras", "btns", "bg_color", "duration", "uri", "trigger_id")
    }
    message = parse_message({**raw, "type": "MODAL", "btns": [None, 5, {"id": "x"}, {"id": 1.5}, {"id": 2}]})
    assert isinstance(message, ModalMessage)
    assert (message.trigger_id, message.message, message.header, message.uri) == (None, "", None, None)
    assert [button.id for button in message.buttons] == [2]


# -- content cards --------------------------------------------------------------------------------------------------


def card(card_id: str, **members: Any) -> dict[str, Any]:
    """A card as the server writes it."""
    return {"id": card_id, "tp": "short_news", "tt": "T", "ds": "D", "ca": 10, "ea": -1, "db": True, **members}


def answer(*cards: object, full: object = True, **members: object) -> dict[str, object]:
    return {"full_sync": full, "last_full_sync_at": 5, "last_card_updated_at": 6, "cards": list(cards), **members}


def after(*answers: object, start: CardSet | None = None) -> CardSet:
    cards = start or CardSet()
    for one in answers:
        cards = cards.merged(one, NOW) or cards
    return cards


def ids(cards: CardSet, now: float = NOW) -> list[str]:
    return [shown.id for shown in cards.visible(now)]


@pytest.mark.parametrize(
    ("wire", "kind"),
    [
        ("short_news", ClassicCard),
        ("text_announcement", ClassicCard),
        ("captioned_image", CaptionedImageCard),
        ("banner_image", ImageOnlyCard),
        ("control", ControlCard),
        ("carousel", type(None)),
        (None, type(None)),
        (5, type(None)),
    ],
)
def test_card_types(wire: object, kind: type[object]) -> None:
    """Each wire type has its class; unknown ones are ignored."""
    assert type(parse_card(card("c", tp=wire))) is kind


def test_card_fields() -> None:
    """Every field of a card lands under its name, typed."""
    found = parse_card(
        card(
            "c", tp="captioned_image", i="https://x/i", ar=1.5, image_alt="alt", u="https://x", dm="more",
            e={"a": "b"}, ea=99, p=1, v=True, cl=0, language="en", t=True,
        )
    )  # fmt: skip
    assert isinstance(found, CaptionedImageCard)
    assert (found.title, found.description, found.image_url, found.aspect_ratio) == ("T", "D", "https://x/i", 1.5)
    assert (found.url, found.link_text, found.extras) == ("https://x", "more", {"a": "b"})
    assert (found.expires_at, found.pinned, found.viewed, found.clicked, found.is_test) == (99, True, True, False, True)
    assert (found.dismissible, found.is_control, found.language) == (True, False, "en")


def test_full_sync_replaces() -> None:
    """A full sync leaves exactly its own cards and takes its cursors."""
    cards = after(answer(card("a"), card("b")), answer(card("c"), last_full_sync_at=7, last_card_updated_at=8))
    assert ids(cards) == ["c"]
    assert (cards.last_full_sync_at, cards.last_card_updated_at) == (7, 8)


def test_incremental_sync_adds_replaces_and_removes() -> None:
    """Otherwise cards are added or replaced by id, and those marked as removed go."""
    cards = after(
        answer(card("a"), card("b"), card("c")),
        answer(card("b", tt="new", ca=20), {"id": "c", "r": True}, card("d", ca=5), full=False),
    )
    assert ids(cards) == ["b", "a", "d"]
    assert [shown.title for shown in cards.visible(NOW) if isinstance(shown, ClassicCard)] == ["new", "T", "T"]


def test_order_is_pinned_then_latest() -> None:
    """Pinned cards come first, then the latest changed."""
    cards = after(answer(card("old", ca=1), card("new", ca=9), card("pinned", ca=0, p=True)))
    assert ids(cards) == ["pinned", "new", "old"]


def test_expiry() -> None:
    """A card goes at its expiry; -1 and none are never."""
    cards = after(answer(card("a", ea=100, ca=3), card("b", ea=-1, ca=2), card("c", ea=None, ca=1)))
    assert ids(cards, 99) == ["a", "b", "c"]
    assert ids(cards, 100) == ["b", "c"]


def test_what_the_user_did_outlives_a_sync() -> None:
    """Seen, clicked and dismissed stay so although the server does not know yet, and are forgotten with the card."""
    cards = (
        after(answer(card("a"), card("b"), card("c"))).with_viewed(["a", "zzz"]).with_clicked("a").with_dismissed("b")
    )
    cards = after(answer(card("a"), card("b"), card("c")), start=cards)
    assert [(shown.id, shown.viewed, shown.clicked) for shown in cards.visible(NOW)] == [
        ("a", True, True),
        ("c", False, False),
    ]
    cards = after(answer(), answer(card("a"), card("b")), start=cards)
    assert [(shown.id, shown.viewed) for shown in cards.visible(NOW)] == [("a", False), ("b", False)]


@pytest.mark.parametrize("bad", [None, [], "<html>", {}, {"cards": None}, {"full_sync": True, "cards": {"a": 1}}])
def test_a_useless_answer_changes_nothing(bad: object) -> None:
    """Without a list of cards an answer says nothing, not even with full_sync."""
    assert after(answer(card("a"))).merged(bad, NOW) is None


def test_malformed_cards_are_skipped() -> None:
    """A list with rubbish in it keeps its good members."""
    cards = after(answer(None, 5, [], {}, {"id": ""}, {"id": "x"}, card("y", tp="odd"), card("z", ca="x", ea="y", e=5)))
    assert ids(cards) == ["z"]


def test_card_set_survives_storage() -> None:
    """Stored and read again it is the same; damaged parts give an empty set."""
    cards = after(answer(card("a"), card("b"))).with_viewed(["a"]).with_dismissed("b")
    stored = json.loads(json.dumps([list(cards.cards.values()), cards.cursor_json()]))
    assert CardSet.parse(*stored) == cards
    assert CardSet.parse(None, stored[1]) == CardSet.parse(stored[0], 5) == CardSet()
    assert ids(CardSet.parse([5, {}, card("a")], {"viewed": [5], "clicked": "x"})) == ["a"]


# -- feature flags --------------------------------------------------------------------------------------------------

FLAG = {
    "id": "f",
    "enabled": True,
    "fts": "track",
    "properties": {
        "s": {"type": "string", "value": "x"},
        "n": {"type": "number", "value": 1.5},
        "b": {"type": "boolean", "value": False},
        "i": {"type": "image", "value": "https://x/i.png"},
        "d": {"type": "datetime", "value": 1700000000123},
        "j": {"type": "jsonobject", "value": {"a": [1]}},
        "late": {"type": "datetime", "value": 1e200},
        "wrong": {"type": "number", "value": "5"},
        "odd": 7,
    },
}


def test_flag_properties() -> None:
    """A getter gives a value only when declared type and stored type both fit."""
    flag = (parse_flags([FLAG]) or {})["f"]
    assert (flag.id, flag.enabled, flag.tracking) == ("f", True, "track")
    assert flag.get_string_property("s") == "x"
    assert flag.get_number_property("n") == 1.5
    assert flag.get_boolean_property("b") is False
    assert flag.get_image_property("i") == "https://x/i.png"
    assert flag.get_timestamp_property("d") == datetime(2023, 11, 14, 22, 13, 20, 123000, tzinfo=timezone.utc)
    found = flag.get_json_property("j")
    assert found == {"a": [1]}
    found["a"].append(2)
    assert flag.get_json_property("j") == {"a": [1]}
    assert flag.get_number_property("s") is None
    assert flag.get_string_property("i") is None
    assert flag.get_number_property("wrong") is None
    assert flag.get_timestamp_property("late") is None
    assert flag.get_string_property("absent") is None
    assert flag.get_string_property("odd") is None


def test_malformed_flags_are_skipped() -> None:
    """Rubbish among the flags is left out; what is no list is no answer."""
    flags = parse_flags([None, {}, {"id": 5}, {"id": "a", "enabled": "yes", "properties": [], "fts": 4}])
    assert flags is not None
    assert {flag.id: (flag.enabled, flag.tracking) for flag in flags.values()} == {
        "5": (False, None),
        "a": (False, None),
    }
    assert parse_flags({"id": "a"}) is None


# -- banners --------------------------------------------------------------------------------------------------------


def test_banners() -> None:
    """Banners are found by placement, with typed properties and expiry."""
    found = parse_banners(
        [
            None,
            {"banner": None},
            {"banner": {"id": "b0"}},
            {
                "banner": {
                    "id": "b1", "placement_id": "p1", "html": "<p>", "is_control": False, "expires_at": 100,
                    "properties": FLAG["properties"], "stable_key": "k", "is_test_send": True,
                }
            },
            {"banner": {"id": "b2", "placement_id": "p2", "is_control": True, "expires_at": -1, "stable_key": ""}},
        ]
    )  # fmt: skip
    assert found is not None
    assert set(found) == {"p1", "p2"}
    assert found["p1"].get_number_property("n") == 1.5
    assert (found["p1"].is_expired(99), found["p1"].is_expired(100)) == (False, True)
    assert (found["p1"].stable_key, found["p1"].is_test, found["p1"].html) == ("k", True, "<p>")
    assert (found["p2"].is_control, found["p2"].stable_key, found["p2"].is_expired(1e12)) == (True, None, False)
    assert parse_banners("x") is None


def test_placements_are_cut() -> None:
    """At most max_placements entries, duplicates kept."""
    assert placements(["a", "a", "b"], 2) == [{"id": "a"}, {"id": "a"}]
    assert placements(["a"], None) == [{"id": "a"}]


# -- push -----------------------------------------------------------------------------------------------------------

ANDROID = {
    "_ab": "true",
    "cid": "camp",
    "t": "Title",
    "a": "Body",
    "uri": "app://x",
    "ab_iu": "https://x/i",
    "extra": '{"k":"v"}',
}
APPLE = {
    "aps": {"alert": {"title": "Title", "body": "Body"}},
    "ab": {"c": "camp", "att": {"url": "https://x/i"}},
    "ab_uri": "app://x",
    "k": "v",
}


@pytest.mark.parametrize(
    "payload", [ANDROID, APPLE, {"data": ANDROID}, json.dumps(ANDROID), json.dumps(APPLE).encode()], ids=str
)
def test_push_payloads(payload: object) -> None:
    """Braze's payload forms give the same message."""
    message = parse_push(payload)
    assert message is not None
    assert (message.campaign_id, message.title, message.body) == ("camp", "Title", "Body")
    assert (message.deep_link, message.image_url, message.extras) == ("app://x", "https://x/i", {"k": "v"})
    assert not message.is_silent


def test_silent_push() -> None:
    """A payload without texts is silent."""
    message = parse_push({"_ab": "true", "cid": "c", "extra": "not json"})
    assert message is not None
    assert message.is_silent
    assert message.extras == {}


@pytest.mark.parametrize(
    "payload", [None, 5, "", "x", b"\xff", [], {}, {"a": "b"}, {"_ab": "false"}, {"ab": "x"}, "[1]"]
)
def test_other_payloads_are_not_ours(payload: object) -> None:
    """What Braze did not send is not recognised, and never raises."""
    assert parse_push(payload) is None


# -- all of them ----------------------------------------------------------------------------------------------------

PARSERS: list[tuple[Callable[[Any], object], dict[str, Any]]] = [
    (parse_message, {"type": "MODAL", "is_control": False, "btns": [], "extras": {}, "bg_color": 1, "duration": 1}),
    (parse_message, {"type": "HTML", "message_fields": {}, "trusted": True, "message": "x"}),
    (parse_card, card("c", e={}, i="x", ar=1)),
    (lambda raw: [shown.id for shown in (CardSet().merged(raw, NOW) or CardSet()).visible(NOW)], answer(card("c"))),
    (lambda raw: parse_flags([raw]), FLAG),
    (lambda raw: parse_banners([{"banner": raw}]), {"id": "b", "placement_id": "p", "html": "", "expires_at": 5}),
    (parse_push, ANDROID),
    (parse_push, APPLE),
]


@pytest.mark.parametrize("number", range(len(PARSERS)))
@settings(max_examples=40)
@given(data=st.data())
def test_parsers_never_raise(number: int, data: st.DataObject) -> None:
    """Any member of any type: a value or nothing, never an exception."""
    parse, good = PARSERS[number]
    assert parse(good)
    changed = data.draw(st.dictionaries(st.sampled_from(sorted(good)), json_values))
    parse({**good, **changed})
    parse(data.draw(json_values))
