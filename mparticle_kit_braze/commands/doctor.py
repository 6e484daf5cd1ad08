"""``doctor``: what is wrong with key, endpoint, clock and storage, and how to mend it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence

from .arguments import Parser, add_json, positive_seconds
from .checks import Finding, Verdict
from .console import clean, colour, pieces, terminal_width, write, write_json
from .endpoint_checks import check_endpoint, check_key
from .machine_checks import check_libraries
from .running import Exit
from .storage_checks import check_storage

__all__ = ["main"]

EXAMPLES = """\
Each line is OK, WARN (it works, but not as it should) or FAIL, what is so, and what to do.
Only FAIL makes the exit status 1.

examples:
  $ export BRAZE_API_KEY=5f1e3a0c-8d2b-4b5e-9c1d-7a6b5c4d3e2f
  $ export BRAZE_SDK_ENDPOINT=http://127.0.0.1:8321
  $ python -m mparticle_kit_braze doctor --storage state
  OK    python     Python 3.11.7, mparticle_kit_braze 0.1.0, SQLite 3.40.1
  OK    requests   requests 2.34.2, urllib3 2.8.0
  OK    tls        OpenSSL 3.0.19
  OK    key        5f1e... (36 characters) has the form of an app identifier key
  OK    endpoint   127.0.0.1:8321 is this machine, such as a sandbox
  OK    name       127.0.0.1 is 127.0.0.1
  OK    answer     HTTP 404 in 9 ms, so there is a server
  OK    storage    /home/ada/state belongs to this user
  OK    modes      nobody else can read it (directories 0700, files 0600)
  OK    writable   files can be made and written in it
  OK    locks      the file system has locks, so processes can share the directory
  OK    room       76,678 MiB free
  OK    files      6 databases, whole and of a known version (schema 1)
  WARN  queue      Braze: 1 dead letters, refused by the other side; see the command queue: dead, retry, delete
"""

COLOURS = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "red"}


def main(arguments: Sequence[str]) -> int:
    """Run the command; see ``--help``."""
    options = _parser().parse_args(arguments)
    findings = []
    for finding in _findings(options):
        findings.append(finding)
        if not options.json:  # as they come: some take a while
            write(_lines(finding))
    failed = any(finding.verdict is Verdict.FAIL for finding in findings)
    if options.json:
        write_json({"ok": not failed, "findings": [finding.to_json() for finding in findings]})
    return Exit.FAILED if failed else Exit.OK


def _parser() -> Parser:
    parser = Parser(
        "doctor",
        "Check the key, the endpoint (name, TLS, an answer), the clock, the storage directory and the libraries, and "
        "say what is wrong and how to mend it. No event is ever sent.",
        EXAMPLES,
    )
    parser.add_argument("--api-key", metavar="KEY", help="better: BRAZE_API_KEY, which others cannot see")
    parser.add_argument("--endpoint", metavar="HOST", help="the SDK endpoint (default: that of BRAZE_SDK_ENDPOINT)")
    parser.add_argument(
        "--storage",
        metavar="DIR",
        help="the storage directory (default: that of MPARTICLE_STORAGE, or else the user's data directory)",
    )
    parser.add_argument("--offline", action="store_true", help="leave the network alone")
    parser.add_argument(
        "--timeout",
        type=positive_seconds,
        default=5.0,
        metavar="SECONDS",
        help="how long to wait for a name, and for an answer (default: 5)",
    )
    add_json(parser)
    return parser


def _findings(options: argparse.Namespace) -> Iterator[Finding]:
    yield from check_libraries()
    yield from check_key(options.api_key or os.environ.get("BRAZE_API_KEY", ""))
    endpoint = options.endpoint or os.environ.get("BRAZE_SDK_ENDPOINT", "")
    yield from check_endpoint(endpoint, timeout=options.timeout, offline=options.offline)
    yield from check_storage(options.storage or os.environ.get("MPARTICLE_STORAGE") or None)


def _lines(finding: Finding) -> Iterator[str]:
    """``OK    key      what is the matter; how to mend it``."""
    text = clean(finding.message + (f"; {finding.mend}" if finding.mend else ""))
    head = f"{finding.verdict.value:<4}  {finding.check:<10} "
    first, *rest = pieces(text, max(20, terminal_width() - len(head)))
    yield colour(f"{finding.verdict.value:<4}", COLOURS[finding.verdict]) + head[4:] + first
    for line in rest:
        yield " " * len(head) + line
