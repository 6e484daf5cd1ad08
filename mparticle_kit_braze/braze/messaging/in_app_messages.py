"""In-app messages as values: what the server sent, typed, for an app that presents them itself.

Pure: parsing only. Nothing here draws, fetches or counts.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from .fields import boolean, identifier, number, objects, text, texts

__all__ = [
    "Button",
    "ClickAction",
    "Color",
    "ControlMessage",
    "DismissType",
    "FullScreenMessage",
    "HtmlMessage",
    "InAppMessage",
    "ModalMessage",
    "SlideupMessage",
    "parse_message",
]


class ClickAction(str, enum.Enum):
    """What a click is meant to do."""

    NONE = "NONE"
    URI = "URI"
    NEWS_FEED = "NEWS_FEED"


class DismissType(str, enum.Enum):
    """How a message goes away: by the user's hand, or by itself after :attr:`InAppMessage.duration`."""

    MANUAL = "SWIPE"
    AUTO_DISMISS = "AUTO_DISMISS"


@dataclass(frozen=True, slots=True)
class Color:
    """A colour as Braze sends it: 32 bits, alpha, red, green, blue from the highest byte down."""

    argb: int

    @property
    def alpha(self) -> int:
        """Opacity, 0 to 255."""
        return self.argb >> 24 & 0xFF

    @property
    def rgb(self) -> tuple[int, int, int]:
        """Red, green and blue, each 0 to 255."""
        return self.argb >> 16 & 0xFF, self.argb >> 8 & 0xFF, self.argb & 0xFF

    @property
    def hex(self) -> str:
        """``#rrggbb``, as Tk and CSS take it; without the opacity."""
        return f"#{self.argb & 0xFFFFFF:06x}"


