"""``send``: one event, purchase or user attribute to Braze, and what Braze said."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from typing import Any

from ..braze import Braze
from ..braze.data_endpoint import DataEndpoint
from ..braze_kit import BrazeKit
from ..client import MParticle
from ..delivery import DeliveryOptions, FlushResult
from ..delivery.destination import Outcome, Request, Response
from ..diagnostics import Problem
from ..overriding import override
from .arguments import Parser, add_json, amount, positive_seconds
from .calls import make_call, read_script
from .console import clean, colour, masked, warn, write, write_json
from .inputs import loose_value, pair, read_document, read_settings
from .kit_settings import PROFILES, add_settings, kit_configuration
from .running import Exit, UsageError

__all__ = ["main"]

EXAMPLES = """\
environment:
  BRAZE_API_KEY       the app identifier key
  BRAZE_SDK_ENDPOINT  sdk.iad-03.braze.com, an https:// URL, or an instance such as US-03;
                      http:// for this machine only, such as a sandbox
  BRAZE_PROFILE       native, web, android or ios

Whatever explain takes can be sent from a file. A purchase: --purchase SKU-1 --price 4.5 --currency EUR.

examples:
  $ export BRAZE_API_KEY=5f1e3a0c-8d2b-4b5e-9c1d-7a6b5c4d3e2f
  $ export BRAZE_SDK_ENDPOINT=http://127.0.0.1:8321
  $ python -m mparticle_kit_braze send --event "Played Song" --attribute plays=3 --customer-id ada
  key      5f1e... (36 characters)
  profile  native
  to       http://127.0.0.1:8321/api/v3/data/
  event    {"name": "ss", "data": {}, "user_id": "ada"}
  event    {"name": "ce", "data": {"n": "Played Song", "p": {"plays": 3}}, "user_id": "ada"}
  answer   200 accepted
  result   accepted
  $ python -m mparticle_kit_braze send --user-attribute level=4 --customer-id ada
  key      5f1e... (36 characters)
  profile  native
  to       http://127.0.0.1:8321/api/v3/data/
  event    {"name": "ss", "data": {}, "user_id": "ada"}
  user     {"user_id": "ada", "custom": {"level": 4}}
  answer   200 accepted
  result   accepted
