"""What a client tells about itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ..delivery import DeliveryStats

__all__ = ["ClientStats", "PointReading"]


class PointReading(Protocol):
    """What a destination that bills by data points has cost, by kind, and what was saved."""

    @property
    def since_start(self) -> Mapping[str, int]:
        """Points by kind since the start."""

    @property
    def today(self) -> Mapping[str, int]:
        """The same for the current day, UTC."""

    @property
    def saved(self) -> int:
        """Points not spent since the start, because a value was unchanged."""

    @property
    def saved_today(self) -> int:
        """The same for the current day."""


@dataclass(frozen=True, slots=True)
class ClientStats:
    """What a client has done and met since its start.

    Attributes:
        kits: Delivery figures by kit, of the kits that deliver.
        gates: By kit ``active``, ``failed``, or why it gets no calls (``consent``, ``bracket``, ``opted_out``, ...).
        problems: How often each kind of problem was reported.
        data_points: By kit, of the kits whose destination bills by data points.
    """

    kits: Mapping[str, DeliveryStats]
    gates: Mapping[str, str]
    problems: Mapping[str, int]
    data_points: Mapping[str, PointReading] = field(default_factory=dict)

    @property
    def queued(self) -> int:
        """Records that wait to be sent, over all kits."""
        return sum(stats.queued for stats in self.kits.values())

    @property
    def sent(self) -> int:
        """Records that were accepted, over all kits."""
        return sum(stats.sent for stats in self.kits.values())

    @property
    def dropped(self) -> int:
        """Records that were given up, over all kits and reasons."""
        return sum(sum(stats.dropped.values()) for stats in self.kits.values())

    @property
    def dead(self) -> int:
        """Records set aside as dead letters, over all kits."""
        return sum(stats.dead for stats in self.kits.values())
