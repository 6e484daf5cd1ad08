"""What an answer of the REST API means: taken, partly refused, wait, too large, stop.

Source: Braze REST API, errors and rate limits. Header names are compared in lower case, as HTTP/2 sends them.
"""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..delivery.policy import retry_after
from .validation import ArrayName

__all__ = ["Answer", "Meaning", "RateHeaders", "interpret", "rate_headers"]

_EPOCH_FROM = 1_000_000_000
"""``X-RateLimit-Reset`` above this is a time; below, seconds left (contracts differ)."""

_MAX_WAIT = 3600.0


class Meaning(enum.Enum):
    """What to do after an answer."""

    TAKEN = "taken"  # all of it, but the objects listed as refused
    REFUSED = "refused"  # none of it will ever be taken
    TOO_LARGE = "too_large"  # halve and send again
    WAIT = "wait"  # rate limited: send again after a while
    RETRY = "retry"  # a fault on the way or over there: send again, backing off
    STOP = "stop"  # key, permission or path are wrong: nothing will be taken until that is changed


@dataclass(frozen=True, slots=True)
class RateHeaders:
    """The rate limit as an answer states it; ``None`` where it does not.

    Attributes:
        limit: Requests in a window.
        remaining: Requests left in it.
        reset_in: Seconds until the next window.
        retry_after: Seconds the server asks to wait.
    """

    limit: int | None = None
    remaining: int | None = None
    reset_in: float | None = None
    retry_after: float | None = None

    @property
    def wait(self) -> float | None:
        """The seconds to wait after a refusal for the rate, if they are known."""
        return self.retry_after if self.retry_after is not None else self.reset_in


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, interpreted.

    Attributes:
        meaning: What to do.
        reason: Why, for people; no personal data.
        refused: The objects that were refused one by one: (array, index in the request) -> reason.
        wait: Seconds the server asked to wait, if it did.
        rate: What it said about the rate limit.
        errors: How many errors it listed, those that name no object included.
    """

    meaning: Meaning
    reason: str = ""
    refused: Mapping[tuple[ArrayName, int], str] = field(default_factory=dict)
    wait: float | None = None
    rate: RateHeaders = RateHeaders()
    errors: int = 0


def interpret(status: int, headers: Mapping[str, str], body: bytes, *, now: float) -> Answer:
    """Interpret an answer.

    Args:
        status: The HTTP status, 0 for none.
        headers: The headers; the case of their names does not matter.
        body: The body.
        now: Wall-clock seconds since the epoch, to which ``X-RateLimit-Reset`` is compared.
    """
    rate = rate_headers(headers, now)
    parsed = _parsed(body)
    message = _message(parsed) or f"HTTP {status}"
    if status == 200 and body.strip() and not parsed:
        return Answer(Meaning.RETRY, "the answer is not Braze's", rate=rate)  # a proxy's or a login page
    if 200 <= status < 300:
        return Answer(Meaning.TAKEN, message, _refused(parsed), rate=rate, errors=len(_errors(parsed)))
    if status == 400:
        if "max input length exceeded" in message.lower():
            return Answer(Meaning.TOO_LARGE, message, rate=rate)
        return Answer(Meaning.REFUSED, message, _refused(parsed), rate=rate)
    if status in (401, 403, 404):
        return Answer(Meaning.STOP, message, rate=rate)
    if status == 413:
        return Answer(Meaning.TOO_LARGE, message, rate=rate)
    if status == 429:
        return Answer(Meaning.WAIT, "the rate limit is used up", wait=rate.wait, rate=rate)
    return Answer(Meaning.RETRY, f"HTTP {status}" if status else "no answer", wait=rate.retry_after, rate=rate)


def rate_headers(headers: Mapping[str, str], now: float) -> RateHeaders:
    """Read the rate limit headers, see :class:`RateHeaders`. What is no number is left out."""
    lowered = {name.lower(): value for name, value in headers.items()}
    limit = _number(lowered.get("x-ratelimit-limit"))
    remaining = _number(lowered.get("x-ratelimit-remaining"))
    reset = _number(lowered.get("x-ratelimit-reset"))
    if reset is not None:
        reset = min(max(reset - now if reset > _EPOCH_FROM else reset, 0.0), _MAX_WAIT)
    asked = _number(lowered.get("x-ratelimit-retry-after"))
    if asked is None:
        asked = retry_after(lowered, now)
    return RateHeaders(
        None if limit is None else int(limit),
        None if remaining is None else int(remaining),
        reset,
        None if asked is None else min(asked, _MAX_WAIT),
    )


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text is not None else -1.0
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _parsed(body: bytes) -> Mapping[str, Any]:
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _message(parsed: Mapping[str, Any]) -> str:
    message = parsed.get("message")
    return message[:200] if isinstance(message, str) else ""


def _errors(parsed: Mapping[str, Any]) -> list[Any]:
    errors = parsed.get("errors")
    return errors if isinstance(errors, list) else []


def _refused(parsed: Mapping[str, Any]) -> dict[tuple[ArrayName, int], str]:
    refused: dict[tuple[ArrayName, int], str] = {}
    for error in _errors(parsed):
        if not isinstance(error, Mapping):
            continue
        array, index, reason = error.get("input_array"), error.get("index"), error.get("type")
        if (
            array in ("attributes", "events", "purchases")
            and isinstance(index, int)
            and not isinstance(index, bool)
            and index >= 0
        ):
            refused[array, index] = str(reason)[:200] if reason else "refused"
    return refused
