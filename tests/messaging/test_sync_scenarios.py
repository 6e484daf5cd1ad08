"""The scenarios recorded from the real SDK, request by request, headers included: cards, flags, banners, push."""

from __future__ import annotations

import pytest

from mparticle_kit_braze.sandbox import Reply, Sandbox

from .conftest import KEY, START, Lab, braze_headers, own_members


def test_content_cards(lab: Lab) -> None:
    """Cards are asked for on demand with the cursors of the last answer; nothing is asked while they are off."""
    braze = lab.client()
    braze.change_user("u1")
    lab.wait_for("data")
    assert not braze.content_cards.request_refresh()
    lab.sandbox.add_content_card("a")
    lab.sandbox.add_content_card("b")
    braze.log_custom_event("x")
    braze.flush(5)  # brings the configuration
    done: list[bool] = []
    assert braze.content_cards.request_refresh(done.append)
    first = lab.wait_for("content_cards/sync")
    assert braze_headers(first) == {
        "x-braze-api-key": KEY,
        "x-braze-last-req-ms-ago": "7200000",
        "x-braze-req-attempt": "1",
        "x-braze-contentcardsrequest": "true",
        "x-braze-datarequest": "true",
        "braze-sync-retry-count": "0",
    }
    assert own_members(first.body) == {"user_id": "u1", "last_full_sync_at": 0, "last_card_updated_at": 0}
    lab.until(lambda: done == [True])
    assert [card.id for card in braze.content_cards.cards] == ["b", "a"]
    lab.sandbox.remove_content_card("b")
    lab.sandbox.add_content_card("c", tt="third")
    lab.clock.advance(4)
    assert braze.content_cards.request_refresh(done.append)
    second = lab.wait_for("content_cards/sync", 2)
    assert second.headers["X-Braze-Last-Req-Ms-Ago"] == "4000"
    assert own_members(second.body) == {"user_id": "u1", "last_full_sync_at": 2, "last_card_updated_at": 2}
    lab.until(lambda: done == [True, True])
    assert [card.id for card in braze.content_cards.cards] == ["c", "a"]


def test_content_cards_on_a_new_session_if_subscribed(lab: Lab) -> None:
    """Subscribed beforehand, cards come with every session; otherwise not."""
    lab.sandbox.add_content_card("a")
    braze = lab.client()
    braze.open_session()
    lab.wait_for("data")
    told: list[object] = []
    unsubscribe = braze.content_cards.subscribe_to_updates(told.append)
    assert not lab.requests("content_cards/sync")
    lab.clock.advance(2000)
    braze.log_custom_event("x")
    lab.wait_for("content_cards/sync")
    lab.until(lambda: len(told) == 1)
    unsubscribe()
    lab.clock.advance(2000)
    braze.log_custom_event("x")
    braze.flush(5)
    assert len(lab.requests("content_cards/sync")) == 1


def test_content_cards_asked_again_by_the_answer(lab: Lab) -> None:
    """Retry-After on a good answer asks again after that time, counting retries and attempts; 14 times at most."""
    lab.sandbox.add_content_card("a")
    braze = lab.client()
    braze.open_session()
    braze.flush(5)
    answer = {"full_sync": True, "last_full_sync_at": 1, "last_card_updated_at": 1, "cards": []}
    lab.sandbox.respond_next(*[Reply(headers={"Retry-After": "7"}, body=answer)] * 15)
    assert braze.content_cards.request_refresh()
    for count in range(15):
        request = lab.wait_for("content_cards/sync", count + 1)
        assert request.headers["BRAZE-SYNC-RETRY-COUNT"] == str(count)
        assert request.headers["X-Braze-Req-Attempt"] == str(count + 1)
        if count < 14:
            lab.clock.wait_for_sleeper(7.0)
            lab.clock.advance(7)
    lab.clock.wait_for_sleeper(None)  # the last answer has been taken
    lab.clock.advance(100)
    braze.content_cards.request_refresh()
    last = lab.wait_for("content_cards/sync", 16)
    assert last.headers["BRAZE-SYNC-RETRY-COUNT"] == "0"


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_syncs_are_not_retried_on_errors(lab: Lab, status: int) -> None:
    """An error status is told to whoever asked; nothing is asked again, and the next request counts as an attempt."""
    lab.sandbox.add_content_card("a")
    lab.sandbox.add_feature_flag("f")
    braze = lab.client()
    braze.open_session()
    braze.flush(5)
    lab.wait_for("feature_flags/sync")
    done: list[bool] = []
    lab.sandbox.respond_next(Reply(status=status, headers={"Retry-After": "1"}), Reply(status=status))
    assert braze.content_cards.request_refresh(done.append)
    lab.until(lambda: done == [False])
    assert braze.feature_flags.refresh(done.append)
    lab.until(lambda: done == [False, False])
    lab.clock.advance(600)
    assert len(lab.requests("content_cards/sync")) == 1
    assert braze.content_cards.request_refresh(done.append)
    assert lab.wait_for("content_cards/sync", 2).headers["X-Braze-Req-Attempt"] == "2"
    lab.until(lambda: done == [False, False, True])
    assert braze.content_cards.request_refresh()
    assert lab.wait_for("content_cards/sync", 3).headers["X-Braze-Req-Attempt"] == "1"


