"""A kit over a Braze client that only writes down what it is told, in a form that is easy to compare."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from mparticle_kit_braze.braze_kit import BrazeKit
from mparticle_kit_braze.consent import ConsentState
from mparticle_kit_braze.diagnostics import Problem, Reporter
from mparticle_kit_braze.identity import IdentityType
from mparticle_kit_braze.kits.kit import KitContext
from mparticle_kit_braze.storage import Storage

Call = tuple[Any, ...]


class RecordingUser:
    """Writes down every call as ``(method, *arguments)``."""

    def __init__(self, calls: list[Call]) -> None:
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)

        def record(*arguments: Any) -> bool:
            self._calls.append((name, *arguments))
            return True

        return record


class RecordingBraze:
    """The calls of the Braze client that the kit makes."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.current_user = RecordingUser(self.calls)
        self.user_id: str | None = None
        self.sessions = 0

    def log_custom_event(self, name: str, properties: Any = None, *, time: float | None = None) -> bool:
        """A custom event."""
        self.calls.append(("event", name, dict(properties or {})))
        return True

    def log_purchase(
        self, product_id: str, price: Any, currency: Any, quantity: Any, properties: Any, *, time: float | None = None
    ) -> bool:
        """A purchase."""
        self.calls.append(("purchase", product_id, price, currency, quantity, dict(properties)))
        return True

    def change_user(self, user_id: str) -> None:
        """Another user."""
        self.user_id = user_id
        self.calls.append(("change_user", user_id))

    def open_session(self) -> None:
        """A session."""
        self.sessions += 1

    def close(self, timeout: float) -> None:
        """The end."""
        self.calls.append(("close", timeout))


class RecordedKit(BrazeKit):
    """A Braze kit whose client is a :class:`RecordingBraze`."""

    def _make_braze(self, context: KitContext) -> Any:
        return RecordingBraze()

    @property
    def calls(self) -> list[Call]:
        """What Braze was told so far."""
        return self.braze.calls  # type: ignore[attr-defined,no-any-return]  # not in the type, there at run time


class Problems(list[Problem]):
    """Collects problems; the codes alone are in ``codes``."""

    @property
    def codes(self) -> list[str]:
        """The codes in order."""
        return [problem.code for problem in self]


def user(mpid: int = 7, attributes: Mapping[str, Any] | None = None, **identities: str) -> Any:
    """A user as kits see one."""
    return SimpleNamespace(
        mpid=mpid,
        is_logged_in=bool(identities),
        identities={IdentityType(name): value for name, value in identities.items()},
        attributes=dict(attributes or {}),
        consent=ConsentState(),
    )


def start(kit: BrazeKit, current: Any = None) -> Problems:
    """Start a kit with everything in memory; gives the problems it reports from then on."""
    problems = Problems()
    reporter = Reporter(problems.append)
    context = KitContext(Storage.open(":memory:", reporter), reporter, kit.configuration, "production", 1800)
    kit.on_start(context, current)
    return problems


def started(profile: str = "native", **settings: Any) -> RecordedKit:
    """A started kit of that profile."""
    kit = RecordedKit("key", "127.0.0.1", profile=profile, **settings)  # type: ignore[arg-type]  # any setting by name
    start(kit)
    return kit
