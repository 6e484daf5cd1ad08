"""Files of users and events: mapping, bad lines, progress over a crash."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mparticle_kit_braze.delivery import DeliveryOptions
from mparticle_kit_braze.diagnostics import Reporter
from mparticle_kit_braze.errors import ConfigurationError
from mparticle_kit_braze.sandbox import Reply, Sandbox, SandboxRequest
from mparticle_kit_braze.server import BrazeRest
from mparticle_kit_braze.server.file_lines import csv_rows, read_lines
from mparticle_kit_braze.server.importing import GROUP, FileImport, ImportReport
from mparticle_kit_braze.storage import Storage
from tests.support import child_environment, wait_until

from .support import rest_client


def imported(sandbox: Sandbox, path: Path, content: str | bytes, **arguments: Any) -> ImportReport:
    """Write a file and import it."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with rest_client(sandbox) as rest:
        return FileImport(path, rest, **arguments).run()


def test_users_of_a_csv(tmp_path: Path) -> None:
    """Identities, reserved attributes and typed custom ones come out of columns."""
    with Sandbox() as sandbox:
        content = (
            '\ufeffcustomer_id,email,$FirstName,level,beta,note\nc1,a@b.c,Ada,7,true,\nc2,,Bob,1.5,,"two\nlines"\n'
        )
        report = imported(sandbox, tmp_path / "users.csv", content)
        assert (report.rows, report.queued, report.refused, report.finished) == (2, 2, 0, True)
        assert sandbox.rest.user("c1").attributes == {
            "email": "a@b.c",
            "first_name": "Ada",
            "level": 7,
            "beta": True,
        }
        assert sandbox.rest.user("c2").attributes == {"first_name": "Bob", "level": 1.5, "note": "two\nlines"}


def test_events_and_purchases_of_a_jsonl(tmp_path: Path) -> None:
    """Each line is what its keys say: an event, a purchase, or a user."""
    rows = [
        {"customer_id": "c1", "event": "Played", "timestamp": 1767323045, "attributes": {"n": 1, "ok": True}},
        {"external_id": "c1", "name": "Raw", "time": "2026-01-02T03:04:05Z", "properties": {"x": "y"}},
        {"customer_id": "c1", "product_id": "sku", "price": 2, "currency": "EUR", "time": "2026-01-02"},
        {"customer_id": "c1", "color": "red"},
    ]
    with Sandbox() as sandbox:
        imported(sandbox, tmp_path / "mixed.jsonl", "\n".join(map(json.dumps, rows)))
        user = sandbox.rest.user("c1")
        assert user.events == {"Played": 1, "Raw": 1}
        assert user.revenue == {"EUR": 2}
        assert user.attributes == {"color": "red"}
        (request,) = sandbox.rest.requests
        assert request.body["events"][0]["time"] == "2026-01-02T03:04:05Z"
        assert request.body["events"][0]["properties"] == {"n": 1, "ok": True}


def test_purchases_as_tools_write_them(tmp_path: Path) -> None:
    """Whole quantities with a fraction of nothing and blanks around the currency are what they mean."""
    content = "customer_id,product_id,price,currency,quantity\nc1,tea,2.5, eur ,2.0\nc1,pot,30,USD,1.5\n"
    with Sandbox() as sandbox:
        report = imported(sandbox, tmp_path / "purchases.csv", content)
        assert sandbox.rest.user("c1").revenue == {"eur": 5}
    assert [(problem.line, problem.reason) for problem in report.problems] == [(3, "quantity_range quantity")]


