"""The settings of the server-to-server connection, by mParticle's names and texts or by Python names and values.

The two ways of naming come with two sets of defaults. A configuration that uses mParticle's names behaves as
mParticle's own connection does (enriched attributes on, everything text, an attribute waits for an event). Python
names start from what costs least and keeps most: only what changed is sent, at once, with Python's own types.
"""

from __future__ import annotations

import html
import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal
from urllib.parse import urlsplit

from ..errors import ConfigurationError
from ..identity import IdentityType

__all__ = ["SEGMENT_FORMS", "MparticleName", "ServerSettings", "Typing", "rest_url"]

Typing = Literal["text", "detected", "native"]
"""What becomes of a value's type: everything text, guessed from text, or kept as Python has it."""

ExternalIdType = IdentityType | Literal["MPID"]
MparticleName = str

_REGIONS = {
    "US": ("iad", "braze.com"),
    "EU": ("fra", "braze.eu"),
    "AU": ("au", "braze.com"),
    "ID": ("id", "braze.com"),
    "JP": ("jp", "braze.com"),
    "KR": ("kr", "braze.com"),
}
_INSTANCE = re.compile(r"(US|EU|AU|ID|JP|KR)?[\s_-]*0*(\d{1,2})?(\s*cluster)?", re.IGNORECASE | re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9._-]+(:\d{1,5})?")

