"""Replays the vectors of server to server: track, audience, erasure and limits, against the sandbox's REST paths."""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

from mparticle_kit_braze import (
    CommerceEvent,
    EventType,
    IdentityType,
    Impression,
    MParticle,
    Product,
    ProductAction,
    Promotion,
    PromotionAction,
    TransactionAttributes,
)
from mparticle_kit_braze.clock import Wakeup
from mparticle_kit_braze.delivery import DeliveryOptions
from mparticle_kit_braze.errors import InvalidArgumentError
from mparticle_kit_braze.kits.user_handle import UserHandle
from mparticle_kit_braze.sandbox import Reply, Sandbox
from mparticle_kit_braze.server.attributes import external_id
from mparticle_kit_braze.server.audiences import AudienceUpdate
from mparticle_kit_braze.server.erasure import ErasureForwarder, KnownProfile
from mparticle_kit_braze.server.erasure_service import ErasureService
from mparticle_kit_braze.server.kit import BrazeServerKit
from mparticle_kit_braze.server.mapping import ProfileChanges

from .normal import parse_instant

__all__ = ["replay"]

JsonObject = dict[str, Any]

MPID = 4242
ARRAYS = ("attributes", "events", "purchases")
AMOUNTS = ("Amount", "Price", "price")


def replay(vector: JsonObject) -> list[str]:
    """Replay one vector; an empty list means that it matches."""
    with Sandbox() as sandbox:
        run = Replay(vector, sandbox)
        try:
            run.play()
            return run.mismatches()
        finally:
            run.close()


class VectorClock:
    """Time stands still between calls; during a flush every wait is over at once and noted."""

    def __init__(self, wall: float) -> None:
        self._wall = wall
        self._monotonic = 1000.0
        self.running = threading.Event()
        self.waits: list[float] = []

    def time(self) -> float:
        return self._wall

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        self._wall += seconds
        self._monotonic += seconds

    def wait(self, wakeup: Wakeup, timeout: float | None) -> None:
        if timeout is None or not self.running.is_set():
            wakeup.wait(None if timeout is None else 0.01)
        elif not wakeup.wait(0):
            self.waits.append(timeout)
            self.advance(timeout)


