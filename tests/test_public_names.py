"""``__all__`` of the package and its rooms."""

from __future__ import annotations

import importlib
import pkgutil
import types

import mparticle_kit_braze
from tests.public_api import SNAPSHOT, describe_all


def test_all_is_sorted_and_complete() -> None:
    """``__all__`` lists exactly the public names of the package, sorted."""
    public = {
        name
        for name in dir(mparticle_kit_braze)
        if not name.startswith("_")
        and not isinstance(getattr(mparticle_kit_braze, name), types.ModuleType)
        and name not in ("annotations", "Any", "TYPE_CHECKING")
    }
    assert set(mparticle_kit_braze.__all__) - {"__version__"} == public
    assert list(mparticle_kit_braze.__all__) == sorted(mparticle_kit_braze.__all__)


def test_every_listed_name_exists() -> None:
    """Every module's ``__all__`` names things that are there."""
    for info in pkgutil.walk_packages(mparticle_kit_braze.__path__, "mparticle_kit_braze."):
        if info.name.endswith("__main__"):
            continue
        module = importlib.import_module(info.name)
        missing = [name for name in getattr(module, "__all__", ()) if not hasattr(module, name)]
        assert not missing, f"{info.name}: {missing}"


def test_public_docstrings() -> None:
    """Every public class and function of the package says what it is."""
    silent = [
        name
        for name in mparticle_kit_braze.__all__
        if callable(getattr(mparticle_kit_braze, name))
        and not (getattr(mparticle_kit_braze, name).__doc__ or "").strip()
    ]
    assert not silent


def test_the_api_is_the_one_written_down() -> None:
    """No public name or signature changes unnoticed; ``python -m tests.public_api`` writes the new ones down."""
    assert describe_all().splitlines() == SNAPSHOT.read_text(encoding="utf-8").splitlines()
