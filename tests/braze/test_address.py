"""Endpoints: instance names, hosts, URLs."""

from __future__ import annotations

import pytest

from mparticle_kit_braze.braze import INSTANCES, resolve_endpoint
from mparticle_kit_braze.errors import ConfigurationError


@pytest.mark.parametrize(
    ("given", "base"),
    [
        (None, "https://sdk.iad-03.braze.com/api/v3"),
        ("US-03", "https://sdk.iad-03.braze.com/api/v3"),
        ("us 08", "https://sdk.iad-08.braze.com/api/v3"),
        ("03", "https://sdk.iad-03.braze.com/api/v3"),
        ("US-10", "https://sdk.us-10.braze.com/api/v3"),
        ("EU02", "https://sdk.fra-02.braze.eu/api/v3"),
        ("KR-01", "https://sdk.kr-01.braze.com/api/v3"),
        ("sdk.iad-03.braze.com", "https://sdk.iad-03.braze.com/api/v3"),
        ("sdk.iad-03.braze.com/", "https://sdk.iad-03.braze.com/api/v3"),
        ("https://sdk.iad-03.braze.com/", "https://sdk.iad-03.braze.com/api/v3"),
        ("HTTPS://sdk.iad-03.braze.com", "https://sdk.iad-03.braze.com/api/v3"),
        ("proxy.example:8443", "https://proxy.example:8443/api/v3"),
        ("https://proxy/braze", "https://proxy/braze"),
        ("https://proxy/braze/", "https://proxy/braze"),
        ("host/api/v3", "https://host/api/v3"),
        ("host/v1", "https://host/v1"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/api/v3"),
        ("http://localhost:1", "http://localhost:1/api/v3"),
        ("http://[::1]:9", "http://[::1]:9/api/v3"),
    ],
)
def test_accepted(given: str | None, base: str) -> None:
    """No path means /api/v3; a path is the complete prefix."""
    assert resolve_endpoint(given) == base


@pytest.mark.parametrize(
    "given",
    [
        "",
        " ",
        5,
        "US-09",
        "42",
        "https://",
        "https://user:secret@host",
        "user@host",
        "https://host?x=1",
        "https://host/#top",
        "https://host/?",
        "http://sdk.iad-03.braze.com",
        "http://127.0.0.1.example.com",
        "http://10.0.0.1",
        "ftp://host",
        "host:notaport",
        "host:99999",
        "ho st",
        "host\\path",
        "https://[::1",
        "rest.iad-03.braze.com",
    ],
)
def test_refused(given: object) -> None:
    """Anything else is a configuration error that says what is accepted."""
    with pytest.raises(ConfigurationError, match="It takes"):
        resolve_endpoint(given)  # type: ignore[arg-type]  # wrong on purpose


def test_secrets_are_not_repeated() -> None:
    """The message does not show the credentials it complains about."""
    with pytest.raises(ConfigurationError) as caught:
        resolve_endpoint("https://ada:hunter2@host")
    assert "hunter2" not in str(caught.value)


def test_every_instance_resolves() -> None:
    """Each known instance name gives its host."""
    for name, host in INSTANCES.items():
        assert resolve_endpoint(name) == f"https://{host}/api/v3"
