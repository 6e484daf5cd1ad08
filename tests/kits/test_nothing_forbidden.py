"""Any calls with any configurations, changed on the way: nothing that a configuration forbids reaches its kit.

What is forbidden is worked out here from the JSON itself, without the package's filters, rules and hash.
"""

from __future__ import annotations

import copy
import ctypes
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from mparticle_kit_braze import (
    CommerceEvent,
    ConfigurationError,
    ConsentState,
    Event,
    EventType,
    IdentityType,
    Impression,
    Kit,
    KitConfiguration,
    KitContext,
    MParticle,
    Product,
    ProductAction,
    Promotion,
    PromotionAction,
    ScreenView,
    TransactionAttributes,
    User,
)
from tests.kits.recording import RecordingKit

Json = dict[str, Any]


def java_hash(text: str) -> int:
    """Java's ``String.hashCode`` of the lower-cased text."""
    units = text.lower().encode("utf-16-be", "surrogatepass")
    total = 0
    for place in range(0, len(units), 2):
        total = total * 31 + int.from_bytes(units[place : place + 2], "big")
    return ctypes.c_int32(total & 0xFFFFFFFF).value


# -- configurations -------------------------------------------------------------------------------------------------

NAMES = ["Play", "1Play", "é"]
KEYS = ["a", "Genre", "$x", "ß"]
EVENT_TYPES = [EventType.NAVIGATION, EventType.OTHER, EventType.TRANSACTION, EventType.UNKNOWN]
COMMERCE_TYPES = {ProductAction.PURCHASE: 16, ProductAction.ADD_TO_CART: 10}
EVENT_LABELS = [
    "Checkout Step", "Checkout Options", "Coupon Code", "Shipping Amount", "Tax Amount", "Total Amount",
    "Transaction Id", "Affiliation",
]  # fmt: skip
PRODUCT_LABELS = {
    "Coupon Code": "coupon_code", "Position": "position", "Variant": "variant", "Category": "category",
    "Brand": "brand",
}  # fmt: skip
PROMOTION_LABELS = {"Id": "id", "Creative": "creative", "Name": "name", "Position": "position"}
PURPOSES = ["ads", "marketing"]
IDENTITIES = [IdentityType.EMAIL, IdentityType.CUSTOMER_ID, IdentityType.OTHER]


def hidden(texts: Sequence[str]) -> st.SearchStrategy[Json]:
    """A filter of some of these texts; 0 hides, 1 does not."""
    return st.dictionaries(
        st.sampled_from([str(java_hash(text)) for text in texts]), st.sampled_from([0, 0, 0, 1]), max_size=4
    )


TYPE_TEXTS = [str(int(kind)) for kind in EVENT_TYPES]
EVENTS = [f"{kind}{name}" for kind in TYPE_TEXTS for name in NAMES]
FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "et": hidden([*TYPE_TEXTS, "16", "10", "18", "22"]),
        "ec": hidden(EVENTS),
        "ea": hidden([event + key for event in EVENTS for key in KEYS]),
        "svec": hidden([f"0{name}" for name in NAMES]),
        "svea": hidden([f"0{name}{key}" for name in NAMES for key in KEYS]),
        "ua": hidden(KEYS),
        "uid": st.dictionaries(st.sampled_from([str(kind.number) for kind in IDENTITIES]), st.just(0), max_size=2),
        "cea": hidden([f"{number}{label}" for number in (10, 16, 18, 22) for label in [*EVENT_LABELS, *KEYS]]),
        "ent": st.dictionaries(st.sampled_from(["1", "2"]), st.just(0), max_size=2),
        "afa": st.fixed_dictionaries(
            {},
            optional={
                "1": hidden([*PRODUCT_LABELS, *KEYS]),
                "2": hidden(list(PROMOTION_LABELS)),
                "3": hidden([*PRODUCT_LABELS, *KEYS]),
            },
        ),
    },
)
ENTRIES = st.fixed_dictionaries(
    {"id": st.just(28), "hs": FILTERS},
    optional={
        "bk": st.sampled_from([{"lo": 0, "hi": 50}, {"lo": 50, "hi": 101}, {"lo": 7, "hi": 8}, {"lo": 1}]),
        "eau": st.booleans(),
        "avf": st.fixed_dictionaries(
            {
                "i": st.booleans(),
                "a": st.sampled_from([java_hash(key) for key in KEYS]),
                "v": st.sampled_from([java_hash(value) for value in ("1", "x", "true", "2.0")]),
            }
        ),
        "crvf": st.fixed_dictionaries(
            {
                "i": st.booleans(),
                "v": st.lists(
                    st.fixed_dictionaries(
                        {
                            "h": st.sampled_from(
                                [*(java_hash(f"1{name}") for name in PURPOSES), java_hash("2data_sale_opt_out")]
                            ),
                            "c": st.booleans(),
                        }
                    ),
                    max_size=2,
                ),
            }
        ),
        "as": st.sampled_from([{"honorOptOut": "False"}, {"honorOptOut": "True"}]),
    },
)


