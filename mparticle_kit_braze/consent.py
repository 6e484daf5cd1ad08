"""Consent of a user: GDPR by purpose and CCPA's one purpose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from .errors import InvalidArgumentError
from .values import check_timestamp, describe

__all__ = [
    "CCPA_PURPOSE",
    "CCPAConsent",
    "ConsentState",
    "GDPRConsent",
    "answer_change",
    "consent_change",
    "normalized_purpose",
    "removal_change",
]

CCPA_PURPOSE = "data_sale_opt_out"
"""CCPA's one purpose."""


@dataclass(frozen=True, slots=True)
class GDPRConsent:
    """The user's answer for one GDPR purpose.

    Args:
        consented: Whether the user agreed.
        timestamp: When: seconds since the epoch or a date-time; ``None`` for when it is set.
        document: What the user was shown.
        location: Where it was given.
        hardware_id: The device it was given on.
    """

    consented: bool
    timestamp: float | None = None
    document: str | None = None
    location: str | None = None
    hardware_id: str | None = None

    def __post_init__(self) -> None:
        _check_record(self)


@dataclass(frozen=True, slots=True)
class CCPAConsent:
    """The user's answer about the sale of data; ``consented=True`` means the user opted *out* of the sale.

    Args: as :class:`GDPRConsent`.
    """

    consented: bool
    timestamp: float | None = None
    document: str | None = None
    location: str | None = None
    hardware_id: str | None = None

    def __post_init__(self) -> None:
        _check_record(self)


