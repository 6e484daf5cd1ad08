"""``Sandbox``: a local Braze on loopback that answers, checks and remembers."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from types import TracebackType
from typing import Any, cast
from urllib.parse import unquote

from typing_extensions import Self

from .assertions import Assertions
from .checks import RequestProblem, check_body, check_headers, parse_json
from .inspector import Inspector, InspectorPages
from .messaging import CampaignSetup, MessagingApi
from .mparticle import MParticleApi, MParticleSetup
from .profiles import UserProfile
from .recorder import Recorder, SandboxCounts, SandboxRequest
from .replies import Reply, ReplyScript
from .rest import RestApi
from .serving import SandboxServer

__all__ = ["DEFAULT_CONFIG", "Sandbox"]

JsonObject = dict[str, Any]
Fault = Callable[[SandboxRequest], "Reply | None"]

DEFAULT_CONFIG: Mapping[str, Any] = {
    "time": 1700000001,
    "events_blacklist": [],
    "attributes_blacklist": [],
    "purchases_blacklist": [],
    "messaging_session_timeout": 300,
    "vapid_public_key": None,
    "content_cards": {"enabled": False},
    "feature_flags": {"enabled": False},
    "banners": {"enabled": False},
    "global_request_rate_limit": {"enabled": True, "capacity": 30, "refill_rate": 30},
    "request_backoff": {"min_sleep_duration_ms": 10000, "max_sleep_duration_ms": 300000, "scale_factor": 3},
    "dust": {"enabled": False},
}
"""The ``config`` object of the real endpoint's answer, with nothing blocked and the rate limit on."""


