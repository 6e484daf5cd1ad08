"""Content cards, feature flags and banners: what is kept, counted and told."""

from __future__ import annotations

from mparticle_kit_braze.braze import Braze

from .conftest import Lab


def with_cards(lab: Lab) -> Braze:
    """A client that holds the sandbox's cards."""
    braze = lab.client()
    braze.open_session()
    braze.flush(5)
    done: list[bool] = []
    assert braze.content_cards.request_refresh(done.append)
    lab.until(lambda: done == [True])
    return braze


def test_card_impressions_once_a_session(lab: Lab) -> None:
    """One event carries the cards of a call; each card counts once a session, over restarts too."""
    for card_id in ("a", "b", "c"):
        lab.sandbox.add_content_card(card_id, tp="control" if card_id == "c" else "short_news")
    braze = with_cards(lab)
    cards = braze.content_cards.cards
    assert [card.id for card in cards] == ["c", "b", "a"]
    assert braze.content_cards.unviewed_count == 2
    assert braze.content_cards.log_impressions(cards[:2])
    assert not braze.content_cards.log_impressions(cards[:2])
    assert braze.content_cards.log_impressions(cards)
    assert braze.content_cards.unviewed_count == 0
    assert not braze.content_cards.log_impressions([])
    braze.close()
    braze = lab.client()
    assert not braze.content_cards.log_impressions(cards[0])
    lab.clock.advance(2000)  # the session lapses
    assert braze.content_cards.log_impressions(cards[0])
    assert not braze.content_cards.log_impressions(cards[0])
    braze.flush(5)
    impressions = [event["data"]["ids"] for event in lab.sandbox.events if event["name"] == "cci"]
    assert impressions == [["c", "b"], ["a"], ["c"]]


def test_card_clicks_and_dismissals(lab: Lab) -> None:
    """Only cards with a URL count clicks, and every one; a dismissed card is gone, counted once, and stays gone."""
    lab.sandbox.add_content_card("plain")
    lab.sandbox.add_content_card("link", u="https://x")
    lab.sandbox.add_content_card("fixed", db=False)
    braze = with_cards(lab)
    cards = {card.id: card for card in braze.content_cards.cards}
    assert not braze.content_cards.log_click(cards["plain"])
    assert [braze.content_cards.log_click(cards["link"]) for _ in range(2)] == [True, True]
    assert not braze.content_cards.dismiss(cards["fixed"])
    assert braze.content_cards.dismiss(cards["plain"])
    assert not braze.content_cards.dismiss(cards["plain"])
    braze.close()
    braze = lab.client()
    assert [(card.id, card.clicked) for card in braze.content_cards.cards] == [("fixed", False), ("link", True)]
    braze.flush(5)
    assert lab.sandbox.analytics == {"ccc": {"link": 2}, "ccd": {"plain": 1}}


def test_cards_are_kept_per_user(lab: Lab) -> None:
    """Cards outlive a restart with their cursors, and go with the user."""
    lab.sandbox.add_content_card("a")
    braze = with_cards(lab)
    braze.close()
    braze = lab.client()
    assert [card.id for card in braze.content_cards.cards] == ["a"]
    assert braze.content_cards.last_update is not None
    done: list[bool] = []
    braze.content_cards.request_refresh(done.append)
    assert lab.wait_for("content_cards/sync", 2).body["last_full_sync_at"] > 0
    lab.until(lambda: done)
    braze.change_user("u2")
    assert not braze.content_cards.cards
    assert braze.content_cards.last_update is None
    braze.close()
    assert lab.client().content_cards.cards == ()


def test_an_answer_for_the_old_user_is_not_the_new_ones(lab: Lab) -> None:
    """Cards that arrive after a change of user are dropped, and whoever asked hears of a failure."""
    lab.sandbox.add_content_card("a")
    braze = lab.client()
    braze.change_user("u1")
    braze.flush(5)
    done: list[bool] = []

    def change(request: object) -> None:
        if "cards" in str(getattr(request, "path", "")):
            braze.change_user("u2")

    lab.sandbox.fault = change
    braze.content_cards.request_refresh(done.append)
    lab.until(lambda: done == [False])
    assert braze.content_cards.cards == ()
    lab.sandbox.fault = None
    braze.content_cards.request_refresh(done.append)
    lab.until(lambda: done == [False, True])
    assert len(braze.content_cards.cards) == 1


