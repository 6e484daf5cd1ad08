"""The lock of a delivery, and what can be asked of it."""

from __future__ import annotations

from ..locks import ForkSafeLock
from ..overriding import override

__all__ = ["Guard"]


class Guard(ForkSafeLock):
    """The lock around everything that must not be halfway done when the process forks."""

    __slots__ = ()

    @override
    def after_fork(self) -> None:
        """Stay as it is: whose it was at the fork tells the child what it may touch. It renews the lock itself."""

    def is_free(self) -> bool:
        """Whether nobody holds it."""
        if not self.held.acquire(blocking=False):
            return False
        self.held.release()
        return True
