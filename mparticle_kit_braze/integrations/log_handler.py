"""A handler for the standard ``logging`` that logs chosen records as events."""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections.abc import Sequence
from typing import Any

from ..client import MParticle
from ..errors import ClosedError, InvalidArgumentError
from ..values import check_name, check_number

__all__ = ["EventLogHandler"]

OWN = "mparticle_kit_braze"
LONGEST = 255
MINUTE = 60.0


class EventLogHandler(logging.Handler):
    """Logs records as events: ``logging.getLogger("shop").addHandler(EventLogHandler(client))``.

    An event tells the record's ``level``, its ``logger``, the ``message`` before values were put into it
    (``"order %s failed"``), and those of the record's extras that are named here; nothing else, so no arguments, no
    exception, no place. Choose records further with the level and with filters, as for any handler.

    Records of this package are left out, and so is everything that its own threads cause: an event never causes another
    one. Within a ``user_scope`` the event is of the scope's user.

    Args:
        client: Where events go.
        level: The least level.
        event_name: The name of all its events.
        extras: Names of ``extra`` values to send: texts (cut after 255 characters), numbers, booleans and date-times.
        plain_messages: Whether to send messages without arguments too. Left off, because ``f"{email} was refused"`` is
            one of them: switch it on where values never go into messages that way.
        most_per_minute: Further events of a minute are left out, and counted as ``suppressed`` in the next one.

    Raises:
        InvalidArgumentError: The name is empty, ``extras`` is a text, or ``most_per_minute`` less than 1.
    """

    def __init__(
        self,
        client: MParticle,
        level: int | str = logging.ERROR,
        *,
        event_name: str = "Log Record",
        extras: Sequence[str] = (),
        plain_messages: bool = False,
        most_per_minute: int = 60,
    ) -> None:
        super().__init__(level)
        if isinstance(extras, str):
            raise InvalidArgumentError("extras must be a sequence of names, not one text")
        if check_number(most_per_minute, "most_per_minute") < 1:
            raise InvalidArgumentError(f"most_per_minute must be at least 1, not {most_per_minute!r}")
        self._client = client
        self._event_name = check_name(event_name, "event name")
        self._extras = tuple(extras)
        self._plain_messages = plain_messages
        self._most = most_per_minute
        self._minute = 0.0
        self._count = 0
        self._suppressed = 0
        self._busy = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        """Log an event for a record, unless the client itself is behind it."""
        if self._is_own(record) or getattr(self._busy, "inside", False):
            return
        self._busy.inside = True
        try:
            attributes = self._attributes(record)
            if self._has_room(record.created, attributes):
                self._client.log_event(self._event_name, attributes=attributes, timestamp=record.created)
        except ClosedError:
            pass  # the app is ending
        except Exception:  # noqa: BLE001  # what every handler does: the code that logs must not suffer
            self.handleError(record)
        finally:
            self._busy.inside = False

    def _is_own(self, record: logging.LogRecord) -> bool:
        thread = record.threadName or ""
        return thread.startswith(OWN) or record.name == OWN or record.name.startswith(f"{OWN}.")

    def _attributes(self, record: logging.LogRecord) -> dict[str, Any]:
        found: dict[str, Any] = {"level": record.levelname, "logger": record.name[:LONGEST]}
        if isinstance(record.msg, str) and (record.args or self._plain_messages):
            found["message"] = record.msg[:LONGEST]
        for name in self._extras:
            value = record.__dict__.get(name)
            if isinstance(value, str):
                found[name] = value[:LONGEST]
            elif isinstance(value, bool | int | float | dt.date):
                found[name] = value
        return found

    def _has_room(self, moment: float, attributes: dict[str, Any]) -> bool:
        """Count an event in and say whether it may go; called with the handler's lock held, as all of :meth:`emit`."""
        if not 0 <= moment - self._minute < MINUTE:  # the clock may go back
            self._minute, self._count = moment, 0
        if self._count >= self._most:
            self._suppressed += 1
            return False
        self._count += 1
        if self._suppressed:
            attributes["suppressed"], self._suppressed = self._suppressed, 0
        return True
