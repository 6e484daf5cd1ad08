"""What we truthfully know about the device: system, locale, time zone, and who is talking."""

from __future__ import annotations

import os
import time
from pathlib import Path

from .._version import __version__
from ..locks import importing

__all__ = ["describe_device"]

ZONE_DIRECTORY = "zoneinfo/"


def describe_device() -> dict[str, str]:
    """The ``device`` object, with the keys the Web SDK uses; what cannot be told is left out."""
    with importing.held:
        import platform  # noqa: PLC0415 - needed on the sending thread only, slow to import

    told = {
        "os_version": _system(platform.system(), platform.release()),
        "locale": _locale(),
        "time_zone": _time_zone(),
        "user_agent": f"mparticle-kit-braze/{__version__} Python/{platform.python_version()}",
    }
    return {key: value for key, value in told.items() if value}


def _system(system: str, release: str) -> str:
    # The kernel's name and number mean little to people on a Mac, but are true.
    return f"{'macOS (Darwin)' if system == 'Darwin' else system} {release}".strip()


def _locale() -> str | None:
    """The language and country of the environment, lower case with a hyphen (``en-us``)."""
    for variable in ("LC_ALL", "LC_MESSAGES", "LANG"):
        name = os.environ.get(variable, "").partition(".")[0].partition("@")[0]
        if name:
            return None if name in ("C", "POSIX") else name.replace("_", "-").lower()
    return None


def _time_zone() -> str | None:
    """The IANA name of the local time zone."""
    name = os.environ.get("TZ", "").lstrip(":")
    if not name:
        name = _link_target()
    if ZONE_DIRECTORY in name:
        name = name.partition(ZONE_DIRECTORY)[2]
    if name and not name.startswith("/"):
        return name
    return "UTC" if time.timezone == 0 and not time.daylight else None


def _link_target() -> str:
    try:
        return str(Path("/etc/localtime").readlink())
    except OSError:
        return ""