def test_feature_flags(lab: Lab) -> None:
    """Flags come with every session, as soon as the configuration switches them on, and within their limit."""
    lab.sandbox.configure(feature_flags={"enabled": True, "refresh_rate_limit": 600})
    lab.sandbox.add_feature_flag("f", tracking="track")
    braze = lab.client()
    braze.change_user("u1")
    first = lab.wait_for("feature_flags/sync")
    assert braze_headers(first) == {
        "x-braze-api-key": KEY,
        "x-braze-last-req-ms-ago": "7200000",
        "x-braze-req-attempt": "1",
        "x-braze-featureflagsrequest": "true",
        "x-braze-datarequest": "true",
    }
    assert own_members(first.body) == {"user_id": "u1"}
    lab.until(lambda: braze.feature_flags.is_enabled("f"))
    lab.clock.advance(599)
    assert not braze.feature_flags.refresh()
    lab.clock.advance(1)
    assert braze.feature_flags.refresh()
    lab.wait_for("feature_flags/sync", 2)
    braze.change_user("u2")  # starts the limit anew
    assert own_members(lab.wait_for("feature_flags/sync", 3).body) == {"user_id": "u2"}


@pytest.mark.parametrize("settings", [{"enabled": True}, {"enabled": False, "refresh_rate_limit": 5}, None, "yes"])
def test_feature_flags_need_a_limit(lab: Lab, settings: object) -> None:
    """Without the switch and a numeric limit, flags are off."""
    lab.sandbox.configure(feature_flags=settings)
    braze = lab.client()
    braze.open_session()
    braze.flush(5)
    assert not braze.feature_flags.refresh()


def test_banners(lab: Lab) -> None:
    """Placements are asked for up to their number, dismissals are told once, and a new user has them asked again."""
    lab.sandbox.configure(banners={"enabled": True, "max_placements": 2})
    lab.sandbox.add_banner("p1", id="b1")
    braze = lab.client()
    braze.change_user("u1")
    braze.flush(5)
    done: list[bool] = []
    assert braze.banners.request_refresh(["p1", "p1", "p2"], done.append)
    first = lab.wait_for("banners/sync")
    assert braze_headers(first) == {
        "x-braze-api-key": KEY,
        "x-braze-last-req-ms-ago": "7200000",
        "x-braze-req-attempt": "1",
    }
    assert own_members(first.body) == {
        "user_id": "u1",
        "time_ms": START * 1000,
        "placements": [{"id": "p1"}, {"id": "p1"}],
        "pending_dismissals": [],
    }
    lab.until(lambda: done == [True])
    banner = braze.banners.get("p1")
    assert banner is not None
    assert braze.banners.dismiss(banner)
    assert not braze.banners.dismiss(banner)
    assert braze.banners.get("p1") is None
    assert braze.banners.request_refresh(["p1"], done.append)
    second = lab.wait_for("banners/sync", 2)
    assert second.body["pending_dismissals"] == [{"banner_id": "b1", "dismissal_time": START * 1000}]
    lab.until(lambda: len(done) == 2)
    braze.change_user("u2")
    third = lab.wait_for("banners/sync", 3)
    assert third.body["placements"] == [{"id": "p1"}]
    assert (third.body["pending_dismissals"], third.body["user_id"]) == ([], "u2")


def test_push(lab: Lab) -> None:
    """A token is registered at once and again for the next user; unregistering posts it and clears the profile."""
    braze = lab.client()
    braze.change_user("u1")
    braze.flush(5)
    assert braze.push.register("https://push.example/ep1", public_key="BAEC", user_auth="CQgH", vapid_public_key=None)
    braze.flush(5)
    registered = {
        "push_token": "https://push.example/ep1",
        "custom_push_public_key": "BAEC",
        "custom_push_user_auth": "CQgH",
        "custom_push_vapid_public_key": None,
    }
    assert lab.sandbox.attributes == [{"user_id": "u1", **registered}]
    braze.change_user("u2")
    braze.flush(5)
    assert lab.sandbox.attributes[1:] == [{"user_id": "u2", **registered}]
    done: list[bool] = []
    assert braze.push.unregister(done.append)
    request = lab.wait_for("push/unregister")
    assert own_members(request.body) == {"push_token": "https://push.example/ep1", "user_id": "u2"}
    lab.until(lambda: done == [True])
    braze.flush(5)
    assert lab.sandbox.attributes[2:] == [{"user_id": "u2", **dict.fromkeys(registered)}]
    assert not braze.push.unregister()


def test_device_token(lab: Lab) -> None:
    """A device token is sent alone, also when set through the user, and once more in each new session."""
    braze = lab.client()
    braze.change_user("u1")
    assert braze.current_user.set_push_token("abc123")
    braze.flush(5)
    lab.clock.advance(2000)
    braze.log_custom_event("x")
    braze.flush(5)
    assert lab.sandbox.attributes == [{"user_id": "u1", "push_token": "abc123"}] * 2


