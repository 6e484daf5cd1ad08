"""Server to server: many users at once over Braze's REST API, audiences, erasure requests, and Currents.

A side wing: the core never imports it. ``from mparticle_kit_braze.server import BrazeServerKit``.
"""

from __future__ import annotations

from .audiences import Audience, AudienceUpdate, membership_fields
from .currents import CurrentsEvent, CurrentsReceiver, MalformedBatchError, parse_batch
from .currents_app import CurrentsApp
from .erasure import DSRResponse, ErasureForwarder, KnownProfile
from .erasure_service import ErasureService
from .kit import BrazeServerKit
from .points import data_points
from .rest import BrazeRest, HeldBack, TrackResult
from .settings import ServerSettings
from .validation import Finding, check

__all__ = [
    "Audience",
    "AudienceUpdate",
    "BrazeRest",
    "BrazeServerKit",
    "CurrentsApp",
    "CurrentsEvent",
    "CurrentsReceiver",
    "DSRResponse",
    "ErasureForwarder",
    "ErasureService",
    "Finding",
    "HeldBack",
    "KnownProfile",
    "MalformedBatchError",
    "ServerSettings",
    "TrackResult",
    "check",
    "data_points",
    "membership_fields",
    "parse_batch",
]
