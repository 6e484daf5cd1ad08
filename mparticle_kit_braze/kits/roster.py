"""Who the kits are: their names, and which configuration of a server's list is whose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import ConfigurationError
from ..values import describe
from .configuration import KitConfiguration
from .kit import Kit
from .route import Route

__all__ = ["configuration_for", "meant_for", "named_kits"]

SIDELOADED = 1_000_000
"""Kit ids from here on, and 0, are of one's own: no configuration from a server starts or stops them."""


def named_kits(kits: Sequence[Kit]) -> dict[str, Kit]:
    """The kits by name: its own, or its class's."""
    if isinstance(kits, Kit):
        raise ConfigurationError("kits must be a sequence of Kit objects; put the kit in a list")
    if isinstance(kits, str | bytes | Mapping) or not hasattr(kits, "__iter__"):
        raise ConfigurationError(f"kits must be a sequence of Kit objects, not {describe(kits)}")
    named: dict[str, Kit] = {}
    for kit in kits:
        if not isinstance(kit, Kit):
            given = f"the class {kit.__name__}" if isinstance(kit, type) else describe(kit)
            raise ConfigurationError(f"kits must hold Kit objects; one is {given}")
        name = kit.name or type(kit).__name__
        if name.lower() in (known.lower() for known in named):
            raise ConfigurationError(f"two kits are named {name!r}; give one of them another name")
        named[name] = kit
    if not named:
        raise ConfigurationError("MParticle needs at least one kit, such as BrazeKit(api_key, endpoint)")
    return named


def meant_for(environment: str, configurations: Sequence[KitConfiguration]) -> list[KitConfiguration]:
    """The configurations of a list without those that have a twin for this environment (the web form lists both)."""
    applied = {(entry.kit_id, entry.name) for entry in configurations if entry.applies_to(environment)}
    return [
        entry for entry in configurations if entry.applies_to(environment) or (entry.kit_id, entry.name) not in applied
    ]


def configuration_for(route: Route, configurations: Sequence[KitConfiguration]) -> KitConfiguration | None:
    """The configuration that a server's list holds for a kit; ``None`` to leave the kit as it is."""
    for configuration in configurations:
        same_id = configuration.kit_id != 0 and configuration.kit_id == route.kit.kit_id
        if same_id or (configuration.name is not None and configuration.name.lower() == route.name.lower()):
            return configuration
    if 0 < route.kit.kit_id < SIDELOADED:
        return KitConfiguration(kit_id=route.kit.kit_id, bracket=(0, 0))  # nobody: mParticle destroys such kits
    return None
