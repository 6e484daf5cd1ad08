"""Why a value is not sent: the exception that carries the reason from a validator to the call that made it.

It never reaches the host application; the call returns ``False`` and reports the reason.
"""

from __future__ import annotations

__all__ = ["BlockedError", "Refused", "UnsupportedNumberError", "shown"]


class Refused(Exception):  # noqa: N818 - a verdict about a value, not an error of ours
    """Braze would not take this value.

    Attributes:
        reason: What is wrong and what is accepted; no value in it.
        subject: The name of the event, property or attribute concerned; may be empty.
    """

    def __init__(self, reason: str, subject: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.subject = subject


class UnsupportedNumberError(Refused):
    """A number that JSON or Braze cannot hold: NaN, an infinity, or a whole number beyond 64 bits."""


class BlockedError(Refused):
    """The server's block list names it."""


def shown(name: object) -> str:
    """A name as it may stand in a message: quoted, and cut when long."""
    text = repr(name)
    return text if len(text) <= 80 else f"{text[:76]}...{text[0]}"
