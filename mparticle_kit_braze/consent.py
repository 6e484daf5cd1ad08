"""Consent of a user: GDPR by purpose and CCPA's one purpose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["CCPAConsent", "ConsentState", "GDPRConsent"]


@dataclass(frozen=True, slots=True)
class GDPRConsent:
    """The user's answer for one GDPR purpose."""

    consented: bool
    timestamp: float | None = None
    document: str | None = None
    location: str | None = None
    hardware_id: str | None = None


@dataclass(frozen=True, slots=True)
class CCPAConsent:
    """The user's answer about the sale of data; ``consented=True`` means the user opted *out* of the sale."""

    consented: bool
    timestamp: float | None = None
    document: str | None = None
    location: str | None = None
    hardware_id: str | None = None


@dataclass(frozen=True, slots=True)
class ConsentState:
    """All consent of one user. GDPR purposes are trimmed and lower-case."""

    gdpr: Mapping[str, GDPRConsent] = field(default_factory=dict)
    ccpa: CCPAConsent | None = None
