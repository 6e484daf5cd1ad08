"""``braze.feature_flags``: the flags held for the current user, their sync, and their impressions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...errors import InvalidArgumentError
from ...locks import ForkSafeLock
from .callbacks import Subscribers
from .context import Completion, Context
from .feature_flags import FeatureFlag, parse_flags
from .refresh import Refresh
from .syncs import Answer, Syncs

__all__ = ["FeatureFlags"]


class FeatureFlags:
    """Feature flags. Not made by applications: see :attr:`Braze.feature_flags`.

    They are kept over restarts for the current user (a change of user forgets them), and asked for at the start of
    every session: until the first answer there are none.
    """

    def __init__(self, context: Context, syncs: Syncs) -> None:
        self._context = context
        self._lock = ForkSafeLock()
        self._flags: Mapping[str, FeatureFlag] | None = None
        self._asked_at: float | None = None
        self._due = False
        self._subscribers: Subscribers[tuple[FeatureFlag, ...]] = Subscribers(context.callbacks)
        self._refresh = Refresh(
            context,
            syncs,
            path="feature_flags/sync",
            header="X-Braze-FeatureFlagsRequest",
            members=self._members,
            take=self._take,
        )

    # -- flags --------------------------------------------------------------------------------------------------
    @property
    def all(self) -> tuple[FeatureFlag, ...]:
        """All flags of the current user, as of the last sync; none while disabled (as the Web SDK)."""
        return tuple(self._shown().values())

    def get(self, flag_id: str) -> FeatureFlag | None:
        """One flag; ``None`` if the user has none of that id."""
        return self._shown().get(flag_id)

    def is_enabled(self, flag_id: str, *, default: bool = False) -> bool:
        """Whether a flag is on; ``default`` if the user has none of that id."""
        flag = self.get(flag_id)
        return default if flag is None else flag.enabled

    def refresh(self, callback: Completion | None = None) -> bool:
        """Ask the server for the current flags.

        Args:
            callback: Called once with whether that succeeded, on the thread of all callbacks; with ``False`` also when
                nothing is asked.

        Returns:
            Whether the server will be asked: not while its configuration has flags off, nor again within the seconds
            it sets, nor while the client is disabled (as the Web SDK). A change of user resets those seconds.

        Raises:
            InvalidArgumentError: ``callback`` cannot be called, or is a coroutine function.
            ClosedError: The client was closed.
        """
        context = self._context
        if not context.accepts() or not context.config.feature_flags:
            return self._refresh.refuse(callback)
        now = context.clock.time()
        with self._lock.held:
            last = self._asked_at
            if last is None and isinstance(stored := context.values.get("flags_asked"), int | float):
                last = stored
            too_soon = last is not None and last <= now < last + context.config.flag_interval
            if not too_soon:
                self._asked_at = now
        if too_soon:
            return self._refresh.refuse(callback)
        context.values.update({"flags_asked": now})
        return self._refresh.ask(callback)

    def subscribe_to_updates(self, callback: Callable[[tuple[FeatureFlag, ...]], object]) -> Callable[[], None]:
        """Call ``callback`` with all flags after each answer, on the thread of all callbacks.

        Returns:
            A function that ends the subscription.

        Raises:
            InvalidArgumentError: ``callback`` cannot be called, or is a coroutine function.
        """
        return self._subscribers.add(callback)

    def log_impression(self, flag: FeatureFlag | str) -> bool:
        """The user meets the feature. Counted once a flag and session (as the Web SDK).

        Args:
            flag: The flag or its id.

        Returns:
            Whether it was logged: only for flags the user has that are part of an experiment.

        Raises:
            InvalidArgumentError: ``flag`` is neither a flag nor text.
            ClosedError: The client was closed.
        """
        flag_id = flag.id if isinstance(flag, FeatureFlag) else flag
        if not isinstance(flag_id, str):
            raise InvalidArgumentError(f"flag must be a FeatureFlag or its id, not {type(flag).__name__}")
        held = self.get(flag_id)
        if held is None or held.tracking is None:
            return False
        data = {"fid": held.id, "fts": held.tracking}
        return self._context.log_once_a_session("ffi", [held.id], lambda _fresh: data)

    # -- told by the client -------------------------------------------------------------------------------------
    def session_began(self) -> None:
        """Ask for the flags, now or as soon as a configuration switches them on."""
        self._due = not self._context.config.feature_flags
        self.refresh()

    def config_changed(self) -> None:
        """A new configuration is in force."""
        if self._due and self._context.config.feature_flags:
            self._due = False
            self.refresh()

    def forget_user(self) -> None:
        """The user changed."""
        with self._lock.held:
            self._flags = {}
            self._asked_at = None
        self._refresh.reset()

    def reset_after_fork(self) -> None:
        """In a forked child."""
        self._refresh.reset()

    # -- inside -------------------------------------------------------------------------------------------------
    def _members(self) -> Mapping[str, Any] | None:
        return self._context.user_member()

    def _take(self, answer: Answer) -> bool:
        raw = answer.body.get("feature_flags")
        flags = parse_flags(raw)
        if flags is None:
            return False
        with self._lock.held:
            self._flags = flags
            self._context.values.update({"flags": raw})
        self._subscribers.tell(tuple(flags.values()))
        return True

    def _shown(self) -> Mapping[str, FeatureFlag]:
        """What the app may see: nothing while disabled, as in the Web SDK."""
        return {} if self._context.state.disabled else self._held()

    def _held(self) -> Mapping[str, FeatureFlag]:
        """The flags, read from storage on first use."""
        flags = self._flags
        if flags is None:
            with self._lock.held:
                flags = self._flags = parse_flags(self._context.values.get("flags")) or {}
        return flags
