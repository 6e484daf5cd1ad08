"""What the adapter remembers over restarts: device id, user, session, alias, configuration, signatures.

One key-value file holds it. The parts that decide how queued records leave (alias, adopter, device id) are read
from the file, since another process may have written them; the current user and session are this process's own.
"""

from __future__ import annotations

import os
from typing import Any

from ..storage import KeyValues
from .server_config import ServerConfig
from .sessions import Session

__all__ = ["State", "new_id"]

MAX_SIGNATURES = 16


def new_id() -> str:
    """A random lower-case UUID, version 4; made by hand, since the standard module is slow to import."""
    digits = bytearray(os.urandom(16))
    digits[6] = digits[6] & 0x0F | 0x40
    digits[8] = digits[8] & 0x3F | 0x80
    text = digits.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class State:
    """The remembered state of one Braze client.

    Attributes:
        user_id: The current user; ``None`` while anonymous.
        epoch: Counts changes of user, so that acknowledgements of an earlier user's life are told apart.
        session_id: The session in-app messages and metadata belong to; empty before the first.
        triggers_due: Names the reason why in-app messages must be asked for; ``None`` when they need not.
        asked_again: Names the pause after which they were asked for again; empty for none.
        disabled: Whether the client was disabled.
        config: The server configuration in force.
    """

    def __init__(self, values: KeyValues, *, adopts_anonymous: bool = True) -> None:
        self.values = values
        self._adopts_anonymous = adopts_anonymous
        self.load()

    def load(self) -> None:
        """Take everything from the file: at start, and after a wipe."""
        get = self.values.get
        user_id = get("user_id")
        self.user_id: str | None = user_id if isinstance(user_id, str) and user_id else None
        epoch = get("epoch", 0)
        self.epoch: int = epoch if isinstance(epoch, int) else 0
        self.triggers_due: str | None = get("triggers_due")
        self.disabled: bool = get("disabled") is True
        self.config: ServerConfig = ServerConfig.parse(get("config"))
        self.session_id: str = ""
        self.asked_again: str = ""
        self.values.set_default("device_id", new_id())

    # -- read from the file -------------------------------------------------------------------------------------
    @property
    def device_id(self) -> str:
        """The device id: kept until a wipe, one for all processes on the storage."""
        return str(self.values.get("device_id"))

    @property
    def alias(self) -> dict[str, str] | None:
        """The anonymous user's alias as requests carry it; gone once a user is identified."""
        alias = self.values.get("alias")
        return alias if isinstance(alias, dict) else None

    @property
    def adopter(self) -> str | None:
        """The first user identified on this device: unsent attributes of the anonymous user become theirs."""
        adopter = self.values.get("adopter")
        return adopter if isinstance(adopter, str) and adopter else None

    def stored_session(self) -> Session | None:
        """The session an earlier process left, if it belongs to the current user."""
        return Session.from_stored(self.values.get("session"), self.user_id)

    def stored_signatures(self) -> dict[str, str]:
        """Signatures by user id."""
        stored = self.values.get("signatures")
        if not isinstance(stored, dict):
            return {}
        return {user: text for user, text in stored.items() if isinstance(text, str)}

    # -- changes, each one commit -------------------------------------------------------------------------------
    def set_session(self, session: Session) -> None:
        """A session began: remember it, and ask for in-app messages with the next request."""
        self.session_id = self.triggers_due = session.id
        self.values.update({"session": session.stored(), "triggers_due": session.id})

    def set_user(self, user_id: str, session: Session) -> None:
        """The user changed and a session began for them."""
        adopts = self._adopts_anonymous and self.user_id is None
        self.epoch += 1
        self.user_id = user_id
        self.session_id = self.triggers_due = session.id
        changed: dict[str, Any] = {"user_id": user_id, "epoch": self.epoch, "alias": None}
        if adopts:
            changed["adopter"] = user_id
        self.values.update(changed | {"session": session.stored(), "triggers_due": session.id})

    def set_alias(self, label: str, name: str) -> None:
        """Mark the anonymous user with an alias; the latest one counts."""
        self.values.set("alias", {"label": label, "name": name})

    def set_disabled(self, disabled: bool) -> None:
        """Remember whether the client is disabled."""
        self.disabled = disabled
        self.values.set("disabled", disabled)

    def set_config(self, raw: Any) -> None:
        """Take a configuration whole and remember it."""
        self.config = ServerConfig.parse(raw)
        self.values.set("config", raw)

    def set_signatures(self, signatures: dict[str, str]) -> None:
        """Remember the newest signatures: without them queued data could not be sent after a restart."""
        self.values.set("signatures", dict(list(signatures.items())[-MAX_SIGNATURES:]))

    def triggers_answered(self, reason: str | None) -> dict[str, Any]:
        """In-app messages were answered for ``reason``; gives what to store."""
        if reason is None or self.triggers_due != reason:
            return {}
        self.triggers_due = None
        return {"triggers_due": None}

    def wipe(self) -> None:
        """Forget everything but whether the client is disabled; the next device id, user and session are new."""
        kept = {"epoch": self.epoch + 1, "disabled": self.disabled}
        self.values.delete_prefix("")
        self.values.update(kept)
        self.load()
