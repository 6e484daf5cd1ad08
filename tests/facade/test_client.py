"""The facade: every call, wrong calls, opt-out, closing, asyncio, fork."""

from __future__ import annotations

import asyncio
import datetime as dt
import inspect
import os
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import mparticle_kit_braze
from mparticle_kit_braze.client import MParticle
from mparticle_kit_braze.commerce import CommerceEvent, Product, ProductAction
from mparticle_kit_braze.consent import CCPAConsent, ConsentState, GDPRConsent
from mparticle_kit_braze.delivery import FlushResult
from mparticle_kit_braze.diagnostics import Problem
from mparticle_kit_braze.errors import ClosedError, ConfigurationError, InvalidArgumentError, MParticleError
from mparticle_kit_braze.events import Event, EventType, ScreenView
from mparticle_kit_braze.identity import IdentityRequest, IdentityType
from tests.kits.recording import FixedResolver, RecordingKit
from tests.support import run_python

ORDER = CommerceEvent(product_action=ProductAction.PURCHASE, products=[Product("Tea", "tea", 4.5, 2)])


@pytest.fixture
def kit() -> RecordingKit:
    return RecordingKit()


@pytest.fixture
def client(kit: RecordingKit) -> Iterator[MParticle]:
    with MParticle([kit], storage=":memory:") as made:
        kit.calls.clear()
        yield made


# -- what arrives ---------------------------------------------------------------------------------------------------


def test_events(client: MParticle, kit: RecordingKit) -> None:
    """Events arrive with name, type, attributes and time."""
    client.log_event("Played", EventType.NAVIGATION, {"genre": "Jazz"}, timestamp=1.5)
    client.log_event("Played", 3)
    client.log_screen("Home", {"tab": 1}, timestamp=dt.datetime(1970, 1, 1, 0, 0, 2, tzinfo=dt.timezone.utc))
    client.log_commerce_event(ORDER)
    assert kit.calls == [
        ("log_event", Event("Played", EventType.NAVIGATION, {"genre": "Jazz"}, 1.5)),
        ("log_event", Event("Played", EventType.SEARCH)),
        ("log_screen", ScreenView("Home", {"tab": 1}, 2.0)),
        ("log_commerce_event", ORDER),
    ]


def test_attributes_are_copied_deeply(client: MParticle, kit: RecordingKit) -> None:
    """The caller may change everything it passed afterwards."""
    inner: dict[str, Any] = {"list": [1, {"x": (1, [2])}]}
    given: dict[str, Any] = {"nested": inner}
    client.log_event("A", attributes=given)
    client.set_user_attribute("k", given)
    values = [["a"], "b"]
    client.set_user_attribute("l", values)
    inner["list"][1]["x"][1].append(3)
    given["new"] = 1
    values[0].append("c")  # type: ignore[attr-defined]  # it is the list
    ((event,),) = kit.of("log_event")
    assert event.attributes == {"nested": {"list": [1, {"x": (1, [2])}]}}
    assert kit.of("on_user_attribute_set")[0][1] == {"nested": {"list": [1, {"x": (1, [2])}]}}
    assert kit.of("on_user_attribute_list_set")[0][1] == (["a"], "b")


def test_attributes_that_hold_themselves_or_go_deep_are_taken(client: MParticle, kit: RecordingKit) -> None:
    """A value that no kit can send does not raise in the call."""
    loop: list[Any] = []
    loop.append(loop)
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    client.log_event("A", attributes={"loop": loop, "deep": deep, "nan": float("nan"), "object": object()})
    ((event,),) = kit.of("log_event")
    copied = event.attributes["loop"]
    assert copied is not loop
    assert copied[0] is copied


def test_user_attributes(client: MParticle, kit: RecordingKit) -> None:
    """Scalars, lists, tags, several, increments and removals arrive and are remembered."""
    client.set_user_attribute("plan", "gold")
    client.set_user_attributes({"age": 3, "genres": ["Jazz"]})
    client.set_user_attribute_list("cities", ("Rome",))
    client.set_user_tag("vip")
    client.increment_user_attribute("age")
    client.increment_user_attribute("visits", 2.5)
    client.increment_user_attribute("plan", -1)
    client.remove_user_attribute("vip")
    client.remove_user_attribute("vip")
    client.set_user_attribute("plan", None)
    assert [call if call[0] != "on_user_attribute_set" else call[:3] for call in kit.calls] == [
        ("on_user_attribute_set", "plan", "gold"),
        ("on_user_attribute_set", "age", 3),
        ("on_user_attribute_list_set", "genres", ("Jazz",)),
        ("on_user_attribute_list_set", "cities", ("Rome",)),
        ("on_user_tag_set", "vip"),
        ("on_user_attribute_incremented", "age", 1, 4),
        ("on_user_attribute_incremented", "visits", 2.5, 2.5),
        ("on_user_attribute_incremented", "plan", -1, None),
        ("on_user_attribute_removed", "vip", True),
        ("on_user_attribute_removed", "vip", False),
        ("on_user_attribute_set", "plan", None),
    ]
    assert client.current_user is not None
    assert client.current_user.attributes == {"age": 4, "genres": ("Jazz",), "cities": ("Rome",), "visits": 2.5}


