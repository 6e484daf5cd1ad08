"""Identity types, identity requests, users as kits see them, and the resolution of identities to an MPID."""

from __future__ import annotations

import enum
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from .consent import ConsentState
from .errors import InvalidArgumentError
from .storage import KeyValues
from .values import describe

__all__ = ["IdentityRequest", "IdentityResolver", "IdentityType", "LocalResolver", "Operation", "Resolution", "User"]

Operation = Literal["identify", "login", "logout", "modify"]


class IdentityType(enum.Enum):
    """The identity types; the value is the snake_case keyword of ``identify``."""

    OTHER = "other"
    CUSTOMER_ID = "customer_id"
    FACEBOOK = "facebook"
    TWITTER = "twitter"
    GOOGLE = "google"
    MICROSOFT = "microsoft"
    YAHOO = "yahoo"
    EMAIL = "email"
    ALIAS = "alias"
    FACEBOOK_CUSTOM_AUDIENCE_ID = "facebook_custom_audience_id"
    OTHER2 = "other2"
    OTHER3 = "other3"
    OTHER4 = "other4"
    OTHER5 = "other5"
    OTHER6 = "other6"
    OTHER7 = "other7"
    OTHER8 = "other8"
    OTHER9 = "other9"
    OTHER10 = "other10"
    MOBILE_NUMBER = "mobile_number"
    PHONE_NUMBER_2 = "phone_number_2"
    PHONE_NUMBER_3 = "phone_number_3"

    @property
    def number(self) -> int:
        """MParticle's number, which identity filters list (0 to 21)."""
        return NUMBERS[self]

    @property
    def mp_name(self) -> str:
        """The name in mParticle's identity calls and on the web, such as ``customerid``."""
        value: str = self.value
        if self in (IdentityType.CUSTOMER_ID, IdentityType.FACEBOOK_CUSTOM_AUDIENCE_ID):
            return value.replace("_", "")
        return value

    @property
    def events_api_name(self) -> str:
        """The key in mParticle's Events API, such as ``other_id_2``."""
        value: str = self.value
        return f"other_id_{value[5:]}" if value.startswith("other") and value != "other" else value

    @classmethod
    def parse(cls, value: object) -> IdentityType:
        """The type from itself, its number, or any spelling of its name.

        Case and underscores do not count: ``customerid``, ``CustomerId`` and ``customer_id`` are the same. The
        web's aliases ``email_sha256`` and ``mobile_sha256`` are ``other`` and ``other2``.

        Raises:
            InvalidArgumentError: There is no such type.
        """
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            found = SPELLINGS.get(value.replace("_", "").lower())
            if found is not None:
                return found
            given = repr(value) if len(value) <= 40 else f"{value[:40]!r}..."
        elif isinstance(value, int) and not isinstance(value, bool) and value in BY_NUMBER:
            return BY_NUMBER[value]
        else:
            given = describe(value)
        accepted = ", ".join(member.value for member in cls)
        raise InvalidArgumentError(f"unknown identity type {given}; accepted are {accepted}")


NUMBERS = {kind: number for number, kind in enumerate(IdentityType)}
"""The members stand in the order of mParticle's numbers."""
BY_NUMBER = {number: kind for kind, number in NUMBERS.items()}
SPELLINGS = {
    **{kind.value.replace("_", ""): kind for kind in IdentityType},
    **{kind.events_api_name.replace("_", ""): kind for kind in IdentityType},
    "emailsha256": IdentityType.OTHER,
    "mobilesha256": IdentityType.OTHER2,
}


class IdentityRequest:
    """The identities of one identity call.

    Args:
        identities: Values by identity type (a member, number or name). ``None`` removes an identity in
            ``modify`` and is left out elsewhere.
        **names: The same by snake_case name: ``IdentityRequest(customer_id="ada", email="ada@example.com")``.

    Raises:
        InvalidArgumentError: An identity type is unknown, given twice, or a value is neither text nor ``None``.
    """

    __slots__ = ("identities",)

    identities: dict[IdentityType, str | None]

    def __init__(self, identities: Mapping[Any, str | None] | None = None, **names: str | None) -> None:
        if identities is not None and not isinstance(identities, Mapping):
            raise InvalidArgumentError(
                f"identities must be an IdentityRequest or a mapping of identity types to str, "
                f"not {describe(identities)}"
            )
        self.identities = {}
        for name, value in [*(identities or {}).items(), *names.items()]:
            kind = IdentityType.parse(name)
            if kind in self.identities:
                raise InvalidArgumentError(f"identity {kind.value} is given twice")
            if value is not None and not isinstance(value, str):
                raise InvalidArgumentError(f"identity {kind.value} must be a str or None, not {describe(value)}")
            self.identities[kind] = value

    def __repr__(self) -> str:
        return f"IdentityRequest({', '.join(kind.value for kind in self.identities)})"


