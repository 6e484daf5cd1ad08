"""Builds wheel and sdist, looks into them, and installs each into an empty environment: ``python -m tests.packaging``.

Needs the package ``build`` and a package index.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "mparticle_kit_braze"
MOST_BYTES = 1_000_000
SOURCES = ("LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml", "tox.ini", "examples/quickstart.py")
TRY = (
    "import importlib.metadata, mparticle_kit_braze as m;"
    "assert m.__version__ == importlib.metadata.version('mparticle-kit-braze');"
    "[getattr(m, name) for name in m.__all__]"
)


def package_files() -> set[str]:
    """Every file that belongs into the wheel."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and not any(part.startswith((".", "__pycache__")) for part in path.relative_to(ROOT).parts)
    }


def check_wheel(wheel: Path) -> None:
    """Its files are the package's, no more and no less, with licence and entry points, and it is small."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    metadata = {name for name in names if ".dist-info/" in name}
    assert names - metadata == package_files(), (names - metadata) ^ package_files()
    assert "mparticle_kit_braze/py.typed" in names
    ends = {name.split(".dist-info/")[1] for name in metadata}
    assert {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"} <= ends, ends
    size = wheel.stat().st_size
    print(f"{wheel.name}: {size / 1000:.0f} kB")
    assert size < MOST_BYTES


def check_sdist(sdist: Path) -> None:
    """It has the package, its tests and examples, and nothing that was left lying about."""
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
    assert package_files() | set(SOURCES) <= names, (package_files() | set(SOURCES)) - names
    assert "tests/test_public_names.py" in names
    assert not [name for name in names if "__pycache__" in name or "_cache/" in name or name.startswith(".git/")]
    print(f"{sdist.name}: {sdist.stat().st_size / 1000:.0f} kB")


def check_installation(archive: Path, directory: Path) -> None:
    """Nothing but pip is there before; afterwards every public name loads and the quickstart runs."""
    venv.create(directory, with_pip=True)
    python = directory / ("Scripts" if os.name == "nt" else "bin") / "python"
    for arguments in (
        ("-m", "pip", "install", "--quiet", str(archive)),
        ("-m", "pip", "check"),
        ("-W", "error", "-c", TRY),
        ("-W", "error", str(ROOT / "examples" / "quickstart.py")),
    ):
        subprocess.run([python, "-I", *arguments], check=True, stdout=subprocess.DEVNULL, cwd=directory)
    print(f"{archive.name} installs on Python {sys.version.split()[0]}")


def main() -> None:
    """Build and check everything on this Python."""
    with tempfile.TemporaryDirectory() as temporary:
        built = Path(temporary, "dist")
        subprocess.run([sys.executable, "-m", "build", "--outdir", built, ROOT], check=True, stdout=subprocess.DEVNULL)
        (wheel,), (sdist,) = built.glob("*.whl"), built.glob("*.tar.gz")
        check_wheel(wheel)
        check_sdist(sdist)
        for archive in (wheel, sdist):
            check_installation(archive, Path(temporary, f"empty{archive.suffix}"))


if __name__ == "__main__":
    main()
