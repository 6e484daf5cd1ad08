"""Audience memberships as user attributes: mParticle's audience connection to Braze.

Source: Braze's mParticle page, Send Segments As (the newer of two descriptions; the quoted form of the older one is a
setting). When a connection is switched off or an audience deleted nothing is sent: users keep the marks they have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidArgumentError
from .settings import ServerSettings
from .values import MAX_TEXT, JsonObject

__all__ = ["Audience", "AudienceUpdate", "MembershipFields", "membership_fields"]

STRING_ATTRIBUTE = "SegmentMembership"
ARRAY_ATTRIBUTE = "SegmentMembershipArray"
MAX_EXTERNAL_NAME = 100


@dataclass(frozen=True, slots=True)
class Audience:
    """An audience.

    Attributes:
        id: Its id, a text of digits.
        name: Its name in mParticle.
        external_name: The name it goes by in Braze, up to 100 characters; empty: ``name``.
        variant: The variant of an A/B test.
    """

    id: str
    name: str = ""
    external_name: str = ""
    variant: str = ""

    def __post_init__(self) -> None:
        if not self.id:
            raise InvalidArgumentError("An audience needs an id")
        if len(self.external_name) > MAX_EXTERNAL_NAME:
            raise InvalidArgumentError(
                f"An audience's external name has up to {MAX_EXTERNAL_NAME} characters, not {len(self.external_name)}"
            )

    @property
    def attribute(self) -> str | None:
        """The key of its own attribute, ``In <name>`` or ``In <name> - <variant>``; ``None`` if it has no name."""
        name = self.external_name or self.name
        if not name:
            return None
        return f"In {name} - {self.variant}" if self.variant else f"In {name}"

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Audience:
        """An audience from ``{"id", "name", "external_name", "variant"}``, all but the id optional."""
        return cls(*(str(value.get(key) or "") for key in ("id", "name", "external_name", "variant")))


@dataclass(frozen=True, slots=True)
class AudienceUpdate:
    """What changed for one user.

    Attributes:
        audiences: The audiences of the connection, for their names.
        member_of: Ids of all audiences the user is in now.
        left: Ids of those the user has just left.
        push_tokens: The user's tokens, ``{"platform", "app_id", "token"}`` each.
    """

    audiences: Sequence[Audience]
    member_of: Sequence[str]
    left: Sequence[str] = ()
    push_tokens: Sequence[Mapping[str, str]] = ()

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> AudienceUpdate:
        """An update from its JSON form, with the attributes' names as keys."""
        return cls(
            audiences=[Audience.from_json(audience) for audience in value.get("audiences", ())],
            member_of=[str(audience_id) for audience_id in value.get("member_of", ())],
            left=[str(audience_id) for audience_id in value.get("left", ())],
            push_tokens=list(value.get("push_tokens", ())),
        )


@dataclass(frozen=True, slots=True)
class MembershipFields:
    """The fields for one user's attributes object, and what Braze will cut of them.

    Attributes:
        fields: The fields; empty: there is nothing to send.
        warnings: ``string_length`` (the membership text has more than 255 characters), ``array_length`` (more ids than
            the workspace's limit). What is over is cut by Braze; the values are sent whole.
    """

    fields: JsonObject
    warnings: tuple[str, ...] = ()


def membership_fields(settings: ServerSettings, update: AudienceUpdate) -> MembershipFields:
    """Map one user's memberships.

    An audience that was left is false as a boolean and absent from array and text (Braze's page speaks of false for
    the single attribute too, which a text of ids cannot hold). After the last one they are ``[]`` and ``""``, for
    which there is no public form. Ids go from higher to lower, as in both published examples.
    """
    if not update.member_of and not update.left:
        return MembershipFields({})
    ids = sorted(dict.fromkeys(update.member_of), key=_descending)
    fields: JsonObject = {}
    warnings = []
    if "array" in settings.segment_forms:
        fields[ARRAY_ATTRIBUTE] = ids
        if len(ids) > settings.segment_array_limit:
            warnings.append("array_length")
    if "string" in settings.segment_forms:
        text = ",".join(f"'{audience_id}'" if settings.segments_quoted else audience_id for audience_id in ids)
        fields[STRING_ATTRIBUTE] = text
        if len(text) > MAX_TEXT:
            warnings.append("string_length")
    if "booleans" in settings.segment_forms:
        fields.update(_booleans(update))
    tokens = list(_push_tokens(settings, update.push_tokens))
    if tokens:
        fields["push_tokens"] = tokens
    return MembershipFields(fields, tuple(warnings))


def _booleans(update: AudienceUpdate) -> JsonObject:
    members, left = set(update.member_of), set(update.left)
    return {
        audience.attribute: audience.id in members
        for audience in update.audiences
        if audience.attribute is not None and (audience.id in members or audience.id in left)
    }


def _push_tokens(settings: ServerSettings, tokens: Iterable[Mapping[str, str]]) -> Iterable[JsonObject]:
    """The tokens of the API key's operating system, or all. The setting's values are not public; case is ignored.

    One without app or token would cost the whole update, and is left out.
    """
    wanted = settings.api_key_operating_system
    for token in tokens:
        fits = wanted is None or str(token.get("platform", "")).lower() == wanted.lower()
        if fits and token.get("app_id") and token.get("token"):
            yield {"app_id": token["app_id"], "token": token["token"]}


def _descending(audience_id: str) -> tuple[int, str]:
    return (-int(audience_id), "") if audience_id.isascii() and audience_id.isdigit() else (1, audience_id)
