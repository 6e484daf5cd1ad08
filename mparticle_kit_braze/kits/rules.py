"""The gate of a kit: whether its configuration lets it run for this user, now."""

from __future__ import annotations

from ..consent import CCPA_PURPOSE, ConsentState
from ..identity import User
from .configuration import AttributeRule, ConsentRule, KitConfiguration
from .hashing import bucket_of, mp_hash, value_hash

__all__ = ["closed_because"]


def closed_because(
    configuration: KitConfiguration, user: User | None, *, opted_out: bool, environment: str
) -> str | None:
    """Why the gate is closed; ``None`` if it is open.

    Args:
        configuration: The kit's.
        user: The current user; ``None`` before there is one.
        opted_out: Whether the user opted out.
        environment: ``"production"`` or ``"development"``.

    Returns:
        ``environment``, ``anonymous``, ``bracket``, ``opted_out``, ``consent`` or ``user_attribute``, the first
        that applies.
    """
    if not configuration.applies_to(environment):
        return "environment"
    if configuration.exclude_anonymous and (user is None or not user.is_logged_in):
        return "anonymous"
    if not in_bracket(configuration, user):
        return "bracket"
    if opted_out and configuration.honor_opt_out:
        return "opted_out"
    if configuration.consent_rule is not None and not consent_allows(configuration.consent_rule, user):
        return "consent"
    rule = configuration.user_attribute_rule
    if rule is not None and not user_attribute_allows(rule, user):
        return "user_attribute"
    return None


def in_bracket(configuration: KitConfiguration, user: User | None) -> bool:
    """Whether the user's bucket is inside. Decided anew for every user (Android keeps the first, a defect)."""
    low, high = configuration.bracket
    return low <= bucket_of(user.mpid if user is not None else 0) < high


def consent_allows(rule: ConsentRule, user: User | None) -> bool:
    """Any matching consent decides; without a user the kit stays off. Source: Android ``isConsentStateFilterMatch``."""
    if user is None:
        return False
    return consent_matches(rule, user.consent) == rule.include


def consent_matches(rule: ConsentRule, consent: ConsentState) -> bool:
    """Whether any stored answer is one that the rule lists."""
    for purpose, record in consent.gdpr.items():
        if rule.consents.get(mp_hash(f"1{purpose}")) is record.consented:
            return True
    ccpa = consent.ccpa
    return ccpa is not None and rule.consents.get(mp_hash(f"2{CCPA_PURPOSE}")) is ccpa.consented


def user_attribute_allows(rule: AttributeRule, user: User | None) -> bool:
    """Whether the user has the attribute with the value, or has not. Source: web ``isEnabledForUserAttributes``."""
    if user is None:
        return False
    matched = any(
        mp_hash(key) == rule.name_hash and value_hash(value, web=True) == rule.value_hash
        for key, value in user.attributes.items()
    )
    return matched == rule.include
