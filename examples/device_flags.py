"""A headless device that does what feature flags say: how often it measures, and whether it tries something new.

Run it with nothing but the package installed: ``python examples/device_flags.py``. It starts a Braze of its own, in
which somebody changes the flags while the device works.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Iterable

from mparticle_kit_braze import BrazeKit, MParticle
from mparticle_kit_braze.braze import Braze
from mparticle_kit_braze.braze.messaging import FeatureFlag
from mparticle_kit_braze.sandbox import Sandbox

MEASURING, SMOOTHING = "measuring", "smoothing"


class Device:
    """Measures, and reports what it measured.

    Args:
        client: Takes the events.
        braze: Holds the flags.
    """

    def __init__(self, client: MParticle, braze: Braze) -> None:
        self.interval = 60.0
        self.smoothing = False
        self.changed = threading.Event()
        self._client = client
        self._flags = braze.feature_flags
        # Flags of the last run are there at once, also without a network.
        self.follow(self._flags.all)
        self.changed.clear()
        self._flags.subscribe_to_updates(self.follow)

    def follow(self, _flags: Iterable[FeatureFlag]) -> None:
        """Do what the flags say. Called on a thread of its own after every answer."""
        measuring = self._flags.get(MEASURING)
        if measuring is not None and measuring.enabled:
            self.interval = measuring.get_number_property("interval") or self.interval
        self.smoothing = self._flags.is_enabled(SMOOTHING)
        print(f"  flags: measure every {self.interval:g} s, smoothing {'on' if self.smoothing else 'off'}")
        self.changed.set()

    def measure(self, value: float) -> None:
        """One measurement. Whether the experiment took part in it is what its impression tells."""
        if self._flags.log_impression(SMOOTHING):
            print("  impression of the experiment logged")
        used = round(value) if self.smoothing else value
        self._client.log_event("Measured", attributes={"value": used, "interval": self.interval})
        print(f"  measured {used}")


def main() -> int:
    """Let the device work while its flags change."""
    with Sandbox() as sandbox, tempfile.TemporaryDirectory() as storage:
        sandbox.add_feature_flag(MEASURING, properties={"interval": {"type": "number", "value": 10}})
        sandbox.add_feature_flag(SMOOTHING, enabled=False, tracking="experiment-1")
        with MParticle(kits=[BrazeKit("your-app-identifier-key", sandbox.url)], storage=storage) as client:
            braze = client.kit("Braze")
            device = Device(client, braze)
            print("The device begins:")
            client.identify(customer_id="device-7")
            if not await_flags(device):
                return 1
            device.measure(20.4)
            print("Somebody switches the experiment on:")
            sandbox.add_feature_flag(SMOOTHING, enabled=True, tracking="experiment-1")
            braze.feature_flags.refresh()
            if not await_flags(device):
                return 1
            device.measure(20.4)
            result = client.flush(timeout=10)
        print(f"Braze counted {dict(sandbox.analytics.get('ffi', {}))} impressions.")
        return 0 if result.complete and not sandbox.problems else 1


def await_flags(device: Device) -> bool:
    """Wait for the next answer with flags."""
    came = device.changed.wait(10)
    device.changed.clear()
    return came


if __name__ == "__main__":
    sys.exit(main())
