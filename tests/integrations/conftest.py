"""The client of a backend, and the Braze it sends to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mparticle_kit_braze import MParticle
from mparticle_kit_braze.sandbox import Sandbox
from mparticle_kit_braze.server import BrazeServerKit


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[MParticle]:
    """A client with a server kit, whose current user is the process."""
    with MParticle([BrazeServerKit("rest-key", sandbox.url)], storage=":memory:") as client:
        client.identify(customer_id="process")
        sandbox.attach(client)
        yield client
