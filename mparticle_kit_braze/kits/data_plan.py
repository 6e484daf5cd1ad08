"""The data plan filter: events, attributes and identities that a plan does not have are kept from every kit.

Runs before the kits' own filters. What goes to mParticle itself is not touched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..commerce import CommerceEvent, Product
from ..events import Event, ScreenView, owned_event
from ..identity import IdentityType
from .reading import Reader

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["DataPlan"]

Keys = frozenset[str] | None
"""The attributes that are planned; ``None`` for any."""

Point = tuple[str, ...]
"""What is planned: ``("custom_event", <name>, <type>)``, ``("screen_view", <name>)``, ``("user_attributes",)``, ..."""

NOTHING: Keys = frozenset()
PRODUCTS = "products"
COMMERCE = ("product_action", "promotion_action", "product_impression")


@dataclass(frozen=True, slots=True)
class DataPlan:
    """A version of a data plan, and what of it is enforced.

    Attributes:
        points: What is planned, with the planned attributes of each; products of a commerce event have a point of
            their own.
        block_events: Keep unplanned events from the kits.
        block_event_attributes: Keep unplanned attributes of events and products from them.
        block_user_attributes: Likewise of users.
        block_user_identities: Likewise unplanned identities.
    """

    points: Mapping[Point, Keys]
    block_events: bool = False
    block_event_attributes: bool = False
    block_user_attributes: bool = False
    block_user_identities: bool = False

    @classmethod
    def from_json(
        cls,
        plan: Mapping[str, Any] | str | bytes,
        *,
        block_events: bool = False,
        block_event_attributes: bool = False,
        block_user_attributes: bool = False,
        block_user_identities: bool = False,
    ) -> Self:
        """Read a version of a data plan, as mParticle exports it: an object with a ``version_document``.

        Args:
            plan: The object, or its text.
            block_events: See the attributes; likewise the others.
            block_event_attributes: See there.
            block_user_attributes: See there.
            block_user_identities: See there.

        Raises:
            ConfigurationError: It is malformed; the message names the key.
        """
        return cls(
            read_points(Reader.root(plan)),
            block_events,
            block_event_attributes,
            block_user_attributes,
            block_user_identities,
        )

    @classmethod
    def read(cls, reader: Reader) -> Self | None:
        """The plan of a server's configuration: ``dtpn`` with ``blok`` and ``vers``; ``None`` if there is none."""
        container = reader.object("dtpn")
        version = None if container is None else container.object("vers")
        if container is None or version is None:
            return None
        blocked = container.object("blok") or Reader({}, "blok", reader.ignored)
        flags = {key: blocked.boolean(key, default=False) for key in ("ev", "ea", "ua", "id")}
        return cls(read_points(version), flags["ev"], flags["ea"], flags["ua"], flags["id"])

    # -- events -------------------------------------------------------------------------------------------------
    def for_events(self) -> Callable[[Event], Event | None] | None:
        """What is left of a custom event; ``None`` for this if the plan takes nothing off any."""
        return self._event if self._touches_events else None

    def for_screens(self) -> Callable[[ScreenView], ScreenView | None] | None:
        """See :meth:`for_events`."""
        return self._screen if self._touches_events else None

    def for_commerce(self) -> Callable[[CommerceEvent], CommerceEvent | None] | None:
        """See :meth:`for_events`."""
        return self._commerce if self._touches_events else None

    @property
    def _touches_events(self) -> bool:
        return self.block_events or self.block_event_attributes

    def _event(self, event: Event) -> Event | None:
        point = ("custom_event", event.name, event.event_type.name.lower())
        if not self._plans(point):
            return None
        attributes = self._planned(point, event.attributes)
        if attributes is event.attributes:
            return event
        return owned_event(event.name, event.event_type, attributes, event.timestamp)

    def _screen(self, screen: ScreenView) -> ScreenView | None:
        point = ("screen_view", screen.name)
        if not self._plans(point):
            return None
        attributes = self._planned(point, screen.attributes)
        return screen if attributes is screen.attributes else screen.with_attributes(attributes)

    def _commerce(self, event: CommerceEvent) -> CommerceEvent | None:
        point = point_of(event)
        if point is None:
            return event
        if not self._plans(point):
            return None
        if not self.block_event_attributes:
            return event
        products = (*point, PRODUCTS)

        def planned(product: Product) -> Product:
            attributes = product.attributes and self._planned(products, product.attributes)
            return product if attributes is product.attributes else replace(product, attributes=attributes)

        return replace(
            event,
            attributes=event.attributes and self._planned(point, event.attributes),
            products=[planned(product) for product in event.products],
            impressions=[
                replace(shown, products=[planned(product) for product in shown.products]) for shown in event.impressions
            ],
        )

    def _plans(self, point: Point) -> bool:
        return not self.block_events or point in self.points

    def _planned(self, point: Point, values: Mapping[str, Any]) -> Any:
        """The planned ones as a dict of their own; the same object if that is all of them."""
        allowed = self.points.get(point) if self.block_event_attributes else None
        if allowed is None or values.keys() <= allowed:
            return values
        return {key: value for key, value in values.items() if key in allowed}

    # -- users --------------------------------------------------------------------------------------------------
    def hides_attribute(self, key: str) -> bool:
        """Whether a user attribute is kept from the kits."""
        allowed = self.points.get(("user_attributes",)) if self.block_user_attributes else None
        return allowed is not None and key not in allowed

    def hides_identity(self, kind: IdentityType) -> bool:
        """Whether an identity is kept from the kits; plans name it as IDSync or the Events API does."""
        allowed = self.points.get(("user_identities",)) if self.block_user_identities else None
        return allowed is not None and not {kind.mp_name, kind.events_api_name} & allowed


