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
from typing import Any

from typing_extensions import Self

from ..clock import SYSTEM_CLOCK, Clock
from ..delivery import DeadLetter, Delivery, DeliveryOptions, DeliveryStats, FlushResult
from ..delivery.destination import Record
from ..diagnostics import Problem, Reporter
from ..errors import ClosedError, ConfigurationError
from ..locks import ForkSafeLock
from ..storage import Storage
from .audiences import AudienceUpdate, membership_fields
from .batching import ARRAYS, BatchLimits, Outgoing, arrange
from .destination import ARRAY_KINDS, TrackDestination, UserCallsDestination
from .points import data_points
from .rates import TokenBucket
from .settings import ServerSettings, rest_url
from .user_calls import USER_CALLS, UserCalls, external_ids_of
from .validation import MAX_EXTERNAL_ID, ArrayName, Finding, check, is_long_id
from .values import JsonObject, UnsupportedValueError, compact_json

__all__ = ["BrazeRest", "HeldBack", "TrackResult"]

TRACK_RATE = (3000, 3.0)
USERS_RATE = (20_000, 60.0)


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


class BrazeRest(UserCalls):
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
        self.settings: ServerSettings = replace(settings or ServerSettings(), rest_api_key=key)
        self.base_url: str = rest_url(instance if instance is not None else self.settings.instance)
        self.reporter: Reporter = reporter or Reporter(on_error)
        self._on_deleted: list[Callable[[Sequence[str], bool | None], object]] = []
        self._clock = clock
        self._points = 0
        self._lock = ForkSafeLock()
        self._closed = False
        self.limits: BatchLimits = BatchLimits(self.settings.track_batch_limit)
        self.delivery_options: DeliveryOptions = _track_options(self.limits, delivery_options or DeliveryOptions())
        opened = storage if isinstance(storage, Storage) else Storage.open(storage, self.reporter)
        self._forget_lost: list[Callable[[], object]] = []
        self._track = Delivery(
            TrackDestination(
                self.base_url, key, TokenBucket(*TRACK_RATE), self.limits, clock=clock, on_settled=self._track_settled
            ),
            storage=opened.directory("track"),
            reporter=self.reporter,
            options=self.delivery_options,
            clock=clock,
            on_delivery=on_delivery,
        )
        self._users = Delivery(
            UserCallsDestination(
                self.base_url, key, TokenBucket(*USERS_RATE), USER_CALLS, clock=clock, on_settled=self._users_settled
            ),
            storage=opened.directory("users"),
            reporter=self.reporter,
            options=replace(self.delivery_options, max_batch_records=UserCallsDestination.MAX_OBJECTS),
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
        good: list[Outgoing] = []
        for array in ARRAYS:
            for index, item in enumerate(given[array]):
                finding, prepared = self.prepare(array, item)
                if prepared is None:
                    held_back.append(HeldBack(array, index, finding.rule or "", finding.where))
                else:
                    warnings.extend(finding.warnings)
                    good.append(prepared)
        queued = len(good) - len(self.queue(arrange(good, self.limits)))
        self._report(held_back, warnings)
        if self.settings.event_stream_forwarding and queued:
            self._track.flush_soon()
        return TrackResult(queued, tuple(held_back), tuple(warnings))

    def prepare(self, array: ArrayName, item: Mapping[str, Any]) -> tuple[Finding, Outgoing | None]:
        """Check and encode one object for :meth:`queue`.

        Returns:
            What the checks found, and the object; ``None`` with a rule that it breaks.
        """
        finding = check(array, item, array_limit=self.settings.segment_array_limit)
        if finding.rule is not None:
            return finding, None
        try:
            return finding, Outgoing(array, item, compact_json(item))
        except UnsupportedValueError:
            return Finding("not_json"), None

    def queue(self, objects: Sequence[Outgoing]) -> list[int]:
        """Queue what :meth:`prepare` made, in this order: the lean form of :meth:`track`, which imports use.

        Returns:
            The positions of objects that were not accepted because the queue is full.

        Raises:
            ClosedError: It is closed.
        """
        self._check_open()
        refused = self._track.append_all([(ARRAY_KINDS[array], payload) for array, _, payload in objects])
        missing = set(refused)
        queued = [entry for position, entry in enumerate(objects) if position not in missing] if missing else objects
        points = sum(data_points(array, item) for array, item, _ in queued)
        with self._lock.held:
            self._points += points
        return refused

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

    def _queue_call(self, kind: str, item: JsonObject | str) -> bool:
        self._check_open()
        if any(map(is_long_id, external_ids_of(item))):
            message = f"An external id has more than {MAX_EXTERNAL_ID} bytes; Braze would refuse the whole request"
            self.reporter.report("value_refused", message, key="external_id")
            return False
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

    @property
    def is_durable(self) -> bool:
        """Whether all that is queued for ``/users/track`` outlives the process."""
        return self._track.is_durable

    def dead_letters(self) -> list[DeadLetter]:
        """The objects Braze refused, with its reasons."""
        return [*self._track.dead_letters(), *self._users.dead_letters()]

    def retry_dead_letters(self) -> int:
        """Queue the dead letters again and return how many."""
        return self._track.retry_dead_letters() + self._users.retry_dead_letters()

    def data_points(self) -> int:
        """The data points of all that was queued since the start, under Braze's measure of old contracts."""
        with self._lock.held:
            return self._points

    # -- inside -------------------------------------------------------------------------------------------------
    def on_lost(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` whenever queued objects did not reach Braze (for memories of what was sent)."""
        self._forget_lost.append(callback)

    def on_deleted(self, callback: Callable[[Sequence[str], bool | None], object]) -> None:
        """Call ``callback`` with external ids whose deletion was accepted, refused for good, or is held (``None``)."""
        self._on_deleted.append(callback)

    def _track_settled(self, records: Sequence[Record], accepted: bool | None) -> None:  # noqa: ARG002 - the callback's
        if accepted is False:
            for callback in self._forget_lost:
                callback()

    def _users_settled(self, records: Sequence[Record], accepted: bool | None) -> None:
        deleted = [json.loads(record.payload) for record in records if record.kind == "d"]
        for callback in self._on_deleted if deleted else ():
            callback(deleted, accepted)

    def _check_open(self) -> None:
        if self._closed:
            raise _closed()


def _closed() -> ClosedError:
    return ClosedError("the REST client is closed")


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
