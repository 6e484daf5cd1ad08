"""The seam between delivery and what it delivers to.

Delivery carries opaque records in order. A :class:`Destination` turns some leading records into one HTTP
request and says what the answer means. It is only ever called on the dispatcher's thread, one call at a time.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

__all__ = ["Backoff", "Destination", "Exchange", "Outcome", "Record", "Request", "Response", "Verdict"]


class Record(NamedTuple):
    """One accepted call, as it was stored.

    Attributes:
        id: Its place in the outbox; later records have larger ids.
        kind: One character that only the destination understands.
        payload: The bytes it was given; never a line break among them.
    """

    id: int
    kind: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP POST.

    Attributes:
        url: Where to.
        headers: All headers but those of the connection.
        body: The bytes to send.
        used: How many of the leading records it carries (at least 1 unless the request carries none).
        context: The destination's own notes, handed back to :meth:`Destination.interpret`.
    """

    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    used: int
    context: Any = None


@dataclass(frozen=True, slots=True)
class Response:
    """What came back, or why nothing did.

    Attributes:
        status: The HTTP status; 0 when there was no answer.
        headers: Header names in lower case.
        body: The answer's body; may be cut short.
        error: With status 0, one word for why: ``timeout``, ``connection``, ``tls``, ``proxy``, ``protocol``.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    error: str | None = None


class Verdict(enum.Enum):
    """What an answer means for the records of the request."""

    ACCEPTED = "accepted"
    REFUSED = "refused"  # something in it is wrong: narrow down to the record
    TOO_LARGE = "too_large"  # halve
    RETRY = "retry"  # keep, back off
    UNAUTHORIZED = "unauthorized"  # keep, stop until ``resume``


@dataclass(frozen=True, slots=True)
class Outcome:
    """A verdict with its reason (no personal data).

    Attributes:
        verdict: What it means for the records of the request.
        reason: Why.
        retry_after: The seconds the server asked to wait, if it did.
        refused: With ``ACCEPTED``, the records that the server refused for good while it settled the others: their
            position in the request, and why. They go to the dead letters.
    """

    verdict: Verdict
    reason: str = ""
    retry_after: float | None = None
    refused: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Backoff:
    """``sleep = min(maximum, uniform(minimum, previous * scale))``, seconds.

    ``previous`` starts at ``first``, or at ``minimum`` where that is ``None``.
    """

    minimum: float = 10.0
    maximum: float = 300.0
    scale: float = 3.0
    first: float | None = None


class Destination(Protocol):
    """Somewhere records are delivered to."""

    @property
    def name(self) -> str:
        """For logs and statistics; no key in it."""

    @property
    def backoff(self) -> Backoff:
        """The back-off in force (a server configuration may change it)."""

    def build(self, records: Sequence[Record], *, attempt: int, now: float) -> Request:
        """Turn some of the leading records into a request.

        Args:
            records: At least one, in order. All or a leading part may be used.
            attempt: 1 for the first attempt since the last success, then 2, 3, ...
            now: Wall-clock seconds since the epoch.
        """

    def interpret(self, request: Request, response: Response) -> Outcome:
        """Say what the answer means, and take what else it brings (a configuration, triggers)."""

    def wait_before_request(self, now: float) -> float:
        """Seconds until the client-side rate limit lets a request out; 0 if at once. ``now`` is monotonic."""

    def undeliverable(self, records: Sequence[Record], reason: str) -> None:
        """These records were dropped or set aside for good (so a memory of what was sent must forget them)."""


class Exchange(Protocol):
    """A request that carries no records; made once, on the dispatcher's thread."""

    def build(self, *, now: float) -> Request | None:
        """The request; ``None`` if it has become pointless. ``now`` is wall-clock seconds since the epoch."""

    def interpret(self, request: Request, response: Response) -> None:
        """Take the answer, or the news that there was none."""
