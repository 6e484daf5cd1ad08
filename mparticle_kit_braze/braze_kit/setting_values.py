"""Readers of single settings: from mParticle's text, or from a Python value, to what the kit works with.

Every reader raises :class:`Rejected` with what the setting takes; ``settings.py`` adds the setting's name.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

from ..identity import IdentityType

__all__ = [
    "CONSENT_TARGETS",
    "BooleanText",
    "IdentificationType",
    "Rejected",
    "apple_boolean",
    "attribute_name",
    "boolean",
    "consent_mapping",
    "exact_boolean",
    "identification_type",
    "optional_text",
    "parsed_json",
    "seconds",
    "strict_boolean",
    "subscription_groups",
    "tags_value",
    "word_boolean",
]

#: What becomes the Braze user id: an identity, or the MPID itself.
IdentificationType = IdentityType | Literal["MPID"]

#: How a platform reads the text of a boolean setting.
BooleanText = Callable[[str], bool]

#: The consent attributes Braze knows (Google's EU user consent); the configuration names them without their ``$``.
CONSENT_TARGETS = frozenset({"google_ad_user_data", "google_ad_personalization"})

_APPLE_TRUE = re.compile(r"\s*[+-]?0*[YyTt1-9]")
_MPID = "MPID"


class Rejected(Exception):  # noqa: N818  (not an error that leaves this room)
    """A value a setting does not take; the text says what it takes."""


# -- booleans -----------------------------------------------------------------------------------------------------
def word_boolean(text: str) -> bool:
    """On for the word ``true`` in any case. Source: Android (``Boolean.parseBoolean``)."""
    return text.lower() == "true"


def exact_boolean(text: str) -> bool:
    """On for exactly ``True``. Source: web kit."""
    return text == "True"


def apple_boolean(text: str) -> bool:
    """On for a text that begins with Y, T or a digit 1-9. Source: Apple (``NSString.boolValue``)."""
    return _APPLE_TRUE.match(text) is not None


def strict_boolean(text: str) -> bool:
    """``true`` or ``false`` in any case, an empty text is off, anything else is refused: the native profile."""
    lowered = text.strip().lower()
    if lowered in ("true", "false", ""):
        return lowered == "true"
    raise Rejected("'True' or 'False'")


def boolean(value: Any, read_text: BooleanText | None) -> bool:
    """A boolean; a text only where a platform's reading of it is given."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and read_text is not None:
        return read_text(value)
    raise Rejected("True or False" if read_text is None else "'True' or 'False'")


# -- numbers and texts --------------------------------------------------------------------------------------------
def seconds(value: Any, minimum: float) -> float | None:
    """A number of seconds, raised to the minimum; an empty text or ``None`` is no setting."""
    if value is None or value == "":
        return None
    takes = f"a number of seconds of at least {minimum:g}"
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise Rejected(takes)
    try:
        result = float(value)
    except (ValueError, OverflowError):
        raise Rejected(takes) from None
    if not math.isfinite(result) or result < 0:
        raise Rejected(takes)
    return max(result, minimum)


def optional_text(value: Any) -> str | None:
    """A text; an empty one or ``None`` is no setting."""
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise Rejected("a text")
    return value


def tags_value(value: Any) -> bool | None:
    """What a tag is worth as a custom attribute: true (``"true"``) or null (``"null"``, an empty text)."""
    if value is True or value is None:
        return value
    if isinstance(value, str) and value.lower() in ("true", "null", ""):
        return True if value.lower() == "true" else None
    raise Rejected("'true' or null")


def attribute_name(value: Any) -> str | None:
    """The name of a mapped attribute: the bare name, or a JSON list whose first item's ``value`` is the name.

    Source: Apple kit, recommended eCommerce events.
    """
    text = optional_text(value)
    if text is None or not text.strip():
        return None
    parsed = parsed_json(text)
    if isinstance(parsed, list):
        first = parsed[0] if parsed else None
        name = first.get("value") if isinstance(first, dict) else None
        return name if isinstance(name, str) and name else None
    return text


