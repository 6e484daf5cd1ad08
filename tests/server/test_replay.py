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


def test_every_call_of_the_format_is_known() -> None:
    """After a log-out nothing is sent; consent has no form at Braze; dates are compared as instants."""
    vector = {
        "name": "all",
        "kind": "track",
        "settings": {"apiKey": "app-key-1", "restApiKey": "rest-key-1", "cluster": "EU 01"},
        "identities": {"customerid": "c1", "mobilenumber": "+441632960000"},
        "calls": [
            {"call": "set_consent", "regulation": "gdpr", "purpose": "ads", "consented": True},
            {"call": "set_user_attribute", "key": "when", "value": {"$date": "2020-01-02T03:04:05+01:00"}},
            {"call": "log_event", "name": "Ping"},
            {"call": "logout", "identities": {}},
            {"call": "log_event", "name": "Pong"},
        ],
        "expect": {
            "attributes": [{"external_id": "c1", "when": {"$date": "2020-01-02T02:04:05Z"}}],
            "events": [{"external_id": "c1", "name": "Ping"}],
        },
    }
    assert replay(vector) == []
