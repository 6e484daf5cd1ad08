"""The kit framework: the contract of kits, their configuration, filters and rules, and the routing of calls."""

from __future__ import annotations

from .configuration import AttributeRule, ConsentRule, Filters, KitConfiguration
from .kit import Kit, KitContext
from .sessions import Session
from .statistics import ClientStats

__all__ = ["AttributeRule", "ClientStats", "ConsentRule", "Filters", "Kit", "KitConfiguration", "KitContext", "Session"]
