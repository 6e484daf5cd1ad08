"""The state all kits share: the current user, the opt-out, the gates; kept in step with what kits are told.

A change is stored and the gates are judged at once; what kits are told of it goes through a turnstile, so that
they hear of changes one at a time and in order.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..clock import Clock
from ..commerce import CommerceEvent
from ..consent import consent_change
from ..diagnostics import Reporter
from ..events import EventType, ScreenView, owned_event
from ..identity import Alias, IdentityRequest, IdentityResolver, LocalResolver, Operation, User
from ..storage import Storage
from ..users import UserStore
from .configuration import KitConfiguration
from .identification import Change, Identification
from .manager import KitManager
from .sessions import SessionKeeper
from .turnstile import Turnstile

if TYPE_CHECKING:
    from .remote import ClientConfiguration
    from .waiting import WaitingRoom

__all__ = ["Coordinator"]

WORKS_OPTED_OUT = frozenset({"remove_attribute", "increment_attribute", "change_consent"})
"""Calls that are not refused for opted-out users, and begin no session."""


class Coordinator:
    """Keeps users and kits in step.

    Args:
        kits: The kits.
        storage: Where users, identities and the opt-out are remembered.
        reporter: Where problems go.
        resolver: Turns identities into an MPID; ``None`` for the local one.
        session_timeout: Seconds without a call after which a session has lapsed.
        clock: Where the time comes from.
        environment: ``"production"`` or ``"development"``.

    Attributes:
        opted_out: Whether the user opted out.
        collects_opted_out: Whether calls of users who opted out still go to the kits that do not honour it.
        sessions: The client's sessions.
        identification: Carries out identity calls.
        on_released: Called when calls need not wait for the first user any more.
    """

    def __init__(
        self,
        kits: KitManager,
        *,
        storage: Storage,
        reporter: Reporter,
        resolver: IdentityResolver | None,
        session_timeout: float,
        clock: Clock,
        environment: str,
    ) -> None:
        self._kits = kits
        self._storage = storage
        self._reporter = reporter
        self._values = storage.key_values("client")
        self._users = UserStore(self._values)
        self._identities = storage.key_values("identities")
        self._room = None if resolver is None else waiting_room(storage, reporter)
        kits.local_mpids = resolver is None
        self._turn = Turnstile()
        self._time = clock.time
        self._begun = False
        self._replaying: int | None = None
        """The thread that makes calls that have waited: those must not wait again."""
        self.on_released: Callable[[], object] = lambda: None
        self.identification: Identification = Identification(
            self._users,
            resolver,
            LocalResolver(self._identities),
            reporter=reporter,
            run=self._turn.run,
            on_completed=self._identified,
        )
        open_resolver: Any = getattr(resolver, "open", None)
        if open_resolver is not None:
            open_resolver(storage, reporter, environment)
        self.opted_out: bool = self._values.get("opted_out") is True
        self.collects_opted_out: bool = False
        self.sessions: SessionKeeper = SessionKeeper(
            self._values,
            time=clock.time,
            timeout=session_timeout,
            mpid=lambda: None if self._users.current is None else self._users.current.mpid,
            run=self._in_turn,
            on_start=kits.session_started,
            on_end=kits.session_ended,
        )
        kits.sessions = self.sessions

    @property
    def user(self) -> User | None:
        """The current user."""
        return self._users.current

    @property
    def refuses(self) -> bool:
        """Whether calls are refused because the user opted out."""
        return self.opted_out and not self.collects_opted_out

    def start(self) -> None:
        """Find out who the user is and start the kits whose gate is open."""
        self._turn.run(self._begin)

    def close(self) -> None:
        """End the resolver's work and close the files."""
        self.identification.close()
        end: Any = getattr(self.identification.resolver, "close", None)
        if end is not None:
            end()
        self._values.close()
        self._identities.close()
        if self._room is not None:
            self._room.close()

    # -- before the first user ----------------------------------------------------------------------------------
    @property
    def waiting(self) -> bool:
        """Whether calls must wait for the first user."""
        return self._room is not None and self._room.waiting

    @property
    def calls_kept(self) -> int:
        """How many calls wait for the first user."""
        return 0 if self._room is None else len(self._room)

    def keep_event(self, call: str, *arguments: Any) -> bool:
        """Keep an event, screen view or commerce event until there is a user; false if there is one."""
        return self._waits(call, *arguments)

    def _waits(self, call: str, *arguments: Any) -> bool:
        room = self._room
        if room is None or not room.waiting or self._replaying == threading.get_ident():
            return False
        if room.forked():  # the answer that the parent awaits will not come here
            self._turn.run(self.identification.begin)
        return room.keep(call, arguments)

    def _release(self) -> None:
        """Make the calls that wait; once there are none left, and all they led to has been told, none waits any more.

        Runs in turn, and again behind what the calls put into the turnstile.
        """
        if self._room is None:
            return
        if self._room.release(self._replay):
            self.on_released()
        else:
            self._turn.run(self._release)

    def _replay(self, call: str, arguments: list[Any]) -> None:
        """Make a call that has waited."""
        replays: dict[str, Callable[..., object]] = {
            "log_event": self._log_event,
            "log_screen": self._log_screen,
            "log_commerce_event": self._log_commerce_event,
            "set_attribute": self.set_attribute,
            "set_attribute_list": self.set_attribute_list,
            "set_tag": self.set_tag,
            "remove_attribute": self.remove_attribute,
            "increment_attribute": self.increment_attribute,
            "change_consent": self.change_consent,
        }
        replay = replays.get(call)
        if replay is None or (self.refuses and call not in WORKS_OPTED_OUT):
            return
        self._replaying = threading.get_ident()
        try:
            if call not in WORKS_OPTED_OUT:
                self.sessions.touch()
            replay(*arguments)
        except Exception as error:  # noqa: BLE001  # a note on disk may have been edited; the others must be made
            self._reporter.report("waiting_failed", f"A {call} that waited raised {type(error).__name__}", key=call)
        finally:
            self._replaying = None

    def _in_turn(self, action: Callable[[], None]) -> None:
        """Run an action in turn. A call that has waited is made in turn: what it leads to comes before the next one."""
        thread = threading.get_ident()
        if self._replaying != thread:
            self._turn.run(action)
            return
        self._replaying = None  # what kits call back with waits
        try:
            action()
        finally:
            self._replaying = thread

    def _log_event(self, name: str, event_type: int, attributes: dict[str, Any], timestamp: float) -> None:
        self._kits.log_event(owned_event(name, EventType.of(event_type), attributes, timestamp))

    def _log_screen(self, name: str, attributes: dict[str, Any], timestamp: float) -> None:
        self._kits.log_screen(ScreenView(name, attributes, timestamp))

    def _log_commerce_event(self, event: CommerceEvent, timestamp: float) -> None:
        self._kits.log_commerce_event(replace(event, timestamp=timestamp))

    # -- sessions -----------------------------------------------------------------------------------------------
    def enter_background(self) -> None:
        """The app went to the background; its session lapses from now on."""
        self.sessions.background()
        self._turn.run(lambda: self._kits.application_moved(foreground=False))

    def enter_foreground(self) -> None:
        """The app came to the foreground, which begins a session unless one lasts."""
        if not (self.refuses or self.waiting):
            self.sessions.activity()
        self._turn.run(lambda: self._kits.application_moved(foreground=True))

    # -- attributes ---------------------------------------------------------------------------------------------
    def set_attribute(self, key: str, value: Any) -> None:
        """Remember a scalar attribute (``None`` forgets it) and tell the kits."""
        if self._waits("set_attribute", key, value):
            return
        user = self._users.current
        if value is None:
            was_set = user is not None and self._users.remove_attribute(user, key)
            self._attributes_changed()
            self._kits.user_attribute_cleared(user, key, was_set=was_set)
            return
        if user is not None:
            self._users.set_attribute(user, key, value)
        self._attributes_changed()
        self._kits.user_attribute_set(user, key, value)

    def set_attribute_list(self, key: str, values: tuple[Any, ...]) -> None:
        """Remember a list attribute and tell the kits."""
        if self._waits("set_attribute_list", key, values):
            return
        user = self._users.current
        if user is not None:
            self._users.set_attribute(user, key, values)
        self._attributes_changed()
        self._kits.user_attribute_list_set(user, key, values)

    def set_tag(self, tag: str) -> None:
        """Remember a tag and tell the kits."""
        if self._waits("set_tag", tag):
            return
        user = self._users.current
        if user is not None:
            self._users.set_attribute(user, tag, None)
        self._attributes_changed()
        self._kits.user_tag_set(user, tag)

    def remove_attribute(self, key: str) -> None:
        """Forget an attribute and tell the kits."""
        if self._waits("remove_attribute", key):
            return
        user = self._users.current
        was_set = user is not None and self._users.remove_attribute(user, key)
        self._attributes_changed()
        self._kits.user_attribute_removed(user, key, was_set=was_set)

    def increment_attribute(self, key: str, by: int | float) -> None:
        """Add to an attribute and tell the kits."""
        if self._waits("increment_attribute", key, by):
            return
        user = self._users.current
        total = by if user is None else self._users.increment_attribute(user, key, by)
        self._attributes_changed()
        self._kits.user_attribute_incremented(user, key, by, total)

    # -- identity, consent, opt-out, configuration --------------------------------------------------------------
    def change_identity(self, operation: Operation, request: IdentityRequest) -> User | None:
        """Resolve identities, then tell the kits; the current user now, who may be another once an answer has come."""
        self.identification.change(operation, request)
        return self._users.current

    def alias_users(self, alias: Alias) -> bool:
        """Hand an alias to the resolver; false if it takes none."""
        take: Any = getattr(self.identification.resolver, "alias", None)
        return take is not None and bool(take(alias))

    def change_consent(self, *steps: Any) -> None:
        """Change the current user's consent; the gates first, then the kits (as Android).

        Args:
            *steps: As for :func:`~mparticle_kit_braze.consent.consent_change`.
        """
        change = consent_change(*steps)
        if self._waits("change_consent", *steps):
            return
        user = self._users.current
        if user is None:
            self._reporter.report("no_current_user", "Consent was not stored: there is no current user yet")
            return
        old, new = self._users.change_consent(user, lambda state: change(state).stamped(self._time()))
        self._judge()

        def tell() -> None:
            self._kits.settle()
            self._kits.consent_changed(user, old, new)

        self._in_turn(tell)

    def set_opt_out(self, opted_out: bool, *, erase: bool = False) -> None:
        """Remember the opt-out; kits that it stops hear of it first, kits that start again hear of it too."""
        if opted_out:
            self.sessions.end()
        self._values.set("opted_out", opted_out)
        self.opted_out = opted_out
        self._judge()
        if erase:
            if self._room is not None:
                self._room.clear()
            self._kits.erase()  # no call adds to it any more, and what kits say of the opt-out itself comes after

        def tell() -> None:
            if not opted_out:
                self._kits.settle()
            self._kits.opt_out_changed(opted_out)
            self._kits.settle()

        self._turn.run(tell)

    def await_configuration(self) -> None:
        """Keep every kit off, and let calls wait, until there is a configuration; before the start."""
        self._room = self._room or waiting_room(self._storage, self._reporter)
        self._room.waiting = True
        self._kits.unconfigured = True

    def prepare(self, configuration: ClientConfiguration) -> None:
        """Take over a server's configuration before the kits start."""
        self._adopt(configuration)
        self._kits.apply(configuration.kits)

    def take(self, configuration: ClientConfiguration) -> None:
        """Take over a server's configuration."""
        self._adopt(configuration)
        self.apply(configuration.kits)
        self._turn.run(self._configured)

    def _adopt(self, configuration: ClientConfiguration) -> None:
        """What a server's configuration says to the client itself."""
        if configuration.session_timeout is not None:
            self.sessions.set_timeout(configuration.session_timeout)
        self.collects_opted_out = configuration.collects_opted_out
        self._kits.follow(configuration.data_plan)

    def apply(self, configurations: Sequence[KitConfiguration]) -> None:
        """Give the kits other configurations."""
        concerned = self._kits.apply(configurations)
        self._judge()

        def tell() -> None:
            self._kits.configuration_updated(concerned)
            self._kits.settle()

        self._turn.run(tell)

    # -- inside -------------------------------------------------------------------------------------------------
    def _begin(self) -> None:
        self.identification.begin()
        self._begun = True
        if self._kits.unconfigured:
            self.identification.hold()
            self._judge()
        else:
            self._open()

    def _open(self) -> None:
        """Start the kits, and hand on what has waited unless there is no user to wait for."""
        self._judge()
        self._kits.settle()
        self.sessions.recover()
        if self._room is None:
            return
        if self._users.current is None:
            self._room.waiting = self.identification.pending
        else:
            self._release()  # an earlier process may have left some

    def _configured(self) -> None:
        """The first configuration is there."""
        if self._kits.unconfigured:
            self._kits.unconfigured = False
            self._open()
            self.identification.go_on()

    def _identified(self, change: Change, user: User) -> None:
        """Someone is current after an identity call: the gates, the kits, then what has waited for a user."""
        if not self._begun:
            return  # the kits start with this user
        self.sessions.saw(user.mpid)
        self._judge()
        self._kits.settle()
        self._kits.identity_completed(change.operation, user, change.identities)
        if self.waiting and not self._kits.unconfigured:
            self._release()

    def _judge(self) -> None:
        self._kits.judge(self._users.current, opted_out=self.opted_out)

    def _attributes_changed(self) -> None:
        """Decide the gates anew if an attribute may move one; before the kits hear of it, as the web core does."""
        if self._kits.rejudges_on_attributes():
            self._judge()
            self._in_turn(self._kits.settle)


def waiting_room(storage: Storage, reporter: Reporter) -> WaitingRoom:
    """Where calls wait for the first user or configuration; only clients that ask a server for either need one."""
    from .waiting import WaitingRoom  # noqa: PLC0415  # as said

    return WaitingRoom(storage.key_values("waiting"), reporter)
