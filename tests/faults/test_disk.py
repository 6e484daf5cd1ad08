"""Disks that are full, gone, not ours, locked or damaged; and files of other versions."""

from __future__ import annotations

import ast
import contextlib
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mparticle_kit_braze import MParticle
from mparticle_kit_braze.delivery.schema import MIGRATIONS, connect
from mparticle_kit_braze.sandbox import Reply, Sandbox

from .support import Problems, doubled, ids, log, mode_of, prime, run_worker

Make = Callable[..., MParticle]


# -- full -----------------------------------------------------------------------------------------------------------
@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 192 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=192k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("a file system can be mounted by root only; the limit on file sizes is tested in any case")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_disk_that_fills_up_and_empties(make: Make, sandbox: Sandbox, problems: Problems, small_disk: Path) -> None:
    """Everything accepted is delivered once, from memory what the disk does not take, and said."""
    filler = small_disk / "somebody-else"
    client = make(storage=small_disk / "state")
    prime(client, sandbox)
    log(client, range(5))
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            pass
    log(client, range(5, 3000))
    client.set_user_attribute("plan", "gold")
    assert client.flush(timeout=30).complete
    assert ids(sandbox) == list(range(3000))
    assert problems.codes.count("journal_unavailable") == 1
    filler.unlink()
    log(client, [3000])
    assert client.flush(timeout=20).complete
    log(client, [3001])
    assert list((small_disk / "state" / "Braze").glob("*.journal"))
    assert client.flush(timeout=20).complete
    assert ids(sandbox) == list(range(3002))
    assert {"record_dropped", "kit_failed"}.isdisjoint(problems.codes)


def test_a_full_disk_at_the_start(make: Make, sandbox: Sandbox, problems: Problems, small_disk: Path) -> None:
    """A client can be made and used on a disk that takes nothing at all."""
    with (small_disk / "somebody-else").open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            pass
    client = make(storage=small_disk / "state")
    client.identify(customer_id="ada")
    log(client, range(10))
    assert client.flush(timeout=20).complete
    assert ids(sandbox) == list(range(10))
    assert "kit_failed" not in problems.codes
    assert problems.codes


@pytest.mark.parametrize("limit", [0, 5000, 40_000])
def test_files_that_may_not_grow(make: Make, sandbox: Sandbox, state: Path, limit: int) -> None:
    """With writes cut short or refused at any point everything accepted is delivered, and it is said.

    What was on the disk as it failed comes last, or with the next start: its removal could not be written down.
    """
    complete, problems = ast.literal_eval(run_worker("full_disk", sandbox, state, limit))
    arrived = ids(sandbox)
    assert sorted(arrived) == list(range(300)) if complete else not doubled(arrived)
    assert make().flush(timeout=20).complete
    assert set(ids(sandbox)) == set(range(300))
    assert {"kit_failed", "record_dropped", "dispatcher_failed"}.isdisjoint(problems)
    assert problems


# -- gone -----------------------------------------------------------------------------------------------------------
def test_a_directory_that_vanishes(make: Make, sandbox: Sandbox, problems: Problems, state: Path) -> None:
    """Nothing raises and nothing is lost while the process lives."""
    client = make()
    prime(client, sandbox)
    log(client, range(3))
    state.rename(state.with_name("gone"))
    shutil.rmtree(state.with_name("gone"), ignore_errors=True)
    log(client, range(3, 6))
    client.set_user_attribute("plan", "gold")
    client.identify(customer_id="ada")
    log(client, range(6, 9))
    assert client.flush(timeout=20).complete
    log(client, range(9, 12))
    assert client.flush(timeout=20).complete
    assert ids(sandbox) == list(range(12))
    assert "kit_failed" not in problems.codes
    assert {"journal_unavailable", "outbox_unavailable"} & set(problems.codes)


def a_file(place: Path) -> None:
    """A file where the directory should be."""
    place.write_text("not a directory")


def below_a_file(place: Path) -> None:
    """A file where a parent of the directory should be."""
    place.parent.mkdir()
    place.parent.rmdir()
    place.parent.write_text("not a directory")


def a_dangling_link(place: Path) -> None:
    """A link to nowhere."""
    place.symlink_to(place.parent / "nowhere" / "at" / "all")


