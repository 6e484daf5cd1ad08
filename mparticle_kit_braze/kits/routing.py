"""Routing: every call to every kit that runs, each in its own guard, and reports of what each kit got."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..commerce import CommerceEvent
from ..consent import ConsentState
from ..diagnostics import Reporter
from ..events import Event, ScreenView, owned_event
from ..identity import IdentityType, Operation, User
from ..locks import ForkSafeLock, importing
from ..values import copy_attributes, copy_value
from .kit import Kit
from .route import Route

if TYPE_CHECKING:
    from .reports import ForwardingListener, ForwardingReports

__all__ = ["KitRouting", "ignore"]


class KitRouting:
    """The ways to the kits of one client.

    Args:
        routes: One for each kit, in the order in which they get calls.
        reporter: Where failing kits are reported.

    Attributes:
        log_event: Routes a custom event; replaced whenever the set of running kits changes.
    """

    log_event: Callable[[Event], None]

    def __init__(self, routes: Sequence[Route], reporter: Reporter) -> None:
        self._routes = tuple(routes)
        self._reporter = reporter
        self._lock = ForkSafeLock()
        self._running: tuple[Route, ...] = ()
        self._push_token: str | None = None
        self._reports: ForwardingReports | None = None
        self.log_event = ignore

    # -- forwarding reports -------------------------------------------------------------------------------------
    def add_listener(self, listener: ForwardingListener) -> None:
        """Report to one more listener. Only with listeners are reports made at all."""
        with importing.held:
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
        """Route a scalar attribute."""
        self._about_attribute(
            "on_user_attribute_set",
            key,
            lambda kit, seen: kit.on_user_attribute_set(seen, key, copy_value(value)),
            user,
        )

    def user_attribute_cleared(self, user: User | None, key: str, *, was_set: bool) -> None:
        """Route a scalar attribute that was set to ``None``."""
        self._about_attribute(
            "on_user_attribute_cleared",
            key,
            lambda kit, seen: kit.on_user_attribute_cleared(seen, key, was_set=was_set),
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
                lambda kit=route.kit, seen=seen, visible=visible: kit.on_identity_completed(  # type: ignore[misc]  # mypy infers no lambda with a default
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
                lambda route=route: route.kit.on_consent_changed(  # type: ignore[misc]  # mypy infers no lambda with a default
                    route.view(user) or user, route.visible_consent(old), route.visible_consent(new)
                ),
            )

    def opt_out_changed(self, opted_out: bool) -> None:
        """Tell the kits that were started, before those that honour an opt-out are stopped."""
        for route in self._routes:
            if route.started:
                self._guard(route, "on_opt_out", lambda kit=route.kit: kit.on_opt_out(opted_out))  # type: ignore[misc]  # mypy infers no lambda with a default

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
            self._guard(route, "on_push_token", lambda kit=route.kit: kit.on_push_token(token))  # type: ignore[misc]  # mypy infers no lambda with a default
            for route in self._running
        ]
        return any(taken)

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

    def _about_attribute(
        self, callback: str, key: str, call: Callable[[Kit, User | None], object], user: User | None
    ) -> None:
        if self._reports is not None:
            self._reports.attribute(self._routes, callback, key)
        for route in self._running:
            if route.hides_attribute(key) is None:
                try:
                    call(route.kit, route.view(user))
                except Exception as error:  # noqa: BLE001  # as in log_screen
                    self._report_failure(route, callback, error)

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


def ignore(_event: Event) -> None:
    """Routes to nobody."""
