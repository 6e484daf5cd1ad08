"""``braze.banners``: what the placements show, their sync, and their analytics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from ...errors import InvalidArgumentError
from ...locks import ForkSafeLock
from .arguments import checked, checked_all
from .banners import Banner, parse_banners, placements
from .callbacks import Subscribers
from .context import Completion, Context, UserValues
from .refresh import Refresh
from .syncs import Answer, Syncs

__all__ = ["Banners"]


class Held(NamedTuple):
    """What is held for a user: the banners by placement, dismissals still to be told, ids of dismissed banners."""

    banners: Mapping[str, Banner]
    pending: tuple[dict[str, Any], ...]
    dismissed: frozenset[str]


class Banners:
    """Banners by placement. Not made by applications: see :attr:`Braze.banners`.

    They are kept over restarts for the current user. Nothing is asked for unasked, but the placements of the last
    :meth:`request_refresh` after a change of user.
    """

    def __init__(self, context: Context, syncs: Syncs) -> None:
        self._context = context
        self._lock = ForkSafeLock()
        self._known: Held | None = None
        self._placements: tuple[str, ...] = ()
        self._sent_dismissals = 0
        self._subscribers: Subscribers[tuple[Banner, ...]] = Subscribers(context.callbacks)
        self._refresh = Refresh(
            context, syncs, path="banners/sync", header=None, members=self._members, take=self._take
        )

    # -- banners ------------------------------------------------------------------------------------------------
    @property
    def all(self) -> tuple[Banner, ...]:
        """The banners to show now; control banners are among them."""
        now, held = self._context.clock.time(), self._held()
        if self._context.state.disabled:
            return ()
        shown = (banner for banner in held.banners.values() if banner.id not in held.dismissed)
        return tuple(banner for banner in shown if not banner.is_expired(now))

    def get(self, placement_id: str) -> Banner | None:
        """What a placement shows now; ``None`` for nothing."""
        return next((banner for banner in self.all if banner.placement_id == placement_id), None)

    def request_refresh(self, placement_ids: Iterable[str], callback: Completion | None = None) -> bool:
        """Ask the server what these placements show. They are asked for again after a change of user.

        Args:
            placement_ids: The placements; those beyond the number the configuration allows are cut.
            callback: Called once with whether that succeeded, on the thread of all callbacks; with ``False`` also when
                nothing is asked.

        Returns:
            Whether the server will be asked: not while its configuration has banners off, nor while the client is
            disabled.

        Raises:
            InvalidArgumentError: A placement id is no text, or is empty; ``callback`` cannot be called.
            ClosedError: The client was closed.
        """
        if isinstance(placement_ids, str):
            raise InvalidArgumentError("placement_ids must be a collection of texts, not one text")
        ids = checked_all(placement_ids, str, "placement_ids")
        if "" in ids:
            raise InvalidArgumentError("placement_ids must be non-empty texts")
        self._placements = ids
        if not self._context.accepts() or not self._context.config.banners:
            return self._refresh.refuse(callback)
        return self._refresh.ask(callback)

    def subscribe_to_updates(self, callback: Callable[[tuple[Banner, ...]], object]) -> Callable[[], None]:
        """Call ``callback`` with the banners after each answer, on the thread of all callbacks.

        Returns:
            A function that ends the subscription.

        Raises:
            InvalidArgumentError: ``callback`` cannot be called, or is a coroutine function.
        """
        return self._subscribers.add(callback)

    # -- analytics ----------------------------------------------------------------------------------------------
    def log_impressions(self, banners: Iterable[Banner] | Banner) -> bool:
        """The user sees these banners. Counted once a banner and session, in one event.

        Returns:
            Whether any was logged; not while disabled.

        Raises:
            InvalidArgumentError: Something else than banners.
            ClosedError: The client was closed.
        """
        ids = [banner.id for banner in checked_all(banners, Banner)]
        return self._context.log_once_a_session("bi", ids, lambda fresh: {"ids": fresh})

    def log_click(self, banner: Banner, button_id: str | None = None) -> bool:
        """The user clicked a banner, or a button in it. Counted each time.

        Args:
            banner: The banner.
            button_id: The button's id in the banner's page.

        Returns:
            Whether it was logged; not while disabled.

        Raises:
            InvalidArgumentError: ``banner`` is no banner, or ``button_id`` no text.
            ClosedError: The client was closed.
        """
        button = {} if button_id is None else {"bid": checked(button_id, str, "button_id")}
        return self._context.log("bc", {"id": checked(banner, Banner).id, **button})

    def dismiss(self, banner: Banner) -> bool:
        """The user put a banner away: it is gone from :attr:`all`, and the server is told with the next refresh.

        Returns:
            Whether it was: not a second time, nor a banner without a stable key, nor while disabled.

        Raises:
            InvalidArgumentError: ``banner`` is no banner.
            ClosedError: The client was closed.
        """
        if checked(banner, Banner).stable_key is None or banner.id in self._held().dismissed:
            return False
        if not self._context.log("bd", {"id": banner.id}):
            return False
        with self._lock.held:
            held = self._held()
            told = {"banner_id": banner.id, "dismissal_time": int(self._context.clock.time() * 1000)}
            self._known = held._replace(pending=(*held.pending, told), dismissed=held.dismissed | {banner.id})
            self._store_dismissals()
        return True

    # -- told by the client -------------------------------------------------------------------------------------
    def forget_user(self) -> None:
        """The user changed: nothing of the old one's is shown; the placements are asked for again."""
        with self._lock.held:
            self._known = Held({}, (), frozenset())
        self._refresh.reset()
        if self._placements and self._context.config.banners:
            self._refresh.ask()

    def reset_after_fork(self) -> None:
        """In a forked child."""
        self._refresh.reset()

    # -- inside -------------------------------------------------------------------------------------------------
    def _members(self) -> Mapping[str, Any] | None:
        dismissals = list(self._held().pending)
        self._sent_dismissals = len(dismissals)
        return {
            **self._context.user_member(),
            "time_ms": int(self._context.clock.time() * 1000),
            "placements": placements(self._placements, self._context.config.max_placements),
            "pending_dismissals": dismissals,
        }

    def _take(self, answer: Answer) -> bool:
        raw = answer.body.get("banners")
        banners = parse_banners(raw)
        if banners is None:
            return False
        with self._lock.held:
            held = self._held()
            gone = held.dismissed & {banner.id for banner in banners.values()}
            self._known = Held(banners, held.pending[self._sent_dismissals :], gone)
            self._context.values.update({"banners": raw})
            self._store_dismissals()
        self._subscribers.tell(self.all)
        return True

    def _store_dismissals(self) -> None:
        # With the lock held: what is stored last must be what is held last.
        held = self._held()
        self._context.values.update(
            {"banner_dismissals": list(held.pending), "banners_dismissed": sorted(held.dismissed)}
        )

    def _held(self) -> Held:
        """What is held, read from storage on first use."""
        known = self._known
        if known is None:
            with self._lock.held:
                known = self._known = _stored(self._context.values)
        return known


def _stored(values: UserValues) -> Held:
    pending, dismissed = values.get("banner_dismissals"), values.get("banners_dismissed")
    return Held(
        parse_banners(values.get("banners")) or {},
        tuple(one for one in pending if isinstance(one, dict)) if isinstance(pending, list) else (),
        frozenset(one for one in dismissed if isinstance(one, str)) if isinstance(dismissed, list) else frozenset(),
    )
