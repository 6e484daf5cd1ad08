"""Replays vectors through the public face against one sandbox."""

from __future__ import annotations

import contextlib
import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from typing_extensions import Self

from mparticle_kit_braze import (
    BrazeKit,
    CommerceEvent,
    EventType,
    Impression,
    MParticle,
    Product,
    ProductAction,
    Promotion,
    PromotionAction,
    TransactionAttributes,
)
from mparticle_kit_braze.braze import Braze
from mparticle_kit_braze.errors import ConfigurationError, InvalidArgumentError
from mparticle_kit_braze.identity import IdentityResolver, IdentityType, Operation, Resolution, User
from mparticle_kit_braze.kits.hashing import bucket_of, hash_utf8, mp_hash
from mparticle_kit_braze.sandbox import Reply, Sandbox, SandboxRequest

from . import server_replay
from .framework import compare_filter
from .normal import JsonObject, Mismatch, compare, decode, normal_form

__all__ = ["Runner", "call_braze", "load"]

API_KEY = "app-key-1"
TIMEOUT = 20.0  # seconds for a flush; far more than loopback takes


def load(file: str | Path) -> list[JsonObject]:
    """The vectors of a file."""
    vectors = json.loads(Path(file).read_text(encoding="utf-8"))
    if not isinstance(vectors, list):
        raise ValueError(f"{file} holds no list of vectors")  # noqa: TRY004 - the file's content, not a type
    return vectors


