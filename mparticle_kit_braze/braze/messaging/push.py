"""Push payloads: recognising Braze's among all others, and reading them. Pure.

The keys are those Braze documents for its Android, web and Apple payloads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from .fields import boolean, identifier, text, texts

__all__ = ["PushMessage", "parse_push"]


@dataclass(frozen=True, slots=True)
class PushMessage:
    """A push notification that Braze sent.

    Attributes:
        campaign_id: For analytics; without one an open cannot be logged.
        title, body: The texts; ``None`` for a silent push.
        deep_link: Where opening it leads.
        image_url: A large image.
        extras: The campaign's key-value pairs.
        use_webview: Whether a web link is meant to open inside the app.
        raw: The payload as received, for anything not named here.
    """

    campaign_id: str | None
    title: str | None = None
    body: str | None = None
    deep_link: str | None = None
    image_url: str | None = None
    extras: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    use_webview: bool = False
    raw: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), repr=False, compare=False)

    @property
    def is_silent(self) -> bool:
        """Whether there is nothing to show."""
        return self.title is None and self.body is None


def parse_push(payload: object) -> PushMessage | None:
    """Read a payload as the push service delivered it.

    Args:
        payload: A mapping, or its JSON as text or bytes. A ``data`` object around it (as Firebase hands it over)
            is looked into.

    Returns:
        The message; ``None`` if the payload is not one of Braze's.
    """
    fields = _as_object(payload)
    if fields is None:
        return None
    if isinstance(inner := _as_object(fields.get("data")), dict) and not _is_braze(fields):
        fields = inner
    if not _is_braze(fields):
        return None
    return _apple(fields) if isinstance(fields.get("ab"), dict) else _plain(fields)


def _is_braze(fields: Mapping[str, Any]) -> bool:
    return isinstance(fields.get("ab"), dict) or fields.get("_ab") in ("true", True)


def _as_object(value: object) -> dict[str, Any] | None:
    if isinstance(value, str | bytes | bytearray):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return (
        {key: member for key, member in value.items() if isinstance(key, str)} if isinstance(value, Mapping) else None
    )


def _plain(fields: dict[str, Any]) -> PushMessage:
    """Firebase and others of its form: everything at the top level, extras as JSON text."""
    return PushMessage(
        campaign_id=identifier(fields, "cid"),
        title=text(fields, "t"),
        body=text(fields, "a"),
        deep_link=text(fields, "uri") or None,
        image_url=text(fields, "ab_iu") or None,
        extras=texts({"extra": _as_object(fields.get("extra"))}, "extra"),
        use_webview=fields.get("ab_use_webview") in ("true", True),
        raw=MappingProxyType(fields),
    )


_APPLE_OWN = frozenset({"aps", "ab", "ab_uri", "ab_use_webview"})


def _apple(fields: dict[str, Any]) -> PushMessage:
    """Apple's form: texts under ``aps``, Braze's own under ``ab``, extras beside them."""
    braze = fields["ab"]
    aps = fields.get("aps")
    alert = aps.get("alert") if isinstance(aps, dict) else None
    if isinstance(alert, str):
        alert = {"body": alert}
    elif not isinstance(alert, dict):
        alert = {}
    attachment = braze.get("att")
    extras = {key: value for key, value in fields.items() if key not in _APPLE_OWN}
    return PushMessage(
        campaign_id=identifier(braze, "c"),
        title=text(alert, "title"),
        body=text(alert, "body"),
        deep_link=text(fields, "ab_uri") or None,
        image_url=text(attachment, "url") if isinstance(attachment, dict) else None,
        extras=texts({"extras": extras}, "extras"),
        use_webview=boolean(fields, "ab_use_webview"),
        raw=MappingProxyType(fields),
    )
