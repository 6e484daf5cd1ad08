"""The data plan filter: what is not planned reaches no kit, before their own filters, and mParticle gets all of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mparticle_kit_braze import (
    CommerceEvent,
    ConfigurationError,
    DataPlan,
    EventType,
    ForwardingReport,
    IdentityType,
    Impression,
    MParticle,
    MParticleUploadKit,
    Product,
    ProductAction,
    Promotion,
    PromotionAction,
    RemoteConfiguration,
)
from mparticle_kit_braze.kits.hashing import mp_hash
from mparticle_kit_braze.sandbox import Sandbox
from tests.kits.recording import RecordingKit
from tests.support import wait_until


def only(*names: str) -> dict[str, Any]:
    """The schema of an object that may have these members and no others."""
    return {"additionalProperties": False, "properties": {name: {} for name in names}}


def holding(**members: Any) -> dict[str, Any]:
    """The schema of an object with these members and any others."""
    return {"properties": members}


def point(kind: str, data: Any = None, **criteria: str) -> dict[str, Any]:
    """A data point about events."""
    definition = {} if data is None else {"properties": {"data": data}}
    return {"match": {"type": kind, "criteria": criteria}, "validator": {"definition": definition}}


def users(kind: str, definition: Any) -> dict[str, Any]:
    """A data point about users."""
    return {"match": {"type": kind, "criteria": {}}, "validator": {"definition": definition}}


def plan_of(*points: Any) -> dict[str, Any]:
    """A version of a plan."""
    return {"version": 1, "version_document": {"data_points": list(points)}}


CART_PRODUCTS = holding(product_action=holding(products={"items": holding(custom_attributes=only("leaf"))}))
SHOWN_PRODUCTS = holding(product_impressions={"items": holding(products={"items": only("id")})})
PLAN = plan_of(
    point("custom_event", holding(custom_attributes=only("genre")), event_name="Played", custom_event_type="media"),
    point("custom_event", holding(custom_attributes=holding(x={})), event_name="Free", custom_event_type="other"),
    point("custom_event", only("event_name"), event_name="Bare", custom_event_type="other"),
    point("custom_event", event_name="Open", custom_event_type="other"),
    point("screen_view", holding(custom_attributes=only("tab")), screen_name="Home"),
    point("product_action", CART_PRODUCTS, action="add_to_cart"),
    point("product_action", action="remove_from_wish_list"),
    point("promotion_action", action="click"),
    point("product_impression", SHOWN_PRODUCTS),
    point("something_else"),
    users("user_attributes", only("plan", "visits")),
    users("user_identities", only("customerid", "other_id_2")),
)
ALL = {
    "block_events": True,
    "block_event_attributes": True,
    "block_user_attributes": True,
    "block_user_identities": True,
}
TEA = Product("Tea", "tea", 4.5, attributes={"leaf": "whole", "note": "secret"})


def kit_behind(plan: DataPlan, calls: Any, configuration: Mapping[str, Any] | None = None) -> RecordingKit:
    """A kit that has been through some calls behind a plan."""
    kit = RecordingKit(configuration)
    with MParticle([kit], storage=":memory:", data_plan=plan) as client:
        calls(client)
    return kit


@pytest.mark.parametrize(
    ("name", "event_type", "expected"),
    [
        ("Played", EventType.MEDIA, {"genre": "Jazz"}),
        ("Free", EventType.OTHER, {"genre": "Jazz", "plays": 3}),
        ("Bare", EventType.OTHER, {}),
        ("Open", EventType.OTHER, {"genre": "Jazz", "plays": 3}),
        ("Played", EventType.OTHER, None),
        ("played", EventType.MEDIA, None),
        ("Unplanned", EventType.MEDIA, None),
    ],
)
def test_custom_events(name: str, event_type: EventType, expected: Any) -> None:
    """Planned by name and type; attributes by the schema, any of them unless it forbids others."""
    kit = kit_behind(
        DataPlan.from_json(PLAN, **ALL),
        lambda client: client.log_event(name, event_type, {"genre": "Jazz", "plays": 3}),
    )
    assert [event.attributes for (event,) in kit.of("log_event")] == ([] if expected is None else [expected])


def test_screens() -> None:
    """Planned by name."""

    def calls(client: MParticle) -> None:
        client.log_screen("Home", {"tab": 1, "secret": 2})
        client.log_screen("Elsewhere")

    kit = kit_behind(DataPlan.from_json(PLAN, **ALL), calls)
    assert [(screen.name, screen.attributes) for (screen,) in kit.of("log_screen")] == [("Home", {"tab": 1})]


def test_commerce() -> None:
    """Planned by action; products lose unplanned attributes, in impressions as well."""

    def calls(client: MParticle) -> None:
        client.log_commerce_event(CommerceEvent(ProductAction.ADD_TO_CART, [TEA], attributes={"a": 1}))
        client.log_commerce_event(CommerceEvent(ProductAction.PURCHASE, [TEA]))
        client.log_commerce_event(CommerceEvent(ProductAction.REMOVE_FROM_WISHLIST, [TEA]))
        client.log_commerce_event(
            CommerceEvent(promotion_action=PromotionAction.CLICK, promotions=[Promotion("p")], attributes={"a": 1})
        )
        client.log_commerce_event(CommerceEvent(promotion_action=PromotionAction.VIEW, promotions=[Promotion("p")]))
        client.log_commerce_event(CommerceEvent(impressions=[Impression("List", [TEA])]))

    kit = kit_behind(DataPlan.from_json(PLAN, **ALL), calls)
    cart, wish, click, shown = (event for (event,) in kit.of("log_commerce_event"))
    assert cart.products[0].attributes == {"leaf": "whole"}
    assert cart.attributes == {"a": 1}
    assert wish.products == (TEA,)
    assert click.promotion_action is PromotionAction.CLICK
    assert not shown.impressions[0].products[0].attributes
    assert TEA.attributes == {"leaf": "whole", "note": "secret"}


def test_users() -> None:
    """Unplanned attributes and identities are kept from callbacks and from the user that kits see."""
    seen: list[Any] = []

    class Kit(RecordingKit):
        def on_identity_completed(self, *arguments: Any) -> None:
            seen.append((dict(arguments[1].identities), dict(arguments[1].attributes), arguments[2]))

    kit = Kit({"id": 28, "hs": {"ua": {str(mp_hash("visits")): 0}}})
    with MParticle([kit], storage=":memory:", data_plan=DataPlan.from_json(PLAN, **ALL)) as client:
        for key in ("plan", "secret", "visits"):
            client.set_user_attribute(key, 1)
            client.set_user_attribute_list(f"{key} list", ["a"])
            client.set_user_tag(f"{key} tag")
            client.increment_user_attribute(key)
            client.remove_user_attribute(f"{key} list")
        client.modify(customer_id="ada", email="a@b.c", other2="o")
        assert client.current_user is not None
        assert client.current_user.attributes["secret"] == 2  # the app itself sees everything
    assert [name for name in kit.names() if "attribute" in name or "tag" in name] == [
        "on_user_attribute_set",
        "on_user_attribute_incremented",
    ]
    identities = {IdentityType.CUSTOMER_ID: "ada", IdentityType.OTHER2: "o"}
    assert seen == [(identities, {"plan": 2}, identities)]


@pytest.mark.parametrize("flag", [*ALL, None])
def test_each_flag_enforces_its_part(flag: str | None) -> None:
    """Without a flag its part of the plan is not enforced."""

    def calls(client: MParticle) -> None:
        client.log_event("Unplanned", attributes={"a": 1})
        client.log_event("Played", EventType.MEDIA, {"secret": 1})
        client.set_user_attribute("secret", 1)
        client.login(email="a@b.c")

    kit = kit_behind(DataPlan.from_json(PLAN, **({} if flag is None else {flag: True})), calls)
    assert len(kit.of("log_event")) == (1 if flag == "block_events" else 2)
    assert (kit.of("log_event")[-1][0].attributes == {}) is (flag == "block_event_attributes")
    assert (kit.of("on_user_attribute_set") == []) is (flag == "block_user_attributes")
    assert (kit.of("on_identity_completed")[-1][3] == {}) is (flag == "block_user_identities")


def test_parts_without_a_point_are_free() -> None:
    """A plan that says nothing of users or of an event's attributes takes nothing off them."""

    def calls(client: MParticle) -> None:
        client.set_user_attribute("any", 1)
        client.login(email="a@b.c")
        client.log_event("Unplanned", attributes={"a": 1})

    kit = kit_behind(DataPlan.from_json(plan_of(), **{**ALL, "block_events": False}), calls)
    assert kit.of("log_event")[0][0].attributes == {"a": 1}
    assert kit.of("on_identity_completed")[-1][3] == {IdentityType.EMAIL: "a@b.c"}
    assert kit.of("on_user_attribute_set")[0][:2] == ("any", 1)


