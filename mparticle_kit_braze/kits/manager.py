"""The kits of one client: their gates, starting and stopping them, their delivery. Calls to them are routed below.

:meth:`KitManager.judge` takes effect at once (a kit whose gate closes gets no further call); the callbacks that
follow run in :meth:`KitManager.settle`, one at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..delivery import DeliveryStats, FlushResult
from ..diagnostics import Reporter
from ..errors import ConfigurationError, InvalidArgumentError
from ..events import Event
from ..identity import IdentityType, User
from ..storage import Storage
from ..values import describe
from .configuration import KitConfiguration
from .integration import IntegrationAttributes
from .kit import Kit, KitContext
from .roster import configuration_for, meant_for, named_kits
from .route import Route
from .routing import KitRouting, ignore
from .rules import closed_because
from .sessions import NO_SESSIONS, SessionSource
from .statistics import PointReading

if TYPE_CHECKING:
    from .data_plan import DataPlan
    from .user_handle import KitUser

__all__ = ["KitManager"]


class KitManager(KitRouting):
    """The kits of one client.

    Args:
        kits: At least one.
        storage: Each kit gets a directory of its own in it.
        reporter: Where failing kits are reported.
        environment: ``"production"`` or ``"development"``.
        session_timeout: Seconds, handed to the kits.
        on_delivery: The host's delivery callback, handed to the kits.
        data_plan: What may reach the kits; it counts rather than one from a server.

    Attributes:
        sessions: The client's sessions, handed to kits that start.
        local_mpids: Whether MPIDs are made on this machine, likewise.
        unconfigured: Whether all gates are closed until there is a configuration from a server.

    Raises:
        ConfigurationError: There is no kit, something is no kit, or two have the same name.
    """

    def __init__(
        self,
        kits: Sequence[Kit],
        *,
        storage: Storage,
        reporter: Reporter,
        environment: str,
        session_timeout: float,
        on_delivery: Any = None,
        data_plan: DataPlan | None = None,
    ) -> None:
        self._environment = environment
        self._user: User | None = None
        self.sessions: SessionSource = NO_SESSIONS
        self.local_mpids = True
        self.unconfigured = False
        self._integration = IntegrationAttributes(storage.key_values("client"))
        routes = []
        for name, kit in named_kits(kits).items():
            configuration = kit.configuration or KitConfiguration()
            context = KitContext(
                storage.directory(name), reporter, configuration, environment, session_timeout, on_delivery
            )
            routes.append(Route(kit, name, context))
        self._given = tuple(routes)
        super().__init__(by_priority(routes), reporter)
        for route in routes:
            self._report_ignored(route.name, route.configuration)
        self._plan_in_code = data_plan
        if data_plan is not None:
            from .data_plan import DataPlan  # noqa: PLC0415  # few clients have one

            if not isinstance(data_plan, DataPlan):
                raise ConfigurationError(f"data_plan must be a DataPlan, not {describe(data_plan)}")
            self.follow(data_plan)

    # -- gates --------------------------------------------------------------------------------------------------
    def judge(self, user: User | None, *, opted_out: bool) -> None:
        """Decide every gate anew. Kits whose gate closed get no call any more from here on."""
        with self._lock.held:
            self._user = user
            for route in self._routes:
                route.failed = False
                route.closed = (
                    "configuration"
                    if self.unconfigured
                    else closed_because(route.configuration, user, opted_out=opted_out, environment=self._environment)
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
                self._integration.set(route.kit.kit_id, {})
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
        configurations = meant_for(self._environment, configurations)
        with self._lock.held:
            for route in self._routes:
                configuration = configuration_for(route, configurations)
                if configuration is not None and configuration != route.configuration:
                    route.configure(configuration)
                    concerned.append(route)
            self._routes = by_priority(self._given)
            self._choose()
        for route in concerned:
            self._report_ignored(route.name, route.configuration)
        return concerned

    def follow(self, plan: DataPlan | None) -> None:
        """Keep to a server's data plan, unless there is one in code."""
        with self._lock.held:
            for route in self._routes:
                route.follow(self._plan_in_code or plan)
            self._choose()

    def configuration_updated(self, routes: Sequence[Route]) -> None:
        """Tell running kits of their new configuration."""
        for route in routes:
            if route.open:
                route.stale = False
                self._guard(
                    route,
                    "on_configuration_updated",
                    lambda route=route: route.kit.on_configuration_updated(route.configuration),  # type: ignore[misc]  # mypy infers no lambda with a default
                )

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
        users = []
        for route in self._running:
            planned = route.planned_identities(identities)
            user = self._guard(route, "for_user", lambda kit=route.kit, planned=planned: kit.for_user(planned, mpid))  # type: ignore[misc]  # mypy infers no lambda with a default
            if user is not None:
                users.append((route.name, route.planned_user(user)))
        return users

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
            self.log_event: Callable[[Event], None] = ignore
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
            integration=self._integration,
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

    def _within(
        self, timeout: float | None, callback: str, call: Callable[[Kit, float | None], FlushResult | None]
    ) -> FlushResult:
        deadline = None if timeout is None else time.monotonic() + timeout
        results = []
        for place, route in enumerate(self._routes):
            share: float | None = None
            if deadline is not None:
                share = max(0.0, deadline - time.monotonic()) / (len(self._routes) - place)
            results.append(self._guard(route, callback, lambda kit=route.kit, share=share: call(kit, share)))  # type: ignore[misc]  # mypy infers no lambda with a default
        found = [result for result in results if result is not None]
        return FlushResult(
            sent=sum(result.sent for result in found),
            kept=sum(result.kept for result in found),
            dead=sum(result.dead for result in found),
            dropped=sum(result.dropped for result in found),
        )

    def _report_ignored(self, name: str, configuration: KitConfiguration) -> None:
        for note in configuration.ignored:
            self._reporter.report("configuration_ignored", f"Configuration of kit {name}: {note}", key=f"{name} {note}")


def by_priority(routes: Sequence[Route]) -> tuple[Route, ...]:
    """The web core's order; kits without a priority keep the order they were given in."""
    return tuple(sorted(routes, key=lambda route: -route.configuration.priority))