class Replay:
    """One vector on its way."""

    def __init__(self, vector: JsonObject, sandbox: Sandbox) -> None:
        self.vector = vector
        self.sandbox = sandbox
        settings = {key: value for key, value in vector["settings"].items() if key != "cluster"}  # the sandbox it is
        sandbox.rest.keys = {settings["restApiKey"]: frozenset()}
        sandbox.rest.batch_rule = settings.get("trackBatchLimit", "combined")
        sandbox.respond_next(*(Reply(**reply) for reply in vector.get("server", [])))
        self.clock = VectorClock(vector.get("clock", dt.datetime.now(dt.timezone.utc).timestamp()))
        self.kit = BrazeServerKit.from_configuration(
            {"id": 28, "as": {**settings, "host": sandbox.url}},
            clock=self.clock,
            delivery_options=DeliveryOptions(flush_interval=1e9),
        )
        self.client = MParticle([self.kit], storage=":memory:")
        self.forwarder = ErasureForwarder(self.kit.settings, resolve=self._resolve, clock=self.clock)
        self.erasures = ErasureService(self.forwarder, self.kit.rest, timer=False)
        self.identities = identities(vector.get("identities", {}))
        self._store(vector.get("stored"))
        self._user: UserHandle | None = None
        self.tracked: list[tuple[str, int, JsonObject]] = []
        self.held_back: list[JsonObject] = []
        self.warnings: list[str] = []
        self.response: int | None = None

    def close(self) -> None:
        self.clock.running.set()
        self.erasures.close()
        self.client.close(0)

    @property
    def user(self) -> UserHandle:
        if self._user is None:
            self._user = self.client.for_user(self.identities, mpid=MPID)
        return self._user

    def _external_id(self) -> str | None:
        return external_id(self.kit.settings, {k: v for k, v in self.identities.items() if v}, MPID)

    def _store(self, stored: JsonObject | None) -> None:
        profiles = self.kit._profiles
        if stored is not None and profiles is not None:
            known = identities(stored.get("identities", {}))
            attributes = dict(stored.get("attributes", {}))
            given = {kind: value for kind, value in known.items() if value}
            profiles.save(ProfileChanges(str(self._external_id()), attributes, frozenset(attributes), given))

    def _resolve(self, mpid: str | None, given: Mapping[IdentityType, str]) -> KnownProfile | None:
        for profile in self.vector.get("profiles", []):
            known = {kind: value for kind, value in identities(profile.get("identities", {})).items() if value}
            if mpid == profile["mpid"] or any(known.get(kind) == value for kind, value in given.items()):
                return KnownProfile(profile["mpid"], known)
        return None

    # -- calls --------------------------------------------------------------------------------------------------
    def play(self) -> None:
        for call in self.vector["calls"]:
            self._call(spelt_out(call))
        self._flush()

    def _call(self, call: JsonObject) -> None:
        # A wrong call raises here; the original refuses it in silence, and so nothing of it may arrive.
        try:
            self._CALLS[call["call"]](self, call)
        except InvalidArgumentError:
            return

    def _flush(self, _call: JsonObject | None = None) -> None:
        if self._user is not None:
            self._user.end()
        self._deliver()

    def _deliver(self) -> None:
        self.clock.running.set()
        self.client.flush(10_000_000)
        self.clock.running.clear()

    def _track(self, call: JsonObject) -> None:
        given = {array: call[array] for array in ARRAYS if array in call}
        offset = {array: sum(1 for known, _, _ in self.tracked if known == array) for array in ARRAYS}
        self.tracked += [
            (array, offset[array] + i, item) for array, items in given.items() for i, item in enumerate(items)
        ]
        result = self.kit.rest.track(**given)
        self.warnings += result.warnings
        self.held_back += [
            {"in": held.array, "index": offset[held.array] + held.index, "rule": held.rule} for held in result.held_back
        ]

    def _audience_update(self, call: JsonObject) -> None:
        result = self.kit.rest.update_audiences(self._external_id(), AudienceUpdate.from_json(call))
        self.warnings += result.warnings

    def _repeat(self, call: JsonObject) -> None:
        for index in range(call["count"]):
            for inner in call["calls"]:
                self._call(numbered(inner, index))

    def _erasure_request(self, call: JsonObject) -> None:
        body = {key: value for key, value in call.items() if key != "call"}
        self.response = self.erasures.request(body).status

    def _wait(self, call: JsonObject) -> None:
        self.clock.advance(call["seconds"])
        if self.erasures.send_due():
            self._deliver()

    def _identify(self, call: JsonObject) -> None:
        """Another user is another handle; one who was anonymous so far stays the same."""
        before, given = self._external_id(), identities(call["identities"])
        known = external_id(self.kit.settings, {kind: value for kind, value in given.items() if value}, MPID)
        if before is None or known in (None, before):
            self._modify(call)
            return
        self.user.end()
        self.identities, self._user = given, None

    def _logout(self, call: JsonObject) -> None:
        self.user.end()
        self.identities, self._user = identities(call.get("identities") or {}), None

    def _modify(self, call: JsonObject) -> None:
        given = identities(call["identities"])
        self.user.modify(**{kind.value: value for kind, value in given.items()})
        self.identities = {**self.identities, **given}

    def _log_commerce_event(self, call: JsonObject) -> None:
        event = dict(call["event"])
        readers: dict[str, Callable[[Any], Any]] = {
            "product_action": ProductAction,
            "promotion_action": PromotionAction,
            "products": lambda items: [Product(**item) for item in items],
            "transaction": lambda item: TransactionAttributes(**item),
            "promotions": lambda items: [Promotion(**item) for item in items],
            "impressions": lambda items: [
                Impression(item["name"], [Product(**product) for product in item["products"]]) for item in items
            ],
        }
        self.user.log_commerce_event(
            CommerceEvent(**{key: readers[key](value) if key in readers else value for key, value in event.items()})
        )

    _CALLS: Mapping[str, Callable[[Replay, JsonObject], object]] = {
        "log_event": lambda run, call: run.user.log_event(
            call["name"],
            EventType[call.get("type", "other").upper()],
            call.get("attributes"),
            session_id=call.get("session_id"),
        ),
        "log_screen": lambda run, call: run.user.log_screen(
            call["name"], call.get("attributes"), session_id=call.get("session_id")
        ),
        "log_commerce_event": _log_commerce_event,
        "set_user_attribute": lambda run, call: run.user.set_user_attribute(call["key"], call["value"]),
        "set_user_attribute_list": lambda run, call: run.user.set_user_attribute_list(call["key"], call["value"]),
        "set_user_tag": lambda run, call: run.user.set_user_tag(call["key"]),
        "remove_user_attribute": lambda run, call: run.user.remove_user_attribute(call["key"]),
        "increment_user_attribute": lambda run, call: run.user.increment_user_attribute(call["key"], call["value"]),
        "identify": _identify,
        "login": _identify,
        "logout": _logout,
        "modify": _modify,
        "set_consent": lambda _run, _call: None,  # there is no form for it at Braze
        "set_opt_out": lambda run, call: run.user.set_opt_out(call["value"]),
        "set_push_token": lambda run, call: run.user.set_push_token(call["token"]),
        "session_start": lambda run, call: run.user.start_session(call.get("session_id")),
        "session_end": lambda run, call: run.user.end_session(call.get("session_id")),
        "flush": _flush,
        "wait": _wait,
        "track": _track,
        "repeat": _repeat,
        "audience_update": _audience_update,
        "audience_disconnect": lambda _run, _call: None,
        "erasure_request": _erasure_request,
        "erasure_cancel": lambda run, call: run.erasures.cancel(call["subject_request_id"]),
    }

    # -- comparing ----------------------------------------------------------------------------------------------
    def mismatches(self) -> list[str]:
        expect = spelt_out(self.vector["expect"], dates=False)
        found: list[str] = []
        if self.vector["kind"] in ("track", "audience") and "counts" not in expect:
            expected = {array: expect.get(array, []) for array in ARRAYS}
            found += differences("", self._bodies(), expected)
            expect.setdefault("warnings", [])
        for key, value in expect.items():
            if key not in ARRAYS:
                found += self._COMPARISONS[key](self, value)
        return found

    def _taken(self) -> list[JsonObject]:
        requests = [request for request in self.sandbox.rest.requests if request.path == "/users/track"]
        return [request.body for request in requests if request.recorded]

    def _bodies(self) -> JsonObject:
        users: dict[str, JsonObject] = {}
        bodies: dict[str, list[JsonObject]] = {"events": [], "purchases": []}
        for body in self._taken():
            for item in body.get("attributes", []):
                merge(users.setdefault(json.dumps(item.get("external_id")), {}), item)
            for array, items in bodies.items():
                for item in body.get(array, []):
                    kept = {key: value for key, value in item.items() if key not in ("time", "app_id")}
                    items.append({key: value for key, value in kept.items() if (key, value) != ("properties", {})})
        return {"attributes": [item for item in users.values() if len(item) > 1], **bodies}

    def _rejected(self) -> list[JsonObject]:
        letters = [json.loads(letter.payload) for letter in self.kit.rest.dead_letters()]
        return [{"in": array, "index": index} for array, index, item in self.tracked if item in letters]

    def _batches(self) -> list[JsonObject]:
        return [{array: len(body[array]) for array in ARRAYS if body.get(array)} for body in self._taken()]

    def _most_objects(self, most: int) -> list[str]:
        return equal("max_objects_per_request", max(sum(batch.values()) for batch in self._batches()) <= most, True)

    def _most_bytes(self, most: int) -> list[str]:
        largest = max(len(request.raw) for request in self.sandbox.rest.requests)
        return [] if largest <= most else [f"max_body_bytes: {largest}, allowed {most}"]

    def _requests(self, expected: Any) -> list[str]:
        if isinstance(expected, int):
            return equal("requests", len(self.sandbox.rest.requests), expected)
        got = [{"path": request.path, "body": request.body} for request in self.sandbox.rest.requests]
        return differences("requests", got, expected)

    def _nested(self, names: list[str]) -> list[str]:
        body = self._bodies()
        items: list[JsonObject] = body["events"] + body["purchases"]
        (item,) = items
        wrong = [name for name in names if not isinstance(item["properties"].get(name), list)]
        return [f"{name}: no array in the properties" for name in wrong]

    def _counts(self, expected: JsonObject) -> list[str]:
        got = {array: len(items) for array, items in self._bodies().items() if items}
        return differences("counts", got, expected)

    def _delivered(self, expected: int) -> list[str]:
        counts = self.sandbox.rest.counts
        return equal("delivered", sum(counts[array] for array in ARRAYS), expected)

    _COMPARISONS: Mapping[str, Callable[[Replay, Any], list[str]]] = {
        "counts": _counts,
        "nested": _nested,
        "warnings": lambda run, value: equal("warnings", sorted(set(run.warnings)), sorted(value)),
        "requests": _requests,
        "statuses": lambda run, value: differences("statuses", run.erasures.statuses, value),
        "upload_sizes": lambda run, value: equal(
            "upload_sizes", [len(request.body["external_ids"]) for request in run.sandbox.rest.requests], value
        ),
        "response": lambda run, value: equal("response", run.response, value["status"]),
        "batches": lambda run, value: differences("batches", run._batches(), value),
        "max_objects_per_request": _most_objects,
        "max_body_bytes": _most_bytes,
        "total_objects": lambda run, value: equal(
            "total_objects", sum(sum(batch.values()) for batch in run._batches()), value
        ),
        "invalid": lambda run, value: differences("invalid", run.held_back, value),
        "data_points": lambda run, value: equal("data_points", run.kit.rest.data_points(), value),
        "sent": lambda run, value: equal("sent", len(run.sandbox.rest.requests), value),
        "delivered": _delivered,
        "rejected": lambda run, value: differences("rejected", run._rejected(), value),
        "waits": lambda run, value: equal("waits", run.clock.waits, [float(seconds) for seconds in value]),
    }


