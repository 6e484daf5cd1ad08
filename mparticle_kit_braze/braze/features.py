"""The messaging features as attributes of a client, loaded when they are first needed.

Many clients only log events. For them the code of messaging stays out of memory, and what it would have to know by
the time it is loaded is kept here: that a session began, and the triggers that came.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from ..clock import Clock
from ..delivery import Delivery
from ..diagnostics import Reporter
from ..locks import ForkSafeLock, importing
from ..storage import KeyValues
from .recorder import Recorder
from .state import State

if TYPE_CHECKING:
    from .data_endpoint import DataEndpoint
    from .messaging.banner_board import Banners
    from .messaging.card_feed import ContentCards
    from .messaging.flag_store import FeatureFlags
    from .messaging.in_app_messaging import InAppMessages
    from .messaging.messaging import Messaging
    from .messaging.push import PushMessage
    from .messaging.push_channel import Push

__all__ = ["CUSTOM_EVENT", "PURCHASE", "LazyMessaging", "MessagingFeatures", "Watcher", "lazy_messaging"]

CUSTOM_EVENT, PURCHASE = "custom_event", "purchase"
"""What a watcher is told of."""

UNREAD = "unread_triggers"


class Watcher(Protocol):
    """What waits for events. See :class:`~.messaging.in_app_messaging.InAppMessages`."""

    watched: bool

    def logged(self, kind: str, name: str, properties: Mapping[Any, Any] | None, data: str, at: float) -> None:
        """An event or a purchase was logged."""


class Nobody:
    """A watcher that waits for nothing."""

    watched = False

    def logged(self, kind: str, name: str, properties: Mapping[Any, Any] | None, data: str, at: float) -> None:
        """Never called."""


class LazyMessaging:
    """Messaging that is loaded when it is needed; until then only what it will have to know is kept.

    It is needed when the app asks for a feature, when the server switches feature flags on (they are fetched unasked),
    or when the storage tells that a feature was used before.

    Args:
        state: Who the user is, and what is remembered.
        values: The key-value file of messaging.
        make: Makes messaging.

    Attributes:
        watcher: Who is told of events.
    """

    def __init__(self, state: State, values: KeyValues, make: Callable[[], Messaging]) -> None:
        self._state = state
        self._values = values
        self._make = make
        self._lock = ForkSafeLock()
        self._messaging: Messaging | None = None
        self._session_began = False
        self._closed = False
        self.watcher: Watcher = Nobody()

    def start(self) -> None:
        """Load it now if it is known to be needed."""
        if self._values.items() or self._syncs_unasked():
            self._load()

    @property
    def loaded(self) -> Messaging:
        """All messaging features."""
        return self._messaging or self._load()

    def _load(self) -> Messaging:
        with self._lock.held:
            if self._messaging is None:
                messaging = self._make()
                messaging.make_up(session_began=self._session_began, triggers=self._unread())
                if self._closed:
                    messaging.close()
                self._messaging = messaging
                self.watcher = messaging.in_app_messages
            return self._messaging

    def _syncs_unasked(self) -> bool:
        config = self._state.values.get("config")
        flags = config.get("feature_flags") if isinstance(config, Mapping) else None
        return isinstance(flags, Mapping) and bool(flags.get("enabled"))

    def _unread(self) -> list[Any] | None:
        """The triggers that came for the current user and were not read; they are read by this."""
        unread = self._state.values.get(UNREAD)
        if unread is None:
            return None
        self._state.values.delete(UNREAD)
        if not isinstance(unread, dict) or unread.get("for") != self._life():
            return None
        triggers = unread.get("triggers")
        return triggers if isinstance(triggers, list) else None

    def _life(self) -> list[Any]:
        return [self._state.epoch, self._state.user_id]

    # -- what happens to the client -----------------------------------------------------------------------------
    def session_began(self) -> None:
        """A session began, perhaps another user's. Called without a lock held."""
        with self._lock.held:
            messaging = self._messaging
            if messaging is None:
                self._session_began = True
                unread = self._state.values.get(UNREAD)
                if unread is not None and (not isinstance(unread, dict) or unread.get("for") != self._life()):
                    self._state.values.delete(UNREAD)
        if messaging is not None:
            messaging.session_began()
        elif self._syncs_unasked():
            self._load()

    def triggers_answered(self, raw: object, epoch: int) -> None:
        """In-app messages were asked for; see :meth:`~.messaging.messaging.Messaging.triggers_answered`."""
        with self._lock.held:
            messaging = self._messaging
            if messaging is None and isinstance(raw, list) and epoch == self._state.epoch:
                self._state.values.set(UNREAD, {"for": self._life(), "triggers": raw})
        if messaging is not None:
            messaging.triggers_answered(raw, epoch)

    def request_leaves(self) -> None:
        """A request with data is on its way."""
        if self._messaging is not None:
            self._messaging.request_leaves()

    def config_changed(self) -> None:
        """A new configuration is in force."""
        if self._messaging is not None:
            self._messaging.config_changed()
        elif self._syncs_unasked():
            self._load()

    def signature_taken(self) -> None:
        """There is a new signature."""
        if self._messaging is not None:
            self._messaging.signature_taken()

    def wiped(self) -> None:
        """All data was wiped."""
        self._session_began = False
        if self._messaging is not None:
            self._messaging.wiped()

    def set_push_token(self, token: str | None) -> bool:
        """As :meth:`~.messaging.push_channel.Push.set_token`."""
        return self.loaded.push.set_token(token)

    def withdraw_push_token(self) -> None:
        """As :meth:`~.messaging.push_channel.Push.unregister`, if there can be a token."""
        if self._messaging is not None:
            self._messaging.push.unregister()

    def reset_after_fork(self) -> None:
        """In a forked child: what was asked for is the parent's to hear of."""
        if self._messaging is not None:
            self._messaging.reset_after_fork()

    def close(self) -> None:
        """Call nobody back any more."""
        with self._lock.held:
            self._closed = True
            if self._messaging is not None:
                self._messaging.close()

    def release(self) -> None:
        """Close the file."""
        self._values.close()


