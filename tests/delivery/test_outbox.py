"""The outbox: order, absorption in one transaction, dead letters, schema versions."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from mparticle_kit_braze.delivery import outbox as outbox_module
from mparticle_kit_braze.delivery import schema
from mparticle_kit_braze.delivery.guard import Guard
from mparticle_kit_braze.delivery.outbox import ROWS, Outbox
from mparticle_kit_braze.delivery.schema import NewerSchemaError, is_damage, is_locked, set_aside


@pytest.fixture(params=["file", "memory"])
def outbox(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Outbox]:
    made = Outbox(tmp_path / "outbox.db" if request.param == "file" else None, Guard())
    with made.session():
        yield made
    connection = made.abandon()
    if connection is not None:
        connection.close()


def texts(outbox: Outbox) -> list[bytes]:
    return [record.payload for record in outbox.peek(1000, 1_000_000)]


def test_records_keep_their_order_and_bounds(outbox: Outbox) -> None:
    """Peeking returns leading records within count and bytes, at least one, and skips as told."""
    outbox.add([b"e" + b"%03d" % number for number in range(20)], 5.0)
    assert [record.kind for record in outbox.peek(3, 1000)] == ["e", "e", "e"]
    assert [record.payload for record in outbox.peek(3, 1000)] == [b"000", b"001", b"002"]
    assert len(outbox.peek(100, 17)) == 4
    assert len(outbox.peek(100, 1)) == 1
    assert [record.payload for record in outbox.peek(2, 1000, skip=18)] == [b"018", b"019"]
    assert outbox.totals()[1:] == (20, 80)
    assert outbox.oldest_time() == 5.0


@pytest.mark.parametrize("count", [ROWS - 1, ROWS, ROWS + 1, 3 * ROWS + 7])
def test_long_queues_are_read_in_order(outbox: Outbox, count: int) -> None:
    """However many records are stored or read in one step, they come in order, and gaps among them do no harm."""
    frames = [b"e%05d" % number + b"x" * (number % 7) for number in range(count)]
    outbox.add(frames, 0)
    found = outbox.peek(10_000, 1_000_000)
    assert [b"e" + record.payload for record in found] == frames
    assert [record.id for record in found] == list(range(found[0].id, found[0].id + count))
    assert outbox.peek(ROWS, 1_000_000, skip=5) == found[5 : ROWS + 5]
    outbox.delete(found[50:60])
    outbox.delete(found[count - 2 : count - 1])
    assert outbox.peek(10_000, 1_000_000) == [*found[:50], *found[60:-2], found[-1]]
    assert outbox.peek(10_000, 1_000_000, skip=45) == [*found[45:50], *found[60:-2], found[-1]]


def test_ids_are_never_used_again(outbox: Outbox) -> None:
    """Later records have larger ids, also after the queue was empty."""
    outbox.add([b"e1", b"e2"], 0)
    last = outbox.peek(10, 100)[-1].id
    outbox.delete(outbox.peek(10, 100))
    outbox.add([b"e3"], 0)
    assert outbox.first_id() == last + 1
    assert outbox.count_before(last + 1) == 0
    assert outbox.count_before(last + 2) == 1


def test_absorption_is_idempotent(outbox: Outbox) -> None:
    """A stretch is taken over once, from the offset last committed, whatever the caller believes."""
    data = [b"e1", b"e2", b"e3"]

    def read(offset: int) -> tuple[list[bytes], int]:
        return data[offset:], len(data)

    assert outbox.absorb("j", read, 0) == (3, 3)
    assert outbox.absorb("j", read, 0) == (3, 0)
    data.append(b"e4")
    assert outbox.absorb("j", read, 0) == (4, 1)
    assert texts(outbox) == [b"1", b"2", b"3", b"4"]
    assert outbox.offsets() == {"j": 4}


def test_a_failed_absorption_leaves_nothing_behind(outbox: Outbox) -> None:
    """Offset and records are committed together or not at all."""

    def broken(offset: int) -> tuple[list[bytes], int]:
        if offset:
            raise OSError("unreadable")
        return [b"e1", None], 2  # type: ignore[list-item]  # the second row breaks the insert

    with pytest.raises((TypeError, sqlite3.Error)):
        outbox.absorb("j", broken, 0)
    assert texts(outbox) == []
    assert outbox.offsets() == {}
    assert outbox.totals().records == 0


def test_an_offset_known_from_elsewhere_is_respected(outbox: Outbox) -> None:
    """A fresh outbox does not take over what an earlier one already had."""
    assert outbox.absorb("j", lambda offset: ([b"e9"], offset + 1), 0, least=7) == (8, 1)
    assert outbox.offsets() == {"j": 8}


def test_totals_stay_right_when_rows_vanish(outbox: Outbox) -> None:
    """Settling records that were cleared meanwhile leaves the totals exact."""
    outbox.add([b"e1", b"e22", b"e333"], 0)
    records = outbox.peek(2, 100)
    assert outbox.clear([("j", 10)]) == 3
    outbox.add([b"e4"], 0)
    outbox.delete(records)
    assert outbox.totals()[1:] == (1, 2)
    assert outbox.offsets() == {"j": 10}


def test_dead_letters_are_kept_listed_revived_and_deleted(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead letter keeps record, reason and time; the oldest give way beyond the limit."""
    monkeypatch.setattr(outbox_module, "DEAD_LETTER_LIMIT", 2)
    outbox.add([b"e%d" % number for number in range(4)], 0)
    assert outbox.delete(outbox.peek(2, 100), dead={1: "bad"}, now=12.5) == 0
    (letter,) = outbox.dead_letters()
    assert (letter.kind, letter.payload, letter.reason, letter.time) == ("e", b"1", "bad", 12.5)
    assert outbox.delete(outbox.peek(2, 100), dead={0: "x", 1: "y"}, now=13) == 1
    assert [each.payload for each in outbox.dead_letters()] == [b"2", b"3"]
    assert outbox.count_dead_letters() == 2
    assert outbox.revive_dead_letters(1.0) == 2
    assert texts(outbox) == [b"2", b"3"]
    outbox.delete(outbox.peek(1, 100), dead={0: "again"})
    assert outbox.delete_dead_letters() == 1
    assert outbox.dead_letters() == []