@pytest.mark.parametrize("obstacle", [a_file, a_dangling_link, below_a_file])
def test_a_directory_that_cannot_be_made(
    make: Make, sandbox: Sandbox, problems: Problems, tmp_path: Path, obstacle: Callable[[Path], None]
) -> None:
    """The client works from memory, and says so once."""
    place = tmp_path / "parent" / "state" if obstacle is below_a_file else tmp_path / "state"
    obstacle(place)
    client = make(storage=place)
    client.identify(customer_id="ada")
    log(client, range(5))
    assert client.flush(timeout=10).complete
    assert ids(sandbox) == list(range(5))
    assert problems.codes == ["storage_unavailable"]


@pytest.fixture
def frozen(state: Path) -> Iterator[Callable[[], None]]:
    """Makes the storage directory read-only, for root as well, until the end of the test."""
    frozen = []

    def freeze() -> None:
        state.mkdir(exist_ok=True)
        commands = [["mount", "--bind", str(state), str(state)], ["mount", "-o", "remount,ro,bind", str(state)]]
        for command in commands:
            if subprocess.run(command, capture_output=True, check=False).returncode:
                break
            frozen.append(command)
        if len(frozen) == len(commands):
            return
        if os.geteuid() == 0:
            pytest.skip("root writes everywhere, and may not mount anything here")
        for path in (*state.rglob("*"), state):
            path.chmod(0o500 if path.is_dir() else 0o400)

    yield freeze
    if frozen:
        subprocess.run(["umount", "-l", str(state)], check=True)
    for path in (state, *state.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)


def test_a_read_only_directory_from_the_start(
    make: Make, sandbox: Sandbox, problems: Problems, frozen: Callable[[], None]
) -> None:
    """The client works from memory, and says so once."""
    frozen()
    client = make()
    client.identify(customer_id="ada")
    log(client, range(5))
    assert client.flush(timeout=10).complete
    assert ids(sandbox) == list(range(5))
    assert problems.codes == ["storage_unavailable"]


def test_a_directory_becomes_read_only_between_starts(
    make: Make, sandbox: Sandbox, problems: Problems, frozen: Callable[[], None]
) -> None:
    """What an earlier process left on a disk that can only be read stays there; new events are delivered."""
    sandbox.fault = lambda _request: Reply(status=500)
    client = make()
    log(client, range(5))
    assert not client.close(timeout=3).complete
    frozen()
    sandbox.fault = None
    client = make()
    client.set_user_attribute("plan", "gold")
    log(client, range(5, 8))
    assert client.flush(timeout=10).complete
    assert set(range(5, 8)) <= set(ids(sandbox))
    assert not doubled(ids(sandbox))
    assert {"kit_failed", "dispatcher_failed"}.isdisjoint(problems.codes)
    assert problems.codes


