"""Braze's REST API as destinations of delivery: ``/users/track``, and the endpoints that change who a user is.

A record is one object, encoded when it was accepted; a request is made by joining records. What an answer refuses
object by object is matched back to its records, which become dead letters with Braze's reason.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..clock import SYSTEM_CLOCK, Clock
from ..delivery.destination import Backoff, Outcome, Record, Request, Response, Verdict
from .batching import ARRAYS, BatchLimits, leading
from .rates import TokenBucket
from .responses import Answer, Meaning, interpret
from .validation import ArrayName

__all__ = ["ARRAY_KINDS", "TrackDestination", "UserCall", "UserCallsDestination"]

ARRAY_KINDS: Mapping[ArrayName, str] = {"attributes": "a", "events": "e", "purchases": "p"}
"""The record kind of each array's objects."""

_KIND_ARRAYS: Mapping[str, ArrayName] = {kind: array for array, kind in ARRAY_KINDS.items()}

_BACKOFF = Backoff(minimum=1.0, maximum=300.0, scale=4.0)
"""Each wait is up to four times the last one: they double on average. With a scale of 2 they would never grow."""

_AS_THE_SERVER_SAYS = Backoff(minimum=0.0, maximum=0.0, scale=1.0)

_LOG = logging.getLogger(__name__)

Settled = Callable[[Sequence[Record], bool | None], object]
"""Told which records were accepted (true), refused for good (false), or held because of the key (``None``)."""


class RestDestination:
    """What the REST destinations have in common: address, key, rate limit, and the reading of answers.

    Args:
        base_url: The REST API's base URL, without a slash at its end.
        api_key: The REST key.
        bucket: The rate limit of the endpoint, shared by all that count towards it.
        clock: Where the time comes from.
        on_settled: See :data:`Settled`; called on the sending thread.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        bucket: TokenBucket,
        *,
        clock: Clock = SYSTEM_CLOCK,
        on_settled: Settled | None = None,
    ) -> None:
        self._base_url = base_url
        self._headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}
        self._bucket = bucket
        self._clock = clock
        self._on_settled = on_settled
        self._backoff = _BACKOFF

    @property
    def backoff(self) -> Backoff:
        """The back-off after faults; none of its own while the server itself has said how long to wait."""
        return self._backoff

    def wait_before_request(self, now: float) -> float:
        """Seconds until the rate limit lets a request out."""
        return self._bucket.wait(now)

    def undeliverable(self, records: Sequence[Record], reason: str) -> None:  # noqa: ARG002 - the protocol's signature
        """Records were given up."""
        self._settled(records, False)

    def _request(self, path: str, body: bytes, records: Sequence[Record], cost: int = 1) -> Request:
        self._bucket.take(self._clock.monotonic(), cost)
        return Request(self._base_url + path, self._headers, body, len(records), context=tuple(records))

    def _read(self, response: Response) -> Answer:
        answer = interpret(response.status, response.headers, response.body, now=self._clock.time())
        self._bucket.learn(answer.rate, self._clock.monotonic())
        # A wait of 0 (a clock that runs ahead of the server's makes it so) is none: that would be a storm of requests.
        self._backoff = _AS_THE_SERVER_SAYS if answer.wait else _BACKOFF
        return answer

    def _outcome(self, answer: Answer, records: Sequence[Record], refused: Mapping[int, str]) -> Outcome:
        meaning = answer.meaning
        if meaning is Meaning.TOO_LARGE and len(records) > 1:
            return Outcome(Verdict.TOO_LARGE, answer.reason)
        if meaning in (Meaning.TAKEN, Meaning.REFUSED, Meaning.TOO_LARGE):
            if meaning is not Meaning.TAKEN:
                # Sending the same again cannot help: all of it is set aside, each record with its own reason if known.
                refused = {index: refused.get(index, answer.reason) for index in range(len(records))}
            taken = [record for index, record in enumerate(records) if index not in refused]
            self._settled(taken, True)
            return Outcome(Verdict.ACCEPTED, answer.reason, refused=refused)
        if meaning is Meaning.STOP:
            self._settled(records, None)
            return Outcome(Verdict.UNAUTHORIZED, answer.reason)
        return Outcome(Verdict.RETRY, answer.reason, answer.wait)

    def _settled(self, records: Sequence[Record], accepted: bool | None) -> None:
        if self._on_settled is not None and records:
            self._on_settled(records, accepted)


class TrackDestination(RestDestination):
    """``POST /users/track``.

    Args:
        limits: What one request may hold.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        bucket: TokenBucket,
        limits: BatchLimits,
        *,
        clock: Clock = SYSTEM_CLOCK,
        on_settled: Settled | None = None,
    ) -> None:
        super().__init__(base_url, api_key, bucket, clock=clock, on_settled=on_settled)
        self._limits = limits

    @property
    def name(self) -> str:
        """For logs and statistics."""
        return "Braze /users/track"

    def build(self, records: Sequence[Record], *, attempt: int, now: float) -> Request:  # noqa: ARG002 - the protocol's
        """Join as many leading objects as one request may hold."""
        used = leading(((_KIND_ARRAYS[kind], len(payload)) for _, kind, payload in records), self._limits)
        parts: dict[str, list[bytes]] = {kind: [] for kind in _KIND_ARRAYS}
        for _, kind, payload in records[:used]:
            parts[kind].append(payload)
        arrays = [
            b'"%s":[%s]' % (array.encode(), b",".join(parts[kind]))
            for array, kind in ARRAY_KINDS.items()
            if parts[kind]
        ]
        return self._request("/users/track", b"{%s}" % b",".join(arrays), records[:used])

    def interpret(self, request: Request, response: Response) -> Outcome:
        """Match refused objects back to their records."""
        answer = self._read(response)
        refused: dict[int, str] = {}
        if answer.refused:
            counts = dict.fromkeys(ARRAYS, 0)
            for position, record in enumerate(request.context):
                array = _KIND_ARRAYS[record.kind]
                reason = answer.refused.get((array, counts[array]))
                counts[array] += 1
                if reason is not None:
                    refused[position] = reason
        if answer.errors > len(refused):
            count = answer.errors - len(refused)
            _LOG.warning("Braze's answer has %d errors that name no object of the request", count)
        return self._outcome(answer, request.context, refused)


