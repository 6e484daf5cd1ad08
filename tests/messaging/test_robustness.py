"""Malformed answers on every path: the app notices nothing, and no queued event is lost or doubled."""

from __future__ import annotations

import dataclasses
import gzip
import json
from typing import Any

import pytest

from mparticle_kit_braze.braze.messaging.content_cards import ClassicCard
from mparticle_kit_braze.sandbox import Reply, SandboxRequest

from .conftest import Lab

GOOD: dict[str, Any] = {
    "config": {"time": 1},
    "triggers": [],
    "full_sync": True,
    "last_full_sync_at": 0,
    "last_card_updated_at": 0,
    "cards": [{"id": "a", "tp": "short_news"}],
    "feature_flags": [{"id": "f", "enabled": True, "properties": {}}],
    "banners": [{"banner": {"id": "b1", "placement_id": "p1"}}],
    "templated_message": {"type": "inapp", "data": {"type": "MODAL", "trigger_id": "t"}},
}


def every_member_as(value: object) -> dict[str, Any]:
    return dict.fromkeys(GOOD, value)


def members_of_members_as(value: object) -> dict[str, Any]:
    """An answer of the right outer shape whose inner members are all of one wrong type."""
    keys = "id tp ca ea e p v i u r enabled fts properties type data trigger_condition priority re_eligibility"
    more = "start_time end_time delay timeout banner placement_id html expires_at stable_key"
    inner = dict.fromkeys(f"{keys} {more}".split(), value)
    named = {**inner, "id": "x", "type": "inapp", "tp": "short_news"}
    lists: dict[str, Any] = {key: [inner, named, value] for key in ("triggers", "cards", "feature_flags")}
    banners = [{"banner": inner}, {"banner": {**inner, "id": "b", "placement_id": "p1"}}, value]
    return {
        **GOOD,
        **lists,
        "banners": banners,
        "config": {**inner, "time": 1e12, "content_cards": value, "feature_flags": value, "banners": value},
        "templated_message": {"type": "inapp", "data": inner},
    }


def nested(levels: int) -> bytes:
    """A well-formed answer whose members go down so many levels."""
    inner = '{"a":' * levels + "1" + "}" * levels
    card = f'{{"id": "a", "tp": "short_news", "e": {inner}}}'
    flag = f'{{"id": "f", "enabled": true, "properties": {{"j": {{"type": "jsonobject", "value": {inner}}}}}}}'
    trigger = f'{{"id": "t", "type": "inapp", "trigger_condition": [{{"type": "open"}}], "data": {inner}}}'
    parts = f'"cards": [{card}], "feature_flags": [{flag}], "triggers": [{trigger}], "config": {{"x": {inner}}}'
    return f'{{{parts}, "templated_message": {{"data": {{"type": "MODAL", "extras": {inner}}}}}}}'.encode()