def identities(named: Mapping[str, str | None]) -> dict[IdentityType, str | None]:
    return {IdentityType.parse(name): value for name, value in named.items()}


def numbered(value: Any, index: int) -> Any:
    """A call of a ``repeat`` with its number in it."""
    if isinstance(value, str):
        return value.replace("{i}", str(index)).replace("{i12}", f"{index:012d}")
    if isinstance(value, list):
        return [numbered(item, index) for item in value]
    if isinstance(value, dict):
        return {numbered(key, index): numbered(item, index) for key, item in value.items()}
    return value


def spelt_out(value: Any, *, dates: bool = True) -> Any:
    """Values of the format as plain JSON; what is expected keeps its dates, which are compared as instants."""
    if isinstance(value, list):
        return [spelt_out(item, dates=dates) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"$string"}:
        return value["$string"]["char"] * value["$string"]["length"]
    if set(value) == {"$filler"}:
        return {f"k{number:03d}": "x" * value["$filler"]["length"] for number in range(value["$filler"]["keys"])}
    if set(value) == {"$mpid"}:
        return str(MPID)
    if set(value) == {"$year_minus"}:
        return f"{dt.datetime.now(dt.timezone.utc).year - value['$year_minus']}-01-01"
    if set(value) == {"$date"}:
        return value["$date"] if dates else value
    return {key: spelt_out(item, dates=dates) for key, item in value.items()}