@dataclass(frozen=True, slots=True)
class ConsentState:
    """All consent of one user. GDPR purposes are trimmed and lower-case.

    Args:
        gdpr: The answers by purpose. Of two purposes that differ only in case or outer spaces the last wins.
        ccpa: The answer about the sale of data, if there is one.

    Raises:
        InvalidArgumentError: A purpose is empty or a type is wrong.
    """

    gdpr: Mapping[str, GDPRConsent] = field(default_factory=dict)
    ccpa: CCPAConsent | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.gdpr, Mapping):
            raise InvalidArgumentError(f"gdpr must be a mapping of purposes to GDPRConsent, not {describe(self.gdpr)}")
        for record in self.gdpr.values():
            if not isinstance(record, GDPRConsent):
                raise InvalidArgumentError(f"gdpr must hold GDPRConsent only; one is {describe(record)}")
        if self.ccpa is not None and not isinstance(self.ccpa, CCPAConsent):
            raise InvalidArgumentError(f"ccpa must be a CCPAConsent or None, not {describe(self.ccpa)}")
        object.__setattr__(self, "gdpr", {normalized_purpose(key): record for key, record in self.gdpr.items()})

    def with_gdpr(self, purpose: str, record: GDPRConsent) -> ConsentState:
        """The same state with one more answer, in place of an earlier one for that purpose."""
        return ConsentState({**self.gdpr, purpose: record}, self.ccpa)

    def without_gdpr(self, purpose: str) -> ConsentState:
        """The same state without one purpose."""
        gone = normalized_purpose(purpose)
        return ConsentState({key: record for key, record in self.gdpr.items() if key != gone}, self.ccpa)

    def with_ccpa(self, record: CCPAConsent | None) -> ConsentState:
        """The same state with another CCPA answer, or none."""
        return ConsentState(self.gdpr, record)

    def stamped(self, now: float) -> ConsentState:
        """The same state with ``now`` wherever a time is missing."""
        gdpr = {
            key: record if record.timestamp is not None else replace(record, timestamp=now)
            for key, record in self.gdpr.items()
        }
        ccpa = self.ccpa
        if ccpa is not None and ccpa.timestamp is None:
            ccpa = replace(ccpa, timestamp=now)
        return ConsentState(gdpr, ccpa)

    def to_json(self) -> dict[str, Any]:
        """A form for ``json``; :meth:`from_json` reads it."""
        return {
            "gdpr": {purpose: _given(record) for purpose, record in self.gdpr.items()},
            "ccpa": None if self.ccpa is None else _given(self.ccpa),
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> ConsentState:
        """The state from what :meth:`to_json` gave."""
        ccpa = state.get("ccpa")
        gdpr = {purpose: GDPRConsent(**record) for purpose, record in state.get("gdpr", {}).items()}
        return cls(gdpr, None if ccpa is None else CCPAConsent(**ccpa))


def normalized_purpose(purpose: object) -> str:
    """A GDPR purpose trimmed and in lower case, as every SDK keeps it; :raises InvalidArgumentError: if empty."""
    if not isinstance(purpose, str):
        raise InvalidArgumentError(f"a consent purpose must be a str, not {describe(purpose)}")
    if not (text := purpose.strip().lower()):
        raise InvalidArgumentError("a consent purpose must not be empty")
    return text


def consent_change(step: str, *arguments: Any) -> Callable[[ConsentState], ConsentState]:
    """A change of consent from plain values, such as survive in storage.

    Args:
        step: ``answer`` (arguments as :func:`answer_change`), ``removal`` (as :func:`removal_change`) or ``state``
            (what :meth:`ConsentState.to_json` gave, or a state).

    Raises:
        InvalidArgumentError: The regulation or purpose is unknown, or a type is wrong.
    """
    if step == "answer":
        return answer_change(*arguments)
    if step == "removal":
        return removal_change(*arguments)
    state = ConsentState.from_json(*arguments)
    return lambda _old: state


def answer_change(
    regulation: object, purpose: object, consented: object, details: Mapping[str, Any]
) -> Callable[[ConsentState], ConsentState]:
    """The change that one answer makes, checked: regulation ``gdpr`` or ``ccpa`` in any case, its purpose, the answer.

    Raises:
        InvalidArgumentError: The regulation or purpose is unknown, or a type is wrong.
    """
    answer: Any = consented
    unknown = sorted(set(details) - {"timestamp", "document", "location", "hardware_id"})
    if unknown:
        raise InvalidArgumentError(f"unknown consent detail {', '.join(unknown)}")
    if check_regulation(regulation) == "gdpr":
        name, given = normalized_purpose(purpose), GDPRConsent(answer, **details)
        return lambda state: state.with_gdpr(name, given)
    check_ccpa_purpose(purpose)
    record = CCPAConsent(answer, **details)
    return lambda state: state.with_ccpa(record)


def removal_change(regulation: object, purpose: object) -> Callable[[ConsentState], ConsentState]:
    """The change that removes one answer, a regulation, or everything; checked as :func:`answer_change`."""
    if regulation is None and purpose is None:
        return lambda _state: ConsentState()
    if check_regulation(regulation) == "ccpa":
        check_ccpa_purpose(purpose)
        return lambda state: state.with_ccpa(None)
    if purpose is None:
        return lambda state: ConsentState(ccpa=state.ccpa)
    name = normalized_purpose(purpose)
    return lambda state: state.without_gdpr(name)


def check_regulation(regulation: object) -> Literal["gdpr", "ccpa"]:
    """A regulation in any case."""
    if isinstance(regulation, str) and regulation.lower() in ("gdpr", "ccpa"):
        return "gdpr" if regulation.lower() == "gdpr" else "ccpa"
    given = repr(regulation[:40]) if isinstance(regulation, str) else describe(regulation)
    raise InvalidArgumentError(f"regulation must be 'gdpr', 'ccpa' or a ConsentState, not {given}")


def check_ccpa_purpose(purpose: object) -> None:
    """CCPA's one purpose, or none given."""
    if purpose is not None and normalized_purpose(purpose) != CCPA_PURPOSE:
        raise InvalidArgumentError(f"CCPA has only the purpose {CCPA_PURPOSE!r}")


def _check_record(record: GDPRConsent | CCPAConsent) -> None:
    if not isinstance(record.consented, bool):
        raise InvalidArgumentError(f"consented must be a bool, not {describe(record.consented)}")
    object.__setattr__(record, "timestamp", check_timestamp(record.timestamp))
    for what in ("document", "location", "hardware_id"):
        value = getattr(record, what)
        if value is not None and not isinstance(value, str):
            raise InvalidArgumentError(f"consent {what} must be a str or None, not {describe(value)}")


def _given(record: GDPRConsent | CCPAConsent) -> dict[str, Any]:
    return {key: value for key, value in asdict(record).items() if value is not None}