def test_push_open(lab: Lab) -> None:
    """Opening a push logs it with its campaign and brings up what waits for that."""
    lab.sandbox.add_in_app_message(conditions=[{"type": "push_click", "data": {"campaign_id": "camp"}}], id="t1")
    braze = lab.client()
    stream = braze.in_app_messages.stream()
    braze.open_session()
    lab.wait_for("data")
    payload = {"_ab": "true", "cid": "camp", "t": "Title", "uri": "app://x", "extra": '{"k": "v"}'}
    message = braze.push.handle(payload)
    assert message is not None
    assert (message.deep_link, message.extras) == ("app://x", {"k": "v"})
    assert stream.take(0) is None
    assert braze.push.handle(payload, opened=True) is not None
    brought_up = stream.take(5)
    assert brought_up is not None
    assert brought_up.trigger_id == "t1"
    assert braze.push.handle({"something": "else"}, opened=True) is None
    braze.flush(5)
    assert lab.sandbox.analytics["pc"] == {"camp": 1}


def test_anonymous_user_with_an_alias(lab: Lab) -> None:
    """Card and flag requests of an anonymous user carry the alias, and no user id."""
    lab.sandbox.add_content_card("a")
    braze = lab.client()
    braze.current_user.add_alias("al", "lab")
    braze.flush(5)
    braze.content_cards.request_refresh()
    body = lab.wait_for("content_cards/sync").body
    assert body["alias"] == {"label": "lab", "name": "al"}
    assert "user_id" not in body


def test_device_is_told_by_whichever_request_succeeds_first(lab: Lab) -> None:
    """Until a request with it succeeds the device goes along on every endpoint; after that on none."""
    lab.sandbox.add_feature_flag("f")
    braze = lab.client()
    braze.change_user("u1")
    braze.flush(5)
    lab.wait_for("feature_flags/sync")
    done: list[bool] = []
    lab.sandbox.fault = lambda request: Reply(status=500) if "data" in request.path else None
    braze.change_user("u2")
    flags = lab.wait_for("feature_flags/sync", 2)
    assert "device" in lab.requests("data")[-1].body
    assert "device" in flags.body
    braze.feature_flags.refresh(done.append)
    lab.until(lambda: done == [True])
    assert "device" not in lab.requests("feature_flags/sync")[-1].body


def test_token_bucket_is_shared(lab: Lab, sandbox: Sandbox) -> None:
    """Syncs and data take from one bucket; with none left a sync waits until one is due."""
    sandbox.configure(global_request_rate_limit={"enabled": True, "capacity": 10, "refill_rate": 30})
    sandbox.add_content_card("a")
    braze = lab.client()
    braze.change_user("u1")
    braze.flush(5)
    done: list[bool] = []
    for count in range(1, 11):  # the first data request was free
        assert braze.content_cards.request_refresh(done.append)
        lab.until(lambda count=count: len(done) == count)  # type: ignore[misc]  # mypy infers no lambda with a default
    told = [one.headers.get("X-Braze-Req-Tokens-Remaining") for one in lab.requests("content_cards/sync")]
    assert told == ["9", "8", "7", "6", "5", "4", "3", "2", "1", "0"]
    braze.content_cards.request_refresh(done.append)
    lab.clock.wait_for_sleeper(30.0)
    assert len(lab.requests("content_cards/sync")) == 10
    lab.clock.advance(30)
    lab.until(lambda: len(done) == 11)


def test_endpoint_override(lab: Lab) -> None:
    """An endpoint's own limit fails a request at once instead of making it wait."""
    lab.sandbox.configure(
        global_request_rate_limit={
            "enabled": True,
            "capacity": 30,
            "refill_rate": 30,
            "endpoint_overrides": {"content_cards/sync": {"capacity": 2, "refill_rate": 60}},
        }
    )
    lab.sandbox.add_content_card("a")
    braze = lab.client()
    braze.open_session()
    braze.flush(5)
    done: list[bool] = []
    for count in range(1, 4):
        braze.content_cards.request_refresh(done.append)
        lab.until(lambda count=count: len(done) == count)  # type: ignore[misc]  # mypy infers no lambda with a default
    assert done == [True, True, False]
    assert len(lab.requests("content_cards/sync")) == 2


def test_card_rate_limit(lab: Lab) -> None:
    """The limit on card requests refuses what goes beyond it, and regains over time."""
    lab.sandbox.configure(content_cards={"enabled": True, "rate_limit": {"capacity": 2, "refill_rate": 10}})
    braze = lab.client()
    braze.open_session()
    braze.flush(5)
    done: list[bool] = []
    for count in (1, 2):
        assert braze.content_cards.request_refresh(done.append)
        lab.until(lambda count=count: len(done) == count)  # type: ignore[misc]  # mypy infers no lambda with a default
    assert not braze.content_cards.request_refresh()
    lab.clock.advance(10)
    assert braze.content_cards.request_refresh()
    lab.wait_for("content_cards/sync", 3)
