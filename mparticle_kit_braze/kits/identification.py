"""Identity calls, one at a time: ask the resolver, wait for its answer if need be, make it the current user, tell.

Everything here runs in the coordinator's turnstile. While an answer is awaited the current user stays and all
other calls go on; identity calls queue up behind it.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..diagnostics import Reporter
from ..identity import (
    IdentityFailure,
    IdentityRequest,
    IdentityResolver,
    IdentityResult,
    IdentityType,
    LocalResolver,
    Operation,
    PendingResolution,
    Resolution,
    User,
)
from ..users import UserStore

__all__ = ["Identification"]

MAX_IDENTITY_LENGTH = 4096
"""Longer identities are not stored. Source: Android identity validation."""

MAX_QUEUED = 100
"""Identity calls that may wait for their turn; an app that is offline for long must not make this grow for ever."""

FIRST = {IdentityType.CUSTOMER_ID: 0, IdentityType.EMAIL: 1}

UNKNOWN = -1
"""The code of a failure without an HTTP status. Source: Android ``IdentityApi.UNKNOWN_ERROR``."""

Outcome = Resolution | IdentityFailure | None


@dataclass(frozen=True, slots=True)
class Change:
    """One identity call.

    Attributes:
        operation: The call.
        identities: Those that can be stored.
        request: What the app gave, for its callbacks; ``None`` for the one at the first start.
    """

    operation: Operation
    identities: Mapping[IdentityType, str | None]
    request: IdentityRequest | None = None


class Identification:
    """Carries out identity calls.

    Args:
        users: Who is current.
        resolver: Turns identities into an MPID; ``None`` for the local one.
        local: The local one, which forgets users that are no longer remembered.
        reporter: Where problems go.
        run: Runs an action in turn.
        on_completed: Tells everyone else of a completed call.

    Attributes:
        pending: Whether an answer is awaited.
        listeners: Called with each result.
    """

    def __init__(
        self,
        users: UserStore,
        resolver: IdentityResolver | None,
        local: LocalResolver,
        *,
        reporter: Reporter,
        run: Callable[[Callable[[], None]], None],
        on_completed: Callable[[Change, User], object],
    ) -> None:
        self._users = users
        self.resolver: IdentityResolver = local if resolver is None else resolver
        self._local = local
        self._reporter = reporter
        self._run = run
        self._on_completed = on_completed
        self._queue: deque[Change] = deque()
        self._awaited: Change | None = None
        self._pid = os.getpid()
        self._held = False
        self._closed = False
        self.listeners: tuple[Callable[[IdentityResult], object], ...] = ()

    @property
    def pending(self) -> bool:
        """Whether an answer is awaited."""
        return self._awaited is not None

    def begin(self) -> None:
        """Find out who the user is at the first start of all; at later ones ask a server whether it is still so.

        Runs in turn. Source: the identify call that mParticle's clients make at their start.
        """
        current = self._users.current
        if current is None:
            self._carry_out(Change("identify", {}))
        elif self.resolver is not self._local:
            self._carry_out(Change("identify", dict(current.identities)))

    def change(self, operation: Operation, request: IdentityRequest) -> None:
        """Carry out a call as soon as those before it are done."""
        identities = storable(request.identities, self._reporter)
        if operation != "modify":
            identities = {kind: value for kind, value in identities.items() if value is not None}
        self._run(lambda: self._carry_out(Change(operation, identities, request)))

    def hold(self) -> None:
        """Let calls wait. Runs in turn, as the next."""
        self._held = True

    def go_on(self) -> None:
        """Carry out the calls that have waited."""
        self._held = False
        self._advance()

    def close(self) -> None:
        """Take no answer any more."""
        self._closed = True

    # -- in turn ------------------------------------------------------------------------------------------------
    def _carry_out(self, change: Change) -> None:
        if self._pid != os.getpid():  # a forked child: the answer will reach the parent only
            self._pid = os.getpid()
            self._awaited = None
            self._queue.clear()
        if len(self._queue) >= MAX_QUEUED:
            self._fail(change, IdentityFailure(change.operation, UNKNOWN, "too many identity calls wait"))
            return
        self._queue.append(change)
        self._advance()

    def _advance(self) -> None:
        while self._awaited is None and self._queue and not self._held:
            change = self._queue.popleft()
            answer = self._ask(change)
            if isinstance(answer, PendingResolution):
                self._awaited = change
                answer.when_done(lambda outcome, change=change: self._answered(change, outcome))  # type: ignore[misc]  # mypy infers no lambda with a default
            else:
                self._settle(change, answer)

    def _answered(self, change: Change, outcome: Outcome) -> None:
        """An awaited answer has come, on whatever thread."""

        def settle() -> None:
            if self._awaited is change and not self._closed:
                self._awaited = None
                self._settle(change, outcome)
                self._advance()

        self._run(settle)

    def _ask(self, change: Change) -> Resolution | PendingResolution | IdentityFailure | None:
        try:
            return self.resolver.resolve(change.operation, change.identities, self._users.current)
        except Exception as error:  # noqa: BLE001  # a resolver may be the host's own
            self._reporter.report(
                "identity_failed",
                f"{change.operation} failed with {type(error).__name__}; the user stays",
                key=change.operation,
                exception=error,
            )
            return None

    def _settle(self, change: Change, outcome: Outcome) -> None:
        if isinstance(outcome, IdentityFailure):
            self._reporter.report(
                "identity_failed", f"{change.operation} failed: {outcome.reason}; the user stays", key=change.operation
            )
            self._fail(change, outcome)
        elif outcome is None or outcome.mpid == 0:  # 0 is nobody yet
            self._fail(change, IdentityFailure(change.operation, UNKNOWN, "there was no answer"))
        else:
            previous = self._users.current
            user, forgotten = self._users.switch(outcome.mpid, logged_in=outcome.is_logged_in)
            for old in forgotten:
                self._local.forget(old)
            self._users.set_identities(user, change.identities)
            self._on_completed(change, user)
            self._succeed(change, IdentityResult(change.operation, user, previous))

    # -- callbacks ----------------------------------------------------------------------------------------------
    def _succeed(self, change: Change, result: IdentityResult) -> None:
        if change.request is not None and change.request.on_success is not None:
            self._call(change.request.on_success, result)
        for listener in self.listeners:
            self._call(listener, result)

    def _fail(self, change: Change, failure: IdentityFailure) -> None:
        if change.request is not None and change.request.on_failure is not None:
            self._call(change.request.on_failure, failure)

    def _call(self, callback: Callable[[Any], object], value: IdentityResult | IdentityFailure) -> None:
        try:
            callback(value)
        except Exception as error:  # noqa: BLE001  # the host's own code; the others must be called
            self._reporter.report(
                "listener_failed",
                f"An identity callback raised {type(error).__name__}",
                key="identity",
                exception=error,
            )


def storable(identities: Mapping[IdentityType, str | None], reporter: Reporter) -> dict[IdentityType, str | None]:
    """The identities without those that no mParticle client stores: empty ones and ones that are too long.

    The customer id comes first and the email address second, as on Android.
    """
    kept: dict[IdentityType, str | None] = {}
    for kind in sorted(identities, key=lambda kind: FIRST.get(kind, len(FIRST))):
        value = identities[kind]
        if value is not None and not 0 < len(value) <= MAX_IDENTITY_LENGTH:
            why = "is empty" if not value else f"is longer than {MAX_IDENTITY_LENGTH} characters"
            reporter.report("value_refused", f"Identity {kind.value} {why}; left out", key=kind.value)
        else:
            kept[kind] = value
    return kept
