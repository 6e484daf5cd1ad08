"""Content cards as values, and the merging of an answer into the set that is held. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from .fields import boolean, identifier, number, objects, text, texts

__all__ = [
    "CaptionedImageCard",
    "CardSet",
    "ClassicCard",
    "ContentCard",
    "ControlCard",
    "ImageOnlyCard",
    "parse_card",
]

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentCard:
    """What all cards have.

    Attributes:
        id: The card's id.
        updated: When it was last changed, seconds since the epoch.
        expires_at: When it goes, seconds since the epoch; ``None`` for never.
        pinned: Whether it stays before all others.
        dismissible: Whether the user may put it away.
        viewed, clicked: Whether the user has seen it, or clicked it.
        url: Where a click leads.
        link_text: The text of that link.
        extras: The campaign's key-value pairs.
        language: The language it is in, if told.
        is_test: Whether it is a test send.
    """

    id: str
    updated: float = 0
    expires_at: float | None = None
    pinned: bool = False
    dismissible: bool = False
    viewed: bool = False
    clicked: bool = False
    url: str | None = None
    link_text: str | None = None
    extras: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    language: str | None = None
    is_test: bool = False

    @property
    def is_control(self) -> bool:
        """Whether it belongs to a control group: show nothing, but log the impression."""
        return False

    def is_expired(self, now: float) -> bool:
        """Whether it has gone at ``now``, seconds since the epoch."""
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlCard(ContentCard):
    """The member of a control group."""

    @property
    def is_control(self) -> bool:
        """Always true."""
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class _ImageCard(ContentCard):
    image_url: str | None = None
    image_alt: str | None = None
    aspect_ratio: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOnlyCard(_ImageCard):
    """An image (``image_url``, ``image_alt``, ``aspect_ratio`` = width / height) and nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassicCard(_ImageCard):
    """A title and a text, with or without an image."""

    title: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionedImageCard(_ImageCard):
    """An image with a title and a text below."""

    title: str = ""
    description: str = ""


_CLASSES: Mapping[str, type[ContentCard]] = {
    "short_news": ClassicCard,
    "text_announcement": ClassicCard,
    "captioned_image": CaptionedImageCard,
    "banner_image": ImageOnlyCard,
    "control": ControlCard,
}


def parse_card(raw: object) -> ContentCard | None:
    """The card in ``raw``; ``None`` if it has no id or an unknown type. Members of a wrong type count as missing."""
    if not isinstance(raw, dict) or (card_id := identifier(raw, "id")) is None:
        return None
    cls = _CLASSES.get(text(raw, "tp") or "")
    if cls is None:
        return None
    expires_at, aspect_ratio = number(raw, "ea"), number(raw, "ar")
    members: dict[str, Any] = {
        "id": card_id,
        "updated": number(raw, "ca") or 0,
        "expires_at": None if expires_at is None or expires_at < 0 else expires_at,
        "pinned": boolean(raw, "p"),
        "dismissible": boolean(raw, "db"),
        "viewed": boolean(raw, "v"),
        "clicked": boolean(raw, "cl"),
        "url": text(raw, "u") or None,
        "link_text": text(raw, "dm"),
        "extras": texts(raw, "e"),
        "language": text(raw, "language"),
        "is_test": boolean(raw, "t"),
    }
    if issubclass(cls, _ImageCard):
        members |= {
            "image_url": text(raw, "i"),
            "image_alt": text(raw, "image_alt"),
            "aspect_ratio": aspect_ratio if aspect_ratio is not None and aspect_ratio > 0 else None,
        }
    if cls in (ClassicCard, CaptionedImageCard):
        members |= {"title": text(raw, "tt") or "", "description": text(raw, "ds") or ""}
    return cls(**members)


