"""Your own calls arriving in a Braze: a local one, started by this script.

Run it with nothing but the package installed: ``python examples/quickstart.py``.

To watch the calls in a browser, run ``python -m mparticle_kit_braze sandbox --open`` in another shell, and then this
with ``BRAZE_SDK_ENDPOINT=http://127.0.0.1:8321`` in the environment.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Sequence
from typing import Any

from mparticle_kit_braze import (
    BrazeKit,
    CommerceEvent,
    EventType,
    MParticle,
    Product,
    ProductAction,
    TransactionAttributes,
)
from mparticle_kit_braze.sandbox import Sandbox, UserProfile


def use(client: MParticle) -> None:
    """What an app would do."""
    client.log_event("App Opened", EventType.NAVIGATION)
    client.identify(customer_id="ada-1815", email="ada@example.com")
    client.set_user_attribute("$FirstName", "Ada")
    client.set_user_attribute("plan", "gold")
    client.set_user_attribute("favorite genres", ["Jazz", "Baroque"])
    client.increment_user_attribute("visits")
    client.log_event("Played Song", EventType.NAVIGATION, {"genre": "Jazz", "plays": 3, "live": True})
    client.log_event("Played Song", EventType.NAVIGATION, {"genre": "Baroque", "plays": 1, "live": False})
    client.log_commerce_event(
        CommerceEvent(
            product_action=ProductAction.PURCHASE,
            products=[Product("Tea", "SKU-1", 4.5, quantity=2), Product("Cup", "SKU-2", 12.0, brand="Acme")],
            transaction=TransactionAttributes(id="t-1", revenue=21.0),
            currency="EUR",
        )
    )


def main() -> int:
    """Make the calls where the environment says, or else in a sandbox of this script's own."""
    url = os.environ.get("BRAZE_SDK_ENDPOINT")
    return show_in_sandbox() if url is None else send_to(url)


def send_to(url: str) -> int:
    """Make the calls to a sandbox that runs elsewhere on this machine, and have its inspector show them."""
    with MParticle(kits=[BrazeKit("your-app-identifier-key", url)], storage=":memory:") as client:
        client.inspect(url)
        use(client)
        result = client.flush(timeout=10)
    print(f"Sent: {result.sent} records. Kept: {result.kept}. Look at {url}")
    return 0 if result.complete else 1


def show_in_sandbox() -> int:
    """Start a sandbox, make the calls, and show what Braze has now."""
    with Sandbox() as sandbox, tempfile.TemporaryDirectory() as storage:
        print(f"A local Braze listens on {sandbox.url}\n")
        with MParticle(kits=[BrazeKit("your-app-identifier-key", sandbox.url)], storage=storage) as client:
            use(client)
            result = client.flush(timeout=10)
        print_table("Profile of ada-1815", ("kind", "name", "value"), profile_rows(sandbox.profile("ada-1815")))
        print_table("Event stream", ("user", "event", "name", "details"), event_rows(sandbox.events))
        print(f"Sent: {result.sent} records. Kept for later: {result.kept}. Requests: {sandbox.counts.requests}.")
        return 0 if result.complete and not sandbox.problems else 1


def profile_rows(profile: UserProfile) -> list[tuple[str, str, str]]:
    """One row for each thing Braze knows about the user."""
    groups: list[tuple[str, dict[str, Any]]] = [
        ("identity", {"external id": profile.external_id, **profile.aliases}),
        ("attribute", profile.attributes),
        ("custom attribute", profile.custom_attributes),
        ("custom event", {name: f"{count}x" for name, count in profile.custom_events.items()}),
        ("purchase", {product: f"{quantity}x" for product, quantity in profile.purchases.items()}),
        ("revenue", {currency: f"{total:.2f}" for currency, total in profile.revenue.items()}),
        ("sessions", {"count": len(profile.sessions)}),
    ]
    return [(group, str(key), readable(value)) for group, values in groups for key, value in values.items()]


def event_rows(events: Iterable[dict[str, Any]]) -> list[tuple[str, str, str, str]]:
    """One row for each event as it arrived."""
    kinds = {"ss": "session start", "se": "session end", "ce": "custom event", "p": "purchase", "set": "set list"}
    kinds |= {"inc": "increment", "add": "add to list", "rem": "remove from list"}
    rows = []
    for event in events:
        code, data = event["name"], event["data"]
        name = data.get("n") or data.get("pid") or data.get("key") or ""
        rows.append((event.get("user_id", "(anonymous)"), kinds.get(code, code), name, details(code, data)))
    return rows


def details(code: str, data: dict[str, Any]) -> str:
    """What an event says beyond its name."""
    if code == "se":
        return f"after {data['d']} s"
    if code == "p":
        return f"{data['q']} x {data['p']} {data['c']}; {readable(data['pr'])}"
    return readable(data.get("p") if code == "ce" else data.get("value", ""))


def readable(value: Any) -> str:
    """A value as people write it."""
    if isinstance(value, dict):
        return ", ".join(f"{key}={readable(item)}" for key, item in value.items())
    if isinstance(value, list):
        return "[" + ", ".join(map(readable, value)) + "]"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows in aligned columns; the last column may be long."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    print(title)
    for row in [header, ["-" * width for width in widths], *rows]:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print()


if __name__ == "__main__":
    sys.exit(main())
