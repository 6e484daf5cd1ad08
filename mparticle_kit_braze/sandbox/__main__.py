"""``python -m mparticle_kit_braze.sandbox``: the sandbox as a program of its own."""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
from collections.abc import Sequence

from .server import Sandbox

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted and return the exit status.

    The first line on standard output is the URL, for a client's ``endpoint``.
    """
    options = _parser().parse_args(arguments)
    try:
        sandbox = Sandbox(
            options.api_key, limiter=not options.no_limiter, port=options.port, keep_requests=options.keep
        )
    except OSError as error:
        print(f"cannot listen on port {options.port}: {error}", file=sys.stderr)  # noqa: T201 - a program's message
        return 1
    with sandbox, contextlib.suppress(KeyboardInterrupt):
        print(sandbox.url, flush=True)  # noqa: T201 - what the program is for
        if options.once:
            sandbox.wait_for(lambda: sandbox.counts.accepted, timeout=threading.TIMEOUT_MAX)
        else:
            threading.Event().wait()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mparticle_kit_braze.sandbox",
        description="A local Braze. Reads: /sandbox/profiles, /sandbox/events, /sandbox/requests, /sandbox/stats.",
    )
    parser.add_argument("--port", type=int, default=0, metavar="N", help="the port to listen on (default: a free one)")
    parser.add_argument("--api-key", metavar="K", help="the only app key to take (default: any)")
    parser.add_argument("--once", action="store_true", help="end after the first accepted request")
    parser.add_argument("--no-limiter", action="store_true", help="tell clients not to limit their rate")
    parser.add_argument(
        "--keep", type=int, default=10_000, metavar="N", help="requests to remember (default: %(default)s)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
