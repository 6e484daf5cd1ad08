"""What answers of the endpoint say by themselves: the meaning of a status, the JSON of a body, the reason given."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping

from ..delivery.destination import Verdict

__all__ = ["parsed", "reason_in", "verdict_of"]

QUOTED = r"""(?x) "[^"]*" | '[^']*' | \S+@\S+ | \+?\d[\d\s().-]{5,}\d"""
"""What may be somebody's data in a message: what stands in quotation marks, addresses, long numbers."""


MAX_DEPTH = 100
"""Levels of nesting; what Braze sends has about ten."""


def verdict_of(status: int) -> Verdict:
    """What a status outside of 2xx means for the records."""
    if status == 400:
        return Verdict.REFUSED
    if status == 413:
        return Verdict.TOO_LARGE
    if status in (401, 403):
        return Verdict.UNAUTHORIZED
    return Verdict.RETRY


def parsed(body: bytes) -> object:
    """The JSON of a body; ``None`` if it is none, or is nested so deeply that handling it could fail."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return answer if _is_shallow(answer) else None


def _is_shallow(value: object) -> bool:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_DEPTH):
        if not level:
            return True
        members = itertools.chain.from_iterable(part.values() if isinstance(part, dict) else part for part in level)
        level = [member for member in members if isinstance(member, dict | list)]
    return not level


def reason_in(answer: object) -> str:
    """The answer's own word for what is wrong, cut, and without the values it may quote: it goes into logs."""
    if not isinstance(answer, Mapping):
        return ""
    reason = answer.get("error") or answer.get("message") or answer.get("reason")
    return f": {re.sub(QUOTED, '…', str(reason)[:200])}" if reason else ""
