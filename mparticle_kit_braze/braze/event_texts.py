"""Names of events that passed the rules, each with the beginning of its data: checked once, looked up after."""

from __future__ import annotations

from .encoding import quote
from .refusal import BlockedError
from .validation.values import label

__all__ = ["EventTexts"]


class EventTexts(dict[str, str]):
    """Names of events that passed, each with the beginning of its data; filled on demand and bounded."""

    MAX_NAMES = 1024
    MAX_NAME_LENGTH = 128

    def __init__(self, blocked: frozenset[str]) -> None:
        super().__init__()
        self._blocked = blocked

    def __missing__(self, name: object) -> str:
        checked = label(name, "event name")
        if checked in self._blocked:
            raise BlockedError("on the server's list of blocked events", checked)
        text = f'{{"n":{quote(checked)},"p":'
        if len(checked) <= self.MAX_NAME_LENGTH:
            if len(self) >= self.MAX_NAMES:
                self.clear()
            self[checked] = text
        return text