class Sandbox(CampaignSetup, MParticleSetup, Assertions):
    """A Braze of one's own, for tests and for trying things out.

    It serves the SDK's ``data`` path, refuses what the real clients would never send, and
    keeps the profiles that Braze would show. It is mParticle as well, for configurations, identities and uploads.
    A context manager.

    Args:
        api_key: The only app key that is known; ``None`` takes any.
        config: The server configuration to hand out, in place of :data:`DEFAULT_CONFIG`.
        limiter: ``False`` switches the client-side rate limit off through the configuration.
        host: The address or name to listen on. Beyond loopback, whoever reaches it can read what has arrived.
        port: The port; 0 picks a free one.
        keep_requests: How many requests to remember, ``None`` for all. Counters and profiles are complete
            in any case.
    """

    def __init__(
        self,
        api_key: str | None = None,
        config: Mapping[str, Any] | None = None,
        *,
        limiter: bool = True,
        host: str = "127.0.0.1",
        port: int = 0,
        keep_requests: int | None = None,
    ) -> None:
        self.api_key = api_key
        self.config: JsonObject = copy.deepcopy(dict(DEFAULT_CONFIG if config is None else config))
        if not limiter:
            self.config["global_request_rate_limit"] = {"enabled": False}
        self._initial_config = copy.deepcopy(self.config)
        self.triggers: list[JsonObject] = []
        self.fault: Fault | None = None
        self._script = ReplyScript()
        self._lock = threading.RLock()
        self._recorder = Recorder(keep_requests)
        self.messaging: MessagingApi = MessagingApi(self._scripted, self._recorder.add, api_key)
        self.rest: RestApi = RestApi(self._scripted, self._show, keep_requests=keep_requests)
        self.mparticle: MParticleApi = MParticleApi(self._scripted, self._show, keep_requests=keep_requests)
        self.pages: InspectorPages = InspectorPages(self)
        self.host = host
        self._inspector: Inspector | None = None
        self._released = threading.Event()
        self._server: SandboxServer | None = None
        self._port = port
        self.start()

    # -- life -------------------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Listen (again, on the same port, after :meth:`stop`). Does nothing when already listening."""
        if self._server is not None:
            return
        self._released.clear()
        self._server = SandboxServer(self, self.host, self._port)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.005,), name="braze-sandbox", daemon=True).start()

    def stop(self) -> None:
        """Stop listening and cut every connection; what was recorded stays."""
        server, self._server = self._server, None
        if server is not None:
            self._released.set()
            if self._inspector is not None:
                self._inspector.stream.wake()
            server.shutdown()
            server.server_close()
            server.cut_connections()

    def close(self) -> None:
        """As :meth:`stop`; for the end."""
        self.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def url(self) -> str:
        """The base URL, for a client's ``endpoint``."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self._port}"

    @property
    def endpoint(self) -> str:
        """As :attr:`url`."""
        return self.url

    # -- what happens next ------------------------------------------------------------------------------------------
    def respond_next(self, *replies: Reply) -> None:
        """Answer the next requests like this, one reply each; afterwards ordinarily again."""
        with self._lock:
            self._script.add(replies)

    def configure(self, **changes: Any) -> None:
        """Change fields of the configuration and make it newer, so that clients take it."""
        with self._lock:
            self.config = {**self.config, "time": self.config.get("time", 0) + 1, **changes}

    def reset(self) -> None:
        """Forget requests, profiles, scripts and faults; the configuration is the first one again."""
        with self._lock:
            self._script.clear()
            self.fault = None
            self.triggers = []
            self.messaging.clear()
            self.config = copy.deepcopy(self._initial_config)
            released, self._released = self._released, threading.Event()
        released.set()
        self.forget()
        self.mparticle.reset()

    def forget(self) -> None:
        """Forget what Braze was sent: requests, users and counts. Replies, faults, campaigns and keys stay."""
        self._recorder.clear()
        self.rest.reset()

    # -- what happened ----------------------------------------------------------------------------------------------
    @property
    def requests(self) -> list[SandboxRequest]:
        """The remembered requests, oldest first."""
        return self._recorder.requests()

    @property
    def events(self) -> list[JsonObject]:
        """Every event taken in, in order, as received."""
        return self._recorder.items("events")

    @property
    def attributes(self) -> list[JsonObject]:
        """Every attribute object taken in, in order, as received."""
        return self._recorder.items("attributes")

    @property
    def problems(self) -> list[RequestProblem]:
        """Why requests were refused, oldest first."""
        return self._recorder.problems()

    @property
    def counts(self) -> SandboxCounts:
        """Totals since the start or the last reset."""
        return self._recorder.counts()

    @property
    def profiles(self) -> list[UserProfile]:
        """Copies of all profiles: identified users first."""
        return cast("list[UserProfile]", self._recorder.with_profiles(lambda store: store.all()))

    def profile(self, external_id: str) -> UserProfile:
        """A copy of one user's profile. Raises ``KeyError`` when nothing of that user has arrived."""
        found = self._recorder.with_profiles(lambda store: store.identified(external_id))
        if found is None:
            raise KeyError(f"no profile with external id {external_id!r}")
        return cast("UserProfile", found)

    def anonymous_profile(self, device_id: str) -> UserProfile:
        """A copy of a device's anonymous profile. Raises ``KeyError`` when it has none (any more)."""
        found = self._recorder.with_profiles(lambda store: store.anonymous(device_id))
        if found is None:
            raise KeyError(f"no anonymous profile on device {device_id!r}")
        return cast("UserProfile", found)

    def find_profiles(self, text: str = "", limit: int = 100) -> tuple[list[JsonObject], int]:
        """Short descriptions of the profiles with ``text`` in an id, an alias or the email, and how many there are."""
        found = self._recorder.with_profiles(lambda store: store.find(text, limit))
        return cast("tuple[list[JsonObject], int]", found)

    @property
    def inspector(self) -> Inspector:
        """What the inspector page shows. It costs nothing until somebody looks; then it begins with what is kept."""
        with self._lock:
            if self._inspector is None:
                made = Inspector()
                self._recorder.follow(made)
                for request in sorted([*self.rest.requests, *self.mparticle.requests], key=lambda one: one.time):
                    made.follow(request)
                self._inspector = made
            return self._inspector

    def _show(self, request: SandboxRequest) -> None:
        if self._inspector is not None:
            self._inspector.follow(request)

    def wait_for(self, predicate: Callable[[], object], timeout: float = 5.0) -> bool:
        """Wait until ``predicate()`` is true, asking after every request.

        Returns:
            Whether it became true within ``timeout`` seconds.
        """
        return self._recorder.wait_for(predicate, timeout)

    # -- the endpoint -----------------------------------------------------------------------------------------------
    def receive(self, method: str, path: str, headers: Mapping[str, str], raw: bytes) -> tuple[Reply, int, Any]:
        """Take one request to the ``data`` path in, or not, and say how to answer it."""
        now = time.time()
        body, problems = self._checked(headers, raw)
        status = 400 if problems else 200

        def seen(status: int, *, recorded: bool) -> SandboxRequest:
            return SandboxRequest(method, path, headers, body, raw, now, status, tuple(problems), recorded)

        with self._lock:
            reply = self._script.next()
            fault = self.fault if reply is None else None
        if fault is not None:
            reply = fault(seen(status, recorded=False))
        reply = reply or Reply()
        unanswered = reply.hang or reply.close
        answered = 0 if unanswered else (reply.status or status)
        request = seen(answered, recorded=not problems and reply.records)
        if not request.recorded and not (problems and reply.records):
            problems.clear()  # the script refused it, not a check
            request = seen(answered, recorded=False)
        self._recorder.add(request)
        return reply, status, _refusal(problems) if problems else self._answer(body)

    def _scripted(self, request: SandboxRequest) -> Reply | None:
        """The reply that a script or a fault has for a request."""
        with self._lock:
            reply = self._script.next()
            fault = self.fault if reply is None else None
        return fault(request) if fault is not None else reply

    def _checked(self, headers: Mapping[str, str], raw: bytes) -> tuple[Any, list[RequestProblem]]:
        try:
            body = parse_json(raw)
        except (ValueError, RecursionError) as error:
            return None, [RequestProblem("body", None, f"is not JSON: {error}")]
        return body, [*check_headers(headers, body, self.api_key), *check_body(body)]

    def _answer(self, body: Any) -> JsonObject:
        """What the real endpoint says: the configuration when it is newer, triggers when asked for."""
        wanted = body.get("respond_with", {}) if isinstance(body, dict) else {}
        answer: JsonObject = {}
        with self._lock:
            if wanted.get("config", {}).get("config_time", 0) < self.config.get("time", 0):
                answer["config"] = self.config
            if wanted.get("triggers"):
                answer["triggers"] = self.triggers
        return answer

    # -- the read side ----------------------------------------------------------------------------------------------
    def read(self, path: str) -> Any:
        """The JSON value behind a ``/sandbox/...`` path. Raises ``KeyError`` for what does not exist."""
        if path == "stats":
            return asdict(self.counts)
        if path == "profiles":
            return [profile.to_json() for profile in self.profiles]
        if path.startswith("profiles/"):
            return self.profile(unquote(path.removeprefix("profiles/"))).to_json()
        if path == "events":
            return self.events
        if path == "attributes":
            return self.attributes
        if path == "requests":
            return [request.to_json() for request in self.requests]
        if path == "uploads":
            return self.uploads.batches
        if path == "identities":
            return self.idsync.users
        raise KeyError(path)

    def command(self, path: str, value: Any) -> None:
        """Do what a POST to ``/sandbox/...`` asks for. Raises ``KeyError``, ``TypeError`` or ``ValueError``."""
        if path == "reset":
            self.reset()
        elif path == "replies":
            self.respond_next(*(Reply.from_json(reply) for reply in value))
        elif path == "config":
            self.configure(**value)
        elif path == "configuration":
            self.set_configuration(**value)
        else:
            raise KeyError(path)

    @property
    def released(self) -> threading.Event:
        """Set when whatever hangs or trickles must give up."""
        return self._released


def _refusal(problems: list[RequestProblem]) -> JsonObject:
    return {
        "message": f"refused, nothing was recorded: {problems[0]}",
        "errors": [{"list": problem.where, "index": problem.index, "reason": problem.reason} for problem in problems],
    }