SEGMENT_FORMS: Mapping[str, frozenset[str]] = {
    "Single string attribute": frozenset({"string"}),
    "Single array attribute": frozenset({"array"}),
    "One attribute per segment": frozenset({"booleans"}),
    "Both single array attribute and single string attribute": frozenset({"array", "string"}),
    "Both single array attribute and one attribute per segment": frozenset({"array", "booleans"}),
    "Both single string attribute and one attribute per segment": frozenset({"string", "booleans"}),
    "Single array attribute, single string attribute, and one attribute per segment": frozenset(
        {"array", "string", "booleans"}
    ),
    # The names of 2023, still found in configurations.
    "Single Attribute": frozenset({"string"}),
    "Both Single Attribute and One Attribute Per Segment": frozenset({"string", "booleans"}),
}
"""The choices of "Send Segments As" and the attributes each stands for. Compared without case."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Everything that decides what goes to Braze's REST API. The defaults are those of the Python names.

    Attributes:
        api_key: ``apiKey``. The app identifier key; needed for push tokens, else it only attributes events to an app.
        rest_api_key: ``restApiKey``. The REST key.
        instance: ``cluster``, or ``host`` if that is absent or Custom. A Braze instance (``US-03``), a REST host or an
            ``https://`` URL.
        user_identification_type: ``userIdentificationType``. Which identity is the external id.
        email_identification_type: ``emailIdentificationType``. Which identity is the email; ``None``: none is.
        event_stream_forwarding: ``enableEventStreamForwarding``. Send at once instead of in bulk.
        enriched_user_attributes: ``includeEnrichedUserAttributes``. Every upload carries all known attributes.
        enriched_user_identities: ``includeEnrichedUserIdentities``. Every upload carries all known identities.
        attributes_wait_for_event: Attributes travel only with an event of the same batch, as mParticle's uploads.
        skip_unchanged: An attribute with the value last sent is left out (each costs a data point).
        lists_as_arrays: ``sendUserAttributeListsAsArrays``; else comma-separated text.
        forward_screen_views: Screen views become events. (mParticle's setting of that name concerns its SDK kits only.)
        screen_name_as_is: ``setEventNameForPageView``. The screen's own name, not ``Viewed <screen>``.
        forward_session_events: ``forwardSessionEvents``.
        tags_as_null: ``userTagsValue`` null: a tag removes the attribute instead of setting it to true.
        attribute_typing: ``apiTypeDetection`` of user attributes.
        event_typing: ``apiTypeDetection`` of event and product attributes.
        bundle_commerce_event_data: ``bundleCommerceEventData``. One object per commerce event, with nested lists.
        opt_out_unsubscribes: Opting out makes ``email_subscribe`` unsubscribed. mParticle's page has it the other way
            round (true = ``opted_in``), which its names follow.
        push_token_only: A user without external id but with a push token is imported by the token.
        track_batch_limit: ``trackBatchLimit``. 75 objects a request in all, or 75 in each array (older contracts).
        send_segments_as: ``sendSegmentsAs``. One of :data:`SEGMENT_FORMS`.
        segments_quoted: ``segmentMembershipFormat`` quoted, the older form of the membership text.
        segment_array_limit: ``segmentArrayLimit``. Longest array attribute the workspace takes (25 by default).
        api_key_operating_system: ``apiKeyOperatingSystem``. Only push tokens of this platform go with audiences.
        erasure_forwarding: ``forwardingStatus`` Active.
    """

    api_key: str | None = None
    rest_api_key: str | None = None
    instance: str = "US-03"
    user_identification_type: ExternalIdType = IdentityType.CUSTOMER_ID
    email_identification_type: IdentityType | None = IdentityType.EMAIL
    event_stream_forwarding: bool = False
    enriched_user_attributes: bool = False
    enriched_user_identities: bool = False
    attributes_wait_for_event: bool = False
    skip_unchanged: bool = True
    lists_as_arrays: bool = True
    forward_screen_views: bool = True
    screen_name_as_is: bool = False
    forward_session_events: bool = False
    tags_as_null: bool = False
    attribute_typing: Typing = "native"
    event_typing: Typing = "native"
    bundle_commerce_event_data: bool = False
    opt_out_unsubscribes: bool = True
    push_token_only: bool = False
    track_batch_limit: Literal["combined", "per_array"] = "combined"
    send_segments_as: str = "Single string attribute"
    segments_quoted: bool = False
    segment_array_limit: int = 25
    api_key_operating_system: str | None = None
    erasure_forwarding: bool = False

    @property
    def segment_forms(self) -> frozenset[str]:
        """Which of ``string``, ``array`` and ``booleans`` audiences are sent as."""
        return _segment_forms(self.send_segments_as)

    @classmethod
    def from_mparticle(cls, settings: Mapping[str, Any]) -> ServerSettings:
        """Read mParticle's setting names and their texts, with mParticle's defaults for what is absent.

        Names that are none of this connection's (a kit configuration carries many) are left alone.

        Raises:
            ConfigurationError: A setting has a value it does not take.
        """
        values: dict[str, Any] = {}
        for name, (attribute, read) in _MPARTICLE_SETTINGS.items():
            value = settings.get(name)
            if value is None or value == "" or (name == "cluster" and _is_custom(value) and "instance" in values):
                continue
            try:
                values[attribute] = read(value)
            except _RejectedError as error:
                raise ConfigurationError(f"The setting {name} takes {error}.") from None
        detection = values.pop("detection", "none")
        return replace(
            _MPARTICLE_DEFAULTS,
            attribute_typing="detected" if detection in ("user attributes", "both") else "text",
            event_typing="detected" if detection in ("event attributes", "both") else "text",
            **values,
        )

    @classmethod
    def from_python(cls, **settings: Any) -> ServerSettings:
        """Read Python names, see the attributes.

        Raises:
            ConfigurationError: A name is unknown, or a value is not of the setting's type.
        """
        known = {field.name: getattr(_PYTHON_DEFAULTS, field.name) for field in fields(cls)}
        for name, value in settings.items():
            if name not in known:
                raise ConfigurationError(f"There is no setting {name!r}; there are: {', '.join(sorted(known))}.")
            _check_python(name, value, known[name])
        if "user_identification_type" in settings:
            settings["user_identification_type"] = _named("user_identification_type", _external_id_type, settings)
        if settings.get("email_identification_type") is not None:
            settings["email_identification_type"] = _named("email_identification_type", _identity_type, settings)
        return replace(_PYTHON_DEFAULTS, **settings)


class _RejectedError(Exception):
    """A value a setting does not take; the text says what it takes."""


