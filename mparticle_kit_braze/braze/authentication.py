"""SDK authentication: the signatures the app gives us, and the failures Braze reports about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..diagnostics import Reporter
from ..locks import importing
from .encoding import to_bytes
from .state import State
from .subscriptions import Listeners

__all__ = ["AuthenticationFailure", "Signatures", "failure_in", "set_aside_reason"]


@dataclass(frozen=True, slots=True)
class AuthenticationFailure:
    """Braze refused a signature.

    Attributes:
        error_code: 10 expiration required, 20 decoding error, 21 subject mismatch, 22 expired, 23 invalid payload,
            24 incorrect algorithm, 25 public key error, 26 missing token, 27 no matching public key, 28 user id
            mismatch; 0 when the answer had none.
        reason: Braze's word for it.
        user_id: Whose data was refused; ``None`` for the anonymous user.
        signature: The signature that failed; kept out of ``repr``.
    """

    error_code: int
    reason: str
    user_id: str | None = field(repr=False)
    signature: str | None = field(repr=False)


class Signatures:
    """The newest signature of each user, and those who want to hear of failures.

    Args:
        state: Where signatures are remembered.
        reporter: Told when one of those who listen raises.
        enabled: Whether SDK authentication is on; if not, signatures are ignored.

    Attributes:
        failures: Those who are told of failed requests.
    """

    def __init__(self, state: State, reporter: Reporter, *, enabled: bool) -> None:
        self.enabled = enabled
        self.failures: Listeners[AuthenticationFailure] = Listeners(reporter)
        self._state = state

    def take(self, user_id: str | None, signature: str) -> None:
        """A new signature for a user."""
        known = self._state.stored_signatures()
        known.pop(user_id or "", None)
        self._state.set_signatures({**known, user_id or "": signature})

    def for_user(self, user_id: str | None) -> str | None:
        """The signature for a request with this user's data.

        The anonymous user's from before login goes with the current user's, as the Web SDK sends it.
        """
        if not self.enabled:
            return None
        known = self._state.stored_signatures()
        return known.get(user_id or "") or (known.get(self._state.user_id or "") if user_id is None else None)


def set_aside_reason(user_id: str) -> str:
    """Why records of an earlier user wait among the dead letters; tells users apart without naming them."""
    with importing.held:
        import hashlib  # noqa: PLC0415 - seldom needed

    return f"waits for a new signature of user {hashlib.sha256(to_bytes(user_id)).hexdigest()[:12]}"


def failure_in(answer: object, *, status: int) -> tuple[int, str] | None:
    """Code and reason of an authentication failure in an answer's body.

    Both forms count: ``auth_error`` in a 2xx body, as the Web SDK knows it, and a 401 whose body is or holds it.
    """
    if not isinstance(answer, Mapping):
        return None
    error: Any = answer.get("auth_error")
    if not error and not isinstance(error, Mapping):
        error = None
    if error is None and status in (401, 403) and "error_code" in answer:
        error = answer
    if error is None:
        return None
    if not isinstance(error, Mapping):
        return 0, str(error)[:100]
    code, reason = error.get("error_code"), error.get("reason")
    return (code if isinstance(code, int) else 0), str(reason or "")[:100]
