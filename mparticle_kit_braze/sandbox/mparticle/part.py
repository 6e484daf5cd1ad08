"""What mParticle's three APIs have in common: scripted replies, remembered requests, keys and signatures."""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from typing import Any

from ..checks import RequestProblem, parse_json
from ..recorder import SandboxRequest
from ..replies import Reply, ReplyScript

__all__ = ["Answer", "ApiPart", "Keys", "RefusedError", "require"]

JsonObject = dict[str, Any]


class RefusedError(Exception):
    """A request that is not taken; the message says why.

    Args:
        why: The rule that it breaks.
        status: The HTTP status.
        code: mParticle's code of the error.
    """

    def __init__(self, why: str, status: int = 400, code: str = "BAD_REQUEST") -> None:
        super().__init__(why)
        self.status = status
        self.code = code


def require(condition: object, rule: str) -> None:
    """Refuse the request unless a rule is kept."""
    if not condition:
        raise RefusedError(rule)


@dataclass(frozen=True, slots=True)
class Answer:
    """An ordinary answer."""

    status: int
    body: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Keys:
    """Which keys are known.

    Attributes:
        secrets: Key -> its secret, or ``None`` if it needs none. Empty: any key will do, and nothing is verified.
    """

    def __init__(self) -> None:
        self.secrets: dict[str, str | None] = {}

    def find(self, key: str | None, status: int = 401) -> str | None:
        """The secret of a key; :raises RefusedError: with that status if the key is unknown."""
        if not key or (self.secrets and key not in self.secrets):
            raise RefusedError("the key is unknown", status, "UNAUTHORIZED")
        return self.secrets.get(key)

    def verify(self, key: str | None, headers: Mapping[str, str], signed: bytes) -> None:
        """Refuse a key that is unknown, or whose secret the request does not prove.

        Args:
            key: The key.
            headers: With the signature and its date, or with HTTP Basic.
            signed: What the signature covers but for the date: the method's line, then path, query and body.
        """
        secret = self.find(key)
        if secret is None:
            return
        if basic_credentials(headers) == (key, secret):
            return
        method, _, rest = signed.partition(b"\n")
        date = headers.get("Date") or ""
        expected = hmac.new(secret.encode(), b"\n".join([method, date.encode(), rest]), hashlib.sha256).hexdigest()
        if not is_date(date) or not hmac.compare_digest(expected, headers.get("x-mp-signature") or ""):
            raise RefusedError("the signature is wrong", 401, "UNAUTHORIZED")


def basic_credentials(headers: Mapping[str, str]) -> tuple[str, str] | None:
    """Key and secret of HTTP Basic."""
    scheme, _, encoded = (headers.get("Authorization") or "").partition(" ")
    if scheme != "Basic":
        return None
    try:
        key, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return None
    return key, secret


def is_date(text: str) -> bool:
    """Whether a text is an RFC 1123 date with its zone."""
    try:
        return parsedate_to_datetime(text).tzinfo is not None
    except (TypeError, ValueError):
        return False


class ApiPart(ABC):
    """One API.

    Args:
        keys: The keys that are known.
        scripted: Gives the sandbox's scripted reply to a request, if there is one.
        seen: Called with each request.
        keep_requests: How many requests are remembered; ``None`` for all.

    Attributes:
        answering: Cleared, requests are taken in, but their answers wait until it is set again.
    """

    def __init__(
        self,
        keys: Keys,
        scripted: Callable[[SandboxRequest], Reply | None],
        seen: Callable[[SandboxRequest], object],
        *,
        keep_requests: int | None = None,
    ) -> None:
        self.keys = keys
        self._scripted = scripted
        self._seen = seen
        self._script = ReplyScript()
        self._lock = threading.RLock()
        self._requests: deque[SandboxRequest] = deque(maxlen=keep_requests)
        self.answering: threading.Event = threading.Event()
        self.reset()

    @property
    def requests(self) -> list[SandboxRequest]:
        """The remembered requests, oldest first."""
        with self._lock:
            return list(self._requests)

    @property
    def problems(self) -> list[RequestProblem]:
        """Which rules requests broke, oldest first; a wrong key breaks none."""
        return [problem for request in self.requests for problem in request.problems]

    def respond_next(self, *replies: Reply) -> None:
        """As :meth:`Sandbox.respond_next`, for requests to this API only; these come first."""
        with self._lock:
            self._script.add(replies)

    def reset(self) -> None:
        """Forget requests and scripts, and answer."""
        self.answering.set()
        with self._lock:
            self._script.clear()
            self._requests.clear()

    def receive(self, method: str, path: str, headers: Mapping[str, str], raw: bytes) -> tuple[Reply, int, Any]:
        """Take one request in, or not, and say how to answer it."""
        now = time.time()
        body = parsed(raw)
        problems: list[RequestProblem] = []

        def seen(status: int, *, recorded: bool) -> SandboxRequest:
            return SandboxRequest(method, path, headers, body, raw, now, status, tuple(problems), recorded)

        with self._lock:
            reply = self._script.next()
        reply = reply or self._scripted(seen(0, recorded=False)) or Reply()
        answer, refused = Answer(reply.status or 0), False
        if reply.records:
            try:
                with self._lock:
                    answer = self._serve(seen(0, recorded=False))
            except RefusedError as error:
                if error.code == "BAD_REQUEST":
                    problems.append(RequestProblem("body", None, str(error)))
                refused = True
                answer = Answer(error.status, {"errors": [{"code": error.code, "message": str(error)}]})
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                problems.append(RequestProblem("body", None, f"is malformed: {type(error).__name__} {error}"))
                refused = True
                answer = Answer(400, {"errors": [{"code": "BAD_REQUEST", "message": "malformed"}]})
        unanswered = reply.hang or reply.close
        answered = 0 if unanswered else reply.status or answer.status
        request = seen(answered, recorded=reply.records and not refused)
        with self._lock:
            self._requests.append(request)
        self._seen(request)
        self.answering.wait()
        return replace(reply, headers={**answer.headers, **reply.headers}), answer.status, answer.body

    @abstractmethod
    def _serve(self, request: SandboxRequest) -> Answer:
        """The ordinary answer, with all that it changes; :raises RefusedError: if there is none."""


def parsed(raw: bytes) -> Any:
    """A body's JSON value; ``None`` if it is none."""
    try:
        return parse_json(raw) if raw else None
    except (ValueError, RecursionError):
        return None