def test_bad_lines_are_named_and_nothing_else_is_lost(tmp_path: Path) -> None:
    """Wrong columns, another encoding, an open quotation mark and a 10 MB line cost themselves only."""
    lines = [
        b"customer_id,name,time,genre",
        b"c1,E1,2026-01-02,jazz",
        b"c1,E2",
        b"c1,E3,2026-01-02,caf\xe9",
        b'c1,E4,2026-01-02,"open',
        b"c1,E5,2026-01-02," + b"x" * 10_000_000,
        b"c1,E6,soon,jazz",
        b",E7,2026-01-02,jazz",
        b"",
        b"c1,E8,2026-01-02,caf\xc3\xa9",
    ]
    with Sandbox() as sandbox:
        report = imported(sandbox, tmp_path / "events.csv", b"\n".join(lines))
        assert sandbox.rest.user("c1").events == {"E1": 1, "E8": 1}
    assert [problem.line for problem in report.problems] == [3, 4, 5, 6, 7, 8]
    words = ["2 columns", "UTF-8", "CSV", "1,000,000", "time", "no user"]
    assert all(word in problem.reason for word, problem in zip(words, report.problems, strict=True)), report.problems
    assert (report.rows, report.queued, report.refused) == (8, 2, 6)


def test_an_open_quotation_mark_takes_no_other_line_with_it(tmp_path: Path) -> None:
    """Even when a later line closes it, only the line with the open one is refused."""
    lines = ["customer_id,event,genre", 'c1,E1,"open', "c1,E2,jazz", 'c1,E3,"x"', 'c1,E4,closed"', "c1,E5,jazz"]
    with Sandbox() as sandbox:
        report = imported(sandbox, tmp_path / "events.csv", "\n".join(lines))
        assert {"E2", "E3", "E5"} <= set(sandbox.rest.user("c1").events)
    assert report.problems[0].line == 2


def test_bad_json_lines(tmp_path: Path) -> None:
    """A line that is no object, or that Braze would refuse, is named with its reason."""
    lines = ['{"customer_id": "c1", "event": "E1"}', "{", "[1]", '{"customer_id": "c1", "event": "' + "x" * 256 + '"}']
    with Sandbox() as sandbox:
        report = imported(sandbox, tmp_path / "events.jsonl", "\n".join(lines))
        assert sandbox.rest.user("c1").events == {"E1": 1}
    assert [problem.line for problem in report.problems] == [2, 3, 4]
    assert "value_too_long" in report.problems[2].reason


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "", "empty"),
        ("a.csv", "color,size\nred,1\n", "names a user"),
        ("a.csv", "customer_id,a,a\nc1,1,2\n", "'a' more than once"),
        ("a.xlsx", "customer_id\n", ".csv"),
    ],
)
def test_files_that_cannot_be(tmp_path: Path, name: str, content: str, words: str) -> None:
    """A file that is wrong as a whole is refused before anything is sent."""
    with Sandbox() as sandbox:
        with pytest.raises(ConfigurationError, match=words):
            imported(sandbox, tmp_path / name, content)
        assert sandbox.rest.requests == []


@pytest.mark.parametrize(
    "bounds", [DeliveryOptions(max_records=200), DeliveryOptions(max_bytes=400_000, overflow="drop_newest")]
)
def test_an_import_does_not_outrun_its_queue(tmp_path: Path, bounds: DeliveryOptions) -> None:
    """However small the queue and large the rows, nothing gives way: reading waits for delivery."""
    path = tmp_path / "users.jsonl"
    rows = [{"customer_id": f"c{number}", "note": ["x" * 250] * (number % 40)} for number in range(600)]
    path.write_text("\n".join(map(json.dumps, rows)))
    with Sandbox() as sandbox:
        with BrazeRest("k", sandbox.url, storage=":memory:", delivery_options=bounds) as rest:
            report = FileImport(path, rest).run()
            assert not rest.stats().dropped
        assert (report.queued, report.finished) == (600, True)
        assert len(sandbox.rest.users) == 600


def test_a_stalled_import_stops_and_goes_on_later(tmp_path: Path) -> None:
    """When Braze takes nothing the import ends unfinished; the next run sends the rest, and nothing twice."""
    path = tmp_path / "events.jsonl"
    path.write_text("".join(json.dumps({"customer_id": "c1", "event": f"E{n}"}) + "\n" for n in range(200)))
    storage = Storage.open(tmp_path / "state", Reporter())
    with Sandbox() as sandbox:
        sandbox.fault = lambda _request: Reply(status=401)
        with rest_client(sandbox, storage=tmp_path / "queue") as rest:
            assert not FileImport(path, rest, storage=storage).run(stall_timeout=1).finished
            sandbox.fault = None
            rest.resume()
            report = FileImport(path, rest, storage=storage).run()
        assert report.finished
        assert (report.rows, report.queued) == (200, 200)
        assert sandbox.rest.user("c1").events.total() == 200


