"""The README says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mparticle_kit_braze.braze_kit.settings import SETTING_NAMES, Settings

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")

NOT_SETTINGS = {"unknown", "ignored", "rest_endpoint"}
"""Attributes of ``Settings`` that are findings, not settings."""


def rows_of(heading: str) -> list[list[str]]:
    """The cells of the first table under a heading, without its two header lines."""
    section = README.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_setting_is_listed() -> None:
    """The settings table names every setting, and no other, by both its names."""
    documented = {
        name: set(re.findall(r"`(\w+)`", row[1]))
        for row in rows_of("Settings")
        for name in re.findall(r"`(\w+)`", row[0])
    }
    assert set(documented) == set(Settings.__dataclass_fields__) - NOT_SETTINGS
    for name, mparticle_name in SETTING_NAMES.items():
        assert mparticle_name in documented[name]


def test_links_lead_somewhere() -> None:
    """Every relative link of the README is a file of the repository."""
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("number", range(len(re.findall(r"```python\n", README))))
def test_python_blocks_compile(number: int) -> None:
    """Every Python block of the README is valid Python."""
    block = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[number]
    compile(block, f"README block {number}", "exec")


def test_readme_fits_in_one_reading() -> None:
    """The README has at most 300 lines."""
    assert len(README.splitlines()) <= 300
