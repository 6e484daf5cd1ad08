"""The kit's settings as commands take them: ``--setting``, ``--settings``, and the kit configuration they make."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from ..braze_kit.settings import SETTING_NAMES
from ..errors import InvalidArgumentError

__all__ = ["PROFILES", "add_settings", "kit_configuration"]

PROFILES = ("native", "web", "android", "ios")

WEB_FORM = frozenset(
    {"moduleId", "settings", "isDebug", "isVisible", "excludeAnonymousUser", "filteringConsentRuleValues"}
    | {"eventTypeFilters", "eventNameFilters", "attributeFilters", "screenNameFilters", "screenAttributeFilters"}
    | {"userAttributeFilters", "userIdentityFilters", "filteringEventAttributeValue", "filteringUserAttributeValue"}
)
"""What stands at the top of mParticle's kit configuration in the form of its web client,"""

MOBILE_FORM = frozenset({"id", "as", "hs", "bk", "pr", "avf", "crvf", "eau"})
"""and in that of its mobile clients."""

ELSEWHERE = ("apiKey", "host", "cluster", "dataCenterLocation", "app_version", "sdk_authentication")
"""Settings that decide where data goes, or how the app presents itself, not what data becomes."""


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add ``--setting`` and ``--settings``."""
    parser.add_argument(
        "--setting",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the kit, by Python's or mParticle's name; may be given several times",
    )
    parser.add_argument("--settings", metavar="FILE", help="a JSON file of settings, or mParticle's kit configuration")


def kit_configuration(given: Mapping[str, Any], api_key: str, endpoint: str) -> dict[str, Any]:
    """MParticle's kit configuration from settings by either name, or from a configuration.

    Args:
        given: Settings; or a configuration, with settings beside it or not.
        api_key: Whatever key they name is replaced by this one,
        endpoint: and whatever endpoint by this one.

    Raises:
        InvalidArgumentError: The settings in a configuration are no object.
    """
    whole = {key: given[key] for key in given if key in WEB_FORM | MOBILE_FORM | {"name"}}
    form, number = ("settings", "moduleId") if WEB_FORM & whole.keys() else ("as", "id")
    own = whole.pop(form, {})
    if not isinstance(own, Mapping):
        raise InvalidArgumentError(f"{form!r} of a kit configuration must be an object")
    beside = {SETTING_NAMES.get(key, key): value for key, value in given.items() if key not in whole and key != form}
    settings = {"userIdentificationType": "CustomerId", **own, **beside}
    for name in ELSEWHERE:
        settings.pop(name, None)
    values = {name: _configured(value) for name, value in settings.items()}
    return {number: 28, **whole, form: {**values, "apiKey": api_key, "host": endpoint}}


def _configured(value: Any) -> Any:
    """A Python setting's value as a kit configuration has it: an empty text for ``None``, a list for a mapping."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return [{"map": key, "value": target} for key, target in value.items()]
    return value
