"""What the benchmarks share: a sink in a process of its own, a client that sends to it, and memory figures."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from mparticle_kit_braze import BrazeKit, DeliveryOptions, EventType, MParticle
from mparticle_kit_braze.delivery import Delivery

__all__ = ["delivery_of", "log_events", "make_client", "peak_mb", "rss_mb", "running_sink"]

ROOT = Path(__file__).resolve().parent.parent.parent
MEBIBYTE = 1024 * 1024
OPTIONS = DeliveryOptions(max_records=4_000_000, max_bytes=1024 * MEBIBYTE)
"""A queue that takes any backlog measured here."""


@contextlib.contextmanager
def running_sink() -> Iterator[str]:
    """The URL of a sink that answers 200 to everything."""
    command = [sys.executable, "-m", "tests.benchmarks.sink"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as sink:
        assert sink.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(sink.stdout.readline())}"
        finally:
            sink.kill()


def make_client(host: str, storage: str, *, identified: bool = True) -> MParticle:
    """A client with the Braze kit, and a user."""
    client = MParticle(kits=[BrazeKit("app-key-1", host, delivery_options=OPTIONS)], storage=storage)
    if identified:
        client.identify(customer_id="user-1")
    return client


def delivery_of(client: MParticle) -> Delivery:
    """The queue behind the client's Braze kit."""
    delivery: Delivery = client.kit("Braze").delivery
    return delivery


def log_events(client: MParticle, count: int) -> None:
    """Log events of five properties."""
    for number in range(count):
        client.log_event(
            "Played Song",
            EventType.OTHER,
            {"genre": "Jazz", "plays": number, "rating": 4.5, "live": True, "title": "A Night in Tunisia"},
        )


def rss_mb() -> float:
    """Resident memory of this process now, MB."""
    return _status("VmRSS")


def peak_mb() -> float:
    """The most it ever was."""
    return _status("VmHWM")


def _status(name: str) -> float:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    raise LookupError(name)
