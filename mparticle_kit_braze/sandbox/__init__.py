"""A local Braze on loopback: the SDK endpoint with strict checks, user profiles, scripted faults; and mParticle's APIs.

It is an independent check of the client and shares none of its code.
"""

from __future__ import annotations

from .checks import RequestProblem
from .matching import Arrival
from .profiles import Activity, Location, SessionRecord, UserProfile
from .recorder import SandboxCounts, SandboxRequest
from .replies import Reply
from .server import DEFAULT_CONFIG, Sandbox

__all__ = [
    "DEFAULT_CONFIG",
    "Activity",
    "Arrival",
    "Location",
    "Reply",
    "RequestProblem",
    "Sandbox",
    "SandboxCounts",
    "SandboxRequest",
    "SessionRecord",
    "UserProfile",
]
