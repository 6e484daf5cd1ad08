"""The messaging features of one client, put together; what happens to the client is told to all of them here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...clock import Clock
from ...delivery.destination import Exchange
from ...diagnostics import Reporter
from ...locks import ForkSafeLock
from ...storage import KeyValues
from ..data_endpoint import DataEndpoint
from ..recorder import Recorder
from ..state import State
from .banner_board import Banners
from .card_feed import ContentCards
from .context import Context
from .flag_store import FeatureFlags
from .in_app_messaging import InAppMessages
from .push_channel import Push
from .settings import MessagingConfig
from .syncs import Syncs

__all__ = ["Messaging"]


class Messaging:
    """All messaging features.

    Args:
        state: Who the user is, and which session.
        recorder: Takes events and attributes.
        endpoint: Knows the server.
        values: A key-value file of its own.
        clock: Where time comes from.
        reporter: Where problems go.
        call_soon: Has delivery run an exchange; says whether it will.
        flush_soon: Asks for a request with data.
        minimum_trigger_interval: Seconds to keep between in-app messages.
    """

    def __init__(
        self,
        state: State,
        *,
        recorder: Recorder,
        endpoint: DataEndpoint,
        values: KeyValues,
        clock: Clock,
        reporter: Reporter,
        call_soon: Callable[[Exchange], bool],
        flush_soon: Callable[[], object],
        minimum_trigger_interval: float,
    ) -> None:
        self._state = state
        self._reporter = reporter
        self._context = context = Context(state, recorder, values, clock, reporter)
        context.minimum_trigger_interval = minimum_trigger_interval
        self._lock = ForkSafeLock()
        self._syncs = syncs = Syncs(context, endpoint, call_soon, self._follow_user, self._forget_user)
        self._session_id = state.session_id
        self.in_app_messages: InAppMessages = InAppMessages(context, syncs)
        self.content_cards: ContentCards = ContentCards(context, syncs)
        self.feature_flags: FeatureFlags = FeatureFlags(context, syncs)
        self.banners: Banners = Banners(context, syncs)
        self.push: Push = Push(context, syncs, recorder, flush_soon, self.in_app_messages.happened)

    def make_up(self, *, session_began: bool, triggers: list[Any] | None) -> None:
        """What happened to the client before this was made.

        Args:
            session_began: Whether a session began.
            triggers: The in-app messages that came for the user; ``None`` if none did.
        """
        self._guarded(lambda: self._make_up(session_began, triggers))

    def _make_up(self, session_began: bool, triggers: list[Any] | None) -> None:
        if triggers is not None:
            self.in_app_messages.triggers_answered(triggers)
        if self._state.triggers_due is not None:
            self.in_app_messages.session_began(new_session=session_began)
        if session_began:
            self.push.session_began()
            self.feature_flags.session_began()
            self.content_cards.session_began()

    # Events and answers come through here: a fault of ours must cost neither the one nor the other.

    def session_began(self) -> None:
        """A session began, perhaps another user's, or the messaging session lapsed. Called without a lock held."""
        self._guarded(self._session_began)

    def triggers_answered(self, raw: object, epoch: int) -> None:
        """In-app messages were asked for.

        Args:
            raw: What the answer brought; ``None`` when the request failed.
            epoch: The life of the user they were asked for.
        """
        messages = self.in_app_messages
        self._follow_user()
        self._guarded(messages.triggers_failed if raw is None else lambda: messages.triggers_answered(raw))
        if epoch != self._state.epoch:
            self._guarded(self._forget_user)

    def request_leaves(self) -> None:
        """A request with data is on its way."""
        if self._state.triggers_due is not None:
            self.in_app_messages.session_began(new_session=False)

    def config_changed(self) -> None:
        """A new configuration is in force."""
        self._guarded(self._config_changed)

    def _guarded(self, call: Callable[[], object]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - see above
            self._reporter.report(
                "messaging_failed", f"Messaging failed ({type(error).__name__})", key=call.__name__, exception=error
            )

    def _session_began(self) -> None:
        self._follow_user()
        new_session = self._state.session_id != self._session_id
        self._session_id = self._state.session_id
        self.in_app_messages.session_began(new_session=new_session)
        if new_session:
            self.push.session_began()
            self.feature_flags.session_began()
            self.content_cards.session_began()

    def _follow_user(self) -> None:
        """Notice a change of user; on whichever thread comes first, before anything of the new one's is taken."""
        with self._lock.held:
            if self._context.values.changed_user():
                self._forget_user()

    def _forget_user(self) -> None:
        self._context.values.clear()
        self._context.forget_user()
        self._syncs.forget_user()
        for feature in (self.in_app_messages, self.content_cards, self.feature_flags, self.banners):
            feature.forget_user()

    def _config_changed(self) -> None:
        self._context.config = MessagingConfig.parse(self._state.values.get("config"))
        self.feature_flags.config_changed()
        self.content_cards.config_changed()

    def signature_taken(self) -> None:
        """There is a new signature."""
        self._syncs.resume()

    def wiped(self) -> None:
        """All data was wiped."""
        self._follow_user()
        self.push.forget_device()

    def reset_after_fork(self) -> None:
        """In a forked child: what was asked for is the parent's to hear of."""
        for feature in (self.content_cards, self.feature_flags, self.banners, self.push):
            feature.reset_after_fork()

    def close(self) -> None:
        """Call nobody back any more."""
        self.in_app_messages.close()
        self._context.callbacks.close()

    def release(self) -> None:
        """Close the file."""
        self._context.device_values.close()
