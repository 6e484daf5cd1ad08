"""Identities, the current user, and the local resolver from identities to an MPID."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, Protocol

from .consent import ConsentState

__all__ = ["IdentityType", "User"]


class IdentityType(enum.Enum):
    """The identity types; the value is the snake_case keyword of ``identify``."""

    OTHER = "other"
    CUSTOMER_ID = "customer_id"
    FACEBOOK = "facebook"
    TWITTER = "twitter"
    GOOGLE = "google"
    MICROSOFT = "microsoft"
    YAHOO = "yahoo"
    EMAIL = "email"
    ALIAS = "alias"
    FACEBOOK_CUSTOM_AUDIENCE_ID = "facebook_custom_audience_id"
    OTHER2 = "other2"
    OTHER3 = "other3"
    OTHER4 = "other4"
    OTHER5 = "other5"
    OTHER6 = "other6"
    OTHER7 = "other7"
    OTHER8 = "other8"
    OTHER9 = "other9"
    OTHER10 = "other10"
    MOBILE_NUMBER = "mobile_number"
    PHONE_NUMBER_2 = "phone_number_2"
    PHONE_NUMBER_3 = "phone_number_3"


class User(Protocol):
    """A user as kits see one: read-only, already without what the kit's filters hide."""

    @property
    def mpid(self) -> int:
        """The mParticle id, a signed 64-bit integer, never 0."""

    @property
    def is_logged_in(self) -> bool:
        """True after an identify or login that named someone, false after logout."""

    @property
    def identities(self) -> Mapping[IdentityType, str]:
        """The identities known for this user."""

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The user attributes; a list attribute is a tuple, a tag is ``None``."""

    @property
    def consent(self) -> ConsentState:
        """The user's consent."""
