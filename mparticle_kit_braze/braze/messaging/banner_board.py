"""``braze.banners``: what the placements show, their sync, and their analytics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ...errors import InvalidArgumentError
from ...locks import ForkSafeLock
from .banners import Banner, parse_banners, placements
from .callbacks import Subscribers
from .context import Completion, Context
from .fields import identifier
from .refresh import Refresh
from .syncs import Answer, Syncs

__all__ = ["Banners"]


class Banners:
    """Banners by placement, kept over restarts for the current user.

    Not made by applications: see :attr:`Braze.banners`.
    """

    def __init__(self, context: Context, syncs: Syncs) -> None:
        self._context = context
        self._lock = ForkSafeLock()
        self._banners: Mapping[str, Banner] | None = None
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
        now, gone = self._context.clock.time(), self._dismissed()
        return tuple(banner for banner in self._held().values() if not banner.is_expired(now) and banner.id not in gone)

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
            return False
        return self._refresh.ask(callback)

    def subscribe_to_updates(self, callback: Callable[[tuple[Banner, ...]], object]) -> Callable[[], None]:
        """Call ``callback`` with the banners after each answer, on a thread of its own.

        Returns:
            A function that ends the subscription.
        """
        return self._subscribers.add(callback)

    # -- analytics ----------------------------------------------------------------------------------------------
    def log_impressions(self, banners: Iterable[Banner]) -> bool:
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
        if _checked(banner).stable_key is None or banner.id in self._dismissed():
            return False
        if not self._context.log("bd", {"id": banner.id}):
            return False
        with self._lock:
            at = int(self._context.clock.time() * 1000)
            pending = [*self._pending(), {"banner_id": banner.id, "dismissal_time": at}]
            gone = sorted({*self._dismissed(), banner.id})
            self._context.values.update({"banner_dismissals": pending, "banners_dismissed": gone})
        return True

    # -- told by the client -------------------------------------------------------------------------------------
    def forget_user(self) -> None:
        """The user changed: nothing of the old one's is shown; the placements are asked for again."""
        with self._lock:
            self._banners = {}
        if self._placements and self._context.config.banners:
            self._refresh.ask()

    # -- inside -------------------------------------------------------------------------------------------------
    def _members(self) -> Mapping[str, Any] | None:
        user_id = self._context.state.user_id
        user = {} if user_id is None else {"user_id": user_id}
        dismissals = self._pending()
        self._sent_dismissals = len(dismissals)
        return {
            **user,
            "time_ms": int(self._context.clock.time() * 1000),
            "placements": placements(self._placements, self._context.config.max_placements),
            "pending_dismissals": dismissals,
        }

    def _take(self, answer: Answer) -> bool:
        raw = answer.body.get("banners")
        banners = parse_banners(raw)
        if banners is None:
            return False
        with self._lock:
            self._banners = banners
            shown = {banner.id for banner in banners.values()}
            self._context.values.update(
                {
                    "banners": raw,
                    "banner_dismissals": self._pending()[self._sent_dismissals :],
                    "banners_dismissed": sorted(self._dismissed() & shown),
                }
            )
        self._subscribers.tell(self.all)
        return True

    def _held(self) -> Mapping[str, Banner]:
        """The banners, read from storage on first use."""
        banners = self._banners
        if banners is None:
            with self._lock:
                banners = self._banners = parse_banners(self._context.values.get("banners")) or {}
        return banners

    def _pending(self) -> list[dict[str, Any]]:
        stored = self._context.values.get("banner_dismissals")
        return [one for one in stored if isinstance(one, dict)] if isinstance(stored, list) else []

    def _dismissed(self) -> set[str]:
        stored = self._context.values.get("banners_dismissed")
        ids = ({"id": one} for one in stored) if isinstance(stored, list) else ()
        return {found for one in ids if (found := identifier(one, "id")) is not None}


def _checked(banner: Banner) -> Banner:
    if not isinstance(banner, Banner):
        raise InvalidArgumentError(f"banner must be a Banner, not {type(banner).__name__}")
    return banner


def _check_id(placement_id: object) -> None:
    if not isinstance(placement_id, str) or not placement_id:
        raise InvalidArgumentError("placement_ids must be non-empty texts")
