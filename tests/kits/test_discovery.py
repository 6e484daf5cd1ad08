"""Kits of other packages by entry point, and kits made from a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mparticle_kit_braze import (
    BrazeKit,
    ConfigurationError,
    Kit,
    KitConfiguration,
    LoggingKit,
    MParticle,
    Problem,
    create_kits,
    discover_kits,
)
from mparticle_kit_braze.diagnostics import Reporter
from tests.kits.recording import RecordingKit
from tests.kits.test_manager import EventsOnly

PACKAGE = """
from mparticle_kit_braze import Kit

class AcmeKit(Kit):
    name = "Acme"
    kit_id = 1_000_007

    def log_event(self, event):
        print(event.name)

def make(configuration):
    return AcmeKit()

nonsense = 5
"""
ENTRY_POINTS = """
[mparticle_kit_braze.kits]
Acme = acme_kit:AcmeKit
Made = acme_kit:make
Missing = acme_kit:Gone
Broken = no_such_module:Kit
Number = acme_kit:nonsense

[another.group]
Other = acme_kit:Other
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that is installed as far as Python can tell."""
    directory = tmp_path / "site"
    info = directory / "acme_kit-1.0.dist-info"
    info.mkdir(parents=True)
    (directory / "acme_kit.py").write_text(PACKAGE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-kit\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(str(directory))


def test_installed_kits_are_found(installed: None) -> None:
    """Entry points that load are found by name; those that do not are reported and left out."""
    problems: list[Problem] = []
    found = discover_kits(reporter=Reporter(problems.append))
    assert sorted(found) == ["Acme", "Made"]
    assert issubclass(found["Acme"], Kit)  # type: ignore[arg-type]  # it is a class
    assert [problem.code for problem in problems] == ["kit_not_loaded"] * 3


def test_a_client_from_a_configuration(installed: None, capsys: pytest.CaptureFixture[str]) -> None:
    """A configuration makes the Braze kit and installed kits by number, with their filters; others are ignored."""
    entries = [
        {"id": 28, "as": {"apiKey": "k", "host": "http://127.0.0.1:9"}, "bk": {"lo": 0, "hi": 0}},
        {"id": 1_000_007, "hs": {"ec": {"1834": 0}}},
        {"id": 999, "as": {}},
    ]
    with MParticle.from_configuration(entries, storage=":memory:") as client:
        assert client.stats().gates == {"Braze": "bracket", "Acme": "active"}
        client.log_event("A")
        client.log_event("B")
    assert capsys.readouterr().out == "A\n"


def test_kits_are_chosen_by_number_or_name() -> None:
    """The mobile form names a number, the web form a name; functions are known by the name they are given under."""
    made = EventsOnly()
    kits: dict[str, Any] = {"Function": lambda _configuration: made, "Log": LoggingKit}
    braze = {"settings": {"apiKey": "k", "cluster": "03"}}
    chosen = create_kits(
        [{"name": "function", "moduleId": 5}, {"name": "LoggingKit", "moduleId": 0}, {"name": "Appboy", **braze}],
        kits=kits,
    )
    assert chosen[0] is made
    assert [type(kit) for kit in chosen[1:]] == [LoggingKit, BrazeKit]


def test_another_kit_may_take_the_number_of_the_braze_kit() -> None:
    """What is offered goes first."""

    class Other(EventsOnly):
        kit_id = 28

    (kit,) = create_kits([{"id": 28, "hs": {"ec": {"1": 0}}}], kits={"Other": Other})
    assert type(kit) is Other
    assert kit.configuration is not None
    assert kit.configuration.filters.event_names == frozenset({1})


def test_a_factory_must_make_a_kit() -> None:
    """A function that returns something else is a mistake of configuration, as is a list without a known kit."""
    with pytest.raises(ConfigurationError, match="must make a Kit"):
        create_kits([KitConfiguration(name="x")], kits={"x": lambda _configuration: 5})  # type: ignore[dict-item, return-value]  # wrong on purpose
    with pytest.raises(ConfigurationError, match="at least one kit"):
        MParticle.from_configuration([{"id": 999}], storage=":memory:")


@pytest.mark.parametrize("wrong", [[{"id": "x"}], [5], [{"id": 28, "bk": 3}]])
def test_a_malformed_configuration_makes_no_kit(wrong: Any) -> None:
    """All are read before any kit is made."""
    with pytest.raises(ConfigurationError):
        create_kits([{"id": 1}, *wrong], kits={"x": lambda _configuration: RecordingKit()})
