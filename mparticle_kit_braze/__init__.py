"""An mParticle-like client whose calls reach Braze as mParticle's own Braze kits send them.

The public names are loaded when they are first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from .braze import Braze, BrazeUser
    from .braze_kit import BrazeKit
    from .client import MParticle
    from .commerce import (
        CommerceEvent,
        Impression,
        Product,
        ProductAction,
        Promotion,
        PromotionAction,
        TransactionAttributes,
    )
    from .consent import CCPAConsent, ConsentState, GDPRConsent
    from .delivery import DeliveryOptions, DeliveryReport, DeliveryStats, FlushResult
    from .diagnostics import Problem
    from .discovery import create_kits, discover_kits
    from .errors import ClosedError, ConfigurationError, InvalidArgumentError, MParticleError, StorageError
    from .events import Event, EventType, ScreenView
    from .identity import (
        Alias,
        IdentityFailure,
        IdentityRequest,
        IdentityResolver,
        IdentityResult,
        IdentityType,
        PendingResolution,
        Resolution,
        User,
    )
    from .idsync import IDSyncResolver
    from .kits import (
        AttributeRule,
        ClientStats,
        ConsentRule,
        Filters,
        Kit,
        KitConfiguration,
        KitContext,
        Session,
    )
    from .kits.data_plan import DataPlan
    from .kits.logging_kit import KitCall, LoggingKit
    from .kits.remote import RemoteConfiguration
    from .kits.reports import ForwardingReport
    from .upload_kit import MParticleUploadKit

__all__ = [
    "Alias",
    "AttributeRule",
    "Braze",
    "BrazeKit",
    "BrazeUser",
    "CCPAConsent",
    "ClientStats",
    "ClosedError",
    "CommerceEvent",
    "ConfigurationError",
    "ConsentRule",
    "ConsentState",
    "DataPlan",
    "DeliveryOptions",
    "DeliveryReport",
    "DeliveryStats",
    "Event",
    "EventType",
    "Filters",
    "FlushResult",
    "ForwardingReport",
    "GDPRConsent",
    "IDSyncResolver",
    "IdentityFailure",
    "IdentityRequest",
    "IdentityResolver",
    "IdentityResult",
    "IdentityType",
    "Impression",
    "InvalidArgumentError",
    "Kit",
    "KitCall",
    "KitConfiguration",
    "KitContext",
    "LoggingKit",
    "MParticle",
    "MParticleError",
    "MParticleUploadKit",
    "PendingResolution",
    "Problem",
    "Product",
    "ProductAction",
    "Promotion",
    "PromotionAction",
    "RemoteConfiguration",
    "Resolution",
    "ScreenView",
    "Session",
    "StorageError",
    "TransactionAttributes",
    "User",
    "__version__",
    "create_kits",
    "discover_kits",
]

_HOMES = {
    name: home
    for home, names in {
        "braze": ("Braze", "BrazeUser"),
        "braze_kit": ("BrazeKit",),
        "client": ("MParticle",),
        "commerce": (
            "CommerceEvent",
            "Impression",
            "Product",
            "ProductAction",
            "Promotion",
            "PromotionAction",
            "TransactionAttributes",
        ),
        "consent": ("CCPAConsent", "ConsentState", "GDPRConsent"),
        "delivery": ("DeliveryOptions", "DeliveryReport", "DeliveryStats", "FlushResult"),
        "diagnostics": ("Problem",),
        "discovery": ("create_kits", "discover_kits"),
        "errors": ("ClosedError", "ConfigurationError", "InvalidArgumentError", "MParticleError", "StorageError"),
        "events": ("Event", "EventType", "ScreenView"),
        "identity": (
            "Alias",
            "IdentityFailure",
            "IdentityRequest",
            "IdentityResolver",
            "IdentityResult",
            "IdentityType",
            "PendingResolution",
            "Resolution",
            "User",
        ),
        "idsync": ("IDSyncResolver",),
        "kits": (
            "AttributeRule",
            "ClientStats",
            "ConsentRule",
            "Filters",
            "Kit",
            "KitConfiguration",
            "KitContext",
            "Session",
        ),
        "kits.data_plan": ("DataPlan",),
        "kits.logging_kit": ("KitCall", "LoggingKit"),
        "kits.remote": ("RemoteConfiguration",),
        "kits.reports": ("ForwardingReport",),
        "upload_kit": ("MParticleUploadKit",),
    }.items()
    for name in names
}

if not TYPE_CHECKING:  # a type checker would take any name for a public one

    def __getattr__(name: str) -> Any:
        """Load a public name from the module it lives in."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib  # noqa: PLC0415  # the package itself stays light

        value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        """The public names, loaded or not."""
        return sorted({*globals(), *__all__})
