"""The recorded calls of the Web SDK, and more that follow from its rules, compared to the letter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.vectors.normal import decode
from tests.vectors.runner import call_braze, load

from .conftest import Client

HERE = Path(__file__).parents[1] / "vectors"
VECTORS = [*load(HERE / "endpoint.json"), *load(HERE / "more_endpoint.json")]


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_replay(vector: dict[str, Any], make_client: Callable[..., Client]) -> None:
    """The same calls return the same and put the same events and attributes on the wire."""
    client = make_client(":memory:")
    if "config" in vector:
        client.braze.open_session()
        client.send({"config": vector["config"]})
    returned = [call_braze(client.braze, call) for call in vector["calls"]]
    body = client.send()
    events = [
        {key: member for key, member in event.items() if key not in ("time", "session_id")}
        for event in body.get("events", [])
        if event["name"] not in ("ss", "se")
    ]
    assert returned == vector["returns"]
    assert events == decode(vector["expect"]["events"])
    assert body.get("attributes", []) == decode(vector["expect"]["attributes"])
