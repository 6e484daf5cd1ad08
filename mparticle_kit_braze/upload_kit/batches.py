"""Records to batches: one user and session a batch, in order, within mParticle's limits.

A record is a JSON object: ``user`` (who, as of the call), ``event``, and what the call changed of the user's
attributes, ``set`` and ``deleted``.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..delivery.destination import Record

__all__ = ["MAX_BATCHES", "MAX_BATCH_BYTES", "MAX_REQUEST_BYTES", "Batch", "Envelope", "batches_of", "encode"]

MAX_REQUEST_BYTES = 256_000
MAX_BATCH_BYTES = 128_000
MAX_BATCHES = 100
ENVELOPE_BYTES = 1024
"""More than a batch has beside its records and what :class:`Envelope` adds to all."""

encode: Callable[[Any], str] = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class Envelope:
    """What every batch of this installation says.

    Attributes:
        device_id: A random id of the installation.
        fields: Environment, version, the app's name and version.
    """

    device_id: str
    fields: Mapping[str, Any]

    @property
    def size(self) -> int:
        """The most bytes it takes in a batch."""
        return ENVELOPE_BYTES + len(encode(self.fields)) + len(self.device_id)


@dataclass(slots=True)
class Batch:
    """Some records in a row, of one user and session.

    Attributes:
        records: How many.
        size: Their payload bytes together: no fewer than they take in the batch.
        key: User and session.
        contents: The records, read; one that does not read is left out.
        digest: Over ids and payloads of the records.
    """

    key: tuple[Any, Any]
    records: int = 0
    size: int = 0
    contents: list[Mapping[str, Any]] = field(default_factory=list)
    digest: Any = field(default_factory=hashlib.sha256)

    def add(self, record: Record, content: Mapping[str, Any] | None) -> None:
        """Take one more record."""
        self.records += 1
        self.size += len(record.payload) + 1
        self.digest.update(b"%d " % record.id)
        self.digest.update(record.payload)
        if content is not None:
            self.contents.append(content)

    def body(self, envelope: Envelope) -> dict[str, Any]:
        """The batch as mParticle takes it. The same records always give the same, its id included."""
        identity = hashlib.sha256(envelope.device_id.encode() + self.digest.digest()).digest()
        user = self.contents[-1]["user"] if self.contents else {}
        changed: dict[str, Any] = {}
        deleted: dict[str, None] = {}
        for content in self.contents:
            for key, value in content.get("set", {}).items():
                changed[key] = value
                deleted.pop(key, None)
            for key in content.get("deleted", ()):
                changed.pop(key, None)
                deleted[key] = None
        body = {
            "source_request_id": str(uuid.UUID(bytes=identity[:16], version=4)),
            **envelope.fields,
            "mp_deviceid": envelope.device_id,
            "mpid": user.get("mpid"),
            "user_identities": user.get("identities"),
            "consent_state": user.get("consent"),
            "integration_attributes": user.get("integrations"),
            "user_attributes": changed,
            "deleted_user_attributes": list(deleted),
            "events": [content["event"] for content in self.contents],
        }
        return {key: value for key, value in body.items() if value or key == "events"}


def read(record: Record) -> Mapping[str, Any] | None:
    """A record's object; ``None`` if it does not read."""
    try:
        content = json.loads(record.payload)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or not isinstance(content.get("user"), dict):
        return None
    event = content.get("event")
    return content if isinstance(event, dict) and isinstance(event.get("data"), dict) else None


def batches_of(
    records: Iterable[Record],
    envelope: Envelope,
    *,
    is_historical: Callable[[Mapping[str, Any]], bool] = lambda _event: False,
) -> tuple[list[Batch], bool]:
    """The batches of one request: leading records, as many as the limits let in.

    Args:
        records: In order.
        envelope: What every batch says, for its size.
        is_historical: Whether an event must go to the endpoint for old data; one request holds only one sort.

    Returns:
        The batches, and whether they are historical.
    """
    batches: list[Batch] = []
    historical: bool | None = None
    total = 2
    for record in records:
        content = read(record)
        sort = historical if content is None else is_historical(content["event"])
        key = batches[-1].key if content is None and batches else key_of(content)
        size = len(record.payload) + 1
        fresh = not batches or batches[-1].key != key or batches[-1].size + size + envelope.size > MAX_BATCH_BYTES
        total += size + (envelope.size if fresh else 0)
        if batches and (total > MAX_REQUEST_BYTES or (fresh and len(batches) == MAX_BATCHES)):
            break
        if None not in (historical, sort) and sort != historical:
            break
        historical = sort if historical is None else historical
        if fresh:
            batches.append(Batch(key))
        batches[-1].add(record, content)
    return batches, bool(historical)


def key_of(content: Mapping[str, Any] | None) -> tuple[Any, Any]:
    """User and session of a record."""
    if content is None:
        return None, None
    return content["user"].get("key"), content["event"]["data"].get("session_uuid")


def chunks(records: Sequence[Record], counts: Sequence[int], envelope: Envelope) -> list[Batch] | None:
    """The batches of an earlier attempt, of ``counts`` records each; ``None`` if these are other records."""
    if min(counts, default=0) < 1 or sum(counts) > len(records):
        return None
    batches: list[Batch] = []
    start = 0
    for count in counts:
        found, _ = batches_of(records[start : start + count], envelope)
        if len(found) != 1 or found[0].records != count:
            return None
        batches += found
        start += count
    return batches
