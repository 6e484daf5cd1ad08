"""mParticle's own servers, as far as this package talks to them: configuration, IDSync and the Events API."""

from __future__ import annotations

from .api import MParticleApi, MParticleSetup, is_for_mparticle
from .configuration import ConfigurationApi
from .idsync import IDSyncApi
from .uploads import UploadApi

__all__ = ["ConfigurationApi", "IDSyncApi", "MParticleApi", "MParticleSetup", "UploadApi", "is_for_mparticle"]
