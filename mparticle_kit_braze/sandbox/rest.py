"""Braze's REST paths: keys and permissions, limits, checks of every object, and the users that result.

A part of the sandbox: its server hands requests under these paths to :meth:`RestApi.receive`. Scripted replies and
faults of the sandbox apply here as well. The checks are written from Braze's documents, not from this package's.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .checks import RequestProblem, parse_json
from .recorder import SandboxRequest
from .replies import Reply
from .rest_checks import MAX_PROPERTIES_BYTES, change_problem, object_problem, size_problem, users_of

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
            return self._judge_track(body, large=len(raw) > MAX_PROPERTIES_BYTES)
        return _judge_users(path, body)

    def _refused_key(self, path: str, headers: Mapping[str, str]) -> tuple[int, JsonObject] | None:
        scheme, _, key = (headers.get("Authorization") or "").partition(" ")
        if scheme != "Bearer" or not key or (self.keys and key not in self.keys):
            return 401, {"message": "Invalid API key"}
        permissions = self.keys.get(key)
        if permissions and REST_PATHS[path][0] not in permissions:
            return 403, {"message": "this key may not do that"}
        return None

    def _judge_track(self, body: JsonObject, *, large: bool) -> Verdict:
        given = [array for array in ARRAYS if body.get(array) is not None]
        if wrong := [array for array in given if type(body[array]) is not list]:
            return _refused(body, wrong[0], "an array is expected")
        sizes = {array: len(body[array]) for array in given}
        most = sum(sizes.values()) if self.batch_rule == "combined" else max(sizes.values(), default=0)
        if most > MAX_OBJECTS:
            return 400, {"message": "Max Input Length Exceeded"}, body, []
        problems = [
            RequestProblem(array, index, reason)
            for array in sizes
            for index, item in enumerate(body[array])
            if (reason := object_problem(array, item) or (large and size_problem(array, item)))
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


# -- the other endpoints ------------------------------------------------------------------------------------------
def _judge_users(path: str, body: JsonObject) -> Verdict:
    """Take a change of who users are as a whole, or not at all."""
    lists = {name: body[name] for name in REST_PATHS[path][1] if body.get(name)}
    if len(lists) != 1:
        return _refused(body, "body", f"exactly one of {', '.join(REST_PATHS[path][1])} is required")
    ((name, items),) = lists.items()
    if type(items) is not list or len(items) > MAX_USERS:
        return _refused(body, name, f"an array of up to {MAX_USERS} is expected")
    problems = [
        RequestProblem(name, index, reason)
        for index, item in enumerate(items)
        if (reason := change_problem(name, item))
    ]
    if problems:
        return 400, {"message": str(problems[0])}, body, problems
    if name == "subscription_groups" and sum(map(users_of, items)) > MAX_USERS:
        return _refused(body, name, f"up to {MAX_USERS} users are taken")
    answer: JsonObject = {"message": "success"}
    if path == "/users/delete":
        answer["deleted"] = len(items)
    elif path.startswith(("/users/identify", "/users/alias/")):
        answer["aliases_processed"] = len(items)
    return 202 if path == "/users/merge" else 201, answer, body, []


def _refused(body: JsonObject, where: str, reason: str) -> Verdict:
    problem = RequestProblem(where, None, reason)
    return 400, {"message": str(problem)}, body, [problem]
