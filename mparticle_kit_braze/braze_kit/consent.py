"""From GDPR consent to the custom attributes of Google's EU user consent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..consent import ConsentState
from .profiles.base import Profile

if TYPE_CHECKING:  # the adapter is loaded when a client starts
    from ..braze import Braze

__all__ = ["apply_consent"]


def apply_consent(braze: Braze, profile: Profile, state: ConsentState) -> None:
    """Set the mapped consent attributes for which the user has answered.

    Purposes without an answer and the CCPA change nothing. Source: all kits, ``consentMappingSDK``.
    """
    mapping = profile.settings.consent_mapping
    if profile.one_consent_target:
        mapping = tuple(dict(mapping).items())
    for purpose, attribute in mapping:
        consent = state.gdpr.get(purpose)
        if consent is not None:
            braze.current_user.set_custom_attribute(attribute, consent.consented)
