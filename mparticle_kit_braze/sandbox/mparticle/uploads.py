"""The Events API, server to server: batches are checked against the public rules and kept once each."""

from __future__ import annotations

from urllib.parse import urlsplit

from ..recorder import SandboxRequest
from .batch_checks import check_batches
from .part import Answer, ApiPart, JsonObject, RefusedError, basic_credentials, require

__all__ = ["UploadApi"]

PATHS = ("/v2/events", "/v2/bulkevents", "/v2/bulkevents/historical")


class UploadApi(ApiPart):
    """Takes batches; see :class:`ApiPart` for the arguments.

    Attributes:
        batches: What was taken in, in order, without what came again under the same ``source_request_id``.
        repeated: How many batches came again.
    """

    @staticmethod
    def takes(method: str, path: str) -> bool:
        """Whether a request is for this API."""
        return method == "POST" and path in PATHS

    def reset(self) -> None:
        """Forget requests, scripts and batches."""
        super().reset()
        with self._lock:
            self.batches: list[JsonObject] = []
            self.repeated: int = 0
            self._ids: set[str] = set()

    @property
    def events(self) -> list[JsonObject]:
        """Every event taken in, in order."""
        with self._lock:
            return [event for batch in self.batches for event in batch["events"]]

    def of(self, kind: str) -> list[JsonObject]:
        """The data of every event of one type."""
        return [event["data"] for event in self.events if event["event_type"] == kind]

    def _serve(self, request: SandboxRequest) -> Answer:
        headers, body = request.headers, request.body
        key, secret = basic_credentials(headers) or ("", "")
        if not key or not secret:
            raise RefusedError("HTTP Basic with key and secret is wanted", 401, "UNAUTHORIZED")
        self.keys.verify(key, headers, b"")
        require(headers.get("Content-Type") == "application/json", "the content type is application/json")
        batches = [body] if urlsplit(request.path).path == "/v2/events" else body
        check_batches(batches, request.raw)
        for batch in batches:
            if batch["source_request_id"] in self._ids:
                self.repeated += 1
            else:
                self._ids.add(batch["source_request_id"])
                self.batches.append(batch)
        return Answer(202)
