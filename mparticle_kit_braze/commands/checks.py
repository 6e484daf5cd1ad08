"""What a check finds, and how checks are kept from waiting for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

__all__ = ["Finding", "TimeoutExpiredError", "Verdict", "bounded", "fail", "ok", "reason", "warning"]

T = TypeVar("T")


class Verdict(Enum):
    """How it stands: in order, odd, or broken."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        check: A stable word for the check.
        verdict: How it stands.
        message: What is so.
        mend: What to do about it; empty where there is nothing to do.
    """

    check: str
    verdict: Verdict
    message: str
    mend: str = ""

    def to_json(self) -> dict[str, str]:
        """The finding as plain JSON values."""
        return {"check": self.check, "verdict": self.verdict.value, "message": self.message, "mend": self.mend}


def ok(check: str, message: str) -> Finding:
    """All is well."""
    return Finding(check, Verdict.OK, message)


def warning(check: str, message: str, mend: str) -> Finding:
    """It works, but not as it should, or not for long."""
    return Finding(check, Verdict.WARN, message, mend)


def fail(check: str, message: str, mend: str) -> Finding:
    """It does not work."""
    return Finding(check, Verdict.FAIL, message, mend)


class TimeoutExpiredError(Exception):
    """Something took longer than it may."""


def bounded(work: Callable[[], T], seconds: float) -> T:
    """The work's result, waited for no longer than so many seconds; what is left of the work is abandoned.

    A name server, or a server that trickles, can take as long as it likes in spite of a socket's time-out.

    Raises:
        TimeoutExpiredError: It took longer.
        Exception: What the work raised.
    """
    result: list[T] = []
    raised: list[Exception] = []

    def run() -> None:
        try:
            result.append(work())
        except Exception as error:  # noqa: BLE001 - raised again below
            raised.append(error)

    thread = threading.Thread(target=run, name="mparticle_kit_braze.doctor", daemon=True)
    thread.start()
    thread.join(seconds)
    if raised:
        raise raised[0]
    if not result:
        raise TimeoutExpiredError
    return result[0]


def reason(error: BaseException) -> str:
    """An operating system's own words for what went wrong."""
    text: Any = getattr(error, "strerror", None)
    return str(text or str(error) or type(error).__name__)
