"""A strict mParticle on loopback: it checks every batch against the public rules and keeps what it accepts."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from typing_extensions import Self

KEY, SECRET = "s2s-key", "s2s-secret"

MAX_REQUEST, MAX_BATCH, MAX_BATCHES = 256 * 1000, 128 * 1000, 100

BATCH_FIELDS: dict[str, Any] = {
    "source_request_id": str,
    "environment": str,
    "mpid": int,
    "mp_deviceid": str,
    "sdk_version": str,
    "events": list,
    "user_attributes": dict,
    "deleted_user_attributes": list,
    "user_identities": dict,
    "consent_state": dict,
    "application_info": dict,
}
COMMON = {
    "timestamp_unixtime_ms",
    "source_message_id",
    "session_uuid",
    "session_start_unixtime_ms",
    "custom_attributes",
}
EVENTS: dict[str, tuple[set[str], set[str]]] = {  # required and optional fields
    "custom_event": ({"event_name", "custom_event_type"}, set()),
    "screen_view": ({"screen_name"}, set()),
    "commerce_event": (set(), {"product_action", "promotion_action", "product_impressions", "currency_code"}),
    "session_start": (set(), set()),
    "session_end": ({"session_duration_ms"}, set()),
    "user_attribute_change": ({"user_attribute_name", "new", "old", "deleted", "is_new_attribute"}, set()),
    "user_identity_change": ({"new", "old"}, set()),
    "opt_out": ({"is_opted_out"}, set()),
    "push_registration": ({"register", "registration_token"}, set()),
    "application_state_transition": ({"application_transition_type"}, set()),
}
EVENT_TYPES = {
    "navigation",
    "location",
    "search",
    "transaction",
    "user_content",
    "user_preference",
    "social",
    "other",
    "media",
    "unknown",
}
IDENTITIES = {
    "other",
    "customer_id",
    "facebook",
    "twitter",
    "google",
    "microsoft",
    "yahoo",
    "email",
    "facebook_custom_audience_id",
    "mobile_number",
    "phone_number_2",
    "phone_number_3",
    *(f"other_id_{number}" for number in range(2, 11)),
}
ACTIONS = {
    "add_to_cart",
    "remove_from_cart",
    "checkout",
    "checkout_option",
    "click",
    "view_detail",
    "purchase",
    "refund",
    "add_to_wishlist",
    "remove_from_wish_list",
}
PRODUCT = {
    "id",
    "name",
    "brand",
    "category",
    "variant",
    "position",
    "price",
    "quantity",
    "coupon_code",
    "total_product_amount",
    "custom_attributes",
}
PRODUCT_ACTION = {
    "action",
    "transaction_id",
    "affiliation",
    "coupon_code",
    "total_amount",
    "tax_amount",
    "shipping_amount",
    "checkout_step",
    "checkout_options",
    "product_action_list",
    "product_list_source",
    "products",
}
UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class RuleBrokenError(Exception):
    """A rule that is broken."""


def check(condition: object, rule: str) -> None:
    if not condition:
        raise RuleBrokenError(rule)


def check_request(body: bytes) -> list[dict[str, Any]]:
    """The batches of a request; :raises RuleBrokenError: with the rule that it breaks."""
    check(len(body) <= MAX_REQUEST, "request size")
    batches = json.loads(body)
    check(isinstance(batches, list) and 0 < len(batches) <= MAX_BATCHES, "an array of 1 to 100 batches")
    for batch in batches:
        check_batch(batch)
    return list(batches)


def check_batch(batch: Any) -> None:
    check(isinstance(batch, dict), "a batch is an object")
    check(len(json.dumps(batch, separators=(",", ":"))) <= MAX_BATCH, "batch size")
    check(set(batch) <= set(BATCH_FIELDS), f"unknown field {set(batch) - set(BATCH_FIELDS)}")
    for name, value in batch.items():
        check(isinstance(value, BATCH_FIELDS[name]), f"type of {name}")
    check(batch.get("environment") in ("production", "development"), "environment")
    check(UUID.fullmatch(batch.get("source_request_id", "")), "source_request_id")
    check(set(batch.get("user_identities", {})) <= IDENTITIES, "identity types")
    check(all(isinstance(value, str) for value in batch.get("user_identities", {}).values()), "identities are texts")
    for key, value in batch.get("user_attributes", {}).items():
        check_user_attribute(key, value)
    check(all(isinstance(key, str) for key in batch.get("deleted_user_attributes", [])), "deleted attributes")
    check(not set(batch.get("user_attributes", {})) & set(batch.get("deleted_user_attributes", [])), "set and deleted")
    for purpose, record in batch.get("consent_state", {}).get("gdpr", {}).items():
        check(purpose == purpose.strip().lower(), "purpose")
        check_consent(record)
    ccpa = batch.get("consent_state", {}).get("ccpa")
    check(ccpa is None or set(ccpa) == {"data_sale_opt_out"}, "ccpa")
    check(batch.get("events"), "events")
    for event in batch["events"]:
        check_event(event)
    check(len({event["data"].get("session_uuid") for event in batch["events"]}) == 1, "one session a batch")


def check_consent(record: Any) -> None:
    check(isinstance(record["consented"], bool), "consented")
    check(isinstance(record["timestamp_unixtime_ms"], int), "consent time")
    check(
        set(record) <= {"consented", "timestamp_unixtime_ms", "document", "location", "hardware_id"}, "consent fields"
    )


def check_user_attribute(key: str, value: Any) -> None:
    check(0 < len(key) <= 256, "user attribute key")
    if isinstance(value, list):
        check(len(value) <= 1000, "list length")
        check(all(isinstance(entry, str) and len(entry) <= 512 for entry in value), "list entries")
    else:
        check_scalar(value)


def check_scalar(value: Any) -> None:
    check(value is None or isinstance(value, str | int | float | bool), "a scalar")
    check(not isinstance(value, str) or len(value) <= 4096, "length of a value")


def check_custom_attributes(attributes: Any) -> None:
    check(isinstance(attributes, dict) and 0 < len(attributes) <= 100, "number of attributes")
    for key, value in attributes.items():
        check(len(key) <= 256, "attribute key")
        check_scalar(value)


def check_event(event: Any) -> None:
    check(set(event) == {"event_type", "data"}, "an event has a type and data")
    kind, data = event["event_type"], event["data"]
    check(kind in EVENTS, f"event type {kind}")
    required, optional = EVENTS[kind]
    check(required <= set(data), f"{kind} misses {required - set(data)}")
    check(set(data) <= required | optional | COMMON, f"{kind} has {set(data) - required - optional - COMMON}")
    check(isinstance(data.get("timestamp_unixtime_ms"), int), "timestamp")
    check(UUID.fullmatch(data.get("source_message_id", "")), "source_message_id")
    if "session_uuid" in data:
        check(UUID.fullmatch(data["session_uuid"]) and isinstance(data["session_start_unixtime_ms"], int), "session")
    if "custom_attributes" in data:
        check_custom_attributes(data["custom_attributes"])
    if kind == "custom_event":
        check(0 < len(data["event_name"]) <= 256, "event name")
        check(data["custom_event_type"] in EVENT_TYPES, "custom event type")
    elif kind == "screen_view":
        check(0 < len(data["screen_name"]) <= 256, "screen name")
    elif kind == "commerce_event":
        check_commerce(data)
    elif kind == "user_identity_change":
        for side in (data["old"], data["new"]):
            check(side is None or side["identity_type"] in IDENTITIES, "identity change")


def check_commerce(data: Any) -> None:
    parts = {"product_action", "promotion_action", "product_impressions"} & set(data)
    check(len(parts) == 1, "one of product action, promotion action, impressions")
    products = []
    if "product_action" in data:
        action = data["product_action"]
        check(action["action"] in ACTIONS and set(action) <= PRODUCT_ACTION, "product action")
        products = action["products"]
    elif "promotion_action" in data:
        check(data["promotion_action"]["action"] in ("view", "click"), "promotion action")
        for promotion in data["promotion_action"]["promotions"]:
            check(set(promotion) <= {"id", "name", "creative", "position"}, "promotion")
    else:
        for shown in data["product_impressions"]:
            check(isinstance(shown["product_impression_list"], str), "impression list")
            products += shown["products"]
    for product in products:
        check(set(product) <= PRODUCT and isinstance(product["id"], str), "product")
        for name in ("price", "quantity", "total_product_amount"):
            check(isinstance(product.get(name, 0), int | float), name)
        if product.get("custom_attributes"):
            check_custom_attributes(product["custom_attributes"])


@dataclass(frozen=True)
class Reply:
    """One answer; ``drop`` accepts and then closes the connection without a word."""

    status: int = 202
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    drop: bool = False


@dataclass(frozen=True)
class Received:
    """One request as it came."""

    path: str
    batches: list[dict[str, Any]]
    status: int


class Receiver:
    """``with Receiver() as receiver``; ``script`` holds answers to give first, ``decide`` may refuse batches."""

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self.wrong: list[str] = []
        self.script: deque[Reply] = deque()
        self.decide: Callable[[list[dict[str, Any]]], Reply] = lambda _batches: Reply()
        self._seen: set[str] = set()
        self.batches: list[dict[str, Any]] = []
        """What was accepted, without what came again under the same id."""
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                receiver._answer(self)

            def log_message(self, *args: Any) -> None:
                """Keep standard error clean."""

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that went away is part of the tests."""

        self._http = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    @property
    def events(self) -> list[dict[str, Any]]:
        """All events accepted, in order."""
        return [event for batch in self.batches for event in batch["events"]]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The data of all events of one type."""
        return [event["data"] for event in self.events if event["event_type"] == kind]

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        with self._lock:
            reply = self._judge(handler, body)
        if reply.drop:
            handler.close_connection = True
            return
        content = b"" if reply.body is None else json.dumps(reply.body).encode()
        handler.send_response(reply.status)
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def _judge(self, handler: BaseHTTPRequestHandler, body: bytes) -> Reply:
        expected = "Basic " + base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()
        if handler.headers.get("Authorization") != expected:
            return Reply(401)
        try:
            check(handler.path in ("/v2/bulkevents", "/v2/bulkevents/historical"), "path")
            check(handler.headers.get("Content-Type") == "application/json", "content type")
            batches = check_request(body)
        except (RuleBrokenError, KeyError, TypeError, ValueError) as error:
            self.wrong.append(f"{type(error).__name__}: {error}")
            return Reply(400, {"errors": [{"code": "BAD_REQUEST", "message": str(error)}]})
        reply = self.script.popleft() if self.script else self.decide(batches)
        self.requests.append(Received(handler.path, batches, reply.status))
        if 200 <= reply.status < 300:
            for batch in batches:
                if batch["source_request_id"] not in self._seen:
                    self._seen.add(batch["source_request_id"])
                    self.batches.append(batch)
        return reply
