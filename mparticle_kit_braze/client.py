"""``MParticle``, the facade: one method for each call of mParticle's clients, snake_case and camelCase.

Owns what concerns all kits: checking and copying arguments, the current user, opt-out, and the life of the
client. Where calls go from here is the kit manager's.
"""

from __future__ import annotations

import datetime as dt
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, cast, overload

from .clock import SYSTEM_CLOCK, Clock
from .commerce import CommerceEvent
from .consent import ConsentState, answer_change, removal_change
from .delivery import FlushResult
from .diagnostics import Problem, Reporter
from .errors import ClosedError, ConfigurationError, InvalidArgumentError
from .events import EventType, ScreenView, owned_event
from .identity import IdentityRequest, IdentityResolver, IdentityResult, Operation, User, alias_of
from .kits.configuration import KitConfiguration
from .kits.coordinator import Coordinator
from .kits.kit import Kit
from .kits.manager import KitManager
from .kits.sessions import Session
from .kits.statistics import ClientStats
from .storage import Storage
from .values import check_name, check_number, check_timestamp, copy_attributes, copy_value, describe

if TYPE_CHECKING:
    from typing_extensions import Self

    from .kits.remote import ClientConfiguration, RemoteConfiguration
    from .kits.reports import ForwardingListener
    from .kits.user_handle import UserHandle

__all__ = ["MParticle"]

DEFAULT_CLOSE_TIMEOUT = 5.0

Identities = IdentityRequest | Mapping[Any, str | None]


