"""mParticle's Events API, server to server, as a destination of delivery: ``POST /v2/bulkevents``."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..delivery import Backoff, Outcome, Record, Request, Response, Verdict, judge
from ..diagnostics import Reporter
from ..storage import KeyValues
from .batches import Batch, Envelope, batches_of, chunks, encode

__all__ = ["EventsApi"]

HISTORICAL_AGE = 30 * 86_400.0
"""Seconds; older events go to the endpoint for historical data."""

BATCHES_PER_SECOND = 270
"""mParticle's rate limit."""


class EventsApi:
    """Makes requests of batches.

    A request that was not answered is made again of the same batches with the same ids, also after a restart, so
    that mParticle can tell what it has already.

    Args:
        base_url: Where the API is.
        key: The API key.
        secret: Its secret.
        envelope: What every batch says.
        values: Where the batches of the request in flight are remembered.
        reporter: Told of batches that were refused in an accepted request.
    """

    def __init__(
        self, base_url: str, key: str, secret: str, *, envelope: Envelope, values: KeyValues, reporter: Reporter
    ) -> None:
        self._base_url = base_url
        self._envelope = envelope
        self._values = values
        self._reporter = reporter
        self._headers = {
            "Content-Type": "application/json",
            "Authorization": "Basic " + base64.b64encode(f"{key}:{secret}".encode()).decode(),
        }
        self._pinned: dict[str, Any] | None = None
        self._not_before = 0.0
        self._due = 0

    @property
    def name(self) -> str:
        """For logs and statistics."""
        return "mParticle"

    @property
    def backoff(self) -> Backoff:
        """From one second to five minutes."""
        return Backoff(minimum=1.0)

    def build(self, records: Sequence[Record], *, attempt: int, now: float) -> Request:  # noqa: ARG002 - the protocol's
        """Make a request of leading records: those of an earlier attempt if it was not answered."""
        pinned = self._repeated(records)
        if pinned is not None:
            batches, historical = pinned
        else:
            batches, historical = batches_of(records, self._envelope, is_historical=lambda event: is_old(event, now))
            self._pin(records, batches, historical=historical)
        body = "[" + ",".join(encode(batch.body(self._envelope)) for batch in batches) + "]"
        self._due = len(batches)
        return Request(
            url=self._base_url + "/v2/bulkevents" + ("/historical" if historical else ""),
            headers=self._headers,
            body=body.encode(),
            used=sum(batch.records for batch in batches),
        )

    def interpret(self, request: Request, response: Response) -> Outcome:  # noqa: ARG002 - the protocol's
        """By status; a refusal's reason is the codes that the answer gives."""
        import time  # noqa: PLC0415 - only for dates in Retry-After

        outcome = judge(response, time.time())
        errors = error_codes(response.body)
        if outcome.verdict is Verdict.ACCEPTED:
            self._pinned = None
            if errors:
                self._reporter.report(
                    "upload_partly_refused",
                    f"mParticle accepted a request and refused some of its batches: {', '.join(errors)}",
                    count=len(errors),
                )
            return outcome
        return Outcome(
            outcome.verdict, ": ".join(filter(None, [outcome.reason, ", ".join(errors)])), outcome.retry_after
        )

    def wait_before_request(self, now: float) -> float:
        """Keep to the rate of batches a second."""
        if self._due:
            self._not_before = max(now, self._not_before) + self._due / BATCHES_PER_SECOND
            self._due = 0
        return max(0.0, self._not_before - now)

    def undeliverable(self, records: Sequence[Record], reason: str) -> None:
        """Nothing is remembered of what was sent."""

    # -- the same batches again ---------------------------------------------------------------------------------
    def _pin(self, records: Sequence[Record], batches: Sequence[Batch], *, historical: bool) -> None:
        counts = [batch.records for batch in batches]
        self._pinned = {
            "first": records[0].id,
            "last": records[sum(counts) - 1].id,
            "counts": counts,
            "historical": historical,
        }
        self._values.set("request", self._pinned)

    def _repeated(self, records: Sequence[Record]) -> tuple[list[Batch], bool] | None:
        pinned = self._pinned
        if pinned is None or pinned["first"] != records[0].id:
            self._values.reload()  # another process may have been sending, and have died of it
            pinned = self._values.get("request")
        if not isinstance(pinned, dict) or pinned.get("first") != records[0].id:
            return None
        counts = pinned.get("counts")
        if not isinstance(counts, list) or not all(isinstance(count, int) for count in counts):
            return None
        batches = chunks(records, counts, self._envelope)
        if batches is None or records[sum(counts) - 1].id != pinned.get("last"):
            return None
        return batches, pinned.get("historical") is True


def is_old(event: Mapping[str, Any], now: float) -> bool:
    """Whether an event is too old for the ordinary endpoint."""
    moment = event["data"].get("timestamp_unixtime_ms")
    return isinstance(moment, int) and now - moment / 1000 > HISTORICAL_AGE


def error_codes(body: bytes) -> list[str]:
    """The codes of the errors in an answer, in either of the API's spellings; messages may hold personal data."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return []
    entries = answer if isinstance(answer, list) else [answer]
    codes = []
    for entry in entries:
        errors = (entry.get("errors") or entry.get("Errors")) if isinstance(entry, dict) else None
        for error in errors if isinstance(errors, list) else ():
            code = (error.get("code") or error.get("ErrorCode")) if isinstance(error, dict) else None
            codes.append(str(code)[:60] if code else "unknown")
    return codes[:20]
