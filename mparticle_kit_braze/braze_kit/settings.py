"""The kit's settings: mParticle's names and texts, or Python names and values, read into one frozen ``Settings``.

How a text is read is the platform's affair (``SettingRules``, part of a profile): the Apple kit takes ``Y`` for true,
the web kit nothing but ``True``. What no platform would take is a ``ConfigurationError`` that names the setting.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..braze import resolve_endpoint
from ..errors import ConfigurationError
from ..identity import IdentityType
from . import setting_values as read
from .endpoints import parse_cluster
from .setting_values import BooleanText, IdentificationType, Rejected

__all__ = ["SETTING_NAMES", "SettingRules", "Settings"]


@dataclass(frozen=True, slots=True)
class SettingRules:
    """How a platform reads the texts of its kit configuration.

    Attributes:
        boolean: Reader of boolean texts.
        forward_screen_views: Reader of that one text, where the platform reads it differently.
        exact_identity_names: Only mParticle's own spelling of identity types counts.
        unsupported_identities: Identity types that the platform's kit does not know.
        unknown_identity: What an unknown name of the user id's type means; ``None``: it is a configuration error.
        absent_identity: The user id's type when a kit configuration has none.
        absent_email: The email's type when none is set.
        javascript_endpoint: The Custom cluster's JavaScript endpoint comes before the SDK one.
        push_enabled: Whether push tokens are taken when ``push_enabled`` is absent.
        skip_incomplete: Incomplete entries of a mapping are left out, and do not void all of it.
    """

    boolean: BooleanText = read.strict_boolean
    forward_screen_views: BooleanText | None = None
    exact_identity_names: bool = False
    unsupported_identities: frozenset[IdentityType] = frozenset()
    unknown_identity: IdentificationType | None = None
    absent_identity: IdentificationType | None = None
    absent_email: IdentityType | None = IdentityType.EMAIL
    javascript_endpoint: bool = False
    push_enabled: bool = True
    skip_incomplete: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that decides how the kit maps and where it sends. The mParticle name stands beside each attribute.

    Attributes:
        api_key: ``apiKey``. The app identifier key.
        endpoint: ``host`` or ``cluster``. ``None`` leaves the choice to the adapter.
        rest_endpoint: The REST endpoint of a Custom ``cluster``; the kit itself does not use it.
        user_identification_type: ``userIdentificationType``. What becomes the Braze user id; ``None``: nothing does.
        email_identification_type: ``emailIdentificationType``. Which identity is the email; ``None``: none is.
        enable_type_detection: ``enableTypeDetection``. Guess types out of text (Android and iOS profiles).
        bundle_commerce_event_data: ``bundleCommerceEventData``. One event per commerce event, not one per item.
        forward_screen_views: ``forwardScreenViews``. Screen views become custom events.
        set_event_name_for_page_view: ``setEventNameForPageView``. No effect: there is no page path to prefer.
        forward_sku_as_product_name: ``forwardSkuAsProductName``. SKU as product id (web profile).
        replace_sku_with_product_name: ``replaceSkuWithProductName``. Product name as product id (other profiles).
        subscription_group_mapping: ``subscriptionGroupMapping``. User attribute key -> subscription group id.
        consent_mapping: ``consentMappingSDK``. Pairs of a GDPR purpose and the consent attribute it drives.
        use_ecommerce_recommended_events: ``useEcommerceRecommendedEvents``. Braze's recommended eCommerce events.
        cart_id_attribute: ``cartIdAttribute``. Event attribute that holds the cart id.
        checkout_id_attribute: ``checkoutIdAttribute``. Event attribute that holds the checkout id.
        subtotal_value_attribute: ``subtotalValueAttribute``. Event attribute that holds the subtotal.
        image_url_attribute: ``imageUrlAttribute``. Product attribute that holds the image's URL.
        product_url_attribute: ``productUrlAttribute``. Product attribute that holds the product's URL.
        source: ``source``. The ``source`` of recommended events; ``None``: the profile's.
        soft_push_custom_event_name: ``softPushCustomEventName``. A custom event logged at each start.
        push_enabled: ``push_enabled``. Whether push tokens go to Braze.
        session_timeout: ``ABKSessionTimeoutKey``. Seconds without activity that end a session, at least 10.
        flush_interval: ``ABKFlushIntervalOptionKey``. Seconds between requests, at least 1.
        minimum_trigger_interval: ``ABKMinimumTriggerTimeIntervalKey``. Seconds between two triggered messages.
        user_tags_value: ``userTagsValue``. What a tag sets its custom attribute to, true or null (native profile).
        honor_opt_out: ``honorOptOut``. Stop when the user opts out.
        app_version: The version of the host app, reported to Braze. Python only.
        sdk_authentication: Braze's SDK authentication is on for this app. Python only.
        unknown: Names of settings that are none of the above.
        ignored: Names of settings whose value was malformed and has no effect, as in the real kits.
    """

    api_key: str
    endpoint: str | None = None
    rest_endpoint: str | None = None
    user_identification_type: IdentificationType | None = None
    email_identification_type: IdentificationType | None = None
    enable_type_detection: bool = False
    bundle_commerce_event_data: bool = False
    forward_screen_views: bool = False
    set_event_name_for_page_view: bool = False
    forward_sku_as_product_name: bool = False
    replace_sku_with_product_name: bool = False
    subscription_group_mapping: Mapping[str, str] = field(default_factory=dict)
    consent_mapping: tuple[tuple[str, str], ...] = ()
    use_ecommerce_recommended_events: bool = False
    cart_id_attribute: str | None = None
    checkout_id_attribute: str | None = None
    subtotal_value_attribute: str | None = None
    image_url_attribute: str | None = None
    product_url_attribute: str | None = None
    source: str | None = None
    soft_push_custom_event_name: str | None = None
    push_enabled: bool = True
    session_timeout: float | None = None
    flush_interval: float | None = None
    minimum_trigger_interval: float | None = None
    user_tags_value: bool | None = True
    honor_opt_out: bool = True
    app_version: str | None = None
    sdk_authentication: bool = False
    unknown: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    @classmethod
    def from_python(cls, api_key: str, endpoint: str | None, given: Mapping[str, Any], rules: SettingRules) -> Settings:
        """Read the keyword arguments of ``BrazeKit(...)``.

        Raises:
            ConfigurationError: A value is of the wrong kind. The message names the setting and what it takes.
        """
        reading = _Reading(rules, from_text=False)
        values = {**reading.defaults(), "user_identification_type": IdentityType.CUSTOMER_ID}
        for name, value in given.items():
            setting = _BY_PYTHON_NAME.get(name)
            if setting is None:
                reading.unknown.append(name)
            else:
                values[setting.name] = reading.read(setting, name, value)
        key = _api_key(api_key, "api_key")
        return cls(api_key=key, endpoint=_checked("endpoint", endpoint), **values, **reading.findings())

    @classmethod
    def from_mparticle(cls, given: Mapping[str, Any], rules: SettingRules) -> Settings:
        """Read the ``as`` object of an mParticle kit configuration.

        Raises:
            ConfigurationError: A value is one no platform would take. The message names the setting and what it takes.
        """
        reading = _Reading(rules, from_text=True)
        values = {**reading.defaults(), "user_identification_type": rules.absent_identity}
        for name, value in given.items():
            setting = _BY_MPARTICLE_NAME.get(name)
            if setting is not None:
                values[setting.name] = reading.read(setting, name, value)
            elif name not in _ELSEWHERE and name not in _WITHOUT_EFFECT:
                reading.unknown.append(name)
        endpoint, rest = _endpoints(given, rules)
        key = _api_key(given.get("apiKey"), "apiKey")
        return cls(api_key=key, endpoint=endpoint, rest_endpoint=rest, **values, **reading.findings())