class User(Protocol):
    """A user as kits see one: read-only, already without what the kit's filters hide."""

    @property
    def mpid(self) -> int:
        """The mParticle id, a signed 64-bit integer, never 0."""

    @property
    def is_logged_in(self) -> bool:
        """True after an identify or login that named someone, false after logout."""

    @property
    def identities(self) -> Mapping[IdentityType, str]:
        """The identities known for this user."""

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The user attributes; a list attribute is a tuple, a tag is ``None``."""

    @property
    def consent(self) -> ConsentState:
        """The user's consent."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """The answer of a resolver.

    Attributes:
        mpid: Who the user is now.
        is_logged_in: Whether that user counts as known rather than anonymous.
    """

    mpid: int
    is_logged_in: bool


class IdentityResolver(Protocol):
    """Turns identities into an MPID."""

    def resolve(
        self, operation: Operation, identities: Mapping[IdentityType, str | None], current: User | None
    ) -> Resolution | None:
        """Say who the user is after an identity call.

        Args:
            operation: The call. At the very first start it is ``identify`` without identities.
            identities: Those of the request; ``None`` values only for ``modify``.
            current: The user until now.

        Returns:
            The user from now on, or ``None`` if there is no answer: then everything stays as it was.
        """


class LocalResolver:
    """Resolves identities on this machine, without a server, and remembers them across restarts.

    The customer id decides if there is one, else the first known identity in the order of
    :class:`IdentityType`. Unknown identities turn an anonymous current user into the known one (mParticle's
    profile conversion strategy), or else make a new user. Without identities the user is the device's anonymous one.

    Args:
        values: Where the identities are remembered.
    """

    def __init__(self, values: KeyValues) -> None:
        self._values = values

    def resolve(
        self, operation: Operation, identities: Mapping[IdentityType, str | None], current: User | None
    ) -> Resolution | None:
        """See :meth:`IdentityResolver.resolve`."""
        if operation == "modify":
            return self._modify(identities, current)
        named = {kind: value for kind, value in identities.items() if value is not None}
        if not named:
            return Resolution(self._anonymous(), is_logged_in=False)
        mpid = self._known(named)
        if mpid is None:
            mpid = self._claim(named, current)
        for kind, value in named.items():
            self._values.set_default(identity_key(kind, value), mpid)
        return Resolution(mpid, is_logged_in=operation != "logout")

    def forget(self, user: User) -> None:
        """Forget the identities that lead to a user."""
        for kind, value in user.identities.items():
            if self._values.get(identity_key(kind, value)) == user.mpid:
                self._values.delete(identity_key(kind, value))

    def _modify(self, identities: Mapping[IdentityType, str | None], current: User | None) -> Resolution | None:
        if current is None:
            return None
        for kind, value in identities.items():
            old = current.identities.get(kind)
            if old is not None and old != value and self._values.get(identity_key(kind, old)) == current.mpid:
                self._values.delete(identity_key(kind, old))
            if value is not None:
                self._values.set(identity_key(kind, value), current.mpid)
        if current.mpid == self._values.get("anonymous") and any(value is not None for value in identities.values()):
            self._values.delete("anonymous")  # it is someone now; the next logout needs another
        return Resolution(current.mpid, current.is_logged_in)

    def _known(self, named: Mapping[IdentityType, str]) -> int | None:
        if IdentityType.CUSTOMER_ID in named:
            named = {IdentityType.CUSTOMER_ID: named[IdentityType.CUSTOMER_ID]}
        for kind in sorted(named, key=lambda kind: kind.number):
            mpid = self._values.get(identity_key(kind, named[kind]))
            if isinstance(mpid, int):
                return mpid
        return None

    def _claim(self, named: Mapping[IdentityType, str], current: User | None) -> int:
        """A user for identities nobody has: the anonymous one, if current, or a new one."""
        converted = current is not None and not current.is_logged_in and not current.identities
        mpid = current.mpid if converted and current is not None else new_mpid()
        deciding = min(named, key=lambda kind: (kind is not IdentityType.CUSTOMER_ID, kind.number))
        # Another process may be claiming the same identity: the first one wins, for both.
        claimed = int(self._values.set_default(identity_key(deciding, named[deciding]), mpid))
        if converted and claimed == mpid:
            self._values.delete("anonymous")
        return claimed

    def _anonymous(self) -> int:
        return int(self._values.set_default("anonymous", new_mpid()))


def identity_key(kind: IdentityType, value: str) -> str:
    """Where the MPID of an identity is remembered."""
    return f"identity.{kind.number}.{value}"


def new_mpid() -> int:
    """A random signed 64-bit integer that is not 0."""
    while True:
        number = int.from_bytes(os.urandom(8), "big", signed=True)
        if number:
            return number
