"""Who the user is: identity calls, aliases between users, and listeners to both."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import InvalidArgumentError
from ..identity import IdentityRequest, IdentityResult, Operation, User, alias_of
from ..values import check_timestamp, describe
from .core import ClientCore

__all__ = ["Identities", "IdentityCalls"]

Identities = IdentityRequest | Mapping[Any, str | None]
"""Identities by type, as a request or a mapping."""


class IdentityCalls(ClientCore):
    """Who the user is."""

    @property
    def current_user(self) -> User | None:
        """The current user, read-only; ``None`` only with a resolver that has not named one yet."""
        return self._state.user

    def identify(self, request: Identities | None = None, **identities: str | None) -> User | None:
        """Say who the user is; without identities the device's anonymous user.

        Args:
            request: Identities by type, as an :class:`IdentityRequest` or a mapping.
            **identities: The same by snake_case name: ``identify(customer_id="ada-1815", email="ada@example.com")``.

        Returns:
            The current user after the call. With a resolver that asks a server the user stays until its answer has
            come; ``on_success`` of the request and identity listeners are told then.

        Raises:
            InvalidArgumentError: An identity type is unknown, or a value is neither text nor ``None``.
            ClosedError: The client is closed.
        """
        return self._change_identity("identify", request, identities)

    def login(self, request: Identities | None = None, **identities: str | None) -> User | None:
        """The user logged in; arguments and errors as :meth:`identify`."""
        return self._change_identity("login", request, identities)

    def logout(self, request: Identities | None = None, **identities: str | None) -> User | None:
        """The user logged out; usually without identities. Arguments and errors as :meth:`identify`."""
        return self._change_identity("logout", request, identities)

    def modify(self, request: Identities | None = None, **identities: str | None) -> User | None:
        """Change identities of the current user without changing who it is; ``None`` removes one.

        Arguments and errors as :meth:`identify`; in a :meth:`~mparticle_kit_braze.MParticle.user_scope` it is about
        the scope's user and gives ``None``.
        """
        return self._change_identity("modify", request, identities)

    def alias_users(
        self,
        source: User | int,
        destination: User | int,
        *,
        start: float | dt.datetime | None = None,
        end: float | dt.datetime | None = None,
    ) -> bool:
        """Say that what one user did was done by another, such as a device's anonymous user by the one who logged in.

        Args:
            source: The user, or MPID, whose data is to be moved.
            destination: Whom it belongs to.
            start: From when on; ``None`` for as far back as mParticle goes, 90 days.
            end: Until when; ``None`` for now.

        Returns:
            Whether the resolver took it on; its outcome is known later. The local resolver lets the source's
            identities lead to the destination.

        Raises:
            InvalidArgumentError: The users are the same or none, or the times are not in order or too long ago.
            ClosedError: The client is closed.
        """
        alias = alias_of(source, destination, check_timestamp(start), check_timestamp(end), self._time())
        self._refuses_when_closed()
        return self._state.alias_users(alias)

    def add_identity_listener(self, listener: Callable[[IdentityResult], object]) -> None:
        """Have a callback told of every identity call that succeeds, after the kits.

        Raises:
            InvalidArgumentError: It is not callable.
        """
        if not callable(listener):
            raise InvalidArgumentError(f"listener must be callable, not {describe(listener)}")
        identification = self._state.identification
        identification.listeners = (*identification.listeners, listener)

    def remove_identity_listener(self, listener: Callable[[IdentityResult], object]) -> None:
        """Tell a callback no more; one that was never added is no error."""
        identification = self._state.identification
        identification.listeners = tuple(known for known in identification.listeners if known != listener)

    aliasUsers = alias_users  # noqa: N815  # mParticle's clients spell it so; likewise below
    currentUser = current_user  # noqa: N815
    addIdentityStateListener = add_identity_listener  # noqa: N815  # Android's name; the next as well
    removeIdentityStateListener = remove_identity_listener  # noqa: N815

    def _change_identity(
        self, operation: Operation, request: Identities | None, names: Mapping[str, str | None]
    ) -> User | None:
        if not isinstance(request, IdentityRequest):
            request = IdentityRequest(request, **names)  # type: ignore[arg-type]  # names that are none raise
        elif names:
            merged = IdentityRequest(request.identities, **names)  # type: ignore[arg-type]  # as above
            merged.on_success, merged.on_failure = request.on_success, request.on_failure
            request = merged
        if operation != "modify":
            self._refuses_in_scope(operation)
        elif self._scoped("modify", **{kind.value: value for kind, value in request.identities.items()}):
            return None
        self._refuses_when_closed()
        return self._state.change_identity(operation, request)
