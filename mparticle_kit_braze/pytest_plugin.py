"""Fixtures for the tests of apps that use the client; pytest finds them by itself once the package is installed.

::

    def test_playing_a_song(mparticle, braze_sandbox):
        play(mparticle, "Naima")
        braze_sandbox.assert_event("Played Song", genre="Jazz")

Every pytest run of everybody who has the package installed loads this module, so it loads nothing else: what the
fixtures need comes when a test asks for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .client import MParticle
    from .kits import Kit
    from .sandbox import Sandbox

__all__ = ["braze_sandbox", "mparticle", "mparticle_kits"]


@pytest.fixture
def braze_sandbox() -> Iterator[Sandbox]:
    """A Braze of the test's own on loopback, with assertions on what arrived; see ``Sandbox.assert_event``."""
    from .sandbox import Sandbox  # noqa: PLC0415  # as the module says

    with Sandbox(limiter=False) as sandbox:
        yield sandbox


@pytest.fixture
def mparticle_kits(braze_sandbox: Sandbox) -> Sequence[Kit]:
    """The kits of ``mparticle``: a Braze kit. Override it for other settings, a profile, or a server kit."""
    from .braze_kit import BrazeKit  # noqa: PLC0415  # as the module says

    return [BrazeKit("test-app-key", braze_sandbox.url)]


@pytest.fixture
def mparticle(mparticle_kits: Sequence[Kit], braze_sandbox: Sandbox) -> Iterator[MParticle]:
    """A client whose calls go to ``braze_sandbox``; it keeps nothing on disk and is closed after the test."""
    from .client import MParticle  # noqa: PLC0415  # as the module says

    with MParticle(mparticle_kits, storage=":memory:") as client:
        braze_sandbox.attach(client)
        yield client
