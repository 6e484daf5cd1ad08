"""A scripted HTTP server on loopback: takes JSON lists, answers as it is told, remembers what it accepted."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from typing_extensions import Self


@dataclass(frozen=True)
class Reply:
    """One answer. ``hang`` waits until the server closes; ``cut`` promises more body than it sends."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"{}"
    hang: bool = False
    cut: bool = False
    close: bool = False
    delay: float = 0.0


@dataclass(frozen=True)
class Received:
    """One request: what it carried, the attempt header, how it was answered."""

    items: list[Any]
    attempt: int
    status: int


class Server:
    """``with Server() as server``; ``decide`` (items -> Reply) or ``script`` say what is answered, else 200."""

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self.accepted: list[Any] = []
        self.script: deque[Reply] = deque()
        self.decide: Callable[[list[Any]], Reply] = lambda _items: Reply()
        self._changed = threading.Condition()
        self._closing = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def do_POST(self) -> None:
                server._handle(self)

            def log_message(self, *args: Any) -> None:
                """Keep standard error clean."""

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that went away is part of the tests."""

        self._http = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/data"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.002,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop, letting go of requests that hang."""
        self._closing.set()
        self._http.shutdown()
        self._http.server_close()

    def wait_for(self, condition: Callable[[], bool], timeout: float = 20.0) -> None:
        """Wait until the condition holds; it is looked at after every request."""
        with self._changed:
            assert self._changed.wait_for(condition, timeout), f"after {timeout} s: {self.requests[-5:]}"

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        raw = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        items = json.loads(raw)
        with self._changed:
            reply = self.script.popleft() if self.script else self.decide(items)
            accepted = 200 <= reply.status < 300 and not reply.hang and not reply.close
            if accepted:
                self.accepted.extend(items)
            self.requests.append(Received(items, int(handler.headers.get("X-Attempt", 0)), reply.status))
            self._changed.notify_all()
        if reply.hang:
            self._closing.wait(60)
        if reply.delay:
            time.sleep(reply.delay)
        if reply.hang or reply.close:
            handler.close_connection = True
            return
        handler.send_response(reply.status)
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(reply.body) + (1000 if reply.cut else 0)))
        handler.end_headers()
        handler.wfile.write(reply.body)
        if reply.cut:
            handler.close_connection = True
