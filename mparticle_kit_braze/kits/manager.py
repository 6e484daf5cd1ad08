"""Routing: every call to every kit that runs, each in its own guard, and starting and stopping of kits.

The manager owns the gates. :meth:`KitManager.judge` takes effect at once (a kit whose gate closes gets no
further call); the callbacks that follow run in :meth:`KitManager.settle`, one at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..commerce import CommerceEvent
from ..consent import ConsentState
from ..delivery import DeliveryStats, FlushResult
from ..diagnostics import Reporter
from ..errors import InvalidArgumentError
from ..events import Event, ScreenView, owned_event
from ..identity import IdentityType, Operation, User
from ..locks import ForkSafeLock
from ..storage import Storage
from ..values import copy_attributes, copy_value, describe
from .configuration import KitConfiguration
from .kit import Kit, KitContext
from .roster import configuration_for, named_kits
from .route import Route
from .rules import closed_because
from .sessions import NO_SESSIONS, SessionSource
from .statistics import PointReading

if TYPE_CHECKING:
    from .reports import ForwardingListener, ForwardingReports
    from .user_handle import KitUser

__all__ = ["KitManager"]


class KitManager:
    """The kits of one client.

    Args:
        kits: At least one.
        storage: Each kit gets a directory of its own in it.
        reporter: Where failing kits are reported.
        environment: ``"production"`` or ``"development"``.
        session_timeout: Seconds, handed to the kits.
        on_delivery: The host's delivery callback, handed to the kits.

    Attributes:
        log_event: Routes a custom event; replaced whenever the set of running kits changes.
        sessions: The client's sessions, handed to kits that start.
        local_mpids: Whether MPIDs are made on this machine, likewise.

    Raises:
        ConfigurationError: There is no kit, something is no kit, or two have the same name.
    """

    log_event: Callable[[Event], None]

    def __init__(
        self,
        kits: Sequence[Kit],
        *,
        storage: Storage,
        reporter: Reporter,
        environment: str,
        session_timeout: float,
        on_delivery: Any = None,
    ) -> None:
        self._reporter = reporter
        self._environment = environment
        self._lock = ForkSafeLock()
        self._running: tuple[Route, ...] = ()
        self._push_token: str | None = None
        self._user: User | None = None
        self.sessions: SessionSource = NO_SESSIONS
        self.local_mpids = True
        self._reports: ForwardingReports | None = None
        self.log_event = ignore
        routes = []
        for name, kit in named_kits(kits).items():
            configuration = kit.configuration or KitConfiguration()
            context = KitContext(
                storage.directory(name), reporter, configuration, environment, session_timeout, on_delivery
            )
            routes.append(Route(kit, name, context))
            self._report_ignored(name, configuration)
        # The web core's order; kits without a priority keep the order they were given in.
        self._routes = tuple(sorted(routes, key=lambda route: -route.configuration.priority))

    # -- gates --------------------------------------------------------------------------------------------------
    def judge(self, user: User | None, *, opted_out: bool) -> None:
        """Decide every gate anew. Kits whose gate closed get no call any more from here on."""
        with self._lock.held:
            self._user = user
            for route in self._routes:
                route.failed = False
                route.closed = closed_because(
                    route.configuration, user, opted_out=opted_out, environment=self._environment
                )
            self._choose()

    def settle(self) -> None:
        """Stop and start kits until they agree with their gates. Only ever one call at a time."""
        for route in self._routes:
            if route.started and route.closed is not None:
                with self._lock.held:
                    route.started = False
                    self._choose()
                self._guard(route, "on_stop", route.kit.on_stop)
        for route in self._routes:
            if not route.started and route.closed is None and not route.failed:
                self._start(route)

    def kit_ids(self) -> list[int]:
        """The kits' numbers at mParticle."""
        return [route.kit.kit_id for route in self._routes]

    def rejudges_on_attributes(self) -> bool:
        """Whether a user attribute may open or close a gate."""
        return any(route.configuration.user_attribute_rule is not None for route in self._routes)

    def apply(self, configurations: Sequence[KitConfiguration]) -> list[Route]:
        """Give kits other configurations; :meth:`judge` must follow. Returns the kits that were concerned.

        Args:
            configurations: The whole list, as a server sends it. A kit with an id of mParticle's (1 to 999999)
                that is not in it is closed; a kit of one's own keeps what it has.
        """
        concerned = []
        with self._lock.held:
            for route in self._routes:
                configuration = configuration_for(route, configurations)
                if configuration is not None and configuration != route.configuration:
                    route.configure(configuration)
                    concerned.append(route)
            self._choose()
        for route in concerned:
            self._report_ignored(route.name, route.configuration)
        return concerned

    def configuration_updated(self, routes: Sequence[Route]) -> None:
        """Tell running kits of their new configuration."""
        for route in routes:
            if route.open:
                route.stale = False
                self._guard(
                    route,
                    "on_configuration_updated",
                    lambda route=route: route.kit.on_configuration_updated(route.configuration),  # type: ignore[misc]
                )

    # -- forwarding reports -------------------------------------------------------------------------------------
    def add_listener(self, listener: ForwardingListener) -> None:
        """Report to one more listener. Only with listeners are reports made at all."""
        from .reports import ForwardingReports  # noqa: PLC0415  # few apps listen

        with self._lock.held:
            reports = self._reports or ForwardingReports(self._reporter)
            reports.listeners = (*reports.listeners, listener)
            self._reports = reports
            self._choose()

    def remove_listener(self, listener: ForwardingListener) -> None:
        """Report to a listener no more; one that was added twice goes once."""
        with self._lock.held:
            if self._reports is not None and listener in self._reports.listeners:
                left = list(self._reports.listeners)
                left.remove(listener)
                self._reports.listeners = tuple(left)
                self._reports = self._reports if left else None
                self._choose()

    def refused(self, call: str) -> None:
        """Report on a call that the client refused because the user opted out."""
        if self._reports is not None:
            self._reports.refused(self._routes, call)

    # -- events -------------------------------------------------------------------------------------------------
    def log_screen(self, screen: ScreenView) -> None:
        """Route a screen view."""
        if self._reports is not None:
            self._reports.screen(self._routes, screen)
        running = self._running
        for route in running:
            deliver = route.log_screen
            if deliver is not None:
                own = screen if len(running) == 1 else screen.with_attributes(copy_value(screen.attributes))
                try:
                    deliver(own)
                except Exception as error:  # noqa: BLE001  # a kit is foreign code; the others must get the call
                    self._report_failure(route, "log_screen", error)

    def log_commerce_event(self, event: CommerceEvent) -> None:
        """Route a commerce event."""
        if self._reports is not None:
            self._reports.commerce(self._routes, event)
        for route in self._running:
            deliver = route.log_commerce_event
            if deliver is not None:
                try:
                    deliver(event)
                except Exception as error:  # noqa: BLE001  # as in log_screen
                    self._report_failure(route, "log_commerce_event", error)

    # -- user attributes ----------------------------------------------------------------------------------------
    def user_attribute_set(self, user: User | None, key: str, value: Any) -> None:
        """Route a scalar attribute (``None`` clears)."""
        self._about_attribute(
            "on_user_attribute_set",
            key,
            lambda kit, seen: kit.on_user_attribute_set(seen, key, copy_value(value)),
            user,
        )

    def user_attribute_list_set(self, user: User | None, key: str, values: Sequence[Any]) -> None:
        """Route a list attribute."""
        self._about_attribute(
            "on_user_attribute_list_set",
            key,
            lambda kit, seen: kit.on_user_attribute_list_set(seen, key, copy_value(values)),
            user,
        )

    def user_tag_set(self, user: User | None, key: str) -> None:
        """Route a tag."""
        self._about_attribute("on_user_tag_set", key, lambda kit, seen: kit.on_user_tag_set(seen, key), user)

    def user_attribute_incremented(
        self, user: User | None, key: str, by: int | float, total: int | float | None
    ) -> None:
        """Route an increment."""
        self._about_attribute(
            "on_user_attribute_incremented",
            key,
            lambda kit, seen: kit.on_user_attribute_incremented(seen, key, by, total),
            user,
        )

    def user_attribute_removed(self, user: User | None, key: str, *, was_set: bool) -> None:
        """Route a removal."""
        self._about_attribute(
            "on_user_attribute_removed",
            key,
            lambda kit, seen: kit.on_user_attribute_removed(seen, key, was_set=was_set),
            user,
        )

    # -- identity, consent, opt-out, push -----------------------------------------------------------------------
    def identity_completed(
        self, operation: Operation, user: User, identities: Mapping[IdentityType, str | None]
    ) -> None:
        """Tell the kits that an identity call succeeded."""
        if self._reports is not None:
            self._reports.identity(self._routes, operation, identities)
        for route in self._running:
            seen, visible = route.view(user) or user, route.visible_identities(identities)
            self._guard(
                route,
                "on_identity_completed",
                lambda kit=route.kit, seen=seen, visible=visible: kit.on_identity_completed(  # type: ignore[misc]
                    operation, seen, visible
                ),
            )

    def consent_changed(self, user: User, old: ConsentState, new: ConsentState) -> None:
        """Tell the kits that the user's consent changed."""
        if self._reports is not None:
            self._reports.consent(self._routes, new)
        for route in self._running:
            self._guard(
                route,
                "on_consent_changed",
                lambda route=route: route.kit.on_consent_changed(  # type: ignore[misc]
                    route.view(user) or user, route.visible_consent(old), route.visible_consent(new)
                ),
            )

    def opt_out_changed(self, opted_out: bool) -> None:
        """Tell the kits that were started, before those that honour an opt-out are stopped."""
        for route in self._routes:
            if route.started:
                self._guard(route, "on_opt_out", lambda kit=route.kit: kit.on_opt_out(opted_out))  # type: ignore[misc]

    def session_started(self) -> None:
        """Tell the kits that a session began."""
        self._tell("on_session_start")

    def session_ended(self) -> None:
        """Tell the kits that a session ended."""
        self._tell("on_session_end")

    def application_moved(self, *, foreground: bool) -> None:
        """Tell the kits that the app went to the background or came to the foreground."""
        self._tell("on_application_foreground" if foreground else "on_application_background")

    def set_push_token(self, token: str) -> bool:
        """Offer a push token to every kit, later starts included; true if one took it."""
        self._push_token = token
        taken = [
            self._guard(route, "on_push_token", lambda kit=route.kit: kit.on_push_token(token))  # type: ignore[misc]
            for route in self._running
        ]
        return any(taken)

    # -- delivery -----------------------------------------------------------------------------------------------
    def find(self, name: object) -> Kit:
        """The kit of that name, in any case.

        Raises:
            InvalidArgumentError: There is none; the message lists those there are.
        """
        return self._route(name).kit

    def for_user(
        self, identities: Mapping[IdentityType, str | None], mpid: int | str | None
    ) -> list[tuple[str, KitUser]]:
        """One user at each running kit that serves many users."""
        users = [
            (route.name, self._guard(route, "for_user", lambda kit=route.kit: kit.for_user(identities, mpid)))  # type: ignore[misc]
            for route in self._running
        ]
        return [(name, user) for name, user in users if user is not None]

    def is_active(self, name: object) -> bool:
        """Whether calls go to a kit; errors as :meth:`find`."""
        return self._route(name) in self._running

    def flush(self, timeout: float | None) -> FlushResult:
        """Flush the kits one after the other; each gets a fair share of the time that is left."""
        return self._within(timeout, "flush", lambda kit, share: kit.flush(share))

    def close(self, timeout: float) -> FlushResult:
        """Close every kit, stopped ones too, within the time; no kit gets a call afterwards."""
        with self._lock.held:
            self._running = ()
            self.log_event = ignore
        return self._within(timeout, "close", lambda kit, share: kit.close(share or 0.0))

    def clear(self) -> int:
        """Discard what is queued in every kit and return how many records that was."""
        discarded = [self._guard(route, "clear", route.kit.clear) for route in self._routes]
        return sum(count for count in discarded if isinstance(count, int))

    def erase(self) -> None:
        """Discard what is queued or set aside in every kit."""
        for route in self._routes:
            self._guard(route, "erase", route.kit.erase)

    def stats(self) -> dict[str, DeliveryStats]:
        """Delivery figures of the kits that deliver, by name."""
        found = {route.name: self._guard(route, "stats", route.kit.stats) for route in self._routes}
        return {name: stats for name, stats in found.items() if stats is not None}

    def data_points(self) -> dict[str, PointReading]:
        """What was spent and saved in data points, by name, of the kits that are billed so."""
        found = {route.name: self._guard(route, "data_points", route.kit.data_points) for route in self._routes}
        return {name: points for name, points in found.items() if points is not None}

    def gates(self) -> dict[str, str]:
        """For each kit ``active``, ``failed``, or why its gate is closed."""
        return {
            route.name: route.closed or ("active" if route.started else "failed" if route.failed else "starting")
            for route in self._routes
        }

    # -- inside -------------------------------------------------------------------------------------------------
    def _choose(self) -> None:
        """Choose who gets calls; called with the lock held."""
        self._running = tuple(route for route in self._routes if route.open)
        takers = [route for route in self._running if route.log_event is not None]
        if not takers:
            self.log_event = ignore
        elif len(takers) == 1:
            self.log_event = self._to_one(takers[0])
        else:
            self.log_event = self._to_many(takers)
        if self._reports is not None:
            self.log_event = self._reported(self._reports, self.log_event)

    def _reported(self, reports: ForwardingReports, deliver: Callable[[Event], None]) -> Callable[[Event], None]:
        routes = self._routes

        def log_event(event: Event) -> None:
            reports.event(routes, event)
            deliver(event)

        return log_event

    def _to_one(self, route: Route) -> Callable[[Event], None]:
        deliver = route.log_event or ignore
        report = self._report_failure

        def log_event(event: Event) -> None:
            try:
                deliver(event)
            except Exception as error:  # noqa: BLE001  # as in log_screen
                report(route, "log_event", error)

        return log_event

    def _to_many(self, routes: Sequence[Route]) -> Callable[[Event], None]:
        *others, last = [self._to_one(route) for route in routes]

        def log_event(event: Event) -> None:
            for deliver in others:  # what a kit is handed belongs to it
                copied = copy_attributes(event.attributes)
                deliver(owned_event(event.name, event.event_type, copied, event.timestamp))
            last(event)

        return log_event

    def _route(self, name: object) -> Route:
        for route in self._routes:
            if isinstance(name, str) and route.name.lower() == name.lower():
                return route
        known = ", ".join(route.name for route in self._routes)
        given = repr(name) if isinstance(name, str) else describe(name)
        raise InvalidArgumentError(f"there is no kit {given}; there are: {known}")

    def _start(self, route: Route) -> None:
        user = route.view(self._user)
        context = replace(
            route.context,
            configuration=route.configuration,
            sessions=self.sessions,
            local_mpids=self.local_mpids,
        )
        try:
            if route.stale:
                route.kit.on_configuration_updated(route.configuration)
                route.stale = False
            route.kit.on_start(context, user)
        except Exception as error:  # noqa: BLE001  # as in log_screen
            route.failed = True  # until the gates are judged again
            self._report_failure(route, "on_start", error)
            return
        with self._lock.held:
            route.started = True
            self._choose()
        if self._push_token is not None:
            token = self._push_token
            self._guard(route, "on_push_token", lambda: route.kit.on_push_token(token))

    def _about_attribute(
        self, callback: str, key: str, call: Callable[[Kit, User | None], object], user: User | None
    ) -> None:
        if self._reports is not None:
            self._reports.attribute(self._routes, callback, key)
        for route in self._running:
            if not route.hides_attribute(key):
                try:
                    call(route.kit, route.view(user))
                except Exception as error:  # noqa: BLE001  # as in log_screen
                    self._report_failure(route, callback, error)

    def _within(
        self, timeout: float | None, callback: str, call: Callable[[Kit, float | None], FlushResult | None]
    ) -> FlushResult:
        deadline = None if timeout is None else time.monotonic() + timeout
        results = []
        for place, route in enumerate(self._routes):
            share: float | None = None
            if deadline is not None:
                share = max(0.0, deadline - time.monotonic()) / (len(self._routes) - place)
            results.append(self._guard(route, callback, lambda kit=route.kit, share=share: call(kit, share)))  # type: ignore[misc]
        found = [result for result in results if result is not None]
        return FlushResult(
            sent=sum(result.sent for result in found),
            kept=sum(result.kept for result in found),
            dead=sum(result.dead for result in found),
            dropped=sum(result.dropped for result in found),
        )

    def _tell(self, callback: str) -> None:
        """Make a callback without arguments on every running kit."""
        for route in self._running:
            self._guard(route, callback, getattr(route.kit, callback))

    def _guard(self, route: Route, callback: str, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Exception as error:  # noqa: BLE001  # as in log_screen
            self._report_failure(route, callback, error)
            return None

    def _report_failure(self, route: Route, callback: str, error: Exception) -> None:
        if self._reports is not None:
            self._reports.failed(route, callback, error)
        self._reporter.report(
            "kit_failed",
            f"Kit {route.name} raised {type(error).__name__} in {callback}; other kits are not affected",
            key=route.name,
            exception=error,
        )

    def _report_ignored(self, name: str, configuration: KitConfiguration) -> None:
        for note in configuration.ignored:
            self._reporter.report("configuration_ignored", f"Configuration of kit {name}: {note}", key=f"{name} {note}")


def ignore(_event: Event) -> None:
    """Routes to nobody."""
