"""The users this installation knows: identities, attributes, consent and login state, remembered across restarts.

One :class:`UserStore` belongs to a client. What a :class:`LocalUser` shows is replaced on every change, never
edited, so that it can be read from any thread without a lock.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from enum import Enum
from types import MappingProxyType
from typing import Any

from .consent import ConsentState
from .errors import MParticleError
from .identity import IdentityType
from .locks import ForkSafeLock
from .storage import KeyValues

__all__ = ["LocalUser", "UserStore"]

REMEMBERED_USERS = 1000
"""Users beyond this are forgotten, the longest unseen first: a client must not grow for ever."""

MAX_DEPTH = 32
"""Attribute values nested deeper than this are remembered without their depths."""


@dataclass(frozen=True, slots=True)
class UserState:
    """All that is known of a user at one moment; its mappings are never edited."""

    logged_in: bool = False
    identities: Mapping[IdentityType, str] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    consent: ConsentState = field(default_factory=ConsentState)


class LocalUser:
    """A user, as remembered on this machine. Reads always show the latest state.

    Attributes:
        state: Replaced by :class:`UserStore` on every change.
    """

    __slots__ = ("_mpid", "state")

    def __init__(self, mpid: int, state: UserState) -> None:
        self._mpid = mpid
        self.state: UserState = state

    @property
    def mpid(self) -> int:
        """The mParticle id, a signed 64-bit integer, never 0."""
        return self._mpid

    @property
    def is_logged_in(self) -> bool:
        """True after an identify or login that named someone, false after logout."""
        return self.state.logged_in

    @property
    def identities(self) -> Mapping[IdentityType, str]:
        """The identities known for this user."""
        return MappingProxyType(self.state.identities)

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The user attributes; a list attribute is a tuple, a tag is ``None``."""
        return MappingProxyType(self.state.attributes)

    @property
    def consent(self) -> ConsentState:
        """The user's consent."""
        return self.state.consent

    def __repr__(self) -> str:
        return f"LocalUser({self._mpid}, {'logged in' if self.is_logged_in else 'anonymous'})"


