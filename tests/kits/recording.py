"""A kit that writes down what it is told, and resolvers that say what a test wants."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from typing_extensions import override

from mparticle_kit_braze.commerce import CommerceEvent
from mparticle_kit_braze.consent import ConsentState
from mparticle_kit_braze.diagnostics import Reporter
from mparticle_kit_braze.events import Event, ScreenView
from mparticle_kit_braze.identity import IdentityType, Operation, Resolution, User
from mparticle_kit_braze.kits.configuration import KitConfiguration
from mparticle_kit_braze.kits.kit import Kit, KitContext
from mparticle_kit_braze.kits.manager import KitManager
from mparticle_kit_braze.storage import Storage

numbers = itertools.count()


class RecordingKit(Kit):
    """Takes every call and keeps it as ``(callback, *arguments)``."""

    def __init__(
        self,
        configuration: Mapping[str, Any] | KitConfiguration | None = None,
        name: str = "Recording",
        kit_id: int = 28,
    ) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.contexts: list[KitContext] = []
        self.name = name  # type: ignore[misc]  # several of one class need names of their own
        self.kit_id = kit_id  # type: ignore[misc]  # as the name
        if configuration is not None and not isinstance(configuration, KitConfiguration):
            configuration = KitConfiguration.from_json(configuration)
        self._configuration = configuration

    @property
    @override
    def configuration(self) -> KitConfiguration | None:
        return self._configuration

    def of(self, *callbacks: str) -> list[tuple[Any, ...]]:
        """The calls of some callbacks, without their names."""
        return [call[1:] for call in self.calls if call[0] in callbacks]

    def names(self) -> list[str]:
        """The names of all callbacks that came."""
        return [call[0] for call in self.calls]

    @override
    def on_start(self, context: KitContext, user: User | None) -> None:
        self.contexts.append(context)
        self.calls.append(("on_start", None if user is None else user.mpid))

    @override
    def on_configuration_updated(self, configuration: KitConfiguration) -> None:
        self.calls.append(("on_configuration_updated", configuration))

    @override
    def on_stop(self) -> None:
        self.calls.append(("on_stop",))

    @override
    def log_event(self, event: Event) -> None:
        self.calls.append(("log_event", event))

    @override
    def log_screen(self, screen: ScreenView) -> None:
        self.calls.append(("log_screen", screen))

    @override
    def log_commerce_event(self, event: CommerceEvent) -> None:
        self.calls.append(("log_commerce_event", event))

    @override
    def on_user_attribute_set(self, user: User | None, key: str, value: Any) -> None:
        self.calls.append(("on_user_attribute_set", key, value, None if user is None else dict(user.attributes)))

    @override
    def on_user_attribute_list_set(self, user: User | None, key: str, values: Sequence[Any]) -> None:
        self.calls.append(("on_user_attribute_list_set", key, values))

    @override
    def on_user_tag_set(self, user: User | None, key: str) -> None:
        self.calls.append(("on_user_tag_set", key))

    @override
    def on_user_attribute_incremented(
        self, user: User | None, key: str, by: int | float, total: int | float | None
    ) -> None:
        self.calls.append(("on_user_attribute_incremented", key, by, total))

    @override
    def on_user_attribute_removed(self, user: User | None, key: str, *, was_set: bool) -> None:
        self.calls.append(("on_user_attribute_removed", key, was_set))

    @override
    def on_identity_completed(
        self, operation: Operation, user: User, identities: Mapping[IdentityType, str | None]
    ) -> None:
        self.calls.append(("on_identity_completed", operation, user.mpid, dict(user.identities), dict(identities)))

    @override
    def on_consent_changed(self, user: User, old: ConsentState, new: ConsentState) -> None:
        self.calls.append(("on_consent_changed", old, new))

    @override
    def on_opt_out(self, opted_out: bool) -> None:
        self.calls.append(("on_opt_out", opted_out))

    @override
    def on_push_token(self, token: str) -> bool:
        self.calls.append(("on_push_token", token))
        return True


class FixedResolver:
    """Always the same user, or (``None``) never one."""

    def __init__(self, mpid: int | None, *, logged_in: bool = False) -> None:
        self.mpid = mpid
        self.logged_in = logged_in

    def resolve(
        self, operation: Operation, identities: Mapping[IdentityType, str | None], current: User | None
    ) -> Resolution | None:
        """The same answer, whatever is asked."""
        if self.mpid is None:
            return None
        named = any(value is not None for value in identities.values())
        if operation in ("identify", "login") and named:
            self.logged_in = True
        elif operation == "logout":
            self.logged_in = False
        return Resolution(self.mpid, self.logged_in)


def manager(*kits: Kit, reporter: Reporter | None = None, environment: str = "production") -> KitManager:
    """A manager of some kits, judged and settled for an anonymous device without a user."""
    reporter = reporter or Reporter()
    made = KitManager(
        kits,
        storage=Storage.open(":memory:", reporter),
        reporter=reporter,
        environment=environment,
        session_timeout=1800,
    )
    made.judge(None, opted_out=False)
    made.settle()
    return made
