"""Without anybody asking, only full batches go before the interval: each request is precious."""

from __future__ import annotations

from collections.abc import Callable

from mparticle_kit_braze.delivery import Delivery, DeliveryOptions

from .server import Server
from .support import numbers, until
from .test_dispatcher import append

Make = Callable[..., Delivery]


def test_what_fills_no_batch_waits_for_the_interval(make: Make, server: Server) -> None:
    """Full batches leave at once; the rest joins what comes later, and a flush takes it along."""
    delivery = make(options=DeliveryOptions(max_batch_records=75, flush_interval=60))
    append(delivery, range(160))
    until(lambda: delivery.stats().sent == 150 and delivery.stats().queued == 10)
    append(delivery, range(160, 230))
    until(lambda: delivery.stats().sent == 225 and delivery.stats().queued == 5)
    assert delivery.flush(10).sent == 5
    assert numbers(server.accepted) == list(range(230))
    assert len(server.requests) == 4


def test_a_batch_of_bytes_is_full_when_the_queue_says_so(make: Make, server: Server) -> None:
    """Bytes are counted with what is queued already: two halves make one batch."""
    delivery = make(options=DeliveryOptions(max_batch_bytes=4000, flush_interval=60))
    size = 0
    number = 0
    while size < 4100:
        size += len(str(number)) + 8
        append(delivery, [number])
        number += 1
    until(lambda: delivery.stats().sent > 0)
    delivery.close(10)
    assert numbers(server.accepted) == list(range(number))
    assert len(server.requests) <= 2


def test_a_queue_smaller_than_a_batch_does_not_wait_for_one(make: Make, server: Server) -> None:
    """Nothing is dropped for want of a batch that could never become full."""
    delivery = make(options=DeliveryOptions(max_records=20, max_batch_records=1000, flush_interval=60))
    append(delivery, range(20))
    until(lambda: numbers(server.accepted) == list(range(20)))
    assert not delivery.stats().dropped
