"""Which attribute values Braze already has from us, so that unchanged ones need not be sent again.

Only digests are kept. The memory must never claim more than what was really queued, over crashes and beside other
processes on the same storage: before a first change it is marked, on the disk, as owned by this process and so
not to be trusted by any other; :meth:`SentAttributes.persist` writes it out and lifts the mark.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import Literal

from ..locks import ForkSafeLock, importing
from ..storage import KeyValues
from .encoding import to_bytes

__all__ = ["SentAttributes", "SkipUnchanged"]

SkipUnchanged = Literal["all", "email", "none"]
"""Which attributes are not sent again while unchanged."""

MAX_USERS = 1000
MAX_KEYS = 2000
OWNER, VERSION, SALT, USERS = "owner", "version", "salt", "user/"


class SentAttributes:
    """Remembers digests of the values queued, by user and attribute.

    Args:
        values: A key-value file of its own.
        mode: ``all`` attributes, the ``email`` only, or ``none``.
    """

    def __init__(self, values: KeyValues, mode: SkipUnchanged) -> None:
        self._values = values
        self._mode = mode
        self._lock = ForkSafeLock()
        self._users: OrderedDict[str, dict[str, str]] = OrderedDict()
        self._changed: set[str] = set()
        self._version: str | None = None
        self._token = _token()
        self._key = b""
        if mode != "none":
            self._key = self._salt()

    def covers(self, attribute: str) -> bool:
        """Whether this attribute is subject to the memory at all."""
        return self._mode == "all" or (self._mode == "email" and attribute == "email")

    def admit(self, user_id: str | None, attribute: str, text: str) -> bool:
        """Whether a value must be sent; if so it counts as sent from now on.

        Args:
            user_id: Whose attribute.
            attribute: Its name; custom attributes have the prefix ``custom.``.
            text: The value's JSON, which tells 1, 1.0, true and "1" apart.
        """
        if not self.covers(attribute):
            return True
        digest = self._digest(text)
        with self._lock.held:
            self._synchronise()
            user = self._user_key(user_id)
            if self._known(user).get(attribute) == digest:
                return False
            self._take_ownership()
            known = self._known(user)
            if len(known) >= MAX_KEYS:
                known.clear()
            known[attribute] = digest
            self._changed.add(user)
            return True

    def forget(self, user_id: str | None, attribute: str) -> None:
        """The value is no longer known: incremented, added to, or not queued after all."""
        if not self.covers(attribute):
            return
        with self._lock.held:
            self._synchronise()
            user = self._user_key(user_id)
            if attribute in self._known(user):
                self._take_ownership()
                self._known(user).pop(attribute, None)
                self._changed.add(user)

    def forget_all(self) -> None:
        """Trust nothing any more: records were dropped."""
        if self._mode == "none":
            return
        with self._lock.held:
            self._users.clear()
            self._changed.clear()
            self._version = None
            self._values.delete_prefix(USERS)
            self._values.update({OWNER: None, VERSION: _token()})

    def persist(self) -> None:
        """Write out what changed and give up ownership. Skipped while another thread is in here."""
        if not self._changed or not self._lock.held.acquire(timeout=0):
            return
        try:
            self._values.reload()
            if self._values.get(OWNER) == self._token:
                self._version = _token()
                written = {USERS + user: self._users[user] for user in self._changed if user in self._users}
                self._values.update({**written, OWNER: None, VERSION: self._version})
            self._changed.clear()
        finally:
            self._lock.held.release()

    def close(self) -> None:
        """Close the file."""
        self._values.close()

    def reset_after_fork(self) -> None:
        """In a forked child: a new lock, and a name of its own, so that the parent's changes are not trusted."""
        self._lock = ForkSafeLock()
        self._token = _token()
        self._changed = set()
        self._version = None

    # -- inside -------------------------------------------------------------------------------------------------
    def _synchronise(self) -> None:
        """Drop what we know when another process may know better."""
        self._values.reload()
        owner = self._values.get(OWNER)
        if owner == self._token:
            return
        version = self._values.get(VERSION)
        if owner is not None or version != self._version:
            self._users.clear()
            self._changed.clear()
            self._version = version

    def _take_ownership(self) -> None:
        owner = self._values.get(OWNER)
        if owner == self._token:
            return
        if owner is not None:
            # Its owner died or is at work beside us: what the file says may be older than what was sent.
            self._values.delete_prefix(USERS)
            self._users.clear()
        self._values.set(OWNER, self._token)

    def _known(self, user: str) -> dict[str, str]:
        known = self._users.get(user)
        if known is None:
            owner = self._values.get(OWNER)
            stored = self._values.get(USERS + user) if owner is None or owner == self._token else None
            known = self._users[user] = stored if isinstance(stored, dict) else {}
            if len(self._users) > MAX_USERS:
                self._evict()
        self._users.move_to_end(user)
        return known

    def _evict(self) -> None:
        gone, _ = self._users.popitem(last=False)
        self._changed.discard(gone)
        self._values.delete(USERS + gone)

    def _salt(self) -> bytes:
        salt = self._values.get(SALT)
        if not isinstance(salt, str):
            salt = os.urandom(16).hex()
            self._values.set(SALT, salt)
        return salt.encode()[:64]

    def _digest(self, text: str) -> str:
        with importing.held:
            import hashlib  # noqa: PLC0415 - not needed where nothing is remembered

        return hashlib.blake2b(to_bytes(text), digest_size=9, key=self._key).hexdigest()

    def _user_key(self, user_id: str | None) -> str:
        return "" if user_id is None else self._digest(user_id)


def _token() -> str:
    return f"{os.getpid()}-{os.urandom(6).hex()}"
