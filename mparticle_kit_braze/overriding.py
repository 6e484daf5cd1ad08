"""``override`` for type checkers; at run time a mark that does nothing, since the package that has it loads slowly."""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["override"]

if TYPE_CHECKING:
    from typing_extensions import override
else:

    def override(method):  # noqa: ANN001, ANN201  # typed above
        """Mark a method as one that overrides another."""
        return method
