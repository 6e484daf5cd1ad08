"""An id for the client's session, for ids that recommended eCommerce events need and the app did not give."""

from __future__ import annotations

from ..locks import importing

__all__ = ["SessionId"]


class SessionId:
    """A random id that stays the same until it is renewed; made when first asked for."""

    __slots__ = ("_value",)

    def __init__(self) -> None:
        self._value: str | None = None

    @property
    def current(self) -> str:
        """The id of this session, upper case as mParticle's."""
        if self._value is None:
            with importing.held:
                import uuid  # noqa: PLC0415 - seldom needed, slow to import

            self._value = str(uuid.uuid4()).upper()
        return self._value

    def renew(self) -> None:
        """A new session began."""
        self._value = None