@dataclass(frozen=True, slots=True)
class Button:
    """A button of a modal or full-screen message.

    Attributes:
        id: Its number, for :meth:`InAppMessages.log_button_click`.
        text: The label.
        click_action: What a click is meant to do.
        uri: Where to, when that is :attr:`ClickAction.URI`.
        background_color, text_color, border_color: As the campaign has them.
    """

    id: int
    text: str = ""
    click_action: ClickAction = ClickAction.NONE
    uri: str | None = None
    background_color: Color | None = None
    text_color: Color | None = None
    border_color: Color | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InAppMessage:
    """What all messages have.

    Attributes:
        trigger_id: Identifies the message in analytics; without one nothing can be logged.
        extras: The campaign's key-value pairs.
        language: The language the message is in, if told.
        dismiss_type: How it goes away.
        duration: Seconds until it does so by itself.
        open_target: ``BLANK`` when links are meant to open in a new window.
        animate_in, animate_out: Whether to animate.
        raw: The message as received, for anything not named here.
    """

    trigger_id: str | None
    extras: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    language: str | None = None
    dismiss_type: DismissType = DismissType.MANUAL
    duration: float = 5.0
    open_target: str | None = None
    animate_in: bool = True
    animate_out: bool = True
    raw: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), repr=False, compare=False)
    _marks: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    def mark(self, what: str) -> bool:
        """Note that something was counted for this message; whether it was the first time."""
        before = len(self._marks)
        self._marks.add(what)
        return len(self._marks) > before


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlMessage(InAppMessage):
    """The member of a control group: shows nothing, but its impression counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _TextMessage(InAppMessage):
    message: str = ""
    click_action: ClickAction = ClickAction.NONE
    uri: str | None = None
    image_url: str | None = None
    image_alt: str | None = None
    icon: str | None = None
    icon_color: Color | None = None
    icon_background_color: Color | None = None
    background_color: Color | None = None
    text_color: Color | None = None
    text_align: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideupMessage(_TextMessage):
    """A bar that slides in at an edge.

    Attributes:
        message: The text.
        click_action, uri: What a click is meant to do.
        image_url, image_alt: An image and its alternative text.
        icon: A Font Awesome character in place of an image; with its colours.
        background_color, text_color, close_button_color: As the campaign has them.
        text_align: ``START``, ``CENTER`` or ``END``.
        slide_from: ``BOTTOM`` or ``TOP``.
    """

    slide_from: str = "BOTTOM"
    close_button_color: Color | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModalMessage(_TextMessage):
    """A box in the middle, with up to two buttons.

    Attributes:
        message, click_action, uri, image_url, image_alt, icon: As a slideup's, and so are its colours.
        header: The heading.
        buttons: In order; empty when the whole message is clicked.
        image_style: ``TOP``, or ``GRAPHIC`` when the image is all there is.
        crop_type: ``FIT_CENTER`` or ``CENTER_CROP``.
        frame_color: Of what lies behind.
        header_align: As ``text_align``.
    """

    header: str | None = None
    buttons: tuple[Button, ...] = ()
    image_style: str = "TOP"
    crop_type: str | None = None
    close_button_color: Color | None = None
    frame_color: Color | None = None
    header_text_color: Color | None = None
    header_align: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FullScreenMessage(ModalMessage):
    """As a modal message, over the whole screen.

    Attributes:
        orientation: ``PORTRAIT`` or ``LANDSCAPE``; ``None`` for any.
    """

    orientation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HtmlMessage(InAppMessage):
    """A message that is a web page of its own.

    Attributes:
        html: The page.
        css: Styles to add.
        message_fields: Values for the page's scripts.
        trusted: Whether the campaign says that its scripts may reach the app.
    """

    html: str = ""
    css: str | None = None
    message_fields: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    trusted: bool = False


def parse_message(raw: object) -> InAppMessage | None:
    """The message in ``raw``; ``None`` if its type is unknown or it is no object.

    Members of a wrong type are taken as missing.
    """
    if not isinstance(raw, dict):
        return None
    common = _common(raw)
    if boolean(raw, "is_control"):
        return ControlMessage(**common) if common["trigger_id"] else None
    kind = text(raw, "type") or ""
    if kind in ("HTML", "HTML_FULL", "WEB_HTML"):
        return HtmlMessage(
            **common,
            html=text(raw, "message") or "",
            css=text(raw, "css"),
            message_fields=texts(raw, "message_fields"),
            trusted=boolean(raw, "trusted"),
        )
    if kind == "SLIDEUP":
        slide_from = "TOP" if raw.get("slide_from") == "TOP" else "BOTTOM"
        return SlideupMessage(
            **common, **_text(raw), slide_from=slide_from, close_button_color=_color(raw, "close_btn_color")
        )
    if kind in ("MODAL", "MODAL_STYLED"):
        return ModalMessage(**common, **_text(raw), **_box(raw))
    if kind == "FULL":
        return FullScreenMessage(**common, **_text(raw), **_box(raw), orientation=text(raw, "orientation"))
    return None


def _common(raw: Mapping[str, Any]) -> dict[str, Any]:
    duration = number(raw, "duration")
    automatic = raw.get("message_close") == "AUTO_DISMISS"
    return {
        "trigger_id": identifier(raw, "trigger_id"),
        "extras": MappingProxyType({**texts(raw, "extras"), **texts(raw, "message_extras")}),
        "language": text(raw, "language"),
        "dismiss_type": DismissType.AUTO_DISMISS if automatic else DismissType.MANUAL,
        "duration": 5.0 if duration is None or duration < 0 else duration / 1000,
        "open_target": text(raw, "open_target"),
        "animate_in": boolean(raw, "animate_in", default=True),
        "animate_out": boolean(raw, "animate_out", default=True),
        "raw": MappingProxyType(raw),
    }


def _text(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "message": text(raw, "message") or "",
        "click_action": _click_action(raw),
        "uri": text(raw, "uri"),
        "image_url": text(raw, "image_url"),
        "image_alt": text(raw, "image_alt"),
        "icon": text(raw, "icon"),
        "icon_color": _color(raw, "icon_color"),
        "icon_background_color": _color(raw, "icon_bg_color"),
        "background_color": _color(raw, "bg_color"),
        "text_color": _color(raw, "text_color"),
        "text_align": text(raw, "text_align_message"),
    }


def _box(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "header": text(raw, "header"),
        "buttons": tuple(filter(None, map(_button, objects(raw, "btns")))),
        "image_style": "GRAPHIC" if raw.get("image_style") == "GRAPHIC" else "TOP",
        "crop_type": text(raw, "crop_type"),
        "close_button_color": _color(raw, "close_btn_color"),
        "frame_color": _color(raw, "frame_color"),
        "header_text_color": _color(raw, "header_text_color"),
        "header_align": text(raw, "text_align_header"),
    }


def _button(raw: Mapping[str, Any]) -> Button | None:
    button_id = number(raw, "id")
    if button_id is None or button_id != int(button_id):
        return None
    return Button(
        int(button_id),
        text(raw, "text") or "",
        _click_action(raw),
        text(raw, "uri"),
        _color(raw, "bg_color"),
        _color(raw, "text_color"),
        _color(raw, "border_color"),
    )


def _click_action(raw: Mapping[str, Any]) -> ClickAction:
    try:
        return ClickAction(raw.get("click_action"))
    except ValueError:
        return ClickAction.NONE


def _color(raw: Mapping[str, Any], key: str) -> Color | None:
    value = number(raw, key)
    if value is None or value != int(value):
        return None
    return Color(int(value) & 0xFFFFFFFF)  # some clients are sent it as a signed number
