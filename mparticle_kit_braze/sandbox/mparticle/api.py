"""The sandbox's mParticle: which of its APIs a request is for, and how a test sets them up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import urlsplit

from ..recorder import SandboxRequest
from ..replies import Reply
from .configuration import ConfigurationApi
from .idsync import IDSyncApi
from .part import Keys
from .uploads import UploadApi

__all__ = ["MParticleApi", "MParticleSetup", "is_for_mparticle"]


def is_for_mparticle(method: str, path: str) -> bool:
    """Whether a request is for one of mParticle's APIs."""
    return any(api.takes(method, urlsplit(path).path) for api in (IDSyncApi, UploadApi, ConfigurationApi))


class MParticleApi:
    """mParticle's APIs.

    Args:
        scripted: Gives the sandbox's scripted reply to a request, if there is one.
        seen: Called with each request.
        keep_requests: How many requests each API remembers; ``None`` for all.

    Attributes:
        keys: Key -> secret, or ``None`` if it needs none. Empty: any key will do, and nothing is verified.
        configuration: Serves configurations.
        idsync: Resolves identities.
        uploads: Takes batches of events.
    """

    def __init__(
        self,
        scripted: Callable[[SandboxRequest], Reply | None],
        seen: Callable[[SandboxRequest], object],
        *,
        keep_requests: int | None = None,
    ) -> None:
        known = Keys()
        self.keys: dict[str, str | None] = known.secrets
        self.configuration: ConfigurationApi = ConfigurationApi(known, scripted, seen, keep_requests=keep_requests)
        self.idsync: IDSyncApi = IDSyncApi(known, scripted, seen, keep_requests=keep_requests)
        self.uploads: UploadApi = UploadApi(known, scripted, seen, keep_requests=keep_requests)

    def reset(self) -> None:
        """Forget everything but the keys."""
        for part in (self.configuration, self.idsync, self.uploads):
            part.reset()

    @property
    def requests(self) -> list[SandboxRequest]:
        """The remembered requests of all three."""
        return [*self.configuration.requests, *self.idsync.requests, *self.uploads.requests]

    def receive(
        self, method: str, path: str, headers: Mapping[str, str], raw: bytes = b""
    ) -> tuple[Reply, int, Any] | None:
        """Answer a request, if it is for one of the APIs."""
        for part in (self.idsync, self.uploads, self.configuration):
            if part.takes(method, urlsplit(path).path):
                return part.receive(method, path, headers, raw)
        return None


class MParticleSetup:
    """The part of a sandbox that is mParticle rather than Braze."""

    mparticle: MParticleApi

    def set_configuration(
        self, document: Mapping[str, Any] | Sequence[Any] | bytes, *, form: Literal["mobile", "web"] = "mobile"
    ) -> None:
        """Serve a configuration to clients that fetch one.

        Args:
            document: The whole of it; a list of kit configurations makes one; bytes are served as they are.
            form: ``mobile`` or ``web``.
        """
        self.mparticle.configuration.set(document, form)

    @property
    def idsync(self) -> IDSyncApi:
        """Who is known to mParticle."""
        return self.mparticle.idsync

    @property
    def uploads(self) -> UploadApi:
        """What has been uploaded to mParticle's Events API."""
        return self.mparticle.uploads
