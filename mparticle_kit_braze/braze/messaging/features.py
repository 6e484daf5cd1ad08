"""The messaging features as attributes of a client."""

from __future__ import annotations

from .banner_board import Banners
from .card_feed import ContentCards
from .flag_store import FeatureFlags
from .in_app_messaging import InAppMessages
from .messaging import Messaging
from .push_channel import Push

__all__ = ["MessagingFeatures"]


class MessagingFeatures:
    """Gives a client its messaging features by name."""

    _messaging: Messaging

    @property
    def in_app_messages(self) -> InAppMessages:
        """In-app messages: listening, impressions, clicks."""
        return self._messaging.in_app_messages

    @property
    def content_cards(self) -> ContentCards:
        """Content cards: the current ones, refreshing, impressions, clicks, dismissals."""
        return self._messaging.content_cards

    @property
    def feature_flags(self) -> FeatureFlags:
        """Feature flags: the current ones, refreshing, impressions."""
        return self._messaging.feature_flags

    @property
    def banners(self) -> Banners:
        """Banners by placement: the current ones, refreshing, impressions, clicks, dismissals."""
        return self._messaging.banners

    @property
    def push(self) -> Push:
        """Push: this device's token, payloads, opens."""
        return self._messaging.push