# -- identity -----------------------------------------------------------------------------------------------------
def identification_type(value: Any, *, exact: bool) -> IdentificationType | None:
    """The identity type of that name, ``"MPID"``, or ``None`` for an empty one.

    Args:
        value: mParticle's name (``CustomerId``, ``Other2``), the snake_case one, or an :class:`IdentityType`.
        exact: mParticle's spelling only, as the mobile kits.
    """
    if isinstance(value, IdentityType):
        return value
    if value is None or value == "":
        return None
    if isinstance(value, str):
        names = identification_names()
        if exact:
            if value in names:
                return names[value]
        else:
            wanted = value.replace("_", "").lower()
            for name, kind in names.items():
                if name.lower() == wanted:
                    return kind
    raise Rejected(f"one of {', '.join(identification_names())}")


def identification_names() -> dict[str, IdentificationType]:
    """MParticle's names of identity types in settings (``CustomerId``, ``Other10``, ``MPID``)."""
    names: dict[str, IdentificationType] = {
        "".join(part.capitalize() for part in kind.value.split("_")): kind for kind in IdentityType
    }
    names[_MPID] = "MPID"
    return names


# -- mappings -----------------------------------------------------------------------------------------------------
def parsed_json(text: str) -> Any:
    """JSON, possibly HTML-escaped or with its quotation marks escaped once too often; ``None`` if it is no JSON."""
    candidates = [text]
    if "&" in text:
        import html  # noqa: PLC0415  # its table of entities is large, and seldom needed

        candidates.append(html.unescape(html.unescape(text)))
    candidates.extend(candidate.replace("\\", "") for candidate in tuple(candidates) if "\\" in candidate)
    parsed = (_json_or_none(candidate) for candidate in candidates)
    return next((value for value in parsed if value is not None), None)


def _json_or_none(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _entries(value: Any, *, skip_incomplete: bool) -> list[tuple[str, str]] | None:
    """The ``map`` and ``value`` of each entry of a mapping; ``None`` if it is malformed.

    An entry without one of these texts voids the whole mapping (Android), or is left out.
    """
    if isinstance(value, Mapping):
        pairs = list(value.items())
    else:
        parsed = parsed_json(value) if isinstance(value, str) else value
        if not isinstance(parsed, (list, tuple)) or not all(isinstance(entry, Mapping) for entry in parsed):
            return None
        pairs = [(entry.get("map"), entry.get("value")) for entry in parsed]
    complete = [(key, target) for key, target in pairs if isinstance(key, str) and isinstance(target, str)]
    return complete if skip_incomplete or len(complete) == len(pairs) else None


def subscription_groups(value: Any, *, skip_incomplete: bool = False) -> dict[str, str] | None:
    """User attribute key -> subscription group id; ``None`` if the mapping is malformed.

    Source: Android kit, ``subscriptionGroupMapping``.

    Args:
        value: The mapping.
        skip_incomplete: Leave out entries without ``map`` or ``value``, as the Apple kit.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return {}
    entries = _entries(value, skip_incomplete=skip_incomplete)
    return None if entries is None else dict(entries)


def consent_mapping(
    value: Any, *, unknown_targets: bool, skip_incomplete: bool = False
) -> tuple[tuple[str, str], ...] | None:
    """Pairs of a GDPR purpose (trimmed, lower case) and a custom attribute (with its ``$``); ``None`` if malformed.

    Source: Android kit, ``consentMappingSDK``.

    Args:
        value: The mapping.
        unknown_targets: Leave out entries with an unknown target, as the real kits, instead of rejecting them.
        skip_incomplete: As for :func:`subscription_groups`.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return ()
    entries = _entries(value, skip_incomplete=skip_incomplete)
    if entries is None:
        return None
    known = [(purpose, target) for purpose, target in entries if target.removeprefix("$") in CONSENT_TARGETS]
    if len(known) < len(entries) and not unknown_targets:
        raise Rejected(f"a mapping of purposes to {' or '.join(map(repr, sorted(CONSENT_TARGETS)))}")
    return tuple((purpose.strip().lower(), f"${target.removeprefix('$')}") for purpose, target in known)