def merge(target: JsonObject, source: Mapping[str, Any]) -> None:
    for key, value in source.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            merge(target[key], value)
        else:
            target[key] = value


def equal(path: str, got: Any, expected: Any) -> list[str]:
    return [] if got == expected and type(got) is type(expected) else [f"{path}: got {got!r}, expected {expected!r}"]


def differences(path: str, got: Any, expected: Any) -> list[str]:
    """Numbers by value, booleans strictly, the segment lists as sets, amounts as numbers."""
    key = path.rpartition(".")[2]
    if key == "SegmentMembership" and isinstance(got, str) and isinstance(expected, str):
        return equal(path, sorted(got.split(",")), sorted(expected.split(",")))
    if key == "SegmentMembershipArray" and isinstance(got, list):
        return equal(path, sorted(got), sorted(expected))
    if isinstance(expected, dict) and set(expected) == {"$date"}:
        same = isinstance(got, str) and parse_instant(got) == parse_instant(expected["$date"]) is not None
        return [] if same else [f"{path}: got {got!r}, expected {expected!r}"]
    if isinstance(got, dict) and isinstance(expected, dict):
        found = [f"{path}.{name}: missing" for name in expected.keys() - got.keys()]
        found += [f"{path}.{name}: {got[name]!r} not expected" for name in got.keys() - expected.keys()]
        shared = got.keys() & expected.keys()
        return found + [text for name in shared for text in differences(f"{path}.{name}", got[name], expected[name])]
    if isinstance(got, list) and isinstance(expected, list) and len(got) == len(expected):
        pairs = enumerate(zip(got, expected, strict=True))
        return [text for i, (one, other) in pairs for text in differences(f"{path}[{i}]", one, other)]
    if any(word in key for word in AMOUNTS) and not isinstance(got, bool) and not isinstance(expected, bool):
        got, expected = _number(got), _number(expected)
    same = got == expected and isinstance(got, bool) == isinstance(expected, bool)
    return [] if same else [f"{path}: got {got!r}, expected {expected!r}"]


def _number(value: Any) -> Any:
    try:
        return float(value)
    except (TypeError, ValueError):
        return value
