"""The user that calls on a client are about, for the length of a request or a task, by context variable.

A scope holds in the thread or task that entered it and in the tasks started there; others are not touched. A thread
that is started inside has no scope unless its context was copied, as ``asyncio.to_thread`` does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import Any

from ..diagnostics import Reporter
from ..errors import ClosedError
from ..identity import IdentityRequest
from .user_handle import UserHandle

__all__ = ["Identities", "UserScope", "user_of_scope"]

Identities = IdentityRequest | Mapping[Any, str | None]

_SCOPES: ContextVar[tuple[UserScope, ...]] = ContextVar("mparticle_kit_braze_user_scopes", default=())
"""The scopes that hold here, the innermost first."""


class UserScope:
    """While it is entered, calls on the client go to one of many users. Made by ``client.user_scope(...)``.

    Args:
        client: Whose calls.
        for_user: Makes a handle for identities.
        reporter: Where an ``ask`` that raises is reported.
        user: The user, if known already.
        ask: Says who it is, at the first call that wants to know; asked again as long as it is nobody.
    """

    __slots__ = ("_ask", "_for_user", "_reporter", "_user", "client")

    def __init__(
        self,
        client: object,
        for_user: Callable[[Identities | None], UserHandle],
        reporter: Reporter,
        *,
        user: UserHandle | None = None,
        ask: Callable[[], Identities | None] | None = None,
    ) -> None:
        self.client: object = client
        self._for_user = for_user
        self._user = user
        self._ask = ask
        self._reporter = reporter

    def __enter__(self) -> None:
        _SCOPES.set((self, *_SCOPES.get()))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave()
        self.end()

    @contextlib.contextmanager
    def part(self) -> Iterator[None]:
        """Enter for a part of the request; the user's batch goes on."""
        self.__enter__()
        try:
            yield
        finally:
            self._leave()

    def _leave(self) -> None:
        scopes = list(_SCOPES.get())
        with contextlib.suppress(ValueError):  # left in another context than it was entered in
            scopes.remove(self)
        _SCOPES.set(tuple(scopes))

    def end(self) -> None:
        """End the user's batch."""
        if self._user is not None:
            with contextlib.suppress(ClosedError):
                self._user.end()

    def user(self) -> UserHandle:
        """The user; one without identities while nobody is known."""
        if self._user is not None:
            return self._user
        identities = self._identities()
        user = self._for_user(identities)
        if identities is not None and any(identities.identities.values()):
            self._user = user
        return user

    def _identities(self) -> IdentityRequest | None:
        if self._ask is None:
            return None
        nobody = UserScope(self.client, self._for_user, self._reporter)  # for calls that are made by asking
        try:
            with nobody.part():
                found = self._ask()
            return found if found is None or isinstance(found, IdentityRequest) else IdentityRequest(found)
        except Exception as error:  # noqa: BLE001  # the host's code; logging an event must not raise for it
            message = f"The function that names the user of a request raised {type(error).__name__}"
            self._reporter.report("callback_failed", message, key="user_scope", exception=error)
            return None


def user_of_scope(client: object) -> UserHandle | None:
    """The user that calls on a client are about here; ``None`` outside of its scopes."""
    for scope in _SCOPES.get():
        if scope.client is client:
            return scope.user()
    return None
