"""Routing: isolation of kits, starting and stopping, configurations while running, kits of one's own."""

from __future__ import annotations

import functools
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from mparticle_kit_braze import ForwardingReport, create_kits
from mparticle_kit_braze.client import MParticle
from mparticle_kit_braze.commerce import CommerceEvent, Product, ProductAction
from mparticle_kit_braze.delivery import DeliveryStats, FlushResult
from mparticle_kit_braze.diagnostics import Problem, Reporter
from mparticle_kit_braze.errors import ConfigurationError, InvalidArgumentError
from mparticle_kit_braze.events import Event, ScreenView
from mparticle_kit_braze.identity import User
from mparticle_kit_braze.kits.configuration import Filters, KitConfiguration
from mparticle_kit_braze.kits.hashing import mp_hash
from mparticle_kit_braze.kits.kit import Kit, KitContext
from mparticle_kit_braze.kits.turnstile import Turnstile
from tests.kits.recording import RecordingKit, manager

ORDER = CommerceEvent(product_action=ProductAction.PURCHASE, products=[Product("Tea", "tea", 4.5, 2)])


class EventsOnly(Kit):
    """A kit of one's own in its shortest form."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def log_event(self, event: Event) -> None:
        """Keep it."""
        self.events.append(event)


class FailsLater(RecordingKit):
    """Starts, then raises in every call."""

    def log_event(self, event: Event) -> None:
        """Raise."""
        raise RuntimeError("secret@example.com")

    log_screen = log_commerce_event = on_user_attribute_set = on_identity_completed = log_event  # type: ignore[assignment]  # one stands for all callbacks
    on_consent_changed = on_opt_out = on_push_token = flush = close = clear = stats = log_event  # type: ignore[assignment]  # one stands for all callbacks


class ScalarsOnly(Kit):
    """A kit that knows neither lists nor increments."""

    def __init__(self) -> None:
        self.set: list[tuple[str, Any]] = []

    def on_user_attribute_set(self, user: User | None, key: str, value: Any) -> None:
        """Keep it."""
        self.set.append((key, value))


def test_lists_and_increments_reach_a_kit_that_takes_scalars_only() -> None:
    """A list arrives joined with commas and an increment as the sum; reports call both forwarded."""
    kit = ScalarsOnly()
    reports: list[ForwardingReport] = []
    with MParticle([kit], storage=":memory:") as client:
        client.add_forwarding_listener(reports.append)
        client.set_user_attribute("genres", ["Jazz", 2.0, True])
        client.increment_user_attribute("plays", 2)
        client.increment_user_attribute("plays")
        client.increment_user_attribute("genres")  # no number: there is no sum
        client.set_user_tag("vip")
    assert kit.set == [("genres", "Jazz,2.0,true"), ("plays", 2), ("plays", 3)]
    outcomes = [(report.call, report.outcome) for report in reports if report.call.startswith("on_user")]
    assert outcomes == [
        ("on_user_attribute_list_set", "forwarded"),
        *[("on_user_attribute_incremented", "forwarded")] * 3,
        ("on_user_tag_set", "unsupported"),
    ]


def test_identities_come_in_androids_order() -> None:
    """The customer id first, the email second, then as the app gave them."""
    kit = RecordingKit()
    with MParticle([kit], storage=":memory:") as client:
        client.login({"other": "o", "email": "e", "google": "g", "customerid": "c"})
    (_, _, stored, requested) = kit.of("on_identity_completed")[-1]
    assert [kind.value for kind in requested] == ["customer_id", "email", "other", "google"]
    assert list(stored) == list(requested)


def test_priorities_follow_the_configuration() -> None:
    """The kit with the higher ``PriorityValue`` gets calls first; kits without one stay in the order given."""
    order: list[str] = []

    class Kit(RecordingKit):
        def log_event(self, event: Event) -> None:
            order.append(self.name)

    with MParticle(
        [Kit(name=name, kit_id=number) for number, name in enumerate("ABC", 1)], storage=":memory:"
    ) as client:
        client.log_event("X")
        for priority in ("5", "0"):
            entries = [{"moduleId": number, "name": name} for number, name in enumerate("AB", 1)]
            client.apply_configuration(
                [*entries, {"moduleId": 3, "name": "C", "settings": {"PriorityValue": priority}}]
            )
            client.log_event("X")
    assert order == list("ABC" + "CAB" + "ABC")


def test_integration_attributes_are_kept_until_the_kit_stops(tmp_path: Path) -> None:
    """What a kit tells mParticle's servers is there at the next start, and gone with the kit."""
    kit = RecordingKit()
    with MParticle([kit], storage=tmp_path):
        kit.contexts[0].integration.set(28, {"device": "d-1"})
        with pytest.raises(InvalidArgumentError, match="integration"):
            kit.contexts[0].integration.set(28, {"device": 5})  # type: ignore[dict-item]  # wrong on purpose
    again = RecordingKit()
    with MParticle([again], storage=tmp_path) as client:
        assert again.contexts[0].integration.all() == {"28": {"device": "d-1"}}
        client.set_opt_out(True)
        assert again.contexts[0].integration.all() == {}
    last = RecordingKit(kit_id=1_000_001)
    with MParticle([last], storage=tmp_path) as client:
        client.set_opt_out(False)
        assert last.contexts[-1].integration.all() == {}


