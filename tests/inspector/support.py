"""A consumer of server-sent events, and plain requests to the inspector."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from typing_extensions import Self

from mparticle_kit_braze.sandbox import Sandbox

__all__ = ["Consumer", "StreamEvent", "ask", "entries_of"]


class StreamEvent(NamedTuple):
    """One event of the stream."""

    id: str
    kind: str
    data: Any


class Consumer:
    """Reads a sandbox's stream as a browser does.

    Args:
        sandbox: Whose stream.
        last_event_id: What a browser that reconnects says it saw last.
    """

    def __init__(self, sandbox: Sandbox, last_event_id: str | None = None) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=10)
        headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
        self._connection.request("GET", "/inspector/stream", headers=headers)
        self.response = self._connection.getresponse()

    def next(self) -> StreamEvent:
        """The next event; comments and the time to reconnect are skipped."""
        fields: dict[str, str] = {}
        while True:
            line = self.response.readline().decode()
            if not line:
                raise EOFError
            line = line.rstrip("\n")
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "data" in fields:
                return StreamEvent(fields["id"], fields["event"], json.loads(fields["data"]))
            else:
                fields.clear()

    def close(self) -> None:
        """Go away."""
        self.response.close()
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def ask(
    sandbox: Sandbox, path: str, value: Any = None, headers: Mapping[str, str] | None = None
) -> tuple[int, Mapping[str, str], bytes]:
    """Send one request, a POST if there is a value; the status, the headers and the body."""
    connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=10)
    try:
        body = None if value is None else json.dumps(value)
        connection.request("GET" if value is None else "POST", path, body, dict(headers or {}))
        with connection.getresponse() as response:
            return response.status, response.headers, response.read()  # type: ignore[return-value]  # a Message
    finally:
        connection.close()


def entries_of(sandbox: Sandbox, *kinds: str) -> list[dict[str, Any]]:
    """Everything the export holds, or the entries of some kinds."""
    status, _, body = ask(sandbox, "/inspector/records.jsonl")
    assert status == 200
    entries = [json.loads(line) for line in body.splitlines()]
    return [entry for entry in entries if not kinds or entry["t"] in kinds]
