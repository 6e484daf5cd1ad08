"""``braze.banners``: what the placements show, their sync, and their analytics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from ...errors import InvalidArgumentError
from ...locks import ForkSafeLock
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
    """Banners by placement, kept over restarts for the current user.

    Not made by applications: see :attr:`Braze.banners`.
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
            callback: Called with whether that succeeded, on a thread of its own.

        Returns:
            Whether it will be asked: not while the server's configuration has banners off, nor while disabled.
            If not, ``callback`` is not called.

        Raises:
            InvalidArgumentError: A placement id is no text, or is empty.
            ClosedError: The client was closed.
        """
        ids = tuple(placement_ids)
        if isinstance(placement_ids, str):
            raise InvalidArgumentError("placement_ids must be a collection of texts, not one text")
        for placement_id in ids:
            _check_id(placement_id)
        self._placements = ids
        if not self._context.accepts() or not self._context.config.banners:
            return self._refresh.refuse(callback)
        return self._refresh.ask(callback)

    def subscribe_to_updates(self, callback: Callable[[tuple[Banner, ...]], object]) -> Callable[[], None]:
        """Call ``callback`` with the banners after each answer, on a thread of its own.

        Returns:
            A function that ends the subscription.
        """
        return self._subscribers.add(callback)

    # -- analytics ----------------------------------------------------------------------------------------------
    def log_impressions(self, banners: Iterable[Banner] | Banner) -> bool:
        """The user sees these banners. Counted once a banner and session, in one event.

        Returns:
            Whether any was logged.
        """
        ids = [_checked(banner).id for banner in ([banners] if isinstance(banners, Banner) else banners)]
        return self._context.log_once_a_session("bi", ids, lambda fresh: {"ids": fresh})

    def log_click(self, banner: Banner, button_id: str | None = None) -> bool:
        """The user clicked a banner, or a button in it. Counted each time."""
        button = {} if button_id is None else {"bid": button_id}
        return self._context.log("bc", {"id": _checked(banner).id, **button})

    def dismiss(self, banner: Banner) -> bool:
        """The user put a banner away: it is gone from :attr:`all`, and the server is told with the next refresh.

        Returns:
            Whether it was: not a second time, nor a banner without a stable key.
        """
        if _checked(banner).stable_key is None or banner.id in self._held().dismissed:
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


def _checked(banner: Banner) -> Banner:
    if not isinstance(banner, Banner):
        raise InvalidArgumentError(f"banner must be a Banner, not {type(banner).__name__}")
    return banner


def _check_id(placement_id: object) -> None:
    if not isinstance(placement_id, str) or not placement_id:
        raise InvalidArgumentError("placement_ids must be non-empty texts")
