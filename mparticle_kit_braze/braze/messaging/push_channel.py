"""``braze.push``: this device's token, and what a push notification brings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...errors import InvalidArgumentError
from ..encoding import compact
from ..recorder import Recorder
from .arguments import checked
from .context import Completion, Context
from .push import PushMessage, parse_push
from .refresh import Refresh
from .syncs import Answer, Syncs
from .triggers import PUSH_CLICK, Occurrence

__all__ = ["Push"]

TOKEN_KEYS = ("push_token", "custom_push_public_key", "custom_push_user_auth", "custom_push_vapid_public_key")
REGISTERED = "push_registration"


class Push:
    """Push for an app that receives the notifications itself, from whatever service delivers them.

    Not made by applications: see :attr:`Braze.push`. Opens are counted; that a notification was delivered is not, since
    Braze publishes no way for a client of this kind to tell.
    """

    def __init__(
        self,
        context: Context,
        syncs: Syncs,
        recorder: Recorder,
        flush_soon: Callable[[], object],
        happened: Callable[[Occurrence], object],
    ) -> None:
        self._context = context
        self._recorder = recorder
        self._flush_soon = flush_soon
        self._happened = happened
        self._withdrawn: str | None = None
        self._unregister = Refresh(
            context, syncs, path="push/unregister", header=None, members=self._members, take=self._take
        )

    # -- the token ----------------------------------------------------------------------------------------------
    def register(
        self,
        token: str,
        *,
        public_key: str | None = None,
        user_auth: str | None = None,
        vapid_public_key: str | None = None,
    ) -> bool:
        """Register this device's push token for the current user, at once, and for every later user and session.

        Args:
            token: The device token; for web push the subscription's endpoint URL.
            public_key: Web push: the subscription's key.
            user_auth: Web push: the subscription's secret.
            vapid_public_key: Web push: the sender's key.

        Returns:
            Whether it was queued.

        Raises:
            InvalidArgumentError: ``token`` is no text, or is empty.
            ClosedError: The client was closed.
        """
        _check_token(token)
        registration: dict[str, Any] = {"push_token": token}
        if public_key is not None or user_auth is not None:
            registration |= dict(zip(TOKEN_KEYS[1:], (public_key, user_auth, vapid_public_key), strict=True))
        if not self._context.accepts():
            return False
        self._context.device_values.set(REGISTERED, registration)
        return self._send(registration)

    def set_token(self, token: str | None) -> bool:
        """As :meth:`register`; ``None`` clears what was registered from the user's profile and registers it no more.

        Returns:
            Whether it was queued.

        Raises:
            InvalidArgumentError: ``token`` is neither text nor ``None``, or is empty.
            ClosedError: The client was closed.
        """
        if token is not None:
            return self.register(token)
        if not self._context.accepts():
            return False
        registered = self._registration() or ("push_token",)
        self._context.device_values.delete(REGISTERED)
        return self._send(dict.fromkeys(registered))

    def unregister(self, callback: Completion | None = None) -> bool:
        """Withdraw the token: the user gets no more push on this device.

        Args:
            callback: Called once with whether the server took it, on the thread of all callbacks; with ``False`` also
                when there is nothing to withdraw.

        Returns:
            Whether there was a token to withdraw, and that is queued; not while the client is disabled.

        Raises:
            InvalidArgumentError: ``callback`` cannot be called, or is a coroutine function.
            ClosedError: The client was closed.
        """
        registration = self._registration()
        if not self._context.accepts() or not registration:
            return self._unregister.refuse(callback)
        self._withdrawn = registration["push_token"]
        self._context.device_values.delete(REGISTERED)
        self._unregister.ask(callback)
        return self._send(dict.fromkeys(registration))

    def _send(self, registration: Mapping[str, Any]) -> bool:
        queued = self._queue(registration)
        self._flush_soon()
        return queued

    def _queue(self, registration: Mapping[str, Any]) -> bool:
        return self._recorder.attributes(self._recorder.owner, compact(dict(registration))[1:-1])

    def _registration(self) -> dict[str, Any]:
        stored = self._context.device_values.get(REGISTERED)
        usable = isinstance(stored, dict) and isinstance(stored.get("push_token"), str)
        return {key: stored[key] for key in TOKEN_KEYS if key in stored} if usable else {}

    # -- notifications ------------------------------------------------------------------------------------------
    def handle(self, payload: Mapping[str, Any] | str | bytes, *, opened: bool = False) -> PushMessage | None:
        """Read a push notification's payload as the push service delivered it.

        Args:
            payload: A mapping, or its JSON.
            opened: Whether the user opened the notification: then that is logged as :meth:`log_open` does.

        Returns:
            The message, with its deep link and extras; ``None`` if the payload is not one of Braze's, whatever else
            it may be.

        Raises:
            ClosedError: The client was closed, and the notification was opened.
        """
        message = parse_push(payload)
        if message is not None and opened:
            self.log_open(message)
        return message

    def log_open(self, message: PushMessage) -> bool:
        """The user opened a push notification; in-app messages that wait for that come up.

        Returns:
            Whether it was logged: not without a campaign id, nor while disabled.

        Raises:
            InvalidArgumentError: ``message`` is no push message.
            ClosedError: The client was closed.
        """
        campaign = checked(message, PushMessage).campaign_id
        if campaign is None or not self._context.log("pc", {"cid": campaign}):
            return False
        self._happened(Occurrence(PUSH_CLICK, campaign))
        return True

    # -- told by the client -------------------------------------------------------------------------------------
    def session_began(self) -> None:
        """Register the token again, as the Web SDK does at new sessions and for new users."""
        registration = self._registration()
        if registration:  # it leaves with the session's first request, or with the next one
            self._queue(registration)

    def forget_device(self) -> None:
        """Everything is wiped."""
        self._context.device_values.delete(REGISTERED)

    def reset_after_fork(self) -> None:
        """In a forked child."""
        self._unregister.reset()

    # -- inside -------------------------------------------------------------------------------------------------
    def _members(self) -> Mapping[str, Any] | None:
        return {"push_token": self._withdrawn, **self._context.user_member()}

    def _take(self, _answer: Answer) -> bool:
        return True


def _check_token(token: object) -> None:
    if not isinstance(token, str) or not token:
        raise InvalidArgumentError("token must be non-empty text")
