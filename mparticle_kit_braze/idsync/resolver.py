"""The resolver that asks mParticle: identities go to IDSync over HTTP, and nobody waits for the answer."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Mapping
from typing import Any, Literal

from .._version import __version__
from ..clock import SYSTEM_CLOCK, Clock
from ..delivery import Request
from ..delivery.transport import Transport
from ..diagnostics import Reporter
from ..errors import ConfigurationError
from ..identity import (
    Alias,
    IdentityFailure,
    IdentityType,
    Operation,
    PendingResolution,
    Resolution,
    User,
)
from ..storage import KeyValues, Storage
from ..urls import check_url
from ..values import describe
from .api import (
    Answer,
    Meaning,
    alias_body,
    common,
    identity_body,
    identity_changes,
    modify_body,
    read_answer,
    signed_headers,
)
from .worker import Worker

__all__ = ["IDSyncResolver"]

HOST = "https://identity.mparticle.com"
ALIAS_HOST = "https://nativesdks.mparticle.com"
CACHED = 100
"""Answers remembered at most."""

NO_USER = -1
"""The code of a modify before there is a user. Source: Android ``IdentityApi``."""


class IDSyncResolver:
    """Resolves identities on mParticle's servers. Give it to ``MParticle(resolver=...)``.

    The current user stays until an answer has come; before the first of all, calls wait on disk. Throttling, server
    errors and dead networks are tried again (``Retry-After`` is obeyed, else a growing wait up to five minutes) for as
    long as the client lives; a refusal (400, 401, 403, 404) fails the call. Answers are cached for as long as
    mParticle says.

    Args:
        key: The API key.
        secret: Its secret, to sign requests; ``None`` for keys that need no signature.
        direct_routing: Whether to go to the pod that the key names (``us1-...``), ``us1`` without one.
        endpoint: Another server in place of mParticle's, such as a proxy: an ``https://`` URL.
        connect_timeout: Seconds to wait for a connection.
        read_timeout: Seconds to wait for an answer (Android: 30).
        first_wait: Seconds that the wait before the second attempt is at most.
        clock: Where the time comes from; another one is for tests.

    Raises:
        ConfigurationError: The key, secret or endpoint is malformed.
    """

    def __init__(
        self,
        key: str,
        secret: str | None = None,
        *,
        direct_routing: bool = False,
        endpoint: str | None = None,
        connect_timeout: float = 10.0,
        read_timeout: float = 30.0,
        first_wait: float = 1.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        check_key(key, "key")
        if secret is not None:
            check_key(secret, "secret")
        self._key = key
        self._secret = secret
        pod = key.split("-", 1)[0] if "-" in key else "us1"
        if endpoint is not None:
            self._base = self._alias_base = check_url(endpoint, "endpoint")
        elif direct_routing:
            self._base = check_url(f"https://identity.{pod}.mparticle.com", "key")
            self._alias_base = check_url(f"https://nativesdks.{pod}.mparticle.com", "key")
        else:
            self._base, self._alias_base = HOST, ALIAS_HOST
        self._clock = clock
        self._transport = Transport(connect_timeout, read_timeout)
        self._first_wait = first_wait
        self._worker = self._new_worker()
        self._environment: Literal["production", "development"] = "production"
        self._values: KeyValues | None = None
        self._reporter = Reporter()

    def open(self, storage: Storage, reporter: Reporter, environment: Literal["production", "development"]) -> None:
        """The client hands over where to remember things, where trouble goes, and its environment."""
        self._worker = self._new_worker()  # that of a client it has been given to before is closed
        self._values = storage.key_values("idsync")
        self._reporter = reporter
        self._environment = environment

    def _new_worker(self) -> Worker:
        return Worker("mparticle_kit_braze.idsync", first_wait=self._first_wait)

    def close(self) -> None:
        """End the thread; requests that have no answer yet are given up."""
        self._worker.close()
        self._transport.close()
        if self._values is not None:
            self._values.close()

    # -- resolving ----------------------------------------------------------------------------------------------
    def resolve(
        self, operation: Operation, identities: Mapping[IdentityType, str | None], current: User | None
    ) -> Resolution | PendingResolution | IdentityFailure:
        """See :meth:`IdentityResolver.resolve`."""
        if operation == "modify":
            return self._modify(identities, current)
        if operation == "logout":
            self._forget_answers()
        else:
            cached = self._cached(operation, identities)
            if cached is not None:
                return cached
        pending = PendingResolution()

        def attempt(number: int) -> float | None:
            body = identity_body(self._envelope(), identities, self._device(), current)
            answer = self._post(f"{self._base}/v1/{operation}", body, operation)
            if answer.meaning is Meaning.RESOLVED and answer.mpid is not None:
                self._remember(operation, identities, answer)
                pending.complete(Resolution(answer.mpid, answer.is_logged_in))
                return None
            return self._not_resolved(pending, operation, answer, number)

        self._worker.add(attempt)
        return pending

    def _modify(
        self, identities: Mapping[IdentityType, str | None], current: User | None
    ) -> Resolution | PendingResolution | IdentityFailure:
        if current is None:
            return IdentityFailure("modify", NO_USER, "there is no user to modify yet")
        same = Resolution(current.mpid, current.is_logged_in)
        changes = identity_changes(identities, current)
        if not changes:
            return same
        self._forget_answers()
        pending = PendingResolution()

        def attempt(number: int) -> float | None:
            body = modify_body(self._envelope(), changes)
            answer = self._post(f"{self._base}/v1/{same.mpid}/modify", body, "modify")
            if answer.meaning is Meaning.RESOLVED:
                self._remember("modify", identities, answer)
                pending.complete(same)
                return None
            return self._not_resolved(pending, "modify", answer, number)

        self._worker.add(attempt)
        return pending

    def _not_resolved(
        self, pending: PendingResolution, operation: Operation, answer: Answer, number: int
    ) -> float | None:
        """The wait before the next attempt, or ``None`` after a failure for good."""
        if answer.meaning is Meaning.RETRY:
            if number == 1:
                message = f"mParticle does not answer {operation} ({answer.reason}); it is tried again"
                self._reporter.report("identity_delayed", message, key="idsync")
            return answer.retry_after or 0.0
        pending.fail(IdentityFailure(operation, answer.code, answer.reason))
        return None

    # -- aliases ------------------------------------------------------------------------------------------------
    def alias(self, alias: Alias) -> bool:
        """Have mParticle move data from one user to another."""
        request_id = str(uuid.uuid4())

        def attempt(number: int) -> float | None:  # noqa: ARG001 - the worker's
            body = alias_body(
                alias, self._key, environment=self._environment, request_id=request_id, device=self._device()
            )
            answer = self._post(f"{self._alias_base}/v1/identity/{self._key}/alias", body, None)
            if answer.meaning is Meaning.RETRY:
                return answer.retry_after or 0.0
            if answer.meaning is Meaning.FAILED:
                self._reporter.report("alias_failed", f"mParticle refused to alias users: {answer.reason}")
            return None

        self._worker.add(attempt)
        return True

    # -- one request --------------------------------------------------------------------------------------------
    def _envelope(self) -> dict[str, Any]:
        context = None if self._values is None else self._values.get("context")
        return common(self._environment, __version__, str(uuid.uuid4()), self._clock.time(), context)

    def _post(self, url: str, body: Mapping[str, Any], operation: Operation | None) -> Answer:
        now = self._clock.time()
        content = json.dumps(body, separators=(",", ":")).encode()
        headers = signed_headers(url, content, key=self._key, secret=self._secret, now=now)
        answer = read_answer(operation, self._transport.send(Request(url, headers, content, used=0)), now)
        if answer.meaning is not Meaning.RETRY:
            self._reporter.recovered("identity_delayed", "mParticle answers again", key="idsync")
        return answer

    def _device(self) -> str:
        """A random id of the installation."""
        made = str(uuid.UUID(bytes=os.urandom(16), version=4))
        return made if self._values is None else str(self._values.set_default("device", made))

    # -- what is remembered -------------------------------------------------------------------------------------
    def _cached(self, operation: Operation, identities: Mapping[IdentityType, str | None]) -> Resolution | None:
        entry = None if self._values is None else self._values.get(cache_key(operation, identities))
        if not isinstance(entry, dict) or not isinstance(entry.get("until"), int | float):
            return None
        mpid = entry.get("mpid")
        if not isinstance(mpid, int) or self._clock.time() >= entry["until"]:
            return None
        return Resolution(mpid, entry.get("is_logged_in") is True)

    def _remember(self, operation: Operation, identities: Mapping[IdentityType, str | None], answer: Answer) -> None:
        if self._values is None:
            return
        if answer.context is not None:
            self._values.set("context", answer.context)
        if operation in ("identify", "login") and answer.max_age > 0:
            if len(self._values.items("answer.")) >= CACHED:
                self._forget_answers()
            self._values.set(
                cache_key(operation, identities),
                {
                    "mpid": answer.mpid,
                    "is_logged_in": answer.is_logged_in,
                    "until": self._clock.time() + answer.max_age,
                },
            )

    def _forget_answers(self) -> None:
        if self._values is not None:
            self._values.delete_prefix("answer.")


def cache_key(operation: Operation, identities: Mapping[IdentityType, str | None]) -> str:
    """Where an answer is remembered: a digest, so that no identity is kept in another place."""
    named = sorted((kind.number, value) for kind, value in identities.items() if value is not None)
    return "answer." + hashlib.sha256(json.dumps([operation, named]).encode()).hexdigest()


def check_key(key: object, what: str) -> None:
    """Raise unless it is a text that fits into a header."""
    if not isinstance(key, str) or not key.strip() or not key.isascii() or not key.isprintable():
        raise ConfigurationError(f"{what} must be the {what} of an mParticle input, not {describe(key)}")
