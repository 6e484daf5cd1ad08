"""IDSync: identities to MPIDs over HTTP, as strict as mParticle's documents, with users that the test can look at."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from urllib.parse import parse_qs, unquote, urlsplit

from ..recorder import SandboxRequest
from .part import Answer, ApiPart, JsonObject, RefusedError, basic_credentials, require

__all__ = ["IDSyncApi"]

DEVICE = frozenset(
    {
        "android_aaid", "android_uuid", "ios_idfa", "ios_idfv", "amp_id", "fire_aid", "roku_aid", "roku_publisher_id",
        "push_token", "device_application_stamp",
    }
)  # fmt: skip
"""Identities of a device: they make nobody known."""

NAMES = DEVICE | {
    "customerid", "email", "alias", "other", "facebook", "twitter", "google", "microsoft", "yahoo",
    "facebookcustomaudienceid", "mobile_number", "phone_number_2", "phone_number_3",
    *(f"other{number}" for number in range(2, 11)),
}  # fmt: skip

PLATFORMS = frozenset({"ios", "android", "web", "tvos", "roku", "alexa", "smart_tv", "fire", "xbox", "other"})
ALIAS_WINDOW = 90 * 86_400_000
FIRST_MPID = 1000

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
OPERATION = re.compile(r"/v1/(identify|login|logout|search)")
MODIFY = re.compile(r"/v1/(-?[0-9]+)/modify")
ALIAS = re.compile(r"/v1/identity/([^/]+)/[aA]lias")


class IDSyncApi(ApiPart):
    """Resolves identities; see :class:`ApiPart` for the arguments.

    Attributes:
        users: By MPID the identities.
        aliases: The ``data`` of every alias request that was accepted.
        max_age: Seconds for which clients may keep an answer; ``None`` to say nothing.
    """

    @staticmethod
    def takes(method: str, path: str) -> bool:
        """Whether a request is for this API."""
        return method == "POST" and any(pattern.fullmatch(path) for pattern in (OPERATION, MODIFY, ALIAS))

    def reset(self) -> None:
        """Forget requests, scripts and users."""
        super().reset()
        with self._lock:
            self.users: dict[int, dict[str, str]] = {}
            self.aliases: list[JsonObject] = []
            self.max_age: int | None = None
            self._contexts = 0

    def add_user(self, mpid: int, **identities: str) -> None:
        """Have a user known before any request."""
        with self._lock:
            self.users[mpid] = dict(identities)

    # -- one request --------------------------------------------------------------------------------------------
    def _serve(self, request: SandboxRequest) -> Answer:
        parts, headers, body = urlsplit(request.path), request.headers, request.body
        alias = ALIAS.fullmatch(parts.path)
        key = unquote(alias[1]) if alias else headers.get("x-mp-key") or (basic_credentials(headers) or ("",))[0]
        self.keys.verify(key, headers, f"{request.method}\n{parts.path}".encode() + request.raw)
        require(headers.get("Content-Type") == "application/json", "the content type is application/json")
        require(type(body) is dict, "the body is a JSON object")
        require(UUID.fullmatch(body["request_id"]), "request_id is a UUID")
        require(body["environment"] in ("production", "development"), "environment is production or development")
        if alias:
            return self._alias(key, body)
        check_envelope(body)
        modify = MODIFY.fullmatch(parts.path)
        if modify:
            return self._modify(int(modify[1]), body)
        check_identities(body)
        operation = parts.path.rpartition("/")[2]
        query = parse_qs(parts.query)
        create = operation != "search" and query.get("read_only") != ["true"]
        return self._resolve(operation, body["known_identities"], create=create)

    def _resolve(self, operation: str, known: Mapping[str, str], *, create: bool) -> Answer:
        """Named identities decide; the device's only when there are none. The first that is known wins."""
        named = {name: value for name, value in known.items() if name not in DEVICE}
        wanted = named or known
        order = sorted(wanted, key=lambda name: (name != "customerid", name != "email", name))
        mpid = next((found for name in order if (found := self._owner(name, wanted[name])) is not None), None)
        if mpid is None:
            if not create:
                raise RefusedError("nobody has these identities", 404, "NOT_FOUND_ERROR")
            mpid = max([FIRST_MPID - 1, *self.users]) + 1
            self.users[mpid] = {}
        matched = {name: value for name, value in wanted.items() if self.users[mpid].get(name) == value}
        if create:
            self.users[mpid].update(wanted)
        self._contexts += 1
        logged_in = bool(named) and operation != "logout"
        answer = {
            "mpid": str(mpid),
            "context": f"context-{self._contexts}",
            "is_ephemeral": False,
            "is_logged_in": logged_in,
            "matched_identities": matched or None,
        }
        return Answer(200, answer, {} if self.max_age is None else {"x-mp-max-age": str(self.max_age)})

    def _owner(self, name: str, value: str) -> int | None:
        return next((mpid for mpid, identities in self.users.items() if identities.get(name) == value), None)

    def _modify(self, mpid: int, body: JsonObject) -> Answer:
        changes = body["identity_changes"]
        require(type(changes) is list and changes, "identity_changes is a list with something in it")
        user = self.users.setdefault(mpid, {})  # one that another server made
        for change in changes:
            require(set(change) == {"identity_type", "old_value", "new_value"}, "a change has three fields")
            require(change["identity_type"] in NAMES, f"{change['identity_type']} is an identity type")
            require(change["old_value"] != change["new_value"], "a change changes something")
            require(all(is_identity(change[side]) for side in ("old_value", "new_value")), "values are texts or null")
            if change["new_value"] is None:
                user.pop(change["identity_type"], None)
            else:
                user[change["identity_type"]] = change["new_value"]
        results = [{"identity_type": change["identity_type"], "modified_mpid": str(mpid)} for change in changes]
        return Answer(200, {"change_results": results})

    def _alias(self, key: str, body: JsonObject) -> Answer:
        require(body["request_type"] == "alias", "request_type is alias")
        require(body["api_key"] == key, "api_key is the key of the path")
        data = body["data"]
        source, destination = data["source_mpid"], data["destination_mpid"]
        require(type(source) is int and type(destination) is int, "MPIDs are numbers")
        require(source != destination and source and destination, "MPIDs are two, and not 0")
        start, end = data["start_unixtime_ms"], data["end_unixtime_ms"]
        require(type(start) is int and type(end) is int and start <= end, "the times are in order")
        require(start >= time.time() * 1000 - ALIAS_WINDOW - 60_000, "the start is not before the alias window")
        self.aliases.append(dict(data))
        return Answer(202)


def check_envelope(body: JsonObject) -> None:
    """What every request but an alias says."""
    sdk = body["client_sdk"]
    require(set(sdk) == {"platform", "sdk_vendor", "sdk_version"}, "client_sdk has three fields")
    require(sdk["platform"] in PLATFORMS, "platform is one that mParticle knows")
    require(type(body["request_timestamp_ms"]) is int, "request_timestamp_ms is a whole number")
    require(is_identity(body.get("context")), "context is a text or null")


def check_identities(body: JsonObject) -> None:
    """What identify, login, logout and search say of the user."""
    previous, known = body.get("previous_mpid"), body["known_identities"]
    require(previous is None or re.fullmatch(r"-?[0-9]+", previous), "previous_mpid is a number as text, or null")
    require(type(known) is dict and known, "there is at least one known identity")
    for name, value in known.items():
        require(name in NAMES, f"{name} is an identity type")
        require(type(value) is str and value, "known identities are texts")


def is_identity(value: object) -> bool:
    """A text or null."""
    return value is None or (isinstance(value, str) and bool(value))
