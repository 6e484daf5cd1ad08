"""The rooms of the package and the one direction in which they may import."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import run_python

PACKAGE = Path(__file__).resolve().parent.parent / "mparticle_kit_braze"

GROUND = {
    "_version",
    "clock",
    "commerce",
    "consent",
    "diagnostics",
    "errors",
    "events",
    "forks",
    "identity",
    "json_text",
    "key_values",
    "locks",
    "overriding",
    "storage",
    "urls",
    "users",
    "values",
}
"""What every room may stand on."""

PLAIN_GROUND = {
    "_version",
    "clock",
    "diagnostics",
    "errors",
    "forks",
    "json_text",
    "key_values",
    "locks",
    "overriding",
    "storage",
}
"""The part of the ground without a word of mParticle in it."""

MAY_IMPORT: dict[str, set[str]] = {
    # __init__: the public names
    "": GROUND | {"client", "discovery", "idsync", "kits", "upload_kit", "braze_kit", "braze", "delivery"},
    "__main__": PLAIN_GROUND | {"commands"},  # the command line; names the other modules as texts
    # braze_kit: only MParticle.from_env, at the call
    # inspection: only MParticle.inspect, at the call
    "client": GROUND | {"calls", "discovery", "kits", "braze_kit", "delivery", "inspection"},
    "inspection": GROUND | {"kits", "braze_kit", "braze"},
    "calls": GROUND | {"kits"},  # the facade's methods by subject
    "discovery": GROUND | {"kits", "braze_kit"},  # braze_kit: only for a configuration that asks for it
    "kits": GROUND | {"delivery"},
    "upload_kit": GROUND | {"kits", "delivery"},
    "idsync": GROUND | {"delivery"},
    "braze_kit": GROUND | {"kits", "braze", "delivery"},
    "braze": PLAIN_GROUND | {"delivery"},
    "delivery": PLAIN_GROUND,
    "server": GROUND | {"kits", "delivery"},
    # commands: the top side wing; nobody imports it but __main__ (and the inspector, to explain a call)
    "commands": GROUND | {"client", "kits", "braze_kit", "braze", "delivery", "server", "sandbox"},
    "sandbox": {"_version"},
    "integrations": GROUND | {"client", "kits"},
    "pytest_plugin": {"client", "kits", "braze_kit", "sandbox"},  # loaded when a test asks for a fixture
    **dict.fromkeys(GROUND, GROUND),
}


def room(path: Path) -> str:
    """The room a file belongs to: its directory in the package, or the module itself at the top."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return "" if parts == ("__init__",) else parts[0]


def imported_rooms(path: Path) -> Iterator[tuple[int, str]]:
    """Every room of the package that a file imports, with the line."""
    package = ("mparticle_kit_braze", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "mparticle_kit_braze" and len(parts) > 1:
                yield node.lineno, parts[1]


def test_imports_run_one_way() -> None:
    """Client -> kits -> braze_kit -> braze -> delivery, all on the ground, and never back up."""
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        here = room(path)
        for line, there in imported_rooms(path):
            if there != here and there not in MAY_IMPORT[here]:
                wrong.append(f"{path.relative_to(PACKAGE)}:{line} imports {there}")
    assert not wrong


def test_every_room_is_known() -> None:
    """A new module or directory gets a place in the table before it gets code."""
    rooms = {room(path) for path in PACKAGE.rglob("*.py")}
    assert rooms <= set(MAY_IMPORT)


def test_the_readme_draws_the_rooms_as_they_are() -> None:
    """The picture has every room; nothing imports what stands above it, but for the interface of kits, or beside."""
    picture = (PACKAGE.parent / "README.md").read_text(encoding="utf-8").split("```text\n")[1].split("```")[0]
    lines = [line.strip().split("  ")[0].split(", ") for line in picture.splitlines()]
    height = {name: number for number, names in enumerate(lines) for name in names}
    assert set(height) == set(MAY_IMPORT) - GROUND - {"", "__main__"}
    for name in set(height) - set(lines[-1]):
        above = {other for other in MAY_IMPORT[name] & set(height) - {"kits"} if height[other] < height[name]}
        beside = MAY_IMPORT[name] & set(lines[-1]) - ({"inspection"} if name == "client" else set())
        assert not above | beside, name


@pytest.mark.parametrize("module", ["requests", "urllib3", "asyncio", "http.server", "mparticle_kit_braze.sandbox"])
def test_import_is_light(module: str) -> None:
    """Importing the package loads neither the HTTP stack nor a side wing."""
    result = run_python(f"import sys, mparticle_kit_braze; sys.exit({module!r} in sys.modules)")
    assert result.returncode == 0, result.stderr


def test_import_loads_few_modules() -> None:
    """Fewer than 60 modules, ours and others, come with the package beyond the interpreter's own start."""
    code = """
        import sys
        before = set(sys.modules)
        import mparticle_kit_braze
        loaded = set(sys.modules) - before
        standard = {name for name in loaded if name.split('.')[0] in sys.stdlib_module_names}
        print(len(loaded - standard))
    """
    result = run_python(code)
    assert int(result.stdout) < 60, result.stdout


def test_python_floor_is_what_we_run_on() -> None:
    """The package says 3.10 and later; a test run below that would prove nothing."""
    assert sys.version_info >= (3, 10)
