"""That the replay of server to server can tell right from wrong; the vectors themselves run with all others."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from tests.vectors.runner import load
from tests.vectors.server_replay import replay

VECTORS = load(Path(__file__).parent.parent / "vectors" / "server.json")


@pytest.mark.parametrize("vector", VECTORS[::12], ids=lambda vector: vector["name"])
def test_a_changed_vector_fails(vector: dict[str, Any]) -> None:
    """Another expectation is a mismatch."""
    changed = copy.deepcopy(vector)
    changed["expect"] = {"events": [{"external_id": "somebody", "name": "else"}], "data_points": -1}
    assert replay(changed)
