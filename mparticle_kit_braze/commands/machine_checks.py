"""Checks of Python and the libraries."""

from __future__ import annotations

import platform
import sqlite3
from collections.abc import Iterator
from importlib import import_module

from .._version import __version__
from .checks import Finding, fail, ok, warning

__all__ = ["check_libraries"]

OLDEST_REQUESTS = (2, 28)
OLDEST_OPENSSL = (1, 1, 1)


def check_libraries() -> Iterator[Finding]:
    """The versions in use, and whether they will do."""
    yield ok(
        "python",
        f"Python {platform.python_version()}, mparticle_kit_braze {__version__}, SQLite {sqlite3.sqlite_version}",
    )
    try:
        requests = import_module("requests")
        urllib3 = import_module("urllib3")
    except ImportError as error:
        yield fail("requests", f"cannot be imported ({error})", "install it: pip install requests")
        return
    text = f"requests {requests.__version__}, urllib3 {urllib3.__version__}"
    if _version(requests.__version__) < OLDEST_REQUESTS:
        yield warning("requests", text, "requests 2.28 is the oldest that is tested: pip install -U requests")
    else:
        yield ok("requests", text)
    try:
        import ssl  # noqa: PLC0415 - a Python built without it can still do the rest
    except ImportError:
        yield fail("tls", "this Python was built without TLS", "use a Python with the ssl module")
        return
    said = " ".join(ssl.OPENSSL_VERSION.split()[:2])
    if not ssl.OPENSSL_VERSION.startswith("OpenSSL") or ssl.OPENSSL_VERSION_INFO[:3] < OLDEST_OPENSSL:
        yield warning("tls", said, "use a Python with OpenSSL 1.1.1 or later")
    else:
        yield ok("tls", said)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
