"""Braze's messaging features without a screen: in-app messages, content cards, feature flags, banners, push."""

from __future__ import annotations

from .banner_board import Banners
from .banners import Banner
from .card_feed import ContentCards
from .content_cards import CaptionedImageCard, ClassicCard, ContentCard, ControlCard, ImageOnlyCard
from .feature_flags import FeatureFlag
from .flag_store import FeatureFlags
from .in_app_messages import (
    Button,
    ClickAction,
    Color,
    ControlMessage,
    DismissType,
    FullScreenMessage,
    HtmlMessage,
    InAppMessage,
    ModalMessage,
    SlideupMessage,
)
from .in_app_messaging import InAppMessages
from .push import PushMessage
from .push_channel import Push
from .streams import MessageStream

__all__ = [
    "Banner",
    "Banners",
    "Button",
    "CaptionedImageCard",
    "ClassicCard",
    "ClickAction",
    "Color",
    "ContentCard",
    "ContentCards",
    "ControlCard",
    "ControlMessage",
    "DismissType",
    "FeatureFlag",
    "FeatureFlags",
    "FullScreenMessage",
    "HtmlMessage",
    "ImageOnlyCard",
    "InAppMessage",
    "InAppMessages",
    "MessageStream",
    "ModalMessage",
    "Push",
    "PushMessage",
    "SlideupMessage",
]
