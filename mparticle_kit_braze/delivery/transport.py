"""One HTTP POST at a time, with time-outs, no redirects and no retries of its own; it never raises.

``requests`` is imported here on first use, on the dispatcher's thread, so that importing this package and short
scripts do not pay for it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from ..locks import ForkSafeLock
from .destination import Request, Response

if TYPE_CHECKING:
    import requests
    from requests.adapters import HTTPAdapter

__all__ = ["Transport"]

MAX_BODY = 4 * 1024 * 1024
"""The most bytes of an answer that are read."""

MOST_PLACES = 100


class _Place(NamedTuple):
    """A URL made ready."""

    request: requests.PreparedRequest
    verify: bool | str
    proxies: Mapping[str, str]


class Transport:
    """Sends requests through one adapter, which keeps its connections open. Used by one thread.

    Args:
        connect_timeout: Seconds to wait for a connection.
        read_timeout: Seconds to wait for the answer, and then for the whole of its body.

    Attributes:
        loading: Held while ``requests`` is imported: a child forked in the middle of that could never import it.
    """

    def __init__(self, connect_timeout: float, read_timeout: float) -> None:
        self._timeouts = (connect_timeout, read_timeout)
        self._adapter: HTTPAdapter | None = None
        self.loading: ForkSafeLock = ForkSafeLock()
        self._places: dict[str, _Place] = {}

    def send(self, request: Request) -> Response:
        """Post a request; the answer says by status 0 that there was none, and why."""
        try:
            return self._send(request)
        except Exception as error:  # noqa: BLE001  (whatever a proxy or a hook may raise: the record stays queued)
            return Response(0, error=classify(error))

    def close(self) -> None:
        """Close the connections."""
        adapter, self._adapter = self._adapter, None
        if adapter is not None:
            with contextlib.suppress(Exception):
                adapter.close()

    def abandon(self) -> None:
        """In a forked child: let go of the parent's connections without a word on them."""
        self._adapter = None
        self.loading.renew()

    def _send(self, request: Request) -> Response:
        if self._adapter is None:
            with self.loading.held:
                self._adapter = open_adapter()
        place = self._place(request.url)
        prepared = place.request.copy()
        prepared.headers.update(request.headers)
        prepared.headers["Content-Length"] = str(len(request.body))
        prepared.body = request.body
        # Straight to the adapter: a session would add redirects, cookies and ``~/.netrc``, none of them wanted.
        answer = self._adapter.send(
            prepared, stream=True, timeout=self._timeouts, verify=place.verify, proxies=place.proxies
        )
        try:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return Response(answer.status_code, headers, self._body(answer))
        finally:
            answer.close()

    def _place(self, url: str) -> _Place:
        """Where a URL leads, with what the process's environment says about proxies and certificates: asked once."""
        known = self._places.get(url)
        if known is None:
            if len(self._places) >= MOST_PLACES:
                self._places.clear()
            known = self._places[url] = find_place(url)
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


def open_adapter() -> HTTPAdapter:
    """What keeps the connections."""
    import requests  # noqa: PLC0415  (see the module's docstring)

    "localhost".encode("idna")  # loads what the first request would load
    return requests.adapters.HTTPAdapter()


def find_place(url: str) -> _Place:
    """Prepare all of a request to a URL that is the same each time."""
    import requests  # noqa: PLC0415  # see the module's docstring

    with requests.Session() as session:
        settings = session.merge_environment_settings(url, {}, True, None, None)
    prepared = requests.Request("POST", url).prepare()
    return _Place(prepared, settings["verify"] or True, settings["proxies"])


def classify(error: BaseException) -> str:
    """One word for why there was no answer."""
    import requests  # noqa: PLC0415  # see the module's docstring

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
