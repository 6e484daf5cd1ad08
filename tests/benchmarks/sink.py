"""A local HTTP sink in a process of its own: it answers 200 to everything and counts requests, bytes and events.

``python -m tests.benchmarks.sink PORT``; ``GET /stats`` returns the counts and starts them again.
The answer on the Braze path switches the client-side rate limit off, so that what is measured is the client.
"""

from __future__ import annotations

import gzip
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BRAZE_ANSWER = b'{"config":{"time":1700000000,"global_request_rate_limit":{"enabled":false}}}'
PEER_ANSWER = b'{"status":1,"code":200,"success":true,"error":null,"num_records_imported":1}'


class Counts:
    """Requests, body bytes and events since the last look."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values = {"requests": 0, "bytes": 0, "events": 0}

    def add(self, size: int, events: int) -> None:
        """Count one request."""
        with self._lock:
            self._values["requests"] += 1
            self._values["bytes"] += size
            self._values["events"] += events

    def take(self) -> dict[str, int]:
        """The counts; they start again at zero."""
        with self._lock:
            values, self._values = self._values, {"requests": 0, "bytes": 0, "events": 0}
        return values


def count_events(body: bytes) -> int:
    """How many events a body of any of the measured SDKs carries."""
    try:
        parsed: Any = json.loads(body)
    except ValueError:
        return 0
    if isinstance(parsed, list):
        return len(parsed)
    for key in ("batch", "events", "data"):
        if isinstance(parsed.get(key), list):
            return len(parsed[key])
    return 0


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    counts: Counts

    def do_GET(self) -> None:
        """Counts, or an empty object for peers that fetch a configuration."""
        answer = json.dumps(self.counts.take()).encode() if self.path == "/stats" else b"{}"
        self._answer(answer)

    def do_POST(self) -> None:
        """Count a batch."""
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = gzip.decompress(raw) if self.headers.get("Content-Encoding") == "gzip" else raw
        self.counts.add(len(raw), count_events(body))
        self._answer(BRAZE_ANSWER if self.path.startswith("/api/v3/data") else PEER_ANSWER)

    do_PUT = do_POST  # noqa: N815 - the name http.server asks for

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's signature
        """Say nothing."""


def main() -> None:
    """Serve until killed; the port is printed once it is open."""
    handler = type("CountingHandler", (Handler,), {"counts": Counts()})
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0), handler)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
