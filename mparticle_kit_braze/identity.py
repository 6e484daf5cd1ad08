"""Identity types, identity requests, users as kits see them, and the resolution of identities to an MPID."""

from __future__ import annotations

import enum
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from .consent import ConsentState
from .errors import InvalidArgumentError
from .locks import ForkSafeLock
from .storage import KeyValues
from .values import describe

__all__ = [
    "Alias",
    "IdentityFailure",
    "IdentityRequest",
    "IdentityResolver",
    "IdentityResult",
    "IdentityType",
    "LocalResolver",
    "Operation",
    "PendingResolution",
    "Resolution",
    "User",
    "alias_of",
]

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
        on_success: Called with an :class:`IdentityResult` once the call has succeeded and the kits know.
        on_failure: Called with an :class:`IdentityFailure` if it has failed for good; the user stays.
        **names: The same by snake_case name: ``IdentityRequest(customer_id="ada", email="ada@example.com")``.

    Raises:
        InvalidArgumentError: An identity type is unknown, given twice, a value is neither text nor ``None``, or a
            callback not callable.
    """

    __slots__ = ("identities", "on_failure", "on_success")

    identities: dict[IdentityType, str | None]

    def __init__(
        self,
        identities: Mapping[Any, str | None] | None = None,
        *,
        on_success: Callable[[IdentityResult], object] | None = None,
        on_failure: Callable[[IdentityFailure], object] | None = None,
        **names: str | None,
    ) -> None:
        for what, callback in (("on_success", on_success), ("on_failure", on_failure)):
            if callback is not None and not callable(callback):
                raise InvalidArgumentError(f"{what} must be callable, not {describe(callback)}")
        self.on_success: Callable[[IdentityResult], object] | None = on_success
        self.on_failure: Callable[[IdentityFailure], object] | None = on_failure
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


@dataclass(frozen=True, slots=True)
class IdentityResult:
    """A successful identity call.

    Attributes:
        operation: The call.
        user: The current user after it.
        previous_user: The current user before it; the same unless it changed who the user is.
    """

    operation: Operation
    user: User
    previous_user: User | None


@dataclass(frozen=True, slots=True)
class IdentityFailure:
    """An identity call that failed for good.

    Attributes:
        operation: The call.
        code: The HTTP status; -1 if it was not a server that failed.
        reason: Why, in a few words without personal data.
    """

    operation: Operation
    code: int
    reason: str


class PendingResolution:
    """An answer that is still to come. Whoever resolves calls :meth:`complete` or :meth:`fail` once, on any thread."""

    __slots__ = ("_callback", "_done", "_lock", "_outcome")

    def __init__(self) -> None:
        self._lock = ForkSafeLock()
        self._done = False
        self._outcome: Resolution | IdentityFailure | None = None
        self._callback: Callable[[Resolution | IdentityFailure | None], object] | None = None

    def complete(self, resolution: Resolution | None) -> None:
        """The answer, or ``None``: everything stays as it was."""
        self._settle(resolution)

    def fail(self, failure: IdentityFailure) -> None:
        """There will be no answer."""
        self._settle(failure)

    def when_done(self, callback: Callable[[Resolution | IdentityFailure | None], object]) -> None:
        """Call back with what comes; at once if it has come."""
        with self._lock.held:
            self._callback = callback
            done = self._done
        if done:
            callback(self._outcome)

    def _settle(self, outcome: Resolution | IdentityFailure | None) -> None:
        with self._lock.held:
            if self._done:
                return
            self._done, self._outcome = True, outcome
            callback = self._callback
        if callback is not None:
            callback(outcome)


@dataclass(frozen=True, slots=True)
class Alias:
    """What one user did is another's.

    Attributes:
        source: The MPID whose data is to be moved.
        destination: The MPID that it belongs to.
        start: From when on, seconds since the epoch.
        end: Until when.
    """

    source: int
    destination: int
    start: float
    end: float


ALIAS_WINDOW = 90 * 86_400.0
"""Seconds; mParticle moves no older data. Source: Android ``alias_max_window``."""


def alias_of(source: object, destination: object, start: float | None, end: float | None, now: float) -> Alias:
    """An alias, checked as mParticle's clients check it.

    Raises:
        InvalidArgumentError: The users are the same or none, or the times are not in order or too long ago.
    """
    mpids: list[int] = []
    for what, user in (("source", source), ("destination", destination)):
        mpid = getattr(user, "mpid", user)
        if not isinstance(mpid, int) or isinstance(mpid, bool) or mpid == 0:
            raise InvalidArgumentError(f"{what} must be a user or an MPID that is not 0, not {describe(mpid)}")
        mpids.append(mpid)
    if mpids[0] == mpids[1]:
        raise InvalidArgumentError("source and destination must be different users")
    until = now if end is None else end
    since = now - ALIAS_WINDOW if start is None else start
    if since > until:
        raise InvalidArgumentError("start must not be after end")
    if since < now - ALIAS_WINDOW - 1:
        raise InvalidArgumentError("start must not be more than 90 days ago")
    return Alias(mpids[0], mpids[1], since, until)


class IdentityResolver(Protocol):
    """Turns identities into an MPID.

    A resolver may have more: ``open(storage, reporter, environment)``, called once by the client, ``close()``, and
    ``alias(alias)``, which takes an :class:`Alias` and says whether it can.
    """

    def resolve(
        self, operation: Operation, identities: Mapping[IdentityType, str | None], current: User | None
    ) -> Resolution | PendingResolution | IdentityFailure | None:
        """Say who the user is after an identity call. Never waits: an answer that takes time is a pending one.

        Calls are resolved one at a time, each with the user that the one before it made.

        Args:
            operation: The call. At the very first start it is ``identify`` without identities.
            identities: Those of the request; ``None`` values only for ``modify``.
            current: The user until now.

        Returns:
            The user from now on; a failure, or ``None`` if there is no answer: then everything stays as it was.
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

    def alias(self, alias: Alias) -> bool:
        """The identities of one user lead to another from here on."""
        for key, mpid in self._values.items("identity.").items():
            if mpid == alias.source:
                self._values.set(key, alias.destination)
        return True

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