@dataclass(frozen=True, slots=True)
class _Setting:
    """One setting: its names, and its reader."""

    name: str
    mparticle_name: str | None
    reader: Callable[[_Reading, str, Any], Any]


class _Reading:
    """One pass over given settings: the platform's rules, and what was found on the way."""

    def __init__(self, rules: SettingRules, *, from_text: bool) -> None:
        self.rules = rules
        self.from_text = from_text
        self._skips_incomplete = from_text and rules.skip_incomplete  # in code they are a mistake
        self.unknown: list[str] = []
        self.ignored: list[str] = []

    def defaults(self) -> dict[str, Any]:
        return {"email_identification_type": self.rules.absent_email, "push_enabled": self.rules.push_enabled}

    def findings(self) -> dict[str, Any]:
        return {"unknown": tuple(self.unknown), "ignored": tuple(self.ignored)}

    def read(self, setting: _Setting, given_name: str, value: Any) -> Any:
        try:
            return setting.reader(self, setting.name, value)
        except Rejected as rejected:
            kind = type(value).__name__ if setting.name == "api_key" else repr(value)
            raise ConfigurationError(f"The setting {given_name} takes {rejected}, not {kind}.") from None

    # -- readers --------------------------------------------------------------------------------------------------
    def boolean(self, name: str, value: Any) -> bool:
        if not self.from_text:
            return read.boolean(value, None)
        platform = self.rules.boolean
        if name == "forward_screen_views" and self.rules.forward_screen_views is not None:
            platform = self.rules.forward_screen_views
        if name == "replace_sku_with_product_name" and platform is not read.strict_boolean:
            platform = read.exact_boolean  # the mobile kits ask for exactly "True" here
        return read.boolean(value, platform)

    def user_type(self, _name: str, value: Any) -> IdentificationType | None:
        unknown = self.rules.unknown_identity
        tolerant = unknown is not None and self.from_text and isinstance(value, str)
        try:
            kind = read.identification_type(value, exact=self.from_text and self.rules.exact_identity_names)
        except Rejected:
            if tolerant:
                return unknown
            raise
        return unknown if tolerant and kind in self.rules.unsupported_identities else kind

    def email_type(self, _name: str, value: Any) -> IdentificationType | None:
        if value is None or value == "":
            return self.rules.absent_email if self.from_text else None
        tolerant = self.rules.unknown_identity is not None and self.from_text
        try:
            kind = read.identification_type(value, exact=self.from_text and self.rules.exact_identity_names)
        except Rejected:
            kind = "MPID"  # no more an address than the MPID is
        # Only email and the "other" types may hold an address. Source: Apple kit.
        if kind == "MPID" or (kind is not None and kind is not IdentityType.EMAIL and "other" not in kind.value):
            if tolerant:
                return IdentityType.EMAIL
            raise Rejected("'Email', 'Other' or 'Other2' to 'Other10'")
        return kind

    def text(self, _name: str, value: Any) -> str | None:
        return read.optional_text(value)

    def attribute(self, _name: str, value: Any) -> str | None:
        return read.attribute_name(value)

    def groups(self, name: str, value: Any) -> dict[str, str]:
        parsed = read.subscription_groups(value, skip_incomplete=self._skips_incomplete)
        if parsed is None:
            self._malformed_mapping(name)
        return parsed or {}

    def consent(self, name: str, value: Any) -> tuple[tuple[str, str], ...]:
        parsed = read.consent_mapping(value, unknown_targets=self.from_text, skip_incomplete=self._skips_incomplete)
        if parsed is None:
            self._malformed_mapping(name)
        return parsed or ()

    def _malformed_mapping(self, name: str) -> None:
        """In a kit configuration it has no effect, as in the real kits; in code it is a mistake."""
        if not self.from_text:
            raise Rejected("a mapping, or mParticle's JSON list of objects with the texts map and value")
        self.ignored.append(SETTING_NAMES[name])

    def session_seconds(self, _name: str, value: Any) -> float | None:
        return read.seconds(value, 10)

    def flush_seconds(self, _name: str, value: Any) -> float | None:
        return read.seconds(value, 1)

    def trigger_seconds(self, _name: str, value: Any) -> float | None:
        return read.seconds(value, 0)

    def tags(self, _name: str, value: Any) -> bool | None:
        return read.tags_value(value)


