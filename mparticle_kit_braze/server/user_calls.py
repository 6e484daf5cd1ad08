"""The calls that change who a user is: identify, alias, merge, delete, and subscription groups."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, get_args

from ..errors import InvalidArgumentError
from ..values import check_name
from .destination import UserCall, UserCallsDestination
from .values import JsonObject

__all__ = ["USER_CALLS", "Prioritization", "UserCalls", "external_ids_of"]

USER_CALLS: Mapping[str, UserCall] = {
    "i": UserCall("/users/identify", "aliases_to_identify"),
    "m": UserCall("/users/identify", "emails_to_identify"),
    "o": UserCall("/users/identify", "phone_numbers_to_identify"),
    "n": UserCall("/users/alias/new", "user_aliases"),
    "u": UserCall("/users/alias/update", "alias_updates"),
    "g": UserCall("/users/merge", "merge_updates"),
    "d": UserCall("/users/delete", "external_ids"),
    "s": UserCall("/v2/subscription/status/set", "subscription_groups", cost=4),
}
"""Record kind -> endpoint. They share 20,000 requests a minute; subscription changes have 5,000."""

Prioritization = Literal["identified", "unidentified", "most_recently_updated", "least_recently_updated"]


class UserCalls(ABC):
    """The calls, over something that queues them. None waits for the network; Braze applies them in its own time."""

    @abstractmethod
    def _queue_call(self, kind: str, item: JsonObject | str) -> bool:
        """Queue one object and return whether it was accepted."""

    # -- who users are ------------------------------------------------------------------------------------------
    def identify(self, external_id: str, *, alias_name: str, alias_label: str) -> bool:
        """Give an alias-only user an external id (``/users/identify``). Returns whether it was queued."""
        alias = {
            "alias_name": check_name(alias_name, "alias_name"),
            "alias_label": check_name(alias_label, "alias_label"),
        }
        return self._queue_call("i", {"external_id": check_name(external_id, "external_id"), "user_alias": alias})

    def identify_email(
        self, external_id: str, email: str, prioritization: Sequence[Prioritization] = ("unidentified",)
    ) -> bool:
        """Give the user with an email address an external id. Returns whether it was queued."""
        known = {"external_id": check_name(external_id, "external_id"), "email": check_name(email, "email")}
        return self._queue_call("m", {**known, "prioritization": _check_prioritization(prioritization)})

    def identify_phone(
        self, external_id: str, phone: str, prioritization: Sequence[Prioritization] = ("unidentified",)
    ) -> bool:
        """Give the user with a phone number an external id. Returns whether it was queued."""
        known = {"external_id": check_name(external_id, "external_id"), "phone": check_name(phone, "phone")}
        return self._queue_call("o", {**known, "prioritization": _check_prioritization(prioritization)})

    def add_alias(self, alias_name: str, alias_label: str, *, external_id: str | None = None) -> bool:
        """Add an alias to a user, or make an alias-only user (``/users/alias/new``). Returns whether it was queued.

        A user has one alias a label; Braze does not add one whose external id it does not know.
        """
        alias: JsonObject = {
            "alias_name": check_name(alias_name, "alias_name"),
            "alias_label": check_name(alias_label, "alias_label"),
        }
        if external_id is not None:
            alias["external_id"] = check_name(external_id, "external_id")
        return self._queue_call("n", alias)

    def update_alias(self, alias_label: str, old_alias_name: str, new_alias_name: str) -> bool:
        """Rename an alias (``/users/alias/update``). Returns whether it was queued."""
        names = {"old_alias_name": old_alias_name, "new_alias_name": new_alias_name, "alias_label": alias_label}
        return self._queue_call("u", {key: check_name(value, key) for key, value in names.items()})

    def merge(self, identifier_to_merge: Mapping[str, Any], identifier_to_keep: Mapping[str, Any]) -> bool:
        """Merge one user into another (``/users/merge``); Braze does so later, in no order.

        Args:
            identifier_to_merge: ``{"external_id"}``, ``{"user_alias"}``, or ``{"email" or "phone", "prioritization"}``.
            identifier_to_keep: Likewise.

        Returns:
            Whether it was queued.

        Raises:
            InvalidArgumentError: One of them does not name exactly one user in one of these forms.
        """
        update = {"identifier_to_merge": dict(identifier_to_merge), "identifier_to_keep": dict(identifier_to_keep)}
        for what, identifier in update.items():
            _check_identifier(identifier, what)
        return self._queue_call("g", update)

    def delete(self, external_ids: Iterable[str]) -> int:
        """Delete users for good (``/users/delete``), 50 a request. Returns how many were queued."""
        checked = [check_name(external_id, "external_id") for external_id in external_ids]
        return sum(self._queue_call("d", external_id) for external_id in checked)

    def set_subscription(
        self,
        group_id: str,
        state: Literal["subscribed", "unsubscribed"],
        *,
        external_ids: Iterable[str] = (),
        emails: Iterable[str] = (),
        phones: Iterable[str] = (),
        use_double_opt_in_logic: bool | None = None,
    ) -> bool:
        """Change subscription group states (``/v2/subscription/status/set``). Returns whether all was queued.

        Raises:
            InvalidArgumentError: The state is unknown, nobody is named, or emails and phones are mixed.
        """
        if state not in ("subscribed", "unsubscribed"):
            raise InvalidArgumentError("state takes 'subscribed' or 'unsubscribed'")
        given = {"external_ids": external_ids, "emails": emails, "phones": phones}
        users = {key: [check_name(user, key) for user in named] for key, named in given.items()}
        if users["emails"] and users["phones"]:
            raise InvalidArgumentError("one change takes emails or phones, not both")
        if not any(users.values()):
            raise InvalidArgumentError("a subscription change names at least one user")
        change: JsonObject = {"subscription_group_id": check_name(group_id, "group_id"), "subscription_state": state}
        if use_double_opt_in_logic is not None:
            change["use_double_opt_in_logic"] = use_double_opt_in_logic
        size = UserCallsDestination.MAX_OBJECTS
        queued = True
        for key, named in users.items():
            for start in range(0, len(named), size):
                queued &= self._queue_call("s", {**change, key: named[start : start + size]})
        return queued


def external_ids_of(item: JsonObject | str) -> list[str]:
    """The external ids that an object of one of these calls names."""
    if isinstance(item, str):
        return [item]
    sides = [item, item.get("identifier_to_merge", {}), item.get("identifier_to_keep", {})]
    return [*(side["external_id"] for side in sides if "external_id" in side), *item.get("external_ids", ())]


# One wrong object would cost all the others of its request.
def _check_identifier(identifier: Mapping[str, Any], what: str) -> None:
    """Check one side of a merge."""
    named = [key for key in ("external_id", "user_alias", "email", "phone") if identifier.get(key)]
    if len(named) != 1:
        raise InvalidArgumentError(f"{what} takes exactly one of external_id, user_alias, email, phone")
    value = identifier[named[0]]
    if named[0] != "user_alias":
        check_name(value, named[0])
    elif isinstance(value, Mapping):
        for part in ("alias_name", "alias_label"):
            check_name(value.get(part), part)
    else:
        raise InvalidArgumentError("user_alias takes an object with alias_name and alias_label")
    if "prioritization" in identifier:
        _check_prioritization(identifier["prioritization"])


def _check_prioritization(value: object) -> list[str]:
    known = get_args(Prioritization)
    if not isinstance(value, (list, tuple)) or not value or any(word not in known for word in value):
        raise InvalidArgumentError(f"prioritization takes a list of {', '.join(known)}")
    for one, other in (known[:2], known[2:]):
        if one in value and other in value:
            raise InvalidArgumentError(f"prioritization takes {one} or {other}, not both")
    return list(value)
