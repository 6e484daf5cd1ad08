"""Erasure requests: OpenDSR requests in, ``/users/delete`` out.

mParticle forwards erasure requests hourly or as soon as 1,000 are queued, up to 50 ids an upload. ("On receipt" is said
too; the hourly queue is taken as what is meant.) Cancelling a request does not recall what was or will be forwarded.
Source: mParticle's Braze data subject request page; OpenDSR, version 3.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import re
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ..clock import SYSTEM_CLOCK, Clock
from ..identity import IdentityType
from ..locks import ForkSafeLock
from ..storage import KeyValues
from .attributes import external_id
from .settings import ServerSettings
from .validation import is_long_id
from .values import JsonObject, is_time_text, iso_time

__all__ = ["DSRResponse", "ErasureForwarder", "ErasureStatus", "KnownProfile", "Upload"]

ErasureStatus = Literal["pending", "skipped", "sent", "failed"]

EXTENSION = "opendsr.mparticle.com"
INTERVAL = 3600.0
MOST_DAYS = 21
"""A request is completed after 7 to 21 days."""

FULL_QUEUE = 1000
MAX_IDS = 50
MAX_IDENTITIES = 50
REQUEST_TYPES = frozenset({"access", "portability", "erasure"})

_UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE)
_DEVICE_TYPES = frozenset(
    {
        "android_advertising_id",
        "android_id",
        "fire_advertising_id",
        "ios_advertising_id",
        "ios_vendor_id",
        "microsoft_advertising_id",
        "microsoft_publisher_id",
        "roku_advertising_id",
        "roku_publishing_id",
    }
)
_REQUEST_IDENTITIES: Mapping[str, IdentityType | None] = {
    "controller_customer_id": IdentityType.CUSTOMER_ID,
    "email": IdentityType.EMAIL,
    **dict.fromkeys(_DEVICE_TYPES),
}
_EXTENSION_IDENTITIES: Mapping[str, IdentityType] = {
    kind.value: kind
    for kind in IdentityType
    if kind.value.startswith("other") or kind.value in ("mobile_number", "phone_number_2", "phone_number_3")
}


@dataclass(frozen=True, slots=True)
class KnownProfile:
    """A profile that requests are resolved to."""

    mpid: str
    identities: Mapping[IdentityType, str]


Resolve = Callable[[str | None, Mapping[IdentityType, str]], KnownProfile | None]
"""Finds the profile of an MPID, or of identities; ``None`` if there is none."""


@dataclass(frozen=True, slots=True)
class DSRResponse:
    """The answer to an OpenDSR call: an HTTP status and a JSON body."""

    status: int
    body: JsonObject


@dataclass(frozen=True, slots=True)
class Upload:
    """One call of ``/users/delete``.

    Attributes:
        external_ids: The ids, at most 50.
    """

    external_ids: Sequence[str]

    path = "/users/delete"

    @property
    def body(self) -> JsonObject:
        """The JSON body."""
        return {"external_ids": list(self.external_ids)}


@dataclass(slots=True)
class _Request:
    received: float
    kind: str
    fingerprint: str
    external_id: str | None = None
    status: ErasureStatus | None = None
    cancelled: bool = False
    uploading: bool = field(default=False, compare=False)

    @property
    def state(self) -> str:
        if self.cancelled:
            return "cancelled"
        if self.status == "sent":
            return "completed"
        return "in_progress" if self.uploading else "pending"

    def in_progress(self, now: float) -> bool:
        """Whether another of its kind must wait: until it is done, or its time is over."""
        if self.cancelled or self.status in ("sent", "failed"):
            return False
        return self.status == "pending" or now < self.received + MOST_DAYS * 86_400

    def to_json(self) -> JsonObject:
        return {
            "received": self.received,
            "kind": self.kind,
            "fingerprint": self.fingerprint,
            "external_id": self.external_id,
            "status": self.status,
            "cancelled": self.cancelled,
        }


class ErasureForwarder:
    """Takes requests in, queues them and hands out uploads when they are due. Thread-safe.

    It sends nothing itself: whoever owns it sends the uploads of :meth:`due` and calls :meth:`settled`.

    Args:
        settings: The connection's settings; nothing is forwarded unless ``erasure_forwarding``.
        resolve: Finds the profile behind a request. Without it every identity is taken as given.
        values: Where the queue is kept over restarts; ``None``: in memory.
        clock: Where the time comes from.
        controller_id: The account's id, for the answers.
    """

    def __init__(
        self,
        settings: ServerSettings,
        *,
        resolve: Resolve | None = None,
        values: KeyValues | None = None,
        clock: Clock = SYSTEM_CLOCK,
        controller_id: str = "",
    ) -> None:
        self._settings = settings
        self._resolve = resolve or (lambda _mpid, _identities: None)
        self._values = values
        self._clock = clock
        self._controller_id = controller_id
        self._lock = ForkSafeLock()
        self._requests: dict[str, _Request] = {}
        self._queue: dict[str, _Request] = {}  # pending and not handed out
        self._latest: dict[str, _Request] = {}  # by fingerprint
        if values is not None:
            kept = {key.removeprefix("request."): _Request(**value) for key, value in values.items("request.").items()}
            for request_id, entry in sorted(kept.items(), key=lambda item: item[1].received):
                self._add(request_id, entry)

    # -- in -----------------------------------------------------------------------------------------------------
    def request(self, body: Mapping[str, Any]) -> DSRResponse:
        """Take an OpenDSR request (``POST /requests``).

        Returns:
            201 with the receipt; 400 for a malformed request or a request id used before; 409 for the same
            identities, extensions and type as a request in progress.
        """
        problem = _malformed(body)
        if problem is not None:
            return _error(400, problem)
        request_id, kind = str(body["subject_request_id"]), str(body["subject_request_type"])
        identities, mpid = _identities(body)
        received = self._clock.time()
        entry = _Request(received, kind, _fingerprint(body))
        if kind == "erasure" and self._settings.erasure_forwarding:
            entry.external_id = self._external_id(identities, mpid)
            entry.status = "pending" if entry.external_id else "skipped"
        with self._lock.held:
            if request_id in self._requests:
                return _error(400, "subject_request_id was used before")
            known = self._latest.get(entry.fingerprint)
            if known is not None and known.in_progress(received):
                return _error(409, "a request with the same identities, extensions and type is in progress")
            self._add(request_id, entry)
            self._keep(request_id, entry)
        return DSRResponse(201, self._receipt(body, request_id, received))

    def cancel(self, request_id: str) -> DSRResponse:
        """Cancel a request: mParticle's own erasure stops, the forwarding goes on."""
        with self._lock.held:
            entry = self._requests.get(request_id)
            if entry is None:
                return _error(404, "there is no such request")
            entry.cancelled = True
            self._keep(request_id, entry)
        return DSRResponse(202, {"subject_request_id": request_id, "controller_id": self._controller_id})

    def lookup(self, request_id: str) -> DSRResponse:
        """The state of a request (``GET /requests/{id}``), with what became of it at Braze."""
        with self._lock.held:
            entry = self._requests.get(request_id)
            if entry is None:
                return _error(404, "there is no such request")
            state = entry.state
            extension = [] if entry.status is None else [_forwarding(entry.status)]
        return DSRResponse(
            200,
            {
                "subject_request_id": request_id,
                "controller_id": self._controller_id,
                "request_status": state,
                "received_time": iso_time(entry.received),
                "extensions": {EXTENSION: extension},
            },
        )

    @property
    def statuses(self) -> dict[str, ErasureStatus]:
        """What became of each erasure request that concerns this connection."""
        with self._lock.held:
            return {key: entry.status for key, entry in self._requests.items() if entry.status is not None}

    @property
    def due_in(self) -> float | None:
        """Seconds until the queue is due, 0 when it is; ``None`` when nothing is queued."""
        with self._lock.held:
            oldest = next(iter(self._queue.values()), None)
            full = len(self._queue) >= FULL_QUEUE
        if oldest is None:
            return None
        return 0.0 if full else max(0.0, oldest.received + INTERVAL - self._clock.time())

    # -- out ----------------------------------------------------------------------------------------------------
    def due(self) -> list[Upload]:
        """The uploads to send now: when an hour has passed since the first in the queue, or 1,000 are queued.

        Each request is handed out once; :meth:`settled` must follow.
        """
        if self.due_in != 0:
            return []
        with self._lock.held:
            queued, self._queue = self._queue, {}
            for entry in queued.values():
                entry.uploading = True
        # One request for each profile, however many named it.
        ids = list(dict.fromkeys(entry.external_id for entry in queued.values() if entry.external_id is not None))
        return [Upload(ids[start : start + MAX_IDS]) for start in range(0, len(ids), MAX_IDS)]

    def settled(self, external_ids: Iterable[str], *, sent: bool) -> None:
        """Say what became of ids that were handed out: accepted by Braze, or refused.

        A refused one counts as sent when it is accepted after all, with a key that may delete users.
        """
        ids = set(external_ids)
        with self._lock.held:
            for request_id, entry in self._requests.items():
                if entry.external_id in ids and (entry.uploading or entry.status == "failed"):
                    entry.uploading = False
                    entry.status = "sent" if sent else "failed"
                    self._keep(request_id, entry)

    def forget_before(self, moment: float) -> int:
        """Forget settled requests received before a time, and return how many; their ids count as unused again."""
        with self._lock.held:
            old = [
                key for key, entry in self._requests.items() if entry.received < moment and entry.status != "pending"
            ]
            for key in old:
                entry = self._requests.pop(key)
                if self._latest.get(entry.fingerprint) is entry:
                    del self._latest[entry.fingerprint]
                if self._values is not None:
                    self._values.delete(f"request.{key}")
        return len(old)

    # -- inside -------------------------------------------------------------------------------------------------
    def _external_id(self, identities: Mapping[IdentityType, str], mpid: str | None) -> str | None:
        """One profile is resolved and its identities added; the request's own values win."""
        profile = self._resolve(mpid, identities)
        if profile is None:
            # An unknown MPID names nobody; any other identity is forwarded as given.
            found = external_id(self._settings, identities, None)
        else:
            found = external_id(self._settings, {**profile.identities, **identities}, profile.mpid)
        # No user can have an id that is too long, but it might cost the other ids of its upload.
        return None if found is None or is_long_id(found) else found

    def _add(self, request_id: str, entry: _Request) -> None:
        self._requests[request_id] = self._latest[entry.fingerprint] = entry
        if entry.status == "pending":
            self._queue[request_id] = entry

    def _keep(self, request_id: str, entry: _Request) -> None:
        if self._values is not None:
            self._values.set(f"request.{request_id}", entry.to_json())

    def _receipt(self, body: Mapping[str, Any], request_id: str, received: float) -> JsonObject:
        extension = _extension(body)
        days = 14 if extension.get("skip_waiting_period") is True else MOST_DAYS
        due = dt.datetime.fromtimestamp(received, dt.timezone.utc) + dt.timedelta(days=days)
        encoded = base64.b64encode(json.dumps(body, sort_keys=True, default=str).encode()).decode()
        return {
            "expected_completion_time": iso_time(due),
            "received_time": iso_time(received),
            "encoded_request": encoded,
            "subject_request_id": request_id,
            "controller_id": self._controller_id,
        }


