"""Where the Braze SDK endpoint is: instance names, host names and URLs to the base that paths are added to."""

from __future__ import annotations

import re

from ..errors import ConfigurationError

__all__ = ["DEFAULT_INSTANCE", "INSTANCES", "resolve_endpoint"]

DEFAULT_INSTANCE = "US-03"
"""mParticle's default instance for Braze."""

INSTANCES = {
    **{f"US-{number:02}": f"sdk.iad-{number:02}.braze.com" for number in range(1, 9)},
    "US-10": "sdk.us-10.braze.com",
    "EU-01": "sdk.fra-01.braze.eu",
    "EU-02": "sdk.fra-02.braze.eu",
    "AU-01": "sdk.au-01.braze.com",
    "ID-01": "sdk.id-01.braze.com",
    "JP-01": "sdk.jp-01.braze.com",
    "KR-01": "sdk.kr-01.braze.com",
}
"""Braze instances and their SDK hosts. Source: Braze's list of instances."""

API_PATH = "/api/v3"
ACCEPTED = "a host such as sdk.iad-03.braze.com, an https:// URL, or an instance name such as US-03"


def resolve_endpoint(endpoint: str | None) -> str:
    """The base URL for an endpoint, without a trailing slash.

    Args:
        endpoint: An instance name (``US-03``, ``us 03``, ``03``), a host with or without a port, or a URL. Without
            a path ``/api/v3`` is added; a path is a proxy's and is taken as the complete prefix. ``http://`` is for
            loopback hosts only. ``None`` is the default instance, US-03.

    Raises:
        ConfigurationError: It is none of these, or carries credentials, a query or a fragment.
    """
    if endpoint is None:
        endpoint = DEFAULT_INSTANCE
    if not isinstance(endpoint, str):
        raise _refusal(f"is of type {type(endpoint).__name__}")
    text = endpoint.strip()
    if not text:
        raise _refusal("is empty")
    return _instance_url(text) or _url(text)


def _instance_url(text: str) -> str | None:
    match = re.fullmatch(r"(?:([A-Za-z]{2})[-_ ]?)?(\d{1,2})", text)
    if match is None:
        return None
    name = f"{(match[1] or 'US').upper()}-{int(match[2]):02}"
    host = INSTANCES.get(name)
    if host is None:
        raise _refusal(f"names no known instance ({name}); known are {', '.join(INSTANCES)}")
    return f"https://{host}{API_PATH}"


def _url(text: str) -> str:
    from urllib.parse import urlsplit  # noqa: PLC0415 - not needed for an instance name, slow to import

    if re.search(r"[\x00-\x20\x7f\\]", text):
        raise _refusal("contains white space, a backslash or a control character")
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _refusal("is not a valid URL (host or port)") from None
    if parts.scheme not in ("https", "http"):
        raise _refusal(f"has the scheme {parts.scheme!r}")
    if "@" in parts.netloc:
        raise _refusal("contains credentials")
    if "?" in text or "#" in text:
        raise _refusal("contains a query or a fragment")
    if not host or not re.fullmatch(r"[\w.-]+|[0-9a-f:.]+", host) or port == 0:
        raise _refusal("has no valid host and port")
    if parts.scheme == "http" and not _is_loopback(host):
        raise _refusal("is plain http:// to a host that is not loopback")
    if re.fullmatch(r"rest\.[\w-]+\.braze\.(com|eu)", host):
        raise _refusal(f"is a REST endpoint; the SDK endpoint is sdk{host[4:]}")
    authority = f"[{host}]" if ":" in host else host
    if port is not None:
        authority = f"{authority}:{port}"
    return f"{parts.scheme}://{authority}{parts.path.rstrip('/') or API_PATH}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    import ipaddress  # noqa: PLC0415 - not needed in production, slow to import

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _refusal(why: str) -> ConfigurationError:
    # The text itself is not quoted: it may hold credentials.
    return ConfigurationError(f"The Braze endpoint {why}. It takes {ACCEPTED}.")
