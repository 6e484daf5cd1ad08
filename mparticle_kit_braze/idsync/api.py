"""IDSync on the wire: requests from identities, answers to resolutions, failures and waits. No I/O here.

Source: mParticle's IDSync HTTP API v1.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ..delivery import Response
from ..delivery.policy import retry_after
from ..identity import Alias, IdentityType, Operation, User
from ..locks import importing

__all__ = [
    "Answer",
    "Meaning",
    "alias_body",
    "identity_body",
    "identity_changes",
    "modify_body",
    "read_answer",
    "signed_headers",
]

MAX_AGE = 86_400.0
"""Seconds; the longest that an answer is cached, whatever ``x-mp-max-age`` says."""


class Meaning(enum.Enum):
    """What to do after an answer."""

    RESOLVED = "resolved"
    RETRY = "retry"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, read.

    Attributes:
        meaning: What to do.
        mpid: Who the user is; ``None`` in answers that name nobody (modify, alias).
        is_logged_in: Whether that user counts as known.
        context: To be sent with the next request.
        max_age: Seconds for which the same request has the same answer.
        code: The HTTP status; 0 without an answer.
        reason: Why it was not resolved, without personal data.
        retry_after: Seconds the server asked to wait.
    """

    meaning: Meaning
    mpid: int | None = None
    is_logged_in: bool = False
    context: str | None = None
    max_age: float = 0.0
    code: int = 0
    reason: str = ""
    retry_after: float | None = None


# -- requests -------------------------------------------------------------------------------------------------------


def common(environment: str, version: str, request_id: str, now: float, context: str | None) -> dict[str, Any]:
    """What every request says."""
    return {
        "client_sdk": {"platform": "other", "sdk_vendor": "mparticle_kit_braze", "sdk_version": version},
        "context": context,
        "environment": environment,
        "request_id": request_id,
        "request_timestamp_ms": round(now * 1000),
    }


def identity_body(
    envelope: Mapping[str, Any], identities: Mapping[IdentityType, str | None], device: str, current: User | None
) -> dict[str, Any]:
    """The body of identify, login and logout. The device's stamp makes sure that there is an identity."""
    known = {kind.mp_name: value for kind, value in identities.items() if value is not None}
    return {
        **envelope,
        "previous_mpid": None if current is None else str(current.mpid),
        "known_identities": {"device_application_stamp": device, **known},
    }


def identity_changes(identities: Mapping[IdentityType, str | None], current: User) -> list[dict[str, Any]]:
    """What a modify changes; identities that are so already are left out."""
    return [
        {"identity_type": kind.mp_name, "old_value": current.identities.get(kind), "new_value": value}
        for kind, value in identities.items()
        if current.identities.get(kind) != value
    ]


def modify_body(envelope: Mapping[str, Any], changes: list[dict[str, Any]]) -> dict[str, Any]:
    """The body of modify."""
    return {**envelope, "identity_changes": changes}


def alias_body(alias: Alias, key: str, *, environment: str, request_id: str, device: str) -> dict[str, Any]:
    """The body of an alias request."""
    return {
        "request_id": request_id,
        "request_type": "alias",
        "environment": environment,
        "api_key": key,
        "data": {
            "source_mpid": alias.source,
            "destination_mpid": alias.destination,
            "start_unixtime_ms": round(alias.start * 1000),
            "end_unixtime_ms": round(alias.end * 1000),
            "device_application_stamp": device,
        },
    }


def signed_headers(url: str, body: bytes, *, key: str, secret: str | None, now: float) -> dict[str, str]:
    """The headers of a request: the key, and with a secret the date and the signature over method, date, path, body."""
    headers = {"Content-Type": "application/json", "x-mp-key": key}
    if secret is not None:
        with importing.held:
            from email.utils import formatdate  # noqa: PLC0415 - only on the sending thread

        date = formatdate(now, usegmt=True)
        path = urlsplit(url).path
        path = path[path.rindex("/v1/") :]  # as on mParticle's own host, whatever a proxy puts before it
        signed = f"POST\n{date}\n{path}".encode() + body
        headers["Date"] = date
        headers["x-mp-signature"] = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    return headers


# -- answers --------------------------------------------------------------------------------------------------------


def read_answer(operation: Operation | None, response: Response, now: float) -> Answer:
    """What an answer means.

    Args:
        operation: The call; ``None`` for an alias.
        response: The answer, or why there was none.
        now: Wall-clock seconds since the epoch.
    """
    status = response.status
    content = read_object(response.body)
    if status in {0, 429} or status >= 500:
        reason = response.error or f"HTTP {status}"
        return Answer(Meaning.RETRY, code=status, reason=reason, retry_after=retry_after(response.headers, now))
    if not 200 <= status < 300:
        codes = ", ".join(error_codes(content))
        return Answer(Meaning.FAILED, code=status, reason=f"HTTP {status}" + (f" ({codes})" if codes else ""))
    if operation is None or operation == "modify":
        return Answer(Meaning.RESOLVED, context=text_or_none(content.get("context")), code=status)
    mpid = read_mpid(content.get("mpid"))
    if mpid is None:
        return Answer(Meaning.FAILED, code=status, reason="the answer names no MPID")
    return Answer(
        Meaning.RESOLVED,
        mpid=mpid,
        is_logged_in=content.get("is_logged_in") is True,
        context=text_or_none(content.get("context")),
        max_age=read_age(response.headers.get("x-mp-max-age")),
        code=status,
    )


def read_object(body: bytes) -> Mapping[str, Any]:
    """The JSON object of a body; an empty one if it is none."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def error_codes(content: Mapping[str, Any]) -> list[str]:
    """The codes of errors, in either of the API's spellings; messages may hold identities."""
    errors = content.get("errors") or content.get("Errors")
    codes = [
        error.get("code") or error.get("ErrorCode")
        for error in (errors if isinstance(errors, list) else ())
        if isinstance(error, dict)
    ]
    codes = codes or [content.get("ErrorCode")]
    return [str(code)[:60] for code in codes if code][:10]


def read_mpid(value: Any) -> int | None:
    """An MPID from its text; unsigned ones are folded to signed. ``None`` if it is none, or 0."""
    try:
        number = int(value) if isinstance(value, str | int) and not isinstance(value, bool) else 0
    except ValueError:
        return None
    if not -(1 << 63) <= number < 1 << 64:
        return None
    return (number - (1 << 64) if number >= 1 << 63 else number) or None


def read_age(text: str | None) -> float:
    """``x-mp-max-age`` in seconds; 0 if absent or no number."""
    try:
        seconds = float(text or 0)
    except ValueError:
        return 0.0
    return min(max(seconds, 0.0), MAX_AGE) if seconds == seconds else 0.0  # noqa: PLR0124 - NaN


def text_or_none(value: Any) -> str | None:
    """A text, or ``None``."""
    return value if isinstance(value, str) else None
