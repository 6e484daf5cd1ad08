"""Arguments that are wrong calls rather than refused values: settings of the client, times of events."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from ..errors import ConfigurationError, InvalidArgumentError
from .validation.values import unwrapped

__all__ = ["METADATA_TAGS", "check_settings", "checked_time", "seconds"]

METADATA_TAGS = frozenset({"gg", "mp", "sg", "tl", "npm", "wcd", "shp", "manu"})
"""How an SDK can be integrated: tag managers, mParticle, Segment, Tealium, npm, CDN, Shopify, by hand."""

VERSION_CODE = r"(?a)\d+(\.\d+){3}"

MILLISECOND = 0.001
"""The earliest time of an event, since times go with three decimals and 0 is none."""


def check_settings(
    api_key: object, app_version: object, app_version_code: object, sdk_metadata: object, skip_unchanged: object
) -> None:
    """Raise :class:`ConfigurationError` for a setting that cannot be meant."""
    if not isinstance(api_key, str) or not api_key.strip():
        raise ConfigurationError("api_key must be the app identifier key, a non-empty text")
    if not api_key.isascii() or not api_key.isprintable():
        raise ConfigurationError("api_key must consist of printable ASCII characters")
    if app_version is not None and (not isinstance(app_version, str) or not app_version):
        raise ConfigurationError(f"app_version must be non-empty text or None, not {app_version!r}")
    if app_version_code is not None and not (
        isinstance(app_version_code, str) and re.fullmatch(VERSION_CODE, app_version_code)
    ):
        raise ConfigurationError(
            f"app_version_code must be four numbers such as 1.2.3.4 or None, not {app_version_code!r}"
        )
    if isinstance(sdk_metadata, str) or not isinstance(sdk_metadata, Sequence):
        raise ConfigurationError("sdk_metadata must be a sequence of tags")
    unknown = [tag for tag in sdk_metadata if tag not in METADATA_TAGS]
    if unknown:
        raise ConfigurationError(f"sdk_metadata has the unknown tag {unknown[0]!r}; known are {sorted(METADATA_TAGS)}")
    if skip_unchanged not in ("all", "email", "none"):
        raise ConfigurationError(f"skip_unchanged must be 'all', 'email' or 'none', not {skip_unchanged!r}")


def seconds(value: object, setting: str) -> float:
    """A positive, finite number of seconds, or :class:`ConfigurationError`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ConfigurationError(f"{setting} must be a positive number of seconds, not {value!r}")
    return float(value)


def checked_time(value: Any) -> float:
    """Seconds since the epoch, or :class:`InvalidArgumentError`."""
    value = unwrapped(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not MILLISECOND <= value < 1e12:
        raise InvalidArgumentError(f"time must be seconds since the epoch, a number from 0.001 to 1e12, not {value!r}")
    return float(value)
