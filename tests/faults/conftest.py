"""What every fault test gets: an endpoint, a storage directory, and clients that are closed at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mparticle_kit_braze import MParticle
from mparticle_kit_braze.sandbox import Sandbox

from .support import KEY, QUICK, Problems, make_client


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A Braze on loopback."""
    with Sandbox(KEY, QUICK) as made:
        yield made


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The storage directory, not there yet."""
    return tmp_path / "state"


@pytest.fixture
def queue(state: Path) -> Path:
    """Where the Braze kit keeps its queue."""
    return state / "Braze"


@pytest.fixture
def problems() -> Problems:
    """What was reported to ``on_error``."""
    return Problems()


@pytest.fixture
def make(sandbox: Sandbox, state: Path, problems: Problems) -> Iterator[Callable[..., MParticle]]:
    """Make clients of the sandbox on the storage directory."""
    made: list[MParticle] = []

    def build(**options: Any) -> MParticle:
        settings = {"endpoint": sandbox, "storage": state, "on_error": problems, **options}
        client = make_client(**settings)
        made.append(client)
        return client

    yield build
    for client in made:
        client.close(timeout=0)
