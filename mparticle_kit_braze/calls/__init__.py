"""The facade's calls by subject, each a class that :class:`~mparticle_kit_braze.MParticle` is made of."""

from __future__ import annotations

from .events import EventCalls
from .identities import IdentityCalls
from .many_users import ManyUsersCalls
from .users import UserCalls

__all__ = ["EventCalls", "IdentityCalls", "ManyUsersCalls", "UserCalls"]
