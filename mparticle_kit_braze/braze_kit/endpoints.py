"""Where a kit configuration says Braze is: ``host``, ``cluster`` and its Custom form with separate endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigurationError
from .setting_values import parsed_json

__all__ = ["Endpoints", "parse_cluster"]

#: Instances that older configurations name without a number, or by another code. Source: Braze web kit, cluster table.
_OLD_NAMES: Mapping[str, str] = {
    "US": "US-01",
    "EU": "EU-01",
    "AU": "AU-01",
    "ID": "ID-01",
    "JP": "JP-01",
    "KR": "KR-01",
}


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The endpoints a configuration names; ``None`` where it names none.

    Attributes:
        sdk: Endpoint of the mobile SDKs.
        javascript: Endpoint of the web SDK.
        rest: Endpoint of the REST API, for server-to-server work.
    """

    sdk: str | None = None
    javascript: str | None = None
    rest: str | None = None


def parse_cluster(value: Any) -> Endpoints:
    r"""Read ``cluster``: an instance name, a host, or the Custom form. The adapter judges names and hosts.

    The Custom form is a JSON object ``{"SDK": host, "REST": host, "JS": host}`` (any of the three), as text whose
    quotation marks may be escaped (``&quot;``, ``\"``), as mParticle's configuration server delivers it. Source: Braze
    web kit, custom cluster.

    Raises:
        ConfigurationError: It is none of those.
    """
    if isinstance(value, Mapping):
        return _custom(value)
    if isinstance(value, str):
        text = value.strip()
        if not text:
            return Endpoints()
        if text.startswith("{"):
            parsed = parsed_json(text)
            if isinstance(parsed, dict):
                return _custom(parsed)
        elif text.upper() in _OLD_NAMES or not text.isalpha():  # "Custom" is neither an instance nor a host
            name = _OLD_NAMES.get(text.upper(), text)
            return Endpoints(sdk=name, javascript=name)
    raise ConfigurationError(
        "The setting cluster takes a Braze instance such as 'US-03', '03' or 'EU-01', a host, or a JSON object with "
        "the keys SDK, REST and JS."
    )


def _custom(parsed: Mapping[Any, Any]) -> Endpoints:
    found: dict[str, str] = {}
    for key, value in parsed.items():
        if value is None or value == "":
            continue
        if not isinstance(value, str):
            raise ConfigurationError("The setting cluster takes texts as its SDK, REST and JS endpoints.")
        found[str(key).upper()] = value.strip()
    endpoints = Endpoints(sdk=found.get("SDK"), javascript=found.get("JS"), rest=found.get("REST"))
    if endpoints.sdk is None and endpoints.javascript is None and endpoints.rest is None:
        raise ConfigurationError("The setting cluster, in its Custom form, takes an SDK, a REST or a JS endpoint.")
    return endpoints
