"""One-shot requests to the endpoint's other paths: cards, flags, banners, templates, withdrawing a push token.

They leave on delivery's thread, over its connection and out of the same token bucket as the data, but take no part
in its queue: none of them can hold up or lose a record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ...delivery.destination import Exchange, Request, Response
from ..data_endpoint import DataEndpoint
from .context import Context

__all__ = ["Answer", "Sync", "Syncs"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request.

    Attributes:
        ok: Whether it succeeded (any 2xx without an error in the body).
        body: The answer's object; empty if there was none.
        status: The HTTP status; 0 when there was no answer.
        retry_after: Seconds after which the server asks to be asked again.
        unauthorized: Whether it failed for want of a good signature.
    """

    ok: bool
    body: Mapping[str, Any]
    status: int = 0
    retry_after: float | None = None
    unauthorized: bool = False


FAILED = Answer(ok=False, body={})


class Sync(Protocol):
    """What to ask for, and what to do with the answer. Called on delivery's thread."""

    @property
    def path(self) -> str:
        """The path below the base URL."""

    @property
    def header(self) -> str | None:
        """The header that announces this kind of request, if it has one."""

    @property
    def responds(self) -> bool:
        """Whether the body has ``respond_with`` instead of a user id of its own."""

    @property
    def waits_for_signature(self) -> bool:
        """Whether it is sent again with the next signature when this one was refused."""

    def members(self) -> Mapping[str, Any] | None:
        """The members of the body that are its own; ``None`` if nothing is to be asked any more."""

    def headers(self) -> Mapping[str, str]:
        """Further headers."""

    def answered(self, answer: Answer) -> None:
        """Take the answer. Called once for each time it is sent, also when no request was made."""


class Syncs:
    """Sends syncs; keeps those that wait for a new signature.

    Args:
        context: The surroundings.
        endpoint: Knows keys, device, user, signature and the token bucket.
        call_soon: Has delivery run an exchange; says whether it will.
        follow_user: Called before a request is made, to notice a change of user.
        on_stale: Called when the user changed while an answer was being taken.

    Attributes:
        signatures: Counts new signatures.
    """

    def __init__(
        self,
        context: Context,
        endpoint: DataEndpoint,
        call_soon: Callable[[Exchange], bool],
        follow_user: Callable[[], object],
        on_stale: Callable[[], object],
    ) -> None:
        self._context = context
        self._endpoint = endpoint
        self._call_soon = call_soon
        self.follow_user = follow_user
        self.on_stale = on_stale
        self._held: tuple[Sync, ...] = ()
        self.signatures: int = 0

    @property
    def epoch(self) -> int:
        """The life of the current user."""
        return self._context.state.epoch

    def send(self, sync: Sync, *, again: bool = False) -> bool:
        """Have a request made soon; whether it will be. If not, the sync is not answered."""
        return self._call_soon(_Exchange(sync, self, self.epoch, again=again))

    def hold(self, sync: Sync, *, until: int, again: bool) -> None:
        """It was refused: send it again with the next signature.

        Args:
            sync: What was refused.
            until: The count of signatures when it was sent. If there are more by now, it goes at once,
            again: but not a second time.
        """
        self._held = (*(held for held in self._held if held.path != sync.path), sync)
        if self.signatures != until and not again:
            self._held = tuple(held for held in self._held if held is not sync)
            self.send(sync, again=True)

    def resume(self) -> None:
        """A new signature: ask again for what was refused for want of it."""
        self.signatures += 1
        held, self._held = self._held, ()
        for sync in held:
            self.send(sync)

    def forget_user(self) -> None:
        """The user changed: what was refused was another one's."""
        self._held = ()

    # -- on delivery's thread -----------------------------------------------------------------------------------
    def request(self, sync: Sync, now: float) -> Request | None:
        """The request for a sync; ``None`` if none is to be made."""
        members = sync.members()
        if members is None:
            return None
        announced = {} if sync.header is None else {sync.header: "true", "X-Braze-DataRequest": "true"}
        headers = {**announced, **sync.headers()}
        return self._endpoint.side_request(sync.path, members, headers=headers, responds=sync.responds, now=now)

    def interpret(self, request: Request, response: Response) -> Answer:
        """The answer to a request."""
        body, unauthorized = self._endpoint.side_answer(request, response)
        wait = self._endpoint.retry_after(response.headers.get("retry-after"))
        return Answer(body is not None, body if body is not None else {}, response.status, wait, unauthorized)


class _Exchange:
    """A sync on its way through delivery, bound to the life of the user it was asked for."""

    def __init__(self, sync: Sync, syncs: Syncs, epoch: int, *, again: bool) -> None:
        self._sync = sync
        self._syncs = syncs
        self._epoch = epoch
        self._again = again
        self._signatures = syncs.signatures

    def build(self, *, now: float) -> Request | None:
        """The request, unless it has become pointless."""
        request = None
        self._signatures = self._syncs.signatures
        try:
            self._syncs.follow_user()
            if self._is_current():
                request = self._syncs.request(self._sync, now)
        finally:
            if request is None:
                self._sync.answered(FAILED)
        return request

    def interpret(self, request: Request, response: Response) -> None:
        """Hand the answer on; one for a user who is gone is no answer."""
        answer = FAILED
        try:
            if self._is_current():
                answer = self._syncs.interpret(request, response)
        finally:
            self._sync.answered(answer)
        if answer.unauthorized and self._sync.waits_for_signature:
            self._syncs.hold(self._sync, until=self._signatures, again=self._again)
        if answer.ok and not self._is_current():
            self._syncs.on_stale()

    def _is_current(self) -> bool:
        return self._syncs.epoch == self._epoch
