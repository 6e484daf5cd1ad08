"""What the tests of server to server share."""

from __future__ import annotations

from typing import Any

from mparticle_kit_braze.delivery import DeliveryOptions
from mparticle_kit_braze.sandbox import Sandbox
from mparticle_kit_braze.server import BrazeRest, ServerSettings

__all__ = ["TIME", "event", "purchase", "rest_client"]

TIME = "2026-01-02T03:04:05Z"
BY_HAND = DeliveryOptions(flush_interval=3600)


def event(name: str = "E", user: str = "c1", **fields: Any) -> dict[str, Any]:
    """An event object that is in order."""
    return {"external_id": user, "name": name, "time": TIME, **fields}


def purchase(**fields: Any) -> dict[str, Any]:
    """A purchase object that is in order."""
    return {"external_id": "c1", "product_id": "sku-1", "currency": "USD", "price": 1.5, "time": TIME, **fields}


def rest_client(sandbox: Sandbox, *, storage: Any = ":memory:", **settings: Any) -> BrazeRest:
    """A REST client of a sandbox that sends only when flushed."""
    return BrazeRest(
        "rest-key-1",
        sandbox.url,
        storage=storage,
        settings=ServerSettings.from_python(**settings),
        delivery_options=BY_HAND,
    )
