"""The values that go into and come out of delivery: options, results, statistics, dead letters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ..errors import ConfigurationError

__all__ = ["DeadLetter", "DeliveryOptions", "DeliveryReport", "DeliveryStats", "FlushResult"]

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class DeliveryOptions:
    """How much is kept, and when it is sent.

    Attributes:
        flush_interval: Seconds from the first record after a flush to the next request (the SDKs of Braze: 10).
        max_batch_records: The most records in one request; that many waiting are sent at once.
        max_batch_bytes: The most payload bytes in one request (a single larger record still goes, alone).
        max_records: The most records kept in the queue.
        max_bytes: The most payload bytes kept in the queue. In memory at most 64 MiB whatever is set here.
        overflow: What gives way when the queue is full: ``"drop_oldest"`` or ``"drop_newest"``.
        connect_timeout: Seconds to wait for a connection.
        read_timeout: Seconds to wait for (each part of) an answer.
        exit_timeout: The most seconds that the end of the process waits for what is queued.

    Raises:
        ConfigurationError: A number is not positive (``flush_interval`` and ``exit_timeout`` may be 0), or
            ``overflow`` is unknown.
    """

    flush_interval: float = 10.0
    max_batch_records: int = 10_000
    max_batch_bytes: int = MEBIBYTE // 2
    max_records: int = 1_000_000
    max_bytes: int = 256 * MEBIBYTE
    overflow: Literal["drop_oldest", "drop_newest"] = "drop_oldest"
    connect_timeout: float = 5.0
    read_timeout: float = 15.0
    exit_timeout: float = 2.0

    def __post_init__(self) -> None:
        for name in ("max_batch_records", "max_batch_bytes", "max_records", "max_bytes"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigurationError(f"{name} must be a whole number of at least 1, not {value!r}")
        for name in ("flush_interval", "connect_timeout", "read_timeout", "exit_timeout"):
            value = getattr(self, name)
            least_allowed = name in {"flush_interval", "exit_timeout"}
            if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
                raise ConfigurationError(f"{name} must be a number of seconds, not {value!r}")
            if value < 0 or (value == 0 and not least_allowed):
                raise ConfigurationError(f"{name} must be {'at least' if least_allowed else 'more than'} 0 seconds")
        if self.overflow not in {"drop_oldest", "drop_newest"}:
            raise ConfigurationError(f"overflow must be 'drop_oldest' or 'drop_newest', not {self.overflow!r}")


@dataclass(frozen=True, slots=True)
class FlushResult:
    """What a flush came to.

    Attributes:
        sent: Records accepted by the destination meanwhile.
        kept: Records that were queued when the flush began and still are; they go later.
        dead: Records set aside as dead letters meanwhile.
        dropped: Records given up meanwhile because the queue was full.
    """

    sent: int = 0
    kept: int = 0
    dead: int = 0
    dropped: int = 0

    @property
    def complete(self) -> bool:
        """Whether nothing is left of what was queued."""
        return self.kept == 0


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """What one request settled, for ``on_delivery``.

    Attributes:
        accepted: Records the destination took.
        dead: Records set aside as dead letters.
        reason: Why they were refused; empty when none was.
    """

    accepted: int = 0
    dead: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that was refused alone while others were accepted.

    Attributes:
        id: Its place among the dead letters.
        kind: The record's kind.
        payload: The record's bytes.
        reason: What the destination said.
        time: When it was set aside, seconds since the epoch.
    """

    id: int
    kind: str
    payload: bytes
    reason: str
    time: float


@dataclass(frozen=True, slots=True)
class DeliveryStats:
    """Figures of this process, and of the queue it shares.

    Attributes:
        queued: Records waiting, those of other processes on the same directory included once absorbed.
        bytes: Their payload bytes, about.
        oldest_age: Seconds the oldest has waited in the outbox; ``None`` when nothing waits there.
        sent: Records accepted by the destination since the start of this process.
        retried: Requests that had to be made again.
        dropped: Records given up, by reason (``queue_full``, ``closed``, ``dead_letters_full``).
        dead: Dead letters kept at present.
        last_error: What went wrong last; ``None`` after a success.
        next_attempt: Wall-clock time of the next request, if one is planned.
    """

    queued: int = 0
    bytes: int = 0
    oldest_age: float | None = None
    sent: int = 0
    retried: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    dead: int = 0
    last_error: str | None = None
    next_attempt: float | None = None
