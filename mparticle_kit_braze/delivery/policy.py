"""Every decision of delivery as pure functions: what an answer means, how long to wait, which record to suspect.

Nothing here does I/O, reads a clock or holds state. The dispatcher keeps a :class:`Pace` (when the next
request may go) and an :class:`Episode` (how far a refusal has been narrowed down), and replaces them with what
these functions return.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..locks import importing
from .destination import Backoff, Outcome, Response, Verdict

__all__ = [
    "MAX_RETRY_AFTER",
    "Action",
    "Episode",
    "Pace",
    "after_accepted",
    "after_interruption",
    "after_refused",
    "failed",
    "grown_ceiling",
    "judge",
    "lowered_ceiling",
    "retry_after",
    "succeeded",
    "wait_fits",
    "without_backoff",
]

MAX_RETRY_AFTER = 3600.0
"""The longest wait a server can ask for, in seconds."""

FIRST_PROBES = 8
"""How many records may be refused alone, none accepted, before the request itself is blamed."""

MOST_PROBES = 32
"""The same once earlier episodes explained nothing: a longer run of bad records can then be passed."""


# -- what an answer means ---------------------------------------------------------------------------------------
def judge(response: Response, now: float) -> Outcome:
    """Read an answer by its status alone; destinations look into bodies first and fall back to this.

    Args:
        response: The answer, or why there was none.
        now: Wall-clock seconds since the epoch, for ``Retry-After`` dates.
    """
    status = response.status
    if 200 <= status < 300:
        return Outcome(Verdict.ACCEPTED)
    if status == 0:
        return Outcome(Verdict.RETRY, response.error or "connection")
    reason = f"HTTP {status}"
    if status == 400:
        return Outcome(Verdict.REFUSED, reason)
    if status == 413:
        return Outcome(Verdict.TOO_LARGE, reason)
    if status in {401, 403}:
        return Outcome(Verdict.UNAUTHORIZED, reason)
    return Outcome(Verdict.RETRY, reason, retry_after(response.headers, now))


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """The seconds a ``Retry-After`` header (seconds or an HTTP date) asks for; ``None`` without a readable one."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = _seconds_until(text, now)
    return _bounded(seconds)


def _seconds_until(date: str, now: float) -> float:
    with importing.held:
        from email.utils import parsedate_to_datetime  # noqa: PLC0415  (costs too much to import for everyone)

    try:
        return parsedate_to_datetime(date).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return math.nan


def _bounded(seconds: float) -> float | None:
    return None if math.isnan(seconds) else min(max(seconds, 0.0), MAX_RETRY_AFTER)


# -- when the next request may go -------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Pace:
    """When the next request may go; all times are of the monotonic clock.

    Attributes:
        attempt: The number of the next attempt: 1 after a success, then counting up.
        previous: The whole last wait, which the next one grows from; ``None`` after a success.
        backoff_until: The end of our own back-off.
        server_until: The end of the wait the server asked for, which nothing overrides.
    """

    attempt: int = 1
    previous: float | None = None
    backoff_until: float = -math.inf
    server_until: float = -math.inf

    def wait(self, now: float) -> float:
        """Seconds until a request may go."""
        return max(0.0, self.backoff_until - now, self.server_until - now)


def succeeded() -> Pace:
    """The pace after an accepted request."""
    return Pace()


def failed(pace: Pace, backoff: Backoff, asked: float | None, now: float, chance: float) -> Pace:
    """The pace after a request that was kept.

    ``min(maximum, uniform(minimum, previous * scale))``, ``previous`` being ``first`` at first and then the whole
    last wait (as the Web SDK); ``Retry-After`` is a minimum, capped at an hour.

    Args:
        pace: The pace before.
        backoff: The back-off in force.
        asked: The seconds the server asked for, if it did.
        now: Monotonic seconds.
        chance: A random number from 0 to 1.
    """
    previous = pace.previous
    if previous is None:
        previous = backoff.minimum if backoff.first is None else backoff.first
    top = max(backoff.minimum, previous * backoff.scale)
    own = min(backoff.maximum, backoff.minimum + (top - backoff.minimum) * chance)
    server = (_bounded(asked) or 0.0) if asked is not None else 0.0
    return Pace(
        attempt=pace.attempt + 1,
        previous=max(own, server),
        backoff_until=now + own,
        server_until=now + server if server else -math.inf,
    )


