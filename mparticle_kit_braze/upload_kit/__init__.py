"""A kit that uploads to mParticle itself, so that a Python app has the whole of mParticle beside Braze."""

from __future__ import annotations

from .kit import MParticleUploadKit

__all__ = ["MParticleUploadKit"]
