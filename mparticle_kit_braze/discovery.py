"""Finding kits: those of other packages by entry point, and kits made from a configuration by their number or name.

Nothing here runs unless it is asked for: ``MParticle(kits=[...])`` names its kits itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from typing import Any

from .diagnostics import Reporter
from .errors import ConfigurationError
from .kits.configuration import KitConfiguration
from .kits.kit import Kit
from .kits.roster import meant_for
from .values import describe

__all__ = ["ENTRY_POINTS", "KitFactory", "create_kits", "discover_kits"]

ENTRY_POINTS = "mparticle_kit_braze.kits"
"""The group of entry points. Each names a :class:`Kit` class, or a function that makes a kit of a configuration."""

KitFactory = Callable[[KitConfiguration], Kit]


def discover_kits(*, reporter: Reporter | None = None) -> dict[str, type[Kit] | KitFactory]:
    """The kits that installed packages offer, by the name of their entry point.

    A package offers a kit with ``[project.entry-points."mparticle_kit_braze.kits"]`` in its ``pyproject.toml``::

        Acme = "acme_kit:AcmeKit"

    Args:
        reporter: Told of entry points that do not load (``kit_not_loaded``); they are left out.

    Returns:
        Classes and functions; nothing is made yet.
    """
    reporter = reporter or Reporter()
    found: dict[str, type[Kit] | KitFactory] = {}
    for entry in metadata.entry_points(group=ENTRY_POINTS):
        try:
            kit = entry.load()
        except Exception as error:  # noqa: BLE001  # another package's code; the other kits must be found
            why = f"it raised {type(error).__name__}"
            reporter.report("kit_not_loaded", f"Kit {entry.name} cannot be loaded: {why}", key=entry.name)
            continue
        if callable(kit):
            found[entry.name] = kit
        else:
            reporter.report("kit_not_loaded", f"Kit {entry.name} is no kit but {describe(kit)}", key=entry.name)
    return found


def create_kits(
    configurations: Iterable[KitConfiguration | Mapping[str, Any]],
    *,
    kits: Mapping[str, type[Kit] | KitFactory] | None = None,
    reporter: Reporter | None = None,
    environment: str = "production",
) -> list[Kit]:
    """Make the kits that a configuration from mParticle lists.

    A class is chosen by ``kit_id`` or, in the web form, by name; a function by the name it is given under. The
    Braze kit is always among them, unless another one takes its number. Configurations of kits that nobody offers
    are left out and logged at INFO, as mParticle's clients ignore kits that the app does not bundle.

    Args:
        configurations: The list, as mParticle serves it (``eks`` or ``kitConfigs``).
        kits: What there is to choose from; by default what :func:`discover_kits` finds.
        reporter: Told of entry points that do not load.
        environment: Which of two entries for one kit is meant, ``"production"`` or ``"development"`` (web form).

    Raises:
        ConfigurationError: A configuration is malformed.
    """
    parsed = [entry if isinstance(entry, KitConfiguration) else KitConfiguration.from_json(entry)
              for entry in configurations]  # fmt: skip
    offered = discover_kits(reporter=reporter) if kits is None else dict(kits)
    made = []
    for configuration in meant_for(environment, parsed):
        factory = choose(configuration, offered)
        if factory is None:
            named = configuration.name or configuration.kit_id
            logging.getLogger("mparticle_kit_braze").info("No kit here for the configuration of kit %s", named)
        else:
            made.append(make(factory, configuration))
    return made


def choose(
    configuration: KitConfiguration, offered: Mapping[str, type[Kit] | KitFactory]
) -> type[Kit] | KitFactory | None:
    """What makes the kit of a configuration; ``None`` if nothing does."""
    for name, factory in offered.items():
        if fits(configuration, name, factory):
            return factory
    from .braze_kit import BrazeKit  # noqa: PLC0415  # loaded for those it is made for

    names = {"Appboy", BrazeKit.name}  # the web's configuration still calls it so
    return BrazeKit if fits(configuration, "", BrazeKit) or configuration.name in names else None


def fits(configuration: KitConfiguration, name: str, factory: type[Kit] | KitFactory) -> bool:
    """Whether a class or function is the one for a configuration."""
    names = {name.lower()}
    if isinstance(factory, type) and issubclass(factory, Kit):
        if configuration.kit_id and configuration.kit_id == factory.kit_id:
            return True
        names.add((factory.name or factory.__name__).lower())
    return configuration.name is not None and configuration.name.lower() in names


def make(factory: type[Kit] | KitFactory, configuration: KitConfiguration) -> Kit:
    """The kit; :raises ConfigurationError: if it is none."""
    is_class = isinstance(factory, type) and issubclass(factory, Kit)
    kit = factory.from_configuration(configuration) if is_class else factory(configuration)  # type: ignore[union-attr, call-arg]  # is_class says which
    if not isinstance(kit, Kit):
        raise ConfigurationError(f"a kit's entry point must make a Kit, not {describe(kit)}")
    return kit