class MParticle:
    """A client that hands every call to every kit. Safe to use from several threads and after ``fork``.

    Args:
        kits: Where the calls go; at least one :class:`~mparticle_kit_braze.Kit`.
        storage: A directory for the queue and the users; ``None`` for the user's data directory, ``":memory:"``
            for nothing on disk. Several processes may share one.
        environment: ``"production"`` or ``"development"``.
        session_timeout: Seconds without a call after which a session ends (web: 1800).
        on_error: Called with each :class:`~mparticle_kit_braze.Problem`: refused values, dropped records, failing
            kits. It runs on the thread that noticed.
        on_delivery: Called by kits that deliver, with what each request settled.
        resolver: Turns identities into an MPID; by default on this machine, remembered in ``storage``. An
            :class:`~mparticle_kit_braze.IDSyncResolver` asks mParticle.
        remote_configuration: Where kit configurations are fetched while the client runs; ``None`` for nowhere.
        clock: Where the time comes from; another one is for tests.

    Raises:
        ConfigurationError: There is no kit, or a setting is malformed.
    """

    def __init__(
        self,
        kits: Iterable[Kit] = (),
        *,
        storage: str | os.PathLike[str] | None = None,
        environment: Literal["production", "development"] = "production",
        session_timeout: float = 1800,
        on_error: Callable[[Problem], object] | None = None,
        on_delivery: Callable[..., object] | None = None,
        resolver: IdentityResolver | None = None,
        remote_configuration: RemoteConfiguration | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        check_settings(environment, session_timeout, {"on_error": on_error, "on_delivery": on_delivery})
        self._closed = False
        self._close_result = FlushResult()
        self._reporter = Reporter(on_error)
        opened = Storage.open(storage, self._reporter)
        self._kits = KitManager(
            cast("Sequence[Kit]", kits),
            storage=opened,
            reporter=self._reporter,
            environment=environment,
            session_timeout=float(session_timeout),
            on_delivery=on_delivery,
        )
        self._state = Coordinator(
            self._kits,
            storage=opened,
            reporter=self._reporter,
            resolver=resolver,
            session_timeout=float(session_timeout),
            clock=clock,
            environment=environment,
        )
        self._sessions = self._state.sessions
        # The machine's clock without the call around it: log_event looks at it every time.
        self._time: Callable[[], float] = time.time if clock is SYSTEM_CLOCK else clock.time
        self._state.on_released = self._look_again
        self._refusing = True
        """Closed, opted out or waiting for the first user: one look on the hot path."""
        self._remote = remote_configuration
        if remote_configuration is not None:
            kit_ids = self._kits.kit_ids()
            kept = remote_configuration.open(opened, self._reporter, environment=environment, kit_ids=kit_ids)
            if kept is not None:
                self._state.prepare(kept.kits, kept.session_timeout)
        self._state.start()
        self._look_again()
        if remote_configuration is not None:
            remote_configuration.start(self._take_configuration)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ, **settings: Any) -> Self:
        """A client with a Braze kit, set up from the environment.

        Reads ``BRAZE_API_KEY`` and ``BRAZE_SDK_ENDPOINT`` (both needed), ``BRAZE_PROFILE`` (``native``, ``android``,
        ``ios`` or ``web``), ``MPARTICLE_STORAGE`` and ``MPARTICLE_ENVIRONMENT``.

        Args:
            environ: The environment to read.
            **settings: Further arguments of :class:`MParticle`; they win over the environment.

        Raises:
            ConfigurationError: A variable is missing or malformed.
        """
        from .braze_kit import BrazeKit  # noqa: PLC0415  # only this convenience knows a particular kit

        missing = [name for name in ("BRAZE_API_KEY", "BRAZE_SDK_ENDPOINT") if not environ.get(name)]
        if missing:
            raise ConfigurationError(f"set {' and '.join(missing)} in the environment")
        profile: Any = environ.get("BRAZE_PROFILE") or "native"
        kit = BrazeKit(environ["BRAZE_API_KEY"], environ["BRAZE_SDK_ENDPOINT"], profile=profile)
        names = {"storage": "MPARTICLE_STORAGE", "environment": "MPARTICLE_ENVIRONMENT"}
        found = {setting: environ[name] for setting, name in names.items() if environ.get(name)}
        return cls([kit], **{**found, **settings})

    @classmethod
    def from_configuration(
        cls, configurations: Iterable[KitConfiguration | Mapping[str, Any]], **settings: Any
    ) -> Self:
        """A client with the kits that a configuration from mParticle lists, the Braze kit and installed ones.

        Args:
            configurations: The list, as mParticle serves it (``eks`` or ``kitConfigs``); see
                :func:`~mparticle_kit_braze.create_kits`.
            **settings: Further arguments of :class:`MParticle`.

        Raises:
            ConfigurationError: A configuration is malformed, or lists no kit that is here.
        """
        from .discovery import create_kits  # noqa: PLC0415  # only this convenience looks for kits

        return cls(create_kits(configurations), **settings)

    # -- events -------------------------------------------------------------------------------------------------
    def log_event(
        self,
        name: str,
        event_type: EventType | int = EventType.OTHER,
        attributes: Mapping[str, Any] | None = None,
        *,
        timestamp: float | dt.datetime | None = None,
    ) -> None:
        """Log a custom event.

        Args:
            name: Its name, not empty.
            event_type: An :class:`EventType` or its number.
            attributes: Attributes by name; copied. Each kit decides which values it can send.
            timestamp: When it happened: seconds since the epoch or a date-time; ``None`` for now.

        Raises:
            InvalidArgumentError: An argument is of the wrong type, or the name empty.
            ClosedError: The client is closed.
        """
        if name.__class__ is not str or not name:
            name = check_name(name, "event name")
        if event_type.__class__ is not EventType:
            event_type = EventType.of(event_type)
        copied = copy_attributes(attributes)
        seconds = None if timestamp is None else check_timestamp(timestamp)
        if self._refusing and (
            self._refuses("event")
            or self._state.keep_event("log_event", name, event_type, copied, seconds or self._time())
        ):
            return
        sessions = self._sessions
        if not sessions.calm_since <= self._time() < sessions.calm_until:
            sessions.activity()
        self._kits.log_event(owned_event(name, event_type, copied, seconds))

    def log_screen(
        self, name: str, attributes: Mapping[str, Any] | None = None, *, timestamp: float | dt.datetime | None = None
    ) -> None:
        """Log a view of a screen or page; arguments and errors as :meth:`log_event`."""
        name, copied, seconds = check_name(name, "screen name"), copy_attributes(attributes), check_timestamp(timestamp)
        if self._refusing and (
            self._refuses("screen view") or self._state.keep_event("log_screen", name, copied, seconds or self._time())
        ):
            return
        self._sessions.touch()
        self._kits.log_screen(ScreenView(name, copied, seconds))

    def log_commerce_event(self, event: CommerceEvent) -> None:
        """Log a commerce event.

        Raises:
            InvalidArgumentError: It is no :class:`CommerceEvent`.
            ClosedError: The client is closed.
        """
        if not isinstance(event, CommerceEvent):
            raise InvalidArgumentError(f"event must be a CommerceEvent, not {describe(event)}")
        if self._refusing and (
            self._refuses("commerce event")
            or self._state.keep_event("log_commerce_event", event, event.timestamp or self._time())
        ):
            return
        self._sessions.touch()
        self._kits.log_commerce_event(event)

    # -- user attributes ----------------------------------------------------------------------------------------
    def set_user_attribute(self, key: str, value: Any) -> None:
        """Set an attribute of the current user.

        Args:
            key: Its name, not empty; ``$FirstName`` and the like are mParticle's reserved ones.
            value: A scalar; a list or tuple sets a list; ``None`` clears.

        Raises:
            InvalidArgumentError: The key is no text or empty.
            ClosedError: The client is closed.
        """
        key = check_name(key, "user attribute key")
        if isinstance(value, list | tuple):
            self.set_user_attribute_list(key, value)
            return
        copied = copy_value(value)
        if not (self._refusing and self._refuses("user attribute")):
            self._touch()
            self._state.set_attribute(key, copied)

    def set_user_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Set several attributes, each as :meth:`set_user_attribute`; nothing is set if one key is wrong."""
        copied = copy_attributes(attributes, "user attributes")
        for key in copied:
            check_name(key, "user attribute key")
        self._refuses_when_closed()
        for key, value in copied.items():
            self.set_user_attribute(key, value)

    def set_user_attribute_list(self, key: str, values: Sequence[Any]) -> None:
        """Set a list attribute.

        Raises:
            InvalidArgumentError: The key is no text or empty, or ``values`` neither a list nor a tuple.
            ClosedError: The client is closed.
        """
        key = check_name(key, "user attribute key")
        if not isinstance(values, list | tuple):
            raise InvalidArgumentError(f"a list attribute must be a list or tuple, not {describe(values)}")
        copied = tuple(copy_value(list(values)))
        if not (self._refusing and self._refuses("user attribute")):
            self._touch()
            self._state.set_attribute_list(key, copied)

    def set_user_tag(self, tag: str) -> None:
        """Set a tag, an attribute without a value; errors as :meth:`set_user_attribute`."""
        tag = check_name(tag, "user tag")
        if not (self._refusing and self._refuses("user tag")):
            self._touch()
            self._state.set_tag(tag)

    def remove_user_attribute(self, key: str) -> None:
        """Remove an attribute, list or tag; errors as :meth:`set_user_attribute`. Works for opted-out users too."""
        key = check_name(key, "user attribute key")
        self._refuses_when_closed()
        self._state.remove_attribute(key)

    def increment_user_attribute(self, key: str, by: int | float = 1) -> None:
        """Add to an attribute; one that is not there counts as 0. Not refused for opted-out users (as Android).

        Args:
            key: Its name, not empty.
            by: A finite number, negative to subtract.

        Raises:
            InvalidArgumentError: The key is no text or empty, or ``by`` no finite number.
            ClosedError: The client is closed.
        """
        key = check_name(key, "user attribute key")
        by = check_number(by, "increment")
        self._refuses_when_closed()
        self._state.increment_attribute(key, by)

    # -- identity -----------------------------------------------------------------------------------------------
    @property
    def current_user(self) -> User | None:
        """The current user, read-only; ``None`` only with a resolver that has not named one yet."""
        return self._state.user

    def identify(self, request: Identities | None = None, **identities: str | None) -> User | None:
        """Say who the user is; without identities the device's anonymous user.

        Args:
            request: Identities by type, as an :class:`IdentityRequest` or a mapping.
            **identities: The same by snake_case name: ``identify(customer_id="ada-1815", email="ada@example.com")``.

        Returns:
            The current user after the call. With a resolver that asks a server the user stays until its answer has
            come; ``on_success`` of the request and identity listeners are told then.

        Raises:
            InvalidArgumentError: An identity type is unknown, or a value is neither text nor ``None``.
            ClosedError: The client is closed.
        """
        return self._change_identity("identify", request, identities)

    def login(self, request: Identities | None = None, **identities: str | None) -> User | None:
        """The user logged in; arguments and errors as :meth:`identify`."""
        return self._change_identity("login", request, identities)

    def logout(self, request: Identities | None = None, **identities: str | None) -> User | None:
        """The user logged out; usually without identities. Arguments and errors as :meth:`identify`."""
        return self._change_identity("logout", request, identities)

    def modify(self, request: Identities | None = None, **identities: str | None) -> User | None:
        """Change identities of the current user without changing who it is; ``None`` removes one."""
        return self._change_identity("modify", request, identities)

    def alias_users(
        self,
        source: User | int,
        destination: User | int,
        *,
        start: float | dt.datetime | None = None,
        end: float | dt.datetime | None = None,
    ) -> bool:
        """Say that what one user did was done by another, such as a device's anonymous user by the one who logged in.

        Args:
            source: The user, or MPID, whose data is to be moved.
            destination: Whom it belongs to.
            start: From when on; ``None`` for as far back as mParticle goes, 90 days.
            end: Until when; ``None`` for now.

        Returns:
            Whether the resolver took it on; its outcome is known later. The local resolver lets the source's
            identities lead to the destination.

        Raises:
            InvalidArgumentError: The users are the same or none, or the times are not in order or too long ago.
            ClosedError: The client is closed.
        """
        alias = alias_of(source, destination, check_timestamp(start), check_timestamp(end), self._time())
        self._refuses_when_closed()
        return self._state.alias_users(alias)

    def add_identity_listener(self, listener: Callable[[IdentityResult], object]) -> None:
        """Have a callback told of every identity call that succeeds, after the kits.

        Raises:
            InvalidArgumentError: It is not callable.
        """
        if not callable(listener):
            raise InvalidArgumentError(f"listener must be callable, not {describe(listener)}")
        identification = self._state.identification
        identification.listeners = (*identification.listeners, listener)

    def remove_identity_listener(self, listener: Callable[[IdentityResult], object]) -> None:
        """Tell a callback no more; one that was never added is no error."""
        identification = self._state.identification
        identification.listeners = tuple(known for known in identification.listeners if known != listener)

    # -- consent, opt-out, push ---------------------------------------------------------------------------------
    @overload
    def set_consent(self, regulation: ConsentState) -> None: ...

    @overload
    def set_consent(
        self,
        regulation: str,
        purpose: str | None = None,
        consented: bool | None = None,
        *,
        timestamp: float | dt.datetime | None = None,
        document: str | None = None,
        location: str | None = None,
        hardware_id: str | None = None,
    ) -> None: ...

    def set_consent(
        self,
        regulation: ConsentState | str,
        purpose: str | None = None,
        consented: bool | None = None,
        **details: Any,
    ) -> None:
        """Set the current user's answer for one purpose, or the whole consent state.

        Args:
            regulation: ``"gdpr"`` or ``"ccpa"``, or a whole :class:`ConsentState` to replace everything.
            purpose: The GDPR purpose, such as ``"marketing"``; case and outer spaces do not count. CCPA has only
                ``"data_sale_opt_out"``, which may be left out.
            consented: The answer; for CCPA true means opted *out* of the sale of data.
            **details: ``timestamp``, ``document``, ``location``, ``hardware_id`` of the answer.

        Raises:
            InvalidArgumentError: The regulation or purpose is unknown, or a type is wrong.
            ClosedError: The client is closed.
        """
        if isinstance(regulation, ConsentState):
            self._refuses_when_closed()
            self._state.change_consent("state", regulation.to_json())
            return
        answer_change(regulation, purpose, consented, details)  # a wrong call raises, also on a closed client
        self._refuses_when_closed()
        self._state.change_consent("answer", regulation, purpose, consented, details)

    def remove_consent(self, regulation: str | None = None, purpose: str | None = None) -> None:
        """Remove the answer for one purpose, all of a regulation, or (without arguments) all there is.

        Errors as :meth:`set_consent`.
        """
        removal_change(regulation, purpose)  # a wrong call raises, also on a closed client
        self._refuses_when_closed()
        self._state.change_consent("removal", regulation, purpose)

    def set_opt_out(self, opted_out: bool, *, erase: bool = False) -> None:
        """Opt the user out of everything, or in again; remembered. Events and attributes are refused meanwhile.

        Args:
            opted_out: Out or in.
            erase: With ``True``, discard what is queued or set aside in the kits that run; else it is still delivered.

        Raises:
            InvalidArgumentError: An argument is no bool, or ``erase`` goes with opting in.
            ClosedError: The client is closed.
        """
        for name, value in {"opted_out": opted_out, "erase": erase}.items():
            if not isinstance(value, bool):
                raise InvalidArgumentError(f"{name} must be a bool, not {describe(value)}")
        if erase and not opted_out:
            raise InvalidArgumentError("erase goes with opting out only")
        self._refuses_when_closed()
        self._refusing = True  # until it has been decided
        self._state.set_opt_out(opted_out, erase=erase)
        self._look_again()

    def set_push_token(self, token: str) -> bool:
        """Hand a push token to the kits, those that start later included; true if a kit took it."""
        token = check_name(token, "push token")
        self._refuses_when_closed()
        if not self._state.opted_out:
            self._touch()
        return self._kits.set_push_token(token)

    # -- sessions -----------------------------------------------------------------------------------------------
    @property
    def current_session(self) -> Session | None:
        """The session that lasts; ``None`` before the first call that begins one, and once it has lapsed.

        Events, screens, commerce events, user attributes and push tokens begin a session or keep it; kits that run
        hear of its start and end. One that a crash left open is ended at the next start.
        """
        return self._sessions.current

    def enter_background(self) -> None:
        """The app went to the background: unless it comes back, its session lapses ``session_timeout`` from now."""
        self._refuses_when_closed()
        self._state.enter_background()

    def enter_foreground(self) -> None:
        """The app came to the foreground: a session begins unless one lasts."""
        self._refuses_when_closed()
        self._state.enter_foreground()

    # -- kits ---------------------------------------------------------------------------------------------------
    def for_user(
        self, request: Identities | None = None, *, mpid: int | str | None = None, **identities: str | None
    ) -> UserHandle:
        """A handle with this client's methods for one of many users; the current user is not touched.

        Only kits that serve many users (the server kit) get its calls. Light enough for one a web request.

        Args:
            request: Identities by type, as for :meth:`identify`.
            mpid: The user's MPID, where that is what the kit identifies users by.
            **identities: The same by snake_case name.

        Raises:
            InvalidArgumentError: An identity type is unknown, or a value is neither text nor ``None``.
            ConfigurationError: No running kit serves many users.
            ClosedError: The client is closed.
        """
        from .kits.user_handle import UserHandle  # noqa: PLC0415  # apps with one user never need it

        self._refuses_when_closed()
        if isinstance(request, IdentityRequest):
            request = request.identities
        users = self._kits.for_user(IdentityRequest(request, **identities).identities, mpid)  # type: ignore[arg-type]
        if not users:
            raise ConfigurationError("no running kit serves many users; add a BrazeServerKit")
        return UserHandle(users, self._reporter, self._refuses_when_closed)

    def kit(self, name: str) -> Any:
        """The destination's own object of a kit: for ``"Braze"`` the ``Braze`` client.

        Raises:
            InvalidArgumentError: There is no kit of that name.
        """
        return self._kits.find(name).instance

    def kit_is_active(self, name: str) -> bool:
        """Whether calls reach a kit now: it is started, and no rule keeps it off.

        Raises:
            InvalidArgumentError: There is no kit of that name.
        """
        return self._kits.is_active(name)

    def add_forwarding_listener(self, listener: ForwardingListener) -> None:
        """Have a callback told what every kit gets of every call, what not, and why; for tests and inspectors.

        Args:
            listener: Called with a :class:`~mparticle_kit_braze.ForwardingReport` for each kit and call, on the
                caller's thread, before the kit gets the call.

        Raises:
            InvalidArgumentError: It is not callable.
        """
        if not callable(listener):
            raise InvalidArgumentError(f"listener must be callable, not {describe(listener)}")
        self._kits.add_listener(listener)

    def remove_forwarding_listener(self, listener: ForwardingListener) -> None:
        """Tell a callback no more; one that was never added is no error."""
        self._kits.remove_listener(listener)

    def apply_configuration(self, configurations: Sequence[KitConfiguration | Mapping[str, Any]]) -> None:
        """Apply kit configurations while running; kits are updated, started and stopped as they say.

        Args:
            configurations: The whole list, as mParticle serves it (``eks`` or ``kitConfigs``). A kit with an id of
                mParticle's (1 to 999999) that is not in it gets no more calls.

        Raises:
            ConfigurationError: One is malformed; then none is applied.
            ClosedError: The client is closed.
        """
        if isinstance(configurations, str | bytes | Mapping) or not hasattr(configurations, "__iter__"):
            raise ConfigurationError(f"configurations must be a sequence, not {describe(configurations)}")
        parsed = [
            entry if isinstance(entry, KitConfiguration) else KitConfiguration.from_json(entry)
            for entry in configurations
        ]
        self._refuses_when_closed()
        self._state.apply(parsed)

    # -- delivery and life --------------------------------------------------------------------------------------
    def flush(self, timeout: float | None = None) -> FlushResult:
        """Send what is queued, now.

        Args:
            timeout: The most seconds to wait; ``None`` for as long as it takes.

        Returns:
            What was sent and what is kept for later.
        """
        seconds = check_timeout(timeout)
        self._refuses_when_closed()
        return self._kits.flush(seconds)

    async def aflush(self, timeout: float | None = None) -> FlushResult:  # as flush
        """As :meth:`flush`, without holding up the event loop."""
        import asyncio  # noqa: PLC0415  # most hosts never need it, and it is slow to import

        return await asyncio.to_thread(self.flush, timeout)

    def close(self, timeout: float = DEFAULT_CLOSE_TIMEOUT) -> FlushResult:
        """Flush within ``timeout`` seconds over all kits and release everything. A second call does nothing.

        What could not be sent stays in the storage directory and goes at the next start.
        """
        seconds = check_timeout(timeout)
        if self._closed:
            return self._close_result
        self._closed = self._refusing = True
        if self._remote is not None:
            self._remote.close()
        self._sessions.end()
        self._close_result = self._kits.close(DEFAULT_CLOSE_TIMEOUT if seconds is None else seconds)
        self._state.close()
        return self._close_result

    async def aclose(self, timeout: float = DEFAULT_CLOSE_TIMEOUT) -> FlushResult:  # as close
        """As :meth:`close`, without holding up the event loop."""
        import asyncio  # noqa: PLC0415  # as in aflush

        return await asyncio.to_thread(self.close, timeout)

    def clear(self) -> int:
        """Discard everything that is queued and return how many records that was."""
        self._refuses_when_closed()
        return self._kits.clear()

    def stats(self) -> ClientStats:
        """Delivery figures, gates, problems and data points; also of a closed client."""
        kits = self._kits
        return ClientStats(kits.stats(), kits.gates(), self._reporter.counts(), kits.data_points())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    # -- mParticle's own spelling -------------------------------------------------------------------------------
    logEvent = log_event  # noqa: N815  # mParticle's clients spell it so; likewise below
    logScreen = log_screen  # noqa: N815
    logPageView = log_screen  # noqa: N815  # the web's name
    logCommerceEvent = log_commerce_event  # noqa: N815
    setUserAttribute = set_user_attribute  # noqa: N815
    setUserAttributes = set_user_attributes  # noqa: N815
    setUserAttributeList = set_user_attribute_list  # noqa: N815
    setUserTag = set_user_tag  # noqa: N815
    removeUserAttribute = remove_user_attribute  # noqa: N815
    incrementUserAttribute = increment_user_attribute  # noqa: N815
    currentUser = current_user  # noqa: N815
    setConsent = set_consent  # noqa: N815
    removeConsent = remove_consent  # noqa: N815
    setOptOut = set_opt_out  # noqa: N815
    setPushToken = set_push_token  # noqa: N815
    currentSession = current_session  # noqa: N815
    enterBackground = enter_background  # noqa: N815
    enterForeground = enter_foreground  # noqa: N815
    aliasUsers = alias_users  # noqa: N815
    addIdentityStateListener = add_identity_listener  # noqa: N815  # Android's name; the next as well
    removeIdentityStateListener = remove_identity_listener  # noqa: N815
    forUser = for_user  # noqa: N815
    applyConfiguration = apply_configuration  # noqa: N815

    # -- inside -------------------------------------------------------------------------------------------------
    def _refuses_when_closed(self) -> None:
        if self._closed:
            raise ClosedError("this client has been closed; make a new MParticle")

    def _look_again(self) -> None:
        """Decide what one look on the hot path says."""
        self._refusing = self._closed or self._state.opted_out or self._state.waiting

    def _take_configuration(self, configuration: ClientConfiguration) -> None:
        """A configuration from the server, on its thread."""
        if not self._closed:
            self._state.apply(configuration.kits, configuration.session_timeout)

    def _touch(self) -> None:
        """Begin a session or keep it, unless the call waits for the first user and begins one then."""
        if not self._state.waiting:
            self._sessions.touch()

    def _refuses(self, what: str) -> bool:
        """Raise if closed; report and return true if the user opted out."""
        self._refuses_when_closed()
        if self._state.opted_out:
            self._reporter.report("opted_out", f"A {what} was refused because the user opted out", key=what)
            self._kits.refused(what)
        return self._state.opted_out

    def _change_identity(
        self, operation: Operation, request: Identities | None, names: Mapping[str, str | None]
    ) -> User | None:
        if not isinstance(request, IdentityRequest):
            request = IdentityRequest(request, **names)  # type: ignore[arg-type]  # names that are none raise
        elif names:
            merged = IdentityRequest(request.identities, **names)  # type: ignore[arg-type]  # as above
            merged.on_success, merged.on_failure = request.on_success, request.on_failure
            request = merged
        self._refuses_when_closed()
        return self._state.change_identity(operation, request)


# -- checks ---------------------------------------------------------------------------------------------------------


def check_settings(environment: object, session_timeout: object, callbacks: Mapping[str, object]) -> None:
    """The client's own settings; :raises ConfigurationError: naming the one that is wrong."""
    if environment not in ("production", "development"):
        raise ConfigurationError(f"environment must be 'production' or 'development', not {environment!r}")
    if (
        isinstance(session_timeout, bool)
        or not isinstance(session_timeout, int | float)
        or not (0 < session_timeout < math.inf)
    ):
        raise ConfigurationError(f"session_timeout must be a positive number of seconds, not {session_timeout!r}")
    for name, callback in callbacks.items():
        if callback is not None and not callable(callback):
            raise ConfigurationError(f"{name} must be callable, not {describe(callback)}")


def check_timeout(timeout: object) -> float | None:
    """A time-out in seconds, or ``None``; :raises InvalidArgumentError: if negative or no number."""
    if timeout is None:
        return None
    seconds = check_number(timeout, "timeout")
    if seconds < 0:
        raise InvalidArgumentError(f"timeout must be 0 or more seconds, not {seconds}")
    return float(seconds)
