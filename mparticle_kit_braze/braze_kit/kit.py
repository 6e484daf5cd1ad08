"""The Braze kit: receives mParticle's calls and makes Braze's, as its profile maps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict

from ..commerce import CommerceEvent
from ..consent import ConsentState
from ..delivery import DeliveryOptions, DeliveryStats, FlushResult
from ..diagnostics import Reporter
from ..errors import MParticleError
from ..events import Event, EventType, ScreenView
from ..identity import IdentityType, User
from ..kits.configuration import KitConfiguration
from ..kits.filters import compile_rule
from ..kits.kit import IdentityOperation, Kit, KitContext
from ..overriding import override
from .commerce import CustomEvent
from .consent import apply_consent
from .event_rules import EventRules
from .identity import apply_identity
from .profiles import Profile, ProfileName, profile_named
from .recommended import is_recommended, recommended_events
from .session_id import SessionId
from .setting_values import IdentificationType
from .settings import Settings

if TYPE_CHECKING:  # the adapter is loaded when a client starts
    from typing_extensions import Self, Unpack

    from ..braze import Braze, DataPoints

__all__ = ["BrazeKit", "BrazeKitSettings"]

_SCREEN_TYPE = 0
_SYNCED = "stored_attributes_sent"


class BrazeKitSettings(TypedDict, total=False):
    """The keyword settings of :class:`BrazeKit`; what each means stands with :class:`~.settings.Settings`."""

    user_identification_type: IdentificationType | str | None
    email_identification_type: IdentityType | str | None
    enable_type_detection: bool
    bundle_commerce_event_data: bool
    forward_screen_views: bool
    set_event_name_for_page_view: bool
    forward_sku_as_product_name: bool
    replace_sku_with_product_name: bool
    subscription_group_mapping: Mapping[str, str] | str
    consent_mapping: Mapping[str, str] | Sequence[Mapping[str, str]] | str
    use_ecommerce_recommended_events: bool
    cart_id_attribute: str | None
    checkout_id_attribute: str | None
    subtotal_value_attribute: str | None
    image_url_attribute: str | None
    product_url_attribute: str | None
    source: str | None
    soft_push_custom_event_name: str | None
    push_enabled: bool
    session_timeout: float | None
    flush_interval: float | None
    minimum_trigger_interval: float | None
    user_tags_value: bool | None
    honor_opt_out: bool
    app_version: str | None
    sdk_authentication: bool


class BrazeKit(Kit):
    """Sends an mParticle client's calls to Braze.

    Args:
        api_key: Braze's app identifier key.
        endpoint: The SDK endpoint: a host (``sdk.iad-03.braze.com``), an ``https://`` URL or an instance (``US-03``).
        profile: Whose mapping applies: ``"native"`` (mParticle's documented one with Python's types), or that of
            mParticle's own kit on ``"android"``, ``"ios"`` or the ``"web"``, to the letter.
        delivery_options: Bounds of the queue and of single requests.
        **settings: See :class:`~.settings.Settings`. An unknown one is reported when the kit starts.

    Raises:
        ConfigurationError: A setting is missing or malformed. The message names it and says what it takes.
    """

    name: ClassVar[str] = "Braze"
    kit_id: ClassVar[int] = 28

    def __init__(
        self,
        api_key: str,
        endpoint: str | None = None,
        *,
        profile: ProfileName = "native",
        delivery_options: DeliveryOptions | None = None,
        **settings: Unpack[BrazeKitSettings],
    ) -> None:
        kind = profile_named(profile)
        parsed = Settings.from_python(api_key, endpoint, settings, kind.rules)
        honored = {"honorOptOut": "True" if parsed.honor_opt_out else "False"}
        configuration = KitConfiguration(kit_id=self.kit_id, settings=honored)
        self._prepare(kind, parsed, configuration, delivery_options)

    @classmethod
    def from_configuration(
        cls,
        configuration: Mapping[str, Any] | KitConfiguration,
        *,
        profile: ProfileName = "native",
        delivery_options: DeliveryOptions | None = None,
    ) -> Self:
        """A kit from mParticle's own configuration of it.

        Args:
            configuration: The kit's entry, ``{"id": 28, "as": {"apiKey": ..., "host": ...}, "hs": {...}, ...}``, its
                web form, or either already read.
            profile: As for :class:`BrazeKit`; also decides how texts such as ``"True"`` are read.
            delivery_options: As for :class:`BrazeKit`.

        Raises:
            ConfigurationError: It is malformed. The message names the key or setting and says what it takes.
        """
        if not isinstance(configuration, KitConfiguration):
            configuration = KitConfiguration.from_json(configuration)
        kind = profile_named(profile)
        kit = cls.__new__(cls)
        parsed = Settings.from_mparticle(configuration.settings, kind.rules)
        kit._prepare(kind, parsed, configuration, delivery_options)  # noqa: SLF001  (it is one of us)
        return kit

    def _prepare(
        self,
        kind: type[Profile],
        settings: Settings,
        configuration: KitConfiguration,
        delivery_options: DeliveryOptions | None,
    ) -> None:
        self._kind = kind
        self._configuration = configuration
        self._delivery_options = delivery_options
        self._context: KitContext | None = None
        self._braze: Braze | None = None
        self._session_id = SessionId()
        self._adopt(settings, Reporter())

    def _adopt(self, settings: Settings, reporter: Reporter) -> None:
        self._settings = settings
        self._profile = self._kind(settings, reporter)
        rules = EventRules(self._configuration, self._profile)
        self._rules = rules or None  # one look at None is all that an event pays
        # The kit manager, which goes by the form of a configuration, applies it to screens for the web form itself.
        screens = self._profile.attribute_rule_for_screens and self._configuration.form == "mobile"
        self._screen_rule = compile_rule(self._configuration) if screens else None

    # -- what it is -----------------------------------------------------------------------------------------------
    @property
    @override
    def configuration(self) -> KitConfiguration:
        """The configuration, whose filters and rules the kit manager applies."""
        return self._configuration

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._settings

    @property
    def profile(self) -> str:
        """The name of the profile."""
        return self._kind.name

    @property
    def braze(self) -> Braze:
        """The Braze client behind the kit.

        Raises:
            MParticleError: The kit has not been started yet.
        """
        if self._braze is None:
            raise MParticleError("The Braze kit has not been started: no client has it, or a rule keeps it off.")
        return self._braze

    @property
    @override
    def instance(self) -> object:
        """The Braze client, or the kit itself before its first start."""
        return self._braze if self._braze is not None else self

    # -- life -----------------------------------------------------------------------------------------------------
    @override
    def on_start(self, context: KitContext, user: User | None) -> None:
        """Make the Braze client (once) and tell it who the user is."""
        self._context = context
        self._adopt(self._settings, context.reporter)
        self._report_settings()
        braze = self._braze
        if braze is None:
            braze = self._braze = self._make_braze(context)
        if user is not None:
            apply_identity(braze, self._profile, user)
            if self._profile.sends_stored_attributes:
                self._send_stored_attributes(context, braze, user)
            apply_consent(braze, self._profile, user.consent)
        if self._profile.opens_session:
            braze.open_session()
        if self._settings.soft_push_custom_event_name is not None:
            braze.log_custom_event(self._settings.soft_push_custom_event_name)

    @override
    def on_configuration_updated(self, configuration: KitConfiguration) -> None:
        """Take new settings and maps; a new key or endpoint makes a new Braze client over the same queue."""
        settings = Settings.from_mparticle(configuration.settings, self._kind.rules)
        moved = (settings.api_key, settings.endpoint) != (self._settings.api_key, self._settings.endpoint)
        self._configuration = configuration
        self._adopt(settings, self._profile.reporter)
        self._report_settings()
        if moved and self._braze is not None and self._context is not None:
            self._braze.close(timeout=0)
            self._braze = self._make_braze(self._context)

    def _make_braze(self, context: KitContext) -> Braze:
        settings = self._settings
        options: dict[str, Any] = {}
        if settings.flush_interval is not None:
            options["flush_interval"] = settings.flush_interval
        if settings.minimum_trigger_interval is not None:
            options["minimum_trigger_interval"] = settings.minimum_trigger_interval
        return self._braze_class()(
            settings.api_key,
            settings.endpoint,
            storage=context.storage,
            session_timeout=settings.session_timeout or context.session_timeout,
            app_version=settings.app_version,
            sdk_metadata=("mp",),
            sdk_authentication=settings.sdk_authentication,
            skip_unchanged=self._profile.skip_unchanged,
            adopt_anonymous_attributes=self._profile.adopts_anonymous,
            keep_null_properties=self._profile.keeps_null,
            reporter=context.reporter,
            on_delivery=context.on_delivery,
            delivery_options=self._delivery_options,
            **options,
        )

    def _braze_class(self) -> type[Braze]:
        """Of what kind the Braze client is."""
        from ..braze import Braze  # noqa: PLC0415 - loaded when a client starts

        return Braze

    def _report_settings(self) -> None:
        reporter = self._profile.reporter
        for name in self._settings.unknown:
            reporter.report("unknown_setting", f"The Braze kit has no setting {name!r}; it has no effect", key=name)
        for name in self._settings.ignored:
            message = f"The setting {name!r} of the Braze kit is malformed and has no effect"
            reporter.report("setting_ignored", message, key=name)

    def _send_stored_attributes(self, context: KitContext, braze: Braze, user: User) -> None:
        """Once after installation. Source: Android kit, one-time attribute sync."""
        memory = context.storage.key_values("braze_kit")
        try:
            if memory.get(_SYNCED):
                return
            for key, value in user.attributes.items():
                if isinstance(value, (list, tuple)):
                    self._profile.set_list(braze.current_user, key, value)
                else:
                    self._profile.set_attribute(braze.current_user, key, value)
            memory.set(_SYNCED, True)
        finally:
            memory.close()

    # -- events ---------------------------------------------------------------------------------------------------
    @override
    def log_event(self, event: Event) -> None:
        """A custom event."""
        profile = self._profile
        name = profile.event_name(event.name)
        if name is None:
            return
        attributes = event.attributes
        if profile.drops_ltv_increases and attributes.get("$MethodName") == "LogLTVIncrease":
            return
        braze = self._braze or self.braze
        braze.log_custom_event(name, profile.properties(attributes) if attributes else None, time=event.timestamp)
        if self._rules is not None and attributes:
            self._rules.apply(braze, event.event_type.value, event.name, profile.matched(attributes))

    @override
    def log_screen(self, screen: ScreenView) -> None:
        """A screen view: a custom event named after it, if ``forward_screen_views`` is on."""
        profile = self._profile
        if not self._settings.forward_screen_views:
            return
        if self._screen_rule is not None and not self._screen_rule.forwards(screen.attributes):
            return
        name = profile.screen_name(screen.name)
        if name is None:
            return
        braze, attributes = self.braze, screen.attributes
        braze.log_custom_event(name, profile.properties(attributes) if attributes else None, time=screen.timestamp)
        if self._rules is not None and attributes and profile.rules_for_screens:
            self._rules.apply(braze, _SCREEN_TYPE, screen.name, profile.matched(attributes))

    @override
    def log_commerce_event(self, event: CommerceEvent) -> None:
        """A commerce event: purchases and custom events, expanded, bundled or in Braze's recommended form."""
        if self._settings.use_ecommerce_recommended_events and is_recommended(event):
            for custom in recommended_events(event, self._profile, self._session_id.current):
                self.braze.log_custom_event(custom.name, custom.properties, time=event.timestamp)
            return
        braze = self.braze
        for call in self._profile.commerce(event):
            if isinstance(call, CustomEvent):
                braze.log_custom_event(call.name, call.properties, time=event.timestamp)
                if self._rules is not None and call.matched:
                    self._rules.apply(braze, EventType.TRANSACTION.value, call.name, call.matched)
            else:
                braze.log_purchase(
                    call.product_id, call.price, call.currency, call.quantity, call.properties, time=event.timestamp
                )

    # -- user attributes ------------------------------------------------------------------------------------------
    @override
    def on_user_attribute_set(self, user: User | None, key: str, value: Any) -> None:
        """A scalar attribute."""
        self._profile.set_attribute(self.braze.current_user, key, value)

    @override
    def on_user_attribute_cleared(self, user: User | None, key: str, *, was_set: bool) -> None:
        """A scalar attribute set to ``None``."""
        if was_set or not self._profile.clears_only_known:
            self.on_user_attribute_set(user, key, None)

    @override
    def on_user_attribute_list_set(self, user: User | None, key: str, values: Sequence[Any]) -> None:
        """A list attribute."""
        self._profile.set_list(self.braze.current_user, key, values)

    @override
    def on_user_tag_set(self, user: User | None, key: str) -> None:
        """A tag."""
        self._profile.set_tag(self.braze.current_user, key)

    @override
    def on_user_attribute_incremented(
        self,
        user: User | None,
        key: str,
        by: int | float,
        total: int | float | None,
    ) -> None:
        """An increment."""
        self._profile.increment(self.braze.current_user, key, by, total)

    @override
    def on_user_attribute_removed(self, user: User | None, key: str, *, was_set: bool) -> None:
        """A removed attribute, list or tag."""
        if self._profile.keys_in_any_case and not was_set and user is not None:
            spellings = (known for known in reversed(tuple(user.attributes)) if known.lower() == key.lower())
            key = next(spellings, key)
        self._profile.remove(self.braze.current_user, key, was_set=was_set)

    # -- identity, consent, opt-out -------------------------------------------------------------------------------
    @override
    def on_identity_completed(
        self,
        operation: IdentityOperation,
        user: User,
        identities: Mapping[IdentityType, str | None],
    ) -> None:
        """A completed identity call: user id and email."""
        apply_identity(self.braze, self._profile, user, identities)

    @override
    def on_consent_changed(self, user: User, old: ConsentState, new: ConsentState) -> None:
        """Changed consent."""
        apply_consent(self.braze, self._profile, new)

    @override
    def on_opt_out(self, opted_out: bool) -> None:
        """Opting out; only the Apple kit tells Braze, as an unsubscribed email address."""
        if opted_out and self._profile.unsubscribe_on_opt_out:
            self.braze.current_user.set_email_subscription("unsubscribed")

    # -- sessions, push -------------------------------------------------------------------------------------------
    @override
    def on_session_start(self) -> None:
        """The client's session; stands in for cart, checkout and order ids that are missing."""
        self._session_id.renew()

    @override
    def on_push_token(self, token: str) -> bool:
        """A push token, if ``push_enabled`` allows."""
        return self._settings.push_enabled and self.braze.current_user.set_push_token(token)

    # -- delivery -------------------------------------------------------------------------------------------------
    @override
    def flush(self, timeout: float | None = None) -> FlushResult | None:
        """Send what is queued within ``timeout`` seconds."""
        return None if self._braze is None else self._braze.flush(timeout)

    @override
    def close(self, timeout: float) -> FlushResult | None:
        """Flush within ``timeout`` seconds and release threads and files."""
        return None if self._braze is None else self._braze.close(timeout)

    @override
    def clear(self) -> int:
        """Discard what is queued and return how many records that was."""
        return 0 if self._braze is None else self._braze.clear()

    @override
    def erase(self) -> None:
        """Discard what is queued, and the dead letters."""
        self.clear()
        if self._braze is not None:
            self._braze.delivery.delete_dead_letters()

    @override
    def stats(self) -> DeliveryStats | None:
        """Delivery figures; ``None`` before the first start."""
        return None if self._braze is None else self._braze.stats()

    @override
    def data_points(self) -> DataPoints | None:
        """Data points spent and saved; ``None`` before the first start."""
        return None if self._braze is None else self._braze.data_points()
