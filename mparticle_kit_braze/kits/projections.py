"""Projections (custom mappings): an event, screen view or commerce event becomes others before a kit sees it.

Owns the model, its JSON, and the algorithm of Android's ``CustomMapping``, without its defects: an entry
without matches never matches, and narrowing a commerce event to the matching items stays with its projection.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..commerce import (
    IMPRESSION_TYPE,
    CommerceEvent,
    Product,
    Promotion,
    action_fields,
    product_fields,
    promotion_fields,
    transaction_fields,
)
from ..events import Event, EventType, ScreenView
from .hashing import mp_hash
from .reading import Reader, as_integer
from .texts import value_text

__all__ = ["Projection", "Projector"]

CUSTOM_EVENT = 4
SCREEN_VIEW = 3
COMMERCE_EVENT = 16

LOCATIONS = frozenset({"eventfield", "eventattribute", "productfield", "productattribute", "promotionfield"})
"""Where a condition on commerce may look; with any other only the event's hash counts."""

DOUBLE = re.compile(r"\s*[+-]?(([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?[dDfF]?|NaN|Infinity)\s*")
"""What Java reads as a double."""


@dataclass(frozen=True, slots=True)
class Match:
    """One condition of a projection."""

    message_type: int
    by_hash: bool
    by_name: bool
    event_hash: int
    event_name: str
    attribute_key: str
    attribute_values: frozenset[str]
    location: str
    property_hash: int | None
    property_values: frozenset[str]


@dataclass(frozen=True, slots=True)
class AttributeMap:
    """Where one attribute of the output comes from."""

    name: str
    source: str  # "static", "field", "hash" or "string"
    value: str
    data_type: int
    required: bool
    location: str


@dataclass(frozen=True, slots=True)
class Projection:
    """One entry of ``pr``."""

    id: int
    mapping: int
    module_mapping: int
    matches: tuple[Match, ...]
    is_default: bool
    append_unmapped: bool
    max_custom: int | None
    last_only: bool
    outbound: int
    event_name: str
    maps: tuple[AttributeMap, ...]
    source: Mapping[str, Any]

    @property
    def message_type(self) -> int:
        """What it applies to; anything but events and screens is commerce."""
        kind = self.matches[0].message_type if self.matches else COMMERCE_EVENT
        return kind if kind in (CUSTOM_EVENT, SCREEN_VIEW) else COMMERCE_EVENT

    @classmethod
    def read(cls, entry: Reader) -> Projection:
        """Read an entry; :raises ConfigurationError: naming the key if it is malformed."""
        behavior = entry.object("behavior") or Reader({}, "behavior", entry.ignored)
        action = entry.object("action") or Reader({}, "action", entry.ignored)
        limit = behavior.get("max_custom_params")
        maps = [read_map(item) for item in action.objects("attribute_maps")]
        return cls(
            id=entry.integer("id", 0),
            mapping=entry.integer("pmid", 0),
            module_mapping=entry.integer("pmmid", 0),
            matches=tuple(read_match(item) for item in entry.objects("matches")),
            is_default=behavior.boolean("is_default", default=False),
            append_unmapped=behavior.boolean("append_unmapped_as_is", default=False),
            max_custom=None if limit is None else behavior.integer("max_custom_params"),
            last_only=(behavior.text("selector") or "foreach").lower() == "last",
            outbound=action.integer("outbound_message_type", CUSTOM_EVENT),
            event_name=action.text("projected_event_name") or "",
            # Required ones first, so that a missing one stops the projection before anything is copied.
            maps=tuple(sorted(maps, key=lambda item: (item.source == "static", not item.required))),
            source=entry.rest(frozenset()),
        )

    def to_json(self) -> dict[str, Any]:
        """The entry as it was read."""
        return dict(self.source)