def test_of_two_entries_for_a_kit_the_environments_own_counts() -> None:
    """The web's list has one for development and one for production; each client goes by its own."""
    hidden = {name: str(mp_hash(f"8{name}")) for name in ("A", "B")}
    entries = [
        {"moduleId": 28, "name": "Appboy", "isDebug": True, "eventNameFilters": [hidden["A"]]},
        {"moduleId": 28, "name": "Appboy", "isDebug": False, "eventNameFilters": [hidden["B"]]},
    ]
    seen = {}
    environments: tuple[Any, ...] = ("production", "development")
    for environment in environments:
        kit = RecordingKit()
        with MParticle([kit], storage=":memory:", environment=environment) as client:
            client.apply_configuration(entries)
            client.log_event("A")
            client.log_event("B")
        (made,) = create_kits(entries, kits={"Appboy": lambda _: RecordingKit()}, environment=environment)
        assert isinstance(made, RecordingKit)
        seen[environment] = [event.name for (event,) in kit.of("log_event")]
    assert seen == {"production": ["A"], "development": ["B"]}
    with MParticle([RecordingKit()], storage=":memory:") as client:
        client.apply_configuration(entries[:1])
        assert client.stats().gates == {"Recording": "environment"}


def test_a_failing_kit_does_not_hurt_the_others() -> None:
    """Every call reaches the healthy kit; the failing one is reported by name, without the text of its error."""
    problems: list[Problem] = []
    healthy = RecordingKit(name="Healthy", kit_id=1_000_001)
    with MParticle([FailsLater(name="Ill"), healthy], storage=":memory:", on_error=problems.append) as client:
        client.log_event("A")
        client.log_screen("B")
        client.log_commerce_event(ORDER)
        client.set_user_attribute("k", 1)
        client.login(customer_id="c")
        client.set_consent("gdpr", "m", True)
        client.set_push_token("t")
        client.flush(1)
        client.clear()
        client.set_opt_out(True)
        assert client.stats().kits == {}
    assert healthy.names() == [
        "on_start", "log_event", "log_screen", "log_commerce_event", "on_user_attribute_set", "on_identity_completed",
        "on_consent_changed", "on_push_token", "on_opt_out", "on_stop",
    ]  # fmt: skip
    assert {problem.code for problem in problems} == {"kit_failed"}
    assert len(problems) == 12
    assert all("Ill" in problem.message and "secret" not in problem.message for problem in problems)


def test_a_failing_kit_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """However often a kit fails, there is one line in the log."""
    with MParticle([FailsLater()], storage=":memory:") as client:
        for _ in range(50):
            client.log_event("A")
        assert client.stats().problems == {"kit_failed": 51}  # stats() fails as well
    assert len([record for record in caplog.records if "Recording" in record.message]) == 1


def test_a_kit_that_cannot_start_is_tried_again_when_gates_move() -> None:
    """A failed start keeps a kit out until the next change of user, consent, opt-out or configuration."""

    class Unready(RecordingKit):
        ready = False

        def on_start(self, context: KitContext, user: User | None) -> None:
            if not self.ready:
                raise RuntimeError
            super().on_start(context, user)

    kit = Unready()
    with MParticle([kit], storage=":memory:") as client:
        client.log_event("lost")
        assert client.stats().gates == {"Recording": "failed"}
        kit.ready = True
        client.log_event("lost too")
        client.login(customer_id="c")
        client.log_event("heard")
    assert kit.names() == ["on_start", "on_identity_completed", "log_event"]


def test_a_kit_of_ones_own_needs_no_name_and_one_callback() -> None:
    """The class's name is the kit's; commerce arrives expanded; other calls pass by."""
    kit = EventsOnly()
    with MParticle([kit], storage=":memory:") as client:
        client.log_event("A", attributes={"a": 1})
        client.log_screen("B")
        client.log_commerce_event(ORDER)
        client.set_user_attribute("k", 1)
        assert client.kit("EventsOnly") is kit
        assert client.kit("eventsonly") is kit
    assert [event.name for event in kit.events] == ["A", "eCommerce - purchase - Total", "eCommerce - purchase - Item"]


