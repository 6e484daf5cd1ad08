"""A small IDSync on loopback: strict about requests, scripted answers, identities remembered."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import threading
from collections import deque
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from typing_extensions import Self

KEY, SECRET = "us1-key", "idsync-secret"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
NAMES = {
    "other", "customerid", "facebook", "twitter", "google", "microsoft", "yahoo", "email", "alias",
    "facebookcustomaudienceid", "mobile_number", "phone_number_2", "phone_number_3", "device_application_stamp",
    *(f"other{number}" for number in range(2, 11)),
}  # fmt: skip


@dataclass(frozen=True)
class Reply:
    """One answer in place of the usual one; ``drop`` closes the connection without a word."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    drop: bool = False


class IDSync:
    """``with IDSync() as server``. ``gate`` holds answers back while it is not set."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.wrong: list[str] = []
        self.script: deque[Reply] = deque()
        self.headers: dict[str, str] = {}
        self.gate = threading.Event()
        self.gate.set()
        self.aliases: list[dict[str, Any]] = []
        self._mpids: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                server._answer(self)

            def log_message(self, *args: Any) -> None:
                """Keep standard error clean."""

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that went away is part of the tests."""

        self._http = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.gate.set()
        self._http.shutdown()
        self._http.server_close()

    def paths(self) -> list[str]:
        """The paths of all requests."""
        return [path for path, _ in self.requests]

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        content = json.loads(body)
        with self._lock:
            try:
                check_request(handler, body, content)
            except AssertionError as error:
                self.wrong.append(str(error))
            self.requests.append((handler.path, content))
            reply = self.script.popleft() if self.script else Reply(*self._resolve(handler.path, content))
        self.gate.wait(10)
        if reply.drop:
            handler.close_connection = True
            return
        answer = b"" if reply.body is None else json.dumps(reply.body).encode()
        handler.send_response(reply.status)
        for name, value in {**self.headers, **reply.headers}.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(answer)))
        handler.end_headers()
        handler.wfile.write(answer)

    def _resolve(self, path: str, content: dict[str, Any]) -> tuple[int, Any]:
        if path.endswith("/alias"):
            self.aliases.append(content["data"])
            return 202, None
        if path.endswith("/modify"):
            return 200, {"change_results": []}
        named = {item for item in content["known_identities"].items() if item[0] != "device_application_stamp"} or set(
            content["known_identities"].items()
        )
        mpid = next((self._mpids[item] for item in sorted(named) if item in self._mpids), 1000 + len(self._mpids))
        self._mpids.update(dict.fromkeys(named, mpid))
        logged_in = path.endswith(("/login", "/identify")) and len(content["known_identities"]) > 1
        return 200, {"mpid": str(mpid), "context": f"context-{len(self.requests)}", "is_logged_in": logged_in}


def check_request(handler: BaseHTTPRequestHandler, body: bytes, content: dict[str, Any]) -> None:
    """Whatever the reference says of a request."""
    headers, path = handler.headers, handler.path
    assert headers["x-mp-key"] == KEY, "key"
    assert headers["Content-Type"] == "application/json", "content type"
    assert parsedate_to_datetime(headers["Date"]).tzinfo is not None, "date"
    signed = f"POST\n{headers['Date']}\n{path}".encode() + body
    assert headers["x-mp-signature"] == hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest(), "signature"
    assert content["environment"] in ("production", "development"), "environment"
    assert UUID.fullmatch(content["request_id"]), "request id"
    if path.endswith("/alias"):
        assert path == f"/v1/identity/{KEY}/alias", path
        assert (content["request_type"], content["api_key"]) == ("alias", KEY), "alias"
        data = content["data"]
        assert data["source_mpid"] != data["destination_mpid"]
        assert data["start_unixtime_ms"] <= data["end_unixtime_ms"]
        return
    assert set(content["client_sdk"]) == {"platform", "sdk_vendor", "sdk_version"}, "client_sdk"
    assert isinstance(content["request_timestamp_ms"], int), "time"
    if path.endswith("/modify"):
        assert re.fullmatch(r"/v1/-?\d+/modify", path), path
        assert content["identity_changes"], "changes"
        for change in content["identity_changes"]:
            assert set(change) == {"identity_type", "old_value", "new_value"}, "change"
            assert change["identity_type"] in NAMES, "change"
            assert change["old_value"] != change["new_value"], "change"
        return
    assert path in ("/v1/identify", "/v1/login", "/v1/logout"), path
    assert len(content["known_identities"]) > 0, "identities"
    assert set(content["known_identities"]) <= NAMES, "identities"
    assert content["previous_mpid"] is None or isinstance(content["previous_mpid"], str), "previous"
