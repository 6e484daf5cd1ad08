"""Telling the inspector of a sandbox what a client does; loaded by :meth:`MParticle.inspect` only."""

from __future__ import annotations

from .inspection import Inspection

__all__ = ["Inspection"]
