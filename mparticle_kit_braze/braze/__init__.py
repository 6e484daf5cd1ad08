"""The Braze adapter, usable on its own: validation, wire objects, sessions, server configuration, the endpoint."""

from __future__ import annotations

from .address import INSTANCES, resolve_endpoint
from .authentication import AuthenticationFailure
from .client import Braze
from .points import DataPoints
from .user import BrazeUser

__all__ = ["INSTANCES", "AuthenticationFailure", "Braze", "BrazeUser", "DataPoints", "resolve_endpoint"]
