"""Storage: directories, permissions, key-value files, and what happens when the disk is no help."""

from __future__ import annotations

import logging
import multiprocessing
import os
import sqlite3
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mparticle_kit_braze.diagnostics import Problem, Reporter
from mparticle_kit_braze.errors import InvalidArgumentError
from mparticle_kit_braze.key_values import open_database
from mparticle_kit_braze.storage import Storage

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture
def problems() -> list[Problem]:
    return []


@pytest.fixture
def reporter(problems: list[Problem]) -> Reporter:
    return Reporter(problems.append)


def test_values_survive_a_restart(tmp_path: Path, reporter: Reporter) -> None:
    """What was set is there when the directory is opened again, deletions included."""
    first = Storage.open(tmp_path / "state", reporter).directory("kit").key_values()
    first.update({"a": 1, "b": {"x": [1, None, "é"]}, "user.1": "x", "user.2": "y"})
    first.delete("a")
    first.delete_prefix("user.")
    first.close()
    again = Storage.open(tmp_path / "state", reporter).directory("kit").key_values()
    assert again.items() == {"b": {"x": [1, None, "é"]}}
    assert again.get("a", "gone") == "gone"
    again.close()


def test_values_stored_while_the_file_is_opened(
    tmp_path: Path, reporter: Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finalizer that stores while its thread opens the file: nothing is lost, no connection is left open."""
    connections: list[sqlite3.Connection] = []
    values = Storage.open(tmp_path, reporter).key_values()
    values.before_fork()
    values.after_fork_in_parent()  # it is closed now, to be opened again when it is needed

    def opened(path: Path) -> sqlite3.Connection:
        connection = open_database(path)
        connections.append(connection)
        if len(connections) == 1:
            values.set("stored", 1)
        return connection

    monkeypatch.setattr("mparticle_kit_braze.key_values.open_database", opened)
    values.reload()
    assert values.get("stored") == 1
    values.close()
    assert len(connections) == 2
    for connection in connections:
        with pytest.raises(sqlite3.ProgrammingError):  # it is closed
            connection.execute("SELECT 1")
    again = Storage.open(tmp_path, reporter).key_values()
    assert again.items() == {"stored": 1}
    again.close()


def test_private_permissions(tmp_path: Path, reporter: Reporter) -> None:
    """Directories are made 0700 and files 0600."""
    storage = Storage.open(tmp_path / "state", reporter)
    values = storage.directory("kit").key_values()
    values.set("a", 1)
    for directory in (tmp_path / "state", tmp_path / "state" / "kit"):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    for file in (tmp_path / "state" / "kit").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    values.close()


def test_default_location_is_the_users_data_directory(reporter: Reporter) -> None:
    """``None`` means the platform's data directory for this user."""
    storage = Storage.open(None, reporter)
    assert storage.path == Path(os.environ["XDG_DATA_HOME"]) / "mparticle_kit_braze"


def test_memory_keeps_nothing(tmp_path: Path, reporter: Reporter, monkeypatch: pytest.MonkeyPatch) -> None:
    """``:memory:`` works like a directory and leaves no file."""
    monkeypatch.chdir(tmp_path)
    storage = Storage.open(":memory:", reporter)
    storage.directory("a").key_values().set("k", 1)
    assert storage.directory("a").key_values().get("k") == 1
    assert storage.path is None
    assert list(tmp_path.iterdir()) == []


def test_unusable_directory_falls_back_to_memory(tmp_path: Path, reporter: Reporter, problems: list[Problem]) -> None:
    """A path that is a file is reported once and state lives in memory."""
    (tmp_path / "file").write_text("")
    storage = Storage.open(tmp_path / "file" / "below", reporter)
    assert storage.path is None
    storage.key_values().set("k", 1)
    assert storage.key_values().get("k") == 1
    assert [problem.code for problem in problems] == ["storage_unavailable"]


@pytest.mark.parametrize("location", ["", 3, b"bytes"])
def test_wrong_location_raises(location: object, reporter: Reporter) -> None:
    """A location that is no path is a wrong call."""
    with pytest.raises(InvalidArgumentError):
        Storage.open(location, reporter)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".", "..", "x" * 300, "é\udc80", "con:"])
def test_names_cannot_leave_the_directory(name: str, tmp_path: Path, reporter: Reporter) -> None:
    """Whatever the name, the subdirectory is directly below."""
    below = Storage.open(tmp_path, reporter).directory(name)
    assert below.path is not None
    assert below.path.parent == tmp_path


def test_damaged_file_is_set_aside(tmp_path: Path, reporter: Reporter, problems: list[Problem]) -> None:
    """A file that is no database is kept under another name, reported, and replaced."""
    (tmp_path / "state.db").write_bytes(b"this is no database" * 100)
    values = Storage.open(tmp_path, reporter).key_values()
    values.set("k", 1)
    values.close()
    assert [problem.code for problem in problems] == ["storage_damaged"]
    assert (tmp_path / "state.db.damaged-1").read_bytes().startswith(b"this is no database")
    again = Storage.open(tmp_path, reporter).key_values()
    assert again.get("k") == 1
    again.close()


