"""Braze's REST API, usable on its own: track, identify, alias, merge, delete and subscribe, through durable delivery.

Every call checks its objects, queues what Braze will take and returns at once; what would be refused is held back and
said so in the result.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Literal

from typing_extensions import Self

from ..clock import SYSTEM_CLOCK, Clock
from ..delivery import DeadLetter, Delivery, DeliveryOptions, DeliveryStats, FlushResult
from ..delivery.destination import Record
from ..diagnostics import Problem, Reporter
from ..errors import ClosedError, ConfigurationError, InvalidArgumentError
from ..locks import ForkSafeLock
from ..storage import Storage
from .audiences import AudienceUpdate, membership_fields
from .batching import ARRAYS, BatchLimits, arrange
from .destination import ARRAY_KINDS, TrackDestination, UserCall, UserCallsDestination
from .points import data_points
from .rates import TokenBucket
from .settings import ServerSettings, rest_url
from .validation import ArrayName, check
from .values import JsonObject, UnsupportedValueError, compact_json

__all__ = ["BrazeRest", "HeldBack", "TrackResult"]

_CALLS: Mapping[str, UserCall] = {
    "i": UserCall("/users/identify", "aliases_to_identify"),
    "m": UserCall("/users/identify", "emails_to_identify"),
    "o": UserCall("/users/identify", "phone_numbers_to_identify"),
    "n": UserCall("/users/alias/new", "user_aliases"),
    "u": UserCall("/users/alias/update", "alias_updates"),
    "g": UserCall("/users/merge", "merge_updates"),
    "d": UserCall("/users/delete", "external_ids"),
    "s": UserCall("/v2/subscription/status/set", "subscription_groups"),
}

TRACK_RATE = (3000, 3.0)
USERS_RATE = (20_000, 60.0)

Prioritization = Literal["identified", "unidentified", "most_recently_updated", "least_recently_updated"]


@dataclass(frozen=True, slots=True)
class HeldBack:
    """An object that Braze would refuse and that was therefore not queued.

    Attributes:
        array: The array it was given in.
        index: Its place there.
        rule: The rule it breaks.
        where: The field or key.
    """

    array: ArrayName
    index: int
    rule: str
    where: str = ""


@dataclass(frozen=True, slots=True)
class TrackResult:
    """What became of the objects of one call.

    Attributes:
        queued: How many were queued.
        held_back: Those that were not, and why.
        warnings: What Braze will cut: ``string_length``, ``array_length``, ``too_many_properties``.
    """

    queued: int
    held_back: Sequence[HeldBack] = ()
    warnings: Sequence[str] = ()


class BrazeRest:
    """A client of the REST API. Thread-safe; a context manager.

    Args:
        rest_api_key: The REST key, with the permissions of the calls that are used (``users.track``, ...).
        instance: A Braze instance (``US-03``), a REST host or an ``https://`` URL.
        settings: Further settings (batch rule, array limit); those of the other arguments win.
        storage: A directory or an opened storage; ``None``: the user's data directory; ``":memory:"``: nothing on disk.
        reporter: Where problems go; made from ``on_error`` if absent.
        on_error: Called with each problem.
        on_delivery: Called after each request with what it settled.
        clock: Where the time comes from.
        delivery_options: How much is kept and when it is sent.

    Raises:
        ConfigurationError: The key is missing or the instance malformed.
    """

    def __init__(
        self,
        rest_api_key: str,
        instance: str | None = None,
        *,
        settings: ServerSettings | None = None,
        storage: str | os.PathLike[str] | Storage | None = None,
        reporter: Reporter | None = None,
        on_error: Callable[[Problem], object] | None = None,
        on_delivery: Callable[..., object] | None = None,
        clock: Clock = SYSTEM_CLOCK,
        delivery_options: DeliveryOptions | None = None,
    ) -> None:
        given: object = rest_api_key
        key = given.strip() if isinstance(given, str) else ""
        if not key:
            raise ConfigurationError("rest_api_key takes the REST key, a non-empty text")
        self.settings = replace(settings or ServerSettings(), rest_api_key=key)
        base_url = rest_url(instance if instance is not None else self.settings.instance)
        self.reporter = reporter or Reporter(on_error)
        self._on_deleted: list[Callable[[Sequence[str], bool], object]] = []
        self._clock = clock
        self._points: Counter[str] = Counter()
        self._lock = ForkSafeLock()
        self._closed = False
        self.limits = BatchLimits(self.settings.track_batch_limit)
        options = _track_options(self.limits, delivery_options or DeliveryOptions())
        opened = storage if isinstance(storage, Storage) else Storage.open(storage, self.reporter)
        self._forget_lost: list[Callable[[], object]] = []
        self._track = Delivery(
            TrackDestination(
                base_url, key, TokenBucket(*TRACK_RATE), self.limits, clock=clock, on_settled=self._track_settled
            ),
            storage=opened.directory("track"),
            reporter=self.reporter,
            options=options,
            clock=clock,
            on_delivery=on_delivery,
        )
        self._users = Delivery(
            UserCallsDestination(
                base_url, key, TokenBucket(*USERS_RATE), _CALLS, clock=clock, on_settled=self._users_settled
            ),
            storage=opened.directory("users"),
            reporter=self.reporter,
            options=replace(options, max_batch_records=UserCallsDestination.MAX_OBJECTS),
            clock=clock,
            on_delivery=on_delivery,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # -- /users/track -------------------------------------------------------------------------------------------
    def track(
        self,
        *,
        attributes: Iterable[Mapping[str, Any]] = (),
        events: Iterable[Mapping[str, Any]] = (),
        purchases: Iterable[Mapping[str, Any]] = (),
    ) -> TrackResult:
        """Queue objects of Braze's own form for ``/users/track``.

        Args:
            attributes: User attributes objects.
            events: Event objects.
            purchases: Purchase objects.

        Returns:
            What was queued and what was held back.

        Raises:
            ClosedError: It is closed.
        """
        self._check_open()
        given: dict[ArrayName, Iterable[Mapping[str, Any]]] = {
            "attributes": attributes,
            "events": events,
            "purchases": purchases,
        }
        held_back: list[HeldBack] = []
        warnings: list[str] = []
        good: dict[ArrayName, list[Mapping[str, Any]]] = {}
        for array in ARRAYS:
            for index, item in enumerate(given[array]):
                finding = check(array, item, array_limit=self.settings.segment_array_limit)
                if finding.rule is not None:
                    held_back.append(HeldBack(array, index, finding.rule, finding.where))
                    continue
                warnings.extend(finding.warnings)
                good.setdefault(array, []).append(item)
        queued = sum(self._append(array, item, held_back) for array, item in arrange(good, self.limits))
        self._report(held_back, warnings)
        if self.settings.event_stream_forwarding and queued:
            self._track.flush_soon()
        return TrackResult(queued, tuple(held_back), tuple(warnings))

    def _append(self, array: ArrayName, item: Mapping[str, Any], held_back: list[HeldBack]) -> bool:
        try:
            payload = compact_json(item)
        except UnsupportedValueError:
            held_back.append(HeldBack(array, -1, "not_json"))
            return False
        if not self._track.append(ARRAY_KINDS[array], payload):
            return False
        points = data_points(array, item)
        with self._lock:
            self._points[array] += points
        return True

    def _report(self, held_back: Sequence[HeldBack], warnings: Sequence[str]) -> None:
        for rule, count in Counter(item.rule for item in held_back).items():
            where = next(item for item in held_back if item.rule == rule)
            message = f"Braze would refuse an object of {where.array} ({rule} {where.where}); it is not sent".replace(
                " )", ")"
            )
            self.reporter.report("value_refused", message, key=rule, count=count)
        for warning, count in Counter(warnings).items():
            message = f"Braze will keep only a part of a value ({warning})"
            self.reporter.report("value_truncated", message, key=warning, count=count)

    def update_audiences(self, external_id: str | None, update: AudienceUpdate) -> TrackResult:
        """Send one user's audience memberships in the form of ``send_segments_as``.

        Only users with an external id are updated; others are counted and reported. (An older page lets device ids
        do as well.)
        """
        if not external_id:
            self.reporter.report("anonymous_not_sent", "Audience memberships need an external id", key="audience")
            return TrackResult(0)
        membership = membership_fields(self.settings, update)
        if not membership.fields:
            return TrackResult(0)
        return self.track(attributes=[{"external_id": external_id, **membership.fields}])

    # -- who users are ------------------------------------------------------------------------------------------
    def identify(self, external_id: str, *, alias_name: str, alias_label: str) -> bool:
        """Give an alias-only user an external id (``/users/identify``). Returns whether it was queued."""
        alias = {"alias_name": _text(alias_name, "alias_name"), "alias_label": _text(alias_label, "alias_label")}
        return self._call("i", {"external_id": _text(external_id, "external_id"), "user_alias": alias})

    def identify_email(
        self, external_id: str, email: str, prioritization: Sequence[Prioritization] = ("unidentified",)
    ) -> bool:
        """Give the user with an email address an external id. Returns whether it was queued."""
        known = {"external_id": _text(external_id, "external_id"), "email": _text(email, "email")}
        return self._call("m", {**known, "prioritization": list(prioritization)})

    def identify_phone(
        self, external_id: str, phone: str, prioritization: Sequence[Prioritization] = ("unidentified",)
    ) -> bool:
        """Give the user with a phone number an external id. Returns whether it was queued."""
        known = {"external_id": _text(external_id, "external_id"), "phone": _text(phone, "phone")}
        return self._call("o", {**known, "prioritization": list(prioritization)})

    def add_alias(self, alias_name: str, alias_label: str, *, external_id: str | None = None) -> bool:
        """Add an alias to a user, or make an alias-only user (``/users/alias/new``). Returns whether it was queued.

        A user has one alias a label; Braze does not add one whose external id it does not know.
        """
        alias: JsonObject = {
            "alias_name": _text(alias_name, "alias_name"),
            "alias_label": _text(alias_label, "alias_label"),
        }
        if external_id is not None:
            alias["external_id"] = _text(external_id, "external_id")
        return self._call("n", alias)

    def update_alias(self, alias_label: str, old_alias_name: str, new_alias_name: str) -> bool:
        """Rename an alias (``/users/alias/update``). Returns whether it was queued."""
        names = {"old_alias_name": old_alias_name, "new_alias_name": new_alias_name, "alias_label": alias_label}
        return self._call("u", {key: _text(value, key) for key, value in names.items()})

    def merge(self, identifier_to_merge: Mapping[str, Any], identifier_to_keep: Mapping[str, Any]) -> bool:
        """Merge one user into another (``/users/merge``); Braze does so later, in no order.

        Args:
            identifier_to_merge: ``{"external_id"}``, ``{"user_alias"}``, or ``{"email" or "phone", "prioritization"}``.
            identifier_to_keep: Likewise.

        Returns:
            Whether it was queued.
        """
        update = {"identifier_to_merge": dict(identifier_to_merge), "identifier_to_keep": dict(identifier_to_keep)}
        for what, identifier in update.items():
            named = [key for key in ("external_id", "user_alias", "email", "phone") if identifier.get(key)]
            if len(named) != 1:
                raise InvalidArgumentError(f"{what} takes exactly one of external_id, user_alias, email, phone")
        return self._call("g", update)

    def delete(self, external_ids: Iterable[str]) -> int:
        """Delete users for good (``/users/delete``), 50 a request. Returns how many were queued."""
        return sum(self._call("d", _text(external_id, "external_id")) for external_id in external_ids)

    def set_subscription(
        self,
        group_id: str,
        state: Literal["subscribed", "unsubscribed"],
        *,
        external_ids: Iterable[str] = (),
        emails: Iterable[str] = (),
        phones: Iterable[str] = (),
        use_double_opt_in_logic: bool | None = None,
    ) -> bool:
        """Change subscription group states (``/v2/subscription/status/set``). Returns whether all was queued.

        Raises:
            InvalidArgumentError: The state is unknown, nobody is named, or emails and phones are mixed.
        """
        if state not in ("subscribed", "unsubscribed"):
            raise InvalidArgumentError("state takes 'subscribed' or 'unsubscribed'")
        users = {"external_ids": list(external_ids), "emails": list(emails), "phones": list(phones)}
        if users["emails"] and users["phones"]:
            raise InvalidArgumentError("one change takes emails or phones, not both")
        if not any(users.values()):
            raise InvalidArgumentError("a subscription change names at least one user")
        change: JsonObject = {"subscription_group_id": _text(group_id, "group_id"), "subscription_state": state}
        if use_double_opt_in_logic is not None:
            change["use_double_opt_in_logic"] = use_double_opt_in_logic
        size = UserCallsDestination.MAX_OBJECTS
        queued = True
        for key, named in users.items():
            for start in range(0, len(named), size):
                queued &= self._call("s", {**change, key: named[start : start + size]})
        return queued

    def _call(self, kind: str, item: JsonObject | str) -> bool:
        self._check_open()
        return self._users.append(kind, compact_json(item))

    # -- delivery -----------------------------------------------------------------------------------------------
    def flush(self, timeout: float | None = None) -> FlushResult:
        """Send what is queued within ``timeout`` seconds."""
        return self._within(timeout, lambda delivery, left: delivery.flush(left))

    def close(self, timeout: float = 5.0) -> FlushResult:
        """Flush within ``timeout`` seconds and release threads and files; what is left goes at the next start."""
        self._closed = True
        return self._within(timeout, lambda delivery, left: delivery.close(left or 0.0))

    def _within(self, timeout: float | None, call: Callable[[Delivery, float | None], FlushResult]) -> FlushResult:
        """Call both deliveries one after the other within the time."""
        deadline = None if timeout is None else self._clock.monotonic() + timeout
        results = []
        for delivery in (self._track, self._users):
            left = None if deadline is None else max(0.0, deadline - self._clock.monotonic())
            results.append(call(delivery, left))
        return _sum(results)

    def clear(self) -> int:
        """Discard what is queued and return how many records that was."""
        return self._track.clear() + self._users.clear()

    def resume(self) -> None:
        """Send again after a wrong key or missing permission was put right at Braze."""
        self._track.resume()
        self._users.resume()

    def stats(self) -> DeliveryStats:
        """Delivery figures of ``/users/track``."""
        return self._track.stats()

    def user_call_stats(self) -> DeliveryStats:
        """Delivery figures of the other endpoints."""
        return self._users.stats()

    def dead_letters(self) -> list[DeadLetter]:
        """The objects Braze refused, with its reasons."""
        return [*self._track.dead_letters(), *self._users.dead_letters()]

    def retry_dead_letters(self) -> int:
        """Queue the dead letters again and return how many."""
        return self._track.retry_dead_letters() + self._users.retry_dead_letters()

    def data_points(self) -> int:
        """The data points of all that was queued since the start, under Braze's measure of old contracts."""
        with self._lock:
            return sum(self._points.values())

    # -- inside -------------------------------------------------------------------------------------------------
    def on_lost(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` whenever queued objects did not reach Braze (for memories of what was sent)."""
        self._forget_lost.append(callback)

    def on_deleted(self, callback: Callable[[Sequence[str], bool], object]) -> None:
        """Call ``callback`` with external ids whose deletion was accepted (true) or refused for good (false)."""
        self._on_deleted.append(callback)

    def _track_settled(self, records: Sequence[Record], accepted: bool) -> None:  # noqa: ARG002 - the callback's form
        if not accepted:
            for callback in self._forget_lost:
                callback()

    def _users_settled(self, records: Sequence[Record], accepted: bool) -> None:
        deleted = [json.loads(record.payload) for record in records if record.kind == "d"]
        for callback in self._on_deleted if deleted else ():
            callback(deleted, accepted)

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("the REST client is closed")


def _track_options(limits: BatchLimits, options: DeliveryOptions) -> DeliveryOptions:
    objects = limits.objects if limits.rule == "combined" else limits.objects * len(ARRAYS)
    return replace(
        options,
        max_batch_records=min(options.max_batch_records, objects),
        max_batch_bytes=max(options.max_batch_bytes, limits.body_bytes),
    )


def _sum(results: Iterable[FlushResult]) -> FlushResult:
    listed = list(results)
    return FlushResult(
        sent=sum(result.sent for result in listed),
        kept=sum(result.kept for result in listed),
        dead=sum(result.dead for result in listed),
        dropped=sum(result.dropped for result in listed),
    )


def _text(value: object, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidArgumentError(f"{what} takes a non-empty text, not {type(value).__name__}")
    return value
