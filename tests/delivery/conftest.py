"""A server, a clock moved by hand, and a factory of deliveries that are closed in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mparticle_kit_braze.delivery import Delivery
from mparticle_kit_braze.storage import Storage

from .server import Server
from .support import JsonDestination, ManualClock, Problems


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def problems() -> Problems:
    return Problems()


@pytest.fixture
def destination(server: Server) -> JsonDestination:
    return JsonDestination(server.url)


@pytest.fixture
def make(
    tmp_path: Path, destination: JsonDestination, problems: Problems, server: Server
) -> Iterator[Callable[..., Delivery]]:
    """Deliveries on one directory (``location`` gives another), with the shared destination and reporter."""
    made: list[Delivery] = []

    def build(location: Any = None, **settings: Any) -> Delivery:
        storage = Storage.open(location or tmp_path / "state", problems.reporter)
        delivery = Delivery(settings.pop("destination", destination), storage=storage, **settings)
        made.append(delivery)
        return delivery

    yield build
    server.close()  # lets go of requests that hang
    for delivery in made:
        delivery.close(0)
