"""The four profiles: ``native``, ``web``, ``android``, ``ios``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from ...errors import ConfigurationError
from .android import AndroidProfile
from .base import Profile
from .ios import IOSProfile
from .native import NativeProfile
from .web import WebProfile

__all__ = ["PROFILES", "Profile", "ProfileName", "profile_named"]

ProfileName = Literal["native", "web", "android", "ios"]

PROFILES: Mapping[str, type[Profile]] = {
    profile.name: profile for profile in (NativeProfile, WebProfile, AndroidProfile, IOSProfile)
}


def profile_named(name: object) -> type[Profile]:
    """The profile of that name.

    Raises:
        ConfigurationError: There is none.
    """
    profile = PROFILES.get(name) if isinstance(name, str) else None
    if profile is None:
        raise ConfigurationError(f"The profile takes one of {', '.join(map(repr, PROFILES))}, not {name!r}.")
    return profile