def test_subscribers_are_told_of_every_answer(lab: Lab) -> None:
    """Subscribers to cards, flags and banners get what is to be shown."""
    lab.sandbox.add_content_card("a")
    lab.sandbox.add_feature_flag("f")
    lab.sandbox.add_banner("p1", id="b1")
    braze = lab.client()
    told: list[tuple[str, ...]] = []
    braze.content_cards.subscribe_to_updates(lambda cards: told.append(("cards", *(card.id for card in cards))))
    braze.feature_flags.subscribe_to_updates(lambda flags: told.append(("flags", *(flag.id for flag in flags))))
    braze.banners.subscribe_to_updates(lambda banners: told.append(("banners", *(one.id for one in banners))))
    braze.open_session()
    braze.flush(5)
    braze.banners.request_refresh(["p1"])
    lab.until(lambda: sorted(told) == [("banners", "b1"), ("cards", "a"), ("flags", "f")])


def test_flag_impressions(lab: Lab) -> None:
    """Impressions count once a flag and session, and only for flags of an experiment."""
    lab.sandbox.add_feature_flag("f", tracking="track", properties={"s": {"type": "string", "value": "x"}})
    lab.sandbox.add_feature_flag("plain", enabled=False)
    braze = lab.client()
    braze.open_session()
    lab.until(lambda: braze.feature_flags.all)
    flag = braze.feature_flags.get("f")
    assert flag is not None
    assert flag.get_string_property("s") == "x"
    assert not braze.feature_flags.is_enabled("plain", default=True)
    assert braze.feature_flags.is_enabled("unknown", default=True)
    assert [braze.feature_flags.log_impression("f") for _ in range(2)] == [True, False]
    assert not braze.feature_flags.log_impression("plain")
    assert not braze.feature_flags.log_impression("unknown")
    lab.clock.advance(2000)
    assert braze.feature_flags.log_impression("f")
    braze.flush(5)
    logged = [event["data"] for event in lab.sandbox.events if event["name"] == "ffi"]
    assert logged == [{"fid": "f", "fts": "track"}] * 2


def test_flags_are_kept(lab: Lab) -> None:
    """Flags are there at the next start, before any request."""
    lab.sandbox.add_feature_flag("f")
    braze = lab.client()
    braze.open_session()
    lab.until(lambda: braze.feature_flags.is_enabled("f"))
    braze.close()
    assert lab.client().feature_flags.is_enabled("f")


def test_banner_analytics(lab: Lab) -> None:
    """Impressions once a banner and session, clicks each time, dismissals once and only with a stable key."""
    lab.sandbox.add_banner("p1", id="b1")
    lab.sandbox.add_banner("p2", id="b2", stable_key=None, is_control=True)
    braze = lab.client()
    braze.open_session()
    braze.flush(5)
    done: list[bool] = []
    braze.banners.request_refresh(["p1", "p2", "p3"], done.append)
    lab.until(lambda: done)
    first, second = braze.banners.get("p1"), braze.banners.get("p2")
    assert first is not None
    assert second is not None
    assert braze.banners.get("p3") is None
    assert [braze.banners.log_impressions([first, second]) for _ in range(2)] == [True, False]
    assert [braze.banners.log_click(first), braze.banners.log_click(first, "go")] == [True, True]
    assert [braze.banners.dismiss(second), braze.banners.dismiss(first)] == [False, True]
    braze.close()
    braze = lab.client()
    assert [banner.id for banner in braze.banners.all] == ["b2"]
    braze.flush(5)
    assert lab.sandbox.analytics == {"bi": {"b1": 1, "b2": 1}, "bc": {"b1": 1, "b1/go": 1}, "bd": {"b1": 1}}


def test_cards_expire_on_their_own(lab: Lab) -> None:
    """A held card goes at its expiry without any request."""
    lab.sandbox.add_content_card("a", ea=lab.clock.time() + 100)
    braze = with_cards(lab)
    lab.clock.advance(50)
    assert len(braze.content_cards.cards) == 1
    lab.clock.advance(50)
    assert not braze.content_cards.cards
