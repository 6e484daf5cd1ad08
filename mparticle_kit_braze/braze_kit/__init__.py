"""The Braze kit: mParticle's vocabulary to Braze's, in four profiles. The rules side by side stand in ``mapping``."""

from __future__ import annotations

from .kit import BrazeKit, BrazeKitSettings
from .profiles import ProfileName
from .settings import Settings

__all__ = ["BrazeKit", "BrazeKitSettings", "ProfileName", "Settings"]
