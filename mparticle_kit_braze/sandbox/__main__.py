"""``python -m mparticle_kit_braze.sandbox``: the sandbox as a program of its own."""

from __future__ import annotations

import sys

from .command import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
