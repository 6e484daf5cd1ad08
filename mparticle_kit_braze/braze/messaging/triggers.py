"""Triggers: which in-app message an event brings up.

Owns the parsing of what the server sends, the index that finds the triggers an event concerns, and the choice
among them by time, re-eligibility, interval and priority. Pure: no clock, no storage, no thread.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..features import CUSTOM_EVENT, PURCHASE
from .conditions import PropertyFilters, comparable_properties, compile_filters
from .fields import identifier, number, objects, text

__all__ = [
    "CUSTOM_EVENT",
    "IAM_CLICK",
    "MINIMUM_INTERVAL",
    "OPEN",
    "PURCHASE",
    "PUSH_CLICK",
    "TEST",
    "History",
    "Occurrence",
    "Trigger",
    "TriggerIndex",
    "message_click",
    "parse_triggers",
]

MINIMUM_INTERVAL = 30.0
"""Seconds after a message was brought up in which no other is, unless a trigger has its own interval (Braze SDK)."""

OPEN, PUSH_CLICK, IAM_CLICK, TEST = "open", "push_click", "iam_click", "test"

SHOW_ONCE = -1


class Occurrence(NamedTuple):
    """Something that may bring up a message.

    Attributes:
        kind: ``open``, ``custom_event``, ``purchase``, ``push_click``, ``iam_click`` or ``test``.
        subject: The event name, product id, campaign id or message id.
        properties: Of the event or purchase.
        button: Of a message click, the button's id.
    """

    kind: str
    subject: str | None = None
    properties: Mapping[Any, Any] | None = None
    button: str | None = None


class Condition(NamedTuple):
    """One alternative of a trigger; ``subject`` ``None`` stands for any, ``filters`` ``None`` for no filters."""

    kind: str
    subject: str | None
    filters: PropertyFilters | None = None
    buttons: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Trigger:
    """A message the server has ready for this user, and when to bring it up.

    Attributes:
        id: The trigger's id.
        templated: Whether the message must be fetched when the trigger fires.
        conditions: Alternatives, any of which fires it.
        data: The message as received, or what a templated one needs.
        priority: The higher one goes first.
        start, end: Seconds since the epoch between which it may fire; ``None`` for no end.
        re_eligibility: -1 once, 0 always, n again after n seconds.
        minimum_interval: Seconds since the last message in place of :data:`MINIMUM_INTERVAL`.
        delay: Seconds between the event and the message.
        timeout: Seconds after the delay, beyond which the message is not brought up any more.
    """

    id: str
    templated: bool
    conditions: tuple[Condition, ...]
    data: Mapping[str, Any]
    priority: float = 0
    start: float = 0
    end: float | None = None
    re_eligibility: float = 0
    minimum_interval: float | None = None
    delay: float = 0
    timeout: float | None = None


@dataclass(slots=True)
class History:
    """When messages were last brought up, seconds since the epoch.

    Attributes:
        last: The last time any was; ``None`` for never.
        shown: The last time by trigger id.
    """

    last: float | None = None
    shown: dict[str, float] = field(default_factory=dict)

    @classmethod
    def parse(cls, raw: object) -> History:
        """Read what was stored; anything malformed counts as never."""
        if not isinstance(raw, Mapping):
            return cls()
        shown = raw.get("shown")
        known = {key: at for key in shown if (at := number(shown, key)) is not None} if isinstance(shown, dict) else {}
        return cls(number(raw, "last"), known)


# -- parsing --------------------------------------------------------------------------------------------------------


def parse_triggers(raw: object) -> list[Trigger]:
    """The usable triggers of an answer, in its order; whatever is malformed or of an unknown type is skipped."""
    if not isinstance(raw, list):
        return []
    return [trigger for member in raw if (trigger := _trigger(member)) is not None]


def _trigger(raw: object) -> Trigger | None:
    if not isinstance(raw, dict) or raw.get("type") not in ("inapp", "templated_iam"):
        return None
    trigger_id = identifier(raw, "id")
    conditions = tuple(filter(None, map(_condition, objects(raw, "trigger_condition"))))
    if trigger_id is None or not conditions:
        return None
    data = raw.get("data")
    timeout = number(raw, "timeout")
    return Trigger(
        id=trigger_id,
        templated=raw["type"] == "templated_iam",
        conditions=conditions,
        data=data if isinstance(data, dict) else {},
        priority=_priority(raw),
        start=number(raw, "start_time") or 0,
        end=number(raw, "end_time"),
        re_eligibility=number(raw, "re_eligibility") or 0,
        minimum_interval=number(raw, "min_seconds_since_last_trigger"),
        delay=max(0, number(raw, "delay") or 0),
        timeout=None if timeout is None or timeout < 0 else timeout / 1000,
    )


def _priority(raw: Mapping[str, Any]) -> float:
    """Compared as a number, also when it is written as text."""
    value = raw.get("priority")
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return 0
    return number({"priority": value}, "priority") or 0


def _condition(raw: Mapping[str, Any]) -> Condition | None:
    """One condition; ``None`` if it can never be met."""
    kind, data = raw.get("type"), raw.get("data")
    if not isinstance(data, dict):
        data = {}
    if kind in (OPEN, TEST):
        return Condition(kind, None)
    if kind == CUSTOM_EVENT:
        return _about(CUSTOM_EVENT, data, "event_name")
    if kind == PURCHASE:
        return _about(PURCHASE, data, "product_id")
    if kind == "purchase_property":
        return _filtered(_about(PURCHASE, data, "product_id"), data)
    if kind == "custom_event_property":
        return _filtered(_about(CUSTOM_EVENT, data, "event_name"), data) if text(data, "event_name") else None
    if kind == PUSH_CLICK:
        return _about(PUSH_CLICK, data, "campaign_id")
    if kind == IAM_CLICK:
        condition = _about(IAM_CLICK, data, "id")
        return condition and condition._replace(buttons=_buttons(data))
    return None


def _about(kind: str, data: Mapping[str, Any], key: str) -> Condition | None:
    """A condition on one event name or id; on any when there is none. One of a wrong type is never met."""
    subject = data.get(key)
    if subject is not None and not isinstance(subject, str):
        return None
    return Condition(kind, subject)


def _filtered(condition: Condition | None, data: Mapping[str, Any]) -> Condition | None:
    filters = compile_filters(data.get("property_filters"))
    return None if condition is None or filters is None else condition._replace(filters=filters)


def _buttons(data: Mapping[str, Any]) -> frozenset[str]:
    buttons = data.get("buttons")
    return frozenset(str(button) for button in buttons) if isinstance(buttons, list) else frozenset()


def message_click(trigger_id: str, button: str | None = None) -> Occurrence | None:
    """A click on a message as triggers know it: by its decoded trigger id; ``None`` if it has no such form."""
    # As browsers decode: white space is skipped, and the padding at the end may be missing.
    packed = "".join(trigger_id.split()).rstrip("=")
    try:
        decoded = base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return Occurrence(IAM_CLICK, decoded.decode("latin-1"), None, button)


# -- choosing -------------------------------------------------------------------------------------------------------


class _Rule(NamedTuple):
    """A condition as the index holds it.

    Attributes:
        rank: Its trigger's place in the order of priority.
        trigger: The trigger.
        key, predicate: A filter that must be met whatever the others say, so that most rules cost one call;
            ``None`` if there is no such filter.
        filters: The other filters.
        buttons: As :attr:`Condition.buttons`.
    """

    rank: int
    trigger: Trigger
    key: str
    predicate: Callable[[Any, float], bool] | None
    filters: PropertyFilters
    buttons: frozenset[str]


def _rule(rank: int, trigger: Trigger, condition: Condition) -> _Rule:
    filters = condition.filters or ()
    for place, alternatives in enumerate(filters):
        if len(alternatives) == 1:
            key, predicate = alternatives[0]
            return _Rule(rank, trigger, key, predicate, filters[:place] + filters[place + 1 :], condition.buttons)
    return _Rule(rank, trigger, "", None, filters, condition.buttons)


class TriggerIndex:
    """The triggers of one user, by what they wait for. Immutable: a new answer makes a new index.

    An event looks at the triggers that name it (or any event) and at no others, the highest priority first.
    """

    def __init__(self, triggers: Iterable[Trigger] = ()) -> None:
        # A stable sort: among equal priorities the server's order decides.
        self.triggers: tuple[Trigger, ...] = tuple(sorted(triggers, key=lambda trigger: -trigger.priority))
        self._rules: dict[str, dict[str | None, list[_Rule]]] = {}
        for rank, trigger in enumerate(self.triggers):
            for condition in trigger.conditions:
                by_subject = self._rules.setdefault(condition.kind, {})
                by_subject.setdefault(condition.subject, []).append(_rule(rank, trigger, condition))

    def __len__(self) -> int:
        return len(self.triggers)

    def concerns(self, kind: str, subject: str | None) -> bool:
        """Whether any trigger waits for this kind of event with this name; cheap enough for every event."""
        by_subject = self._rules.get(kind)
        return by_subject is not None and (subject in by_subject or None in by_subject)

    def select(
        self, occurrence: Occurrence, history: History, now: float, minimum_interval: float = MINIMUM_INTERVAL
    ) -> Trigger | None:
        """The trigger that fires.

        Args:
            occurrence: What happened.
            history: When messages were brought up before.
            now: Seconds since the epoch.
            minimum_interval: Seconds to keep between messages, for triggers without an interval of their own.
        """
        by_subject = self._rules.get(occurrence.kind)
        if by_subject is None:
            return None
        candidates = [by_subject[key] for key in {occurrence.subject, None} if key in by_subject]
        found = [
            rule
            for rules in candidates
            if (rule := _first(rules, occurrence, history, now, minimum_interval)) is not None
        ]
        return min(found, key=lambda rule: rule[0])[1] if found else None


def _first(
    rules: list[_Rule], occurrence: Occurrence, history: History, now: float, minimum_interval: float
) -> _Rule | None:
    """The first rule that fires. This loop may run over thousands of rules for one event."""
    values = comparable_properties(occurrence.properties or {})
    value_of = values.get
    pause = float("inf") if history.last is None or history.last > now else now - history.last
    # A test message ignores the interval.
    if occurrence.kind == TEST:
        pause = float("inf")
    shown = history.shown
    button = occurrence.button
    for rule in rules:
        _, trigger, key, predicate, filters, buttons = rule
        if predicate is not None and not predicate(value_of(key), now):
            continue
        if filters and not _met(filters, values, now):
            continue
        if buttons and button not in buttons:
            continue
        if trigger.start >= now or (trigger.end is not None and trigger.end <= now):
            continue
        if pause < (minimum_interval if trigger.minimum_interval is None else trigger.minimum_interval):
            continue
        if trigger.re_eligibility and trigger.id in shown and not _again(trigger, shown[trigger.id], now):
            continue
        return rule
    return None


def _met(filters: PropertyFilters, values: Mapping[Any, Any], now: float) -> bool:
    for alternatives in filters:
        for key, predicate in alternatives:
            if predicate(values.get(key), now):
                break
        else:  # none of them
            return False
    return True


def _again(trigger: Trigger, shown: float, now: float) -> bool:
    """Whether a message that was brought up before may be so again; a clock set back since does not block it."""
    if trigger.re_eligibility < 0:
        return False
    return shown > now or now - shown >= trigger.re_eligibility
