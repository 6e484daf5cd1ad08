"""Every vector of the copies beside this file, each as a test of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .runner import Runner, load

HERE = Path(__file__).resolve().parent
FILES = sorted(file.stem for file in HERE.glob("*.json"))
VECTORS = [
    pytest.param(vector, id=f"{name}-{vector['name']}") for name in FILES for vector in load(HERE / f"{name}.json")
]


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    with Runner() as shared:
        yield shared


@pytest.mark.parametrize("vector", VECTORS)
def test_vector(runner: Runner, vector: dict[str, Any]) -> None:
    """What the calls of the vector send is what the original sends."""
    mismatches = runner.run(vector)
    assert not mismatches, "\n".join(map(str, mismatches))


def test_kinds_that_cannot_be_replayed_do_not_match(runner: Runner) -> None:
    """A vector of a kind the runner does not know counts as differing, not as passed over."""
    (mismatch,) = runner.run({"name": "later", "kind": "unheard-of", "calls": [], "expect": {}})
    assert "unheard-of" in str(mismatch)