@dataclass(frozen=True, slots=True)
class CardSet:
    """The cards held for one user and what the user did with them. Immutable; changes give a new set.

    Attributes:
        cards: The cards as received, by id.
        last_full_sync_at, last_card_updated_at: To be echoed with the next request.
        viewed, clicked, dismissed: Ids of cards the user saw, clicked or put away on this device.
        updated_at: When the last answer came, seconds since the epoch; ``None`` for never.
    """

    cards: Mapping[str, JsonObject] = field(default_factory=dict)
    last_full_sync_at: float = 0
    last_card_updated_at: float = 0
    viewed: frozenset[str] = frozenset()
    clicked: frozenset[str] = frozenset()
    dismissed: frozenset[str] = frozenset()
    updated_at: float | None = None

    def visible(self, now: float) -> tuple[ContentCard, ...]:
        """The cards to show: neither expired nor dismissed, pinned ones first, then the latest changed first."""
        cards = []
        for raw in self.cards.values():
            card = parse_card(raw)
            if card is None or card.is_expired(now) or card.id in self.dismissed:
                continue
            cards.append(
                replace(
                    card, viewed=card.viewed or card.id in self.viewed, clicked=card.clicked or card.id in self.clicked
                )
            )
        return tuple(sorted(cards, key=lambda card: (not card.pinned, -card.updated)))

    def merged(self, answer: object, now: float) -> CardSet | None:
        """The set after an answer of the server.

        A full sync replaces the cards; otherwise cards are added or replaced by id, and those marked as removed go.
        What the user did on this device is kept for the cards that remain.

        Returns:
            The new set; ``None`` if the answer is none that could be used.
        """
        if not isinstance(answer, dict) or not isinstance(answer.get("cards"), list):
            return None
        full = boolean(answer, "full_sync")
        cards: dict[str, JsonObject] = {} if full else dict(self.cards)
        for raw in answer["cards"]:
            if not isinstance(raw, dict) or (card_id := identifier(raw, "id")) is None:
                continue
            if boolean(raw, "r"):
                cards.pop(card_id, None)
            elif parse_card(raw) is not None:
                cards[card_id] = raw
        full_sync_at, card_updated_at = number(answer, "last_full_sync_at"), number(answer, "last_card_updated_at")
        return CardSet(
            cards=cards,
            last_full_sync_at=self.last_full_sync_at if full_sync_at is None else full_sync_at,
            last_card_updated_at=self.last_card_updated_at if card_updated_at is None else card_updated_at,
            viewed=self.viewed & cards.keys(),
            clicked=self.clicked & cards.keys(),
            dismissed=self.dismissed & cards.keys(),
            updated_at=now,
        )

    def with_viewed(self, ids: Iterable[str]) -> CardSet:
        """The set after the user saw cards."""
        return replace(self, viewed=self.viewed | self.cards.keys() & set(ids))

    def with_clicked(self, card_id: str) -> CardSet:
        """The set after the user clicked a card."""
        return replace(self, clicked=self.clicked | self.cards.keys() & {card_id})

    def with_dismissed(self, card_id: str) -> CardSet:
        """The set after the user put a card away."""
        return replace(self, dismissed=self.dismissed | self.cards.keys() & {card_id})

    # -- what is stored ---------------------------------------------------------------------------------------------
    def cursor_json(self) -> JsonObject:
        """All but the cards themselves: small, and written after every click."""
        return {
            "last_full_sync_at": self.last_full_sync_at,
            "last_card_updated_at": self.last_card_updated_at,
            "viewed": sorted(self.viewed),
            "clicked": sorted(self.clicked),
            "dismissed": sorted(self.dismissed),
            "updated_at": self.updated_at,
        }

    @classmethod
    def parse(cls, cards: object, cursor: object) -> CardSet:
        """The set from its stored parts; without usable cards an empty one, so that all are asked for again."""
        if not isinstance(cards, list) or not isinstance(cursor, dict):
            return cls()
        held = {card_id: card for card in objects({"": cards}, "") if (card_id := identifier(card, "id")) is not None}
        return cls(
            cards=held,
            last_full_sync_at=number(cursor, "last_full_sync_at") or 0,
            last_card_updated_at=number(cursor, "last_card_updated_at") or 0,
            viewed=_ids(cursor, "viewed"),
            clicked=_ids(cursor, "clicked"),
            dismissed=_ids(cursor, "dismissed"),
            updated_at=_moment(cursor, "updated_at"),
        )


def _moment(raw: Mapping[str, Any], key: str) -> float | None:
    value = number(raw, key)
    return value if value is not None and 0 <= value < 1e11 else None


def _ids(raw: Mapping[str, Any], key: str) -> frozenset[str]:
    value = raw.get(key)
    return frozenset(member for member in value if isinstance(member, str)) if isinstance(value, list) else frozenset()
