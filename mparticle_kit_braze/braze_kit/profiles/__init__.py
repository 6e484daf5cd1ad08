"""The four profiles: ``native``, ``web``, ``android``, ``ios``."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Literal

from ...errors import ConfigurationError
from .base import Profile

__all__ = ["PROFILES", "Profile", "ProfileName", "profile_named"]

ProfileName = Literal["native", "web", "android", "ios"]

PROFILES: Mapping[str, str] = {
    "native": "NativeProfile",
    "web": "WebProfile",
    "android": "AndroidProfile",
    "ios": "IOSProfile",
}
"""The classes by name, each in a module named after the profile, which is loaded when it is used."""


def profile_named(name: object) -> type[Profile]:
    """The profile of that name.

    Raises:
        ConfigurationError: There is none.
    """
    if not isinstance(name, str) or name not in PROFILES:
        raise ConfigurationError(f"The profile takes one of {', '.join(map(repr, PROFILES))}, not {name!r}.")
    profile: type[Profile] = getattr(importlib.import_module(f".{name}", __name__), PROFILES[name])
    return profile