def test_the_user_already_holds_what_was_set(client: MParticle, kit: RecordingKit) -> None:
    """A kit that looks at the user sees the new value."""
    client.set_user_attribute("plan", "gold")
    assert kit.of("on_user_attribute_set") == [("plan", "gold", {"plan": "gold"})]


def test_identity_calls(client: MParticle, kit: RecordingKit) -> None:
    """Identities are given by name, mapping or request, in any spelling; the kit hears of each call."""
    client.identify(customer_id="c")
    client.login({"CustomerId": "c", IdentityType.EMAIL: "e", "other2": None})
    client.modify(IdentityRequest(email=None, other="o"))
    client.logout()
    operations = [
        (call[0], {kind.value: value for kind, value in call[3].items()}) for call in kit.of("on_identity_completed")
    ]
    assert operations == [
        ("identify", {"customer_id": "c"}),
        ("login", {"customer_id": "c", "email": "e"}),
        ("modify", {"email": None, "other": "o"}),
        ("logout", {}),
    ]
    assert [{kind.value for kind in call[2]} for call in kit.of("on_identity_completed")] == [
        {"customer_id"}, {"customer_id", "email"}, {"customer_id", "other"}, set(),
    ]  # fmt: skip


def test_identities_that_nobody_stores_are_left_out() -> None:
    """An empty or overlong identity is reported; the rest of the call goes through."""
    problems: list[Problem] = []
    kit = RecordingKit()
    with MParticle([kit], storage=":memory:", on_error=problems.append) as client:
        client.login(customer_id="c", email="", other="x" * 5000)
    assert kit.of("on_identity_completed")[0][3] == {IdentityType.CUSTOMER_ID: "c"}
    assert [problem.code for problem in problems] == ["value_refused"] * 2


def test_consent(client: MParticle, kit: RecordingKit) -> None:
    """Answers are set one by one or as a whole, stamped with the time, and removed."""
    client.set_consent("GDPR", " Marketing ", True, document="v1")
    client.set_consent("gdpr", "ads", consented=False)
    client.set_consent("ccpa", consented=True, timestamp=5)
    assert client.current_user is not None
    state = client.current_user.consent
    assert set(state.gdpr) == {"marketing", "ads"}
    assert state.gdpr["marketing"].document == "v1"
    assert state.gdpr["marketing"].timestamp is not None
    assert state.ccpa == CCPAConsent(True, 5.0)
    client.remove_consent("gdpr", "ADS")
    client.remove_consent("ccpa", "data_sale_opt_out")
    assert client.current_user.consent == ConsentState({"marketing": state.gdpr["marketing"]})
    client.remove_consent("gdpr")
    client.set_consent(ConsentState({"x": GDPRConsent(True, 1.0)}))
    client.remove_consent()
    assert client.current_user.consent == ConsentState()
    changes = kit.of("on_consent_changed")
    assert len(changes) == 8
    assert all(old == previous for (old, _), (_, previous) in zip(changes[1:], changes, strict=False))


def test_without_a_user_calls_pass_and_consent_is_reported() -> None:
    """Before there is a user, attributes reach kits without one; consent has nowhere to go."""
    problems: list[Problem] = []
    kit = RecordingKit()
    with MParticle([kit], storage=":memory:", resolver=FixedResolver(None), on_error=problems.append) as client:
        assert client.current_user is None
        client.set_user_attribute("a", 1)
        client.increment_user_attribute("n", 2)
        assert client.login(customer_id="c") is None
        assert client.modify(email="e") is None
        client.set_consent("gdpr", "m", True)
    assert kit.calls == [
        ("on_start", None),
        ("on_user_attribute_set", "a", 1, None),
        ("on_user_attribute_incremented", "n", 2, 2),
    ]
    assert [problem.code for problem in problems] == ["no_current_user"]


