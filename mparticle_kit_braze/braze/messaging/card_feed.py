"""``braze.content_cards``: the cards held for the current user, their sync, and their analytics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from ...locks import ForkSafeLock
from .arguments import checked, checked_all
from .buckets import Bucket
from .callbacks import Subscribers
from .content_cards import CardSet, ContentCard
from .context import Completion, Context
from .refresh import Refresh
from .syncs import Answer, Syncs

__all__ = ["ContentCards"]

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
MAX_SYNC_RETRIES = 14
"""How often a request is made again because an answer asked for it (as the Web SDK)."""


class ContentCards:
    """Content cards for an app that presents them itself. Not made by applications: see :attr:`Braze.content_cards`.

    They are kept over restarts, for the current user: a change of user forgets them (as the Web SDK). They are asked
    for by :meth:`request_refresh`, and at the start of each session while somebody subscribes.
    """

    def __init__(self, context: Context, syncs: Syncs) -> None:
        self._context = context
        self._lock = ForkSafeLock()
        self._set: CardSet | None = None
        self._bucket: Bucket | None = None
        self._retries = 0
        self._due = False
        self._subscribers: Subscribers[tuple[ContentCard, ...]] = Subscribers(context.callbacks)
        self._refresh = Refresh(
            context,
            syncs,
            path="content_cards/sync",
            header="X-Braze-ContentCardsRequest",
            members=self._members,
            take=self._take,
            headers=lambda: {"BRAZE-SYNC-RETRY-COUNT": str(self._retries)},
        )

    # -- cards --------------------------------------------------------------------------------------------------
    @property
    def cards(self) -> tuple[ContentCard, ...]:
        """The cards to show now: neither expired nor dismissed, pinned ones first, then the latest changed first.

        Control cards are among them: show nothing in their place, but log the impression. Empty while disabled.
        """
        return () if self._context.state.disabled else self._held().visible(self._context.clock.time())

    @property
    def unviewed_count(self) -> int:
        """How many cards to show have not been seen; control cards aside."""
        return sum(1 for card in self.cards if not card.viewed and not card.is_control)

    @property
    def last_update(self) -> datetime | None:
        """When the server last answered, in UTC; ``None`` for never."""
        at = self._held().updated_at
        return None if at is None else EPOCH + timedelta(seconds=at)

    def request_refresh(self, callback: Completion | None = None) -> bool:
        """Ask the server for the current cards.

        Args:
            callback: Called once with whether that succeeded, on the thread of all callbacks; with ``False`` also when
                nothing is asked.

        Returns:
            Whether the server will be asked: not while its configuration has cards off, nor beyond its rate limit,
            nor while the client is disabled (as the Web SDK).

        Raises:
            InvalidArgumentError: ``callback`` cannot be called, or is a coroutine function.
            ClosedError: The client was closed.
        """
        context = self._context
        if not context.accepts() or not context.config.content_cards:
            return self._refresh.refuse(callback)
        with self._lock.held:
            before = self._bucket or Bucket.parse(context.values.get("card_bucket"))
            bucket = before.taken(context.config.card_limit, context.clock.time())
            if bucket is not None:
                self._bucket = bucket
                self._retries = 0
        if bucket is None:
            return self._refresh.refuse(callback)
        if bucket is not before:
            context.values.update({"card_bucket": bucket.to_json()})
        return self._refresh.ask(callback)

    def subscribe_to_updates(self, callback: Callable[[tuple[ContentCard, ...]], object]) -> Callable[[], None]:
        """Call ``callback`` with the cards to show after each answer, on the thread of all callbacks.

        While anybody subscribes, cards are asked for at the start of every session (as the Web SDK). What the app does
        itself (clicks, dismissals) and what expires brings no call.

        Returns:
            A function that ends the subscription.

        Raises:
            InvalidArgumentError: ``callback`` cannot be called, or is a coroutine function.
        """
        return self._subscribers.add(callback)

    # -- analytics ----------------------------------------------------------------------------------------------
    def log_impressions(self, cards: Iterable[ContentCard] | ContentCard) -> bool:
        """The user sees these cards. Counted once a card and session, in one event.

        Args:
            cards: One card or several; control cards count too, when the user would see them.

        Returns:
            Whether any was logged; not while disabled.

        Raises:
            InvalidArgumentError: Something else than cards.
            ClosedError: The client was closed.
        """
        ids = [card.id for card in checked_all(cards, ContentCard)]
        if not self._context.log_once_a_session("cci", ids, lambda fresh: {"ids": fresh}):
            return False
        self._change(lambda held: held.with_viewed(ids))
        return True

    def log_click(self, card: ContentCard) -> bool:
        """The user clicked a card. Counted each time.

        Returns:
            Whether it was logged: only for cards with a URL, and not while disabled.

        Raises:
            InvalidArgumentError: ``card`` is no card.
            ClosedError: The client was closed.
        """
        if checked(card, ContentCard).url is None or not self._context.log("ccc", {"ids": [card.id]}):
            return False
        self._change(lambda held: held.with_clicked(card.id))
        return True

    def dismiss(self, card: ContentCard) -> bool:
        """The user put a card away: it is gone from :attr:`cards`. Counted once.

        Returns:
            Whether it was: not if the card may not be dismissed, or is not held, nor while disabled.

        Raises:
            InvalidArgumentError: ``card`` is no card.
            ClosedError: The client was closed.
        """
        card_id = checked(card, ContentCard).id
        held = self._held()
        if not card.dismissible or card_id not in held.cards or card_id in held.dismissed:
            return False
        if not self._context.log("ccd", {"ids": [card_id]}):
            return False
        self._change(lambda held: held.with_dismissed(card_id))
        return True

    # -- told by the client -------------------------------------------------------------------------------------
    def session_began(self) -> None:
        """Ask for the cards, if anybody waits for them."""
        if self._subscribers:
            self._due = not self._context.config.content_cards
            self.request_refresh()

    def config_changed(self) -> None:
        """A new configuration is in force: ask now, if cards were off when the session began."""
        if self._due and self._context.config.content_cards:
            self._due = False
            self.request_refresh()

    def forget_user(self) -> None:
        """The user changed."""
        with self._lock.held:
            self._set = CardSet()
            self._bucket = Bucket()
            self._retries = 0
        self._refresh.reset()

    def reset_after_fork(self) -> None:
        """In a forked child."""
        self._refresh.reset()

    # -- inside -------------------------------------------------------------------------------------------------
    def _members(self) -> Mapping[str, Any] | None:
        held = self._held()
        return {
            **self._context.user_member(),
            "last_full_sync_at": held.last_full_sync_at,
            "last_card_updated_at": held.last_card_updated_at,
        }

    def _take(self, answer: Answer) -> bool:
        with self._lock.held:
            merged = self._held().merged(dict(answer.body), self._context.clock.time())
            if merged is not None:
                self._set = merged
                stored = {"cards": list(merged.cards.values()), "card_cursor": merged.cursor_json()}
                # With the lock held, here and below: what is stored last must be what is held last.
                self._context.values.update(stored)
        if answer.retry_after is not None and self._retries < MAX_SYNC_RETRIES:
            self._retries += 1
            epoch = self._context.state.epoch
            self._context.callbacks.post(lambda: self._ask_again(epoch), answer.retry_after)
        if merged is None:
            return False
        self._subscribers.tell(merged.visible(self._context.clock.time()))
        return True

    def _ask_again(self, epoch: int) -> None:
        """The answer asked for this; much may have happened since."""
        state = self._context.state
        if epoch == state.epoch and not state.disabled and self._context.config.content_cards:
            self._refresh.ask()

    def _held(self) -> CardSet:
        """The cards, read from storage on first use."""
        held = self._set
        if held is None:
            with self._lock.held:
                values = self._context.values
                held = self._set = CardSet.parse(values.get("cards"), values.get("card_cursor"))
        return held

    def _change(self, change: Callable[[CardSet], CardSet]) -> None:
        with self._lock.held:
            changed = self._set = change(self._held())
            self._context.values.update({"card_cursor": changed.cursor_json()})