class MessagingFeatures:
    """Gives a client its messaging features by name."""

    _messaging: LazyMessaging

    @property
    def in_app_messages(self) -> InAppMessages:
        """In-app messages: listening, impressions, clicks."""
        return self._messaging.loaded.in_app_messages

    @property
    def content_cards(self) -> ContentCards:
        """Content cards: the current ones, refreshing, impressions, clicks, dismissals."""
        return self._messaging.loaded.content_cards

    @property
    def feature_flags(self) -> FeatureFlags:
        """Feature flags: the current ones, refreshing, impressions."""
        return self._messaging.loaded.feature_flags

    @property
    def banners(self) -> Banners:
        """Banners by placement: the current ones, refreshing, impressions, clicks, dismissals."""
        return self._messaging.loaded.banners

    @property
    def push(self) -> Push:
        """Push: this device's token, payloads, opens."""
        return self._messaging.loaded.push

    def handle_push(self, payload: Mapping[str, Any] | str | bytes, *, opened: bool = False) -> PushMessage | None:
        """As :meth:`~.messaging.push_channel.Push.handle`: read a payload, and log its opening if it was opened."""
        return self.push.handle(payload, opened=opened)


def lazy_messaging(
    state: State,
    *,
    recorder: Recorder,
    endpoint: DataEndpoint,
    values: KeyValues,
    clock: Clock,
    reporter: Reporter,
    delivery: Delivery,
    minimum_trigger_interval: float,
) -> LazyMessaging:
    """Messaging that is loaded when it is needed."""

    def make() -> Messaging:
        with importing.held:
            from .messaging.messaging import Messaging  # noqa: PLC0415  # as said

        return Messaging(
            state,
            recorder=recorder,
            endpoint=endpoint,
            values=values,
            clock=clock,
            reporter=reporter,
            call_soon=delivery.call_soon,
            flush_soon=delivery.flush_soon,
            minimum_trigger_interval=minimum_trigger_interval,
        )

    return LazyMessaging(state, values, make)
