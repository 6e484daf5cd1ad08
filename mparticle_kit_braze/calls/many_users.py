"""Many users at once, for backends: a handle for one of them, or a scope in which all calls are about one of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import ConfigurationError, InvalidArgumentError
from ..identity import IdentityRequest
from ..locks import importing
from .core import ClientCore
from .identities import Identities

if TYPE_CHECKING:
    from ..kits.user_handle import UserHandle
    from ..kits.user_scope import UserScope

__all__ = ["ManyUsersCalls"]


class ManyUsersCalls(ClientCore):
    """Many users at once; the current user is not touched by any of it."""

    def for_user(
        self, request: Identities | None = None, *, mpid: int | str | None = None, **identities: str | None
    ) -> UserHandle:
        """A handle with this client's methods for one of many users; the current user is not touched.

        Only kits that serve many users (the server kit) get its calls. Light enough for one a web request.

        Args:
            request: Identities by type, as for :meth:`identify`.
            mpid: The user's MPID, where that is what the kit identifies users by.
            **identities: The same by snake_case name.

        Raises:
            InvalidArgumentError: An identity type is unknown, or a value is neither text nor ``None``.
            ConfigurationError: No running kit serves many users.
            ClosedError: The client is closed.
        """
        with importing.held:
            from ..kits.user_handle import UserHandle  # noqa: PLC0415  # apps with one user never need it

        self._refuses_when_closed()
        if isinstance(request, IdentityRequest):
            request = request.identities
        users = self._kits.for_user(IdentityRequest(request, **identities).identities, mpid)  # type: ignore[arg-type]  # names that are none raise
        if not users:
            raise ConfigurationError("no running kit serves many users; add a BrazeServerKit")
        return UserHandle(users, self._reporter, self._refuses_when_closed)

    def user_scope(
        self,
        request: Identities | Callable[[], Identities | None] | None = None,
        *,
        mpid: int | str | None = None,
        **identities: str | None,
    ) -> UserScope:
        """A context manager in which this client's calls are about one of many users, as those of :meth:`for_user`.

        It holds in the thread or the asyncio task that enters it and in tasks started there. Events, attributes, tags,
        ``modify``, the opt-out (as email subscription) and push tokens go to the user; calls that would change the
        user of the whole process raise. Nobody's calls are counted and reported, never sent as somebody else's.

        Args:
            request: Identities by type, or a function that says them (``None``: nobody) when a call is made; it is
                asked again until it names somebody.
            mpid: The user's MPID, where that is what the kit identifies users by.
            **identities: The same by snake_case name: ``with client.user_scope(customer_id="ada-1815"): ...``

        Raises:
            InvalidArgumentError: An identity type is unknown, a value is neither text nor ``None``, or there are
                identities beside a function.
            ConfigurationError: No running kit serves many users. With a function, the first call raises it.
            ClosedError: The client is closed.
        """
        with importing.held:
            from ..kits.user_scope import UserScope, user_of_scope  # noqa: PLC0415  # as above

        if callable(request):
            if mpid is not None or identities:
                raise InvalidArgumentError("a function says all identities; give no others beside it")
            scope = UserScope(self, self.for_user, self._reporter, ask=request)
        else:
            scope = UserScope(self, self.for_user, self._reporter, user=self.for_user(request, mpid=mpid, **identities))
        self._find_user = user_of_scope
        return scope

    forUser = for_user  # noqa: N815  # as mParticle's clients spell names
