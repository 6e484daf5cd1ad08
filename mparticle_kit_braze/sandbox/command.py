"""``python -m mparticle_kit_braze sandbox``: a local Braze with a page that shows what arrives."""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
import webbrowser
from collections.abc import Sequence
from typing import TextIO

from .inspector.guard import is_loopback
from .server import Sandbox

__all__ = ["main"]

_DESCRIPTION = """\
Run a local Braze. Open its URL in a browser to watch what arrives: each event,
purchase and attribute with the call and the rule behind it, the users that
result, requests and retries, data points. Everything is kept in memory only.
"""
_EPILOG = """\
examples:
  python -m mparticle_kit_braze sandbox
  python -m mparticle_kit_braze sandbox --port 8321 --open

in your program:
  kit = BrazeKit("any-key", "http://127.0.0.1:8321")
  client.inspect("http://127.0.0.1:8321")   # shows your calls beside the records

The first line on standard output is the URL. Ctrl-C ends it with status 0.
"""
_PORT = 8321


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted.

    Returns:
        0 after Ctrl-C or ``--once``, 1 when it cannot listen.
    """
    options = _parser().parse_args(arguments)
    try:
        sandbox = _sandbox(options)
    except OSError as error:
        place = f"port {options.port}" if is_loopback(options.host) else f"{options.host} port {options.port}"
        _say(f"cannot listen on {place}: {error}", sys.stderr)
        return 1
    with sandbox, contextlib.suppress(KeyboardInterrupt):
        _say(sandbox.url)
        if not options.quiet:
            _introduce(sandbox, options)
        if options.open:
            webbrowser.open(sandbox.url)
        if options.once:
            sandbox.wait_for(lambda: sandbox.counts.accepted, timeout=threading.TIMEOUT_MAX)
        else:
            threading.Event().wait()
    return 0


def _sandbox(options: argparse.Namespace) -> Sandbox:
    """On the port asked for; without one, on the usual one or, if that is taken, on any."""

    def on(port: int) -> Sandbox:
        limiter = not options.no_limiter
        return Sandbox(options.api_key, limiter=limiter, host=options.host, port=port, keep_requests=options.keep)

    if options.port is not None:
        return on(options.port)
    try:
        return on(_PORT)
    except OSError:
        return on(0)


def _introduce(sandbox: Sandbox, options: argparse.Namespace) -> None:
    key = options.api_key or "any-key"
    lines = [
        "",
        f"  inspector   {sandbox.url}/",
        f'  in code     BrazeKit("{key}", "{sandbox.url}")',
        f"  in a shell  export BRAZE_API_KEY={key} BRAZE_SDK_ENDPOINT={sandbox.url}",
        "",
        f"  {'This key only.' if options.api_key else 'Any key is taken.'} Kept in memory only. Ctrl-C ends it.",
    ]
    if not is_loopback(options.host):
        lines.append(f"  Warning: on {options.host}, whoever reaches this machine can read what has arrived.")
    _say("\n".join(lines))


def _say(text: str, stream: TextIO | None = None) -> None:
    print(text, file=stream or sys.stdout, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mparticle_kit_braze sandbox",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", metavar="ADDRESS", help="where to listen (default: %(default)s, this machine)")
    add("--port", type=_port, metavar="N", help=f"the port (default: {_PORT}, or a free one if that is taken)")
    add("--api-key", metavar="KEY", help="the only app key to take (default: any)")
    add("--open", action="store_true", help="open the inspector in a browser")
    add("--quiet", action="store_true", help="print the URL and nothing else")
    add("--once", action="store_true", help="end after the first accepted request")
    add("--no-limiter", action="store_true", help="tell clients not to limit their rate")
    add("--keep", type=int, default=10_000, metavar="N", help="requests to remember (default: %(default)s)")
    return parser


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65_535:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return number