def test_a_failing_resolver_leaves_the_user() -> None:
    """What a resolver raises is reported; the user stays."""

    class Offline(FixedResolver):
        def resolve(self, *arguments: Any) -> Any:
            if self.mpid is None:
                raise ConnectionError("ada@example.com")
            return super().resolve(*arguments)

    problems: list[Problem] = []
    resolver = Offline(7)
    with MParticle([RecordingKit()], storage=":memory:", resolver=resolver, on_error=problems.append) as client:
        resolver.mpid = None
        user = client.login(customer_id="c")
        assert user is not None
        assert user.mpid == 7
    assert [problem.code for problem in problems] == ["identity_failed"]
    assert "ada" not in problems[0].message


# -- wrong calls ----------------------------------------------------------------------------------------------------

WRONG_CALLS: list[Callable[[Any], object]] = [
    lambda client: client.log_event(None),
    lambda client: client.log_event(""),
    lambda client: client.log_event(3),
    lambda client: client.log_event("A", "navigation"),
    lambda client: client.log_event("A", 99),
    lambda client: client.log_event("A", True),
    lambda client: client.log_event("A", None),
    lambda client: client.log_event("A", EventType.OTHER, [("a", 1)]),
    lambda client: client.log_event("A", EventType.OTHER, "text"),
    lambda client: client.log_event("A", EventType.OTHER, ""),
    lambda client: client.log_event("A", EventType.OTHER, {1: "a"}),
    lambda client: client.log_event("A", EventType.OTHER, {None: "a"}),
    lambda client: client.log_event("A", timestamp="now"),
    lambda client: client.log_event("A", timestamp=float("inf")),
    lambda client: client.log_screen(""),
    lambda client: client.log_screen("A", 3),
    lambda client: client.log_commerce_event({"product_action": "purchase"}),
    lambda client: client.set_user_attribute("", 1),
    lambda client: client.set_user_attribute(None, 1),
    lambda client: client.set_user_attributes([("a", 1)]),
    lambda client: client.set_user_attributes({"a": 1, "": 2}),
    lambda client: client.set_user_attribute_list("a", "text"),
    lambda client: client.set_user_attribute_list("a", {"b"}),
    lambda client: client.set_user_attribute_list("", []),
    lambda client: client.set_user_tag(""),
    lambda client: client.remove_user_attribute(3),
    lambda client: client.increment_user_attribute("a", "1"),
    lambda client: client.increment_user_attribute("a", True),
    lambda client: client.increment_user_attribute("a", float("nan")),
    lambda client: client.identify(customer="c"),
    lambda client: client.login({99: "c"}),
    lambda client: client.login("c"),
    lambda client: client.login(customer_id=5),
    lambda client: client.login({"customer_id": "a"}, CustomerId="b"),
    lambda client: client.set_consent("hipaa", "x", True),
    lambda client: client.set_consent("gdpr", " ", True),
    lambda client: client.set_consent("gdpr", "x", "yes"),
    lambda client: client.set_consent("gdpr", "x", None),
    lambda client: client.set_consent("gdpr", "x", True, place="here"),
    lambda client: client.set_consent("ccpa", "other", True),
    lambda client: client.remove_consent(purpose="x"),
    lambda client: client.set_opt_out("yes"),
    lambda client: client.set_push_token(""),
    lambda client: client.flush(-1),
    lambda client: client.flush("soon"),
    lambda client: client.close(float("nan")),
    lambda client: client.kit(None),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(WRONG_CALLS)))
def test_wrong_calls_raise_at_the_callers_line(client: MParticle, kit: RecordingKit, number: int) -> None:
    """A wrong call raises InvalidArgumentError from the caller's line, says something, and changes nothing."""
    with pytest.raises(InvalidArgumentError) as caught:
        WRONG_CALLS[number](client)
    assert any(
        frame.filename == __file__ and "client." in (frame.line or "") for frame in traceback.extract_tb(caught.tb)
    )
    assert len(str(caught.value)) > 20
    assert kit.calls == []
    assert client.current_user is not None
    assert client.current_user.attributes == {}


@pytest.mark.parametrize(
    "settings",
    [
        {"environment": "staging"},
        {"session_timeout": 0},
        {"session_timeout": "long"},
        {"session_timeout": float("inf")},
        {"on_error": 3},
        {"on_delivery": "x"},
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any]) -> None:
    """A malformed setting is refused by name."""
    with pytest.raises(ConfigurationError, match=next(iter(settings))):
        MParticle([RecordingKit()], storage=":memory:", **settings)


