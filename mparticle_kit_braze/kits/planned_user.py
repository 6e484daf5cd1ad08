"""One of many users behind a data plan: what the plan does not have is kept from the kit's user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..commerce import CommerceEvent
from ..events import Event, ScreenView
from ..identity import IdentityType
from .data_plan import DataPlan
from .user_handle import KitUser

__all__ = ["PlannedUser"]


class PlannedUser:
    """A :class:`~mparticle_kit_braze.kits.user_handle.KitUser` that hands on what is planned.

    Args:
        user: The kit's user.
        plan: The plan.
    """

    __slots__ = ("_plan", "_user")

    def __init__(self, user: KitUser, plan: DataPlan) -> None:
        self._user = user
        self._plan = plan

    def __getattr__(self, name: str) -> Any:
        """What no plan is about: sessions, the opt-out, the push token, the end."""
        return getattr(self._user, name)

    def log_event(self, event: Event, session_id: str | None) -> None:
        """A custom event, if it is planned."""
        step = self._plan.for_events()
        remaining = event if step is None else step(event)
        if remaining is not None:
            self._user.log_event(remaining, session_id)

    def log_screen(self, screen: ScreenView, session_id: str | None) -> None:
        """A screen view, if it is planned."""
        step = self._plan.for_screens()
        remaining = screen if step is None else step(screen)
        if remaining is not None:
            self._user.log_screen(remaining, session_id)

    def log_commerce_event(self, event: CommerceEvent) -> None:
        """A commerce event, if it is planned."""
        step = self._plan.for_commerce()
        remaining = event if step is None else step(event)
        if remaining is not None:
            self._user.log_commerce_event(remaining)

    def set_attribute(self, key: str, value: Any) -> None:
        """An attribute, if it is planned; likewise the next two."""
        if not self._plan.hides_attribute(key):
            self._user.set_attribute(key, value)

    def set_tag(self, key: str) -> None:
        """See :meth:`set_attribute`."""
        if not self._plan.hides_attribute(key):
            self._user.set_tag(key)

    def increment(self, key: str, by: int | float) -> None:
        """See :meth:`set_attribute`."""
        if not self._plan.hides_attribute(key):
            self._user.increment(key, by)

    def identify(self, identities: Mapping[IdentityType, str | None]) -> None:
        """The planned identities."""
        self._user.identify({kind: value for kind, value in identities.items() if not self._plan.hides_identity(kind)})