# -- locked ---------------------------------------------------------------------------------------------------------
def test_databases_locked_for_long(
    make: Make, sandbox: Sandbox, problems: Problems, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another program holds every database no call waits for it; afterwards all is sent once."""
    monkeypatch.setattr("mparticle_kit_braze.delivery.schema.BUSY_TIMEOUT", 0.1)  # 2 s, on its own thread
    client = make(flush_interval=0.05)
    prime(client, sandbox)
    intruders = []
    for path in state.rglob("*.db"):
        intruder = sqlite3.connect(path, isolation_level=None)
        intruder.execute("BEGIN IMMEDIATE")
        intruders.append(intruder)
    assert len(intruders) >= 3
    slowest = 0.0
    for number in range(30):
        begun = time.monotonic()
        log(client, [number])
        client.set_user_attribute("n", number)
        slowest = max(slowest, time.monotonic() - begun)
    begun = time.monotonic()
    client.identify(customer_id="ada")
    log(client, [30])
    assert time.monotonic() - begun < 2
    assert slowest < 1
    begun = time.monotonic()
    assert not client.flush(timeout=0.5).complete
    assert time.monotonic() - begun < 3
    for intruder in intruders:
        intruder.execute("ROLLBACK")
        intruder.close()
    assert sandbox.wait_for(lambda: ids(sandbox) == list(range(31)), 20)
    assert {"kit_failed", "dispatcher_failed", "record_dropped"}.isdisjoint(problems.codes)
    assert "outbox_locked" in problems.codes
    client.close(timeout=10)
    again = make()
    assert again.current_user is not None
    assert [*again.current_user.identities.values()] == ["ada"]


# -- damaged --------------------------------------------------------------------------------------------------------
def left_behind(make: Make, sandbox: Sandbox, state: Path, place: Path, *, killed: bool) -> list[tuple[Path, int]]:
    """A storage directory with 300 unsent events at ``place``, as a process leaves it that was killed, or that ended.

    Gives the places to damage: of a killed process's files the logs (``-wal``), else the databases, page by page.
    """
    sandbox.fault = lambda _request: Reply(status=500)
    client = make()
    client.identify(customer_id="ada")
    client.set_user_attribute("plan", "gold")
    log(client, range(300))
    client.flush(timeout=3)
    if killed:
        keeper = sqlite3.connect(state / "Braze" / "outbox.db")  # keeps its log from being folded in
        keeper.execute("SELECT count(*) FROM records").fetchone()
        client.flush(timeout=3)
        shutil.copytree(state, place)
        keeper.close()
    client.close(timeout=3)
    if not killed:
        shutil.copytree(state, place)
    sandbox.reset()
    found = sorted(place.rglob("*.db-wal" if killed else "*.db"))
    return [(path.relative_to(place), start) for path in found for start in range(0, path.stat().st_size, 4096)]


@pytest.mark.parametrize("killed", [False, True])
def test_damage_at_every_page(make: Make, sandbox: Sandbox, state: Path, tmp_path: Path, killed: bool) -> None:
    """Bytes flipped on any one page of any file: nothing raises, new events arrive, old ones arrive or are set aside.

    A log ends for SQLite where its checksums cease to hold, as after a power cut; that is not damage to it.
    """
    targets = left_behind(make, sandbox, state, tmp_path / "left", killed=killed)
    assert len(targets) > 10
    set_aside = whole = 0
    for number, (name, start) in enumerate(targets):
        place = tmp_path / f"damaged-{number}"
        shutil.copytree(tmp_path / "left", place)
        damage(place / name, start, number)
        problems = Problems()
        sandbox.reset()
        client = make(storage=place, on_error=problems)
        client.set_user_attribute("plan", number)
        log(client, [1000, 1001])
        result = client.flush(timeout=20)
        client.close(timeout=1)
        arrived = ids(sandbox)
        rescued = list(place.rglob("*.damaged-*"))
        where = (str(name), start, problems.codes, result, len(arrived), rescued)
        assert result.complete, where
        assert [number for number in arrived if number >= 1000] == [1000, 1001], where
        assert not doubled(arrived), where
        assert {"kit_failed", "dispatcher_failed", "destination_failed"}.isdisjoint(problems.codes), where
        assert set(arrived) <= {*range(300), 1000, 1001}, where
        assert len(arrived) == 302 or rescued or killed, where
        set_aside += bool(rescued)
        whole += len(arrived) == 302
        shutil.rmtree(place)
    assert whole
    assert killed or set_aside


def damage(path: Path, start: int, seed: int) -> None:
    """Flip bytes at the head and in the middle of a page."""
    content = bytearray(path.read_bytes())
    for position in (
        *range(start, start + 8),
        *range(start + 100 + seed % 7, start + 160),
        *range(start + 2000, start + 2064),
    ):
        if position < len(content):
            content[position] ^= 0xA5
    path.write_bytes(content)


@pytest.mark.parametrize("content", [b"", b"x", b"this was a database once" * 1000, bytes(8192)])
def test_a_file_that_is_no_database(
    make: Make, sandbox: Sandbox, problems: Problems, state: Path, content: bytes
) -> None:
    """Whatever stands in place of the stored files, the client works, and keeps what it found for rescue."""
    client = make()
    prime(client, sandbox)
    client.close()
    found = list(state.rglob("*.db"))
    for path in found:
        path.write_bytes(content)
    client = make()
    client.identify(customer_id="ada")
    log(client, range(3))
    assert client.flush(timeout=10).complete
    assert ids(sandbox) == [0, 1, 2]
    assert "kit_failed" not in problems.codes
    if len(content) > 1000:
        assert {path.read_bytes() for path in state.rglob("*.damaged-1")} == {content}


def test_damage_while_running(make: Make, sandbox: Sandbox, problems: Problems, state: Path) -> None:
    """Files overwritten under a running client cost no event, raise nothing, and are set aside."""
    client = make()
    prime(client, sandbox)
    for round_ in range(3):
        for path in state.rglob("*.db"):
            path.write_bytes(os.urandom(12_000))
        log(client, range(round_ * 10, round_ * 10 + 10))
        client.set_user_attribute("round", round_)
        client.identify(customer_id=f"user-{round_}")
        assert client.flush(timeout=20).complete
    assert ids(sandbox) == list(range(30))
    assert {"kit_failed", "dispatcher_failed"}.isdisjoint(problems.codes)
    assert list(state.rglob("*.damaged-*"))


# -- other versions -------------------------------------------------------------------------------------------------
def test_a_file_of_a_later_version(make: Make, sandbox: Sandbox, problems: Problems, queue: Path) -> None:
    """After a downgrade the newer file is set aside untouched, said once, and a fresh one begun."""
    queue.mkdir(parents=True)
    connection = sqlite3.connect(queue / "outbox.db")
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.execute("CREATE TABLE records (id INTEGER PRIMARY KEY, of_the_future TEXT)")
    connection.execute("INSERT INTO records VALUES (1, 'precious')")
    connection.commit()
    connection.close()
    content = (queue / "outbox.db").read_bytes()
    client = make()
    log(client, range(3))
    assert client.flush(timeout=10).complete
    assert ids(sandbox) == [0, 1, 2]
    assert (queue / "outbox.db.newer-1").read_bytes() == content
    assert problems.codes == ["outbox_newer"]


def test_a_file_of_an_earlier_version(
    make: Make, sandbox: Sandbox, problems: Problems, queue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an older version queued is delivered by a newer one, whose migration takes the file along."""
    sandbox.fault = lambda _request: Reply(status=500)
    old = make()
    log(old, range(5))
    assert not old.close(timeout=3).complete
    sandbox.fault = None
    step = ("CREATE TABLE of_the_future (a)", "CREATE INDEX by_time ON records (time)")
    monkeypatch.setattr("mparticle_kit_braze.delivery.schema.MIGRATIONS", (*MIGRATIONS, step))
    new = make()
    log(new, range(5, 8))
    assert new.flush(timeout=10).complete
    assert ids(sandbox) == list(range(8))
    connection = sqlite3.connect(queue / "outbox.db")
    assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 1,)
    connection.close()
    assert set(problems.codes) == {"delivery_failed"}


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration is one transaction: cut short, the file is what it was."""
    path = tmp_path / "outbox.db"
    connect(path).close()
    before = schema_of(path)
    step = ("CREATE TABLE of_the_future (a)", "INSERT INTO no_such_table VALUES (1)")
    with monkeypatch.context() as patch:
        patch.setattr("mparticle_kit_braze.delivery.schema.MIGRATIONS", (*MIGRATIONS, step))
        with pytest.raises(sqlite3.OperationalError):
            connect(path)
    assert schema_of(path) == before
    connect(path).close()


def schema_of(path: Path) -> list[object]:
    """All that SQLite knows of a file's schema."""
    connection = sqlite3.connect(path)
    try:
        return [*connection.execute("PRAGMA user_version"), *connection.execute("SELECT sql FROM sqlite_master")]
    finally:
        connection.close()


# -- for our eyes only ----------------------------------------------------------------------------------------------
def test_files_are_for_the_user_alone(make: Make, sandbox: Sandbox, state: Path) -> None:
    """Directories are 0700 and files 0600, whatever the umask says, from the moment they exist."""
    previous = os.umask(0)
    try:
        client = make()
        client.identify(customer_id="ada")
        client.set_user_attribute("plan", "gold")
        log(client, range(5))
        assert client.flush(timeout=10).complete
        log(client, range(5, 8))
        seen = {state: mode_of(state)}
        for path in state.rglob("*"):
            with contextlib.suppress(FileNotFoundError):  # SQLite's companions come and go
                seen[path] = mode_of(path)
        assert {path.suffix for path in seen} >= {".db", ".journal", ".lock"}
        for path, mode in seen.items():
            assert mode == (0o700 if path.is_dir() else 0o600), path
    finally:
        os.umask(previous)
