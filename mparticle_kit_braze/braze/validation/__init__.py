"""What Braze's SDKs accept, one module a kind.

Each check returns the value as it goes on the wire, or raises
:class:`~mparticle_kit_braze.braze.refusal.Refused`.
"""

from __future__ import annotations

__all__: list[str] = []