def test_kit_filters_come_after() -> None:
    """What the plan takes off decides no rule; what it leaves passes the kit's own filters."""
    rule = {"i": False, "a": mp_hash("secret"), "v": mp_hash("1")}
    hidden = {"ea": {str(mp_hash("9Playedgenre")): 0}}
    kit = kit_behind(
        DataPlan.from_json(PLAN, **ALL),
        lambda client: client.log_event("Played", EventType.MEDIA, {"secret": 1, "genre": "Jazz"}),
        {"id": 28, "avf": rule, "hs": hidden},
    )
    assert [event.attributes for (event,) in kit.of("log_event")] == [{}]


def test_many_users_are_behind_the_plan_as_well() -> None:
    """What ``for_user`` hands to kits is planned; what no plan is about passes."""

    class Users(RecordingKit):
        def for_user(self, identities: Any, mpid: Any = None) -> Any:
            self.calls.append(("for_user", identities))
            return KitUserDouble(self.calls)

    def calls(client: MParticle) -> None:
        user = client.for_user(customer_id="ada", email="a@b.c")
        user.log_event("Unplanned")
        user.log_event("Played", EventType.MEDIA, {"secret": 1})
        user.log_screen("Elsewhere")
        user.log_screen("Home")
        user.log_commerce_event(CommerceEvent(ProductAction.PURCHASE, [TEA]))
        user.log_commerce_event(CommerceEvent(ProductAction.ADD_TO_CART, [TEA]))
        for key in ("secret", "plan"):
            user.set_user_attribute(key, 1)
            user.set_user_tag(key)
            user.increment_user_attribute(key)
        user.modify(email="new", other2="o")
        user.set_push_token("token")
        user.end()

    kit = Users()
    with MParticle([kit], storage=":memory:", data_plan=DataPlan.from_json(PLAN, **ALL)) as client:
        calls(client)
    told = [call for call in kit.calls if call[0] != "on_start"]
    assert [call[0] for call in told] == [
        "for_user", "log_event", "log_screen", "log_commerce_event", "set_attribute", "set_tag", "increment",
        "identify", "set_push_token", "end",
    ]  # fmt: skip
    assert told[0][1] == {IdentityType.CUSTOMER_ID: "ada"}
    assert told[1][1].attributes == {}
    assert told[7][1] == {IdentityType.OTHER2: "o"}
    free = Users()
    with MParticle([free], storage=":memory:", data_plan=DataPlan.from_json(PLAN)) as client:
        calls(client)
    assert len(free.calls) == len(kit.calls) + 6


