"""Files of doubtful quality: each fault costs its own line only, and is named with its number."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mparticle_kit_braze.diagnostics import Reporter
from mparticle_kit_braze.errors import ConfigurationError
from mparticle_kit_braze.sandbox import Sandbox
from mparticle_kit_braze.server.file_lines import csv_rows, read_lines
from mparticle_kit_braze.server.importing import FileImport, ImportReport
from mparticle_kit_braze.server.progress import ImportProgress, Position
from mparticle_kit_braze.storage import Storage

from .support import rest_client


def imported(sandbox: Sandbox, path: Path, content: bytes) -> ImportReport:
    """Write a file and import it."""
    path.write_bytes(content)
    with rest_client(sandbox) as rest:
        return FileImport(path, rest).run()


def event_line(number: int) -> bytes:
    """A good line of JSONL."""
    return json.dumps({"customer_id": "c1", "event": f"E{number}"}).encode()


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("last", [True, False])
def test_line_ends_and_byte_order_marks(tmp_path: Path, ending: bytes, mark: bytes, last: bool) -> None:
    """Files of Windows and of Unix, with and without a byte order mark and a last line break, say the same."""
    table = [b"customer_id,note,level", b'c1,"a, ""b""",1', b'c2,"two' + ending + b'lines",2', b"", b"c3,plain,3"]
    lines = [event_line(1), b"", event_line(2)]
    with Sandbox() as sandbox:
        report = imported(sandbox, tmp_path / "users.csv", mark + ending.join(table) + (ending if last else b""))
        assert (report.rows, report.queued, report.problems) == (3, 3, [])
        assert report.offset == report.size
        assert sandbox.rest.user("c1").attributes == {"note": 'a, "b"', "level": 1}
        assert sandbox.rest.user("c2").attributes == {"note": "two\nlines", "level": 2}
        assert sandbox.rest.user("c3").attributes == {"note": "plain", "level": 3}
        report = imported(sandbox, tmp_path / "events.jsonl", mark + ending.join(lines) + (ending if last else b""))
        assert (report.rows, report.problems) == (2, [])
        assert sandbox.rest.user("c1").events == {"E1": 1, "E2": 1}


def test_faults_of_json_lines(tmp_path: Path) -> None:
    """Broken, cut, foreign and endless lines are named; every line between them arrives."""
    faults = {
        2: (b'{"customer_id": "c1",', "at character"),
        4: (b'["customer_id"]', "object"),
        6: (b'{"event": "caf\xe9"}', "byte 15"),
        8: (b'{"customer_id": "c1", "event": "' + b"x" * 10_000_000 + b'"}', "1,000,000"),
        10: (b"[" * 100_000, "not JSON"),
        12: (b'{"event": "Nobody"}', "no user"),
        14: (b'{"customer_id": ["c1"], "event": "E"}', "customer_id is neither"),
        16: (b'{"customer_id": "c1", "event": "E", "time": "soon"}', "time"),
        18: (b'{"customer_id": "c1", "event": "E", "time": 1e300}', "9999"),
        20: (b'{"customer_id": "c1"}', "nothing but its identity"),
        22: (b'{"customer_id": "c1", "product_id": "p", "price": "dear"}', "missing_field price"),
        24: (b'{"customer_id": "c1", "event": 7}', "event is not text"),
    }
    lines = [faults[number][0] if number in faults else event_line(number) for number in range(1, 26)]
    with Sandbox() as sandbox:
        report = imported(sandbox, tmp_path / "events.jsonl", b"\n".join(lines))
        assert set(sandbox.rest.user("c1").events) == {f"E{number}" for number in range(1, 26, 2)}
    assert [problem.line for problem in report.problems] == list(faults)
    for problem in report.problems:
        assert faults[problem.line][1] in problem.reason
    assert (report.rows, report.queued, report.refused) == (25, 13, 12)


def test_ragged_rows(tmp_path: Path) -> None:
    """A row with too many or too few columns is refused with both numbers."""
    content = b"customer_id,level\nc1,1\nc2\nc3,3,3\nc4,4\n"
    with Sandbox() as sandbox:
        report = imported(sandbox, tmp_path / "users.csv", content)
        assert sorted(sandbox.rest.users) == ["c1", "c4"]
    assert [tuple(problem) for problem in report.problems] == [
        (3, "the row has 1 columns, the header 2"),
        (4, "the row has 3 columns, the header 2"),
    ]