def without_backoff(pace: Pace) -> Pace:
    """What a flush makes of the pace: our own back-off is ignored, what the server asked for is not."""
    return replace(pace, backoff_until=-math.inf)


def wait_fits(wait: float, now: float, deadline: float | None, *, rate_limited: bool) -> bool:
    """Whether a flush should wait for the next request, or return with what it has.

    Args:
        wait: Seconds until the next request may go.
        now: Monotonic seconds.
        deadline: When the flush must return; ``None`` for a flush without a time-out, which waits for the
            client-side rate limit but not for a destination that fails.
        rate_limited: Whether it is the client-side rate limit that makes it wait.
    """
    if deadline is None:
        return rate_limited and math.isfinite(wait)
    return now + wait < deadline


# -- which record is to blame -----------------------------------------------------------------------------------
class Action(enum.Enum):
    """What to do after a refusal."""

    NARROW = "narrow"  # send fewer of the leading records
    PROBE = "probe"  # pass over the record refused alone and try the next
    CONDEMN = "condemn"  # that record goes to the dead letters
    GIVE_UP = "give_up"  # no record explains it: keep all, back off


@dataclass(frozen=True, slots=True)
class Episode:
    """How far a refusal has been narrowed down.

    Attributes:
        limit: The most records in the next request; ``None`` for as many as fit.
        region: That many leading records are known to hold a refused one; 0 when nothing is known.
        suspects: That many leading records were refused alone and are passed over by the next request.
        evidence: How many records may be condemned, because other requests were accepted meanwhile.
        fruitless: Episodes in a row that ended without an explanation.
    """

    limit: int | None = None
    region: int = 0
    suspects: int = 0
    evidence: int = 0
    fruitless: int = 0


def after_accepted(episode: Episode, used: int) -> Episode:
    """The episode after a request of ``used`` records was accepted."""
    if episode.suspects:
        # The destination takes records, so those refused alone are worth one more try, each alone.
        return Episode(limit=1, region=episode.suspects, evidence=episode.suspects)
    remaining = episode.region - used
    if remaining <= 0:
        return Episode()
    return Episode(limit=max(1, remaining // 2), region=remaining, evidence=max(1, episode.evidence))


def after_refused(episode: Episode, used: int, *, more: bool) -> tuple[Action, Episode]:
    """What to do after a request of ``used`` records was refused, or found too large.

    Args:
        episode: The episode before.
        used: The records in the request.
        more: Whether records are queued behind the one refused alone.
    """
    if used > 1:
        known_fruitless = episode.fruitless > 0 and episode.region == 0
        return Action.NARROW, replace(episode, limit=1 if known_fruitless else used // 2, region=used)
    if episode.evidence:
        left = episode.evidence - 1
        if left and episode.region > 1:
            return Action.CONDEMN, Episode(limit=1, region=episode.region - 1, evidence=left)
        return Action.CONDEMN, Episode()
    suspects = episode.suspects + 1
    if not more or suspects >= min(FIRST_PROBES << min(episode.fruitless, 8), MOST_PROBES):
        return Action.GIVE_UP, Episode(fruitless=episode.fruitless + 1)
    return Action.PROBE, Episode(limit=1, suspects=suspects, fruitless=episode.fruitless)


def after_interruption(episode: Episode) -> Episode:
    """The episode after a failure that says nothing about the records: what was found stands, but proves nothing."""
    return Episode(limit=episode.limit, region=episode.region, fruitless=episode.fruitless)


# -- how large a request may be ---------------------------------------------------------------------------------
def lowered_ceiling(payload_bytes: int) -> int:
    """The most payload bytes in a request after one with ``payload_bytes`` was too large."""
    return max(1, payload_bytes // 2)


def grown_ceiling(ceiling: int, maximum: int) -> int:
    """The ceiling after an accepted request: it creeps back up, so that a passing limit is not kept for ever."""
    return min(maximum, ceiling + max(1, ceiling // 64))