def test_the_file_is_private_and_closed_when_idle(tmp_path: Path) -> None:
    """Mode 0600; no connection and no side files remain when nobody works with it."""
    outbox = Outbox(tmp_path / "outbox.db", Guard())
    outbox.add([b"e1"], 0)
    assert stat.S_IMODE((tmp_path / "outbox.db").stat().st_mode) == 0o600
    assert outbox.is_disconnected
    assert [path.name for path in tmp_path.iterdir()] == ["outbox.db"]


def test_a_large_emptied_file_shrinks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Space is given back once the backlog is gone."""
    monkeypatch.setattr(outbox_module, "COMPACT_PAGES", 10)
    outbox = Outbox(tmp_path / "outbox.db", Guard())
    outbox.add([b"e" + b"x" * 5000] * 200, 0)
    before = (tmp_path / "outbox.db").stat().st_size
    outbox.delete(outbox.peek(1000, 10_000_000))
    outbox.compact()
    assert (tmp_path / "outbox.db").stat().st_size < before / 10


def test_a_newer_schema_is_refused_untouched(tmp_path: Path) -> None:
    """A file of a later version is not opened and not changed."""
    path = tmp_path / "outbox.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.execute("CREATE TABLE future (x)")
    connection.commit()
    connection.close()
    with pytest.raises(NewerSchemaError):
        Outbox(path, Guard()).totals()
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("future",)]
    connection.close()


def test_an_older_schema_is_migrated_in_one_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records of an older version survive the migration; a migration that fails changes nothing."""
    path = tmp_path / "outbox.db"
    Outbox(path, Guard()).add([b"e1"], 0)
    current = schema.MIGRATIONS
    monkeypatch.setattr(schema, "MIGRATIONS", (*current, ("ALTER TABLE records ADD COLUMN extra", "NO SQL")))
    with pytest.raises(sqlite3.OperationalError):
        Outbox(path, Guard()).totals()
    monkeypatch.setattr(schema, "MIGRATIONS", current)
    assert texts(Outbox(path, Guard())) == [b"1"]
    monkeypatch.setattr(schema, "MIGRATIONS", (*current, ("CREATE TABLE extra (x)",)))
    assert texts(Outbox(path, Guard())) == [b"1"]
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    connection.close()


def test_kinds_of_trouble_are_told_apart() -> None:
    """Locked passes, damage is set aside, everything else means that the disk cannot be used."""
    assert is_locked(sqlite3.OperationalError("database is locked"))
    assert not is_locked(sqlite3.OperationalError("disk I/O error"))
    assert is_damage(sqlite3.DatabaseError("file is not a database"))
    assert is_damage(sqlite3.OperationalError("no such table: records"))
    assert not is_damage(sqlite3.OperationalError("database or disk is full"))
    assert not is_damage(OSError("gone"))


def test_setting_aside_never_overwrites(tmp_path: Path) -> None:
    """Each file set aside gets a name of its own, its companions with it."""
    for number in (1, 2):
        (tmp_path / "a.db").write_text(f"main {number}")
        (tmp_path / "a.db-wal").write_text(f"wal {number}")
        assert set_aside(tmp_path / "a.db", "damaged").name == f"a.db.damaged-{number}"
    assert (tmp_path / "a.db.damaged-1").read_text() == "main 1"
    assert (tmp_path / "a.db.damaged-2-wal").read_text() == "wal 2"
