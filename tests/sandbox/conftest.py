"""A sandbox and a client for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mparticle_kit_braze.sandbox import Sandbox

from .requests_of_a_client import API_KEY, Client


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(API_KEY) as running:
        yield running


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Client]:
    client = Client(sandbox.port)
    yield client
    client.close()
