"""The Braze SDK endpoint's ``data`` path: stored records to requests, answers to verdicts.

Used by delivery on its own thread, one call at a time. It takes no lock of the client, so that a client that waits
for delivery never waits for itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from .._version import __version__
from ..clock import Clock, let_others_run
from ..delivery.destination import Backoff, Outcome, Record, Request, Response, Verdict
from ..diagnostics import Reporter
from ..locks import importing
from .answers import parsed, reason_in, verdict_of
from .authentication import AuthenticationFailure, Signatures, failure_in, set_aside_reason
from .device import describe_device
from .encoding import compact, quote, to_bytes
from .limits import DATA, RequestLimiter
from .points import PointMeter
from .request_body import contents, json_object, leading_of_one_user
from .server_config import is_newer
from .state import State

__all__ = ["DataEndpoint"]

FAILURES = "failures"
"""Failed requests since the last success, by path: the header counts on over restarts and changes of user."""

CARDS = "content_cards/sync"

MANY = 500
"""With more records than this, building a request takes long enough for the host to notice."""


class Notes(NamedTuple):
    """What a request carried, to be settled when it is answered.

    Attributes:
        path: Where it went, as limits name it.
        epoch: The life of the user it was built in.
        device: The text of the ``device`` object in force, sent or already known.
        metadata: Which session and tags the metadata is for.
        triggers: The reason why in-app messages were asked for, if they were.
        user_id: Whose signature it carried.
        signature: That signature.
        points: Data points by kind.
        merged_away: Data points saved by merging attributes.
    """

    path: str
    epoch: int
    device: str
    metadata: str
    triggers: str | None
    user_id: str | None
    signature: str | None
    points: Mapping[str, int]
    merged_away: int

    def __repr__(self) -> str:
        """Without the user and their signature."""
        return f"Notes(path={self.path!r}, epoch={self.epoch}, triggers={self.triggers!r}, points={self.points!r})"


class DataEndpoint:
    """A :class:`~mparticle_kit_braze.delivery.destination.Destination`.

    Args:
        api_key: The app identifier key.
        base_url: Where paths are added.
        state: What is remembered.
        signatures: For SDK authentication.
        meter: Counts data points of accepted requests.
        reporter: Where problems go.
        clock: Where time comes from.
        app_version, app_version_code: The host app's version as text and as four numbers, sent when given.
        sdk_metadata: Tags, sent once a session.
        before_request: Gives what else is to be remembered now; called before each request is built.
        on_config: Called when a new configuration came into force.
        on_undeliverable: Called when records were lost, whose values must no longer count as sent.
        on_triggers: Called with what an answer brought for in-app messages that were asked for (``None`` when the
            request failed), and the life of the user they are for.

    Attributes:
        silent: Whether nothing may be sent, the client being disabled.
    """

    def __init__(
        self,
        api_key: str,
        base_url: str,
        *,
        state: State,
        signatures: Signatures,
        meter: PointMeter,
        reporter: Reporter,
        clock: Clock,
        app_version: str | None = None,
        app_version_code: str | None = None,
        sdk_metadata: Sequence[str] = (),
        before_request: Callable[[], Mapping[str, Any]],
        on_config: Callable[[], object],
        on_undeliverable: Callable[[], object],
        on_triggers: Callable[[object, int], object],
    ) -> None:
        self._api_key = api_key
        self._base_url = base_url
        self._state = state
        self._signatures = signatures
        self._meter = meter
        self._reporter = reporter
        self._clock = clock
        self._versions = {"app_version": app_version, "app_version_code": app_version_code}
        self._sdk_metadata = list(sdk_metadata)
        self._before_request = before_request
        self._on_config = on_config
        self._on_undeliverable = on_undeliverable
        self._on_triggers = on_triggers
        self.silent: bool = state.disabled
        saved = state.values.get("limiter")
        # The bucket belongs to a user: one saved in another user's life is not taken up.
        usable = isinstance(saved, dict) and saved.get("epoch") == state.epoch
        self._limiter = RequestLimiter(clock, saved if usable else None)
        self._epoch = state.epoch

    @property
    def name(self) -> str:
        """For logs and statistics."""
        return "Braze"

    @property
    def backoff(self) -> Backoff:
        """The back-off in force."""
        return self._state.config.backoff

    def wait_before_request(self, now: float) -> float:  # noqa: ARG002 - the limiter keeps its own time
        """Seconds until the token bucket lets a request out."""
        if self.silent:
            return math.inf
        self._follow_user()
        return self._limiter.wait(self._state.config)

    def undeliverable(self, records: Sequence[Record], reason: str) -> None:  # noqa: ARG002 - which ones is no matter
        """Records are gone for good: what they set no longer counts as sent."""
        self._on_undeliverable()

    # -- requests -----------------------------------------------------------------------------------------------
    def build(self, records: Sequence[Record], *, attempt: int, now: float) -> Request:  # noqa: ARG002 - see FAILURES
        """One request for some leading records: all of them, or with SDK authentication those of one user."""
        state = self._state
        state.values.reload()
        self._follow_user()
        remembered = self._before_request()
        adopter = state.adopter
        user_id, used = state.user_id, len(records)
        if self._signatures.enabled and records:
            user_id, used = leading_of_one_user(records, adopter)
        alias = state.alias if state.user_id is None else None
        if used > MANY:
            let_others_run()
        carried = contents(records[:used], adopter=adopter, alias=alias)
        if used > MANY:
            let_others_run()
        if carried.damaged:
            self._reporter.report(
                "record_damaged", "Stored attribute records could not be read and were left out", count=carried.damaged
            )
        signature = self._signatures.for_user(user_id)
        # In-app messages are asked for on behalf of the current user only.
        triggers = state.triggers_due if user_id == state.user_id else None
        points, saved = carried.points(), carried.merged_away
        notes = self._notes(DATA, user_id, signature, triggers=triggers, points=points, merged_away=saved)
        parts = [self._respond_with(user_id, alias, triggers), *carried.json_parts(), *self._about(notes, alias, now)]
        headers = self._headers(DATA, signature, asks=triggers is not None)
        state.values.update({**remembered, "limiter": {**self._limiter.saved(), "epoch": state.epoch}})
        return Request(f"{self._base_url}/data/", headers, json_object(parts), used, notes)

    def side_request(
        self,
        path: str,
        members: Mapping[str, Any],
        *,
        headers: Mapping[str, str],
        responds: bool,
        now: float,
    ) -> Request | None:
        """A request without records to another path, for the current user and out of the same token bucket.

        Args:
            path: The path below the base URL.
            members: Members of the body that are its own.
            headers: Headers to add.
            responds: Whether the body has ``respond_with``.
            now: Seconds since the epoch.

        Returns:
            The request; ``None`` when the path's own limit lets none out (the Web SDK fails it then and does not wait).
        """
        state = self._state
        state.values.reload()
        self._follow_user()
        name = path.rstrip("/")
        if not self._limiter.admits(state.config, name):
            return None
        alias = state.alias if state.user_id is None else None
        signature = self._signatures.for_user(state.user_id)
        notes = self._notes(name, state.user_id, signature)
        parts = [self._respond_with(state.user_id, alias, None)] if responds else []
        if members:
            parts.append(to_bytes(compact(dict(members))[1:-1]))
        parts += self._about(notes, alias, now)
        usual = self._headers(name, signature, asks=False)
        state.values.update({"limiter": {**self._limiter.saved(), "epoch": state.epoch}})
        return Request(f"{self._base_url}/{path}", {**usual, **headers}, json_object(parts), 0, notes)

    def _notes(
        self,
        path: str,
        user_id: str | None,
        signature: str | None,
        *,
        triggers: str | None = None,
        points: Mapping[str, int] = MappingProxyType({}),
        merged_away: int = 0,
    ) -> Notes:
        return Notes(
            path=path,
            epoch=self._state.epoch,
            device=compact(describe_device()),
            metadata=" ".join([self._state.session_id, *self._sdk_metadata]),
            triggers=triggers,
            user_id=user_id,
            signature=signature,
            points=points,
            merged_away=merged_away,
        )

    def _follow_user(self) -> None:
        if self._epoch != self._state.epoch:
            self._epoch = self._state.epoch
            self._limiter = RequestLimiter(self._clock)

    def _respond_with(self, user_id: str | None, alias: dict[str, str] | None, triggers: str | None) -> bytes:
        wanted: dict[str, Any] = {}
        if triggers is not None:
            wanted["triggers"] = True
        if user_id is not None:
            wanted["user_id"] = user_id
        wanted["config"] = {"config_time": self._state.config.time}
        if alias is not None:
            wanted["alias"] = alias
        return b'"respond_with":%b' % to_bytes(compact(wanted))

    def _about(self, notes: Notes, alias: dict[str, str] | None, now: float) -> list[bytes]:
        """Everything but the data: device, key, versions, ids."""
        known = self._state.values.get("acknowledged")
        if not isinstance(known, dict) or known.get("epoch") != notes.epoch:
            known = {}
        texts = []
        if known.get("device") != notes.device:
            texts.append(f'"device":{notes.device}')
        texts += [f'"api_key":{quote(self._api_key)}', f'"time":{int(now)}']
        if self._sdk_metadata and known.get("metadata") != notes.metadata:
            texts.append(f'"sdk_metadata":{compact(self._sdk_metadata)}')
        texts += [f'"sdk_version":{quote(__version__)}', f'"device_id":{quote(self._state.device_id)}']
        texts += [f'"{name}":{quote(version)}' for name, version in self._versions.items() if version is not None]
        if alias is not None:
            texts.append(f'"alias":{compact(alias)}')
        return [to_bytes(text) for text in texts]

    def _headers(self, path: str, signature: str | None, *, asks: bool) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "X-Braze-Api-Key": self._api_key,
            "X-Braze-Last-Req-Ms-Ago": str(self._limiter.ms_since_last_request(path)),
            "X-Braze-Req-Attempt": str(1 + self._failures().get(path, 0)),
        }
        remaining = self._limiter.take(self._state.config, path)
        if remaining is not None:
            headers["X-Braze-Req-Tokens-Remaining"] = str(remaining)
        if asks:
            headers["X-Braze-TriggersRequest"] = "true"
            headers["X-Braze-DataRequest"] = "true"
        if signature is not None:
            headers["X-Braze-Auth-Signature"] = signature
        return headers

    # -- answers ------------------------------------------------------------------------------------------------
    def interpret(self, request: Request, response: Response) -> Outcome:
        """What an answer means; takes the configuration it brings, and hands on the triggers."""
        answer = parsed(response.body)
        outcome = self._judged(request, response, answer)
        notes: Notes = request.context
        self._count(notes.path, failed=outcome.verdict is not Verdict.ACCEPTED or bool(outcome.refused))
        if notes.triggers is not None and notes.epoch == self._state.epoch:
            brought = answer if outcome.verdict is Verdict.ACCEPTED and isinstance(answer, Mapping) else {}
            self._on_triggers(brought.get("triggers"), notes.epoch)
        return outcome

    def side_answer(self, request: Request, response: Response) -> tuple[Mapping[str, Any] | None, bool]:
        """The answer to a request of :meth:`side_request`.

        Returns:
            The answer's object (empty if it is none), or ``None`` if the request failed; and whether it failed for
            want of a good signature, which subscribers are told.
        """
        notes: Notes = request.context
        answer = parsed(response.body)
        failure = failure_in(answer, status=response.status)
        if not isinstance(answer, Mapping):
            answer = {}
        accepted = failure is None and 200 <= response.status < 300 and not answer.get("error")
        # For cards, an answer that asks to be asked again counts as an attempt although it succeeded.
        again = notes.path == CARDS and self.retry_after(response.headers.get("retry-after")) is not None
        self._count(notes.path, failed=not accepted or again)
        if failure is not None:
            self._tell_failure(notes, *failure)
        if accepted:
            self._acknowledge(notes, {})
        return answer if accepted else None, failure is not None or response.status in (401, 403)

    def _judged(self, request: Request, response: Response, answer: Any) -> Outcome:
        if response.status == 0:
            return Outcome(Verdict.RETRY, response.error or "connection")
        failure = failure_in(answer, status=response.status)
        if failure is not None:
            self._tell_failure(request.context, *failure)
            return self._unauthorized(request, response.status, *failure)
        if 200 <= response.status < 300:
            return self._accepted(request, response, answer)
        wait = self.retry_after(response.headers.get("retry-after"))
        return Outcome(verdict_of(response.status), f"HTTP {response.status}{reason_in(answer)}", wait)

    def _accepted(self, request: Request, response: Response, answer: object) -> Outcome:
        """A 2xx answer. An unreadable one counts as success and is only reported here.

        The Web SDK also sends Braze the beginning of such a body, as an ``ie`` event. We do not: it comes from a proxy
        or a login page, and may hold anything.
        """
        if not isinstance(answer, Mapping):
            if response.status != 204:
                self._reporter.report(
                    "answer_unreadable", "Braze accepted a request with an answer that is no JSON object"
                )
            answer = {}
        else:
            self._reporter.recovered("answer_unreadable")
        if answer.get("error"):
            return Outcome(Verdict.REFUSED, f"error in the answer{reason_in(answer)}")
        self._settle(request.context)
        self._take_config(answer.get("config"))
        return Outcome(Verdict.ACCEPTED)

    def _failures(self) -> dict[str, int]:
        stored = self._state.values.get(FAILURES)
        counts = stored.items() if isinstance(stored, dict) else ()
        return {path: count for path, count in counts if type(count) is int and count > 0}

    def _count(self, path: str, *, failed: bool) -> None:
        """Count a failed request to a path; a success ends the count."""
        failures = self._failures()
        if failed or path in failures:
            failures[path] = failures.get(path, 0) + 1 if failed else 0
            self._state.values.set(FAILURES, failures)

    def _settle(self, notes: Notes) -> None:
        self._meter.spend(notes.points, notes.merged_away)
        self._acknowledge(notes, self._state.triggers_answered(notes.triggers))

    def _acknowledge(self, notes: Notes, further: Mapping[str, Any]) -> None:
        """A request succeeded: what it told of the device is known, unless the user changed since."""
        if notes.epoch == self._state.epoch:
            known = {"epoch": notes.epoch, "device": notes.device, "metadata": notes.metadata}
            self._state.values.update({"acknowledged": known, **further})

    def _take_config(self, raw: object) -> None:
        if is_newer(raw, self._state.config):
            self._state.set_config(raw)
            self._on_config()

    def _tell_failure(self, notes: Notes, code: int, reason: str) -> None:
        self._signatures.failures.tell(AuthenticationFailure(code, reason, notes.user_id, notes.signature))

    def _unauthorized(self, request: Request, status: int, code: int, reason: str) -> Outcome:
        """Everything is held until there is a new signature, unless it would have to be an earlier user's.

        That user may never come back: their records are set aside, so that others' can go, and come back into the
        queue with the user's next signature.
        """
        user_id = request.context.user_id
        if self._signatures.enabled and user_id not in (None, self._state.user_id):
            why = set_aside_reason(user_id)
            return Outcome(Verdict.ACCEPTED, why, refused=dict.fromkeys(range(request.used), why))
        # With the option off there will be no new signature to wait for: the Web SDK goes on trying.
        verdict = Verdict.UNAUTHORIZED if self._signatures.enabled or status in (401, 403) else Verdict.RETRY
        return Outcome(verdict, f"SDK authentication failed ({code} {reason})".replace(" )", ")"))

    def retry_after(self, value: str | None) -> float | None:
        """Seconds from a ``Retry-After`` header, given as a number or as a date."""
        if value is None:
            return None
        value = value.strip()
        if value.isascii() and value.replace(".", "", 1).isdigit():
            return float(value[:18])
        with importing.held:
            from email.utils import parsedate_to_datetime  # noqa: PLC0415 - seldom needed, slow to import

        try:
            at = parsedate_to_datetime(value).timestamp()
        except (ValueError, TypeError, OverflowError):
            return None
        return max(0.0, at - self._clock.time())
