"""Forwarding reports: which kit gets a call, which does not, what was taken off it and why.

Loaded with the first listener. A report is worked out anew from the configuration, so that calls nobody listens
to pay nothing; it uses the filters themselves, stage by stage, so that it cannot say otherwise than they do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from ..commerce import CommerceEvent, action_fields, product_fields, promotion_fields, transaction_fields
from ..consent import ConsentState
from ..diagnostics import Reporter
from ..events import Event, EventType, ScreenView
from ..identity import IdentityType
from .configuration import Filters, KitConfiguration
from .filters import commerce_filter, event_filter, screen_filter
from .route import Route, overrides

if TYPE_CHECKING:
    from .data_plan import DataPlan

__all__ = ["ForwardingListener", "ForwardingReport", "ForwardingReports", "Outcome"]

Outcome = Literal["forwarded", "filtered", "closed", "unsupported", "failed"]


@dataclass(frozen=True, slots=True)
class ForwardingReport:
    """What became of one call at one kit.

    Attributes:
        kit: The kit's name.
        kit_id: mParticle's number of it.
        call: The kit's callback, such as ``log_event`` or ``on_user_attribute_set``; what the client refused
            altogether is ``event``, ``screen view``, ``commerce event``, ``user attribute`` or ``user tag``.
        outcome: ``forwarded`` (handed to the kit), ``filtered``, ``closed`` (a rule keeps the kit off, or it failed
            to start), ``unsupported`` (it has no such callback), or ``failed`` (it raised; follows ``forwarded``).
        reason: Why it was not forwarded: ``event_name``, ``attribute_rule``, ``consent``, ``opted_out``, ...; with
            ``failed`` the exception's class. Empty otherwise.
        name: The event's, screen's or attribute's name; ``purchase`` and the like for commerce.
        event_type: A custom event's type.
        hidden: What filters took off: attribute keys, commerce labels, identity types, consent purposes; sorted.
        projected: The names of what projections made of it, in order.
    """

    kit: str
    kit_id: int
    call: str
    outcome: Outcome
    reason: str = ""
    name: str = ""
    event_type: EventType | None = None
    hidden: tuple[str, ...] = ()
    projected: tuple[str, ...] = ()


ForwardingListener = Callable[[ForwardingReport], object]

WAYS = {
    call: (call, "on_user_attribute_set")
    for call in ("on_user_attribute_cleared", "on_user_attribute_list_set", "on_user_attribute_incremented")
}
"""Callbacks that reach a kit through another one unless it overrides them."""


class ForwardingReports:
    """Works out reports and hands them to listeners.

    Args:
        reporter: Told of listeners that raise.
    """

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self.listeners: tuple[ForwardingListener, ...] = ()

    # -- events -------------------------------------------------------------------------------------------------
    def event(self, routes: Iterable[Route], event: Event) -> None:
        """Report on a custom event."""
        for route in routes:
            report = blank(route, "log_event", event.name, event.event_type)
            if (closed := not_taken(route, route.log_event)) is not None:
                self._emit(report, *closed)
                continue
            reason, remaining = passed([*planned(route.plan, "events"), *event_stages(route.configuration)], event)
            if remaining is None:
                self._emit(report, "filtered", reason)
                continue
            results = [] if route.projector is None else route.projector.project_event(remaining)
            hidden = gone(event.attributes, remaining.attributes)
            self._emit(replace(report, hidden=hidden, projected=names(results)), "forwarded")

    def screen(self, routes: Iterable[Route], screen: ScreenView) -> None:
        """Report on a screen view."""
        for route in routes:
            report = blank(route, "log_screen", screen.name)
            if (closed := not_taken(route, route.log_screen)) is not None:
                self._emit(report, *closed)
                continue
            reason, remaining = passed([*planned(route.plan, "screens"), *screen_stages(route.configuration)], screen)
            if remaining is None:
                self._emit(report, "filtered", reason)
                continue
            results = [] if route.projector is None else route.projector.project_screen(remaining)
            hidden = gone(screen.attributes, remaining.attributes)
            self._emit(replace(report, hidden=hidden, projected=names(results)), "forwarded")

    def commerce(self, routes: Iterable[Route], event: CommerceEvent) -> None:
        """Report on a commerce event."""
        for route in routes:
            report = blank(route, "log_commerce_event", commerce_name(event))
            if (closed := not_taken(route, route.log_commerce_event)) is not None:
                self._emit(report, *closed)
                continue
            reason, remaining = passed([*planned(route.plan, "commerce"), *commerce_stages(route.configuration)], event)
            if remaining is None:
                self._emit(report, "filtered", reason)
                continue
            results = [] if route.projector is None else route.projector.project_commerce(remaining)
            hidden = gone(commerce_labels(event), commerce_labels(remaining))
            self._emit(replace(report, hidden=hidden, projected=names(results)), "forwarded")

    # -- users --------------------------------------------------------------------------------------------------
    def attribute(self, routes: Iterable[Route], call: str, key: str) -> None:
        """Report on a change of a user attribute."""
        for route in routes:
            report = blank(route, call, key)
            if (closed := not_taken(route, call)) is not None:
                self._emit(report, *closed)
            elif (reason := route.hides_attribute(key)) is not None:
                self._emit(report, "filtered", reason)
            else:
                self._emit(report, "forwarded")

    def identity(self, routes: Iterable[Route], operation: str, identities: Mapping[IdentityType, str | None]) -> None:
        """Report on a completed identity call."""
        given = {kind.value for kind in identities}
        for route in routes:
            seen = {kind.value for kind in route.visible_identities(identities)}
            self._about(route, "on_identity_completed", operation, gone(given, seen))

    def consent(self, routes: Iterable[Route], consent: ConsentState) -> None:
        """Report on changed consent."""
        for route in routes:
            seen = consent_names(route.visible_consent(consent))
            self._about(route, "on_consent_changed", "", gone(consent_names(consent), seen))

    # -- what went wrong ----------------------------------------------------------------------------------------
    def refused(self, routes: Iterable[Route], call: str) -> None:
        """Report on a call that the client refused because the user opted out."""
        for route in routes:
            self._emit(blank(route, call), "closed", "opted_out")

    def failed(self, route: Route, call: str, error: Exception) -> None:
        """Report on a kit that raised."""
        self._emit(blank(route, call), "failed", type(error).__name__)

    # -- inside -------------------------------------------------------------------------------------------------
    def _about(self, route: Route, call: str, name: str, hidden: tuple[str, ...]) -> None:
        report = blank(route, call, name)
        if (closed := not_taken(route, call)) is not None:
            self._emit(report, *closed)
        else:
            self._emit(replace(report, hidden=hidden), "forwarded")

    def _emit(self, report: ForwardingReport, outcome: Outcome, reason: str = "") -> None:
        report = replace(report, outcome=outcome, reason=reason)
        for listener in self.listeners:
            try:
                listener(report)
            except Exception as error:  # noqa: BLE001, PERF203  # a listener is foreign code; the call goes on
                self._reporter.report(
                    "listener_failed", f"A forwarding listener raised {type(error).__name__}", exception=error
                )


# -- stages of filtering --------------------------------------------------------------------------------------------


def planned(plan: DataPlan | None, kind: Literal["events", "screens", "commerce"]) -> list[tuple[str, Any]]:
    """The data plan, which comes first."""
    step = None if plan is None else getattr(plan, f"for_{kind}")()
    return [] if step is None else [("data_plan", step)]


def event_stages(configuration: KitConfiguration) -> list[tuple[str, Any]]:
    """The filters of custom events one by one, in their order; the last one only takes attributes off."""
    filters = configuration.filters
    return stages(
        configuration,
        event_filter,
        message_type=Filters(message_types=filters.message_types),
        attribute_rule=None,
        event_type=Filters(event_types=filters.event_types),
        event_name=Filters(event_names=filters.event_names),
        event_attribute=Filters(event_attributes=filters.event_attributes),
    )


def screen_stages(configuration: KitConfiguration) -> list[tuple[str, Any]]:
    """Likewise of screen views."""
    filters = configuration.filters
    return stages(
        configuration,
        screen_filter,
        message_type=Filters(message_types=filters.message_types),
        attribute_rule=None,
        screen_name=Filters(screen_names=filters.screen_names),
        screen_attribute=Filters(screen_attributes=filters.screen_attributes),
    )


def commerce_stages(configuration: KitConfiguration) -> list[tuple[str, Any]]:
    """Likewise of commerce events."""
    filters = configuration.filters
    return stages(
        configuration,
        commerce_filter,
        message_type=Filters(message_types=filters.message_types),
        attribute_rule=None,
        event_type=Filters(event_types=filters.event_types),
        commerce_entity=Filters(commerce_entities=filters.commerce_entities),
        commerce_attribute=Filters(
            product_attributes=filters.product_attributes,
            promotion_attributes=filters.promotion_attributes,
            impression_attributes=filters.impression_attributes,
            commerce_attributes=filters.commerce_attributes,
        ),
    )


def stages(
    configuration: KitConfiguration, compiled: Callable[[KitConfiguration], Any], **filters: Filters | None
) -> list[tuple[str, Any]]:
    """Compile one configuration for each stage; the stage without filters is the attribute rule."""
    made = []
    for name, part in filters.items():
        rule = configuration.attribute_rule if part is None else None
        alone = replace(configuration, filters=part or Filters(), attribute_rule=rule)
        step = compiled(alone)
        if step is not None:
            made.append((name, step))
    return made


def passed(steps: Sequence[tuple[str, Any]], call: Any) -> tuple[str, Any]:
    """What is left of a call; if nothing, the name of the stage that hid it."""
    for name, step in steps:
        call = step(call)
        if call is None:
            return name, None
    return "", call


# -- words ----------------------------------------------------------------------------------------------------------


def blank(route: Route, call: str, name: str = "", event_type: EventType | None = None) -> ForwardingReport:
    """A report whose outcome is still to be said."""
    return ForwardingReport(route.name, route.kit.kit_id, call, "forwarded", name=name, event_type=event_type)


def not_taken(route: Route, taker: object) -> tuple[Outcome, str] | None:
    """Why the kit gets no such call at all; ``None`` if it does."""
    if not route.open:
        return "closed", route.closed or ("failed" if route.failed else "starting")
    if taker is None or (
        isinstance(taker, str) and not any(overrides(route.kit, way) for way in WAYS.get(taker, (taker,)))
    ):
        return "unsupported", ""
    return None


def gone(before: Iterable[str], after: Iterable[str]) -> tuple[str, ...]:
    """The names that are no longer there."""
    return tuple(sorted(set(before) - set(after)))


def names(results: Sequence[Event | CommerceEvent] | Sequence[Event]) -> tuple[str, ...]:
    """The names of projected events."""
    return tuple(result.name if isinstance(result, Event) else commerce_name(result) for result in results)


def commerce_name(event: CommerceEvent) -> str:
    """The action of a commerce event."""
    action = event.product_action or event.promotion_action
    return "impression" if action is None else action.value


def commerce_labels(event: CommerceEvent) -> set[str]:
    """The labels and attribute keys of everything in a commerce event."""
    labels = {*(event.attributes or {}), *transaction_fields(event), *action_fields(event)}
    for product in [*event.products, *(item for shown in event.impressions for item in shown.products)]:
        labels |= {*product_fields(product), *(product.attributes or {})}
    for promotion in event.promotions:
        labels |= promotion_fields(promotion).keys()
    return labels


def consent_names(consent: ConsentState) -> set[str]:
    """GDPR purposes, and ``ccpa``."""
    return {*consent.gdpr, *(() if consent.ccpa is None else ("ccpa",))}
