"""Identity types, requests and the local resolver, also among processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mparticle_kit_braze import users
from mparticle_kit_braze.client import MParticle
from mparticle_kit_braze.diagnostics import Reporter
from mparticle_kit_braze.errors import InvalidArgumentError
from mparticle_kit_braze.identity import IdentityRequest, IdentityType, LocalResolver, User, new_mpid
from mparticle_kit_braze.storage import Storage
from tests.kits.recording import FixedResolver, RecordingKit
from tests.support import python_process


@pytest.mark.parametrize(
    "spelling", ["customerid", "CustomerId", "customer_id", "CUSTOMER_ID", 1, IdentityType.CUSTOMER_ID]
)
def test_spellings(spelling: object) -> None:
    """Case and underscores do not count; numbers and members are taken too."""
    assert IdentityType.parse(spelling) is IdentityType.CUSTOMER_ID


@pytest.mark.parametrize("kind", list(IdentityType))
def test_every_name_of_a_type_leads_back_to_it(kind: IdentityType) -> None:
    """All of mParticle's names and numbers are understood."""
    for spelling in (kind.value, kind.name, kind.mp_name, kind.events_api_name, kind.number):
        assert IdentityType.parse(spelling) is kind


def test_numbers_and_names() -> None:
    """Numbers and names are mParticle's."""
    numbers = {"other": 0, "customer_id": 1, "email": 7, "alias": 8, "facebook_custom_audience_id": 9, "other2": 10}
    numbers |= {"other10": 18, "mobile_number": 19, "phone_number_3": 21}
    assert {name: IdentityType(name).number for name in numbers} == numbers
    assert IdentityType.OTHER2.events_api_name == "other_id_2"
    assert IdentityType.CUSTOMER_ID.mp_name == "customerid"
    assert IdentityType.parse("email_sha256") is IdentityType.OTHER
    assert IdentityType.parse("mobile_sha256") is IdentityType.OTHER2


@pytest.mark.parametrize("wrong", ["customer", "", None, 22, -1, True, 1.0, "x" * 500])
def test_unknown_types_list_what_is_accepted(wrong: object) -> None:
    """An unknown type raises and lists the known ones."""
    with pytest.raises(InvalidArgumentError, match="customer_id, facebook"):
        IdentityType.parse(wrong)


def test_a_request_shows_no_values() -> None:
    """Identities are personal; they do not appear in a request's text."""
    assert "ada" not in repr(IdentityRequest(email="ada@example.com"))


def start(storage: Path | str = ":memory:") -> MParticle:
    return MParticle([RecordingKit()], storage=storage)


def current(client: MParticle) -> User:
    assert client.current_user is not None
    return client.current_user


def test_an_anonymous_user_becomes_the_known_one() -> None:
    """The first login keeps the MPID and the attributes of the anonymous user."""
    with start() as client:
        anonymous = current(client).mpid
        client.set_user_attribute("seen", 1)
        client.login(customer_id="ada")
        assert (current(client).mpid, current(client).is_logged_in) == (anonymous, True)
        assert current(client).attributes == {"seen": 1}


def test_mpid_0_is_no_user() -> None:
    """A resolver that answers with the temporary MPID has not named anybody yet."""
    failures: list[Any] = []
    with MParticle([RecordingKit()], storage=":memory:", resolver=FixedResolver(0)) as client:
        client.login(IdentityRequest(customer_id="ada", on_failure=failures.append))
        assert client.current_user is None
    assert [(failure.operation, failure.code) for failure in failures] == [("login", -1)]


def test_users_are_kept_apart() -> None:
    """Each known user and the anonymous one have an MPID and attributes of their own."""
    with start() as client:
        client.login(customer_id="ada")
        ada = current(client).mpid
        client.set_user_attribute("name", "Ada")
        client.logout()
        anonymous = current(client).mpid
        assert anonymous != ada
        assert (current(client).is_logged_in, current(client).attributes, current(client).identities) == (False, {}, {})
        client.login(customer_id="ada")
        assert (current(client).mpid, current(client).attributes) == (ada, {"name": "Ada"})
        client.logout()
        assert current(client).mpid == anonymous
        client.login(customer_id="bob")
        assert current(client).mpid == anonymous  # nobody yet, so it becomes Bob
        client.login(customer_id="eve")
        assert current(client).mpid not in (ada, anonymous)  # Bob is somebody: Eve is another