_SETTINGS: tuple[_Setting, ...] = (
    _Setting("user_identification_type", "userIdentificationType", _Reading.user_type),
    _Setting("email_identification_type", "emailIdentificationType", _Reading.email_type),
    _Setting("enable_type_detection", "enableTypeDetection", _Reading.boolean),
    _Setting("bundle_commerce_event_data", "bundleCommerceEventData", _Reading.boolean),
    _Setting("forward_screen_views", "forwardScreenViews", _Reading.boolean),
    _Setting("set_event_name_for_page_view", "setEventNameForPageView", _Reading.boolean),
    _Setting("forward_sku_as_product_name", "forwardSkuAsProductName", _Reading.boolean),
    _Setting("replace_sku_with_product_name", "replaceSkuWithProductName", _Reading.boolean),
    _Setting("subscription_group_mapping", "subscriptionGroupMapping", _Reading.groups),
    _Setting("consent_mapping", "consentMappingSDK", _Reading.consent),
    _Setting("use_ecommerce_recommended_events", "useEcommerceRecommendedEvents", _Reading.boolean),
    _Setting("cart_id_attribute", "cartIdAttribute", _Reading.attribute),
    _Setting("checkout_id_attribute", "checkoutIdAttribute", _Reading.attribute),
    _Setting("subtotal_value_attribute", "subtotalValueAttribute", _Reading.attribute),
    _Setting("image_url_attribute", "imageUrlAttribute", _Reading.attribute),
    _Setting("product_url_attribute", "productUrlAttribute", _Reading.attribute),
    _Setting("source", "source", _Reading.text),
    _Setting("soft_push_custom_event_name", "softPushCustomEventName", _Reading.text),
    _Setting("push_enabled", "push_enabled", _Reading.boolean),
    _Setting("session_timeout", "ABKSessionTimeoutKey", _Reading.session_seconds),
    _Setting("flush_interval", "ABKFlushIntervalOptionKey", _Reading.flush_seconds),
    _Setting("minimum_trigger_interval", "ABKMinimumTriggerTimeIntervalKey", _Reading.trigger_seconds),
    _Setting("user_tags_value", "userTagsValue", _Reading.tags),
    _Setting("honor_opt_out", "honorOptOut", _Reading.boolean),
    _Setting("app_version", None, _Reading.text),
    _Setting("sdk_authentication", None, _Reading.boolean),
)

