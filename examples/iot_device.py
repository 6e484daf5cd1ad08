"""A device on a bad network: days without a connection, power cuts, and little room on its flash.

Runs as it is, against a local Braze that is out of reach most of the time: ``python examples/iot_device.py``. Days
take no time here: every measurement says itself when it was made.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

from mparticle_kit_braze import BrazeKit, DeliveryOptions, MParticle, Problem
from mparticle_kit_braze.sandbox import Sandbox

DAYS = 4
HOUR = 3600
START = 1_767_225_600  # 2026-01-01
ROOM = DeliveryOptions(
    max_bytes=15_000,  # of what waits to be sent; about two of the four days
    overflow="drop_oldest",  # what is new matters more here; "drop_newest" would keep the beginning instead
)


class Device:
    """A thermometer that measures every half hour.

    Args:
        url: Where Braze is, whenever it can be reached.
        storage: The directory on its flash.
    """

    def __init__(self, url: str, storage: Path) -> None:
        self.url = url
        self.storage = storage
        self.measured = 0
        self.problems: Counter[str] = Counter()

    def switch_on(self) -> MParticle:
        """What the device does at every start; it finds what waits from before."""
        kit = BrazeKit("your-app-identifier-key", self.url, delivery_options=ROOM)
        client = MParticle([kit], storage=self.storage, on_error=self.note)
        client.identify(customer_id="thermometer-7")
        return client

    def note(self, problem: Problem) -> None:
        """Nothing is given up without a word."""
        self.problems[problem.code] += problem.count

    def day(self, client: MParticle, day: int) -> None:
        """Two measurements an hour."""
        for half_hour in range(48):
            moment = START + day * 24 * HOUR + half_hour * HOUR // 2
            client.log_event("Measured", attributes={"celsius": 20 + half_hour % 5}, timestamp=moment)
            self.measured += 1


def main() -> int:
    """Measure for days without a network, then find one."""
    with Sandbox() as sandbox, tempfile.TemporaryDirectory() as storage:
        device = Device(sandbox.url, Path(storage))
        sandbox.stop()  # no network
        for day in range(DAYS):
            client = device.switch_on()
            device.day(client, day)
            client.flush(timeout=1)  # in vain; events are also tried in the background, less and less often
            stats = client.stats()
            print(f"day {day + 1}: {device.measured} measured, {stats.queued} records wait, {stats.dropped} dropped")
            client.close(timeout=0)  # the battery is empty; without this line no event would be lost either
        sandbox.start()  # a network at last
        with device.switch_on() as client:
            result = client.flush(timeout=10)
            print(f"online: {result.sent} records sent, {result.kept} kept, {client.stats().dropped} dropped")
        times = [event["time"] for event in sandbox.events if event["name"] == "ce"]
        print(f"The last {len(times)} of {device.measured} measurements arrived, in order: {times == sorted(times)}")
        print(f"Given up and told: {device.problems['record_dropped']} records (a session's start among them)")
        return 0 if times == sorted(times) and result.complete else 1


if __name__ == "__main__":
    sys.exit(main())