IMPORT = """
import resource
import sys
from pathlib import Path
from mparticle_kit_braze.diagnostics import Reporter
from mparticle_kit_braze.server import BrazeRest
from mparticle_kit_braze.server.importing import FileImport
from mparticle_kit_braze.storage import Storage

path, url, state, limit = sys.argv[1:]
if int(limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
storage = Storage.open(state, Reporter())
with BrazeRest("k", url, storage=storage) as rest:
    report = FileImport(path, rest, storage=storage).run()
print(report.rows, report.finished)
"""


class Importing:
    """An import in a process of its own.

    Args:
        directory: For the file and the state.
        sandbox: Where to.
        rows: How many events it has.
    """

    def __init__(self, directory: Path, sandbox: Sandbox, rows: int) -> None:
        self.names = {f"E{number}" for number in range(rows)}
        self._sandbox = sandbox
        path = directory / "events.jsonl"
        path.write_text("".join(json.dumps({"customer_id": "c1", "event": name}) + "\n" for name in self.names))
        self._command = [sys.executable, "-c", IMPORT, str(path), sandbox.url, str(directory / "state")]

    def kill_when(self, condition: Callable[[], object], limit: int = 0) -> None:
        """Begin it, with files of at most ``limit`` bytes, and kill it then."""
        command = [*self._command, str(limit)]
        with subprocess.Popen(command, env=child_environment(), stdout=subprocess.PIPE) as child:
            wait_until(lambda: condition() or child.poll() is not None, 20)
            child.send_signal(signal.SIGKILL)
        assert child.returncode == -signal.SIGKILL

    def finish(self) -> None:
        """Begin it again; nothing was lost, and only what was on its way came twice."""
        command = [*self._command, "0"]
        done = subprocess.run(command, env=child_environment(), capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert "True" in done.stdout
        events = self._sandbox.rest.user("c1").events
        assert set(events) == self.names
        # A batch in flight, and the rows that were just being queued.
        assert events.total() <= len(self.names) + 75 + GROUP


def test_killed_halfway_nothing_is_lost(tmp_path: Path) -> None:
    """After kill -9 the next run goes on: every event arrives, and at most one batch in flight comes twice."""
    with Sandbox(keep_requests=1) as sandbox:
        run = Importing(tmp_path, sandbox, 8000)
        run.kill_when(lambda: sandbox.rest.counts["events"] > 500)
        assert sandbox.rest.counts["events"] < 8000
        run.finish()


def test_killed_with_a_full_disk_nothing_is_lost(tmp_path: Path) -> None:
    """Rows that only memory holds do not count as done: a run after kill -9 reads them again."""
    with Sandbox(keep_requests=1) as sandbox:
        run = Importing(tmp_path, sandbox, 3000)
        refused: list[SandboxRequest] = []

        def busy(request: SandboxRequest) -> Reply:
            refused.append(request)
            return Reply(status=429, headers={"X-Ratelimit-Retry-After": "1"})

        sandbox.fault = busy
        run.kill_when(lambda: len(refused) > 1, limit=50_000)
        sandbox.fault = None
        run.finish()


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=30), max_size=8))
def test_any_bytes_are_read_line_by_line(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    """Whatever is in a file, reading ends, offsets grow to its end, and numbers count its lines."""
    path = tmp_path_factory.getbasetemp() / "any.csv"
    content = b"\n".join(lines)
    path.write_bytes(content)
    with path.open("rb") as file:
        read = list(read_lines(file, max_bytes=20))
    assert [line.number for line in read] == list(range(1, len(read) + 1))
    assert not read or read[-1].end == len(content)
    with path.open("rb") as file:
        rows = list(csv_rows(read_lines(file, max_bytes=20)))
    assert [row.number for row in rows] == sorted({row.number for row in rows})
