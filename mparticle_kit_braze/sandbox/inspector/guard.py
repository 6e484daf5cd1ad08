"""Who may look: pages of this very server and programs of this machine, and no page of another site.

A site on the internet can point a name of its own at 127.0.0.1 and have a browser ask us under that name (DNS
rebinding); it cannot choose the ``Host`` header, which then carries that name.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

__all__ = ["SECURITY_HEADERS", "refusal_of"]

SECURITY_HEADERS: Mapping[str, str] = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
        "trusted-types 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
}
"""On everything the inspector serves. Nothing in the page can become markup or script: the browser sees to it."""


def refusal_of(headers: Mapping[str, str], bound_to: str) -> str | None:
    """Why a request is not from here; ``None`` if it may be.

    Args:
        headers: The request's headers; looking one up must ignore case.
        bound_to: The address or name that the server was told to listen on.
    """
    host = headers.get("Host") or ""
    if not _is_ours(host, bound_to):
        return f"this server is not {host[:100]!r}"
    origin = headers.get("Origin")
    if origin is not None and origin != f"http://{host}":
        return "requests from other origins are not answered"
    if headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        return "requests from other sites are not answered"
    return None


def _is_ours(host: str, bound_to: str) -> bool:
    """Whether a ``Host`` header names this server: an address, or a name nobody else can point here."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name in ("localhost", bound_to.lower()):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    # An address cannot be rebound. Beyond loopback it is right only for who chose to listen there.
    return address.is_loopback or not is_loopback(bound_to)


def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine's own."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