# -- what is forbidden ----------------------------------------------------------------------------------------------


def is_hidden(entry: Json, key: str, text: str) -> bool:
    """Whether a filter of the configuration hides a text."""
    listed: Mapping[str, int] = entry["hs"].get(key, {})
    return listed.get(str(java_hash(text)), 1) != 1


def is_open(entry: Json, user: User | None, *, opted_out: bool) -> bool:
    """Whether the kit may run for this user now."""
    assert user is not None
    if entry.get("eau") and not user.is_logged_in:
        return False
    bracket = entry.get("bk", {})
    if not bracket.get("lo", 0) <= abs(ctypes.c_int64(user.mpid).value >> 8) % 100 < bracket.get("hi", 101):
        return False
    if opted_out and entry.get("as", {}).get("honorOptOut", "True") == "True":
        return False
    rules = {rule["h"]: rule["c"] for rule in entry.get("crvf", {}).get("v", [])}
    if not rules:
        return True
    given_answers = {java_hash(f"1{purpose}"): record.consented for purpose, record in user.consent.gdpr.items()}
    if user.consent.ccpa is not None:
        given_answers[java_hash("2data_sale_opt_out")] = user.consent.ccpa.consented
    matched = any(rules.get(number) is answer for number, answer in given_answers.items())
    return matched is entry["crvf"]["i"]


def rule_lets_through(entry: Json, attributes: Mapping[str, Any]) -> bool:
    """Whether the attribute rule forwards an event with these attributes."""
    rule = entry.get("avf")
    if rule is None:
        return True
    values = {True: "true", False: "false", None: ""}
    for key, value in attributes.items():
        if java_hash(key) == rule["a"]:
            text = values[value] if value is None or isinstance(value, bool) else str(value)
            return bool((java_hash(text) == rule["v"]) is rule["i"])
    return not rule["i"]


class Guard(Kit):
    """A kit that checks everything it is handed against the configuration in force."""

    name = "Guard"
    kit_id = 28

    def __init__(self, entry: Json) -> None:
        self.entry = entry
        self.client: MParticle | None = None
        self.opted_out = False
        self.logged: list[Any] = []
        """What the app has logged and this kit has not been handed yet."""
        self.handed = 0

    @property
    @override
    def configuration(self) -> KitConfiguration:
        return KitConfiguration.from_json(self.entry)

    def _gate(self) -> None:
        if self.client is not None:
            assert is_open(self.entry, self.client.current_user, opted_out=self.opted_out)
        self.handed += 1

    def _may_see(self, user: User | None) -> None:
        assert user is not None
        assert not [key for key in user.attributes if is_hidden(self.entry, "ua", key)]
        assert not [kind for kind in user.identities if str(kind.number) in self.entry["hs"].get("uid", {})]

    @override
    def on_start(self, context: KitContext, user: User | None) -> None:
        self._may_see(user)
        assert context.configuration == KitConfiguration.from_json(self.entry)

    @override
    def log_event(self, event: Event) -> None:
        self._gate()
        name = f"{int(event.event_type)}{event.name}"
        assert not is_hidden(self.entry, "et", str(int(event.event_type)))
        assert not is_hidden(self.entry, "ec", name)
        assert not [key for key in event.attributes if is_hidden(self.entry, "ea", name + key)]
        assert rule_lets_through(self.entry, self.logged[-1])

    @override
    def log_screen(self, screen: ScreenView) -> None:
        self._gate()
        assert not is_hidden(self.entry, "svec", f"0{screen.name}")
        assert not [key for key in screen.attributes if is_hidden(self.entry, "svea", f"0{screen.name}{key}")]

    @override
    def log_commerce_event(self, event: CommerceEvent) -> None:
        self._gate()
        number = commerce_type(event)
        assert not is_hidden(self.entry, "et", str(number))
        assert rule_lets_through(self.entry, self.logged[-1])
        entities = self.entry["hs"].get("ent", {})
        assert not ("1" in entities and (event.products or any(shown.products for shown in event.impressions)))
        assert not ("2" in entities and event.promotions)
        inner = {"hs": self.entry["hs"].get("afa", {})}
        listed = [product for shown in event.impressions for product in shown.products]
        for kind, product in [*(("1", product) for product in event.products), *(("3", product) for product in listed)]:
            assert not [key for key in product.attributes or {} if is_hidden(inner, kind, key)]
            for label, field in PRODUCT_LABELS.items():
                assert not (getattr(product, field) and is_hidden(inner, kind, label))
        for promotion in event.promotions:
            for label, field in PROMOTION_LABELS.items():
                assert not (getattr(promotion, field) and is_hidden(inner, "2", label))
        order = event.transaction or TransactionAttributes()
        fields = {
            "Checkout Step": event.checkout_step, "Checkout Options": event.checkout_options,
            "Coupon Code": order.coupon_code, "Shipping Amount": order.shipping, "Tax Amount": order.tax,
            "Total Amount": order.revenue, "Transaction Id": order.id, "Affiliation": order.affiliation,
            **(event.attributes or {}),
        }  # fmt: skip
        assert not [
            label for label, value in fields.items() if value and is_hidden(self.entry, "cea", f"{number}{label}")
        ]

    def _about_attribute(self, user: User | None, key: str) -> None:
        self._gate()
        assert not is_hidden(self.entry, "ua", key)
        self._may_see(user)

    @override
    def on_user_attribute_set(self, user: User | None, key: str, value: Any) -> None:
        self._about_attribute(user, key)

    @override
    def on_user_tag_set(self, user: User | None, key: str) -> None:
        self._about_attribute(user, key)

    @override
    def on_user_attribute_removed(self, user: User | None, key: str, *, was_set: bool) -> None:
        self._about_attribute(user, key)

    @override
    def on_identity_completed(self, operation: Any, user: User, identities: Mapping[IdentityType, str | None]) -> None:
        self._gate()
        self._may_see(user)
        assert not [kind for kind in identities if str(kind.number) in self.entry["hs"].get("uid", {})]

    @override
    def on_consent_changed(self, user: User, old: ConsentState, new: ConsentState) -> None:
        self._gate()


