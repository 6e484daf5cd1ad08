"""The logging kit: it keeps and logs every callback, through the configuration it is given."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from mparticle_kit_braze import ConfigurationError, Kit, LoggingKit, MParticle
from tests.kits.test_sessions import NOT_STARTING, STARTING

BESIDES = {"data_points", "for_user", "flush", "close", "clear", "erase", "stats", "on_configuration_updated"}
"""Callbacks that carry no call of the app."""


def test_it_notes_every_callback_of_the_contract() -> None:
    """Whatever the contract has, the kit writes down."""
    callbacks = {name for name, member in vars(Kit).items() if callable(member) and not name.startswith("_")}
    assert callbacks - BESIDES <= set(vars(LoggingKit))
    kit = LoggingKit()
    with MParticle([kit], storage=":memory:") as client:
        for call in [*STARTING.values(), *NOT_STARTING.values()]:
            call(client)
        client.set_opt_out(True)
    assert {call.name for call in kit.calls} == callbacks - BESIDES


def test_calls_are_kept_with_their_arguments() -> None:
    """A test can ask for the calls of one callback."""
    kit = LoggingKit()
    with MParticle([kit], storage=":memory:") as client:
        client.log_event("Played", attributes={"genre": "Jazz"}, timestamp=5)
        client.set_user_attribute("plan", "gold")
    (event,) = kit.calls_of("log_event")
    assert event.arguments == {"name": "Played", "event_type": 8, "attributes": {"genre": "Jazz"}, "timestamp": 5.0}
    assert [call.arguments["value"] for call in kit.calls_of("on_user_attribute_set", "log_screen")] == ["gold"]
    kit.forget_calls()
    assert kit.calls == ()


def test_it_shows_what_a_configuration_lets_through() -> None:
    """With a Braze kit's configuration it gets what the Braze kit would."""
    kit = LoggingKit({"id": 28, "hs": {"ec": {"-1263189238": 0}, "ua": {"1649237399": 0}}})
    with MParticle([kit], storage=":memory:") as client:
        client.log_event("Played Song")
        client.log_event("Other")
        client.set_user_attribute("$FirstName", "Ada")
    assert [call.arguments["name"] for call in kit.calls_of("log_event")] == ["Other"]
    assert kit.calls_of("on_user_attribute_set") == []


def test_only_the_newest_calls_are_kept() -> None:
    """Memory is bounded; 0 keeps none."""
    for keep in (3, 0):
        kit = LoggingKit(keep=keep)
        with MParticle([kit], storage=":memory:") as client:
            for number in range(10):
                client.log_screen(str(number))
            assert [call.arguments["name"] for call in kit.calls] == ["7", "8", "9"][3 - keep :]


def test_lines_go_to_the_logger_it_is_given(caplog: pytest.LogCaptureFixture) -> None:
    """A line a call, at the level asked for; none without a logger."""
    logger = logging.getLogger("my_app.kits")
    quiet, loud = LoggingKit(name="Quiet"), LoggingKit(logger=logger, level=logging.INFO, keep=0)
    with caplog.at_level(logging.INFO), MParticle([quiet, loud], storage=":memory:") as client:
        client.log_screen("Home", {"tab": 1})
    lines = [record.message for record in caplog.records if record.name == "my_app.kits"]
    assert "Logging: log_screen(name='Home', attributes={'tab': 1}, timestamp=None)" in lines
    assert not any("Quiet" in line for line in lines)


@pytest.mark.parametrize("keep", [-1, True, 1.5, "many"])
def test_a_wrong_bound_is_refused(keep: Any) -> None:
    """The bound must be a whole number from 0 up."""
    with pytest.raises(ConfigurationError, match="keep"):
        LoggingKit(keep=keep)