class UserStore:
    """Keeps the users and who is current.

    Args:
        values: Where they are remembered.
    """

    def __init__(self, values: KeyValues) -> None:
        self._values = values
        self._lock = ForkSafeLock()
        self._users: dict[int, LocalUser] = {}
        self.current: LocalUser | None = None
        mpid = values.get("current")
        if isinstance(mpid, int) and mpid:
            self.current = self._load(mpid)

    # -- who ----------------------------------------------------------------------------------------------------
    def switch(self, mpid: int, *, logged_in: bool) -> tuple[LocalUser, list[LocalUser]]:
        """Make a user current, known or new. Returns it, and the users that were forgotten to make room."""
        with self._lock.held:
            user = self._users.get(mpid) or self._load(mpid)
            # Only the current user's state stays in memory as objects.
            self._users = {mpid: user}
            user.state = replace(user.state, logged_in=logged_in)
            self.current = user
            seen = int(self._values.get("sequence", 0)) + 1
            self._values.update(
                {"current": mpid, "sequence": seen, f"user.{mpid}.seen": seen, f"user.{mpid}.logged_in": logged_in}
            )
            return user, self._forget_old()

    def set_identities(self, user: LocalUser, changes: Mapping[IdentityType, str | None]) -> None:
        """Merge identities into a user's; ``None`` removes one."""
        with self._lock.held:
            merged = {**user.identities, **changes}
            identities = {kind: value for kind, value in merged.items() if value is not None}
            if identities != user.identities:
                user.state = replace(user.state, identities=identities)
                by_number = {str(kind.number): value for kind, value in identities.items()}
                self._values.set(f"user.{user.mpid}.identities", by_number)

    # -- attributes ---------------------------------------------------------------------------------------------
    def set_attribute(self, user: LocalUser, key: str, value: Any) -> None:
        """Remember an attribute (a list as a tuple, a tag as ``None``)."""
        with self._lock.held:
            old = user.attributes.get(key, user)
            if old.__class__ is value.__class__ and old.__class__ in UNCHANGED_IF_EQUAL and old == value:
                return
            user.state = replace(user.state, attributes={**user.state.attributes, key: value})
            self._values.set(f"user.{user.mpid}.attribute.{key}", encode(value))

    def increment_attribute(self, user: LocalUser, key: str, by: int | float) -> int | float | None:
        """Add to a number and return the sum; ``None``, changing nothing, if what is stored is no number."""
        with self._lock.held:
            total = incremented(user.attributes[key], by) if key in user.attributes else by
            if total is not None:
                self.set_attribute(user, key, total)
            return total

    def remove_attribute(self, user: LocalUser, key: str) -> bool:
        """Forget an attribute and return whether there was one."""
        with self._lock.held:
            if key not in user.attributes:
                return False
            left = {other: value for other, value in user.attributes.items() if other != key}
            user.state = replace(user.state, attributes=left)
            self._values.delete(f"user.{user.mpid}.attribute.{key}")
            return True

    # -- consent ------------------------------------------------------------------------------------------------
    def change_consent(
        self, user: LocalUser, change: Callable[[ConsentState], ConsentState]
    ) -> tuple[ConsentState, ConsentState]:
        """Change a user's consent and return the old and the new state."""
        with self._lock.held:
            old = user.consent
            new = change(old)
            user.state = replace(user.state, consent=new)
            self._values.set(f"user.{user.mpid}.consent", new.to_json())
            return old, new

    # -- inside -------------------------------------------------------------------------------------------------
    def _load(self, mpid: int) -> LocalUser:
        prefix = f"user.{mpid}."
        found = self._values.items(prefix)
        attributes = prefix + "attribute."
        state = UserState(
            logged_in=found.get(f"{prefix}logged_in") is True,
            identities=read_identities(found.get(f"{prefix}identities")),
            attributes={
                key[len(attributes) :]: decode(value) for key, value in found.items() if key.startswith(attributes)
            },
            consent=read_consent(found.get(f"{prefix}consent")),
        )
        user = LocalUser(mpid, state)
        self._users[mpid] = user
        return user

    def _forget_old(self) -> list[LocalUser]:
        if int(self._values.get("sequence", 0)) % (REMEMBERED_USERS // 10):
            return []  # counting them on every switch would be slow
        seen = {key: value for key, value in self._values.items("user.").items() if SEEN.fullmatch(key)}
        excess = sorted(seen, key=lambda key: int(seen[key]))[: max(0, len(seen) - REMEMBERED_USERS)]
        forgotten = [self._load(int(key.split(".")[1])) for key in excess]
        for user in forgotten:
            self._users.pop(user.mpid, None)
            self._values.delete_prefix(f"user.{user.mpid}.")
        return forgotten


SEEN = re.compile(r"user\.-?[0-9]+\.seen")
UNCHANGED_IF_EQUAL = frozenset({str, int, bool, float, type(None)})


def incremented(value: Any, by: int | float) -> int | float | None:
    """A number (a text that reads as one, a tag as 0) plus ``by``; ``None`` if it is none or the sum not finite."""
    number: Any = value
    if value is None:  # a tag has no value yet (as Android)
        number = 0
    elif isinstance(value, str):
        number = read_number(value)
    if isinstance(number, bool) or not isinstance(number, int | float | Decimal):
        return None
    try:
        total: int | float = float(number) + by if isinstance(number, Decimal) else number + by
    except OverflowError:
        return None
    return total if math.isfinite(total) else None


def read_number(text: str) -> int | float | None:
    """The whole or decimal number a text spells."""
    spelled = text.strip()
    if "_" in spelled or len(spelled) > 400:
        return None
    try:
        return int(spelled)
    except ValueError:
        pass
    try:
        number = float(spelled)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


# -- attribute values as JSON ---------------------------------------------------------------------------------------


def encode(value: Any, depth: int = 0) -> Any:
    """An attribute value as JSON that :func:`decode` turns back; foreign objects as their text."""
    if value is None or value.__class__ in (bool, int, float, str):
        return value
    if depth > MAX_DEPTH:
        return None
    if isinstance(value, Enum):
        return encode(value.value, depth + 1)
    if isinstance(value, dt.datetime | dt.date):
        return {"type": "datetime" if isinstance(value, dt.datetime) else "date", "value": value.isoformat()}
    if isinstance(value, Decimal):
        return {"type": "decimal", "value": str(value)}
    if isinstance(value, Mapping):
        return {"type": "mapping", "value": {str(key): encode(item, depth + 1) for key, item in value.items()}}
    if isinstance(value, list | tuple | set | frozenset):
        return [encode(item, depth + 1) for item in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    try:
        return str(value)
    except Exception:  # noqa: BLE001  # a value of the host's own class must not break the call
        return None


def decode(stored: Any) -> Any:
    """The attribute value from its JSON; sequences come back as tuples."""
    if isinstance(stored, list):
        return tuple(decode(item) for item in stored)
    if not isinstance(stored, dict):
        return stored
    kind: Any = stored.get("type")
    value: Any = stored.get("value")
    try:
        if kind == "datetime":
            return dt.datetime.fromisoformat(value)
        if kind == "date":
            return dt.date.fromisoformat(value)
        if kind == "decimal":
            return Decimal(value)
        return {key: decode(item) for key, item in value.items()}
    except (TypeError, ValueError, AttributeError, InvalidOperation):
        return None


def read_identities(stored: Any) -> dict[IdentityType, str]:
    """A user's identities from their JSON; what does not read is left out."""
    found: dict[IdentityType, str] = {}
    for number, value in stored.items() if isinstance(stored, dict) else ():
        if number.isdigit() and int(number) < len(IdentityType) and isinstance(value, str):
            found[IdentityType.parse(int(number))] = value
    return found


def read_consent(stored: Any) -> ConsentState:
    """A user's consent from its JSON; none if it does not read."""
    try:
        return ConsentState.from_json(stored or {})
    except (MParticleError, TypeError, AttributeError):
        return ConsentState()
