"""``BrazeServerKit``: the client's calls over Braze's REST API, for the current user or for many users at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ..clock import SYSTEM_CLOCK, Clock
from ..commerce import CommerceEvent
from ..delivery import DeliveryOptions, DeliveryStats, FlushResult
from ..diagnostics import Reporter
from ..errors import ConfigurationError
from ..events import Event, ScreenView
from ..identity import IdentityType, User
from ..kits.configuration import KitConfiguration
from ..kits.kit import IdentityOperation, Kit, KitContext
from ..kits.sessions import NO_SESSIONS, Session, SessionSource
from .deltas import DeltaMemory
from .mapping import StoredProfile, UserBatch
from .rest import BrazeRest
from .settings import ServerSettings
from .stored import ProfileStore
from .users import Outcome, ServerUser, UserFilters

__all__ = ["BrazeServerKit"]


class BrazeServerKit(Kit):
    """A kit for backends: no SDK, no device, any number of users.

    ``client.for_user(customer_id=...)`` gives a handle for one user; the client's own methods work for its current
    user. Users without an external id are counted and reported, never sent.

    Args:
        rest_api_key: Braze's REST key, with the permission ``users.track``.
        instance: A Braze instance (``US-03``), a REST host or an ``https://`` URL.
        delivery_options: How much is kept and when it is sent.
        clock: Where the time comes from.
        **settings: Further settings by Python name, see :class:`~mparticle_kit_braze.server.ServerSettings`.

    Raises:
        ConfigurationError: The key is missing, or a setting is unknown or malformed.
    """

    name: ClassVar[str] = "Braze Server"
    kit_id: ClassVar[int] = 28

    def __init__(
        self,
        rest_api_key: str,
        instance: str = "US-03",
        *,
        delivery_options: DeliveryOptions | None = None,
        clock: Clock = SYSTEM_CLOCK,
        **settings: Any,
    ) -> None:
        read = ServerSettings.from_python(rest_api_key=rest_api_key, instance=instance, **settings)
        self._set_up(read, KitConfiguration(), delivery_options, clock)

    @classmethod
    def from_configuration(
        cls,
        configuration: Mapping[str, Any] | KitConfiguration,
        *,
        delivery_options: DeliveryOptions | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> BrazeServerKit:
        """A kit from mParticle's own configuration object, with mParticle's defaults.

        Raises:
            ConfigurationError: It is malformed, or has no ``restApiKey``.
        """
        if not isinstance(configuration, KitConfiguration):
            configuration = KitConfiguration.from_json(configuration)
        kit = cls.__new__(cls)
        settings = ServerSettings.from_mparticle(configuration.settings)
        kit._set_up(settings, configuration, delivery_options, clock)  # noqa: SLF001 - a constructor
        return kit

    def _set_up(
        self,
        settings: ServerSettings,
        configuration: KitConfiguration,
        delivery_options: DeliveryOptions | None,
        clock: Clock,
    ) -> None:
        if settings.rest_api_key is None:
            raise ConfigurationError("The server kit needs the REST key (restApiKey)")
        self.settings = settings
        self._configuration = configuration
        self._options = delivery_options
        self._clock = clock
        self._filters = UserFilters.of(configuration)
        self._deltas = DeltaMemory() if settings.skip_unchanged else None
        self._profiles: ProfileStore | None = None
        self._rest: BrazeRest | None = None
        self._reporter = Reporter()
        self._sessions: SessionSource = NO_SESSIONS
        self._current: ServerUser | None = None

    # -- life ---------------------------------------------------------------------------------------------------
    @property
    def configuration(self) -> KitConfiguration | None:
        """The configuration the kit came with."""
        return self._configuration

    def on_start(self, context: KitContext, user: User | None) -> None:
        """Open the queue, once; a later start finds it open."""
        self._reporter = context.reporter
        self._sessions = context.sessions
        if self._rest is None:
            self._rest = BrazeRest(
                self.settings.rest_api_key or "",
                settings=self.settings,
                storage=context.storage,
                reporter=context.reporter,
                on_delivery=context.on_delivery,
                clock=self._clock,
                delivery_options=self._options,
            )
            if self._deltas is not None:
                self._rest.on_lost(self._deltas.forget)
            if self.settings.enriched_user_attributes or self.settings.enriched_user_identities:
                self._profiles = ProfileStore(context.storage.key_values("profiles"))
        self._switch(user)

    def on_configuration_updated(self, configuration: KitConfiguration) -> None:
        """Take new filters; other settings need a new kit."""
        self._configuration = configuration
        self._filters = UserFilters.of(configuration)

    @property
    def rest(self) -> BrazeRest:
        """The REST client, for aliases, merges, deletions and subscription groups.

        Raises:
            ConfigurationError: The kit has not been started by a client.
        """
        if self._rest is None:
            raise ConfigurationError("The server kit has not been started; give it to an MParticle client first")
        return self._rest

    @property
    def instance(self) -> object:
        """The REST client."""
        return self.rest

    # -- many users ---------------------------------------------------------------------------------------------
    def for_user(self, identities: Mapping[IdentityType, str | None], mpid: int | str | None = None) -> ServerUser:
        """One user of many.

        Args:
            identities: Who it is. Those that are profile fields (the email) are sent when they change.
            mpid: The user's MPID, for connections that use it as external id.
        """
        hidden = self._filters.hidden_identities
        seen = {kind: value for kind, value in identities.items() if value and kind.number not in hidden}
        return self._user(seen, mpid, None, self._filters)

    def _user(
        self,
        identities: Mapping[IdentityType, str],
        mpid: int | str | None,
        stored: StoredProfile | None,
        filters: UserFilters,
    ) -> ServerUser:
        def make_batch(refuse: Any) -> UserBatch:
            batch = UserBatch(
                self.settings, refuse, identities=identities, mpid=mpid, stored=stored, time=self._clock.time
            )
            if self._profiles is not None and stored is None:
                known = self._profiles.load(batch.external_id)
                batch.stored = StoredProfile(known.attributes, {**known.identities, **batch.stored.identities})
            return batch

        return ServerUser(make_batch, self._send, filters)

    def _send(self, outcome: Outcome) -> None:
        self._report(outcome.refusals)
        if self._profiles is not None and outcome.changes is not None:
            self._profiles.save(outcome.changes)
        external_id, objects = outcome.external_id, outcome.objects
        attributes = objects.attributes
        if self._deltas is not None and external_id is not None:
            changed = [self._deltas.changed(external_id, item) for item in attributes]
            attributes = [item for item in changed if item.keys() - {"external_id"}]
        if not (attributes or objects.events or objects.purchases):
            return
        result = self.rest.track(attributes=attributes, events=objects.events, purchases=objects.purchases)
        offered = len(attributes) + len(objects.events) + len(objects.purchases)
        if self._deltas is not None and result.queued < offered:
            self._deltas.forget(external_id)

    def _report(self, refusals: Sequence[tuple[str, str]]) -> None:
        for (key, why), count in Counter(refusals).items():
            if key == "user":
                message = "Calls for a user without an external id are not sent"
                self._reporter.report("anonymous_not_sent", message, count=count)
            else:
                reason = why if why.startswith(("its ", "one ")) else f"it {why}"
                self._reporter.report("value_refused", f"{key!r} is not sent: {reason}", key=key, count=count)

    # -- the current user ---------------------------------------------------------------------------------------
    def _switch(self, user: User | None) -> None:
        identities = dict(user.identities) if user is not None else {}
        stored = StoredProfile(dict(user.attributes) if user is not None else {}, dict(identities))
        self._current = self._user(identities, user.mpid if user is not None else None, stored, UserFilters())

    def _for_current(self) -> ServerUser:
        if self._current is None:
            self._switch(None)
        current = self._current
        assert current is not None  # noqa: S101 - _switch sets it
        return current

    def log_event(self, event: Event) -> None:
        """A custom event of the current user."""
        self._for_current().log_event(event, self._session_id())

    def log_screen(self, screen: ScreenView) -> None:
        """A screen view of the current user."""
        self._for_current().log_screen(screen, self._session_id())

    def log_commerce_event(self, event: CommerceEvent) -> None:
        """A commerce event of the current user."""
        self._for_current().log_commerce_event(event)

    def on_user_attribute_set(self, user: User | None, key: str, value: Any) -> None:  # noqa: ARG002 - the contract's
        """A scalar attribute of the current user."""
        self._for_current().set_attribute(key, value)

    def on_user_attribute_list_set(self, user: User | None, key: str, values: Sequence[Any]) -> None:  # noqa: ARG002  # the contract names it
        """A list attribute of the current user."""
        self._for_current().set_attribute(key, list(values))

    def on_user_tag_set(self, user: User | None, key: str) -> None:  # noqa: ARG002 - the contract's
        """A tag of the current user."""
        self._for_current().set_tag(key)

    def on_user_attribute_incremented(
        self,
        user: User | None,  # noqa: ARG002 - the contract's
        key: str,
        by: int | float,
        total: int | float | None,  # noqa: ARG002 - Braze adds itself
    ) -> None:
        """An increment for the current user."""
        self._for_current().increment(key, by)

    def on_user_attribute_removed(self, user: User | None, key: str, *, was_set: bool) -> None:  # noqa: ARG002  # the contract names it
        """A removal for the current user."""
        self._for_current().set_attribute(key, None)

    def on_identity_completed(
        self,
        operation: IdentityOperation,  # noqa: ARG002 - the contract's
        user: User,
        identities: Mapping[IdentityType, str | None],
    ) -> None:
        """Another current user, or other identities of the same."""
        current = self._for_current()
        if current.batch.mpid == user.mpid:
            current.identify(identities)
        else:
            current.end()
            self._switch(user)

    def on_opt_out(self, opted_out: bool) -> None:
        """The current user's opt-out."""
        self._for_current().set_opt_out(opted_out)

    def on_push_token(self, token: str) -> bool:
        """The current user's push token; taken when the app identifier key is set."""
        if self.settings.api_key is None:
            return False
        self._for_current().set_push_token(token)
        return True

    def on_session_start(self) -> None:
        """The client's session began."""
        self._log_session(self._sessions.current, start=True)

    def on_session_end(self) -> None:
        """The client's session ended, at the time of its last activity."""
        self._log_session(self._sessions.ended, start=False)

    def _log_session(self, session: Session | None, *, start: bool) -> None:
        if session is None:
            self._for_current().log_session(start=start)
        else:
            moment = session.start if start else session.end
            self._for_current().log_session(start=start, session_id=session.id, timestamp=moment)

    def _session_id(self) -> str | None:
        session = self._sessions.current if self.settings.forward_session_events else None
        return None if session is None else session.id

    # -- delivery -----------------------------------------------------------------------------------------------
    def flush(self, timeout: float | None = None) -> FlushResult | None:
        """End the current user's batch and send what is queued."""
        if self._rest is None:
            return None
        self._for_current().end()
        return self._rest.flush(timeout)

    def close(self, timeout: float) -> FlushResult | None:
        """Flush and release threads and files."""
        if self._rest is None:
            return None
        self._for_current().end()
        return self._rest.close(timeout)

    def clear(self) -> int:
        """Discard what is queued."""
        if self._rest is None:
            return 0
        discarded = self._rest.clear()
        if self._deltas is not None:
            self._deltas.forget()
        return discarded

    def stats(self) -> DeliveryStats | None:
        """Delivery figures."""
        return self._rest.stats() if self._rest is not None else None
