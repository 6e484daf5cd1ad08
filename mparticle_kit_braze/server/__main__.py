"""``python -m mparticle_kit_braze.server``, see :mod:`mparticle_kit_braze.server.command`."""

from __future__ import annotations

import sys

from .command import main

if __name__ == "__main__":
    sys.exit(main())
