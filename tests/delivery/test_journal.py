"""Journals: framing, torn ends, rotation under fire, locks."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mparticle_kit_braze.delivery.journal import (
    CHUNK_BYTES,
    FileJournal,
    MemoryJournal,
    journal_files,
    newest_journal_time,
    parse_frames,
    read_frames,
)
from mparticle_kit_braze.delivery.lease import Lease, try_lock

frames = st.lists(
    st.binary(min_size=1, max_size=30).map(lambda raw: b"e" + raw.replace(b"\n", b"").replace(b"\x1e", b""))
)


def frame(content: bytes) -> bytes:
    return b"\x1e" + content + b"\n"


@given(frames, st.integers(0, 400))
def test_any_cut_yields_the_complete_records_before_it(contents: list[bytes], cut: int) -> None:
    """However a journal ends, the records whose line feed arrived are read, and nothing else."""
    data = b"".join(map(frame, contents))[:cut]
    found, used = parse_frames(data)
    assert found == contents[: data.count(b"\n")]
    assert used == data.rfind(b"\n") + 1
    assert parse_frames(data[used:]) == ([], 0)


@given(frames, frames, st.binary(min_size=1, max_size=20))
def test_a_torn_record_in_the_middle_harms_no_other(before: list[bytes], after: list[bytes], torn: bytes) -> None:
    """A record cut short by a full disk is skipped wherever it stands."""
    fragment = b"\x1ee" + torn.replace(b"\n", b"").replace(b"\x1e", b"")
    data = b"".join(map(frame, before)) + fragment + b"".join(map(frame, after))
    found, _ = parse_frames(data)
    assert found == before + after


def test_reading_is_bounded_and_resumes(tmp_path: Path) -> None:
    """A long journal is read in bounded pieces from offset to offset, also over a record larger than a piece."""
    contents = [b"e%06d" % number + b"x" * 200 for number in range(12_000)]
    contents.insert(5000, b"e" + b"y" * (3 * CHUNK_BYTES))
    path = tmp_path / "long"
    path.write_bytes(b"".join(map(frame, contents)))
    size = path.stat().st_size
    descriptor = os.open(path, os.O_RDONLY)
    found: list[bytes] = []
    offset, rounds = 0, 0
    while True:
        batch, reached = read_frames(descriptor, offset, size)
        if reached == offset:
            break
        found += batch
        offset, rounds = reached, rounds + 1
    os.close(descriptor)
    assert found == contents
    assert rounds >= 3


def test_files_are_private_and_owned(tmp_path: Path) -> None:
    """A journal is readable by its user alone and locked as long as it is open."""
    journal = FileJournal(tmp_path, 1.7e9)
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600
    descriptor = os.open(journal.path, os.O_RDONLY)
    assert not try_lock(descriptor)
    journal.release()
    assert try_lock(descriptor)
    os.close(descriptor)


def test_rotation_loses_nothing_under_fire(tmp_path: Path) -> None:
    """Threads that write while the file is swapped behind their descriptor lose no record and double none."""
    journal = FileJournal(tmp_path, 1.7e9)
    stop = threading.Event()
    written: list[list[bytes]] = [[] for _ in range(4)]

    def write(number: int) -> None:
        while not stop.is_set():
            content = b"e%d-%d" % (number, len(written[number]))
            assert journal.write(frame(content)) == len(content) + 2
            written[number].append(content)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(30):
        target = sum(map(len, written)) + 20
        while sum(map(len, written)) < target:
            pass
        journal.rotate()
    stop.set()
    for thread in threads:
        thread.join()
    journal.release()
    found = [
        content for name, _ in journal_files(tmp_path) for content in parse_frames((tmp_path / name).read_bytes())[0]
    ]
    assert len(journal_files(tmp_path)) == 31
    for number in range(4):
        assert [content for content in found if content.startswith(b"e%d-" % number)] == written[number]


def test_an_unlinked_journal_can_still_be_read(tmp_path: Path) -> None:
    """Records written before or after the name vanished are reached by the descriptor."""
    journal = FileJournal(tmp_path, 1.7e9)
    journal.write(frame(b"e1"))
    assert journal.is_linked()
    journal.path.unlink()
    assert not journal.is_linked()
    journal.write(frame(b"e2"))
    assert read_frames(journal.reader(), 0, journal.size())[0] == [b"e1", b"e2"]
    journal.release()


def test_names_sort_by_start_and_rotation(tmp_path: Path) -> None:
    """Journals are absorbed in the order their processes began, rotated ones before their successors."""
    later = FileJournal(tmp_path, 2000.0)
    earlier = FileJournal(tmp_path, 1000.0)
    first = earlier.path.name
    earlier.rotate()
    assert [name for name, _ in journal_files(tmp_path)] == [first, earlier.path.name, later.path.name]
    for journal in (earlier, later):
        journal.release()


def test_newest_time_ignores_empty_journals(tmp_path: Path) -> None:
    """The time of the last activity is that of the newest journal with something in it."""
    assert newest_journal_time(tmp_path) is None
    assert newest_journal_time(tmp_path / "missing") is None
    journal = FileJournal(tmp_path, 1.7e9)
    assert newest_journal_time(tmp_path) is None
    journal.write(frame(b"e1"))
    os.utime(journal.path, (5.0, 1234.5))
    assert newest_journal_time(tmp_path) == pytest.approx(1234.5)
    journal.discard()
    assert list(tmp_path.iterdir()) == []


def test_memory_journal_keeps_until_told() -> None:
    """Frames stay in order until they are forgotten."""
    journal = MemoryJournal()
    for number in range(5):
        assert journal.write(frame(b"e%d" % number)) == 4
    assert journal.peek(3) == [b"e0", b"e1", b"e2"]
    journal.forget(3)
    assert journal.peek(10) == [b"e3", b"e4"]


def test_lease_is_exclusive_and_reentrant(tmp_path: Path) -> None:
    """One holder at a time; asking again while holding is granted; memory always is."""
    one, two = Lease(tmp_path / "lease.lock"), Lease(tmp_path / "lease.lock")
    assert one.acquire()
    assert one.acquire()
    assert not two.acquire()
    one.release()
    assert two.acquire()
    two.release()
    assert Lease(None).acquire()


def test_lease_without_a_usable_file_is_granted(tmp_path: Path) -> None:
    """Where nothing can be locked, sending goes on rather than never."""
    assert Lease(tmp_path / "no" / "such" / "directory").acquire()
