"""The HTTP server: a local Braze on loopback that answers, checks and remembers.

SDK paths are looked up in one table; the endpoints that are to come (content cards, feature flags, REST)
are further rows of it.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar, cast
from urllib.parse import unquote, urlsplit

from typing_extensions import Self

from .assertions import Assertions
from .checks import RequestProblem, check_body, check_headers, parse_json
from .messaging import CampaignSetup, MessagingApi, messaging_path
from .profiles import UserProfile
from .recorder import Recorder, SandboxCounts, SandboxRequest
from .replies import Reply, ReplyScript, send_reply
from .rest import REST_PATHS, RestApi

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


class Sandbox(CampaignSetup, Assertions):
    """A Braze of one's own, for tests and for trying things out.

    It serves the SDK's ``data`` path on ``127.0.0.1``, refuses what the real clients would never send, and
    keeps the profiles that Braze would show. A context manager.

    Args:
        api_key: The only app key that is known; ``None`` takes any.
        config: The server configuration to hand out, in place of :data:`DEFAULT_CONFIG`.
        limiter: ``False`` switches the client-side rate limit off through the configuration.
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
        self.messaging = MessagingApi(self._scripted, self._recorder.add, api_key)
        self.rest = RestApi(self._scripted, keep_requests=keep_requests)
        self._released = threading.Event()
        self._server: _Server | None = None
        self._port = port
        self.start()

    # -- life -------------------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Listen (again, on the same port, after :meth:`stop`). Does nothing when already listening."""
        if self._server is not None:
            return
        self._released.clear()
        self._server = _Server(self, self._port)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), name="braze-sandbox", daemon=True).start()

    def stop(self) -> None:
        """Stop listening and cut every connection; what was recorded stays."""
        server, self._server = self._server, None
        if server is not None:
            self._released.set()
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
        return f"http://127.0.0.1:{self._port}"

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
        raise KeyError(path)

    def command(self, path: str, value: Any) -> None:
        """Do what a POST to ``/sandbox/...`` asks for. Raises ``KeyError``, ``TypeError`` or ``ValueError``."""
        if path == "reset":
            self.reset()
        elif path == "replies":
            self.respond_next(*(Reply.from_json(reply) for reply in value))
        elif path == "config":
            self.configure(**value)
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


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, sandbox: Sandbox, port: int) -> None:
        self.sandbox = sandbox
        self._connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def cut_connections(self) -> None:
        """End the kept-alive connections, which would outlive the listening socket."""
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base class's signature
        """Clients that go away in the middle are part of the game; anything else is a mistake worth a traceback."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            logging.getLogger(__name__).error("a request could not be served", exc_info=error)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    rbufsize = 1 << 16
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """No access log: the requests themselves are kept."""

    def do_POST(self) -> None:
        sandbox = self.server.sandbox
        if "Transfer-Encoding" in self.headers:
            self.close_connection = True
            self._send(411, {"message": "a length is required"})
            return
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urlsplit(self.path).path
        if path.startswith("/sandbox/"):
            self._send(*self._commanded(path.removeprefix("/sandbox/"), raw))
            return
        receive = self._ENDPOINTS.get(_endpoint(path))
        if path in REST_PATHS:
            reply, status, body = sandbox.rest.receive("POST", path, cast("Mapping[str, str]", self.headers), raw)
            self._send(status, body, reply)
            return
        if (endpoint := messaging_path(path)) is not None:
            headers = cast("Mapping[str, str]", self.headers)
            reply, status, body = sandbox.messaging.receive(endpoint, self.path, headers, raw)
            self._send(status, body, reply)
            return
        if receive is None:
            self._send(404, {"message": f"no such path: {path}"})
            return
        # The message object, not a dict: it ignores the case of names.
        headers = cast("Mapping[str, str]", self.headers)
        reply, status, body = receive(sandbox, "POST", self.path, headers, raw)
        self._send(status, body, reply)

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        try:
            value = self.server.sandbox.read(path.removeprefix("/sandbox/")) if path.startswith("/sandbox/") else None
        except KeyError:
            value = None
        self._send(404 if value is None else 200, {"message": f"no such path: {path}"} if value is None else value)

    def _commanded(self, path: str, raw: bytes) -> tuple[int, JsonObject]:
        try:
            self.server.sandbox.command(path, parse_json(raw) if raw else {})
        except KeyError:
            return 404, {"message": f"no such path: /sandbox/{path}"}
        except (TypeError, ValueError) as error:
            return 400, {"message": str(error)}
        return 200, {}

    def _send(self, status: int, body: Any, reply: Reply | None = None) -> None:
        released = self.server.sandbox.released
        keep_alive = not self.close_connection
        sent = send_reply(self.connection, reply or Reply(), status, body, released=released, keep_alive=keep_alive)
        self.close_connection = not sent

    _ENDPOINTS: ClassVar[Mapping[str, Callable[..., tuple[Reply, int, Any]]]] = {"data": Sandbox.receive}


def _endpoint(path: str) -> str:
    """The endpoint's name: the last part of the path, whatever prefix a proxy has. A doubled slash is no path."""
    return "" if "//" in path else path.rstrip("/").rpartition("/")[2]
