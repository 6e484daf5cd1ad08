"""Assertions on what arrived, for the tests of apps that use the client; each failure lists the near misses.

An assertion first sends what the attached clients have queued. They take a test's word for types: ``plays=3`` is not
``plays="3"``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from types import EllipsisType
from typing import Any, Protocol, TypeVar

from .matching import Arrival, Expectation, nearest, person, resembles, shown, value_difference
from .profiles import UserProfile
from .rest import RestApi

__all__ = ["Assertions", "Client"]

JsonObject = dict[str, Any]
Found = TypeVar("Found")
User = str | EllipsisType | None
FLUSH_SECONDS = 5.0
WAIT_SECONDS = 5.0


class Client(Protocol):
    """What an assertion flushes: an :class:`~mparticle_kit_braze.MParticle`, or anything that flushes."""

    def flush(self, timeout: float | None = None) -> Any:
        """Send what is queued."""


class Assertions:
    """The part of a sandbox that tests assert with.

    Arguments that the assertions share:

    * ``user``: the external id; ``None`` for anonymous users; left out, any user.
    * ``properties``, and further keyword arguments: properties that must be there with these values; others may be
      there too. A value ``...`` takes anything.
    * ``timeout``: the most seconds to wait for it. Left out, the attached clients are flushed and the answer is
      final; without an attached client, or while it could not send all, the wait is 5 s.
    """

    _clients: tuple[Client, ...] = ()
    rest: RestApi

    @property
    def events(self) -> list[JsonObject]:
        """Every event taken in."""
        raise NotImplementedError

    @property
    def profiles(self) -> list[UserProfile]:
        """Copies of all profiles."""
        raise NotImplementedError

    @property
    def problems(self) -> Iterable[object]:
        """Why requests were refused."""
        raise NotImplementedError

    def wait_for(self, predicate: Callable[[], object], timeout: float = 5.0) -> bool:
        """Wait until ``predicate()`` is true."""
        raise NotImplementedError

    def attach(self, *clients: Client) -> None:
        """Have assertions flush these clients first, so that they need not wait and fail at once."""
        self._clients = (*self._clients, *clients)

    @property
    def arrivals(self) -> list[Arrival]:
        """Custom events and purchases, over the SDK endpoint and over REST, each in order."""
        return [*map(_sdk_arrival, filter(_is_arrival, self.events)), *_rest_arrivals(self.rest)]

    # -- events and purchases ---------------------------------------------------------------------------------------
    def assert_event(
        self,
        name: str,
        /,
        properties: Mapping[str, Any] | None = None,
        *,
        user: User = ...,
        times: int | None = None,
        timeout: float | None = None,
        **more: Any,
    ) -> list[Arrival]:
        """A custom event arrived: ``sandbox.assert_event("Played Song", genre="Jazz")``.

        Args:
            name: Its name.
            properties: Properties by name, for names that are no Python names or taken here.
            user: Whose it is.
            times: How often exactly; left out, at least once.
            timeout: The most seconds to wait.
            **more: Further properties.

        Returns:
            The events that are meant.

        Raises:
            AssertionError: It did not arrive; the message says what came closest.
        """
        __tracebackhide__ = True
        return self._expect(Expectation("event", name, user, {**(properties or {}), **more}), times, timeout)

    def assert_no_event(
        self,
        name: str | EllipsisType = ...,
        /,
        properties: Mapping[str, Any] | None = None,
        *,
        user: User = ...,
        within: float = 0.0,
        **more: Any,
    ) -> None:
        """No such custom event arrived; without a name, none at all. Arguments as :meth:`assert_event`.

        Args:
            within: How many seconds to look for it after the flush of the attached clients.
        """
        __tracebackhide__ = True
        self._refuse(Expectation("event", name, user, {**(properties or {}), **more}), within)

    def assert_purchase(
        self,
        product_id: str,
        /,
        properties: Mapping[str, Any] | None = None,
        *,
        price: float | EllipsisType = ...,
        currency: str | EllipsisType = ...,
        quantity: int | EllipsisType = ...,
        user: User = ...,
        times: int | None = None,
        timeout: float | None = None,
        **more: Any,
    ) -> list[Arrival]:
        """A purchase arrived: ``sandbox.assert_purchase("SKU-1", price=4.5, quantity=2)``; the rest as for events."""
        __tracebackhide__ = True
        details = {"price": price, "currency": currency, "quantity": quantity}
        given = {key: value for key, value in details.items() if value is not ...}
        expected = Expectation("purchase", product_id, user, {**(properties or {}), **more}, given)
        return self._expect(expected, times, timeout)

    def assert_no_purchase(
        self, product_id: str | EllipsisType = ..., /, *, user: User = ..., within: float = 0.0
    ) -> None:
        """No purchase of this product arrived; without one, none at all. Arguments as :meth:`assert_no_event`."""
        __tracebackhide__ = True
        self._refuse(Expectation("purchase", product_id, user, {}), within)

    # -- users ------------------------------------------------------------------------------------------------------
    def assert_user_attribute(
        self, key: str, value: Any = ..., /, *, user: User = ..., timeout: float | None = None
    ) -> None:
        """A user has this attribute, standard (``first_name``) or custom, with this value.

        Raises:
            AssertionError: No such user has it; the message says what they have.
        """
        __tracebackhide__ = True

        def holders() -> list[str | None]:
            return [
                who
                for who, attributes in self._attributes(user)
                if key in attributes and not value_difference(value, attributes[key])
            ]

        found, notes = self._await(holders, bool, timeout)
        if not found:
            wanted = "" if value is ... else f" = {shown(value)}"
            self._fail(f"no user attribute {key!r}{wanted}{_of(user)}", [*self._near_attributes(key, value), *notes])

    def assert_no_user_attribute(self, key: str, /, *, user: User = ..., within: float = 0.0) -> None:
        """No such user has this attribute. ``within`` as for :meth:`assert_no_event`."""
        __tracebackhide__ = True

        def held() -> list[tuple[str | None, Any]]:
            return [(who, attributes[key]) for who, attributes in self._attributes(user) if key in attributes]

        found, _ = self._await(held, bool, within)
        if found:
            self._fail(
                f"there should be no user attribute {key!r}{_of(user)}",
                [f"  - {person(who)} has {key!r} = {shown(value)}" for who, value in found],
            )

    def assert_user(self, external_id: str, /, *, timeout: float | None = None) -> None:
        """Something of this user arrived."""
        __tracebackhide__ = True

        def users() -> set[str | None]:
            return {who for who, _ in self._attributes(...)} | {arrival.user for arrival in self.arrivals}

        found, notes = self._await(users, lambda users: external_id in users, timeout)
        if external_id not in found:
            known = ", ".join(sorted(person(who) for who in found)) or "nobody"
            self._fail(f"nothing of user {external_id!r} arrived", [f"known are: {known}", *notes])

    def assert_nothing_refused(self) -> None:
        """The sandbox refused nothing for what was in it."""
        __tracebackhide__ = True
        self._flush()
        if self.problems:
            self._fail("the sandbox refused requests", [f"  - {problem}" for problem in self.problems])

    # -- inside -----------------------------------------------------------------------------------------------------
    def _expect(self, expected: Expectation, times: int | None, timeout: float | None) -> list[Arrival]:
        __tracebackhide__ = True

        def enough(found: list[Arrival]) -> bool:
            return len(found) == times if times is not None else bool(found)

        found, notes = self._await(lambda: self._met(expected), enough, timeout)
        if not enough(found):
            headline = f"no {expected} arrived"
            if times is not None:
                headline = f"{expected} arrived {len(found)} times, not {times} times"
            self._fail(headline, [*nearest(expected, self.arrivals), *notes])
        return found

    def _refuse(self, expected: Expectation, within: float) -> None:
        __tracebackhide__ = True
        found, _ = self._await(lambda: self._met(expected), bool, within)
        if found:
            lines = [f"  - {each.name!r} of {person(each.user)}: {shown(dict(each.properties))}" for each in found[:5]]
            self._fail(f"{len(found)} arrived, there should be no {expected}", lines)

    def _met(self, expected: Expectation) -> list[Arrival]:
        return [arrival for arrival in self.arrivals if expected.met_by(arrival)]

    def _await(
        self, find: Callable[[], Found], enough: Callable[[Found], bool], timeout: float | None
    ) -> tuple[Found, list[str]]:
        """What there is once it is enough, or the time is up; and what a failure should tell about delivery."""
        notes = self._flush()
        if timeout is None:
            timeout = 0.0 if self._clients and not notes else WAIT_SECONDS
        self.wait_for(lambda: enough(find()), timeout)
        if self.problems:
            notes.append(f"the sandbox refused requests: {next(iter(self.problems))}")
        return find(), notes

    def _flush(self) -> list[str]:
        """Flush the attached clients and say what kept records from arriving."""
        notes = []
        deadline = time.monotonic() + FLUSH_SECONDS
        for client in self._clients:
            try:
                result = client.flush(max(0.0, deadline - time.monotonic()))
            except RuntimeError:
                continue  # closed, and flushed by that
            if getattr(result, "kept", 0):
                notes.append(f"{result.kept} records could not be sent yet: {result}")
        return notes

    def _attributes(self, user: User) -> list[tuple[str | None, JsonObject]]:
        """The attributes of every user that is meant."""
        found: list[tuple[str | None, JsonObject]] = [
            (profile.external_id, {**profile.attributes, **profile.custom_attributes}) for profile in self.profiles
        ]
        found += [(external_id, dict(known.attributes)) for external_id, known in list(self.rest.users.items())]
        return [each for each in found if user is ... or each[0] == user]

    def _near_attributes(self, key: str, value: Any) -> list[str]:
        lines = []
        for who, attributes in self._attributes(...):
            for name, actual in attributes.items():
                if resembles(key, name):
                    difference = value_difference(value, actual) or f"is {shown(actual)}"
                    lines.append(f"  - of {person(who)}: {name!r} {difference}")
        known = [f"  - {person(who)} has {', '.join(map(repr, has)) or 'none'}" for who, has in self._attributes(...)]
        return ["nearest:", *lines[:5]] if lines else [*(known[:5] or ["no user is known"])]

    def _fail(self, headline: str, lines: Iterable[str]) -> None:
        __tracebackhide__ = True
        raise AssertionError("\n".join([headline, *lines]))


def _is_arrival(event: JsonObject) -> bool:
    return event["name"] in ("ce", "p")


def _sdk_arrival(event: JsonObject) -> Arrival:
    data, user = event["data"], event.get("user_id")
    if event["name"] == "ce":
        return Arrival("event", data["n"], user, data.get("p") or {})
    details = {"price": float(data["p"]), "currency": data["c"], "quantity": data["q"]}
    return Arrival("purchase", data["pid"], user, data.get("pr") or {}, details)


def _rest_arrivals(rest: RestApi) -> list[Arrival]:
    found = []
    for request in rest.requests:
        if not request.recorded or request.path != "/users/track":
            continue
        refused = {(problem.where, problem.index) for problem in request.problems}
        for array in ("events", "purchases"):
            for index, item in enumerate(request.body.get(array) or ()):
                if (array, index) not in refused:
                    found.append(_rest_arrival(array, item))
    return found


def _rest_arrival(array: str, item: JsonObject) -> Arrival:
    user, properties = item.get("external_id"), item.get("properties") or {}
    if array == "events":
        return Arrival("event", item["name"], user, properties)
    details = {"price": item["price"], "currency": item["currency"], "quantity": item.get("quantity", 1)}
    return Arrival("purchase", item["product_id"], user, properties, details)


def _of(user: User) -> str:
    return "" if user is ... else f" of {person(user)}"
