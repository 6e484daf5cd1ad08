"""Scopes: whose calls they are, in threads, tasks and generators, and what they leave alone."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Iterator

import pytest

from mparticle_kit_braze import (
    BrazeKit,
    ClosedError,
    CommerceEvent,
    ConfigurationError,
    IdentityRequest,
    InvalidArgumentError,
    MParticle,
    Problem,
    Product,
    ProductAction,
    TransactionAttributes,
)
from mparticle_kit_braze.sandbox import Sandbox
from mparticle_kit_braze.server import BrazeServerKit


@pytest.fixture
def problems() -> list[Problem]:
    """What the client reports."""
    return []


@pytest.fixture
def client(sandbox: Sandbox, problems: list[Problem]) -> Iterator[MParticle]:
    """The client of a backend."""
    kit = BrazeServerKit("rest-key", sandbox.url)
    with MParticle([kit], storage=":memory:", on_error=problems.append) as client:
        sandbox.attach(client)
        yield client


def test_all_calls_go_to_the_user_of_the_scope(client: MParticle, sandbox: Sandbox) -> None:
    """Each method of the client reaches the scope's user; after the scope they are the process's user's again."""
    client.identify(customer_id="process")
    with client.user_scope(customer_id="ada-1815", email="ada@example.com"):
        client.log_event("Played Song", attributes={"genre": "Jazz"}, timestamp=1767323045)
        client.log_screen("Player")
        client.log_commerce_event(
            CommerceEvent(
                ProductAction.PURCHASE,
                products=[Product("Tea", "SKU-1", 4.5)],
                transaction=TransactionAttributes(id="t-1"),
            )
        )
        client.set_user_attribute("$FirstName", "Ada")
        client.set_user_attributes({"plan": "gold", "genres": ["Jazz", "Folk"]})
        client.set_user_attribute_list("moods", ["calm"])
        client.set_user_tag("beta")
        client.increment_user_attribute("visits", 2)
        client.set_user_attribute("gone", 1)
        client.remove_user_attribute("gone")
        client.set_opt_out(True)
        client.set_push_token("token-1")
        assert client.modify(email="ada@example.org") is None
        client.log_event("Left")
    client.log_event("Nightly Job")
    sandbox.assert_event("Played Song", genre="Jazz", user="ada-1815", times=1)
    sandbox.assert_event("Left", user="ada-1815")
    sandbox.assert_event("Nightly Job", user="process")
    sandbox.assert_purchase("SKU-1", user="ada-1815")
    user = sandbox.rest.user("ada-1815")
    expected = {
        "email": "ada@example.org",
        "first_name": "Ada",
        "plan": "gold",
        "genres": ["Jazz", "Folk"],
        "moods": ["calm"],
        "beta": True,
        "visits": 2,
    }
    assert expected.items() <= user.attributes.items()
    assert "gone" not in user.attributes
    assert sandbox.rest.user("process").attributes == {}


def test_calls_about_the_whole_process_raise(client: MParticle) -> None:
    """What would change the user of all requests is refused inside of a scope, and nothing has changed."""
    before = client.current_user
    with client.user_scope(customer_id="ada-1815"):
        calls = (
            client.identify,
            client.login,
            client.logout,
            lambda: client.set_consent("gdpr", "marketing", True),
            client.remove_consent,
            lambda: client.set_opt_out(True, erase=True),
        )
        for call in calls:
            with pytest.raises(ConfigurationError, match="outside of user_scope"):
                call()
    assert client.current_user is before


def test_scopes_nest_and_belong_to_a_client(client: MParticle, sandbox: Sandbox) -> None:
    """The innermost scope counts, an exception leaves it, and another client's scope is not ours."""
    with MParticle([BrazeServerKit("rest-key", sandbox.url)], storage=":memory:") as other:
        with client.user_scope({"customer_id": "outer"}), other.user_scope(customer_id="others"):
            with contextlib.suppress(KeyError), client.user_scope(IdentityRequest(customer_id="inner")):
                client.log_event("Inner")
                raise KeyError
            client.log_event("Outer")
            other.log_event("Other")
        sandbox.attach(other)
        sandbox.assert_event("Inner", user="inner", times=1)
        sandbox.assert_event("Outer", user="outer", times=1)
        sandbox.assert_event("Other", user="others", times=1)


