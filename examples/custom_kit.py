"""A kit of one's own: it counts events by name and sends the counts, here to standard output, when it is flushed.

Run it with nothing but the package installed: ``python examples/custom_kit.py``.
"""

from __future__ import annotations

from collections import Counter

from mparticle_kit_braze import CommerceEvent, Event, Filters, FlushResult, Kit, KitConfiguration, MParticle


class CountingKit(Kit):
    """Only the callbacks that matter are written; a kit without ``log_commerce_event`` gets the expansion."""

    name = "Counting"
    kit_id = 1_000_001  # kits of one's own have numbers from 1,000,000 up

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    @property
    def configuration(self) -> KitConfiguration:
        """What it must not see."""
        return KitConfiguration(filters=Filters.hiding(user_attributes=["salary"]))

    def log_event(self, event: Event) -> None:
        """Count it."""
        self.counts[event.name] += 1

    def log_commerce_event(self, event: CommerceEvent) -> None:
        """Count its products."""
        self.counts["Products"] += sum(int(product.quantity) for product in event.products)

    def flush(self, timeout: float | None = None) -> FlushResult:  # noqa: ARG002 - the contract names it
        """Send the counts."""
        sent = len(self.counts)
        for name, count in sorted(self.counts.items()):
            print(f"{name}: {count}")
        self.counts.clear()
        return FlushResult(sent=sent)


if __name__ == "__main__":
    with MParticle([CountingKit()], storage=":memory:") as client:
        for song in ("Clair de lune", "Naima", "Clair de lune"):
            client.log_event(f"Played {song}")
        client.flush()
