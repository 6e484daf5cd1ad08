"""A sandbox and a client of the wire for each test."""

from __future__ import annotations

from tests.sandbox.conftest import client, sandbox

__all__ = ["client", "sandbox"]
