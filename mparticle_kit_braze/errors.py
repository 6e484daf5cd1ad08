"""The exceptions of the package.

MParticleError
├── InvalidArgumentError   a call was given something it can never accept (also a ValueError)
├── ConfigurationError     a setting is missing, unknown or malformed (also a ValueError)
├── ClosedError            a client was used after ``close()`` (also a RuntimeError)
└── StorageError           the storage directory cannot be used at all (also an OSError)

Only a wrong *call* raises. A *value* that Braze would refuse, a full disk or a dead network never
does: those are reported through :class:`~mparticle_kit_braze.diagnostics.Reporter`.
"""

from __future__ import annotations

__all__ = ["ClosedError", "ConfigurationError", "InvalidArgumentError", "MParticleError", "StorageError"]


class MParticleError(Exception):
    """Base class of everything this package raises on purpose."""


class InvalidArgumentError(MParticleError, ValueError):
    """A call was given an argument it can never accept; the message says what, and what is accepted."""


class ConfigurationError(MParticleError, ValueError):
    """A setting is missing, unknown or malformed; the message names the setting and what it takes."""


class ClosedError(MParticleError, RuntimeError):
    """A client was used after it had been closed."""


class StorageError(MParticleError, OSError):
    """The storage directory can neither be created nor used."""