_BY_PYTHON_NAME: Mapping[str, _Setting] = {setting.name: setting for setting in _SETTINGS}
_BY_MPARTICLE_NAME: Mapping[str, _Setting] = {
    setting.mparticle_name: setting for setting in _SETTINGS if setting.mparticle_name is not None
}

#: Python name -> mParticle's name, for every setting that has both.
SETTING_NAMES: Mapping[str, str] = {
    "api_key": "apiKey",
    "endpoint": "host",
    **{setting.name: setting.mparticle_name for setting in _SETTINGS if setting.mparticle_name is not None},
}

#: Read with the endpoint and the key.
_ELSEWHERE = frozenset({"apiKey", "host", "cluster", "dataCenterLocation"})

#: mParticle's settings for devices, browsers and other outputs: known, and without a meaning here.
_WITHOUT_EFFECT = frozenset(
    {
        "ABKCollectIDFA",
        "ABKDisableAutomaticLocationCollectionKey",
        "ABKRequestProcessingPolicyOptionKey",
        "PriorityValue",
        "apiTypeDetection",
        "doNotLoadFontAwesome",
        "enableEventStreamForwarding",
        "enableHtmlInAppMessages",
        "forwardSessionEvents",
        "includeEnrichedUserAttributes",
        "includeEnrichedUserIdentities",
        "register_inapp",
        "restApiKey",
        "safariWebsitePushId",
        "sendUserAttributeListsAsArrays",
        "serviceWorkerLocation",
    }
)


def _api_key(value: Any, name: str) -> str:
    if not isinstance(value, str) or not value.strip():
        # The key itself is never part of a message.
        raise ConfigurationError(f"The setting {name} takes Braze's app identifier key, a text that is not empty.")
    return value.strip()


def _endpoints(given: Mapping[str, Any], rules: SettingRules) -> tuple[str | None, str | None]:
    """The SDK endpoint and the REST endpoint that a kit configuration names."""
    cluster = parse_cluster(given.get("cluster") or given.get("dataCenterLocation") or "")
    named = (cluster.javascript, cluster.sdk) if rules.javascript_endpoint else (cluster.sdk, cluster.javascript)
    from_cluster = _checked("cluster", named[0] or named[1])
    host = given.get("host")
    return (_checked("host", host) if host else from_cluster), cluster.rest


def _checked(setting: str, endpoint: Any) -> str | None:
    """The endpoint, which the adapter would take; the setting is named if it would not."""
    if endpoint is None:
        return None
    try:
        resolve_endpoint(endpoint)
    except ConfigurationError as error:
        raise ConfigurationError(f"The setting {setting} is wrong. {error}") from None
    return str(endpoint)