class KitUserDouble:
    """One of many users that writes down what it is told."""

    def __init__(self, calls: list[tuple[Any, ...]]) -> None:
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **_: self._calls.append((name, *arguments))


def test_mparticle_itself_gets_everything_and_reports_say_why() -> None:
    """The upload kit does not follow the plan; of other kits a listener learns what the plan took off."""
    reports: list[ForwardingReport] = []
    with Sandbox() as sandbox:
        kits = [RecordingKit(), MParticleUploadKit("k", "s", pod=sandbox.url)]
        with MParticle(kits, storage=":memory:", data_plan=DataPlan.from_json(PLAN, **ALL)) as client:
            client.add_forwarding_listener(reports.append)
            client.log_event("Unplanned", attributes={"a": 1})
            client.log_event("Played", EventType.MEDIA, {"secret": 1})
            client.set_user_attribute("secret", 1)
        assert [data["event_name"] for data in sandbox.uploads.of("custom_event")] == ["Unplanned", "Played"]
        assert sandbox.uploads.batches[-1]["user_attributes"] == {"secret": 1}
    told = [
        (report.kit, report.name, report.outcome, report.reason, report.hidden)
        for report in reports
        if report.call != "on_session_start"
    ]
    assert told == [
        ("Recording", "Unplanned", "filtered", "data_plan", ()),
        ("mParticle", "Unplanned", "forwarded", "", ()),
        ("Recording", "Played", "forwarded", "", ("secret",)),
        ("mParticle", "Played", "forwarded", "", ()),
        ("Recording", "secret", "filtered", "data_plan", ()),
        ("mParticle", "secret", "forwarded", "", ()),
    ]