def test_expansion_respects_the_commerce_filters() -> None:
    """Filters see the commerce event before it is expanded."""

    class Configured(EventsOnly):
        @property
        def configuration(self) -> KitConfiguration:
            return KitConfiguration(filters=Filters(commerce_entities=frozenset({1})))

    kit = Configured()
    manager(kit).log_commerce_event(ORDER)
    assert [event.name for event in kit.events] == ["eCommerce - purchase - Total"]


def test_several_kits_do_not_share_what_they_are_handed() -> None:
    """A kit that edits its event does not edit the next kit's."""

    class Careless(RecordingKit):
        def log_event(self, event: Event) -> None:
            event.attributes.clear()

        def log_screen(self, screen: ScreenView) -> None:
            screen.attributes["list"].clear()

    careful = RecordingKit(name="Careful", kit_id=1_000_001)
    routed = manager(Careless(), careful)
    event, screen = Event("A", attributes={"a": 1}), ScreenView("S", {"list": [1]})
    routed.log_event(event)
    routed.log_screen(screen)
    assert careful.of("log_event", "log_screen") == [
        (Event("A", attributes={"a": 1}),),
        (ScreenView("S", {"list": [1]}),),
    ]


@pytest.mark.parametrize(
    "kits", [[], None, [object()], [RecordingKit], RecordingKit(), "Braze", [RecordingKit(), RecordingKit()], {"a": 1}]
)
def test_wrong_kits_are_refused(kits: Any) -> None:
    """No kit, no Kit object, a class instead of an object, or one name twice is a mistake of configuration."""
    with pytest.raises(ConfigurationError):
        MParticle(kits, storage=":memory:")


def test_an_unknown_kit_name_lists_those_there_are() -> None:
    """Asking for a kit that is not there says which are."""
    with (
        MParticle([RecordingKit()], storage=":memory:") as client,
        pytest.raises(InvalidArgumentError, match="Recording"),
    ):
        client.kit("Braze")


def test_priority_orders_kits() -> None:
    """The web form's PriorityValue decides who comes first."""
    order: list[str] = []

    class Ordered(RecordingKit):
        def log_event(self, event: Event) -> None:
            order.append(self.name)

    kits = [
        Ordered({"settings": {"PriorityValue": value}}, name=name)
        for name, value in (("last", -1), ("middle", "no number"), ("first", 7))
    ]
    manager(*kits).log_event(Event("A"))
    assert order == ["first", "middle", "last"]


def test_configurations_while_running() -> None:
    """A list of configurations updates, stops and starts kits; kits of one's own stay as they are."""
    braze, own = RecordingKit({"id": 28, "as": {"a": "1"}}, name="Braze"), RecordingKit(name="Own", kit_id=1_000_000)
    with MParticle([braze, own], storage=":memory:") as client:
        updated = {"id": 28, "as": {"a": "2"}, "hs": {"ec": {"-1263189238": 0}}}
        client.apply_configuration([updated])
        client.log_event("Played Song")
        client.apply_configuration([updated])
        client.apply_configuration([])
        assert not client.kit_is_active("Braze")
        client.log_event("while away")
        client.apply_configuration([{"moduleId": 28, "name": "Braze", "settings": {"a": "3"}}])
        client.log_event("back")
        with pytest.raises(ConfigurationError):
            client.apply_configuration([{"id": 28}, {"id": 28, "hs": 3}])
    assert braze.names() == [
        "on_start", "on_configuration_updated", "on_stop", "on_configuration_updated", "on_start", "log_event",
    ]  # fmt: skip
    assert [context.configuration.settings for context in braze.contexts] == [{"a": "1"}, {"a": "3"}]
    assert own.names() == ["on_start", "log_event", "log_event", "log_event"]


def test_tolerated_parts_of_a_configuration_are_reported() -> None:
    """What has no effect is reported under its key."""
    problems: list[Problem] = []
    manager(RecordingKit({"avf": {"i": 1}}), reporter=Reporter(problems.append))
    assert [problem.code for problem in problems] == ["configuration_ignored"]
    assert "avf" in problems[0].message


def test_a_closed_gate_holds_before_the_kit_hears_of_it() -> None:
    """From the judgement on nothing reaches the kit, though its ``on_stop`` is still to come."""
    kit = RecordingKit()
    routed = manager(kit)
    routed.judge(None, opted_out=True)
    routed.log_event(Event("A"))
    routed.user_tag_set(None, "tag")
    assert kit.names() == ["on_start"]
    routed.settle()
    assert kit.names() == ["on_start", "on_stop"]