def test_tasks_and_threads_keep_their_own(client: MParticle, sandbox: Sandbox) -> None:
    """Tasks that take turns never mix; a thread started by asyncio belongs to the task, a bare thread to nobody."""

    async def request(number: int) -> None:
        with client.user_scope(customer_id=f"user-{number}"):
            for step in range(3):
                client.log_event(f"Step {step}", attributes={"user": number})
                await asyncio.sleep(0)
            await asyncio.to_thread(client.log_event, "In Thread", attributes={"user": number})
            await asyncio.create_task(log_in_task(number))

    async def log_in_task(number: int) -> None:
        client.log_event("In Task", attributes={"user": number})

    async def main() -> None:
        await asyncio.gather(*(request(number) for number in range(20)))
        result = await client.aflush(timeout=5)
        assert result.complete

    asyncio.run(main())
    client.identify(customer_id="process")
    with client.user_scope(customer_id="ada-1815"):
        thread = threading.Thread(target=client.log_event, args=("In Bare Thread",))
        thread.start()
        thread.join()
    for number in range(20):
        for name in ("Step 0", "Step 1", "Step 2", "In Thread", "In Task"):
            sandbox.assert_event(name, {"user": number}, user=f"user-{number}", times=1)
    sandbox.assert_event("In Bare Thread", user="process")


def test_one_scope_entered_by_many_threads(client: MParticle, sandbox: Sandbox) -> None:
    """The same scope object may be entered again, by several threads at once, and left in any order."""
    scope = client.user_scope(customer_id="ada-1815")
    entered, leave = threading.Barrier(3), threading.Event()

    def work() -> None:
        with scope:
            entered.wait(10)
            leave.wait(10)
            client.log_event("Worked")

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    entered.wait(10)
    leave.set()
    for thread in threads:
        thread.join()
    with scope:
        client.log_event("Worked")
    sandbox.assert_event("Worked", user="ada-1815", times=3)


def test_left_in_another_context(client: MParticle, sandbox: Sandbox) -> None:
    """A scope left where it was never entered, as generators of frameworks do it, harms nobody."""
    client.identify(customer_id="process")
    scope = client.user_scope(customer_id="ada-1815")
    contextvars.copy_context().run(scope.__enter__)
    client.log_event("Outside")
    scope.__exit__(None, None, None)
    client.log_event("Outside")
    sandbox.assert_event("Outside", user="process", times=2)


def test_the_user_is_asked_for_at_the_first_call(client: MParticle, sandbox: Sandbox, problems: list[Problem]) -> None:
    """A function is asked when a call is made, until it names somebody; nobody's calls are told, never sent."""
    session: dict[str, str] = {}
    asked: list[None] = []

    def who() -> dict[str, str | None] | None:
        asked.append(None)
        return {"customer_id": session["user"]} if session else None

    with client.user_scope(who):
        assert not asked
        client.log_event("Before Login")
        session["user"] = "ada-1815"
        client.log_event("Login")
        session["user"] = "somebody-else"
        client.log_event("After Login")
        assert len(asked) == 2
    sandbox.assert_event("Login", user="ada-1815")
    sandbox.assert_event("After Login", user="ada-1815")
    sandbox.assert_no_event("Before Login")
    assert [problem.code for problem in problems] == ["anonymous_not_sent"]


def test_a_function_that_fails_is_nobody(client: MParticle, sandbox: Sandbox, problems: list[Problem]) -> None:
    """One that raises or gives nonsense is reported without a value; the call itself never raises, nor calls itself."""

    def logs_itself() -> dict[str, str]:
        client.log_event("Asked")
        raise RuntimeError("secret")

    for ask in (logs_itself, lambda: {"shoe_size": "42"}, lambda: 42):
        with client.user_scope(ask):  # type: ignore[arg-type]  # wrong on purpose
            client.log_event("Event")
    sandbox.assert_no_event()
    failures = [problem for problem in problems if problem.code == "callback_failed"]
    assert len(failures) == 3
    assert not any("secret" in problem.message for problem in failures)


def test_wrong_scopes_raise_at_once(client: MParticle, sandbox: Sandbox) -> None:
    """A wrong identity, a client without a kit for many users, and a closed client are told where the scope is made."""
    with pytest.raises(InvalidArgumentError):
        client.user_scope(shoe_size="42")
    with pytest.raises(InvalidArgumentError, match="beside"):
        client.user_scope(lambda: None, customer_id="ada-1815")
    with MParticle([BrazeKit("app-key-1", sandbox.url)], storage=":memory:") as device:
        with pytest.raises(ConfigurationError, match="BrazeServerKit"):
            device.user_scope(customer_id="ada-1815")
        with device.user_scope(lambda: None), pytest.raises(ConfigurationError, match="BrazeServerKit"):
            device.log_event("Event")
    scope = client.user_scope(customer_id="ada-1815")
    with scope:
        client.close()
        with pytest.raises(ClosedError):
            client.log_event("Too Late")
    with pytest.raises(ClosedError):
        client.user_scope(customer_id="ada-1815")