def read_match(reader: Reader) -> Match:
    """A member of ``matches``."""
    kind = reader.text("event_match_type")
    kind = "String" if kind is None else kind
    event = reader.get("event")
    event_hash = as_integer(event) if kind.startswith("H") else 0
    if event_hash is None:
        raise reader.error("must be a hash (a whole number)", "event")
    name = reader.get("property_name")
    property_hash = None if name is None else reader.integer("property_name")
    values = reader.get("attribute_values" if "attribute_values" in reader.names() else "attribute_value")
    allowed = reader.get("property_values" if "property_values" in reader.names() else "property_value")
    return Match(
        message_type=reader.integer("message_type", 0),
        by_hash=kind.startswith("H"),
        by_name=kind.startswith("S"),
        event_hash=event_hash,
        event_name=str(event or "").lower(),
        attribute_key=reader.text("attribute_key") or "",
        attribute_values=lowered(values),
        location=(reader.text("property") or "EventAttribute").lower(),
        property_hash=property_hash,
        property_values=lowered(allowed),
    )


def read_map(reader: Reader) -> AttributeMap:
    """A member of ``attribute_maps``."""
    kind = reader.text("match_type") or "String"
    source = "static" if kind.startswith("Sta") else {"F": "field", "H": "hash", "S": "string"}.get(kind[:1], "")
    value = reader.get("value")
    if source == "hash" and as_integer(value) is None:
        raise reader.error("must be a hash (a whole number)", "value")
    return AttributeMap(
        name=reader.text("projected_attribute_name") or "",
        source=source,
        value="" if value is None else str(value),
        data_type=reader.integer("data_type", 1),
        required=reader.boolean("is_required", default=False),
        location=(reader.text("property") or "EventAttribute").lower(),
    )


class Projector:
    """The projections of one kit, ready to run.

    Args:
        projections: In the order of the configuration.
    """

    def __init__(self, projections: Sequence[Projection]) -> None:
        self._plain = {
            kind: tuple(
                item for item in projections if not item.is_default and item.matches and item.message_type == kind
            )
            for kind in (CUSTOM_EVENT, SCREEN_VIEW, COMMERCE_EVENT)
        }
        # Of several defaults for one type the last wins, as on Android.
        self._default = {item.message_type: item for item in projections if item.is_default}

    def handles(self, message_type: int) -> bool:
        """Whether any projection concerns this message type."""
        return bool(self._plain[message_type]) or message_type in self._default

    def for_events(self) -> Callable[[Event], list[Event]] | None:
        """:meth:`project_event`, if any projection concerns custom events; likewise the next two."""
        return self.project_event if self.handles(CUSTOM_EVENT) else None

    def for_screens(self) -> Callable[[ScreenView], list[Event]] | None:
        """See :meth:`for_events`."""
        return self.project_screen if self.handles(SCREEN_VIEW) else None

    def for_commerce(self) -> Callable[[CommerceEvent], list[Event | CommerceEvent]] | None:
        """See :meth:`for_events`."""
        return self.project_commerce if self.handles(COMMERCE_EVENT) else None

    def project_event(self, event: Event) -> list[Event]:
        """What becomes of a custom event; empty if it goes on as it is."""
        return self._project_plain(CUSTOM_EVENT, event, int(event.event_type), event.event_type)

    def project_screen(self, screen: ScreenView) -> list[Event]:
        """What becomes of a screen view; empty if it goes on as it is."""
        return self._project_plain(SCREEN_VIEW, screen, 0, EventType.OTHER)

    def project_commerce(self, event: CommerceEvent) -> list[Event | CommerceEvent]:
        """What becomes of a commerce event; empty if it goes on as it is (impressions always do)."""
        if event.commerce_type == IMPRESSION_TYPE:
            return []
        results: list[Event | CommerceEvent] = []
        for projection in self._plain[COMMERCE_EVENT]:
            narrowed: CommerceEvent | None = event
            for match in projection.matches:
                narrowed = None if narrowed is None else match_commerce(match, narrowed)
            if narrowed is not None:
                results.extend(project_items(projection, narrowed))
        default = self._default.get(COMMERCE_EVENT)
        if not results and default is not None:
            results = project_items(default, event)
        return results

    def _project_plain(self, kind: int, event: Event | ScreenView, number: int, event_type: EventType) -> list[Event]:
        results = [
            project_plain(projection, event, number, event_type)
            for projection in self._plain[kind]
            if all(match_plain(match, kind, event, number) for match in projection.matches)
        ]
        found = [result for result in results if result is not None]
        default = self._default.get(kind)
        if not found and default is not None:
            result = project_plain(default, event, number, event_type)
            found = [] if result is None else [result]
        return found