@dataclass(frozen=True, slots=True)
class UserCall:
    """One of the endpoints for identities, subscriptions and deletion.

    Attributes:
        path: Its path.
        field: The field of the body that lists the objects.
        cost: How much of the shared rate limit a request takes, where the endpoint's own limit is lower.
    """

    path: str
    field: str
    cost: int = 1


class UserCallsDestination(RestDestination):
    """The endpoints that take up to 50 objects of one sort; the records' kinds say which.

    Args:
        calls: Record kind -> endpoint.
    """

    MAX_OBJECTS = 50

    def __init__(
        self,
        base_url: str,
        api_key: str,
        bucket: TokenBucket,
        calls: Mapping[str, UserCall],
        *,
        clock: Clock = SYSTEM_CLOCK,
        on_settled: Settled | None = None,
    ) -> None:
        super().__init__(base_url, api_key, bucket, clock=clock, on_settled=on_settled)
        self._calls = calls

    @property
    def name(self) -> str:
        """For logs and statistics."""
        return "Braze /users"

    def build(self, records: Sequence[Record], *, attempt: int, now: float) -> Request:  # noqa: ARG002 - the protocol's
        """Join leading objects of the same sort."""
        kind = records[0].kind
        used = 0
        users = 0
        for record in records[: self.MAX_OBJECTS]:
            users += _users_in(record)
            if record.kind != kind or (used and users > self.MAX_OBJECTS):
                break
            used += 1
        call = self._calls[kind]
        joined = b",".join(record.payload for record in records[:used])
        return self._request(call.path, b'{"%s":[%s]}' % (call.field.encode(), joined), records[:used], call.cost)

    def interpret(self, request: Request, response: Response) -> Outcome:
        """Taken or refused as a whole."""
        return self._outcome(self._read(response), request.context, {})


def _users_in(record: Record) -> int:
    """How many users an object counts for: a subscription change may list many."""
    if b'"subscription_group_id"' not in record.payload:
        return 1
    change = json.loads(record.payload)
    return sum(len(change.get(key, ())) for key in ("external_ids", "emails", "phones"))