def _check_python(name: str, value: Any, default: Any) -> None:
    choices = {
        "attribute_typing": ("text", "detected", "native"),
        "event_typing": ("text", "detected", "native"),
        "track_batch_limit": ("combined", "per_array"),
    }
    if name in choices:
        if value not in choices[name]:
            raise ConfigurationError(f"The setting {name} takes one of {', '.join(choices[name])}.")
    elif name == "send_segments_as":
        _named(name, _segments_name, {name: value})
    elif isinstance(default, bool):
        if not isinstance(value, bool):
            raise ConfigurationError(f"The setting {name} takes True or False.")
    elif isinstance(default, int):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigurationError(f"The setting {name} takes a whole number from 1 up.")
    elif name in ("api_key", "rest_api_key", "instance", "api_key_operating_system") and not (
        value is None or (isinstance(value, str) and value.strip())
    ):
        raise ConfigurationError(f"The setting {name} takes a non-empty text.")


def _named(name: str, read: Callable[[Any], Any], settings: Mapping[str, Any]) -> Any:
    try:
        return read(settings[name])
    except _RejectedError as error:
        raise ConfigurationError(f"The setting {name} takes {error}.") from None


# -- readers ------------------------------------------------------------------------------------------------------
def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise _RejectedError("'True' or 'False'")


def _text(value: Any) -> str:
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise _RejectedError("a non-empty text")


def _identity_type(value: Any) -> IdentityType:
    if isinstance(value, IdentityType):
        return value
    if isinstance(value, str):
        wanted = re.sub(r"[\s_]", "", value).lower()
        for kind in IdentityType:
            if kind.value.replace("_", "") == wanted:
                return kind
    raise _RejectedError("the name of an identity type such as 'CustomerId', 'Email' or 'Other2'")


def _external_id_type(value: Any) -> ExternalIdType:
    if isinstance(value, str) and value.strip().upper() == "MPID":
        return "MPID"
    return _identity_type(value)


def _detection(value: Any) -> str:
    text = re.sub(r"[\s_]+", " ", value).strip().lower() if isinstance(value, str) else ""
    if text in ("none", "user attributes", "event attributes", "both"):
        return text
    raise _RejectedError("'None', 'User Attributes', 'Event Attributes' or 'Both'")


def _tags(value: Any) -> bool:
    if isinstance(value, str) and value.strip().strip('"').lower() in ("true", "null"):
        return value.strip().strip('"').lower() == "null"
    raise _RejectedError("'true' or 'null'")


def _choice(**choices: Any) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if isinstance(value, str) and value.strip().lower() in choices:
            return choices[value.strip().lower()]
        raise _RejectedError(" or ".join(repr(choice) for choice in choices))

    return read


def _count(value: Any) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = 0
    if number < 1:
        raise _RejectedError("a whole number from 1 up")
    return number


def _segments_name(value: Any) -> str:
    if isinstance(value, str):
        for name in SEGMENT_FORMS:
            if name.lower() == value.strip().lower():
                return name
    raise _RejectedError("; or ".join(repr(name) for name in list(SEGMENT_FORMS)[:7]))


def _segment_forms(name: str) -> frozenset[str]:
    return SEGMENT_FORMS[_segments_name(name)]


def _cluster(value: Any) -> str:
    """An instance, a host, or the REST endpoint of the Custom form (a JSON object, possibly HTML-escaped)."""
    parsed: Any = value
    if isinstance(value, str) and value.strip().startswith("{"):
        try:
            parsed = json.loads(html.unescape(html.unescape(value)))
        except ValueError:
            parsed = None
    if isinstance(parsed, Mapping):
        for key, host in parsed.items():
            if str(key).upper() == "REST" and isinstance(host, str) and host.strip():
                return host.strip()
        raise _RejectedError("a REST endpoint in its Custom form")
    return _text(parsed)


def _is_custom(cluster: Any) -> bool:
    """Whether the cluster leaves the choice to ``host``."""
    return isinstance(cluster, str) and cluster.strip().lower() == "custom"