def commerce_type(event: CommerceEvent) -> int:
    """The number of a commerce event's type."""
    if event.product_action is not None:
        return COMMERCE_TYPES[event.product_action]
    return 22 if event.promotion_action is None else 18


# -- calls ----------------------------------------------------------------------------------------------------------

ATTRIBUTES = st.dictionaries(st.sampled_from(KEYS), st.sampled_from([1, "x", True, 2.0, None]), max_size=3)
PRODUCTS = st.lists(
    st.builds(
        Product,
        st.just("Tea"),
        st.just("tea"),
        st.just(4.5),
        attributes=ATTRIBUTES,
        **{field: st.sampled_from([None, "v"]) for field in ("coupon_code", "variant", "category", "brand")},
        position=st.sampled_from([None, 3]),
    ),
    max_size=2,
)
ORDERS = st.builds(
    TransactionAttributes, st.just("t"), st.just("shop"), st.just("c"), st.just(9.0), st.just(1), st.just(2)
)
COMMERCE = st.one_of(
    st.builds(
        CommerceEvent,
        st.sampled_from(list(COMMERCE_TYPES)),
        PRODUCTS,
        ORDERS,
        checkout_step=st.just(2),
        checkout_options=st.just("card"),
        attributes=ATTRIBUTES,
        impressions=st.lists(st.builds(Impression, st.just("List"), PRODUCTS), max_size=1),
    ),
    st.builds(
        CommerceEvent,
        promotion_action=st.just(PromotionAction.VIEW),
        promotions=st.lists(
            st.builds(Promotion, st.just("p"), st.just("Sale"), st.just("c"), st.just("1")), max_size=2
        ),
        attributes=ATTRIBUTES,
    ),
    st.builds(
        CommerceEvent,
        impressions=st.lists(st.builds(Impression, st.just("List"), PRODUCTS), min_size=1, max_size=1),
        attributes=ATTRIBUTES,
    ),
)
CALLS = st.one_of(
    st.tuples(st.just("log_event"), st.sampled_from(NAMES), st.sampled_from(EVENT_TYPES), ATTRIBUTES),
    st.tuples(st.just("log_screen"), st.sampled_from(NAMES), ATTRIBUTES),
    st.tuples(st.just("log_commerce_event"), COMMERCE),
    st.tuples(st.just("set_user_attribute"), st.sampled_from(KEYS), st.sampled_from([1, None, ["a"]])),
    st.tuples(st.just("set_user_tag"), st.sampled_from(KEYS)),
    st.tuples(st.just("increment_user_attribute"), st.sampled_from(KEYS)),
    st.tuples(st.just("remove_user_attribute"), st.sampled_from(KEYS)),
    st.tuples(
        st.sampled_from(["identify", "login", "logout", "modify"]),
        st.dictionaries(st.sampled_from(IDENTITIES), st.text("ab", min_size=1, max_size=2), max_size=2),
    ),
    st.tuples(st.just("set_consent"), st.just("gdpr"), st.sampled_from(PURPOSES), st.booleans()),
    st.tuples(st.just("set_consent"), st.just("ccpa"), st.none(), st.booleans()),
    st.tuples(st.just("remove_consent")),
    st.tuples(st.just("set_opt_out"), st.booleans()),
    st.tuples(st.just("apply_configuration"), ENTRIES),
)


