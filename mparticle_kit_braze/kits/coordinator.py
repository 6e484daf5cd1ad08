"""The state all kits share: the current user, the opt-out, the gates; kept in step with what kits are told.

A change is stored and the gates are judged at once; what kits are told of it goes through a turnstile, so that
they hear of changes one at a time and in order.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..consent import ConsentState
from ..diagnostics import Reporter
from ..identity import IdentityResolver, IdentityType, LocalResolver, Operation, User
from ..storage import Storage
from ..users import UserStore
from .configuration import KitConfiguration
from .manager import KitManager
from .turnstile import Turnstile

__all__ = ["Coordinator"]

MAX_IDENTITY_LENGTH = 4096
"""Longer identities are not stored. Source: Android identity validation."""


class Coordinator:
    """Keeps users and kits in step.

    Args:
        kits: The kits.
        storage: Where users, identities and the opt-out are remembered.
        reporter: Where problems go.
        resolver: Turns identities into an MPID; ``None`` for the local one.

    Attributes:
        opted_out: Whether the user opted out.
    """

    def __init__(
        self, kits: KitManager, *, storage: Storage, reporter: Reporter, resolver: IdentityResolver | None
    ) -> None:
        self._kits = kits
        self._reporter = reporter
        self._values = storage.key_values("client")
        self._users = UserStore(self._values)
        self._identities = storage.key_values("identities")
        self._local = LocalResolver(self._identities)
        self._resolver: IdentityResolver = self._local if resolver is None else resolver
        self._turn = Turnstile()
        self.opted_out = self._values.get("opted_out") is True

    @property
    def user(self) -> User | None:
        """The current user."""
        return self._users.current

    def start(self) -> None:
        """Find out who the user is and start the kits whose gate is open."""
        self._turn.run(self._begin)

    def close(self) -> None:
        """Close the files."""
        self._values.close()
        self._identities.close()

    # -- attributes ---------------------------------------------------------------------------------------------
    def set_attribute(self, key: str, value: Any) -> None:
        """Remember a scalar attribute (``None`` forgets it) and tell the kits."""
        user = self._users.current
        if user is not None and value is None:
            self._users.remove_attribute(user, key)
        elif user is not None:
            self._users.set_attribute(user, key, value)
        self._attributes_changed()
        self._kits.user_attribute_set(user, key, value)

    def set_attribute_list(self, key: str, values: tuple[Any, ...]) -> None:
        """Remember a list attribute and tell the kits."""
        user = self._users.current
        if user is not None:
            self._users.set_attribute(user, key, values)
        self._attributes_changed()
        self._kits.user_attribute_list_set(user, key, values)

    def set_tag(self, tag: str) -> None:
        """Remember a tag and tell the kits."""
        user = self._users.current
        if user is not None:
            self._users.set_attribute(user, tag, None)
        self._attributes_changed()
        self._kits.user_tag_set(user, tag)

    def remove_attribute(self, key: str) -> None:
        """Forget an attribute and tell the kits."""
        user = self._users.current
        was_set = user is not None and self._users.remove_attribute(user, key)
        self._attributes_changed()
        self._kits.user_attribute_removed(user, key, was_set=was_set)

    def increment_attribute(self, key: str, by: int | float) -> None:
        """Add to an attribute and tell the kits."""
        user = self._users.current
        total = by if user is None else self._users.increment_attribute(user, key, by)
        self._attributes_changed()
        self._kits.user_attribute_incremented(user, key, by, total)

    # -- identity, consent, opt-out, configuration --------------------------------------------------------------
    def change_identity(self, operation: Operation, given: Mapping[IdentityType, str | None]) -> User | None:
        """Resolve identities, then tell the kits; the current user afterwards."""
        identities = self._storable(given)
        if operation != "modify":
            identities = {kind: value for kind, value in identities.items() if value is not None}

        def change() -> None:
            if self._resolve(operation, identities):
                self._judge()
                self._kits.settle()
                if self._users.current is not None:
                    self._kits.identity_completed(operation, self._users.current, identities)

        self._turn.run(change)
        return self._users.current

    def change_consent(self, change: Callable[[ConsentState], ConsentState]) -> None:
        """Change the current user's consent; the gates first, then the kits (as Android)."""
        user = self._users.current
        if user is None:
            self._reporter.report("no_current_user", "Consent was not stored: there is no current user yet")
            return
        old, new = self._users.change_consent(user, lambda state: change(state).stamped(time.time()))
        self._judge()

        def tell() -> None:
            self._kits.settle()
            self._kits.consent_changed(user, old, new)

        self._turn.run(tell)

    def set_opt_out(self, opted_out: bool) -> None:
        """Remember the opt-out; kits that it stops hear of it first, kits that start again hear of it too."""
        self._values.set("opted_out", opted_out)
        self.opted_out = opted_out
        self._judge()

        def tell() -> None:
            if not opted_out:
                self._kits.settle()
            self._kits.opt_out_changed(opted_out)
            self._kits.settle()

        self._turn.run(tell)

    def apply(self, configurations: Sequence[KitConfiguration]) -> None:
        """Give the kits other configurations."""
        concerned = self._kits.apply(configurations)
        self._judge()

        def tell() -> None:
            self._kits.configuration_updated(concerned)
            self._kits.settle()

        self._turn.run(tell)

    # -- inside -------------------------------------------------------------------------------------------------
    def _begin(self) -> None:
        if self._users.current is None:
            self._resolve("identify", {})
        self._judge()
        self._kits.settle()

    def _judge(self) -> None:
        self._kits.judge(self._users.current, opted_out=self.opted_out)

    def _attributes_changed(self) -> None:
        """Decide the gates anew if an attribute may move one; before the kits hear of it, as the web core does."""
        if self._kits.rejudges_on_attributes():
            self._judge()
            self._turn.run(self._kits.settle)

    def _storable(self, identities: Mapping[IdentityType, str | None]) -> dict[IdentityType, str | None]:
        """The identities without those that no mParticle client stores: empty ones and ones that are too long."""
        storable: dict[IdentityType, str | None] = {}
        for kind, value in identities.items():
            if value is not None and not 0 < len(value) <= MAX_IDENTITY_LENGTH:
                why = "is empty" if not value else f"is longer than {MAX_IDENTITY_LENGTH} characters"
                self._reporter.report("value_refused", f"Identity {kind.value} {why}; left out", key=kind.value)
            else:
                storable[kind] = value
        return storable

    def _resolve(self, operation: Operation, identities: Mapping[IdentityType, str | None]) -> bool:
        """Ask the resolver and make its answer the current user; false if it has none."""
        try:
            resolution = self._resolver.resolve(operation, identities, self._users.current)
        except Exception as error:  # noqa: BLE001  # a resolver may be the host's own
            self._reporter.report(
                "identity_failed",
                f"{operation} failed with {type(error).__name__}; the user stays",
                key=operation,
                exception=error,
            )
            return False
        if resolution is None:
            return False
        user, forgotten = self._users.switch(resolution.mpid, logged_in=resolution.is_logged_in)
        for old in forgotten:
            self._local.forget(old)
        self._users.set_identities(user, identities)
        return True