def test_values_that_are_errors_nowhere(client: MParticle, kit: RecordingKit) -> None:
    """Odd values are the kits' business: they pass, subclasses of str and int included."""

    class Name(str):
        __slots__ = ()

    client.log_event(Name("A"), attributes={Name("k"): b"bytes", "set": {1}, "range": range(3)})
    client.set_user_attribute("k", {1, 2})
    assert len(kit.calls) == 2


# -- spelling -------------------------------------------------------------------------------------------------------

ALIASES = {
    "logEvent": "log_event",
    "logScreen": "log_screen",
    "logPageView": "log_screen",
    "logCommerceEvent": "log_commerce_event",
    "setUserAttribute": "set_user_attribute",
    "setUserAttributes": "set_user_attributes",
    "setUserAttributeList": "set_user_attribute_list",
    "setUserTag": "set_user_tag",
    "removeUserAttribute": "remove_user_attribute",
    "incrementUserAttribute": "increment_user_attribute",
    "currentUser": "current_user",
    "setConsent": "set_consent",
    "removeConsent": "remove_consent",
    "setOptOut": "set_opt_out",
    "setPushToken": "set_push_token",
    "currentSession": "current_session",
    "enterBackground": "enter_background",
    "enterForeground": "enter_foreground",
    "aliasUsers": "alias_users",
    "addIdentityStateListener": "add_identity_listener",
    "removeIdentityStateListener": "remove_identity_listener",
    "forUser": "for_user",
    "applyConfiguration": "apply_configuration",
}


def test_camel_case_names_are_the_same_calls() -> None:
    """MParticle's spelling is the very same function, and no alias is missing from the list."""
    for alias, name in ALIASES.items():
        assert inspect.getattr_static(MParticle, alias) is inspect.getattr_static(MParticle, name)
    camel = {name for name in dir(MParticle) if not name.startswith("_") and name != name.lower()}
    assert camel == set(ALIASES)


# -- life -----------------------------------------------------------------------------------------------------------


def test_use_after_close_raises() -> None:
    """Every call on a closed client raises ClosedError; closing again, stats and kit() do not."""
    client = MParticle([RecordingKit()], storage=":memory:")
    client.close()
    calls: list[Callable[[], object]] = [
        lambda: client.log_event("A"),
        lambda: client.log_screen("A"),
        lambda: client.log_commerce_event(ORDER),
        lambda: client.set_user_attribute("a", 1),
        lambda: client.set_user_attributes({}),
        lambda: client.set_user_attribute_list("a", []),
        lambda: client.set_user_tag("a"),
        lambda: client.remove_user_attribute("a"),
        lambda: client.increment_user_attribute("a"),
        client.identify,
        client.login,
        client.logout,
        client.modify,
        lambda: client.set_consent("gdpr", "a", True),
        client.remove_consent,
        lambda: client.set_opt_out(True),
        lambda: client.set_push_token("t"),
        lambda: client.apply_configuration([]),
        client.enter_background,
        client.enter_foreground,
        lambda: client.alias_users(1, 2),
        client.flush,
        client.clear,
    ]
    for call in calls:
        with pytest.raises(ClosedError):
            call()
    client.close()
    assert client.stats().queued == 0
    assert client.kit("Recording") is not None


def test_async_flush_and_close_do_not_hold_up_the_loop() -> None:
    """While a kit takes its time the event loop goes on."""

    class Waits(RecordingKit):
        gate = threading.Event()

        def flush(self, timeout: float | None = None) -> FlushResult | None:
            self.gate.wait(5)
            return FlushResult(sent=1)

        close = flush

    kit = Waits()

    async def main() -> list[FlushResult]:
        async with MParticle([kit], storage=":memory:") as client:
            flushing = asyncio.create_task(client.aflush(5))
            await asyncio.sleep(0)
            kit.gate.set()  # only a free loop gets here
            return [await flushing, await client.aclose(5)]

    assert asyncio.run(main()) == [FlushResult(sent=1)] * 2


def test_opted_out_calls_still_check_their_arguments(client: MParticle) -> None:
    """A wrong call raises whether or not the user opted out."""
    client.set_opt_out(True)
    with pytest.raises(InvalidArgumentError):
        client.log_event("")


