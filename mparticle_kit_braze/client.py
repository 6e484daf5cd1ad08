"""``MParticle``, the facade: one method for each call of mParticle's clients, snake_case and camelCase.

Owns the life of the client, its sessions and its kits; the calls about events, users and identities are its base
classes. Where calls go from here is the kit manager's.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, cast

from .calls import EventCalls, IdentityCalls, ManyUsersCalls, UserCalls
from .clock import SYSTEM_CLOCK, Clock
from .delivery import FlushResult
from .diagnostics import Problem, Reporter
from .errors import ConfigurationError, InvalidArgumentError
from .identity import IdentityResolver
from .kits.configuration import KitConfiguration
from .kits.coordinator import Coordinator
from .kits.kit import Kit
from .kits.manager import KitManager
from .kits.sessions import Session
from .kits.statistics import ClientStats
from .storage import Storage
from .values import check_number, describe

if TYPE_CHECKING:
    from typing_extensions import Self

    from .inspection import Inspection
    from .kits.data_plan import DataPlan
    from .kits.remote import ClientConfiguration, RemoteConfiguration
    from .kits.reports import ForwardingListener

__all__ = ["MParticle"]

DEFAULT_CLOSE_TIMEOUT = 5.0


class MParticle(EventCalls, UserCalls, IdentityCalls, ManyUsersCalls):
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
        data_plan: What may reach the kits, those that bring data to mParticle itself excepted; it counts rather than
            one of the remote configuration.
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
        data_plan: DataPlan | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        check_settings(environment, session_timeout, {"on_error": on_error, "on_delivery": on_delivery})
        self._closed = False
        self._inspection: Inspection | None = None
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
            data_plan=data_plan,
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
        self._remote = remote_configuration
        if remote_configuration is not None:
            kit_ids = self._kits.kit_ids()
            kept = remote_configuration.open(opened, self._reporter, environment=environment, kit_ids=kit_ids)
            if kept is not None:
                self._state.prepare(kept)
            elif remote_configuration.required:
                self._state.await_configuration()
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

        return cls(create_kits(configurations, environment=settings.get("environment", "production")), **settings)

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
            What was sent and what is kept for later; calls that wait for the first user are among the kept ones.
        """
        seconds = check_timeout(timeout)
        self._refuses_when_closed()
        return self._with_waiting(self._kits.flush(seconds))

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
        result = self._kits.close(DEFAULT_CLOSE_TIMEOUT if seconds is None else seconds)
        self._close_result = self._with_waiting(result)
        self._state.close()
        if self._inspection is not None:
            self._inspection.close()
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

    def inspect(self, url: str) -> Inspection:
        """Show every call, and what becomes of it, in the inspector of a sandbox. For development.

        A call costs some 0.2 ms more then, for its text is made at once, but never waits: a thread posts what was
        noted. The client's end, or ``close()`` of what is returned, ends it.

        Args:
            url: The sandbox's, ``http://127.0.0.1:8321``; only of this machine.

        Raises:
            ConfigurationError: The URL is none, or of another machine.
            ClosedError: The client is closed.
        """
        self._refuses_when_closed()
        from .inspection import Inspection  # noqa: PLC0415  # nothing of it is loaded unless it is asked for

        inspection = Inspection(url, self._kits, self._reporter, self.stats)
        if self._inspection is not None:
            self._inspection.close()
        self._inspection = inspection
        return inspection

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
    currentSession = current_session  # noqa: N815  # mParticle's clients spell it so; likewise below
    enterBackground = enter_background  # noqa: N815
    enterForeground = enter_foreground  # noqa: N815
    applyConfiguration = apply_configuration  # noqa: N815

    # -- inside -------------------------------------------------------------------------------------------------
    def _with_waiting(self, result: FlushResult) -> FlushResult:
        """Count what waits for the first user among what is kept."""
        waiting = self._state.calls_kept
        return replace(result, kept=result.kept + waiting) if waiting else result

    def _take_configuration(self, configuration: ClientConfiguration) -> None:
        """A configuration from the server, on its thread."""
        if not self._closed:
            self._state.take(configuration)
            self._look_again()


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
