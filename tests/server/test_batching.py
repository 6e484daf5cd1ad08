"""How objects are put into requests."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mparticle_kit_braze.server.batching import BatchLimits, Outgoing, arrange, leading
from mparticle_kit_braze.server.validation import ArrayName

Rule = Literal["combined", "per_array"]
ENTRIES = st.lists(
    st.tuples(st.sampled_from(["attributes", "events", "purchases"]), st.sampled_from("abcd")), max_size=60
)


def entries(listed: list[tuple[ArrayName, str]]) -> list[Outgoing]:
    """Objects of one call, attributes first, then events, then purchases."""
    ordered = sorted(listed, key=lambda entry: entry[0])
    return [Outgoing(array, {"external_id": user, "n": n}, b"x" * 10) for n, (array, user) in enumerate(ordered)]


def requests(objects: Any, limits: BatchLimits) -> list[list[Outgoing]]:
    """The requests that arranged objects are cut into."""
    left = list(arrange(objects, limits))
    cut = []
    while left:
        used = leading([(entry.array, len(entry.payload)) for entry in left], limits)
        cut.append(left[:used])
        left = left[used:]
    return cut


@pytest.mark.parametrize("rule", ["combined", "per_array"])
@given(listed=ENTRIES)
def test_nothing_is_lost_and_limits_hold(rule: Rule, listed: list[tuple[ArrayName, str]]) -> None:
    """Every object is in exactly one request, none is over the limit, and each user's objects keep their order."""
    limits = BatchLimits(rule, objects=5)
    objects = entries(listed)
    cut = requests(objects, limits)
    assert sorted(entry.item["n"] for request in cut for entry in request) == list(range(len(objects)))
    for request in cut:
        sizes = Counter(entry.array for entry in request)
        assert (sum(sizes.values()) if rule == "combined" else max(sizes.values())) <= 5
    place = {entry.item["n"]: number for number, request in enumerate(cut) for entry in request}
    for user in "abcd":
        places = [place[entry.item["n"]] for entry in objects if entry.item["external_id"] == user]
        assert places == sorted(places)


def test_per_array_fills_all_three() -> None:
    """Objects of different users go out three arrays at a time."""
    kinds: list[ArrayName] = ["attributes", "events", "purchases"]
    objects = [Outgoing(array, {"external_id": f"{array}{n}", "n": n}, b"{}") for array in kinds for n in range(100)]
    sizes = [Counter(entry.array for entry in request) for request in requests(objects, BatchLimits("per_array"))]
    assert sizes == [dict.fromkeys(kinds, 75), dict.fromkeys(kinds, 25)]


def test_body_size_ends_a_request() -> None:
    """A request stays below the body limit; an object that alone is over it still goes, alone."""
    limits = BatchLimits(body_bytes=1000)
    assert leading([("events", 400)] * 5, limits) == 2
    assert leading([("events", 5000), ("events", 10)], limits) == 1
