"""The inspector of the sandbox: a page that shows live what arrives, who sent it and which call made it.

Its data is personal and kept in memory only; the page is served to this machine only, unless the sandbox is told to
listen elsewhere.
"""

from __future__ import annotations

from .inspector import Inspector
from .web import InspectorPages

__all__ = ["Inspector", "InspectorPages"]
