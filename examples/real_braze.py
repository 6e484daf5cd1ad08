"""The quickstart's calls against a real Braze instance.

Needs two environment variables: ``BRAZE_API_KEY``, the app identifier key of a (test) app, and
``BRAZE_SDK_ENDPOINT``, the SDK endpoint of its instance, such as ``sdk.iad-03.braze.com`` or ``US-03``.
"""

from __future__ import annotations

import logging
import os
import sys

from mparticle_kit_braze import (
    BrazeKit,
    CommerceEvent,
    EventType,
    MParticle,
    MParticleError,
    Product,
    ProductAction,
    TransactionAttributes,
)


def main() -> int:
    """Make the calls, wait for delivery, and say what became of them."""
    api_key, endpoint = os.environ.get("BRAZE_API_KEY"), os.environ.get("BRAZE_SDK_ENDPOINT")
    if not api_key or not endpoint:
        print("Set BRAZE_API_KEY (an app identifier key) and BRAZE_SDK_ENDPOINT (such as sdk.iad-03.braze.com).")
        return 2
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        client = MParticle(kits=[BrazeKit(api_key, endpoint)], storage=":memory:")
    except MParticleError as error:
        print(f"The settings are not usable: {error}")
        return 2
    with client:
        client.identify(customer_id="ada-1815", email="ada@example.com")
        client.log_event("Played Song", EventType.NAVIGATION, {"genre": "Jazz", "plays": 3})
        client.set_user_attribute("$FirstName", "Ada")
        client.log_commerce_event(
            CommerceEvent(
                product_action=ProductAction.PURCHASE,
                products=[Product("Tea", "SKU-1", 4.5, quantity=2), Product("Cup", "SKU-2", 12.0)],
                transaction=TransactionAttributes(id="t-1", revenue=21.0),
            )
        )
        result = client.flush(timeout=30)
    print(f"Delivered: {result.sent} records. Not delivered: {result.kept}. Refused: {result.dead}.")
    if not result.complete:
        return 1
    print("Look for the user ada-1815 in the dashboard.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
