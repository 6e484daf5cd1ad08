"""Where mParticle's server-to-server Events API is."""

from __future__ import annotations

from ..errors import ConfigurationError
from ..urls import check_url

__all__ = ["PODS", "resolve_pod"]

PODS = ("us1", "us2", "eu1", "au1")


def resolve_pod(pod: str | None) -> str:
    """The base URL, without a trailing slash.

    Args:
        pod: A pod (``us1``), ``None`` for mParticle's general host, or an ``https://`` URL of a proxy
            (``http://`` for loopback hosts only).

    Raises:
        ConfigurationError: It is none of these.
    """
    if pod is None:
        return "https://s2s.mparticle.com"
    name = str(pod).lower()
    if name in PODS:
        return f"https://s2s.{name}.mparticle.com"
    if "://" not in name:
        raise ConfigurationError(f"pod must be one of {', '.join(PODS)}, or the URL of a proxy")
    return check_url(pod, "pod")
