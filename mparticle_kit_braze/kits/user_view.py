"""Users as a kit may see them: without the attributes, identities and consent that are kept from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from ..consent import CCPA_PURPOSE, ConsentState
from ..identity import IdentityType, User
from .configuration import Filters, KitConfiguration
from .filters import HiddenKeys
from .hashing import mp_hash

if TYPE_CHECKING:
    from .data_plan import DataPlan

__all__ = ["FilteredUser", "user_view", "visible_consent", "visible_identities"]

GDPR_REGULATION = mp_hash("1")
CCPA_REGULATION = mp_hash(f"2{CCPA_PURPOSE}")


Identity = TypeVar("Identity", str, "str | None")


def user_view(configuration: KitConfiguration, plan: DataPlan | None = None) -> Callable[[User], User] | None:
    """How a kit sees users; ``None`` if it sees them as they are."""
    filters = configuration.filters
    if plan is None and not (
        filters.user_attributes or filters.user_identities or filters.consent_regulations or filters.consent_purposes
    ):
        return None
    keys = HiddenKeys(filters.user_attributes)
    return lambda user: FilteredUser(user, keys, filters, plan)


class FilteredUser:
    """A user without the attributes, identities and consent that a kit must not see. Always the latest state."""

    __slots__ = ("_filters", "_keys", "_plan", "_user")

    def __init__(self, user: User, keys: HiddenKeys, filters: Filters, plan: DataPlan | None) -> None:
        self._user = user
        self._keys = keys
        self._filters = filters
        self._plan = plan

    @property
    def mpid(self) -> int:
        """The mParticle id."""
        return self._user.mpid

    @property
    def is_logged_in(self) -> bool:
        """Whether the user is known rather than anonymous."""
        return self._user.is_logged_in

    @property
    def identities(self) -> Mapping[IdentityType, str]:
        """The identities the kit may see."""
        return visible_identities(self._user.identities, self._filters, self._plan)

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The attributes the kit may see."""
        visible: Mapping[str, Any] = self._keys.visible(self._user.attributes)
        plan = self._plan
        return visible if plan is None else {key: visible[key] for key in visible if not plan.hides_attribute(key)}

    @property
    def consent(self) -> ConsentState:
        """The consent the kit may see."""
        return visible_consent(self._user.consent, self._filters.consent_regulations, self._filters.consent_purposes)

    def __repr__(self) -> str:
        return f"FilteredUser({self.mpid})"


def visible_identities(
    identities: Mapping[IdentityType, Identity], filters: Filters, plan: DataPlan | None
) -> dict[IdentityType, Identity]:
    """Identities without hidden types and unplanned ones."""
    return {
        kind: value
        for kind, value in identities.items()
        if kind.number not in filters.user_identities and not (plan is not None and plan.hides_identity(kind))
    }


def visible_consent(consent: ConsentState, regulations: frozenset[int], purposes: frozenset[int]) -> ConsentState:
    """Consent without hidden regulations and purposes (Apple SDK's ``reg`` and ``pur``)."""
    if not regulations and not purposes:
        return consent
    gdpr = (
        {}
        if GDPR_REGULATION in regulations
        else {purpose: record for purpose, record in consent.gdpr.items() if mp_hash(f"1{purpose}") not in purposes}
    )
    return ConsentState(gdpr, None if CCPA_REGULATION in regulations else consent.ccpa)
