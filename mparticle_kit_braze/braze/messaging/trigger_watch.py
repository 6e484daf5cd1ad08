"""Which message comes up for what the user does: the held triggers, their history, and events that wait for a fetch.

Owns the state behind :class:`InAppMessages`; says which trigger fires and leaves the rest to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ...locks import ForkSafeLock
from .context import Context
from .triggers import OPEN, TEST, History, Occurrence, Trigger, TriggerIndex, parse_triggers

__all__ = ["Firing", "TriggerWatch"]

MAX_PENDING = 500
"""Events that wait while triggers are fetched; beyond that the oldest is forgotten (it was logged all the same)."""
MAX_SHOWN = 5000

Waiting = tuple[Occurrence, "Callable[[], dict[str, Any]] | None"]


class Firing(NamedTuple):
    """A trigger that fired.

    Attributes:
        trigger: Which one.
        occurrence: What fired it.
        event: The event as it was logged, for a template; ``None`` for anything but events.
        time: When, seconds since the epoch.
        epoch: The life of the user it fired for.
    """

    trigger: Trigger
    occurrence: Occurrence
    event: Callable[[], dict[str, Any]] | None
    time: float
    epoch: int


class TriggerWatch:
    """Decides which trigger fires, and remembers that it did.

    Args:
        context: The surroundings.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = ForkSafeLock()
        self._index: TriggerIndex | None = None
        self._history = History()
        self._fetching = context.state.triggers_due is not None
        self._pending: list[Waiting] = []
        self._opened = False

    def expect(self, *, new_session: bool) -> None:
        """Triggers are being asked for, unless they have come already: what happens now waits for them."""
        with self._lock.held:
            self._fetching = self._context.state.triggers_due is not None
            self._opened = self._opened or new_session

    def opened_unseen(self) -> Firing | None:
        """Somebody began to listen: the trigger for a session that began while nobody did."""
        if self._fetching or not self._opened:
            return None
        self._opened = False
        return self._fire(Occurrence(OPEN), None)

    def happened(self, occurrence: Occurrence, event: Callable[[], dict[str, Any]] | None) -> Firing | None:
        """The trigger that fires for this, if one does now."""
        if self._fetching:
            with self._lock.held:
                if self._fetching:  # the answer may have come between the two looks
                    self._pending = [*self._pending[-MAX_PENDING:], (occurrence, event)]
                    return None
        if not self._held().concerns(occurrence.kind, occurrence.subject):
            return None
        return self._fire(occurrence, event)

    def concerns(self, kind: str, subject: str) -> bool:
        """Whether such an event need be told of at all."""
        return self._fetching or self._held().concerns(kind, subject)

    def answered(self, raw: object) -> list[Firing]:
        """New triggers came: take them, and say which fire for the session and for what waited."""
        if not isinstance(raw, list):
            return self.given_up()
        self._take(raw)
        self._opened = False
        return self._fired([(Occurrence(TEST), None), (Occurrence(OPEN), None), *self._taken_over()])

    def take_silently(self, raw: object) -> None:
        """As :meth:`answered`, when nobody would see a message: nothing fires, so nothing is used up."""
        if isinstance(raw, list):
            self._take(raw)
            self._opened = True
        self._taken_over()

    def given_up(self) -> list[Firing]:
        """No triggers came: go by those that are held."""
        opened, self._opened = self._opened, False
        return self._fired([*([(Occurrence(OPEN), None)] if opened else []), *self._taken_over()])

    def unfired(self, firing: Firing) -> None:
        """The message did not come up after all: the trigger may fire again. The interval stands."""
        with self._lock.held:
            if self._history.shown.get(firing.trigger.id) != firing.time:
                return
            shown = {key: at for key, at in self._history.shown.items() if key != firing.trigger.id}
            self._history = History(self._history.last, shown)
            self._store_history()

    def forget(self) -> None:
        """The user changed."""
        with self._lock.held:
            self._index = TriggerIndex()
            self._history = History()
            self._pending = []
            self._opened = False

    # -- inside -------------------------------------------------------------------------------------------------
    def _held(self) -> TriggerIndex:
        """The triggers, read from storage on first use."""
        index = self._index
        if index is None:
            with self._lock.held:
                self._history = History.parse(self._context.values.get("history"))
                index = self._index = TriggerIndex(parse_triggers(self._context.values.get("triggers")))
        return index

    def _take(self, raw: list[Any]) -> None:
        index = TriggerIndex(parse_triggers(raw))
        with self._lock.held:
            self._held()  # the history that goes with it
            self._index = index
            self._context.values.update({"triggers": raw})

    def _taken_over(self) -> list[Waiting]:
        with self._lock.held:
            pending, self._pending = self._pending, []
            self._fetching = False
        return pending

    def _fired(self, waited: list[Waiting]) -> list[Firing]:
        firings = (self._fire(occurrence, event) for occurrence, event in waited)
        return [firing for firing in firings if firing is not None]

    def _fire(self, occurrence: Occurrence, event: Callable[[], dict[str, Any]] | None) -> Firing | None:
        now, epoch = self._context.clock.time(), self._context.state.epoch
        with self._lock.held:
            trigger = self._held().select(occurrence, self._history, now, self._context.minimum_trigger_interval)
            if trigger is None:
                return None
            shown = {**self._history.shown, trigger.id: now}
            if len(shown) > MAX_SHOWN:
                shown = dict(sorted(shown.items(), key=lambda entry: entry[1])[-MAX_SHOWN:])
            self._history = History(now, shown)
            self._store_history()
        return Firing(trigger, occurrence, event, now, epoch)

    def _store_history(self) -> None:
        # With the lock held: what is stored last must be what is held last.
        history = self._history
        self._context.values.update({"history": {"last": history.last, "shown": history.shown}})