def _forwarding(status: ErasureStatus) -> JsonObject:
    """What became of a request at Braze."""
    message = {"skipped": "no usable identity", "failed": "refused by Braze"}.get(status, "")
    return {"domain": "braze.com", "name": "Braze", "status": status, "status_message": message}


# -- reading requests ---------------------------------------------------------------------------------------------
def _malformed(body: Mapping[str, Any]) -> str | None:
    if body.get("regulation") not in ("gdpr", "ccpa"):
        return "regulation must be gdpr or ccpa"
    request_id = body.get("subject_request_id")
    if not isinstance(request_id, str) or not _UUID4.fullmatch(request_id):
        return "subject_request_id must be a UUID of version 4"
    kind = body.get("subject_request_type")
    if not isinstance(kind, str) or kind not in REQUEST_TYPES:
        return "subject_request_type must be access, portability or erasure"
    if not is_time_text(body.get("submitted_time")):
        return "submitted_time must be an ISO 8601 time"
    if body.get("api_version") not in (None, "3.0"):
        return "api_version must be 3.0"
    return _malformed_identities(body)


def _malformed_identities(body: Mapping[str, Any]) -> str | None:
    given = body.get("subject_identities") or {}
    extended = _extension(body).get("subject_identities") or {}
    if not isinstance(given, Mapping) or not isinstance(extended, Mapping):
        return "subject_identities must be an object"
    if not given and not extended:
        return "subject_identities must name at least one identity"
    if len(given) + len(extended) > MAX_IDENTITIES:
        return f"subject_identities may name up to {MAX_IDENTITIES} identities"
    for kind, identity in [*given.items(), *extended.items()]:
        if not isinstance(identity, Mapping) or not isinstance(identity.get("value"), str) or not identity["value"]:
            return f"the identity {kind} needs a value"
        if identity.get("encoding", "raw") != "raw":
            return f"the identity {kind} must have the encoding raw"
    unknown = [kind for kind in given if kind not in _REQUEST_IDENTITIES]
    unknown += [kind for kind in extended if kind not in _EXTENSION_IDENTITIES and kind != "mpid"]
    if unknown:
        return f"the identity type {unknown[0]} is not known"
    if "mpid" in extended and len(given) + len(extended) > 1:
        return "mpid must be the only identity"
    return None


def _extension(body: Mapping[str, Any]) -> Mapping[str, Any]:
    extensions = body.get("extensions")
    extension = extensions.get(EXTENSION) if isinstance(extensions, Mapping) else None
    return extension if isinstance(extension, Mapping) else {}


def _identities(body: Mapping[str, Any]) -> tuple[dict[IdentityType, str], str | None]:
    identities: dict[IdentityType, str] = {}
    for kind, identity in (body.get("subject_identities") or {}).items():
        known = _REQUEST_IDENTITIES[kind]
        if known is not None:
            identities[known] = identity["value"]
    mpid = None
    for kind, identity in (_extension(body).get("subject_identities") or {}).items():
        if kind == "mpid":
            mpid = identity["value"]
        else:
            identities[_EXTENSION_IDENTITIES[kind]] = identity["value"]
    return identities, mpid


def _fingerprint(body: Mapping[str, Any]) -> str:
    """Tells requests with the same identities, extensions and type, without keeping the identities."""
    parts = [body.get("subject_request_type"), body.get("subject_identities"), body.get("extensions")]
    return uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(parts, sort_keys=True, default=str)).hex


def _error(status: int, message: str) -> DSRResponse:
    return DSRResponse(status, {"error": {"code": status, "message": message}})