def test_a_push_token_waits_for_kits_that_start_later() -> None:
    """Every kit gets the token, also one whose gate opens afterwards."""
    kit = RecordingKit()
    with MParticle([kit], storage=":memory:") as client:
        assert client.set_push_token("token") is True
        client.set_opt_out(True)
        assert client.set_push_token("newer") is False
        client.set_opt_out(False)
    assert kit.of("on_push_token") == [("token",), ("newer",)]


def test_kits_get_private_storage_and_the_settings_of_the_client(tmp_path: Any) -> None:
    """The context holds what a kit needs; each kit has a directory of its own."""
    one, two = RecordingKit(name="One"), RecordingKit(name="Two", kit_id=5)
    with MParticle([one, two], storage=tmp_path, environment="development", session_timeout=60):
        context = one.contexts[0]
        assert (context.environment, context.session_timeout) == ("development", 60)
        assert context.storage.path == tmp_path / "One"
        assert two.contexts[0].storage.path == tmp_path / "Two"


class Slow(RecordingKit):
    """Uses up the time it is given."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self.shares: list[float | None] = []

    def close(self, timeout: float) -> FlushResult:
        """Take half of the share."""
        self.shares.append(timeout)
        time.sleep(timeout / 2)
        return FlushResult(sent=1, kept=2)

    def flush(self, timeout: float | None = None) -> FlushResult | None:
        """Take no time."""
        self.shares.append(timeout)
        return FlushResult(sent=3)

    def stats(self) -> DeliveryStats:
        """Some figures."""
        return DeliveryStats(queued=4, sent=5, dropped={"full": 1, "closed": 2}, dead=6)


def test_time_is_shared_by_the_kits_and_results_added() -> None:
    """Every kit gets its share of what is left; what one does not use goes to the next."""
    slow = [Slow(f"Slow {number}") for number in range(3)]
    client = MParticle(slow, storage=":memory:")
    assert client.flush() == FlushResult(sent=9)
    stats = client.stats()
    assert (stats.queued, stats.sent, stats.dropped, stats.dead) == (12, 15, 9, 18)
    began = time.monotonic()
    result = client.close(0.3)
    assert time.monotonic() - began < 0.8
    assert result == FlushResult(sent=3, kept=6)
    assert client.close() is result
    shares = [kit.shares[1] or 0 for kit in slow]
    assert shares[0] == pytest.approx(0.1, abs=0.01)
    assert shares[0] < shares[1] < shares[2]


# -- order of what kits are told -------------------------------------------------------------------------------------


def test_a_kit_that_calls_back_gets_its_answer_afterwards() -> None:
    """A kit may log in from its own callback; the callbacks come one after the other, in order."""

    class CallsBack(RecordingKit):
        client: MParticle

        def on_identity_completed(self, *arguments: Any) -> None:
            super().on_identity_completed(*arguments)
            if len(self.of("on_identity_completed")) == 1:
                self.client.login(customer_id="second")
                self.calls.append(("returned",))

    kit = CallsBack()
    with MParticle([kit], storage=":memory:") as client:
        kit.client = client
        client.login(customer_id="first")
    assert kit.names() == ["on_start", "on_identity_completed", "returned", "on_identity_completed"]


def test_turnstile_keeps_order_among_threads() -> None:
    """Actions from many threads run one at a time; those of one thread stay in order; none is lost."""
    turn, ran, inside = Turnstile(), list[tuple[int, int]](), list[int]()

    def action(thread: int, number: int) -> None:
        inside.append(1)
        assert len(inside) == 1
        ran.append((thread, number))
        inside.pop()

    def work(thread: int) -> None:
        for number in range(200):
            turn.run(functools.partial(action, thread, number))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ran) == 800
    for number in range(4):
        assert [item for thread, item in ran if thread == number] == list(range(200))


def test_turnstile_goes_on_after_an_interrupt() -> None:
    """An action that is interrupted does not block those behind it."""
    turn, ran = Turnstile(), list[str]()

    def interrupted() -> None:
        turn.run(lambda: ran.append("left behind"))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        turn.run(interrupted)
    turn.run(lambda: ran.append("next"))
    assert ran == ["left behind", "next"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_turnstile_is_free_in_a_forked_child() -> None:
    """A child forked while an action runs does not wait for the parent's thread."""
    turn = Turnstile()

    def fork_inside() -> None:
        pid = os.fork()
        if pid == 0:
            ran: list[int] = []
            turn.run(lambda: ran.append(1))
            os._exit(0 if ran == [1] else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

    turn.run(fork_inside)
