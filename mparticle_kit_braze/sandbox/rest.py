"""Braze's REST paths: keys and permissions, limits, checks of every object, and the users that result.

A part of the sandbox: its server hands requests under these paths to :meth:`RestApi.receive`. Scripted replies and
faults of the sandbox apply here as well. The checks are written from Braze's documents, not from this package's.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .checks import RequestProblem, parse_json
from .recorder import SandboxRequest
from .replies import Reply

__all__ = ["REST_PATHS", "RestApi", "RestUser"]

JsonObject = dict[str, Any]
Verdict = tuple[int, JsonObject, Any, list[RequestProblem]]
"""Status, answer, parsed body, and what is wrong with it."""

ARRAYS = ("attributes", "events", "purchases")
MAX_OBJECTS = 75
MAX_USERS = 50
MAX_BODY = 4_000_000
CONTROL = frozenset(
    {"external_id", "user_alias", "braze_id", "_update_existing_only", "_merge_objects", "push_token_import"}
)

REST_PATHS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "/users/track": ("users.track", ARRAYS),
    "/users/identify": (
        "users.identify",
        ("aliases_to_identify", "emails_to_identify", "phone_numbers_to_identify"),
    ),
    "/users/alias/new": ("users.alias.new", ("user_aliases",)),
    "/users/alias/update": ("users.alias.update", ("alias_updates",)),
    "/users/merge": ("users.merge", ("merge_updates",)),
    "/users/delete": (
        "users.delete",
        ("external_ids", "user_aliases", "braze_ids", "email_addresses", "phone_numbers"),
    ),
    "/v2/subscription/status/set": ("subscription.status.set", ("subscription_groups",)),
}
"""Path -> the permission a key needs, and the lists a body may have."""


@dataclass(slots=True)
class RestUser:
    """A user as the REST API made it.

    Attributes:
        attributes: Standard and custom attributes.
        events: How often each event happened.
        purchases: How many pieces of each product were bought.
        revenue: Price times quantity, by currency.
        aliases: By label, the name.
        subscription_groups: By group id, the state.
    """

    attributes: JsonObject = field(default_factory=dict)
    events: Counter[str] = field(default_factory=Counter)
    purchases: Counter[str] = field(default_factory=Counter)
    revenue: Counter[str] = field(default_factory=Counter)
    aliases: dict[str, str] = field(default_factory=dict)
    subscription_groups: dict[str, str] = field(default_factory=dict)


class RestApi:
    """The REST side of a sandbox.

    Args:
        scripted: Gives the scripted reply for a request, ``None`` for the ordinary answer.
        seen: Called with each request.
        keep_requests: How many requests are remembered; ``None`` for all.

    Attributes:
        keys: REST key -> its permissions (empty: all). Empty: any key may do anything.
        batch_rule: 75 objects ``combined`` or ``per_array``.
        rate_limit: Requests and seconds of a window; ``None``: no limit.
        counts: Objects taken in, by array, and ``requests``.
    """

    def __init__(
        self,
        scripted: Callable[[SandboxRequest], Reply | None],
        seen: Callable[[SandboxRequest], object] = lambda _request: None,
        *,
        keep_requests: int | None = None,
    ) -> None:
        self._scripted = scripted
        self._seen = seen
        self._lock = threading.RLock()
        self.keys: dict[str, frozenset[str]] = {}
        self.batch_rule: Literal["combined", "per_array"] = "combined"
        self.rate_limit: tuple[int, float] | None = None
        self._requests: deque[SandboxRequest] = deque(maxlen=keep_requests)
        self.reset()

    def reset(self) -> None:
        """Forget requests, users and counts; keys and limits stay."""
        with self._lock:
            self._requests.clear()
            self.counts: Counter[str] = Counter()
            self.users: dict[str, RestUser] = {}
            self.deleted: list[str] = []
            self._window = (0.0, 0)

    @property
    def requests(self) -> list[SandboxRequest]:
        """The remembered requests, oldest first."""
        with self._lock:
            return list(self._requests)

    def user(self, external_id: str) -> RestUser:
        """One user. Raises ``KeyError`` when nothing of that user has arrived."""
        with self._lock:
            return self.users[external_id]

    # -- serving ------------------------------------------------------------------------------------------------
    def receive(self, method: str, path: str, headers: Mapping[str, str], raw: bytes) -> tuple[Reply, int, Any]:
        """Take one request in, or not, and say how to answer it."""
        now = time.time()
        with self._lock:
            rate = self._rate_headers(now)
        verdict: Verdict = (429, {"message": "the rate limit is used up"}, {}, [])
        if rate is None or not rate.pop("over", ""):
            verdict = self._judge(path, headers, raw)
        status, answer, body, problems = verdict

        def seen(status: int, *, recorded: bool) -> SandboxRequest:
            return SandboxRequest(method, path, headers, body, raw, now, status, tuple(problems), recorded)

        scripted = self._scripted(seen(status, recorded=False))
        reply = scripted or Reply(headers=rate or {})
        if scripted is not None and scripted.status is not None and status < 300:
            status = scripted.status
        unanswered = reply.hang or reply.close
        recorded = 200 <= status < 300 and not unanswered
        # A scripted success takes the objects in, but for those that its own list of errors refuses.
        refused = _listed(reply.body if isinstance(reply.body, Mapping) else answer)
        with self._lock:
            if recorded:
                self._apply(path, body, refused)
            request = seen(0 if unanswered else status, recorded=recorded)
            self._requests.append(request)
            self.counts["requests"] += 1
        self._seen(request)
        return reply, status, answer

    def _rate_headers(self, now: float) -> dict[str, str] | None:
        """Count a request and return the headers; ``over`` among them if it is one too many."""
        if self.rate_limit is None:
            return None
        limit, window = self.rate_limit
        start, used = self._window
        if now >= start + window:
            start, used = now, 0
        self._window = (start, used + 1)
        headers = {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(max(0, limit - used - 1)),
            "X-RateLimit-Reset": f"{start + window - now:.3f}",
        }
        return {**headers, "over": "yes"} if used >= limit else headers

    def _judge(self, path: str, headers: Mapping[str, str], raw: bytes) -> Verdict:
        refusal = self._refused_key(path, headers)
        if refusal is not None:
            return *refusal, {}, []
        if len(raw) > MAX_BODY:
            return 413, {"message": "the body is too large"}, {}, []
        try:
            body = parse_json(raw)
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            return 400, {"message": "the body is not a JSON object"}, {}, [RequestProblem("body", None, "not JSON")]
        if path == "/users/track":
            return self._judge_track(body)
        return *_judge_users(path, body), body, []

    def _refused_key(self, path: str, headers: Mapping[str, str]) -> tuple[int, JsonObject] | None:
        scheme, _, key = (headers.get("Authorization") or "").partition(" ")
        if scheme != "Bearer" or not key or (self.keys and key not in self.keys):
            return 401, {"message": "Invalid API key"}
        permissions = self.keys.get(key)
        if permissions and REST_PATHS[path][0] not in permissions:
            return 403, {"message": "this key may not do that"}
        return None

    def _judge_track(self, body: JsonObject) -> Verdict:
        sizes = {array: len(body[array]) for array in ARRAYS if isinstance(body.get(array), list)}
        most = sum(sizes.values()) if self.batch_rule == "combined" else max(sizes.values(), default=0)
        if most > MAX_OBJECTS:
            return 400, {"message": "Max Input Length Exceeded"}, body, []
        problems = [
            RequestProblem(array, index, reason)
            for array in sizes
            for index, item in enumerate(body[array])
            for reason in _object_problem(array, item)
        ]
        errors = [
            {"type": problem.reason, "input_array": problem.where, "index": problem.index} for problem in problems
        ]
        if len(errors) == sum(sizes.values()):
            message = "Valid data must be provided in the 'attributes', 'events', or 'purchases' fields."
            return 400, {"message": message, "errors": errors}, body, problems
        answer: JsonObject = {"message": "success"}
        for array, size in sizes.items():
            answer[f"{array}_processed"] = size - sum(1 for problem in problems if problem.where == array)
        if errors:
            answer["errors"] = errors
        return 201, answer, body, problems

    # -- applying -----------------------------------------------------------------------------------------------
    def _apply(self, path: str, body: JsonObject, refused: set[tuple[str, int]]) -> None:
        if path == "/users/track":
            for array in ARRAYS:
                for index, item in enumerate(body.get(array) or ()):
                    if (array, index) not in refused:
                        self.counts[array] += 1
                        self._apply_object(array, item)
        elif path == "/users/delete":
            for external_id in body.get("external_ids") or ():
                self.deleted.append(external_id)
                self.users.pop(external_id, None)
        elif path == "/v2/subscription/status/set":
            for group in body["subscription_groups"]:
                for external_id in group.get("external_ids") or ():
                    user = self.users.setdefault(external_id, RestUser())
                    user.subscription_groups[group["subscription_group_id"]] = group["subscription_state"]
        elif path == "/users/alias/new":
            for alias in body["user_aliases"]:
                if alias.get("external_id") in self.users:
                    self.users[alias["external_id"]].aliases[alias["alias_label"]] = alias["alias_name"]

    def _apply_object(self, array: str, item: JsonObject) -> None:
        external_id = item.get("external_id")
        if external_id is None:
            return
        user = self.users.get(external_id)
        if user is None:
            if item.get("_update_existing_only") is True:
                return
            user = self.users[external_id] = RestUser()
        if array == "events":
            user.events[item["name"]] += 1
        elif array == "purchases":
            quantity = item.get("quantity") or 1
            user.purchases[item["product_id"]] += quantity
            user.revenue[item["currency"]] += item["price"] * quantity
        else:
            for key, value in item.items():
                if key not in CONTROL:
                    _set_attribute(user.attributes, key, value)


def _set_attribute(attributes: JsonObject, key: str, value: Any) -> None:
    if value is None:
        attributes.pop(key, None)
    elif isinstance(value, dict) and value.keys() == {"inc"}:
        known = attributes.get(key, 0)
        attributes[key] = (known if isinstance(known, int | float) else 0) + value["inc"]
    elif isinstance(value, dict) and value.keys() == {"add"}:
        kept = [member for member in attributes.get(key, []) if member not in value["add"]]
        attributes[key] = [*kept, *value["add"]]
    elif isinstance(value, dict) and value.keys() == {"remove"}:
        attributes[key] = [member for member in attributes.get(key, []) if member not in value["remove"]]
    else:
        attributes[key] = value


def _listed(answer: Mapping[str, Any]) -> set[tuple[Any, Any]]:
    errors = answer.get("errors")
    listed = [error for error in errors if isinstance(error, Mapping)] if isinstance(errors, list) else []
    return {(error.get("input_array"), error.get("index")) for error in listed}


# -- checks -------------------------------------------------------------------------------------------------------
def _judge_users(path: str, body: JsonObject) -> tuple[int, JsonObject]:
    lists = {name: body[name] for name in REST_PATHS[path][1] if body.get(name)}
    if len(lists) != 1:
        return 400, {"message": f"exactly one of {', '.join(REST_PATHS[path][1])} is required"}
    ((name, items),) = lists.items()
    if not isinstance(items, list) or _users_in(name, items) > MAX_USERS:
        return 400, {"message": f"{name} takes up to {MAX_USERS}"}
    if path == "/users/delete":
        return 201, {"deleted": len(items), "message": "success"}
    if path == "/users/merge":
        return 202, {"message": "success"}
    if path.startswith("/v2/"):
        return 201, {"message": "success"}
    return 201, {"aliases_processed": len(items), "message": "success"}


def _users_in(name: str, items: Iterable[Any]) -> int:
    if name != "subscription_groups":
        return len(list(items))
    return sum(len(group.get(key) or ()) for group in items for key in ("external_ids", "emails", "phones"))


def _object_problem(array: str, item: Any) -> Iterable[str]:
    """At most one reason to refuse an object, in Braze's words where they are known."""
    if not isinstance(item, dict):
        yield "object expected"
        return
    identifiers = [key for key in ("external_id", "braze_id", "user_alias") if item.get(key)]
    imports = array == "attributes" and item.get("push_token_import") is True
    if not identifiers and not imports and not (item.get("email") or item.get("phone")):
        yield "'external_id' or 'braze_id' or 'user_alias' is required"
    elif len(identifiers) > 1:
        yield "only one of 'external_id', 'braze_id' and 'user_alias' may be given"
    elif len(str(item.get("external_id", "")).encode("utf-8", "replace")) > 987:
        yield "EXTERNAL_USER_ID_TOO_LARGE"
    elif array == "events" and not (isinstance(item.get("name"), str) and item["name"]):
        yield "'name' is required"
    elif array == "purchases" and not (isinstance(item.get("product_id"), str) and item["product_id"]):
        yield "'product_id' is required"
    elif array == "purchases" and not (isinstance(item.get("currency"), str) and len(item["currency"]) == 3):
        yield "'currency' must be an ISO 4217 currency"
    elif array == "purchases" and type(item.get("price")) not in (int, float):
        yield "'price' is required"
    elif array == "purchases" and not _is_quantity(item.get("quantity")):
        yield "'quantity' must be from 1 to 100"
    elif array != "attributes" and not isinstance(item.get("time"), str):
        yield "'time' is required"
    elif array == "attributes" and not _subscription_is_known(item):
        yield "BAD_EMAIL_SUBSCRIPTION_STATE"
    elif any(not key or key.startswith("$") or len(key) > 255 for key in _keys(array, item)):
        yield "a key is empty, too long or begins with $"


def _is_quantity(value: Any) -> bool:
    return value is None or (type(value) is int and 1 <= value <= 100)


def _subscription_is_known(item: JsonObject) -> bool:
    states = ("opted_in", "subscribed", "unsubscribed")
    return all(item[key] in states for key in ("email_subscribe", "push_subscribe") if key in item)


def _keys(array: str, item: JsonObject) -> Iterable[str]:
    keys = item.keys() if array == "attributes" else (item.get("properties") or {}).keys()
    return (key.strip() for key in keys)