def point_of(event: CommerceEvent) -> Point | None:
    """The point that plans a commerce event; ``None`` if none can."""
    if event.product_action is not None:
        return ("product_action", event.product_action.value)
    if event.promotion_action is not None:
        return ("promotion_action", event.promotion_action.value)
    return ("product_impression",) if event.impressions else None


# -- reading --------------------------------------------------------------------------------------------------------


def read_points(reader: Reader) -> dict[Point, Keys]:
    """The points of a version of a plan; those of other kinds are passed over."""
    document = reader.object("version_document")
    points: dict[Point, Keys] = {}
    for entry in [] if document is None else document.objects("data_points"):
        match = entry.object("match")
        validator = entry.object("validator")
        definition = None if validator is None else validator.object("definition")
        point = None if match is None else read_point(match)
        if point is None:
            continue
        schema: Mapping[str, Any] = (
            {} if definition is None else {name: definition.get(name) for name in definition.names()}
        )
        if point[0] in ("user_attributes", "user_identities"):
            points[point] = allowed_keys(schema)
            continue
        data = below(schema, "data") or {}
        points[point] = allowed_keys(below(data, "custom_attributes"))
        if point[0] in COMMERCE:
            of_products: Point = (*point, PRODUCTS)
            points[of_products] = allowed_keys(products_schema(point[0], data))
    return points


def read_point(match: Reader) -> Point | None:
    """What a data point is about."""
    kind = match.text("type")
    criteria = match.object("criteria") or Reader({}, "criteria", match.ignored)
    if kind == "custom_event":
        name, event_type = criteria.text("event_name"), criteria.text("custom_event_type")
        return (kind, name, event_type) if name and event_type else None
    if kind == "screen_view":
        screen = criteria.text("screen_name")
        return (kind, screen) if screen else None
    if kind in ("product_action", "promotion_action"):
        action = criteria.text("action")
        if action == "remove_from_wish_list":  # so spelt in the Events API only
            action = "remove_from_wishlist"
        return (kind, action) if action else None
    return (kind,) if kind in ("product_impression", "user_attributes", "user_identities") else None


def products_schema(kind: str, data: Any) -> Any:
    """The schema of the products' attributes of a commerce event."""
    holder = (
        items(below(data, "product_impressions")) if kind == "product_impression" else below(data, "product_action")
    )
    return below(items(below(holder, "products")), "custom_attributes")


FORBIDDEN: Mapping[str, Any] = {"additionalProperties": False}
"""The schema of a member that must not be there."""


def below(schema: Any, member: str) -> Any:
    """The schema of a member of an object; ``None`` if it may be anything."""
    if not isinstance(schema, Mapping):
        return None
    properties = schema.get("properties")
    found = properties.get(member) if isinstance(properties, Mapping) else None
    if isinstance(found, Mapping):
        return found
    return FORBIDDEN if schema.get("additionalProperties") is False else None


def items(schema: Any) -> Any:
    """The schema of the members of an array."""
    if schema is FORBIDDEN or not isinstance(schema, Mapping):
        return schema
    return schema.get("items")


def allowed_keys(schema: Any) -> Keys:
    """The members that an object may have; ``None`` for any."""
    if not isinstance(schema, Mapping) or schema.get("additionalProperties") is not False:
        return None
    properties = schema.get("properties")
    return frozenset(properties) if isinstance(properties, Mapping) else NOTHING
