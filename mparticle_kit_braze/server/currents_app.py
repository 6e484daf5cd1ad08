"""A WSGI app that receives Braze Currents as mParticle's Events API would: Basic authentication, single and bulk.

Mount it in any WSGI server (gunicorn, uWSGI, Flask's dispatcher) and give Braze its address in place of mParticle's.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .currents import CurrentsReceiver, MalformedBatchError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

__all__ = ["CurrentsApp"]

_REASONS: Mapping[int, str] = {
    202: "Accepted",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    411: "Length Required",
    413: "Content Too Large",
    503: "Service Unavailable",
}
PATHS = ("/v2/events", "/v2/bulkevents")


class CurrentsApp:
    """The WSGI application.

    It answers 202 when every event was handed on, 400 when something was malformed (what was not is handed on), 401 for
    wrong credentials, 413 above ``max_body`` and 503 when the handler raised, upon which Braze sends the batch again.

    Args:
        receiver: Takes the batches.
        credentials: Key -> secret of each feed that may post (one pair for each platform).
        max_body: Largest body in bytes.
    """

    def __init__(
        self, receiver: CurrentsReceiver, credentials: Mapping[str, str], *, max_body: int = 4_000_000
    ) -> None:
        self._receiver = receiver
        self._credentials = [f"{key}:{secret}".encode() for key, secret in credentials.items()]
        self._max_body = max_body

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        status, message = self._serve(environ)
        body = b"" if status == 202 else json.dumps({"errors": [{"message": message}]}).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        if status == 401:
            headers.append(("WWW-Authenticate", 'Basic realm="events"'))
        start_response(f"{status} {_REASONS[status]}", headers)
        return [body]

    def _serve(self, environ: WSGIEnvironment) -> tuple[int, str]:
        if not str(environ.get("PATH_INFO", "")).rstrip("/").endswith(PATHS):
            return 404, "there is nothing at this path"
        if not self._is_authorized(str(environ.get("HTTP_AUTHORIZATION", ""))):
            return 401, "key or secret is wrong"
        if environ.get("REQUEST_METHOD") != "POST":
            return 405, "only POST is taken"
        length = str(environ.get("CONTENT_LENGTH", ""))
        if not (length.isascii() and length.isdigit()):
            return 411, "a length is required"
        if int(length) > self._max_body:
            return 413, f"up to {self._max_body} bytes are taken"
        try:
            batches: Any = json.loads(environ["wsgi.input"].read(int(length)))
        except (ValueError, RecursionError):
            return 400, "the body is not JSON"
        return self._receive(batches)

    def _receive(self, batches: Any) -> tuple[int, str]:
        try:
            self._receiver.receive(batches)
        except MalformedBatchError as error:
            return 400, str(error)
        except Exception:
            logging.getLogger(__name__).exception("The handler of Currents events raised; Braze will send them again")
            return 503, "the events could not be taken now"
        return 202, ""

    def _is_authorized(self, header: str) -> bool:
        scheme, _, encoded = header.partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            given = base64.b64decode(encoded.strip(), validate=True)
        except (ValueError, binascii.Error):
            return False
        # Every pair is compared, so that the time taken says nothing about which one matched.
        matches = [hmac.compare_digest(given, known) for known in self._credentials]
        return any(matches)