def run(guard: Guard, calls: Sequence[tuple[Any, ...]], on_error: Callable[[Any], object]) -> None:
    """Make the calls; the guard is told what is in force."""
    with MParticle([guard], storage=":memory:", on_error=on_error) as client:
        guard.client = client
        for name, *arguments in calls:
            if name == "apply_configuration":
                guard.entry = copy.deepcopy(arguments[0])
                client.apply_configuration([arguments[0]])
                continue
            if name == "set_opt_out":
                guard.opted_out = arguments[0]
            if name in ("log_event", "log_commerce_event"):
                guard.logged.append((arguments[-1] if name == "log_event" else arguments[0].attributes) or {})
            getattr(client, name)(*arguments)
        guard.client = None


@settings(deadline=None, max_examples=150)
@given(ENTRIES, st.lists(CALLS, max_size=12))
def test_nothing_forbidden_reaches_a_kit(entry: Json, calls: list[tuple[Any, ...]]) -> None:
    """Whatever is called, and however the configuration changes, the kit is handed nothing that it forbids."""
    problems: list[Any] = []
    run(Guard(entry), calls, problems.append)
    failed = [problem for problem in problems if problem.code == "kit_failed"]
    assert not failed, [problem.exception for problem in failed]


def test_the_guard_would_notice() -> None:
    """A call that the configuration in force forbids fails in the guard, and what is allowed is handed over."""
    problems: list[Any] = []
    guard = Guard({"id": 28, "hs": {}})
    calls: list[tuple[Any, ...]] = [("log_event", "Play", EventType.OTHER, {"a": 1})]
    run(guard, calls, problems.append)
    assert (problems, guard.handed) == ([], 1)
    with MParticle([guard], storage=":memory:", on_error=problems.append) as client:
        guard.client = client
        guard.entry = {"id": 28, "hs": {"ea": {str(java_hash("8Playa")): 0}}}  # the client has not been told
        client.log_event("Play", attributes={"a": 1})
        guard.client = None
    assert [problem.code for problem in problems] == ["kit_failed"]


# -- configurations that are malformed ------------------------------------------------------------------------------

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["lo", "hi", "i", "a", "v", "h", "c", "ec", "1", "-5"]), inner, max_size=2)
    ),
    max_leaves=5,
)
FUZZED = st.dictionaries(
    st.sampled_from(["id", "as", "hs", "bk", "avf", "crvf", "eau", "pr", "moduleId", "eventNameFilters"]),
    ANYTHING,
    max_size=3,
)


@settings(deadline=None, max_examples=60)
@given(ANYTHING | FUZZED)
def test_no_kit_is_ever_half_configured(fuzzed: Any) -> None:
    """A list with a malformed entry raises a ConfigurationError and changes no kit; else all of it is in force."""
    first, second = RecordingKit(name="First", kit_id=28), RecordingKit(name="Second", kit_id=29)
    good = {"id": 28, "hs": {"ec": {str(java_hash("8A")): 0}}}
    with MParticle([first, second], storage=":memory:") as client:
        try:
            expected = KitConfiguration.from_json(fuzzed) if isinstance(fuzzed, dict) else None
        except ConfigurationError:
            expected = None
        try:
            client.apply_configuration([good, fuzzed])
        except ConfigurationError:
            assert expected is None
            assert [route.configuration for route in client._kits._routes] == [KitConfiguration()] * 2
            assert "on_configuration_updated" not in first.names() + second.names()
            client.log_event("A")
            assert len(first.of("log_event")) == 1
            return
        assert expected is not None
        client.log_event("A")
        assert first.of("log_event") == []
        assert first.of("on_configuration_updated") == [(KitConfiguration.from_json(good),)]
