"""Queue, batch, flush: carries opaque records to a destination, durably and in order."""

from __future__ import annotations

from .delivery import Delivery
from .destination import Backoff, Destination, Exchange, Outcome, Record, Request, Response, Verdict
from .options import DeadLetter, DeliveryOptions, DeliveryReport, DeliveryStats, FlushResult
from .policy import judge

__all__ = [
    "Backoff",
    "DeadLetter",
    "Delivery",
    "DeliveryOptions",
    "DeliveryReport",
    "DeliveryStats",
    "Destination",
    "Exchange",
    "FlushResult",
    "Outcome",
    "Record",
    "Request",
    "Response",
    "Verdict",
    "judge",
]