# -- events and screens ---------------------------------------------------------------------------------------------


def match_plain(match: Match, kind: int, event: Event | ScreenView, number: int) -> bool:
    """Whether a condition holds for a custom event (or a screen, whose type number is 0)."""
    if match.message_type != kind:
        return False
    if match.by_hash:
        return mp_hash(f"{number}{event.name}") == match.event_hash
    return (
        match.by_name
        and event.name.lower() == match.event_name
        and match.attribute_key in event.attributes
        and value_text(event.attributes[match.attribute_key], web=False).lower() in match.attribute_values
    )


def project_plain(
    projection: Projection, event: Event | ScreenView, number: int, event_type: EventType
) -> Event | None:
    """The output of one projection for a custom event or screen; ``None`` if a required attribute is missing."""
    texts = as_texts(event.attributes)

    def find(item: AttributeMap) -> tuple[str, str] | None:
        if item.source == "field":
            return item.name, event.name
        if item.location != "eventattribute":
            return None
        return find_in(item, texts, f"{number}{event.name}")

    attributes = map_attributes(projection, texts, find)
    if attributes is None:
        return None
    return Event(projection.event_name or event.name, event_type, attributes, event.timestamp)


def map_attributes(
    projection: Projection,
    originals: Mapping[str, str],
    find: Callable[[AttributeMap], tuple[str, str] | None],
) -> dict[str, str] | None:
    """Mapped attributes, then constants, then the rest if it is to be copied."""
    mapped: dict[str, str] = {}
    used: set[str] = set()
    for item in projection.maps:
        if item.source == "static":
            mapped[item.name] = item.value
            used.add(item.value)
            continue
        found = find(item)
        if found is None or not fits(found[1], item.data_type):
            if item.required:
                return None
            continue
        mapped[item.name or found[0]] = found[1]
        used.add(found[0])
    if projection.append_unmapped:
        limit = math.inf if projection.max_custom is None else projection.max_custom
        for key in sorted(originals):
            if len(mapped) >= limit:
                break
            if key not in used and key not in mapped:
                mapped[key] = originals[key]
    return mapped


# -- commerce -------------------------------------------------------------------------------------------------------


def match_commerce(match: Match, event: CommerceEvent) -> CommerceEvent | None:
    """The event if a condition holds, with only the matching items if the condition is about items; else ``None``."""
    if match.message_type != COMMERCE_EVENT:
        return None
    if match.property_hash is None or match.location not in LOCATIONS:
        held = match.by_hash and mp_hash(str(event.commerce_type)) == match.event_hash
        return event if held else None
    if match.location == "eventfield":
        return event if property_matches(match, event, event_fields(event)) else None
    if match.location == "eventattribute":
        return event if property_matches(match, event, as_texts(event.attributes or {})) else None
    if match.location == "promotionfield":
        promotions = [
            item for item in event.promotions if property_matches(match, event, as_texts(promotion_fields(item)))
        ]
        return replace(event, promotions=promotions) if promotions else None
    read = product_texts if match.location == "productfield" else product_attribute_texts
    products = [item for item in event.products if property_matches(match, event, read(item))]
    return replace(event, products=products) if products else None


def property_matches(match: Match, event: CommerceEvent, texts: Mapping[str, str]) -> bool:
    """Whether the property the condition names has one of its values."""
    for label, text in texts.items():
        if mp_hash(f"{event.commerce_type}{label}") == match.property_hash:
            return text.lower() in match.property_values
    return False


