"""The courier: carries one batch to the destination and acts on the answer.

Keeps the pace (when the next request may go) and the episode (how far a refusal is narrowed down); what to make of
an answer is decided by :mod:`~mparticle_kit_braze.delivery.policy`. Used by the dispatcher's thread alone.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ..clock import Clock
from ..diagnostics import Reporter
from . import policy
from .backlog import Backlog
from .destination import Destination, Outcome, Record, Request, Response, Verdict
from .options import DeliveryOptions, DeliveryReport, FlushResult
from .transport import Transport

__all__ = ["Courier", "Tally"]


class Tally(NamedTuple):
    """Records sent, dead and dropped since the start."""

    sent: int
    dead: int
    dropped: int

    def since(self, start: Tally, kept: int) -> FlushResult:
        """What happened between two tallies."""
        return FlushResult(
            sent=self.sent - start.sent,
            kept=kept,
            dead=self.dead - start.dead,
            dropped=self.dropped - start.dropped,
        )


class Courier:
    """Sends batches of the backlog.

    Args:
        destination: Where to. What it raises is reported and taken for a failure of the request.
        backlog: What is sent.
        transport: How it is sent.
        options: The bounds of a batch.
        reporter: Where trouble is reported.
        clock: Time.
        on_delivery: Called with a :class:`DeliveryReport` after every request that settled something.

    Attributes:
        paused: Nothing is sent because the host says so.
        unauthorized: Nothing is sent until there are new credentials.
        credentials: Counts the times there were new ones.
        rate_limited: Whether the last :meth:`wait` was for the client-side rate limit.
        sent: Records accepted.
        retried: Requests to be made again.
        dead: Records moved to the dead letters.
        last_error: The last failure; ``None`` after a success.
    """

    def __init__(
        self,
        destination: Destination,
        backlog: Backlog,
        transport: Transport,
        *,
        options: DeliveryOptions,
        reporter: Reporter,
        clock: Clock,
        on_delivery: Callable[[DeliveryReport], object] | None,
    ) -> None:
        self._destination = destination
        self._backlog = backlog
        self._transport = transport
        self._options = options
        self._reporter = reporter
        self._clock = clock
        self._on_delivery = on_delivery
        self.paused = False
        self.credentials = 0
        backlog.on_dropped = self._give_up
        self.reset()

    def reset(self) -> None:
        """Begin anew; also in a forked child."""
        self._pace = policy.Pace()
        self._episode = policy.Episode()
        self._max_batch_bytes = self._options.max_batch_bytes
        self.unauthorized: bool = False
        self.rate_limited: bool = False
        self.sent: int = 0
        self.retried: int = 0
        self.dead: int = 0
        self.last_error: str | None = None

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    # -- when and what ------------------------------------------------------------------------------------------
    def tally(self) -> Tally:
        """The counters as they stand; for any thread."""
        return Tally(self.sent, self.dead, self._backlog.dropped)

    def ignore_backoff(self) -> None:
        """Somebody asked for a request now: what the server asked for still counts, our own back-off does not."""
        self._pace = policy.without_backoff(self._pace)

    def wait(self) -> float:
        """Seconds until a request may go; infinite until somebody lets us."""
        self.rate_limited = False
        if self.paused or self.unauthorized:
            return math.inf
        now = self._clock.monotonic()
        wait = self._pace.wait(now)
        if wait <= 0:
            try:
                wait = self._destination.wait_before_request(now)
            except Exception as error:  # noqa: BLE001  (foreign code)
                self._fault("wait_before_request", error)
            self.rate_limited = wait > 0
        return wait

    def next_batch(self) -> list[Record]:
        """The records of the next request; empty when nothing is queued."""
        most = min(self._options.max_batch_records, self._episode.limit or self._options.max_batch_records)
        records = self._backlog.peek(most, self._max_batch_bytes, skip=self._episode.suspects)
        if not records and self._episode.suspects:  # the queue was cleared under our hands
            self._episode = policy.Episode()
            records = self._backlog.peek(self._options.max_batch_records, self._max_batch_bytes)
        return records

    # -- sending ------------------------------------------------------------------------------------------------
    def send(self, records: Sequence[Record]) -> None:
        """Send some of the leading records of a batch and act on the answer."""
        try:
            request = self._destination.build(records, attempt=self._pace.attempt, now=self._clock.time())
        except Exception as error:  # noqa: BLE001  (foreign code; a record it cannot build is found like a refused one)
            self._fault("build", error)
            self._refused(records, Outcome(Verdict.REFUSED, f"cannot be built ({type(error).__name__})"))
            return
        credentials = self.credentials
        used = records[: max(0, min(request.used, len(records)))]
        outcome = self._interpret(request, self._transport.send(request))
        if outcome.verdict is Verdict.ACCEPTED:
            self._accepted(used, outcome.refused)
        elif outcome.verdict in {Verdict.REFUSED, Verdict.TOO_LARGE} and used:
            self._refused(used, outcome)
        elif outcome.verdict is Verdict.UNAUTHORIZED:
            self._unauthorized(outcome, credentials)
        else:
            self._failed(outcome)

    def _interpret(self, request: Request, response: Response) -> Outcome:
        try:
            return self._destination.interpret(request, response)
        except Exception as error:  # noqa: BLE001  (foreign code; the status stands whatever it makes of the rest)
            self._fault("interpret", error)
            return policy.judge(response, self._clock.time())

    def _accepted(self, records: Sequence[Record], refused: Mapping[int, str]) -> None:
        self._pace = policy.succeeded()
        self.last_error = None
        refused = {index: reason for index, reason in refused.items() if 0 <= index < len(records)}
        if records:
            self._episode = policy.after_accepted(self._episode, len(records))
            self._max_batch_bytes = policy.grown_ceiling(self._max_batch_bytes, self._options.max_batch_bytes)
        try:
            self._settle(records, refused)
        finally:
            self._reporter.recovered("delivery_failed", f"Delivery to {self._destination.name} works again")
            self._reporter.recovered("request_refused", f"{self._destination.name} accepts requests again")

    def _settle(self, records: Sequence[Record], dead: Mapping[int, str]) -> None:
        """Remove records from the queue, some of them to the dead letters, and tell everybody."""
        if not records:
            return
        self.sent += len(records) - len(dead)
        self.dead += len(dead)
        try:
            self._backlog.settle(records, dead)
        finally:
            for index, reason in dead.items():
                self._reporter.report(
                    "record_refused",
                    f"{self._destination.name} refused a record ({reason}); it was moved to the dead letters",
                    key=reason,
                )
                self._give_up([records[index]], reason)
            reason = next(iter(dead.values()), "")
            self._tell(DeliveryReport(accepted=len(records) - len(dead), dead=len(dead), reason=reason))

    def _refused(self, records: Sequence[Record], outcome: Outcome) -> None:
        if outcome.verdict is Verdict.TOO_LARGE and len(records) > 1:
            # It is not about one record: the halves go, and nothing is narrowed down any further.
            self._max_batch_bytes = policy.lowered_ceiling(sum(len(record.payload) + 1 for record in records))
            self.last_error = outcome.reason or outcome.verdict.value
            return
        more = self._backlog.queued > self._episode.suspects + 1
        action, self._episode = policy.after_refused(self._episode, len(records), more=more)
        self.last_error = outcome.reason or outcome.verdict.value
        if action is policy.Action.CONDEMN:
            self._settle(records[:1], {0: self.last_error})
        elif action is policy.Action.GIVE_UP:
            self._back_off(outcome)
            self._reporter.report(
                "request_refused",
                f"{self._destination.name} refuses requests ({self.last_error}) and no single record explains it;"
                " everything is kept",
            )

    def _unauthorized(self, outcome: Outcome, credentials: int) -> None:
        self.unauthorized = True
        if self.credentials != credentials:  # the new ones came while the request was out
            self.unauthorized = False
            first = self._pace.attempt == 1
            self._failed(outcome)
            if first:
                self.ignore_backoff()
            return
        self.retried += 1
        self.last_error = outcome.reason or outcome.verdict.value
        self._episode = policy.after_interruption(self._episode)
        self._reporter.report(
            "delivery_unauthorized",
            f"{self._destination.name} does not accept the credentials ({self.last_error});"
            " everything is kept until there are new ones",
            level=logging.ERROR,
        )

    def _failed(self, outcome: Outcome) -> None:
        self.retried += 1
        self.last_error = outcome.reason or outcome.verdict.value
        self._episode = policy.after_interruption(self._episode)
        self._back_off(outcome)
        self._reporter.report(
            "delivery_failed",
            f"Delivery to {self._destination.name} failed ({self.last_error}); everything is kept and tried again",
        )

    def _back_off(self, outcome: Outcome) -> None:
        self._pace = policy.failed(
            self._pace,
            self._destination.backoff,
            outcome.retry_after,
            self._clock.monotonic(),
            random.random(),  # noqa: S311  (jitter, not a secret)
        )

    # -- telling others -----------------------------------------------------------------------------------------
    def _give_up(self, records: Sequence[Record], reason: str) -> None:
        try:
            self._destination.undeliverable(records, reason)
        except Exception as error:  # noqa: BLE001  (foreign code)
            self._fault("undeliverable", error)

    def _tell(self, report: DeliveryReport) -> None:
        if self._on_delivery is None:
            return
        try:
            self._on_delivery(report)
        except (Exception, SystemExit) as error:  # noqa: BLE001  (the host's code)
            self._reporter.report(
                "callback_failed", f"on_delivery raised {type(error).__name__}", key="on_delivery", exception=error
            )

    def _fault(self, where: str, error: Exception) -> None:
        self._reporter.report(
            "destination_failed",
            f"{where} raised {type(error).__name__}",
            key=where,
            level=logging.ERROR,
            exception=error,
        )
