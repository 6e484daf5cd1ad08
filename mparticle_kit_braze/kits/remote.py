"""A configuration from a server: fetched on a thread of its own, kept on disk, applied while the client runs.

Off unless a client is given one; then kits follow the dashboard. Source: the configuration request of mParticle's
Android and web SDKs.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from .._version import __version__
from ..clock import SYSTEM_CLOCK, Clock, Wakeup
from ..diagnostics import Reporter
from ..errors import ConfigurationError
from ..storage import KeyValues, Storage
from ..urls import check_url
from ..values import describe
from .configuration import Form, KitConfiguration
from .reading import Reader

if TYPE_CHECKING:
    from .data_plan import DataPlan
from ..locks import importing, importing_http

__all__ = ["ClientConfiguration", "RemoteConfiguration"]

MOBILE_HOST = "https://config2.mparticle.com"
WEB_HOST = "https://jssdkcdns.mparticle.com"

MAX_BODY = 4 * 1024 * 1024
"""The most bytes of a configuration that are read."""

LONGEST_TIMEOUT = 365 * 86_400.0
"""Seconds; a session time-out beyond it is a mistake, and is left out."""

CLOSE_PATIENCE = 0.25
"""Seconds that closing waits for the thread."""


@dataclass(frozen=True, slots=True)
class ClientConfiguration:
    """What a server's document says, as far as it concerns this package.

    Attributes:
        kits: The kits' configurations.
        session_timeout: Seconds; ``None`` to leave it.
        collects_opted_out: Whether calls of users who opted out still go to the kits that do not honour it.
        data_plan: What may reach the kits; ``None`` for everything.
    """

    kits: tuple[KitConfiguration, ...]
    session_timeout: float | None = None
    collects_opted_out: bool = False
    data_plan: DataPlan | None = None

    @classmethod
    def read(cls, document: str | bytes | Mapping[str, Any], form: Form) -> ClientConfiguration:
        """Read a document: ``eks``, ``stl``, ``oo`` and ``dpr``; the web form's ``kitConfigs`` and ``dataPlanResult``.

        Raises:
            ConfigurationError: It is malformed; the message names the key.
        """
        if not isinstance(document, Mapping):
            try:
                document = json.loads(document)
            except (ValueError, TypeError, RecursionError) as error:
                raise ConfigurationError(f"the configuration is no JSON: {type(error).__name__}") from error
        key = "eks" if form == "mobile" else "kitConfigs"
        entries = document.get(key) if isinstance(document, Mapping) else None
        if not isinstance(entries, list) or not isinstance(document, Mapping):
            raise ConfigurationError(f"the configuration has no list {key}")
        kits = tuple(KitConfiguration.from_json(entry, form) for entry in entries)
        timeout = document.get("stl")
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout < LONGEST_TIMEOUT:
            timeout = None
        collects = form == "mobile" and document.get("oo") is True
        plan = read_plan(document, "dpr" if form == "mobile" else "dataPlanResult")
        return cls(kits, None if timeout is None else float(timeout), collects, plan)


class RemoteConfiguration:
    """Where a client's configuration comes from. Give it to ``MParticle(remote_configuration=...)``.

    The last configuration is kept on disk and in force from the start, before the server answers. Until the first
    answer of all the kits go by what they were given in code, or get nothing (``required``). A fetch that fails, or
    brings something malformed, leaves what is in force, and is reported.

    Args:
        key: The API key.
        secret: Its secret, to sign requests; ``None`` for keys that need no signature.
        form: ``"mobile"`` for the configuration of native apps, ``"web"`` for that of web pages.
        endpoint: Another server in place of mParticle's: an ``https://`` URL.
        required: Whether no kit gets anything before there has been a first configuration: until then every call waits,
            events and attributes on disk (1000 calls at most), and identity calls in memory.
        refresh_interval: Seconds between two fetches, at least 1 (Android: 600).
        max_age: Seconds after which a configuration kept on disk is no longer used; ``None`` for never.
        app_version: The app's version, told to the server.
        plan_id: The data plan whose filter the server is asked for.
        plan_version: Its version, 1 to 1000; ``None`` for the latest.
        timeout: Seconds to wait for the server.
        clock: Where the time comes from; another one is for tests.

    Raises:
        ConfigurationError: An argument is malformed.
    """

    def __init__(
        self,
        key: str,
        secret: str | None = None,
        *,
        form: Form = "mobile",
        endpoint: str | None = None,
        required: bool = False,
        refresh_interval: float = 600.0,
        max_age: float | None = None,
        app_version: str | None = None,
        plan_id: str | None = None,
        plan_version: int | None = None,
        timeout: float = 15.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        check_text(key=key, **{} if secret is None else {"secret": secret})
        if form not in ("mobile", "web"):
            raise ConfigurationError(f"form must be 'mobile' or 'web', not {form!r}")
        check_seconds("refresh_interval", refresh_interval, least=1.0)
        check_seconds("timeout", timeout, least=0.001)
        if max_age is not None:
            check_seconds("max_age", max_age, least=0.0)
        self._key = key
        self._secret = secret
        self._form: Form = form
        self.required = required
        self._endpoint = None if endpoint is None else check_url(endpoint, "endpoint")
        self._interval = refresh_interval
        self._max_age = max_age
        self._app_version = app_version
        self._plan = check_plan(plan_id, plan_version)
        self._timeout = timeout
        self._clock = clock
        self._environment = "production"
        self._values: KeyValues | None = None
        self._reporter = Reporter()
        self._apply: Callable[[ClientConfiguration], object] = lambda _configuration: None
        self._kit_ids: Sequence[int] = ()
        self._wakeup = Wakeup()
        self._closed = False
        self._thread: threading.Thread | None = None

    # -- the client's side --------------------------------------------------------------------------------------
    def open(
        self, storage: Storage, reporter: Reporter, *, environment: str, kit_ids: Sequence[int]
    ) -> ClientConfiguration | None:
        """The client hands over what is needed; returns the configuration kept on disk, if it may be used."""
        self._closed, self._wakeup = False, Wakeup()  # it may have been given to a client before
        self._values = storage.key_values("configuration")
        self._reporter = reporter
        self._environment = environment
        self._kit_ids = kit_ids
        kept = self._kept()
        if kept is None:
            return None
        try:
            return ClientConfiguration.read(kept["body"], self._form)
        except ConfigurationError:
            self._values.delete("answer")
            return None

    def start(self, apply: Callable[[ClientConfiguration], object]) -> None:
        """Begin to fetch, on a thread of its own.

        Args:
            apply: Called there with each new configuration.
        """
        self._apply = apply
        self._thread = threading.Thread(target=self._run, name="mparticle_kit_braze.configuration", daemon=True)
        self._thread.start()

    def refresh_soon(self) -> None:
        """Fetch now instead of at the interval; never waits."""
        self._wakeup.set()

    def close(self) -> None:
        """End the thread; waits a moment at most."""
        self._closed = True
        self._wakeup.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(CLOSE_PATIENCE)
        if self._values is not None:
            self._values.close()

    # -- the thread ---------------------------------------------------------------------------------------------
    def _run(self) -> None:
        while not self._closed:
            try:
                self._fetch()
            except Exception as error:  # noqa: BLE001  # whatever the network brings: what is in force stays
                self._trouble(type(error).__name__, error)
            self._wakeup.wait(self._interval)

    def _fetch(self) -> None:
        status, headers, body = get(self._url(), self._headers(), self._timeout)
        if self._closed or self._values is None:
            return
        if status == 304:
            kept = self._values.get("answer")
            if isinstance(kept, dict):
                self._values.set("answer", {**kept, "time": self._clock.time()})
        elif 200 <= status < 300:
            configuration = ClientConfiguration.read(body, self._form)
            self._apply(configuration)
            self._values.set(
                "answer",
                {
                    "source": self._source(),
                    "body": body.decode("utf-8", "replace"),
                    "etag": headers.get("etag"),
                    "last_modified": headers.get("last-modified"),
                    "time": self._clock.time(),
                },
            )
        else:
            self._trouble(f"HTTP {status}" + (", the key may be wrong" if status == 400 else ""))
            return
        self._reporter.recovered("configuration_not_fetched", "The configuration was fetched again")

    def _trouble(self, why: str, error: Exception | None = None) -> None:
        message = str(error) if isinstance(error, ConfigurationError) else why
        self._reporter.report(
            "configuration_not_fetched",
            f"No new configuration from the server ({message}); the one in force stays",
            exception=error,
        )

    # -- the request --------------------------------------------------------------------------------------------
    def _url(self) -> str:
        key = quote(self._key, safe="")
        if self._form == "web":
            query = urlencode({"env": int(self._environment == "development"), **self._plan})
            return f"{self._endpoint or WEB_HOST}/JS/v2/{key}/config?{query}"
        query = urlencode({"av": self._app_version or "unknown", "sv": __version__, **self._plan})
        prefix = MOBILE_HOST if self._endpoint is None else f"{self._endpoint}/config"  # as the SDKs with own hosts
        return f"{prefix}/v4/{key}/config?{query}"

    def _headers(self) -> dict[str, str]:
        if self._form == "web":
            headers = {"Accept": "text/plain;charset=UTF-8"}
        else:
            kits = ",".join(str(number) for number in self._kit_ids if number)
            headers = {"x-mp-env": "1" if self._environment == "development" else "2", "x-mp-kits": kits}
        kept = self._kept()
        if kept is not None:
            conditions = {"If-None-Match": kept.get("etag"), "If-Modified-Since": kept.get("last_modified")}
            headers.update({name: value for name, value in conditions.items() if isinstance(value, str)})
        if self._secret is not None:
            headers.update(self._signature(self._secret))
        return headers

    def _signature(self, secret: str) -> dict[str, str]:
        """Over method, date and path with query, the path as on mParticle's own host."""
        with importing.held:
            from email.utils import formatdate  # noqa: PLC0415  # only on this thread

        date = formatdate(self._clock.time(), usegmt=True)
        parts = urlsplit(self._url())
        path = parts.path[parts.path.rindex("/v4/") :] if self._form == "mobile" else parts.path
        signed = f"GET\n{date}\n{path}?{parts.query}"
        return {"Date": date, "x-mp-signature": hmac.new(secret.encode(), signed.encode(), hashlib.sha256).hexdigest()}

    # -- what is kept -------------------------------------------------------------------------------------------
    def _source(self) -> str:
        """Tells the configuration of one key and environment from others, without the key."""
        return hashlib.sha256(
            f"{self._environment} {self._url().partition('?')[0]} {urlencode(self._plan)}".strip().encode()
        ).hexdigest()

    def _kept(self) -> Mapping[str, Any] | None:
        """The last answer, unless it is another key's or too old."""
        kept = None if self._values is None else self._values.get("answer")
        if not isinstance(kept, dict) or kept.get("source") != self._source() or not isinstance(kept.get("body"), str):
            return None
        then = kept.get("time")
        if not isinstance(then, int | float):
            return None
        return None if self._max_age is not None and self._clock.time() - then > self._max_age else kept


