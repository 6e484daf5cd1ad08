"""The HTTP side of the sandbox: connections, and which part of it answers which path."""

from __future__ import annotations

import contextlib
import logging
import socket
import sys
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from .checks import parse_json
from .inspector.guard import refusal_of
from .messaging import messaging_path
from .replies import Reply, send_reply
from .rest import REST_PATHS

if TYPE_CHECKING:
    from .server import Sandbox

__all__ = ["SandboxServer"]

JsonObject = dict[str, Any]


class SandboxServer(ThreadingHTTPServer):
    """Listens for a sandbox, a thread for each connection.

    Args:
        sandbox: Whose requests these are.
        host: The address or name to listen on.
        port: The port; 0 picks a free one.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, sandbox: Sandbox, host: str, port: int) -> None:
        self.sandbox = sandbox
        self._connections: set[socket.socket] = set()
        self.address_family: int = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection and remember it."""
        connection, address = super().get_request()
        self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        """End a connection and forget it."""
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
    server: SandboxServer

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
        if self._refused_stranger(path):
            return
        if (page := sandbox.pages.post(path, raw)) is not None:
            self._send(200, None, page)
            return
        if path.startswith("/sandbox/"):
            self._send(*self._commanded(path.removeprefix("/sandbox/"), raw))
            return
        if path in REST_PATHS:
            reply, status, body = sandbox.rest.receive("POST", path, cast("Mapping[str, str]", self.headers), raw)
            self._send(status, body, reply)
            return
        if self._is_for_mparticle("POST", raw):
            return
        if (endpoint := messaging_path(path)) is not None:
            headers = cast("Mapping[str, str]", self.headers)
            reply, status, body = sandbox.messaging.receive(endpoint, self.path, headers, raw)
            self._send(status, body, reply)
            return
        if _endpoint(path) != "data":
            self._send(404, {"message": f"no such path: {path}"})
            return
        # The message object, not a dict: it ignores the case of names.
        headers = cast("Mapping[str, str]", self.headers)
        reply, status, body = sandbox.receive("POST", self.path, headers, raw)
        self._send(status, body, reply)

    def do_GET(self) -> None:
        sandbox = self.server.sandbox
        path, query = (parts := urlsplit(self.path)).path, parts.query
        if self._refused_stranger(path):
            return
        if path == "/inspector/stream":
            self.close_connection = True
            sandbox.pages.stream(self.connection, self.headers.get("Last-Event-ID", ""))
            return
        if (page := sandbox.pages.get(path, query)) is not None:
            self._send(200, None, page)
            return
        if self._is_for_mparticle("GET"):
            return
        try:
            value = sandbox.read(path.removeprefix("/sandbox/")) if path.startswith("/sandbox/") else None
        except KeyError:
            value = None
        self._send(404 if value is None else 200, {"message": f"no such path: {path}"} if value is None else value)

    def _is_for_mparticle(self, method: str, raw: bytes = b"") -> bool:
        headers = cast("Mapping[str, str]", self.headers)
        answer = self.server.sandbox.mparticle.receive(method, self.path, headers, raw)
        if answer is not None:
            reply, status, body = answer
            self._send(status, body, reply)
        return answer is not None

    def _refused_stranger(self, path: str) -> bool:
        """Answer a request for what is inside unless it comes from here; the SDK's own paths are open to all."""
        if path != "/" and not path.startswith(("/sandbox/", "/inspector/")):
            return False
        reason = refusal_of(cast("Mapping[str, str]", self.headers), self.server.sandbox.host)
        if reason is not None:
            self._send(403, {"message": reason})
        return reason is not None

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


def _endpoint(path: str) -> str:
    """The endpoint's name: the last part of the path, whatever prefix a proxy has. A doubled slash is no path."""
    return "" if "//" in path else path.rstrip("/").rpartition("/")[2]
