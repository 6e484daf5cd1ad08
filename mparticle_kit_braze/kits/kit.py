"""The contract between the facade and a kit.

A kit subclasses :class:`Kit` and writes the callbacks it cares about. Every callback runs on the caller's
thread, inside a guard: what it raises is reported and the other kits still get the call. What a kit is
handed has passed its own filters, and belongs to it: it is never the caller's own dict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from .integration import IntegrationAttributes
from .sessions import NO_SESSIONS, SessionSource
from .texts import value_text

if TYPE_CHECKING:
    from typing_extensions import Self

    from ..commerce import CommerceEvent
    from ..consent import ConsentState
    from ..delivery import DeliveryStats, FlushResult
    from ..diagnostics import Reporter
    from ..events import Event, ScreenView
    from ..identity import IdentityType, User
    from ..storage import Storage
    from .configuration import KitConfiguration
    from .statistics import PointReading
    from .user_handle import KitUser

__all__ = ["IdentityOperation", "Kit", "KitContext"]

IdentityOperation = Literal["identify", "login", "logout", "modify"]


@dataclass(frozen=True, slots=True)
class KitContext:
    """What a kit gets at its start.

    Attributes:
        storage: Where the kit may keep files or key-value pairs of its own.
        reporter: Where it reports refused values and faults.
        configuration: Its configuration (settings and filters).
        environment: ``"production"`` or ``"development"``.
        session_timeout: The client's session time-out in seconds.
        on_delivery: The host's delivery callback, for kits that send over the network.
        sessions: The client's sessions: ``current``, and ``ended`` during :meth:`Kit.on_session_end`.
        local_mpids: Whether MPIDs are made on this machine: then mParticle does not know them.
        integration: What kits want mParticle's servers to know: ``integration.set(kit_id, {...})``.
    """

    storage: Storage
    reporter: Reporter
    configuration: KitConfiguration
    environment: str
    session_timeout: float
    on_delivery: Any = None
    sessions: SessionSource = NO_SESSIONS
    local_mpids: bool = True
    integration: IntegrationAttributes = field(default_factory=IntegrationAttributes)


class Kit:
    """A destination for the facade's calls. Every callback is optional.

    ``name`` is how ``client.kit(name)`` finds it and how logs call it; ``kit_id`` is mParticle's module id
    (Braze is 28; kits of one's own use 1000000 and up).
    """

    name: ClassVar[str] = ""
    kit_id: ClassVar[int] = 0
    follows_data_plan: ClassVar[bool] = True
    """Whether a data plan counts for it; not for kits that bring data to mParticle itself, which has the plan."""

    _given: KitConfiguration | None = None

    @classmethod
    def from_configuration(cls, configuration: KitConfiguration) -> Self:
        """A kit with a configuration from mParticle; kits that have settings override this."""
        kit = cls()
        kit._given = configuration
        return kit

    @property
    def configuration(self) -> KitConfiguration | None:
        """The configuration the kit came with, if any; filters are taken from it."""
        return self._given

    # -- life ---------------------------------------------------------------------------------------------------
    def on_start(self, context: KitContext, user: User | None) -> None:
        """The kit's gate opened (at client start or later). ``user`` is the current user, filtered."""

    def on_configuration_updated(self, configuration: KitConfiguration) -> None:
        """A new configuration for a running kit, or for one that is about to start with another than it came with."""

    def on_stop(self) -> None:
        """The kit's gate closed; it gets no more calls until ``on_start``. What it queued stays queued."""

    # -- events -------------------------------------------------------------------------------------------------
    def log_event(self, event: Event) -> None:
        """A custom event."""

    def log_screen(self, screen: ScreenView) -> None:
        """A screen view."""

    def log_commerce_event(self, event: CommerceEvent) -> None:
        """A commerce event. A kit that does not override this gets the expansion through :meth:`log_event`."""

    # -- user attributes ----------------------------------------------------------------------------------------
    def on_user_attribute_set(self, user: User | None, key: str, value: Any) -> None:
        """A scalar attribute was set; ``user.attributes`` already holds it. ``None`` clears (see profiles)."""

    def on_user_attribute_cleared(self, user: User | None, key: str, *, was_set: bool) -> None:
        """An attribute was set to ``None``; ``was_set`` says whether the client knew it.

        Without an override ``None`` is set.
        """
        self.on_user_attribute_set(user, key, None)

    def on_user_attribute_list_set(self, user: User | None, key: str, values: Sequence[Any]) -> None:
        """A list attribute was set. Without an override: a text, its members joined with commas (as Android)."""
        self.on_user_attribute_set(user, key, ",".join(value_text(value, web=False) for value in values))

    def on_user_tag_set(self, user: User | None, key: str) -> None:
        """A tag (an attribute without a value) was set."""

    def on_user_attribute_incremented(
        self, user: User | None, key: str, by: int | float, total: int | float | None
    ) -> None:
        """An attribute was incremented; ``total`` is the new sum, ``None`` if the stored value was no number.

        Without an override the sum is set.
        """
        if total is not None:
            self.on_user_attribute_set(user, key, total)

    def on_user_attribute_removed(self, user: User | None, key: str, *, was_set: bool) -> None:
        """An attribute, list or tag was removed; ``was_set`` says whether the client knew it."""

    # -- identity, consent, opt-out -----------------------------------------------------------------------------
    def on_identity_completed(
        self, operation: IdentityOperation, user: User, identities: Mapping[IdentityType, str | None]
    ) -> None:
        """An identity call succeeded; ``user`` is now current, ``identities`` are those of the request (filtered)."""

    def on_consent_changed(self, user: User, old: ConsentState, new: ConsentState) -> None:
        """The user's consent changed."""

    def on_opt_out(self, opted_out: bool) -> None:
        """The user opted out or in again. Called before the kit is stopped because of it."""

    # -- sessions, push -----------------------------------------------------------------------------------------
    def on_session_start(self) -> None:
        """The client's session began; the context's ``sessions.current`` tells it."""

    def on_session_end(self) -> None:
        """The client's session ended, maybe long ago; the context's ``sessions.ended`` tells it."""

    def on_application_background(self) -> None:
        """The app went to the background."""

    def on_application_foreground(self) -> None:
        """The app came to the foreground."""

    def on_push_token(self, token: str) -> bool:
        """A push token; true if the kit took it."""
        return False

    # -- many users ---------------------------------------------------------------------------------------------
    def for_user(self, identities: Mapping[IdentityType, str | None], mpid: int | str | None = None) -> KitUser | None:
        """One of many users, for ``client.for_user``; ``None`` for kits that serve the current user only."""
        return None

    # -- delivery -----------------------------------------------------------------------------------------------
    def flush(self, timeout: float | None = None) -> FlushResult | None:
        """Send what is queued within ``timeout`` seconds; ``None`` for kits that queue nothing."""
        return None

    def close(self, timeout: float) -> FlushResult | None:
        """Flush within ``timeout`` seconds and release threads and files. Called once, also for stopped kits."""
        return None

    def clear(self) -> int:
        """Discard what is queued and return how many records that was."""
        return 0

    def erase(self) -> None:
        """Discard what is queued and whatever else waits on this machine to be sent: the user wants it gone."""
        self.clear()

    def stats(self) -> DeliveryStats | None:
        """Delivery figures, for kits that deliver."""
        return None

    def data_points(self) -> PointReading | None:
        """What was spent and saved, for kits whose destination bills by data points."""
        return None

    @property
    def instance(self) -> object:
        """The destination's own object (for Braze: the ``Braze`` client), returned by ``client.kit(name)``."""
        return self
