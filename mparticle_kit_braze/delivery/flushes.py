"""Flushes in progress: what their callers wait on, and when each of them is over."""

from __future__ import annotations

from collections import deque

from ..clock import Clock, Wakeup
from . import policy
from .backlog import Backlog
from .courier import Courier, Tally
from .options import FlushResult
from .store import OutboxBusyError

__all__ = ["Flushes", "Ticket"]


class Ticket:
    """One flush: its caller waits on ``done``, the dispatcher fills it in.

    Attributes:
        deadline: Monotonic time at which the caller returns; ``None`` for no time-out.
        start: The counters when the flush began.
        end_id: Records before this id are meant; ``None`` until everything was absorbed.
        result: Set before ``done`` is raised.
        done: Raised at the end.
    """

    __slots__ = ("deadline", "done", "end_id", "result", "start")

    def __init__(self, deadline: float | None, start: Tally) -> None:
        self.deadline: float | None = deadline
        self.start: Tally = start
        self.end_id: int | None = None
        self.result: FlushResult | None = None
        self.done: Wakeup = Wakeup()


class Flushes:
    """All tickets. Any thread may :meth:`open` one; the rest is the dispatcher's.

    Args:
        backlog: What is flushed.
        courier: Whose counters make the results.
        clock: For deadlines.
    """

    def __init__(self, backlog: Backlog, courier: Courier, clock: Clock) -> None:
        self._backlog = backlog
        self._courier = courier
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Forget all; in a forked child, whose parent's callers are not here."""
        self._incoming: deque[Ticket] = deque()
        self._tickets: list[Ticket] = []

    def open(self, deadline: float | None) -> Ticket:
        """Begin a flush."""
        ticket = Ticket(deadline, self._courier.tally())
        self._incoming.append(ticket)
        return ticket

    @property
    def arrived(self) -> bool:
        """Whether there are new ones."""
        return bool(self._incoming)

    @property
    def waiting(self) -> bool:
        """Whether anybody waits."""
        return bool(self._tickets or self._incoming)

    def admit(self) -> None:
        """Take the new ones in."""
        while self._incoming:
            self._tickets.append(self._incoming.popleft())

    def mean_everything_before(self, end_id: int) -> None:
        """Everything was absorbed: this is what the new ones mean by "all that is queued"."""
        for ticket in self._tickets:
            if ticket.end_id is None:
                ticket.end_id = end_id

    def next_deadline(self) -> float | None:
        """The monotonic time at which the first of them gives up waiting."""
        return min((ticket.deadline for ticket in self._tickets if ticket.deadline is not None), default=None)

    def end_settled(self) -> None:
        """End those whose records are all settled."""
        for ticket in list(self._tickets):
            if self._is_settled(ticket):
                self._end(ticket, self._backlog.stranded)

    def end_hopeless(self, wait: float, *, rate_limited: bool) -> None:
        """End those that are settled, late, or cannot wait for the next request.

        Args:
            wait: Seconds until the next request may go.
            rate_limited: Whether it is the client-side rate limit that makes it wait.
        """
        self.end_settled()
        now = self._clock.monotonic()
        for ticket in list(self._tickets):
            late = ticket.deadline is not None and now >= ticket.deadline
            if late or (wait > 0 and not policy.wait_fits(wait, now, ticket.deadline, rate_limited=rate_limited)):
                self._end(ticket, self._kept(ticket))

    def end_all(self, kept: int) -> None:
        """End every one: the thread goes, or cannot go on."""
        self.admit()
        for ticket in list(self._tickets):
            self._end(ticket, kept)

    def _end(self, ticket: Ticket, kept: int) -> None:
        self._tickets.remove(ticket)
        ticket.result = self._courier.tally().since(ticket.start, kept)
        ticket.done.set()

    def _is_settled(self, ticket: Ticket) -> bool:
        if ticket.end_id is None:
            return False
        try:
            first = self._backlog.first_id()
        except OutboxBusyError:
            return False
        return first is None or first >= ticket.end_id

    def _kept(self, ticket: Ticket) -> int:
        try:
            if ticket.end_id is not None:
                return self._backlog.count_before(ticket.end_id)
        except OutboxBusyError:
            pass
        return max(1, self._backlog.queued)
