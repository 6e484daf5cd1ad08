"""What 1,000 filters add to one ``log_event``: ``python -m tests.benchmarks.filters``.

Ends with status 1 if it is more than the limit (2 microseconds), so that it can stand in a pipeline.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from typing import Any

from mparticle_kit_braze import Event, EventType, Filters, Kit, KitConfiguration, MParticle
from mparticle_kit_braze.kits.hashing import mp_hash

PROPERTIES: dict[str, Any] = {"genre": "Jazz", "plays": 3, "rating": 4.5, "live": True, "title": "A Night in Tunisia"}
NAMES = [f"Event {number}" for number in range(50)]


class NullKit(Kit):
    """A kit that does nothing, with a configuration: what is left is the facade and the filters."""

    def __init__(self, name: str, configuration: KitConfiguration) -> None:
        self.name = name  # type: ignore[misc]  # one class for all cases
        self._given = configuration

    def log_event(self, event: Event) -> None:
        """Take it."""


def configurations() -> dict[str, KitConfiguration]:
    """No filter; a thousand that hide other events and attributes; a thousand of which one hides an attribute."""
    others = Filters(
        event_names=frozenset(range(1, 401)),
        event_attributes=frozenset(range(401, 801)),
        user_attributes=frozenset(range(801, 1001)),
    )
    attributes = [mp_hash(f"{int(EventType.OTHER)}{name}rating") for name in NAMES]
    hiding = Filters(event_names=frozenset(range(1, 401)), event_attributes=frozenset([*range(401, 801), *attributes]))
    return {
        "no filters": KitConfiguration(),
        "1,000 filters, nothing hidden": KitConfiguration(filters=others),
        "1,000 filters, an attribute hidden": KitConfiguration(filters=hiding),
    }


def measure(client: MParticle, rounds: int) -> float:
    """Microseconds of one call, over events of fifty names."""
    start = time.perf_counter_ns()
    for _ in range(rounds):
        for name in NAMES:
            client.log_event(name, EventType.OTHER, PROPERTIES)
    return (time.perf_counter_ns() - start) / rounds / len(NAMES) / 1000


def main() -> int:
    """Measure in turn, so that a busy machine slows all of them, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=25)
    parser.add_argument("--limit", type=float, default=2.0, help="the most microseconds that filters may add")
    arguments = parser.parse_args()
    clients = {
        name: MParticle([NullKit("Null", configuration)], storage=":memory:")
        for name, configuration in configurations().items()
    }
    taken: dict[str, list[float]] = {name: [] for name in clients}
    for _ in range(arguments.repeats):
        for name, client in clients.items():
            taken[name].append(measure(client, 20))
    for client in clients.values():
        client.close()
    plain = statistics.median(taken["no filters"])
    worst = 0.0
    print(f"{'':38}{'us a call':>10}{'more':>8}")
    for name, times in taken.items():
        more = statistics.median(times) - plain
        worst = max(worst, more)
        print(f"{name:38}{statistics.median(times):10.2f}{more:8.2f}")
    return int(worst > arguments.limit)


if __name__ == "__main__":
    sys.exit(main())
