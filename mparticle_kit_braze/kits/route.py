"""One kit as the manager drives it: its configuration compiled to functions, and whether it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from ..commerce import CommerceEvent, expand
from ..consent import ConsentState
from ..events import Event, ScreenView
from ..identity import IdentityType, User
from .configuration import KitConfiguration
from .filters import HiddenKeys, commerce_filter, event_filter, screen_filter
from .kit import Kit, KitContext
from .user_view import user_view, visible_consent, visible_identities

if TYPE_CHECKING:
    from .data_plan import DataPlan
    from .projections import Projector
    from .user_handle import KitUser
from ..locks import importing

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
        plan: The data plan that what it gets must be in; ``None`` without one.
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
        "plan",
        "projector",
        "stale",
        "started",
    )

    def __init__(self, kit: Kit, name: str, context: KitContext) -> None:
        self.kit: Kit = kit
        self.name: str = name
        self.context: KitContext = context
        self.closed: str | None = "not judged yet"
        self.started: bool = False
        self.failed: bool = False
        self.plan: DataPlan | None = None
        self.configure(context.configuration)
        self.stale: bool = False

    @property
    def open(self) -> bool:
        """Whether calls go to the kit."""
        return self.started and self.closed is None

    def configure(self, configuration: KitConfiguration) -> None:
        """Compile another configuration."""
        self.configuration: KitConfiguration = configuration
        self.stale = True
        self.projector: Projector | None = projector_of(configuration)
        self._compile()

    def follow(self, plan: DataPlan | None) -> None:
        """Hand on only what is in a plan; kits that bring data to mParticle itself get everything."""
        if self.kit.follows_data_plan:
            self.plan = plan
            self._compile()

    def _compile(self) -> None:
        configuration, plan = self.configuration, self.plan
        event, screen, commerce = (
            event_filter(configuration),
            screen_filter(configuration),
            commerce_filter(configuration),
        )
        if plan is not None:
            event = one_after_another(plan.for_events(), event)
            screen = one_after_another(plan.for_screens(), screen)
            commerce = one_after_another(plan.for_commerce(), commerce)
        self.log_event: Callable[[Event], Any] | None = event_function(self.kit, event, self.projector)
        self.log_screen: Callable[[ScreenView], Any] | None = screen_function(self.kit, screen, self.projector)
        self.log_commerce_event: Callable[[CommerceEvent], Any] | None = commerce_function(
            self.kit, commerce, self.projector
        )
        hidden = configuration.filters.user_attributes
        self._hidden_attributes = HiddenKeys(hidden) if hidden else None
        self._view = user_view(configuration, plan)

    def hides_attribute(self, key: str) -> str | None:
        """Why a user attribute is kept from the kit; ``None`` if it is not."""
        if self.plan is not None and self.plan.hides_attribute(key):
            return "data_plan"
        return "user_attribute" if self._hidden_attributes is not None and self._hidden_attributes[key] else None

    def view(self, user: User | None) -> User | None:
        """The user as the kit may see it."""
        return user if user is None or self._view is None else self._view(user)

    def visible_identities(self, identities: Mapping[IdentityType, str | None]) -> dict[IdentityType, str | None]:
        """The identities of a request that the kit may see."""
        return visible_identities(identities, self.configuration.filters, self.plan)

    def planned_identities(self, identities: Mapping[IdentityType, str | None]) -> Mapping[IdentityType, str | None]:
        """The identities that the data plan has."""
        plan = self.plan
        return identities if plan is None else {k: v for k, v in identities.items() if not plan.hides_identity(k)}

    def planned_user(self, user: KitUser) -> KitUser:
        """One of many users, behind the data plan."""
        if self.plan is None:
            return user
        with importing.held:
            from .planned_user import PlannedUser  # noqa: PLC0415  # few clients have a plan and many users

        return PlannedUser(user, self.plan)

    def visible_consent(self, consent: ConsentState) -> ConsentState:
        """The consent that the kit may see."""
        filters = self.configuration.filters
        return visible_consent(consent, filters.consent_regulations, filters.consent_purposes)


def projector_of(configuration: KitConfiguration) -> Projector | None:
    """The projections ready to run; few kits have any, so their code is loaded for those only."""
    if not configuration.projections:
        return None
    with importing.held:
        from .projections import Projector  # noqa: PLC0415  # as said

    return Projector(configuration.projections)


def overrides(kit: Kit, callback: str) -> bool:
    """Whether a kit has written a callback of its own."""
    return getattr(type(kit), callback, None) is not getattr(Kit, callback) or callback in getattr(kit, "__dict__", ())


Call = TypeVar("Call")
Step = Callable[[Call], "Call | None"]
"""What is left of a call; ``None`` hides it."""


def one_after_another(first: Step[Call] | None, second: Step[Call] | None) -> Step[Call] | None:
    """Both filters in a row; the other one if there is only one."""
    if first is None or second is None:
        return first or second

    def both(call: Call) -> Call | None:
        remaining = first(call)
        return None if remaining is None else second(remaining)

    return both


def event_function(kit: Kit, visible: Step[Event] | None, projector: Projector | None) -> Callable[[Event], Any] | None:
    """The shortest way of a custom event to the kit: the kit's own method if nothing is filtered or projected."""
    if not overrides(kit, "log_event"):
        return None
    deliver = kit.log_event
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
    visible: Step[Event] | None,
    project: Callable[[Event], list[Event]],
    deliver: Callable[[Event], Any],
) -> None:
    """Filter an event, then deliver what it is projected to, or itself."""
    remaining = event if visible is None else visible(event)
    if remaining is not None:
        for result in project(remaining) or [remaining]:
            deliver(result)


def screen_function(
    kit: Kit, visible: Step[ScreenView] | None, projector: Projector | None
) -> Callable[[ScreenView], Any] | None:
    """The way of a screen view; a projected one reaches the kit as a custom event."""
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
    kit: Kit, visible: Step[CommerceEvent] | None, projector: Projector | None
) -> Callable[[CommerceEvent], Any] | None:
    """The way of a commerce event; a kit that knows no commerce gets the expansion as custom events."""
    if overrides(kit, "log_commerce_event"):
        take = kit.log_commerce_event
    elif overrides(kit, "log_event"):
        take = ExpandedDelivery(kit)
    else:
        return None
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
