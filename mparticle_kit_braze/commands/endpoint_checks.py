"""Checks of the key and the endpoint: its form, its name, TLS, an answer, and the clock that the answer tells."""

from __future__ import annotations

import os
import re
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..braze.address import INSTANCES, resolve_endpoint
from ..delivery.transport import find_place, open_adapter
from ..errors import ConfigurationError
from ..urls import is_loopback
from .checks import Finding, TimeoutExpiredError, Verdict, bounded, fail, ok, reason, warning
from .console import masked

if TYPE_CHECKING:
    import requests

__all__ = ["check_clock", "check_endpoint", "check_key"]

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
ODD_SKEW, BAD_SKEW = 60, 3600
"""Seconds by which the clock may be off before it is worth mentioning, and before data is plainly wrong."""


def check_key(key: str) -> Iterator[Finding]:
    """Whether there is a key, and whether it looks like one."""
    where = "Braze shows it in the settings of your app, as its API key"
    if not key:
        yield warning("key", "BRAZE_API_KEY is not set", where)
    elif key != key.strip() or not key.isprintable() or not key.isascii():
        yield fail("key", f"{masked(key)} has white space or other characters around or in it", "copy it again")
    elif UUID.fullmatch(key) is None:
        yield warning("key", f"{masked(key)} does not look like an app identifier key (8-4-4-4-12 hex digits)", where)
    else:
        yield ok("key", f"{masked(key)} has the form of an app identifier key")


def check_endpoint(endpoint: str, *, timeout: float, offline: bool) -> Iterator[Finding]:
    """What can be said of an endpoint, up to an answer of its server to a request that carries nothing."""
    if not endpoint:
        instance = resolve_endpoint(None)
        yield warning(
            "endpoint",
            f"BRAZE_SDK_ENDPOINT is not set; {urlsplit(instance).hostname} (US-03) is looked at instead",
            "set it to the SDK endpoint that Braze shows beside the API key of your app",
        )
    else:
        try:
            instance = resolve_endpoint(endpoint)
        except ConfigurationError as error:
            yield fail("endpoint", str(error), "correct BRAZE_SDK_ENDPOINT or --endpoint")
            return
        yield _known(instance)
    if offline:
        return
    yield from _check_certificates()
    place = find_place(instance)
    proxy = _proxy(instance, place.proxies)
    if proxy is not None:
        yield ok("proxy", f"the environment sends requests through {proxy}")
    name = _check_name(instance, timeout, proxied=proxy is not None)
    yield name
    if name.verdict is not Verdict.FAIL:
        yield from _check_answer(instance, place.verify, place.proxies, timeout)


def _known(url: str) -> Finding:
    host = urlsplit(url).hostname or ""
    name = next((name for name, known in INSTANCES.items() if known == host), None)
    if name is not None:
        return ok("endpoint", f"{host} is Braze's instance {name}")
    if is_loopback(host):
        return ok("endpoint", f"{urlsplit(url).netloc} is this machine, such as a sandbox")
    return warning("endpoint", f"{host} is no instance of Braze that is known", "well if it is a proxy of yours")


def _check_certificates() -> Iterator[Finding]:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        path = os.environ.get(name)
        if path and not Path(path).exists():
            yield fail("tls", f"{name} names {path}, which does not exist", "correct or unset it")


def _proxy(url: str, proxies: Mapping[str, str]) -> str | None:
    """The proxy for a URL, without its credentials."""
    import requests  # noqa: PLC0415 - slow to import

    found = requests.utils.select_proxy(url, dict(proxies))
    if not found:
        return None
    parts = urlsplit(found if "//" in found else f"//{found}")
    return parts.netloc.rpartition("@")[2] or "a proxy without a host"


def _check_name(url: str, timeout: float, *, proxied: bool) -> Finding:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = bounded(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM), timeout)
    except (OSError, UnicodeError, TimeoutExpiredError) as error:
        said = f"no answer in {timeout:g} s" if isinstance(error, TimeoutExpiredError) else reason(error)
        if proxied:
            return ok("name", f"{host} cannot be found from here ({said}); the proxy has to")
        return fail("name", f"{host} cannot be found ({said})", "check its spelling and this machine's name server")
    addresses = sorted({str(each[4][0]) for each in found})
    more = f" and {len(addresses) - 3} more" if len(addresses) > 3 else ""
    return ok("name", f"{host} is {', '.join(addresses[:3])}{more}")


