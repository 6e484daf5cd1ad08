"""One HTTP POST at a time, with time-outs, no redirects and no retries of its own; it never raises.

``requests`` is imported here on first use, on the dispatcher's thread, so that importing this package and short
scripts do not pay for it.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

from ..locks import ForkSafeLock
from .destination import Request, Response

if TYPE_CHECKING:
    import requests

__all__ = ["Transport"]

MAX_BODY = 4 * 1024 * 1024
"""The most bytes of an answer that are read."""


class Transport:
    """Sends requests over one session, which keeps its connections open. Used by one thread.

    Args:
        connect_timeout: Seconds to wait for a connection.
        read_timeout: Seconds to wait for the answer, and then for the whole of its body.

    Attributes:
        loading: Held while ``requests`` is imported: a child forked in the middle of that could never import it.
    """

    def __init__(self, connect_timeout: float, read_timeout: float) -> None:
        self._timeouts = (connect_timeout, read_timeout)
        self._session: requests.Session | None = None
        self.loading = ForkSafeLock()
        self._environments: dict[str, dict[str, Any]] = {}

    def send(self, request: Request) -> Response:
        """Post a request; the answer says by status 0 that there was none, and why."""
        try:
            return self._send(request)
        except Exception as error:  # noqa: BLE001  (whatever a proxy or a hook may raise: the record stays queued)
            return Response(0, error=classify(error))

    def close(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            with contextlib.suppress(Exception):
                session.close()

    def abandon(self) -> None:
        """In a forked child: let go of the parent's connections without a word on them."""
        self._session = None
        self.loading.renew()

    def _send(self, request: Request) -> Response:
        if self._session is None:
            with self.loading.held:
                self._session = open_session()
        answer = self._session.post(
            request.url,
            data=request.body,
            headers=dict(request.headers),
            timeout=self._timeouts,
            allow_redirects=False,
            stream=True,
            **self._environment(self._session, request.url),
        )
        try:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return Response(answer.status_code, headers, self._body(answer))
        finally:
            answer.close()

    def _environment(self, session: requests.Session, url: str) -> dict[str, Any]:
        """What the process's environment says about proxies and certificates: asked once, for it takes its time."""
        known = self._environments.get(url)
        if known is None:
            session.trust_env = True
            settings = session.merge_environment_settings(url, {}, True, None, None)
            known = self._environments[url] = {"proxies": settings["proxies"], "verify": settings["verify"]}
            session.trust_env = False
        return known

    def _body(self, answer: requests.Response) -> bytes:
        """The body, or as much of it as came: the status has been said, a cut body does not unsay it."""
        deadline = time.monotonic() + self._timeouts[1]
        body = b""
        with contextlib.suppress(Exception):
            # A read waits for all it asks for. Asking for as much as has come already bounds the time that a
            # body which trickles can take.
            while part := answer.raw.read(max(1, len(body)), decode_content=True):
                body += part
                if len(body) >= MAX_BODY or time.monotonic() >= deadline:
                    break
        return body


def open_session() -> requests.Session:
    """A session that sends the headers it is given and no others, and looks for no passwords in ``~/.netrc``."""
    import requests  # noqa: PLC0415  (see the module's docstring)

    session = requests.Session()
    session.headers.clear()
    session.auth = _no_credentials
    "localhost".encode("idna")  # loads what the first request would load
    return session


def _no_credentials(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def classify(error: BaseException) -> str:
    """One word for why there was no answer."""
    import requests  # noqa: PLC0415

    kinds: tuple[tuple[type[BaseException], str], ...] = (
        (requests.exceptions.Timeout, "timeout"),
        (requests.exceptions.SSLError, "tls"),
        (requests.exceptions.ProxyError, "proxy"),
        (requests.exceptions.ChunkedEncodingError, "protocol"),
        (requests.exceptions.ConnectionError, "connection"),
        (OSError, "connection"),
    )
    if isinstance(error, requests.exceptions.RequestException) and not isinstance(
        error, requests.exceptions.Timeout | requests.exceptions.ConnectionError
    ):
        return "protocol"
    return next((word for kind, word in kinds if isinstance(error, kind)), "protocol")
