"""One user of many at the server kit: the kit's filters, the user's batch, and the way out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..commerce import CommerceEvent
from ..events import Event, ScreenView
from ..identity import IdentityType
from ..kits.configuration import KitConfiguration
from ..kits.filters import HiddenKeys, commerce_filter, event_filter, screen_filter
from ..locks import ForkSafeLock
from .mapping import ProfileChanges, TrackObjects, UserBatch

__all__ = ["Outcome", "ServerUser", "UserFilters"]


@dataclass(frozen=True, slots=True)
class UserFilters:
    """A kit's filters, compiled once for all its users. ``None``: nothing is filtered."""

    event: Callable[[Event], Event | None] | None = None
    screen: Callable[[ScreenView], ScreenView | None] | None = None
    commerce: Callable[[CommerceEvent], CommerceEvent | None] | None = None
    hidden_attributes: HiddenKeys | None = None
    hidden_identities: frozenset[int] = frozenset()

    @classmethod
    def of(cls, configuration: KitConfiguration) -> UserFilters:
        """Compile a kit configuration's filters."""
        attributes = configuration.filters.user_attributes
        return cls(
            event_filter(configuration),
            screen_filter(configuration),
            commerce_filter(configuration),
            HiddenKeys(attributes) if attributes else None,
            configuration.filters.user_identities,
        )


class Outcome(NamedTuple):
    """What came of a call.

    Attributes:
        external_id: The user's.
        objects: What is to be sent.
        refusals: What was left out: key and reason.
        changes: What is to be remembered of the user.
    """

    external_id: str | None
    objects: TrackObjects
    refusals: Sequence[tuple[str, str]]
    changes: ProfileChanges | None


class ServerUser:
    """One user: a :class:`~mparticle_kit_braze.kits.user_handle.KitUser`. Thread-safe.

    Args:
        make_batch: Makes the user's batch, given where refusals go.
        send: Takes what came of a call, outside of any lock.
        filters: The kit's filters.
    """

    def __init__(
        self,
        make_batch: Callable[[Callable[[str, str], object]], UserBatch],
        send: Callable[[Outcome], object],
        filters: UserFilters,
    ) -> None:
        self._send = send
        self._filters = filters
        self._refusals: list[tuple[str, str]] = []
        self._lock = ForkSafeLock()
        self.batch: UserBatch = make_batch(lambda key, why: self._refusals.append((key, why)))

    def run(self, call: Callable[[UserBatch], TrackObjects]) -> None:
        """Make one call on the batch and send what comes of it."""
        with self._lock.held:
            objects = call(self.batch)
            refusals, self._refusals = self._refusals, []
            outcome = Outcome(self.batch.external_id, objects, refusals, self.batch.take_changes())
        if objects or refusals or outcome.changes is not None:
            self._send(outcome)

    def log_event(self, event: Event, session_id: str | None = None) -> None:
        """A custom event, filtered."""
        seen = event if self._filters.event is None else self._filters.event(event)
        if seen is not None:
            self.run(lambda batch: batch.log_event(seen, session_id))

    def log_screen(self, screen: ScreenView, session_id: str | None = None) -> None:
        """A screen view, filtered."""
        seen = screen if self._filters.screen is None else self._filters.screen(screen)
        if seen is not None:
            self.run(lambda batch: batch.log_screen(seen, session_id))

    def log_commerce_event(self, event: CommerceEvent) -> None:
        """A commerce event, filtered."""
        seen = event if self._filters.commerce is None else self._filters.commerce(event)
        if seen is not None:
            self.run(lambda batch: batch.log_commerce_event(seen))

    def log_session(self, *, start: bool, session_id: str | None = None, timestamp: float | None = None) -> None:
        """The start or end of a session."""
        self.run(lambda batch: batch.log_session(start=start, session_id=session_id, timestamp=timestamp))

    def set_attribute(self, key: str, value: Any) -> None:
        """An attribute or a list, unless the kit must not see it; ``None`` removes it."""
        if not self._hides(key):
            self.run(lambda batch: batch.set_attribute(key, value))

    def set_tag(self, key: str) -> None:
        """A tag, unless the kit must not see it."""
        if not self._hides(key):
            self.run(lambda batch: batch.set_tag(key))

    def increment(self, key: str, by: int | float) -> None:
        """An increment, unless the kit must not see the attribute."""
        if not self._hides(key):
            self.run(lambda batch: batch.increment(key, by))

    def identify(self, identities: Mapping[IdentityType, str | None]) -> None:
        """Change identities, those the kit may see."""
        hidden = self._filters.hidden_identities
        seen = {kind: value for kind, value in identities.items() if kind.number not in hidden}
        self.run(lambda batch: batch.identify(seen))

    def set_opt_out(self, opted_out: bool) -> None:
        """An opt-out, or its end."""
        self.run(lambda batch: batch.set_opt_out(opted_out))

    def set_push_token(self, token: str) -> None:
        """A push token."""
        self.run(lambda batch: batch.set_push_token(token))

    def end(self) -> None:
        """End the batch."""
        self.run(UserBatch.end)

    def _hides(self, key: str) -> bool:
        hidden = self._filters.hidden_attributes
        return hidden is not None and hidden[key]