def test_the_customer_id_decides() -> None:
    """A known email does not make two customers one; without a customer id it leads to its owner."""
    with start() as client:
        client.login(customer_id="ada", email="shared@example.com")
        ada = current(client).mpid
        client.login(customer_id="bob", email="shared@example.com")
        bob = current(client).mpid
        assert bob != ada
        client.login(email="shared@example.com")
        assert current(client).mpid == ada


def test_modify_keeps_the_user_and_moves_identities() -> None:
    """Modify changes identities only; what it removes leads nowhere, what it adds leads to the user."""
    with start() as client:
        client.login(customer_id="ada", email="old@example.com")
        ada = current(client).mpid
        client.modify(email="new@example.com")
        assert current(client).mpid == ada
        client.logout()
        client.login(email="new@example.com")
        assert current(client).mpid == ada
        client.modify(email=None)
        assert IdentityType.EMAIL not in current(client).identities
        client.login(email="old@example.com")
        assert current(client).mpid != ada


def test_modify_makes_an_anonymous_user_somebody() -> None:
    """After identities were added, a logout goes to another anonymous user."""
    with start() as client:
        first = current(client).mpid
        client.modify(customer_id="ada")
        assert current(client).mpid == first
        client.logout()
        assert current(client).mpid != first


def test_identities_survive_a_restart(tmp_path: Path) -> None:
    """A known identity leads to the same MPID for ever."""
    with start(tmp_path) as client:
        client.login(customer_id="ada")
        ada = current(client).mpid
        client.logout()
        anonymous = current(client).mpid
    with start(tmp_path) as client:
        assert current(client).mpid == anonymous
        client.login(customer_id="ada")
        assert current(client).mpid == ada


def test_processes_agree_on_a_new_identity(tmp_path: Path) -> None:
    """Processes that meet an unknown customer at the same time give him one MPID."""
    code = f"""
        import sys
        from mparticle_kit_braze.diagnostics import Reporter
        from mparticle_kit_braze.identity import IdentityType, LocalResolver
        from mparticle_kit_braze.storage import Storage
        resolver = LocalResolver(Storage.open({str(tmp_path)!r}, Reporter()).key_values("identities"))
        print("ready", flush=True)
        sys.stdin.readline()
        for number in range(50):
            print(resolver.resolve("login", {{IdentityType.CUSTOMER_ID: str(number)}}, None).mpid)
    """
    processes = [python_process(code) for _ in range(2)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "ready"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=20)[0] for process in processes]
    assert outputs[0] == outputs[1]
    assert len(set(outputs[0].split())) == 50


def test_new_mpids() -> None:
    """MPIDs are signed 64-bit integers, never 0, and differ."""
    made = {new_mpid() for _ in range(1000)}
    assert len(made) == 1000
    assert all(-(2**63) <= mpid < 2**63 and mpid for mpid in made)


def test_old_users_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a bound the longest unseen users are forgotten with their identities: the storage does not grow on."""
    monkeypatch.setattr(users, "REMEMBERED_USERS", 20)
    storage = Storage.open(":memory:", Reporter())
    with start() as client:
        state = client._state
        for number in range(100):
            client.login(customer_id=str(number))
            client.set_user_attribute("n.seen", number)
        values = state._values.items("user.")
        assert len({key.split(".")[1] for key in values}) <= 22
        assert len(state._identities.items("identity.")) <= 22
        assert current(client).attributes == {"n.seen": 99}
        client.login(customer_id="98")
        assert current(client).attributes == {"n.seen": 98}
    assert LocalResolver(storage.key_values()).resolve("modify", {}, None) is None
