"""One kit as the manager drives it: its configuration compiled to functions, and whether it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..commerce import CommerceEvent, expand
from ..consent import ConsentState
from ..events import Event, ScreenView
from ..identity import IdentityType, User
from .configuration import KitConfiguration
from .filters import HiddenKeys, commerce_filter, event_filter, screen_filter, user_view, visible_consent
from .kit import Kit, KitContext

if TYPE_CHECKING:
    from .projections import Projector

__all__ = ["Route"]


class Route:
    """The way from the client to one kit.

    Attributes:
        kit: The kit.
        name: How it is found and reported.
        context: What it gets at its start.
        configuration: Its configuration.
        closed: Why its gate is closed; ``None`` if it is open.
        started: Whether it has been started.
        failed: Whether its last start failed.
        log_event: Delivers a custom event; ``None`` if the kit takes none.
        log_screen: Likewise, a screen view.
        log_commerce_event: Likewise, a commerce event.
        projector: Its projections; ``None`` without any.
        stale: Whether the kit has not been told of its configuration yet.
    """

    __slots__ = (
        "_hidden_attributes",
        "_view",
        "closed",
        "configuration",
        "context",
        "failed",
        "kit",
        "log_commerce_event",
        "log_event",
        "log_screen",
        "name",
        "projector",
        "stale",
        "started",
    )

    def __init__(self, kit: Kit, name: str, context: KitContext) -> None:
        self.kit = kit
        self.name = name
        self.context = context
        self.closed: str | None = "not judged yet"
        self.started = False
        self.failed = False
        self.configure(context.configuration)
        self.stale = False

    @property
    def open(self) -> bool:
        """Whether calls go to the kit."""
        return self.started and self.closed is None

    def configure(self, configuration: KitConfiguration) -> None:
        """Compile another configuration."""
        self.configuration = configuration
        self.stale = True
        self.projector = projector_of(configuration)
        self.log_event = event_function(self.kit, configuration, self.projector)
        self.log_screen = screen_function(self.kit, configuration, self.projector)
        self.log_commerce_event = commerce_function(self.kit, configuration, self.projector)
        hidden = configuration.filters.user_attributes
        self._hidden_attributes = HiddenKeys(hidden) if hidden else None
        self._view = user_view(configuration)

    def hides_attribute(self, key: str) -> bool:
        """Whether a user attribute is filtered."""
        return self._hidden_attributes is not None and self._hidden_attributes[key]

    def view(self, user: User | None) -> User | None:
        """The user as the kit may see it."""
        return user if user is None or self._view is None else self._view(user)

    def visible_identities(self, identities: Mapping[IdentityType, str | None]) -> dict[IdentityType, str | None]:
        """The identities of a request that the kit may see."""
        hidden = self.configuration.filters.user_identities
        return {kind: value for kind, value in identities.items() if kind.number not in hidden}

    def visible_consent(self, consent: ConsentState) -> ConsentState:
        """The consent that the kit may see."""
        filters = self.configuration.filters
        return visible_consent(consent, filters.consent_regulations, filters.consent_purposes)


def projector_of(configuration: KitConfiguration) -> Projector | None:
    """The projections ready to run; few kits have any, so their code is loaded for those only."""
    if not configuration.projections:
        return None
    from .projections import Projector  # noqa: PLC0415  # as said

    return Projector(configuration.projections)


def overrides(kit: Kit, callback: str) -> bool:
    """Whether a kit has written a callback of its own."""
    return getattr(type(kit), callback, None) is not getattr(Kit, callback) or callback in getattr(kit, "__dict__", ())


def event_function(
    kit: Kit, configuration: KitConfiguration, projector: Projector | None
) -> Callable[[Event], Any] | None:
    """The shortest way of a custom event to the kit: the kit's own method if nothing is filtered or projected."""
    if not overrides(kit, "log_event"):
        return None
    deliver = kit.log_event
    visible = event_filter(configuration)
    project = projector.for_events() if projector is not None else None
    if project is not None:
        return lambda event: route_projected(event, visible, project, deliver)
    if visible is None:
        return deliver

    def filtered(event: Event) -> None:
        remaining = visible(event)
        if remaining is not None:
            deliver(remaining)

    return filtered


def route_projected(
    event: Event,
    visible: Callable[[Event], Event | None] | None,
    project: Callable[[Event], list[Event]],
    deliver: Callable[[Event], Any],
) -> None:
    """Filter an event, then deliver what it is projected to, or itself."""
    remaining = event if visible is None else visible(event)
    if remaining is not None:
        for result in project(remaining) or [remaining]:
            deliver(result)


def screen_function(
    kit: Kit, configuration: KitConfiguration, projector: Projector | None
) -> Callable[[ScreenView], Any] | None:
    """The way of a screen view; a projected one reaches the kit as a custom event."""
    visible = screen_filter(configuration)
    project = projector.for_screens() if projector is not None else None
    if project is None and not overrides(kit, "log_screen"):
        return None
    if project is None and visible is None:
        return kit.log_screen

    def deliver(screen: ScreenView) -> None:
        remaining = screen if visible is None else visible(screen)
        if remaining is None:
            return
        results = project(remaining) if project is not None else []
        for result in results:
            kit.log_event(result)
        if not results:
            kit.log_screen(remaining)

    return deliver


def commerce_function(
    kit: Kit, configuration: KitConfiguration, projector: Projector | None
) -> Callable[[CommerceEvent], Any] | None:
    """The way of a commerce event; a kit that knows no commerce gets the expansion as custom events."""
    if overrides(kit, "log_commerce_event"):
        take = kit.log_commerce_event
    elif overrides(kit, "log_event"):
        take = ExpandedDelivery(kit)
    else:
        return None
    visible = commerce_filter(configuration)
    project = projector.for_commerce() if projector is not None else None
    if project is None and visible is None:
        return take

    def deliver(event: CommerceEvent) -> None:
        remaining = event if visible is None else visible(event)
        if remaining is None:
            return
        results = project(remaining) if project is not None else []
        for result in results or [remaining]:
            if isinstance(result, CommerceEvent):
                take(result)
            else:
                kit.log_event(result)

    return deliver


class ExpandedDelivery:
    """Delivers a commerce event as the plain events it expands to."""

    __slots__ = ("_kit",)

    def __init__(self, kit: Kit) -> None:
        self._kit = kit

    def __call__(self, event: CommerceEvent) -> None:
        for plain in expand(event):
            self._kit.log_event(plain)
