"""``python -m tests.vectors FILE [FILE ...]``: replay vectors and report every mismatch."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from .runner import Runner, load


def main(files: Sequence[str]) -> int:
    """Replay the files; 0 if everything matches, 1 if anything differs, 2 for a wrong command line."""
    if not files:
        print("usage: python -m tests.vectors FILE [FILE ...]", file=sys.stderr)
        return 2
    # Refused values are what many vectors are about; their warnings would drown the report.
    logging.getLogger("mparticle_kit_braze").addHandler(logging.NullHandler())
    matching = total = 0
    with Runner() as runner:
        for file in files:
            here = in_file = 0
            for vector in load(file):
                mismatches = runner.run(vector)
                in_file += 1
                here += not mismatches
                for mismatch in mismatches:
                    print(f"{vector['name']}  {mismatch}")
            if len(files) > 1:
                print(f"{file}: {here} of {in_file}")
            matching += here
            total += in_file
    print(f"{matching} of {total} vectors match")
    return 0 if matching == total else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
