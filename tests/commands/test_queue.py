"""``queue``: reads what others have stored without touching it, and changes dead letters under the lease only."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mparticle_kit_braze import BrazeKit, MParticle
from mparticle_kit_braze.__main__ import main
from mparticle_kit_braze.commands.stored_queue import StoredQueue, copy_of
from mparticle_kit_braze.delivery.guard import Guard
from mparticle_kit_braze.delivery.journal import SUFFIX
from mparticle_kit_braze.delivery.lease import Lease
from mparticle_kit_braze.delivery.outbox import Outbox
from mparticle_kit_braze.delivery.schema import MIGRATIONS
from tests.support import python_process

DEAD = "http://127.0.0.1:9"
READING = ("list", "count", "age", "dead", "export")


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A storage directory with a queue of three records and two dead letters, which nobody uses at present."""
    directory = tmp_path / "state"
    queue = directory / "Braze"
    queue.mkdir(parents=True, mode=0o700)
    outbox = Outbox(queue / "outbox.db", Guard())
    dead = [b'e{"name":"ce","data":{"n":"Refused %d"}}' % number for number in (1, 2)]
    outbox.add([*dead, *(b'e{"name":"ce","data":{"n":"Song %d"}}' % number for number in (1, 2, 3))], 1000.0)
    outbox.delete(outbox.peek(2, 1000), dead={0: "too long", 1: "HTTP 400"}, now=2000.0)
    monkeypatch.setenv("MPARTICLE_STORAGE", str(directory))
    return directory


@pytest.fixture
def client(storage: Path) -> Iterator[MParticle]:
    """A client at work on the same directory, whose endpoint is dead."""
    with MParticle([BrazeKit("key", DEAD, flush_interval=1000)], storage=storage) as made:
        yield made