"""

SAID_ELSEWHERE = frozenset({"delivery_failed", "delivery_unauthorized", "request_refused"})
"""Problems that the answer and the result tell already."""

JsonObject = dict[str, Any]


def main(arguments: Sequence[str]) -> int:
    """Run the command; see ``--help``."""
    options = _parser().parse_args(arguments)
    script = read_script(_document(options))
    key, endpoint = _key(options), _endpoint(options)
    settings = {**script.settings, **read_settings(options.settings, options.setting)}
    kit = _TellingKit.from_configuration(
        kit_configuration(settings, key, endpoint),
        profile=options.profile,
        delivery_options=DeliveryOptions(connect_timeout=options.timeout, read_timeout=options.timeout),
    )
    problems: list[Problem] = []
    client = MParticle([kit], storage=options.storage or ":memory:", on_error=problems.append)
    try:
        if any(problem.code == "storage_unavailable" for problem in problems):
            raise UsageError(f"the storage directory {options.storage} cannot be used; doctor --storage says why")
        who = {"customer_id": options.customer_id} if options.customer_id else script.identities
        kit.braze.delivery.pause()  # all calls in one request
        for call in [{"call": "identify", "identities": who}, *script.calls] if who else script.calls:
            make_call(client, call)
        kit.braze.delivery.unpause()
        result = client.flush(options.timeout)
        # Told before the end, which reports once more what could not be sent.
        found = _found(kit, result, kit.braze.stats().last_error, problems)
    finally:
        client.close(timeout=0)
    if options.json:
        write_json(found)
    else:
        write(_told(found, masked(key), options))
    return Exit.OK if found["accepted"] else Exit.FAILED


def _parser() -> Parser:
    parser = Parser(
        "send",
        "Send one event, purchase or user attribute to a Braze instance or a local sandbox, and show what was sent and "
        "what the answer was. Nothing is stored unless --storage names a directory.",
        EXAMPLES,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("file", nargs="?", help="a JSON file of calls, as explain takes them; - for standard input")
    what.add_argument("--event", metavar="NAME", help="a custom event of this name")
    what.add_argument("--purchase", metavar="SKU", help="a purchase of this product, with --price")
    what.add_argument(
        "--user-attribute",
        action="append",
        metavar="NAME=VALUE",
        help="a user attribute; may be given several times",
    )
    parser.add_argument(
        "--attribute",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an attribute of the event or purchase; 3, 4.5, true and null are themselves, '\"3\"' is a text",
    )
    parser.add_argument("--type", default="other", help="the event's type (default: %(default)s)")
    parser.add_argument("--price", type=amount, metavar="AMOUNT", help="the price of one")
    parser.add_argument("--quantity", type=amount, default=1, metavar="N", help="how many (default: 1)")
    parser.add_argument("--currency", metavar="CODE", help="ISO 4217, such as EUR (default: the profile's)")
    parser.add_argument("--product-name", metavar="NAME", help="the product's name (default: its SKU)")
    parser.add_argument("--customer-id", metavar="ID", help="whom it is about (default: an anonymous user)")
    parser.add_argument("--api-key", metavar="KEY", help="better: BRAZE_API_KEY, which others cannot see")
    parser.add_argument("--endpoint", metavar="HOST", help="the SDK endpoint (default: that of BRAZE_SDK_ENDPOINT)")
    parser.add_argument(
        "--profile", choices=PROFILES, default=_default_profile(), help="whose mapping (default: %(default)s)"
    )
    add_settings(parser)
    parser.add_argument("--storage", metavar="DIR", help="keep what cannot be sent here; send what is kept here too")
    parser.add_argument(
        "--timeout", type=positive_seconds, default=10.0, metavar="SECONDS", help="when to give up (default: 10)"
    )
    add_json(parser)
    return parser


def _default_profile() -> str:
    named = os.environ.get("BRAZE_PROFILE") or "native"
    if named not in PROFILES:
        raise UsageError(f"BRAZE_PROFILE must be one of {', '.join(PROFILES)}, not {named!r}")
    return named


def _document(options: argparse.Namespace) -> Any:
    """The calls that the arguments stand for."""
    if options.file is not None:
        return read_document(options.file)
    if options.user_attribute is not None:
        pairs = [pair(text, "--user-attribute") for text in options.user_attribute]
        return [
            {
                "call": "set_user_attribute_list" if isinstance(value, list) else "set_user_attribute",
                "key": name,
                "value": value,
            }
            for name, value in ((name, loose_value(text, numbers=True)) for name, text in pairs)
        ]
    attributes = {
        name: loose_value(text, numbers=True)
        for name, text in (pair(text, "--attribute") for text in options.attribute)
    }
    if options.event is not None:
        return {"call": "log_event", "name": options.event, "type": options.type, "attributes": attributes}
    if options.price is None:
        raise UsageError("--purchase needs --price")
    name = options.product_name or options.purchase
    product = {"name": name, "sku": options.purchase, "price": options.price, "quantity": options.quantity}
    event = {"product_action": "purchase", "products": [product], "currency": options.currency}
    return {"call": "log_commerce_event", "event": {**event, "attributes": attributes}}


def _key(options: argparse.Namespace) -> str:
    if options.api_key:
        warn("note: others on this machine can see a key in the arguments; set BRAZE_API_KEY instead")
    key: str = options.api_key or os.environ.get("BRAZE_API_KEY", "")
    if not key:
        raise UsageError("set BRAZE_API_KEY to the app identifier key")
    return key


def _endpoint(options: argparse.Namespace) -> str:
    endpoint: str = options.endpoint or os.environ.get("BRAZE_SDK_ENDPOINT", "")
    if not endpoint:
        raise UsageError("name the SDK endpoint with --endpoint or BRAZE_SDK_ENDPOINT, such as sdk.iad-03.braze.com")
    return endpoint


# -- the kit that tells -----------------------------------------------------------------------------------------------
class _TellingEndpoint(DataEndpoint):
    """Notes each request and its answer."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.exchanges: list[JsonObject] = []

    @override
    def interpret(self, request: Request, response: Response) -> Outcome:
        outcome = super().interpret(request, response)
        body = json.loads(request.body)
        answer = _json_or_none(response.body)
        self.exchanges.append(
            {
                "url": request.url,
                "events": body.get("events", []),
                "attributes": body.get("attributes", []),
                "status": response.status,
                "error": response.error,
                "verdict": outcome.verdict.value,
                "reason": outcome.reason,
                "answer": _without_configuration(answer),
            }
        )
        return outcome