class Runner:
    """Replays vectors one after the other. A context manager; the sandbox is shared by all of them."""

    def __init__(self) -> None:
        self._sandbox = Sandbox(API_KEY, limiter=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._sandbox.close()

    def run(self, vector: JsonObject) -> list[Mismatch]:
        """Replay one vector; an empty list means that it matches."""
        kind = vector.get("kind", "facade" if "profile" in vector else "endpoint")
        replay = self._KINDS.get(kind)
        if replay is None:
            return [Mismatch("kind", f"no way to replay kind {kind!r}", "one of " + ", ".join(self._KINDS))]
        try:
            return replay(self, vector)
        except Exception as error:  # a crash is a mismatch of this vector, not the end of the run
            return [Mismatch("replay", f"{type(error).__name__}: {error}", "no exception")]

    # -- pure functions ---------------------------------------------------------------------------------------------
    def _hash(self, vector: JsonObject) -> list[Mismatch]:
        return _same("hash", mp_hash(vector.get("input")), vector["expect"])

    def _hash_utf8(self, vector: JsonObject) -> list[Mismatch]:
        return _same("hash", hash_utf8(vector["input"]), vector["expect"])

    def _bucket(self, vector: JsonObject) -> list[Mismatch]:
        return _same("bucket", bucket_of(int(vector["mpid"])), vector["expect"])

    # -- the facade -------------------------------------------------------------------------------------------------
    def _facade(self, vector: JsonObject) -> list[Mismatch]:
        self._sandbox.reset()
        kept: list[Mismatch] = []
        user: User | None = None
        # A kit that refuses its configuration raises; the original does not start, and so nothing may arrive.
        with contextlib.suppress(ConfigurationError), self._client(vector) as client:
            with self._held(client):
                _replay(client, vector)
            kept = _flushed(client)
            user = client.current_user
        got = normal_form(self._sandbox.events, self._sandbox.attributes, deep=True)
        return [
            *kept,
            *self._refusals(),
            *compare(got, vector["expect"], mpid=None if user is None else str(user.mpid)),
        ]

    def _filter(self, vector: JsonObject) -> list[Mismatch]:
        self._sandbox.reset()
        active, kept = False, list[Mismatch]()
        with contextlib.suppress(ConfigurationError), self._client(vector, _KnownUser(vector)) as client:
            with self._held(client):
                _replay(client, vector)
            active = client.stats().gates["Braze"] == "active"
            kept = _flushed(client)
        return [*kept, *self._refusals(), *compare_filter(self._sandbox, vector, active=active)]

    def _client(self, vector: JsonObject, resolver: IdentityResolver | None = None) -> MParticle:
        kit = BrazeKit.from_configuration(self._configuration(vector), profile=vector["profile"])
        return MParticle([kit], storage=":memory:", resolver=resolver)

    def _configuration(self, vector: JsonObject) -> JsonObject:
        """The kit's entry; a vector's own settings may stand in its ``kit_config`` as well."""
        entry = dict(vector.get("kit_config") or {})
        settings = {
            "apiKey": API_KEY,
            "host": self._sandbox.url,
            "userIdentificationType": "CustomerId",
            **(vector.get("settings") or {}),
            **(entry.pop("as", None) or {}),
            **(entry.pop("settings", None) or {}),
        }
        if vector["profile"] == "web":
            return {"moduleId": 28, "name": "Appboy", "settings": settings, **entry}
        return {"id": 28, "as": settings, **entry}

    # -- the endpoint -----------------------------------------------------------------------------------------------
    def _endpoint(self, vector: JsonObject) -> list[Mismatch]:
        sandbox = self._sandbox
        sandbox.reset()
        if "config" in vector:
            sandbox.config = {**sandbox.config, **vector["config"]}
        braze = Braze(API_KEY, sandbox.url, storage=":memory:")
        try:
            if "config" in vector:
                braze.open_session()
                braze.flush(TIMEOUT)
            # Paused, not only refused: a request built between two calls could still be on its way after them.
            braze.delivery.pause()
            returns = [call_braze(braze, call) for call in vector["calls"]]
            braze.delivery.unpause()
            kept = _flushed(braze)
        finally:
            braze.close(TIMEOUT)
        wrong = [
            Mismatch(f"returns[{index}]", got, expected)
            for index, (got, expected) in enumerate(zip(returns, vector["returns"], strict=True))
            if got is not expected
        ]
        got = normal_form(sandbox.events, sandbox.attributes, deep=False)
        return [*kept, *wrong, *self._refusals(), *compare(got, vector["expect"], mpid=None)]

    # -- server to server ---------------------------------------------------------------------------------------------
    def _server(self, vector: JsonObject) -> list[Mismatch]:
        return [Mismatch("server", text, "as the vector") for text in server_replay.replay(vector)]

    # -- common -----------------------------------------------------------------------------------------------------
    @contextmanager
    def _held(self, client: MParticle) -> Iterator[None]:
        """Send nothing while the calls are made, so that all of them are unsent together, as when recorded."""

        def unavailable(_request: SandboxRequest) -> Reply:
            return Reply(status=503)

        braze = client.kit("Braze")
        started = isinstance(braze, Braze)
        if started:
            # As above: a request built between two calls could still be on its way after them.
            braze.delivery.pause()
        self._sandbox.fault = unavailable  # for a kit that a rule keeps off until later
        try:
            yield
            if not started:
                client.flush()  # over after the first failure, when no request is on its way any more
        finally:
            self._sandbox.fault = None
            if started:
                braze.delivery.unpause()

    def _refusals(self) -> list[Mismatch]:
        return [Mismatch("sandbox", str(problem), "nothing refused") for problem in self._sandbox.problems]

    _KINDS: Mapping[str, Callable[[Runner, JsonObject], list[Mismatch]]] = {
        "facade": _facade,
        "endpoint": _endpoint,
        "hash": _hash,
        "hash_utf8": _hash_utf8,
        "bucket": _bucket,
        "filter": _filter,
        **dict.fromkeys(("track", "audience", "erasure", "limits"), _server),
    }


class _KnownUser:
    """Resolves every call to the vector's ``mpid``; without one there never is a current user."""

    def __init__(self, vector: JsonObject) -> None:
        self._mpid = int(vector.get("mpid") or 0)
        self._logged_in = bool(vector.get("logged_in"))
        self._identify_logs_in = vector.get("logged_in") is None

    def resolve(
        self, operation: Operation, identities: Mapping[IdentityType, str | None], current: User | None
    ) -> Resolution | None:
        """The one user; login logs in, logout logs out, and identify does if the vector does not say who is."""
        if not self._mpid:
            return None
        if operation == "login" or (operation == "identify" and self._identify_logs_in and any(identities.values())):
            self._logged_in = True
        elif operation == "logout":
            self._logged_in = False
        return Resolution(self._mpid, is_logged_in=self._logged_in)


def _same(path: str, got: object, expected: object) -> list[Mismatch]:
    return [] if got == expected else [Mismatch(path, got, expected)]


def _flushed(client: MParticle | Braze) -> list[Mismatch]:
    result = client.flush(TIMEOUT)
    return [] if result.complete else [Mismatch("flush", result, "nothing left in the queue")]


class _Undefined:
    """What JavaScript sees in place of an argument that was not passed: no text, no number, and not null either."""

    def __repr__(self) -> str:
        return "undefined"


UNDEFINED = _Undefined()


def call_braze(braze: Braze, call: JsonObject) -> Any:
    """Make one call on the client or its current user; gives what it returns, or the exception it raises."""
    arguments = {key: decode(value) for key, value in call.items() if key != "call"}
    target, _, name = call["call"].rpartition(".")
    method = getattr(braze.current_user if target == "user" else braze, name)
    for parameter in inspect.signature(method).parameters.values():
        # One with a default is optional in the original too. A call without the others raises in Python, at the
        # caller's line; in the original it is a call with undefined, and refused.
        if parameter.default is parameter.empty:
            arguments.setdefault(parameter.name, UNDEFINED)
    try:
        return method(**arguments)
    except Exception as error:  # compared with what should have been returned
        return error


# -- calls of the facade --------------------------------------------------------------------------------------------


def _replay(client: MParticle, vector: JsonObject) -> None:
    first = [{"call": "identify", "identities": vector["identities"]}] if vector.get("identities") else []
    for call in [*first, *vector["calls"]]:
        # A wrong call raises here; the original refuses it in silence, and so nothing of it may arrive.
        with contextlib.suppress(InvalidArgumentError):
            _CALLS[call["call"]](client, call)


def _log_event(client: MParticle, call: JsonObject) -> None:
    event_type = EventType[(call.get("type") or "other").upper()]
    client.log_event(call["name"], event_type, decode(call.get("attributes")))


def _log_commerce_event(client: MParticle, call: JsonObject) -> None:
    event = _given(decode(call["event"]))
    fields: dict[str, Callable[[Any], Any]] = {
        "product_action": lambda action: ProductAction(action.lower()),
        "promotion_action": lambda action: PromotionAction(action.lower()),
        "products": lambda products: [_product(product) for product in products],
        "transaction": _transaction,
        "promotions": lambda promotions: [Promotion(**promotion) for promotion in promotions],
        "impressions": lambda impressions: [
            Impression(impression["name"], [_product(product) for product in impression.get("products") or ()])
            for impression in impressions
        ],
    }
    arguments: dict[str, Any] = {key: fields[key](value) if key in fields else value for key, value in event.items()}
    client.log_commerce_event(CommerceEvent(**arguments))


def _product(fields: JsonObject) -> Product:
    # The facade insists on a name and a SKU; the original's constructor puts this word in place of a missing one.
    given = _given(_amounts_read(fields, "price", "quantity"))
    names = {"name": given.get("name") or "Unknown", "sku": given.get("sku") or "Unknown"}
    return Product(**{"price": None, **given, **names})


def _transaction(fields: JsonObject) -> TransactionAttributes:
    return TransactionAttributes(**_amounts_read(fields, "revenue", "shipping", "tax"))


def _amounts_read(fields: JsonObject, *names: str) -> JsonObject:
    """Amounts that are given as text read as numbers, as the original's constructors do; other texts are refused."""
    read = dict(fields)
    for name in names:
        if isinstance(fields.get(name), str):
            with contextlib.suppress(ValueError):
                read[name] = float(fields[name])
    return read


def _given(fields: JsonObject) -> JsonObject:
    """The fields that are not null: in the original, null and absent are the same."""
    return {key: value for key, value in fields.items() if value is not None}


_CALLS: Mapping[str, Callable[[MParticle, JsonObject], object]] = {
    "log_event": _log_event,
    "log_screen": lambda client, call: client.log_screen(call["name"], decode(call.get("attributes"))),
    "log_commerce_event": _log_commerce_event,
    "set_user_attribute": lambda client, call: client.set_user_attribute(call["key"], decode(call["value"])),
    "set_user_attribute_list": lambda client, call: client.set_user_attribute_list(call["key"], decode(call["value"])),
    "set_user_tag": lambda client, call: client.set_user_tag(call["key"]),
    "remove_user_attribute": lambda client, call: client.remove_user_attribute(call["key"]),
    "increment_user_attribute": lambda client, call: client.increment_user_attribute(call["key"], call.get("value", 1)),
    "identify": lambda client, call: client.identify(call.get("identities")),
    "login": lambda client, call: client.login(call.get("identities")),
    "logout": lambda client, call: client.logout(call.get("identities")),
    "modify": lambda client, call: client.modify(call.get("identities")),
    "set_consent": lambda client, call: client.set_consent(call["regulation"], call.get("purpose"), call["consented"]),
    "set_opt_out": lambda client, call: client.set_opt_out(call["value"]),
    "set_push_token": lambda client, call: client.set_push_token(call["token"]),
}
