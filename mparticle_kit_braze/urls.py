"""Checking the URLs of servers that an app names: https, or http to this machine; nothing in it but the address."""

from __future__ import annotations

import re

from .errors import ConfigurationError
from .values import describe

__all__ = ["check_url"]


def check_url(url: object, what: str) -> str:
    """A base URL without a trailing slash.

    Args:
        url: ``https://host[:port][/prefix]``; ``http://`` for loopback hosts only.
        what: The setting's name, for the message.

    Raises:
        ConfigurationError: It is something else. The URL is not quoted: it may hold credentials.
    """
    if not isinstance(url, str):
        raise ConfigurationError(f"{what} must be a URL, not {describe(url)}")
    from urllib.parse import urlsplit  # noqa: PLC0415 - slow to import, and most apps name no server

    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ConfigurationError(f"{what} is not a valid URL (host or port)") from None
    wrong = None
    if re.search(r"[\x00-\x20\x7f\\]", url):
        wrong = "contains white space, a backslash or a control character"
    elif parts.scheme not in ("https", "http") or not host or port == 0:
        wrong = "is no https:// URL with a host"
    elif "@" in parts.netloc or "?" in url or "#" in url:
        wrong = "contains credentials, a query or a fragment"
    elif parts.scheme == "http" and not is_loopback(host):
        wrong = "is plain http:// to a host that is not loopback"
    if wrong is not None:
        raise ConfigurationError(f"{what} {wrong}")
    return url.rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost":
        return True
    import ipaddress  # noqa: PLC0415 - not needed in production, slow to import

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