@pytest.mark.parametrize("form", ["mobile", "web"])
def test_a_plan_from_the_server(form: Any, tmp_path: Path) -> None:
    """It comes with the configuration, is kept with it, and gives way to one in code."""
    container = {"dtpn": {"blok": {"ev": True, "ea": False, "ua": False, "id": False}, "vers": PLAN}}
    kits, key = ("eks", "dpr") if form == "mobile" else ("kitConfigs", "dataPlanResult")
    with Sandbox() as sandbox:
        sandbox.set_configuration({kits: [], key: container}, form=form)

        def started(kit: RecordingKit, **settings: Any) -> MParticle:
            source = RemoteConfiguration("k", form=form, endpoint=sandbox.url, plan_id="songs", plan_version=2)
            return MParticle([kit], storage=tmp_path, remote_configuration=source, **settings)

        first, second, third = (RecordingKit(kit_id=1_000_001) for _ in range(3))
        with started(first) as client:
            wait_until(lambda: client._kits._routes[0].plan is not None)
            client.log_event("Unplanned")
            client.log_event("Open")
        sandbox.stop()
        with started(second) as client:
            client.log_event("Unplanned")
        with started(third, data_plan=DataPlan.from_json(PLAN)) as client:
            client.log_event("Unplanned")
        request = sandbox.mparticle.configuration.requests[0]
    assert [event.name for (event,) in first.of("log_event")] == ["Open"]
    assert second.of("log_event") == []
    assert len(third.of("log_event")) == 1
    assert "plan_id=songs&plan_version=2" in request.path


@pytest.mark.parametrize(
    ("plan", "where"),
    [
        ("{", "no JSON"),
        ([], "object"),
        ({"version_document": 5}, "version_document"),
        ({"version_document": {"data_points": {}}}, "data_points"),
        (plan_of(5), r"data_points\[0\]"),
        (plan_of({"match": 5}), "match"),
        (plan_of({"match": {"type": 5}}), "type"),
        (plan_of({"match": {"type": "screen_view", "criteria": {"screen_name": 5}}}), "screen_name"),
        (plan_of({"match": {"type": "screen_view"}, "validator": {"definition": 5}}), "definition"),
    ],
)
def test_malformed_plans_are_refused(plan: Any, where: str) -> None:
    """The message names the key."""
    with pytest.raises(ConfigurationError, match=where):
        DataPlan.from_json(plan)


def test_wrong_settings_are_refused() -> None:
    """A plan must be read first, and a version be a number that mParticle knows."""
    with pytest.raises(ConfigurationError, match="data_plan"):
        MParticle([RecordingKit()], storage=":memory:", data_plan=PLAN)  # type: ignore[arg-type]  # wrong on purpose
    for wrong in ({"plan_id": ""}, {"plan_version": 1}, *({"plan_id": "p", "plan_version": v} for v in (0, 1001, "1"))):
        with pytest.raises(ConfigurationError, match="plan_"):
            RemoteConfiguration("k", **wrong)  # type: ignore[arg-type]  # wrong on purpose


KEYS = st.sampled_from(
    ["data", "custom_attributes", "product_action", "products", "items", "properties", "additionalProperties", "x"]
)
SCHEMAS = st.recursive(st.none() | st.booleans() | st.text(max_size=3), lambda inner: st.dictionaries(KEYS, inner))


@settings(deadline=None, max_examples=40)
@given(st.lists(SCHEMAS, max_size=3), st.dictionaries(KEYS, st.integers(), max_size=3))
def test_no_schema_breaks_a_call(schemas: list[Any], attributes: dict[str, int]) -> None:
    """Whatever a schema holds, a planned event arrives with some of its attributes, and only those."""
    kinds = ("product_action", "custom_event")
    criteria = {"action": "add_to_cart", "event_name": "A", "custom_event_type": "other"}
    points = [point(kind, schema, **criteria) for schema in schemas for kind in kinds]
    plan = DataPlan.from_json(plan_of(*points, point("custom_event", **criteria)), **ALL)
    kit = kit_behind(plan, lambda client: client.log_event("A", attributes=attributes))
    ((event,),) = kit.of("log_event")
    assert event.attributes.items() <= attributes.items()