def test_single_values_that_do_not_go(tmp_path: Path) -> None:
    """A value that Braze would not take is left out and named; the rest of its row goes."""
    row = {"customer_id": "c1", "event": "E", "attributes": {"a": 1, "b": "x" * 300, "time": "t", "c": [1]}}
    with Sandbox() as sandbox:
        report = imported(sandbox, tmp_path / "events.jsonl", json.dumps(row).encode())
        (request,) = sandbox.rest.requests
        assert request.body["events"][0]["properties"] == {"a": 1}
    assert (report.queued, report.refused) == (1, 0)
    assert [(problem.line, problem.reason.partition(":")[0]) for problem in report.problems] == [
        (1, "b"),
        (1, "time"),
        (1, "c"),
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "line 1: the file is empty"),
        (b"\n\n", "line 1: the file is empty"),
        (b"customer_id,,x\n", "line 1: column 2"),
        (b"\ncustomer_id,x,y,x\n", "line 2: .*'x' more than once"),
        (b"color,size\n", "line 1: no column names a user"),
        (b"customer_id;size\n", "line 1: .*separated by ';'"),
        (b"name,Customer ID\n", "line 1: .*'Customer ID' is to be written 'customer_id'"),
        (b"customer_id,x\rc1,2\r", "line 1: .*carriage return"),
        ("customer_id,x\n1,2\n".encode("utf-16-be"), "line 1: the file is UTF-16"),
        (b'customer_id,"x\n1,2\n', "line 1: the header cannot be read"),
        (b"customer_id,caf\xe9\n1,2\n", "line 1: .*UTF-8"),
        ("customer_id,x\n1,2\n".encode("utf-16"), "line 1: the file is UTF-16"),
        (b"customer_id," + b"x" * 10_000_000, "line 1: .*1,000,000"),
    ],
)
def test_headers_that_cannot_be(tmp_path: Path, content: bytes, words: str) -> None:
    """Without a usable header nothing is sent, and the message names the line."""
    with Sandbox() as sandbox:
        with pytest.raises(ConfigurationError, match=words):
            imported(sandbox, tmp_path / "users.csv", content)
        assert sandbox.rest.requests == []


@pytest.mark.parametrize(
    ("name", "content"), [("a.jsonl", b""), ("a.jsonl", b"\n \r\n"), ("a.csv", b"customer_id,x\n")]
)
def test_files_with_nothing_in_them(tmp_path: Path, name: str, content: bytes) -> None:
    """No rows are no fault."""
    with Sandbox() as sandbox:
        report = imported(sandbox, tmp_path / name, content)
    assert (report.rows, report.finished, report.problems) == (0, True, [])


def test_a_name_is_an_event_only_beside_a_time(tmp_path: Path) -> None:
    """A table of users may have a column with their names."""
    with Sandbox() as sandbox:
        imported(sandbox, tmp_path / "users.csv", b"customer_id,name\nc1,Ada\n")
        assert sandbox.rest.user("c1").attributes == {"name": "Ada"}
        imported(sandbox, tmp_path / "events.csv", b"customer_id,name,time\nc1,Played,\n")
        assert sandbox.rest.user("c1").events == {"Played": 1}


def test_times_as_python_and_databases_write_them(tmp_path: Path) -> None:
    """A blank and a fraction of a second make a time that Braze does not read; it is written anew."""
    times = ["2026-01-02 03:04:05.5+02:00", "2026-01-02 03:04:05.1234567Z", "2026-01-02 03:04:05", "12:30", "3:04 pm"]
    content = "customer_id,event,time\n" + "".join(f"c1,E,{time}\n" for time in times)
    with Sandbox() as sandbox:
        report = imported(sandbox, tmp_path / "events.csv", content.encode())
        (request,) = sandbox.rest.requests
        assert [item["time"] for item in request.body["events"]] == [
            "2026-01-02T01:04:05.500Z",
            "2026-01-02T03:04:05.123Z",
            "2026-01-02 03:04:05",
        ]
    assert [problem.line for problem in report.problems] == [5, 6]


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    """What cannot be read again cannot be gone on with."""
    path = tmp_path / "events.jsonl"
    os.mkfifo(path)
    with Sandbox() as sandbox, rest_client(sandbox) as rest:
        descriptor = os.open(path, os.O_RDWR)  # so that opening it to read does not wait
        try:
            with pytest.raises(ConfigurationError, match="pipe"):
                FileImport(path, rest).run()
        finally:
            os.close(descriptor)


