"""Properties of batches: whatever is queued, every request obeys mParticle's public rules and loses nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mparticle_kit_braze import CommerceEvent, EventType, Impression, MParticle, MParticleUploadKit, Product
from mparticle_kit_braze.commerce import ProductAction, Promotion, PromotionAction
from mparticle_kit_braze.delivery import Record
from mparticle_kit_braze.sandbox import Sandbox
from mparticle_kit_braze.sandbox.mparticle.batch_checks import check_batches
from mparticle_kit_braze.upload_kit.batches import Envelope, batches_of, chunks, encode

ENVELOPE = Envelope("device", {"environment": "production", "sdk_version": "1"})


def record(number: int, user: str, session: str, size: int) -> Record:
    """A queued custom event."""
    content: dict[str, Any] = {
        "user": {"key": user, "mpid": 7, "identities": {"customer_id": user}},
        "event": {
            "event_type": "custom_event",
            "data": {
                "event_name": str(number),
                "custom_event_type": "other",
                "timestamp_unixtime_ms": number,
                "source_message_id": "00000000-0000-0000-0000-000000000000",
                "session_uuid": session * 8 + "-0000-0000-0000-000000000000",
                "session_start_unixtime_ms": 0,
                "custom_attributes": {
                    f"a{part}": "x" * min(4096, size - part * 4096) for part in range(-(-size // 4096))
                },
            },
        },
        "set": {f"k{number % 5}": number},
    }
    if not size:
        del content["event"]["data"]["custom_attributes"]
    return Record(number, "e", json.dumps(content, separators=(",", ":")).encode())


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from("12"), st.sampled_from([0, 0, 0, 100, 4000, 60_000, 110_000])),
        min_size=1,
        max_size=60,
    ),
    st.integers(1, 30),
)
def test_requests_obey_the_rules_and_keep_the_order(shapes: list[tuple[str, str, int]], repeated: int) -> None:
    """Limits, one user and session a batch, every record once and in order, the same ids for the same records."""
    waiting = [
        record(number, *shape)
        for number, shape in enumerate(shapes * repeated if max(s[2] for s in shapes) < 200 else shapes)
    ]
    sent: list[str] = []
    ids: set[str] = set()
    while waiting:
        batches, historical = batches_of(waiting, ENVELOPE)
        body = [batch.body(ENVELOPE) for batch in batches]
        raw = encode(body).encode()
        requested = json.loads(raw)
        check_batches(requested, raw)
        for batch, parsed in zip(batches, requested, strict=True):
            users = {event["data"]["session_uuid"][0] for event in parsed["events"]}
            assert len(users) == 1
            assert batch.records == len(parsed["events"])
            sent += [event["data"]["event_name"] for event in parsed["events"]]
            ids.add(parsed["source_request_id"])
        used = sum(batch.records for batch in batches)
        assert used >= 1
        assert not historical
        again = chunks(waiting, [batch.records for batch in batches], ENVELOPE)
        assert again is not None
        assert [batch.body(ENVELOPE) for batch in again] == body
        waiting = waiting[used:]
    assert sent == [str(number) for number in range(len(sent))]


def test_a_hundred_batches_at_most() -> None:
    """Users that alternate make a batch each; the hundred-and-first waits."""
    records = [record(number, "ab"[number % 2], "1", 0) for number in range(250)]
    batches, _ = batches_of(records, ENVELOPE)
    assert len(batches) == 100


def test_a_record_that_does_not_read_harms_no_other() -> None:
    """Damaged records are passed over; they count as sent, so that the queue goes on."""
    good = record(1, "a", "1", 0)
    for payload in (b"", b"{", b"5", b"{}", b'{"user":{}}', b'{"user":{},"event":{}}'):
        records = [good, Record(2, "e", payload), good._replace(id=3)]
        batches, _ = batches_of(records, ENVELOPE)
        assert [batch.records for batch in batches] == [3]
        assert len(batches[0].body(ENVELOPE)["events"]) == 2


def test_other_records_are_not_taken_for_the_same_batches() -> None:
    """Remembered batches apply only to records of one user and session each."""
    records = [record(0, "a", "1", 0), record(1, "b", "1", 0), record(2, "b", "1", 0)]
    assert chunks(records, [1, 2], ENVELOPE) is not None
    for counts in ([2, 1], [3], [], [1, 5], [0, 3], [-1, 4]):
        assert chunks(records, counts, ENVELOPE) is None


TEXTS = st.text(max_size=20)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)
PRODUCTS = st.builds(
    Product,
    st.text(min_size=1, max_size=10),
    st.text(min_size=1, max_size=10),
    st.floats() | st.decimals() | st.integers(),
    st.integers(0, 2**70),
    attributes=st.none() | st.dictionaries(TEXTS, VALUES, max_size=3),
)
CALLS = st.lists(
    st.one_of(
        st.tuples(
            st.just("log_event"),
            st.text(min_size=1, max_size=300),
            st.sampled_from(EventType),
            st.dictionaries(TEXTS, VALUES, max_size=5),
        ),
        st.tuples(st.just("log_screen"), st.text(min_size=1, max_size=300), st.dictionaries(TEXTS, VALUES, max_size=3)),
        st.tuples(st.just("set_user_attribute"), st.text(min_size=1, max_size=20), VALUES),
        st.tuples(st.just("set_user_tag"), st.sampled_from(["a", "$B"])),
        st.tuples(st.just("remove_user_attribute"), st.sampled_from(["a", "$B"])),
        st.tuples(st.just("increment_user_attribute"), st.sampled_from(["a", "n"]), st.integers()),
        st.tuples(st.just("login"), st.dictionaries(st.sampled_from(["customer_id", "email", "other9"]), TEXTS)),
        st.tuples(st.just("modify"), st.dictionaries(st.sampled_from(["customer_id", "alias"]), st.none() | TEXTS)),
        st.tuples(st.just("set_consent"), st.just("gdpr"), st.sampled_from(["a", " B "]), st.booleans()),
        st.tuples(st.just("set_push_token"), st.text(min_size=1, max_size=9)),
        st.tuples(st.sampled_from(["enter_background", "enter_foreground", "logout"])),
        st.tuples(
            st.just("log_commerce_event"),
            st.builds(
                CommerceEvent,
                st.sampled_from(ProductAction),
                st.lists(PRODUCTS, max_size=2),
                currency=st.none() | TEXTS,
                promotion_action=st.none() | st.sampled_from(PromotionAction),
                promotions=st.lists(st.builds(Promotion, st.none() | TEXTS), max_size=2),
                impressions=st.lists(
                    st.builds(Impression, st.text(min_size=1), st.lists(PRODUCTS, max_size=1)), max_size=1
                ),
            ),
        ),
    ),
    max_size=12,
)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """One for all examples."""
    with Sandbox() as started:
        yield started


@settings(deadline=None, max_examples=40)
@given(calls=CALLS)
def test_any_calls_make_valid_requests(sandbox: Sandbox, calls: list[tuple[Any, ...]]) -> None:
    """The strict sandbox finds nothing wrong with what any calls become, and nothing stays behind."""
    sandbox.reset()
    kit = MParticleUploadKit("key", "secret", pod=sandbox.url)
    with MParticle([kit], storage=":memory:") as client:
        for name, *arguments in calls:
            getattr(client, name)(*arguments)
        assert client.flush(10).complete
        assert kit.delivery.dead_letters() == []
    assert sandbox.uploads.problems == []
    events = [call for call in calls if call[0] == "log_event"]
    assert [event["custom_event_type"] for event in sandbox.uploads.of("custom_event")] == [
        event_type.name.lower() for _, _, event_type, _ in events
    ]