def _check_answer(url: str, verify: bool | str, proxies: Mapping[str, str], timeout: float) -> Iterator[Finding]:
    """Ask for the base address: no key, no data, no redirect followed, and the answer's body is not read."""
    import requests  # noqa: PLC0415 - slow to import

    def ask() -> requests.Response:
        adapter = open_adapter()
        try:
            prepared = requests.Request("GET", url).prepare()
            return adapter.send(prepared, stream=True, timeout=timeout, verify=verify, proxies=dict(proxies))
        finally:
            adapter.close()

    before = time.time()
    try:
        answer = bounded(ask, timeout)
    except TimeoutExpiredError:
        yield _silent(timeout)
        return
    except requests.exceptions.RequestException as error:
        yield _unreachable(error, timeout)
        return
    except OSError as error:
        yield fail("answer", f"the connection fails ({reason(error)})", "check the network")
        return
    answer.close()
    after = time.time()
    if urlsplit(url).scheme == "https":
        yield ok("certificate", "verified")
    said = f"HTTP {answer.status_code} in {(after - before) * 1000:.0f} ms"
    if answer.status_code >= 500:
        yield warning("answer", said, "the server is in trouble; clients keep their data and try again")
    elif answer.status_code == 407:
        yield fail("answer", said, "the proxy asks for credentials")
    else:
        yield ok("answer", f"{said}, so there is a server")
    if not is_loopback(urlsplit(url).hostname or ""):
        yield check_clock(answer.headers.get("Date"), (before + after) / 2)


def _silent(timeout: float) -> Finding:
    mend = "check firewall and proxy, or wait longer with --timeout"
    return fail("answer", f"no answer within {timeout:g} seconds", mend)


def _unreachable(error: requests.exceptions.RequestException, timeout: float) -> Finding:
    import requests  # noqa: PLC0415 - slow to import

    causes = list(_causes(error))
    if isinstance(error, requests.exceptions.SSLError):
        for cause in causes:
            if isinstance(cause, ssl.SSLCertVerificationError):
                mend = "correct the endpoint; for a company's own authority set REQUESTS_CA_BUNDLE to its certificate"
                return fail("certificate", f"is not trusted: {cause.verify_message}", mend)
        return fail(
            "certificate", f"TLS fails ({_last(causes)})", "check that the port speaks TLS, and what is between"
        )
    if isinstance(error, requests.exceptions.ProxyError):
        return fail("proxy", f"cannot be used ({_last(causes)})", "check HTTPS_PROXY and NO_PROXY")
    if isinstance(error, requests.exceptions.Timeout):
        return _silent(timeout)
    if isinstance(error, requests.exceptions.ConnectionError):
        return fail("answer", f"no connection ({_last(causes)})", "check host, port, network and firewall")
    return fail("answer", f"no HTTP answer ({type(error).__name__})", "check that it is Braze's SDK endpoint")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and those behind it, also where they are only arguments of each other."""
    seen: set[int] = set()
    pending: list[BaseException] = [error]
    while pending:
        each = pending.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        inner = (each.__cause__, each.__context__, getattr(each, "reason", None), *each.args)
        pending += [other for other in inner if isinstance(other, BaseException)]


def _last(causes: list[BaseException]) -> str:
    """The operating system's word for it, if there is one."""
    for cause in causes:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    return type(causes[-1]).__name__


def check_clock(date: str | None, now: float) -> Finding:
    """Compare a server's ``Date`` with this machine's time."""
    try:
        told = parsedate_to_datetime(date or "").timestamp()
    except (TypeError, ValueError):
        return warning("clock", "the answer tells no time to compare with", "compare this machine's clock yourself")
    skew = now - told
    said = f"{abs(skew):.0f} seconds {'ahead of' if skew > 0 else 'behind'} the server's"
    mend = "set the clock, best by a time service: events carry its time"
    if abs(skew) > BAD_SKEW:
        return fail("clock", said, mend)
    if abs(skew) > ODD_SKEW:
        return warning("clock", said, mend)
    return ok("clock", "agrees with the server's")