class _TellingBraze(Braze):
    """A Braze client over a :class:`_TellingEndpoint`; counts its records, those of sessions aside."""

    _endpoint_class = _TellingEndpoint

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.recorded = 0
        self._recorder.divert(self._count)

    def _count(self, kind: str, payload: bytes) -> bool:
        taken = self.delivery.append(kind, payload)
        self.recorded += taken and not payload.startswith((b'{"name":"ss"', b'{"name":"se"'))
        return taken

    @property
    def exchanges(self) -> list[JsonObject]:
        """The requests made so far, and their answers."""
        return list(self._destination.exchanges) if isinstance(self._destination, _TellingEndpoint) else []


class _TellingKit(BrazeKit):
    """A Braze kit over a :class:`_TellingBraze`."""

    @override
    def _braze_class(self) -> type[Braze]:
        return _TellingBraze

    @property
    def exchanges(self) -> list[JsonObject]:
        """The requests made so far, and their answers."""
        return self._braze.exchanges if isinstance(self._braze, _TellingBraze) else []

    @property
    def recorded(self) -> int:
        """How many records there are to send."""
        return self._braze.recorded if isinstance(self._braze, _TellingBraze) else 0


def _json_or_none(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _without_configuration(answer: Any) -> Any:
    """The answer without what it brings for the client itself, which is long."""
    if not isinstance(answer, dict):
        return None
    return {key: value for key, value in answer.items() if key not in ("config", "triggers")}


# -- the result -------------------------------------------------------------------------------------------------------
def _found(kit: _TellingKit, result: FlushResult, last_error: str | None, problems: Sequence[Problem]) -> JsonObject:
    return {
        "accepted": kit.recorded > 0 and result.complete and not result.dead and not result.dropped,
        "requests": kit.exchanges,
        "sent": result.sent,
        "kept": result.kept,
        "refused": result.dead,
        "error": last_error,
        "warnings": [
            {"code": problem.code, "message": problem.message}
            for problem in problems
            if problem.code not in SAID_ELSEWHERE
        ],
    }


def _told(found: JsonObject, key: str, options: argparse.Namespace) -> Iterator[str]:
    yield f"key      {key}"
    yield f"profile  {options.profile}"
    for exchange in found["requests"]:
        yield f"to       {clean(exchange['url'])}"
        for kind, name in (("events", "event"), ("attributes", "user")):
            for record in exchange[kind]:
                shown = {each: value for each, value in record.items() if each not in ("session_id", "time")}
                yield f"{name:<7}  {clean(json.dumps(shown, ensure_ascii=False))}"
        answer = f" {clean(json.dumps(exchange['answer'], ensure_ascii=False))}" if exchange["answer"] else ""
        status = f"{exchange['status']} {exchange['verdict']}" if exchange["status"] else f"none ({exchange['error']})"
        yield f"answer   {colour(status, 'green' if exchange['verdict'] == 'accepted' else 'red')}{answer}"
    for warning in found["warnings"]:
        yield colour(f"warning  {clean(warning['message'])}", "yellow")
    yield f"result   {_result(found, options)}"


def _result(found: JsonObject, options: argparse.Namespace) -> str:
    if found["accepted"]:
        by = "" if found["requests"] else ", by another process that uses the directory"
        return colour(f"accepted{by}", "green")
    if found["refused"]:
        return colour("refused: what is wrong stands in the warnings", "red")
    if not found["kept"]:
        return colour("there was nothing to send", "red")
    why = clean(found["error"] or f"no answer within {options.timeout:g} seconds")
    after = f"kept in {clean(options.storage)}" if options.storage else "nothing is kept"
    return colour(f"not sent: {why}; {after}", "red")