_PYTHON_DEFAULTS = ServerSettings()
_MPARTICLE_DEFAULTS = ServerSettings(
    enriched_user_attributes=True,
    enriched_user_identities=True,
    attributes_wait_for_event=True,
    skip_unchanged=False,
    lists_as_arrays=False,
    attribute_typing="text",
    event_typing="text",
    opt_out_unsubscribes=False,
)

_MPARTICLE_SETTINGS: Mapping[MparticleName, tuple[str, Callable[[Any], Any]]] = {
    "apiKey": ("api_key", _text),
    "restApiKey": ("rest_api_key", _text),
    "userIdentificationType": ("user_identification_type", _external_id_type),
    "emailIdentificationType": ("email_identification_type", _identity_type),
    "host": ("instance", _cluster),
    "cluster": ("instance", _cluster),
    "enableEventStreamForwarding": ("event_stream_forwarding", _boolean),
    "includeEnrichedUserAttributes": ("enriched_user_attributes", _boolean),
    "includeEnrichedUserIdentities": ("enriched_user_identities", _boolean),
    "sendUserAttributeListsAsArrays": ("lists_as_arrays", _boolean),
    "setEventNameForPageView": ("screen_name_as_is", _boolean),
    "forwardSessionEvents": ("forward_session_events", _boolean),
    "userTagsValue": ("tags_as_null", _tags),
    "apiTypeDetection": ("detection", _detection),
    "bundleCommerceEventData": ("bundle_commerce_event_data", _boolean),
    "trackBatchLimit": ("track_batch_limit", _choice(combined="combined", per_array="per_array")),
    "sendSegmentsAs": ("send_segments_as", _segments_name),
    "segmentMembershipFormat": ("segments_quoted", _choice(plain=False, quoted=True)),
    "segmentArrayLimit": ("segment_array_limit", _count),
    "apiKeyOperatingSystem": ("api_key_operating_system", _text),
    "forwardingStatus": ("erasure_forwarding", _choice(inactive=False, active=True)),
}


def rest_url(instance: str) -> str:
    """The base URL of the REST API, without a slash at its end.

    Args:
        instance: A Braze instance (``US-03``, ``03``, ``EU-01``, ``US 03 Cluster``), a REST host
            (``rest.iad-03.braze.com``), or an ``https://`` URL. ``http://`` is taken for loopback addresses only.

    Raises:
        ConfigurationError: It is none of those, or an SDK host.
    """
    text = instance.strip()
    host = _instance_host(text)
    if host is not None:
        return f"https://{host}"
    if "://" not in text:
        if not _HOST.fullmatch(text) or not ("." in text or ":" in text):  # a bare word is a mistyped instance
            raise _not_an_endpoint()
        text = f"https://{text}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise _not_an_endpoint() from None
    name = parts.hostname or ""
    if not name or parts.username or parts.query or parts.fragment or port == 0:
        raise _not_an_endpoint()
    if name.startswith("sdk.") and ".braze." in name:
        raise ConfigurationError("This is the host of the SDK endpoint; the REST API's begins with 'rest.'.")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(name)):
        raise ConfigurationError("The REST endpoint takes https:// (http:// for loopback addresses only).")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def _not_an_endpoint() -> ConfigurationError:
    return ConfigurationError(
        "The REST endpoint takes a Braze instance such as 'US-03', a host such as 'rest.iad-03.braze.com', "
        "or an https:// URL without credentials, query or fragment."
    )


def _instance_host(text: str) -> str | None:
    match = _INSTANCE.fullmatch(text)
    if match is None or not (match[1] or match[2]) or (match[2] is None and (match[1] or "US").upper() == "US"):
        return None
    region, number = (match[1] or "US").upper(), int(match[2] or 1)
    if number == 0:
        return None
    place, domain = _REGIONS[region]
    if (region, number) == ("US", 10):  # the one US instance outside the iad naming
        place = "us"
    return f"rest.{place}-{number:02d}.{domain}"


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
