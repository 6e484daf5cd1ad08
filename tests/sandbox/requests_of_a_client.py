"""Requests as a correct client would make them, for tests to bend."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any

SESSION = "81dd43f6-1111-4222-8333-444455556666"
API_KEY = "app-key-1"

Heads = Mapping[str, "str | None"]


def event(code: str = "ce", data: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    data = {"n": "Played", "p": {}} if data is None else data
    return {"name": code, "time": 1795281145.833, "data": data, "session_id": SESSION, **fields}


def body(**fields: Any) -> dict[str, Any]:
    base = {"api_key": API_KEY, "sdk_version": "1.0", "device_id": "device-1", "time": 1795281145}
    return {key: value for key, value in {**base, **fields}.items() if value is not None}


def headers(content: dict[str, Any], changes: Heads) -> dict[str, str]:
    base: dict[str, str | None] = {
        "Content-Type": "application/json",
        "X-Braze-Api-Key": API_KEY,
        "X-Braze-Last-Req-Ms-Ago": "7200000",
        "X-Braze-Req-Attempt": "1",
    }
    if content.get("respond_with", {}).get("triggers"):
        base |= {"X-Braze-TriggersRequest": "true", "X-Braze-DataRequest": "true"}
    base |= changes
    return {name: value for name, value in base.items() if value is not None}


class Client:
    """A keep-alive connection to a sandbox."""

    def __init__(self, port: int, timeout: float = 5.0) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)

    def close(self) -> None:
        """End the connection."""
        self.connection.close()

    def post(
        self, content: Any, path: str = "/api/v3/data/", raw: bytes | None = None, head: Heads | None = None
    ) -> tuple[int, Any]:
        """Post a body, with headers that fit it unless ``head`` says otherwise."""
        fields = content if isinstance(content, dict) else {}
        data = json.dumps(content).encode() if raw is None else raw
        return self.request("POST", path, data, headers(fields, head or {}))

    def get(self, path: str) -> tuple[int, Any]:
        """Read one path."""
        return self.request("GET", path, None, {})

    def request(self, method: str, path: str, data: bytes | None, head: dict[str, str]) -> tuple[int, Any]:
        """Send one request; the status and the parsed body."""
        self.connection.request(method, path, data, head)
        with self.connection.getresponse() as response:
            content = response.read()
        try:
            return response.status, json.loads(content)
        except ValueError:
            return response.status, content
