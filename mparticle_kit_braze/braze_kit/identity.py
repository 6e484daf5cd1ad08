"""From mParticle's identities to Braze's: which one becomes the user id, which one the email."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..identity import IdentityType, User
from .profiles.base import Profile
from .setting_values import IdentificationType

if TYPE_CHECKING:  # the adapter is loaded when a client starts
    from ..braze import Braze

__all__ = ["apply_identity"]


def apply_identity(
    braze: Braze, profile: Profile, user: User, requested: Mapping[IdentityType, str | None] | None = None
) -> None:
    """Make Braze's user that of an identity call: the user id first, then the email.

    Without the chosen identity Braze's user stays, as in all kits.

    Args:
        braze: Where the user is changed.
        profile: Decides whose identities count.
        user: The user who is now current.
        requested: The identities of the request; ``None`` at the start.
    """
    settings = profile.settings
    identities: Mapping[IdentityType, str | None] = user.identities
    if profile.request_identities and requested is not None:
        identities = requested
    external_id = _identity(settings.user_identification_type, user, identities)
    if external_id and external_id != braze.user_id:
        braze.change_user(external_id)
    email = _identity(settings.email_identification_type, user, identities)
    if not email:
        return
    if profile.protects_previous_user and not external_id and braze.user_id is not None:
        # Nobody Braze knows by id is current, so the address would go to whoever was before.
        profile.refused("The identity", "email", "belongs to a user without the identity that is the Braze user id")
        return
    braze.current_user.set_email(email)


def _identity(kind: IdentificationType | None, user: User, identities: Mapping[IdentityType, str | None]) -> str | None:
    if kind is None:
        return None
    return str(user.mpid) if kind == "MPID" else identities.get(kind)
