"""The recorded calls of the Web SDK, made on ``Braze`` itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from .conftest import Client

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "endpoint.json").read_text(encoding="utf-8"))


def decoded(value: Any) -> Any:
    """A value as Python has it: date-times and long texts are written as objects."""
    if isinstance(value, dict):
        if set(value) == {"$date"}:
            return datetime.fromisoformat(value["$date"].replace("Z", "+00:00"))
        if set(value) == {"$repeat"}:
            return value["$repeat"][0] * value["$repeat"][1]
        return {key: decoded(member) for key, member in value.items()}
    if isinstance(value, list):
        return [decoded(member) for member in value]
    return value


def made(client: Client, call: dict[str, Any]) -> Any:
    """Make one call; gives what it returns."""
    target, _, name = call["call"].rpartition(".")
    arguments = {key: decoded(value) for key, value in call.items() if key != "call"}
    return getattr(client.user if target else client.braze, name)(**arguments)


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_replay(vector: dict[str, Any], make_client: Callable[..., Client]) -> None:
    """The same calls return the same and put the same events and attributes on the wire."""
    client = make_client(":memory:")
    if "config" in vector:
        client.braze.open_session()
        client.send({"config": vector["config"]})
    returned = [made(client, call) for call in vector["calls"]]
    body = client.send()
    events = [
        {key: member for key, member in event.items() if key not in ("time", "session_id")}
        for event in body.get("events", [])
        if event["name"] not in ("ss", "se")
    ]
    assert returned == vector["returns"]
    assert events == decoded(vector["expect"]["events"])
    assert body.get("attributes", []) == decoded(vector["expect"]["attributes"])
