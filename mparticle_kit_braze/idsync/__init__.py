"""mParticle's IDSync HTTP API as a resolver: identities become MPIDs on mParticle's servers."""

from __future__ import annotations

from .resolver import IDSyncResolver

__all__ = ["IDSyncResolver"]
