"""Several records taken in at once: one write, and all that holds for single ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mparticle_kit_braze.delivery import Delivery, DeliveryOptions

from .server import Reply, Server
from .support import Problems, numbers, payloads, until

Make = Callable[..., Delivery]

MEMORY = ":memory:"


def group(values: range) -> list[tuple[str, bytes]]:
    """Records for ``append_all``."""
    return [("e", payload) for payload in payloads(values)]


@pytest.mark.parametrize("location", [None, MEMORY])
def test_groups_and_single_records_keep_their_order(make: Make, server: Server, location: str | None) -> None:
    """They arrive in the order of the calls, once each, from a file or from memory; an empty group is nothing."""
    delivery = make(location, options=DeliveryOptions(max_batch_records=75, flush_interval=60))
    for start in range(0, 300, 30):
        assert delivery.append_all(group(range(start, start + 29))) == []
        assert delivery.append("e", payloads([start + 29])[0])
        assert delivery.append_all([]) == []
    assert delivery.flush(10).complete
    assert numbers(server.accepted) == list(range(300))
    assert len(server.requests) == 4


def test_a_group_is_one_write(make: Make, server: Server) -> None:
    """However many records there are, the journal is written once: all of them are safe, or none."""
    server.decide = lambda _items: Reply(503)
    delivery = make()
    delivery.append("e", payloads([0])[0])  # opens the journal
    journal = delivery._intake.journal
    assert journal is not None
    written: list[bytes] = []
    write = journal.write

    def count(data: bytes) -> int:
        written.append(data)
        return write(data)

    journal.write = delivery._intake._write = delivery._intake._sink = count
    assert delivery.append_all(group(range(1, 41))) == []
    assert len(written) == 1
    assert delivery.stats().queued == 41


@pytest.mark.parametrize("location", [None, MEMORY])
def test_a_full_queue_refuses_the_rest_of_a_group(
    make: Make, server: Server, problems: Problems, location: str | None
) -> None:
    """Exactly as many are accepted as there is room for; the positions of the others are said, and they are counted."""
    delivery = make(location, options=DeliveryOptions(max_records=50, overflow="drop_newest"))
    delivery.pause()
    assert delivery.append_all(group(range(40))) == []
    assert delivery.append_all(group(range(40, 60))) == list(range(10, 20))
    assert delivery.append_all(group(range(60, 63))) == [0, 1, 2]
    assert delivery.stats().dropped == {"queue_full": 13}
    assert set(problems.codes()) == {"record_dropped"}
    delivery.unpause()
    assert delivery.flush(5).sent == 50
    assert numbers(server.accepted) == list(range(50))


def test_a_group_after_close_is_refused(make: Make) -> None:
    """Nothing of it is accepted, and all of it is counted."""
    delivery = make()
    delivery.close(5)
    assert delivery.append_all(group(range(3))) == [0, 1, 2]
    assert delivery.stats().dropped == {"closed": 3}


def test_groups_fill_batches(make: Make, server: Server) -> None:
    """A group that fills a batch makes it leave before the interval, as single records do."""
    delivery = make(options=DeliveryOptions(max_batch_records=75, flush_interval=60))
    for start in range(0, 100, 20):
        delivery.append_all(group(range(start, start + 20)))
    until(lambda: delivery.stats().sent == 75)
    assert numbers(server.accepted) == list(range(75))