def test_bad_lines_are_counted_once_over_a_restart(tmp_path: Path) -> None:
    """A second run of a finished file reads nothing again, and knows its figures."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n".join([event_line(1), b"{", event_line(2)]))
    storage = Storage.open(tmp_path / "state", Reporter())
    with Sandbox() as sandbox, rest_client(sandbox) as rest:
        FileImport(path, rest, storage=storage).run()
        report = FileImport(path, rest, storage=storage).run()
        assert (report.rows, report.queued, report.refused, report.problems) == (3, 2, 1, [])
        assert sandbox.rest.counts["events"] == 2


def test_a_note_that_was_cut_short_leaves_the_one_before(tmp_path: Path) -> None:
    """Whichever bytes of the newest note are missing, the progress is that of the row before."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"x" * 40)
    check = [crc32(b"x" * size) for size in range(40)]
    with path.open("rb") as content:
        progress = ImportProgress(tmp_path, path)
        assert progress.load(content) is None
        first, second = Position(10, 1, 1, 1, 0, check[10]), Position(20, 2, 2, 1, 1, check[20])
        progress.note(*first)
        progress.note(*second)
        progress.close()
        (file,) = tmp_path.glob("*.progress")
        raw = file.read_bytes()
        for cut in range(len(raw) // 2, len(raw)):
            file.write_bytes(raw[:cut] + bytes([raw[cut] ^ 0xFF]) + raw[cut + 1 :])
            damaged = ImportProgress(tmp_path, path)
            assert damaged.load(content) == first
            damaged.close()
        file.write_bytes(raw)
        whole = ImportProgress(tmp_path, path)
        assert whole.load(content) == second
        third = Position(30, 3, 3, 2, 1, check[30])
        whole.note(*third)
        assert whole.load(content) == third
        whole.close()


def test_a_file_that_grew_goes_on_and_another_one_starts_anew(tmp_path: Path) -> None:
    """Only what was appended since the last run is sent; a file that is shorter or begins otherwise goes whole."""
    path, state = tmp_path / "events.jsonl", Storage.open(tmp_path / "state", Reporter())
    lines = [event_line(number) + b"\n" for number in range(9)]
    with Sandbox() as sandbox, rest_client(sandbox) as rest:

        def run(content: bytes) -> tuple[int, int]:
            path.write_bytes(content)
            report = FileImport(path, rest, storage=state).run()
            return report.earlier, report.rows

        assert run(b"".join(lines[:3])) == (0, 3)
        assert run(b"".join(lines[:5])) == (3, 5)
        assert sandbox.rest.user("c1").events == {f"E{number}": 1 for number in range(5)}
        assert run(b"".join(lines[5:9])) == (0, 4)
        assert run(b"".join(lines[5:6])) == (0, 1)
        assert run(b"".join(lines[5:7])) == (1, 2)
        assert sandbox.rest.user("c1").events["E5"] == 2
    with Sandbox() as elsewhere, rest_client(elsewhere) as rest:
        assert FileImport(path, rest, storage=state).run().earlier == 0


@given(st.text(st.sampled_from("a1 ,;\t\"'é\x1f"), max_size=20), st.sampled_from(",\t"))
def test_lines_are_split_as_csv_is(tmp_path_factory: pytest.TempPathFactory, text: str, delimiter: str) -> None:
    """Whatever a line holds, its values are those of the standard reader, or it is refused as there."""
    path = tmp_path_factory.getbasetemp() / "line.csv"
    path.write_text(text, encoding="utf-8")
    with path.open("rb") as file:
        rows = list(csv_rows(read_lines(file), delimiter))
    try:
        expected = [row for row in csv.reader([text], delimiter=delimiter, strict=True) if text.strip()]
    except csv.Error:
        assert [row.values for row in rows] == [None]
    else:
        assert [row.values for row in rows] == expected
