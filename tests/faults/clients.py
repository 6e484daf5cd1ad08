"""Clients on the public face: all that the programs of ``worker.py`` need, which are started dozens of times."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mparticle_kit_braze import BrazeKit, DeliveryOptions, MParticle, Problem

if TYPE_CHECKING:
    from mparticle_kit_braze.sandbox import Sandbox

__all__ = ["KEY", "log", "make_client"]

KEY = "app-key-1"


def make_client(
    endpoint: Sandbox | str,
    storage: Path | str,
    *,
    key: str = KEY,
    on_error: Callable[[Problem], object] | None = None,
    on_delivery: Callable[..., object] | None = None,
    kit: dict[str, Any] | None = None,
    **options: Any,
) -> MParticle:
    """A client with a Braze kit; ``options`` are those of delivery."""
    url = endpoint if isinstance(endpoint, str) else endpoint.url
    braze = BrazeKit(key, url, delivery_options=DeliveryOptions(**options), **(kit or {}))
    return MParticle(kits=[braze], storage=storage, on_error=on_error, on_delivery=on_delivery)


def log(client: MParticle, numbers: Iterable[int]) -> None:
    """Log events with these ids."""
    for number in numbers:
        client.log_event("Numbered", attributes={"id": number})