def project_items(projection: Projection, event: CommerceEvent) -> list[Event | CommerceEvent]:
    """The outputs of one projection: one for each item, or one for the last."""
    results: list[Event | CommerceEvent | None]
    if event.product_action is None and event.promotion_action is not None:
        promotions = list(event.promotions)
        if not promotions or projection.last_only:
            results = [project_commerce(projection, event, None, promotions[-1] if promotions else None)]
        else:
            results = [
                project_commerce(projection, replace(event, promotions=(item,)), None, item) for item in promotions
            ]
    elif projection.last_only:
        results = [project_commerce(projection, event, event.products[-1] if event.products else None, None)]
    else:
        results = [
            project_commerce(projection, replace(event, products=(item,)), item, None, whole=event)
            for item in event.products
        ]
    return [result for result in results if result is not None]


def project_commerce(
    projection: Projection,
    event: CommerceEvent,
    product: Product | None,
    promotion: Promotion | None,
    *,
    whole: CommerceEvent | None = None,
) -> Event | CommerceEvent | None:
    """One output for one item (or none) of a commerce event; ``whole`` is the event before it was cut to the item."""
    own = as_texts(event.attributes or {})
    places: dict[str, Mapping[str, str]] = {
        "eventattribute": own,
        "eventfield": event_fields(whole or event),
        "productattribute": product_attribute_texts(product) if product else {},
        "productfield": product_texts(product) if product else {},
        "promotionfield": as_texts(promotion_fields(promotion)) if promotion else {},
    }

    def find(item: AttributeMap) -> tuple[str, str] | None:
        return find_in(item, places.get(item.location, {}), str(event.commerce_type))

    attributes = map_attributes(projection, own, find)
    if attributes is None:
        return None
    if projection.outbound == COMMERCE_EVENT:
        return replace(event, attributes=attributes)
    if not projection.event_name:  # a commerce event has no name of its own to keep
        return None
    return Event(projection.event_name, EventType.TRANSACTION, attributes, event.timestamp)


# -- texts ----------------------------------------------------------------------------------------------------------


def find_in(item: AttributeMap, texts: Mapping[str, str], prefix: str) -> tuple[str, str] | None:
    """The key and text an attribute map points at."""
    if item.source == "string":
        return (item.value, texts[item.value]) if item.value in texts else None
    if item.source == "hash":
        wanted = as_integer(item.value)
        for key, text in texts.items():
            if mp_hash(prefix + key) == wanted:
                return key, text
    return None


def fits(text: str, data_type: int) -> bool:
    """Whether a text reads as 1 text, 2 whole number, 3 boolean or 4 number."""
    if data_type == 1:
        return True
    if data_type == 2:
        return re.fullmatch(r"[+-]?[0-9]{1,10}", text) is not None and -(2**31) <= int(text) < 2**31
    if data_type == 3:
        return text.lower() in ("true", "false")
    if data_type == 4:
        return DOUBLE.fullmatch(text) is not None
    return False


def as_texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Attributes as Android's texts; ``None`` is left out."""
    return {key: value_text(value, web=False) for key, value in values.items() if value is not None}


def event_fields(event: CommerceEvent) -> dict[str, str]:
    """The event's and its transaction's fields as texts; amounts are doubles on Android."""
    amounts = {key: as_double(value) for key, value in transaction_fields(event).items()}
    return as_texts({**amounts, **action_fields(event)})


def product_texts(product: Product) -> dict[str, str]:
    """A product's fields as texts."""
    fields = product_fields(product)
    return as_texts({key: value if key == "Position" else as_double(value) for key, value in fields.items()})


def product_attribute_texts(product: Product) -> dict[str, str]:
    """A product's own attributes as texts."""
    return as_texts(product.attributes or {})


def as_double(value: Any) -> Any:
    """A number as the float it is on Android; texts as they are."""
    if isinstance(value, str):
        return value
    try:
        return float(value)
    except (OverflowError, ValueError):
        return value


def lowered(values: Any) -> frozenset[str]:
    """The texts a value is compared with, without case: members of an array, or one."""
    members = values if isinstance(values, list | tuple) else [] if values is None else [values]
    return frozenset(value_text(member, web=False).lower() for member in members)
