"""The commands of ``python -m mparticle_kit_braze``, one module each; only these print.

Nothing of the package imports them but ``__main__``, when a command is used, and the sandbox's page, which shows what
``explain`` finds.
"""

from __future__ import annotations

__all__: list[str] = []
