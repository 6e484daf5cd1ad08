"""The Braze adapter, usable on its own: validation, wire objects, sessions, server configuration, the endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .address import INSTANCES, resolve_endpoint

if TYPE_CHECKING:
    from .authentication import AuthenticationFailure
    from .client import Braze
    from .points import DataPoints
    from .user import BrazeUser

__all__ = ["INSTANCES", "AuthenticationFailure", "Braze", "BrazeUser", "DataPoints", "resolve_endpoint"]

_HOMES = {"AuthenticationFailure": "authentication", "Braze": "client", "BrazeUser": "user", "DataPoints": "points"}

if not TYPE_CHECKING:  # a type checker would take any name for a public one

    def __getattr__(name: str) -> Any:
        """Load a public name from the module it lives in: settings can be read without the whole adapter."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib  # noqa: PLC0415 - not needed where nothing is asked for

        value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
        globals()[name] = value
        return value