def test_users_survive_a_restart(tmp_path: Path) -> None:
    """Who is current, identities, attributes and consent are there at the next start."""
    with MParticle([RecordingKit()], storage=tmp_path) as client:
        user = client.login(customer_id="ada")
        client.set_user_attribute("born", dt.date(1815, 12, 10))
        client.set_consent("gdpr", "m", True, timestamp=1)
    assert user is not None
    with MParticle([RecordingKit()], storage=tmp_path) as client:
        again = client.current_user
        assert again is not None
        assert (again.mpid, again.is_logged_in) == (user.mpid, True)
        assert again.identities == {IdentityType.CUSTOMER_ID: "ada"}
        assert again.attributes == {"born": dt.date(1815, 12, 10)}
        assert again.consent == ConsentState({"m": GDPRConsent(True, 1.0)})


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_goes_on(tmp_path: Path) -> None:
    """A child uses the inherited client: kits hear it, and what it remembers is on disk."""
    kit = RecordingKit()
    with MParticle([kit], storage=tmp_path) as client:
        client.login(customer_id="ada")
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                client.log_event("in the child")
                client.set_user_attribute("child", 1)
                client.set_consent("gdpr", "m", True)
                status = 0 if kit.names()[-3:] == ["log_event", "on_user_attribute_set", "on_consent_changed"] else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        client.set_user_attribute("parent", 1)
    with MParticle([RecordingKit()], storage=tmp_path) as client:
        assert client.current_user is not None
        assert client.current_user.attributes == {"child": 1, "parent": 1}


def test_errors_share_a_base() -> None:
    """One except clause catches everything raised on purpose."""
    assert issubclass(InvalidArgumentError, MParticleError)
    assert issubclass(InvalidArgumentError, ValueError)
    assert issubclass(ClosedError, MParticleError)


def test_from_env_names_what_is_missing() -> None:
    """Without its variables ``from_env`` says which to set."""
    with pytest.raises(ConfigurationError, match="BRAZE_API_KEY and BRAZE_SDK_ENDPOINT"):
        MParticle.from_env({})


def test_from_env_makes_a_client_with_a_braze_kit(tmp_path: Path) -> None:
    """The variables set up the kit, the storage and the environment; arguments win over them."""
    environ = {
        "BRAZE_API_KEY": "key",
        "BRAZE_SDK_ENDPOINT": "http://127.0.0.1:9",
        "BRAZE_PROFILE": "web",
        "MPARTICLE_STORAGE": str(tmp_path / "ignored"),
        "MPARTICLE_ENVIRONMENT": "development",
    }
    client = MParticle.from_env(environ, storage=tmp_path / "state")
    assert client.kit_is_active("Braze")
    assert (tmp_path / "state").is_dir()
    assert not (tmp_path / "ignored").exists()
    client.clear()
    client.close(0)
    with pytest.raises(ConfigurationError):
        MParticle.from_env({**environ, "BRAZE_PROFILE": "symbian"})


def test_even_all_public_names_load_no_http_stack() -> None:
    """Using every public name loads neither requests nor asyncio."""
    code = """
        import sys
        from mparticle_kit_braze import *
        sys.exit(", ".join({"requests", "urllib3", "asyncio", "http.client"} & set(sys.modules)) or 0)
    """
    result = run_python(code)
    assert result.returncode == 0, result.stderr


def test_a_misspelt_public_name_is_an_attribute_error() -> None:
    """Names are loaded on demand; those that are not there are missing as in any module."""
    with pytest.raises(AttributeError, match="MParticles"):
        mparticle_kit_braze.MParticles  # type: ignore[attr-defined]  # noqa: B018  # the point


def test_what_is_not_used_is_not_loaded() -> None:
    """A client with a Braze kit that logs and identifies loads none of the pieces that it was not asked for."""
    code = """
        import sys
        from mparticle_kit_braze import BrazeKit, MParticle
        client = MParticle([BrazeKit("key", "http://127.0.0.1:9")], storage=":memory:")
        client.log_event("A", attributes={"a": 1})
        client.login(customer_id="c")
        client.clear()
        client.close(0)
        unused = "discovery idsync kits.logging_kit kits.projections kits.remote kits.reports kits.user_handle"
        unused += " kits.waiting sandbox server upload_kit urls"
        loaded = {f"mparticle_kit_braze.{name}" for name in unused.split()} & set(sys.modules)
        sys.exit(", ".join(sorted(loaded)) or 0)
    """
    result = run_python(code)
    assert result.returncode == 0, result.stderr
