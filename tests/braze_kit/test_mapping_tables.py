"""The tables in the docstring of ``mapping`` are run row by row."""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from typing import Any

import pytest

from mparticle_kit_braze.braze_kit import mapping
from mparticle_kit_braze.commerce import CommerceEvent, Product, ProductAction, TransactionAttributes
from mparticle_kit_braze.events import Event, ScreenView

from .recording import Call, RecordedKit, started

PROFILES = ("native", "web", "android", "ios")
ROWS = [
    [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    for line in (mapping.__doc__ or "").splitlines()
    if line.startswith("| `") and "(" in line.split("|")[1]
]
FLAGS: dict[str, dict[str, Any]] = {
    "type_detection": {"enable_type_detection": True},
    "forward_screen_views": {"forward_screen_views": True},
    "subscription_groups": {"subscription_group_mapping": {"news": "g1"}},
    "bundle": {"bundle_commerce_event_data": True},
}


class Calls:
    """The calls that the tables may use, on a kit with the settings that a row names."""

    def __init__(self, profile: str) -> None:
        self._profile = profile
        self.kit: RecordedKit

    def _start(self, flags: tuple[str, ...]) -> RecordedKit:
        settings = {name: value for flag in flags for name, value in FLAGS[flag].items()}
        self.kit = started(self._profile, **settings)
        return self.kit

    def log_event(self, name: str, attributes: Any = None, *flags: str) -> None:
        """An event."""
        self._start(flags).log_event(Event(name, attributes=attributes))

    def log_screen(self, name: str, attributes: Any = None, *flags: str) -> None:
        """A screen view."""
        self._start(flags).log_screen(ScreenView(name, attributes))

    def set_user_attribute(self, key: str, value: Any, *flags: str) -> None:
        """A scalar."""
        self._start(flags).on_user_attribute_set(None, key, value)

    def set_user_attribute_list(self, key: str, values: Any) -> None:
        """A list."""
        self._start(()).on_user_attribute_list_set(None, key, values)

    def set_user_tag(self, key: str) -> None:
        """A tag."""
        self._start(()).on_user_tag_set(None, key)

    def increment_user_attribute(self, key: str, by: float, total: float) -> None:
        """An increment."""
        self._start(()).on_user_attribute_incremented(None, key, by, total)

    def remove_user_attribute(self, key: str) -> None:
        """A removal."""
        self._start(()).on_user_attribute_removed(None, key, was_set=True)

    def set_opt_out(self, value: bool) -> None:
        """Opting out."""
        self._start(()).on_opt_out(value)

    def purchase(self, *flags: str) -> None:
        """An order."""
        self._commerce(ProductAction.PURCHASE, flags)

    def click(self, *flags: str) -> None:
        """A click."""
        self._commerce(ProductAction.CLICK, flags)

    def _commerce(self, action: ProductAction, flags: tuple[str, ...]) -> None:
        transaction = TransactionAttributes("t", revenue=9)
        event = CommerceEvent(action, [Product("Tea", "tea", 4.5, 2)], transaction=transaction)
        self._start(flags).log_commerce_event(event)


def shown(call: Call) -> str:
    """A recorded call as the tables write it."""
    kind, *arguments = call
    if kind == "event":
        name, properties = arguments
        return f"{name} {text(properties)}" if properties else str(name)
    if kind == "purchase":
        product_id, price, currency, quantity, properties = arguments
        return f"{product_id} {text(price)} {currency or '-'} {quantity} {text(properties, sort=True)}"
    if kind == "set_date_of_birth":
        year = datetime.now(timezone.utc).year
        return "dob 30 years ago" if arguments == [year - 30, 1, 1] else f"dob {'-'.join(map(str, arguments))}"
    if kind == "increment_custom_attribute":
        return f"{arguments[0]} +{arguments[1]}"
    if kind == "add_to_subscription_group":
        return f"subscribe {arguments[0]}"
    if kind == "set_custom_attribute":
        return f"{arguments[0]} {text(arguments[1])}"
    field = {"set_phone_number": "phone", "set_email_subscription": "email_subscribe"}.get(kind, kind[4:])
    return f"{field} {text(arguments[0])}"


def text(value: Any, *, sort: bool = False) -> str:
    return json.dumps(value, sort_keys=sort)


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_row_of_a_table_is_what_the_profiles_do(row: list[str]) -> None:
    """Each profile's cell is what its kit tells Braze for the row's call."""
    for profile, cell in zip(PROFILES, row[1:], strict=True):
        calls = Calls(profile)
        names = {name: getattr(calls, name) for name in dir(Calls) if not name.startswith("_")}
        eval(row[0].strip("`"), {**names, **{flag: flag for flag in FLAGS}, "datetime": datetime})
        expected = re.sub(r" \((custom|refused)\)$", "", cell).replace("`", "")
        recorded = [shown(call) for call in calls.kit.calls]
        if row[0].startswith("`click"):
            name, _, properties = expected.partition(" {")
            assert recorded[0].partition(" {")[0] == name, profile
            assert json.loads("{" + recorded[0].partition(" {")[2]) == json.loads("{" + properties), profile
            continue
        assert " ".join(recorded) == ("" if expected == "-" else expected), profile


def test_tables_are_long_enough_to_have_been_read() -> None:
    """The rows are found: a change of layout must not leave the tables unchecked."""
    assert len(ROWS) >= 36