WRONG: list[Any] = [None, "x", -1.5, True, [[]], {"k": {}}]
BODIES: dict[str, Any] = {
    "empty": b"",
    "cut": json.dumps(GOOD).encode()[:-40],
    "html": "<html><body>Bad gateway</body></html>",
    "null": b"null",
    "list": b"[1, 2]",
    "text": b'"ok"',
    "number": b"1e999",
    "not-utf-8": b'{"cards": "\xff\xfe"}',
    "deep": b'{"cards":' + b"[" * 100_000,
    **{f"deep-{levels}": nested(levels) for levels in (90, 600, 990)},
    "surrogates": json.dumps(members_of_members_as("\ud800")).encode(),
    "doubled-keys": b'{"config": 5, "cards": [], "cards": 7, "triggers": [], "triggers": {}, "feature_flags": []}',
    "utf-16": json.dumps(GOOD).encode("utf-16"),
    "byte-order-mark": json.dumps(GOOD).encode("utf-8-sig"),
    "latin-1": '{"cards": "\u00e9"}'.encode("latin-1"),
    "nul": b"\0" * 100,
    "huge-numbers": json.dumps(members_of_members_as(10**4000)).encode(),
    "tiny-numbers": json.dumps(members_of_members_as(5e-324)).encode(),
    "huge-number": b'{"last_full_sync_at": ' + b"9" * 5000 + b', "cards": []}',
    "nan": b'{"last_full_sync_at": NaN, "last_card_updated_at": Infinity, "cards": [], "feature_flags": []}',
    "unknown-fields": {**GOOD, "new": {"things": [1]}, "cards": [{"id": "a", "tp": "short_news", "future": [{}]}]},
    **{f"members-{name}": every_member_as(value) for name, value in {"null": None, "text": "x", "number": 5}.items()},
    **{f"members-{name}": every_member_as(value) for name, value in {"list": [None], "object": {"a": 1}}.items()},
    **{f"inner-{value!r:.12}": members_of_members_as(value) for value in WRONG},
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_malformed_answers(lab: Lab, body: object) -> None:
    """Every path answers like this for a while; then all works, and each event arrived exactly once."""
    sandbox = lab.sandbox
    sandbox.add_in_app_message(event="show", id="t1", re_eligibility=0, min_seconds_since_last_trigger=0)
    sandbox.add_in_app_message(
        event="fetch", id="t2", re_eligibility=0, min_seconds_since_last_trigger=0, template={"type": "SLIDEUP"}
    )
    sandbox.add_content_card("a", tt="good")
    sandbox.add_feature_flag("f")
    sandbox.add_banner("p1", id="b1")
    braze = lab.client()
    stream = braze.in_app_messages.stream()
    for feature in (braze.content_cards, braze.feature_flags, braze.banners):
        feature.subscribe_to_updates(lambda _values: None)
    braze.change_user("u1")
    braze.flush(5)

    def malformed(request: SandboxRequest) -> Reply:
        return Reply(body=body, record=True, cut=None)

    sandbox.fault = malformed
    done: list[bool] = []
    logged = ["before"]
    braze.log_custom_event("before")
    for round_ in range(3):
        lab.clock.advance(2000)  # a new session: triggers, flags and cards are asked for
        for name in ("show", "fetch", f"round-{round_}"):
            braze.log_custom_event(name)
            logged.append(name)
        braze.content_cards.request_refresh(done.append)
        braze.feature_flags.refresh(done.append)
        braze.banners.request_refresh(["p1"], done.append)
        braze.flush(5)
        lab.until(lambda asked=round_ + 1: len(done) == 3 * asked)  # type: ignore[misc]  # mypy infers no lambda with a default
        for listing in (braze.content_cards.cards, braze.feature_flags.all, braze.banners.all):
            assert isinstance(listing, tuple)
        for flag in braze.feature_flags.all:
            flag.get_json_property("j")
    braze.push.register("token")
    braze.push.unregister(done.append)
    braze.flush(5)
    sandbox.fault = None
    lab.clock.advance(2000)
    sandbox.configure(time=sandbox.config["time"] + 10**13)  # newer than whatever came
    while (message := stream.take(0)) is not None:
        braze.in_app_messages.log_impression(message)
    braze.log_custom_event("after")
    braze.flush(5)
    logged.append("after")
    assert [event["data"]["n"] for event in sandbox.events if event["name"] == "ce"] == logged
    last: list[bool] = []
    for ask in (braze.content_cards.request_refresh, braze.feature_flags.refresh):
        assert ask(last.append)
    assert braze.banners.request_refresh(["p1"], last.append)
    lab.until(lambda: last == [True, True, True])
    cards = braze.content_cards.cards
    assert [card.title for card in cards if isinstance(card, ClassicCard) and card.id == "a"] == ["good"]
    assert braze.feature_flags.is_enabled("f")
    assert braze.banners.get("p1") is not None
    braze.log_custom_event("show")
    assert stream.take(5) is not None


PACKED: dict[str, Reply] = {
    "bomb": Reply(headers={"Content-Encoding": "gzip"}, body=gzip.compress(b"[" + b" " * 30_000_000, 9)),
    "no-gzip": Reply(headers={"Content-Encoding": "gzip"}, body=b'{"config": {"time": 5}}'),
    "cut-gzip": Reply(headers={"Content-Encoding": "gzip"}, body=gzip.compress(json.dumps(GOOD).encode())[:-20]),
    "unknown": Reply(headers={"Content-Encoding": "zstd-9"}, body=b"\x28\xb5\x2f\xfd"),
    "charset": Reply(headers={"Content-Type": "application/json; charset=nonsense"}, body=b'{"cards": 5}'),
}


@pytest.mark.parametrize("reply", PACKED.values(), ids=PACKED.keys())
def test_malformed_encodings(lab: Lab, reply: Reply) -> None:
    """A body that cannot be unpacked, or unpacks to far too much, is no answer; each event arrived exactly once."""
    lab.sandbox.add_content_card("a")
    braze = lab.client()
    braze.open_session()
    braze.flush(5)
    lab.sandbox.fault = lambda _request: dataclasses.replace(reply, record=True)
    done: list[bool] = []
    braze.log_custom_event("one")
    braze.flush(5)
    assert braze.content_cards.request_refresh(done.append)
    lab.until(lambda: done == [False])
    lab.sandbox.fault = None
    braze.log_custom_event("two")
    braze.flush(5)
    assert [event["data"]["n"] for event in lab.sandbox.events if event["name"] == "ce"] == ["one", "two"]
    assert braze.content_cards.request_refresh(done.append)
    lab.until(lambda: done == [False, True])


def test_two_megabytes_of_cards(lab: Lab) -> None:
    """A large answer is taken, kept over a restart, and holds up nothing."""
    for number in range(2000):
        lab.sandbox.add_content_card(f"card-{number}", ds="x" * 1000)
    braze = lab.client()
    braze.open_session()
    braze.flush(5)
    done: list[bool] = []
    braze.content_cards.request_refresh(done.append)
    braze.log_custom_event("meanwhile")
    lab.until(lambda: done == [True])
    braze.flush(5)
    assert len(braze.content_cards.cards) == 2000
    braze.close()
    assert len(lab.client().content_cards.cards) == 2000
    assert "ce" in [event["name"] for event in lab.sandbox.events]


@pytest.mark.parametrize("reply", [Reply(close=True), Reply(cut=10), Reply(status=302, headers={"Location": "/x"})])
def test_broken_connections(lab: Lab, reply: Reply) -> None:
    """A connection that breaks, a cut body, a redirect: told as a failure, and the next request works."""
    lab.sandbox.add_content_card("a")
    braze = lab.client()
    braze.open_session()
    braze.flush(5)
    done: list[bool] = []
    lab.sandbox.respond_next(reply)
    assert braze.content_cards.request_refresh(done.append)
    lab.until(lambda: done == [False])
    assert braze.content_cards.request_refresh(done.append)
    lab.until(lambda: done == [False, True])


def test_damaged_storage_is_survived(lab: Lab) -> None:
    """Stored values of any shape are taken as missing."""
    lab.sandbox.add_content_card("a")
    lab.sandbox.add_feature_flag("f", tracking="t")
    lab.sandbox.add_banner("p1")
    braze = lab.client()
    braze.open_session()
    braze.flush(5)
    values = braze._messaging.loaded._context.values
    keys = ["triggers", "history", "cards", "card_cursor", "card_bucket", "flags", "flags_asked", "seen", "banners"]
    damaged: list[Any] = [None, "x", 5, [5], {"a": []}, {"session": 5, "keys": 5, "last": "x", "shown": 5}]
    for wrong in damaged:
        values.update(dict.fromkeys([*keys, "banner_dismissals", "banners_dismissed"], wrong))
        braze._messaging.loaded._context.device_values.set("push_registration", wrong)
        braze.close()
        braze = lab.client()
        with braze.in_app_messages.stream():
            braze.log_custom_event("x")
            lab.clock.advance(2000)
            braze.log_custom_event("y")
            done: list[bool] = []
            assert braze.content_cards.request_refresh(done.append)
            assert braze.banners.request_refresh(["p1"], done.append)
            lab.until(lambda done=done: done == [True, True])  # type: ignore[misc]  # mypy infers no lambda with a default
            assert braze.content_cards.log_impressions(braze.content_cards.cards)
            braze.flush(5)
        values = braze._messaging.loaded._context.values