def test_failing_disk_keeps_values_and_catches_up(
    tmp_path: Path,
    reporter: Reporter,
    problems: list[Problem],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While the file cannot be written values live in memory; the next write that works brings them along."""
    monkeypatch.setattr("mparticle_kit_braze.key_values.HOLD_OFF", 0.0)
    values = Storage.open(tmp_path, reporter).key_values()
    values.set("before", 0)
    assert values._connection is not None
    values._connection.execute("PRAGMA query_only=1")
    values.set("during", 1)
    values.delete("before")
    assert values.get("during") == 1
    assert [problem.code for problem in problems] == ["storage_write_failed"] * 2
    values._connection.execute("PRAGMA query_only=0")
    with caplog.at_level(logging.INFO):
        values.set("after", 2)
    assert "State can be written again" in caplog.text
    values.close()
    again = Storage.open(tmp_path, reporter).key_values()
    assert again.items() == {"during": 1, "after": 2}
    again.close()


def test_a_failing_disk_is_left_alone_for_a_while(tmp_path: Path, reporter: Reporter, problems: list[Problem]) -> None:
    """After a write has failed the next calls do not try the disk again at once; closing does."""
    values = Storage.open(tmp_path, reporter).key_values()
    values.set("before", 0)
    assert values._connection is not None
    values._connection.execute("PRAGMA query_only=1")
    for number in range(5):
        values.set("during", number)
    assert len(problems) == 1
    values._connection.execute("PRAGMA query_only=0")
    values.close()
    again = Storage.open(tmp_path, reporter).key_values()
    assert again.items() == {"before": 0, "during": 4}
    assert again.take("during") == 4
    assert again.take("during") is None
    again.close()


def test_only_one_takes_a_value(tmp_path: Path, reporter: Reporter) -> None:
    """Of two that know a value only the first gets it, whether or not the other has seen that it is gone."""
    first = Storage.open(tmp_path, reporter).key_values()
    first.set("k", {"a": 1})
    second = Storage.open(tmp_path, reporter).key_values()
    assert second.get("k") == {"a": 1}
    assert first.take("k") == {"a": 1}
    assert second.take("k") is None
    assert second.get("k") is None
    memory = Storage.open(":memory:", reporter).key_values()
    memory.set("k", 1)
    assert (memory.take("k"), memory.take("k")) == (1, None)
    first.close()
    second.close()


def test_memory_does_not_remember_what_was_deleted(reporter: Reporter) -> None:
    """Keys that come and go leave nothing behind."""
    values = Storage.open(":memory:", reporter).key_values()
    for number in range(100):
        values.set(str(number), number)
        values.delete(str(number))
    assert not values._unwritten


def test_values_are_copies(reporter: Reporter) -> None:
    """Changing what ``get`` returned or what ``set`` was given does not change the stored value."""
    values = Storage.open(":memory:", reporter).key_values()
    given_list = [1]
    values.set("k", given_list)
    given_list.append(2)
    values.get("k").append(3)
    assert values.get("k") == [1]


def test_two_owners_share_a_file(tmp_path: Path, reporter: Reporter) -> None:
    """Another opener's writes are seen after ``reload``."""
    one = Storage.open(tmp_path, reporter).key_values()
    two = Storage.open(tmp_path, reporter).key_values()
    one.set("k", "one")
    assert two.get("k") is None
    two.reload()
    assert two.get("k") == "one"
    one.close()
    two.close()


def test_threads_may_write_at_once(tmp_path: Path, reporter: Reporter, problems: list[Problem]) -> None:
    """Concurrent writers lose nothing."""
    values = Storage.open(tmp_path, reporter).key_values()

    def write(number: int) -> None:
        for i in range(20):
            values.set(f"{number}.{i}", i)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    values.close()
    again = Storage.open(tmp_path, reporter).key_values()
    assert len(again.items()) == 80
    again.close()
    assert not problems


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_forked_child_opens_its_own_connection(tmp_path: Path, reporter: Reporter) -> None:
    """A child forked while the parent's lock is held writes to the same file and leaves the parent's connection be."""
    storage = Storage.open(tmp_path, reporter)
    values = storage.key_values()
    values.set("parent", 1)

    def in_child() -> None:
        values.set("child", values.get("parent") + 1)
        os._exit(0 if storage.key_values() is values else 1)

    with values._lock.held, storage._lock.held:
        child = multiprocessing.get_context("fork").Process(target=in_child)
        child.start()
    child.join(10)
    assert child.exitcode == 0
    values.set("parent", 3)
    values.reload()
    assert values.items() == {"parent": 3, "child": 2}
    values.close()


def test_unreadable_rows_are_skipped(tmp_path: Path, reporter: Reporter) -> None:
    """A row that is no JSON does not hide the others."""
    values = Storage.open(tmp_path, reporter).key_values()
    values.set("good", 1)
    values.close()
    raw = sqlite3.connect(tmp_path / "state.db")
    raw.execute("INSERT INTO key_values VALUES ('bad', '{')")
    raw.commit()
    raw.close()
    again = Storage.open(tmp_path, reporter).key_values()
    assert again.items() == {"good": 1}
    again.close()


@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_any_json_value_comes_back(values: dict[str, object]) -> None:
    """Every JSON value under every key is returned as it was."""
    file = Storage.open(":memory:", Reporter()).key_values()
    file.update(values)
    assert file.items() == values