def read_plan(document: Mapping[str, Any], key: str) -> DataPlan | None:
    """The data plan of a document; few have one, so its code is loaded for those only."""
    if not document.get(key):
        return None
    with importing.held:
        from .data_plan import DataPlan  # noqa: PLC0415  # as said

    result = Reader.root(document).object(key)
    return None if result is None else DataPlan.read(result)


def get(url: str, headers: Mapping[str, str], timeout: float) -> tuple[int, Mapping[str, str], bytes]:
    """One GET without redirects: status, headers (lower case) and body."""
    with importing_http.held:
        import requests  # noqa: PLC0415  # only on the fetching thread

    with requests.Session() as session:
        session.auth = keep_as_it_is
        with session.get(url, headers=dict(headers), timeout=timeout, allow_redirects=False, stream=True) as answer:
            body = b""
            for part in answer.iter_content(65_536):
                body += part
                if len(body) > MAX_BODY:
                    raise ConfigurationError(f"the configuration is larger than {MAX_BODY} bytes")
            return answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, body


def keep_as_it_is(request: Any) -> Any:
    """In place of passwords from ``~/.netrc``."""
    return request


def check_plan(plan_id: object, version: object) -> dict[str, Any]:
    """A data plan as the query of a request names it; :raises ConfigurationError: if it is malformed."""
    if plan_id is None and version is None:
        return {}
    check_text(plan_id=plan_id)
    if version is None:
        return {"plan_id": plan_id}
    if isinstance(version, bool) or not isinstance(version, int) or not 1 <= version <= 1000:
        raise ConfigurationError(f"plan_version must be a whole number from 1 to 1000, not {describe(version)}")
    return {"plan_id": plan_id, "plan_version": version}


def check_text(**settings: object) -> None:
    """Raise unless these are texts with something in them."""
    for name, value in settings.items():
        if not isinstance(value, str) or not value.strip():
            raise ConfigurationError(f"{name} must be the {name} of an mParticle input, not {describe(value)}")


def check_seconds(name: str, value: object, *, least: float) -> None:
    """Raise unless this is a number of seconds from ``least`` up."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= least:
        raise ConfigurationError(f"{name} must be a number of seconds of at least {least}, not {value!r}")