def asked(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> Any:
    """The JSON that an action prints."""
    capsys.readouterr()
    assert main(["queue", *arguments, "--json"]) == status
    return json.loads(capsys.readouterr().out)


def files(directory: Path) -> dict[str, tuple[object, ...]]:
    """Every file below a directory, with what must not change."""
    found: dict[str, tuple[object, ...]] = {}
    for path in directory.rglob("*"):
        status = path.stat()
        found[str(path)] = (status.st_mtime_ns, status.st_size, status.st_ino, status.st_mode)
    return found


def test_a_queue_is_shown(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What waits, how much, since when, and what was refused and why."""
    (queue,) = asked(capsys, "list").values()
    assert (queue["waiting"], queue["dead"], queue["directory"]) == (3, 2, str(storage / "Braze"))
    assert [record["record"]["data"]["n"] for record in queue["records"]] == ["Song 1", "Song 2", "Song 3"]
    assert asked(capsys, "count") == {"queues": {"Braze": 3}, "total": 3}
    assert asked(capsys, "age")["oldest"] > 10**9
    letters = asked(capsys, "dead")["Braze"]
    assert [(letter["id"], letter["reason"], letter["time"]) for letter in letters] == [
        (1, "too long", 2000.0),
        (2, "HTTP 400", 2000.0),
    ]


def test_bounds_make_an_exit_status(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For monitoring: 1 when more waits, or for longer, than it may."""
    assert main(["queue", "count", "--max", "3"]) == 0
    assert main(["queue", "count", "--max", "2"]) == 1
    assert main(["queue", "age", "--max", "60"]) == 1


def test_reading_changes_nothing(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No file is made, changed or removed, not even a companion of a database."""
    before = files(storage)
    for action in READING:
        assert main(["queue", action]) == 0
    assert files(storage) == before


def test_reading_beside_a_client(storage: Path, client: MParticle, capsys: pytest.CaptureFixture[str]) -> None:
    """Records in the outbox and those still in a journal are counted once, and the client is not disturbed."""
    assert asked(capsys, "count")["total"] == 3
    client.log_event("Song 4")
    assert asked(capsys, "count")["total"] == 5  # and the session's start
    client.flush()  # to the first failure: all is in the outbox then
    assert asked(capsys, "count")["total"] == 5
    names = [json.loads(line)["record"]["data"].get("n") for line in exported(capsys)]
    assert names == ["Song 1", "Song 2", "Song 3", None, "Song 4"]


def exported(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """The lines that export prints."""
    capsys.readouterr()
    assert main(["queue", "export", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_a_copy_is_whole_while_others_write(storage: Path) -> None:
    """Copies taken while a process writes, and moves its log into the file again and again, pass SQLite's own check."""
    path = storage / "Braze" / "outbox.db"
    code = f"""
        import sqlite3, sys
        connection = sqlite3.connect({str(path)!r}, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA wal_autocheckpoint=30")
        print("ready", flush=True)
        for number in range(100, 1_000_000):
            connection.execute("INSERT INTO records VALUES (?, 1, ?)", (number, b"e" * 3000))
            if number % 50 == 0:
                connection.execute("DELETE FROM records WHERE id >= 100")
    """
    with python_process(code) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        try:
            for _ in range(10):
                with copy_of(path) as connection:
                    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                    assert connection.execute("SELECT count(*) FROM records WHERE id < 100").fetchone() == (3,)
        finally:
            writer.kill()


def test_journals_of_dead_processes_count(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a killed process left in its journal waits too; a record cut short is none."""
    journal = storage / "Braze" / f"000000000001000-1-abcdef01-000000{SUFFIX}"
    journal.write_bytes(b'\x1ee{"name":"ce","data":{"n":"Left"}}\n\x1ee{"name":"ce","da')
    before = files(storage)
    assert asked(capsys, "count")["total"] == 4
    assert json.loads(exported(capsys)[-1])["record"]["data"]["n"] == "Left"
    assert files(storage) == before


@pytest.mark.parametrize(
    ("chosen", "waiting", "dead"),
    [(("1", "--queue", "Braze"), 4, [2]), (("--reason", "HTTP 400"), 4, [1]), (("--all",), 5, [])],
)
def test_dead_letters_are_queued_again(
    chosen: tuple[str, ...], waiting: int, dead: list[int], storage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those chosen wait again, behind the others; the rest stay."""
    assert asked(capsys, "retry", *chosen)["total"] == waiting - 3
    assert asked(capsys, "count")["total"] == waiting
    assert [letter["id"] for letter in asked(capsys, "dead")["Braze"]] == dead


def test_dead_letters_are_deleted(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Those chosen are gone, and nothing else; one that is not there is a failure."""
    assert asked(capsys, "delete", "2") == {"queues": {"Braze": 1}, "total": 1}
    assert asked(capsys, "delete", "2", status=1)["total"] == 0
    assert asked(capsys, "delete", "--all")["total"] == 1
    assert asked(capsys, "count")["total"] == 3
    assert asked(capsys, "dead") == {"Braze": []}


@pytest.mark.parametrize("arguments", [[], ["1", "--all"], ["--all", "--reason", "x"]])
def test_what_to_change_must_be_said(arguments: list[str], storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is changed by default, and one choice at a time counts."""
    assert main(["queue", "delete", *arguments]) == 2
    assert "say which" in capsys.readouterr().err
    assert len(asked(capsys, "dead")["Braze"]) == 2


def test_numbers_need_one_queue(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A number means another letter in each queue."""
    (storage / "Other").mkdir()
    Outbox(storage / "Other" / "outbox.db", Guard()).add([b"e1"], 1000.0)
    assert main(["queue", "retry", "1"]) == 2
    assert "Braze, Other" in capsys.readouterr().err
    assert main(["queue", "retry", "1", "--queue", "Braze"]) == 0
    assert main(["queue", "count", "--queue", "Nowhere"]) == 2


def test_the_lease_is_respected(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """While another process sends, nothing is changed, and the message says what to do; reading goes on."""
    lease = Lease(storage / "Braze" / "lease.lock")
    assert lease.acquire()
    try:
        for action in READING:
            assert main(["queue", action]) == 0
        capsys.readouterr()
        assert main(["queue", "retry", "--all", "--wait", "0"]) == 1
        assert "another process is sending" in capsys.readouterr().err
    finally:
        lease.release()
    assert main(["queue", "retry", "--all", "--wait", "0"]) == 0


def test_what_is_queued_again_is_sent(storage: Path, client: MParticle, capsys: pytest.CaptureFixture[str]) -> None:
    """A client on the directory at the same time has them in its queue."""
    assert main(["queue", "retry", "--all"]) == 0
    client.flush()
    assert client.stats().kits["Braze"].queued == 5


def test_an_export_is_private_and_replaces_nothing(
    storage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is new and for its owner alone."""
    target = tmp_path / "letters.jsonl"
    assert main(["queue", "export", "--dead", "--output", str(target)]) == 0
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [json.loads(line)["reason"] for line in target.read_text().splitlines()] == ["too long", "HTTP 400"]
    assert main(["queue", "export", "--output", str(target)]) == 2
    assert main(["queue", "export", "--output", str(tmp_path / "none" / "x")]) == 1


@pytest.mark.parametrize("action", READING)
def test_a_damaged_file_is_said_to_be(action: str, storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line and status 1; the file is left to the next client, which sets it aside."""
    path = storage / "Braze" / "outbox.db"
    path.write_bytes(b"SQLite format 3\x00" + os.urandom(4096))
    assert main(["queue", action]) == 1
    assert "is damaged" in capsys.readouterr().err


def test_a_file_of_a_later_version_is_left_alone(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its tables may mean something else."""
    connection = sqlite3.connect(storage / "Braze" / "outbox.db")
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    assert main(["queue", "count"]) == 1
    assert "later version" in capsys.readouterr().err


def test_somebody_elses_queue_is_not_changed(
    storage: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not by root either: files made now would lock the owner out."""
    monkeypatch.setattr(os, "geteuid", lambda: storage.stat().st_uid + 1)
    assert main(["queue", "delete", "--all"]) == 1
    assert "belongs to user" in capsys.readouterr().err
    assert asked(capsys, "count")["total"] == 3


def test_a_directory_without_queues(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing waits there; a directory that does not exist is a mistake."""
    assert asked(capsys, "count", "--storage", str(tmp_path)) == {"queues": {}, "total": 0}
    for action in READING:
        assert main(["queue", action, "--storage", str(tmp_path)]) == 0
    assert main(["queue", "count", "--storage", str(tmp_path / "none")]) == 2
    assert "there is no storage directory" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_a_queue_read_while_it_is_set_aside(storage: Path) -> None:
    """A journal whose outbox is gone is read from its beginning."""
    journal = storage / "Braze" / f"000000000001000-1-abcdef01-000000{SUFFIX}"
    journal.write_bytes(b'\x1ee{"name":"ce","data":{"n":"Left"}}\n')
    (storage / "Braze" / "outbox.db").unlink()
    with StoredQueue(storage / "Braze") as queue:
        assert [item.value["data"]["n"] for item in queue.records()] == ["Left"]
        assert queue.count() == (1, 34)
