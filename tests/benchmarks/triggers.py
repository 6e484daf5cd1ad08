"""How long choosing among 10,000 in-app message triggers takes: ``python -m tests.benchmarks.triggers``."""

from __future__ import annotations

import time

from mparticle_kit_braze.braze.messaging.triggers import (
    CUSTOM_EVENT,
    History,
    Occurrence,
    TriggerIndex,
    parse_triggers,
)
from tests.messaging.test_triggers import NOW, condition, trigger


def choosing_time(names: int, triggers: int = 10_000, rounds: int = 20) -> float:
    """Milliseconds to evaluate one event against filtered triggers spread over so many event names; none fires."""
    raw = [
        trigger(
            f"t{number}",
            condition(
                "custom_event_property",
                event_name=f"e{number % names}",
                property_filters=[
                    [{"property_key": "k", "property_type": "number", "comparator": 3, "property_value": number}]
                ],
            ),
        )
        for number in range(triggers)
    ]
    index = TriggerIndex(parse_triggers(raw))
    occurrence = Occurrence(CUSTOM_EVENT, "e0", {"k": -1})
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        fired = index.select(occurrence, History(), NOW)
        best = min(best, time.perf_counter() - start)
        if fired is not None:
            raise AssertionError("a trigger fired that must not")
    return best * 1e3


def main() -> None:
    """Measure and print."""
    print(f"10,000 triggers, all of one event name:        {choosing_time(1):6.2f} ms")
    print(f"10,000 triggers, spread over 1,000 event names: {choosing_time(1000):6.2f} ms")


if __name__ == "__main__":
    main()
