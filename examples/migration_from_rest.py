"""From calling Braze's REST API by hand to this package, in two steps; all three ways end in the same user.

Runs as it is, against local Brazes: ``python examples/migration_from_rest.py``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import requests

from mparticle_kit_braze import CommerceEvent, MParticle, Product, ProductAction, TransactionAttributes
from mparticle_kit_braze.sandbox import Sandbox
from mparticle_kit_braze.server import BrazeRest, BrazeServerKit

PAYLOAD: dict[str, list[dict[str, Any]]] = {
    "attributes": [{"external_id": "ada-1815", "email": "ada@example.com", "first_name": "Ada", "orders": {"inc": 1}}],
    "events": [
        {
            "external_id": "ada-1815",
            "name": "Checkout Completed",
            "time": "2026-01-02T03:04:05Z",
            "properties": {"items": 2},
        }
    ],
    "purchases": [
        {
            "external_id": "ada-1815",
            "product_id": "SKU-1",
            "currency": "EUR",
            "price": 4.5,
            "quantity": 2,
            "time": "2026-01-02T03:04:05Z",
            "properties": {"Transaction Id": "t-1"},
        }
    ],
}


def before(url: str) -> None:
    """By hand: the request waits for the network, and what fails is lost or up to you."""
    answer = requests.post(f"{url}/users/track", json=PAYLOAD, headers={"Authorization": "Bearer rest-key"}, timeout=10)
    answer.raise_for_status()


def first_step(url: str) -> None:
    """The same objects through the durable queue: no wait, no loss, batches, retries and rate limits taken care of."""
    with BrazeRest("rest-key", url, storage=":memory:") as rest:  # in production, leave storage out
        rest.track(**PAYLOAD)


def second_step(url: str) -> None:
    """Calls of mParticle's: the objects are made for you, and unchanged attributes cost no data points again."""
    with (
        MParticle([BrazeServerKit("rest-key", url)], storage=":memory:") as client,
        client.for_user(customer_id="ada-1815", email="ada@example.com") as user,
    ):
        user.set_user_attribute("$FirstName", "Ada")
        user.increment_user_attribute("orders")
        user.log_event("Checkout Completed", attributes={"items": 2}, timestamp=1767323045)
        user.log_commerce_event(
            CommerceEvent(
                ProductAction.PURCHASE,
                products=[Product("Tea", "SKU-1", 4.5, quantity=2)],
                transaction=TransactionAttributes(id="t-1"),
                currency="EUR",
                timestamp=1767323045,
            )
        )


def main() -> int:
    """Go each way into a Braze of its own and compare the users."""
    users = []
    ways: list[Callable[[str], None]] = [before, first_step, second_step]
    for way in ways:
        with Sandbox() as sandbox:
            way(sandbox.url)
            sandbox.assert_event("Checkout Completed", user="ada-1815", items=2, times=1)
            sandbox.assert_purchase("SKU-1", {"Transaction Id": "t-1"}, price=4.5, quantity=2, currency="EUR")
            users.append(sandbox.rest.user("ada-1815"))
            print(f"{way.__name__}: {users[-1]}")
    same = users[0] == users[1] == users[2]
    print("The same user each time." if same else "The users differ.")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
