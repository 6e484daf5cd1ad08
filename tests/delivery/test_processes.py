"""Real processes: killed, ended, forked, many at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from mparticle_kit_braze.delivery import Delivery
from mparticle_kit_braze.delivery.journal import parse_frames

from .server import Reply, Server
from .support import numbers, until
from .test_dispatcher import append

Make = Callable[..., Delivery]
ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a POSIX system")


def start(
    scenario: str, server: Server, directory: Path, argument: object = "", **options: int
) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.delivery.worker", scenario, server.url, str(directory), str(argument)]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore::DeprecationWarning"}
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=options.get("stdout", subprocess.PIPE),
        stderr=subprocess.PIPE,
        text=True,
    )


def run(scenario: str, server: Server, directory: Path, argument: object = "") -> tuple[str, float]:
    """Run a scenario to its end; it must print nothing on stderr. Returns what it said, and the seconds it took."""
    begun = time.monotonic()
    process = start(scenario, server, directory, argument)
    out, err = process.communicate(timeout=60)
    assert err == ""
    assert process.returncode == 0
    return out.strip(), time.monotonic() - begun


@pytest.mark.parametrize("milliseconds", [5, 90])
def test_sigkill_at_any_instant_loses_nothing(make: Make, server: Server, tmp_path: Path, milliseconds: int) -> None:
    """Every record accepted before SIGKILL arrives by the next start; only the batch in flight may arrive twice."""
    output = tmp_path / "accepted"
    with output.open("w") as file:
        process = start("endless", server, tmp_path / "state", 0, stdout=file.fileno())
        until(lambda: output.stat().st_size > 0, 20)
        time.sleep(milliseconds / 1000)  # the instant is arbitrary on purpose
        process.kill()
        process.communicate()
    accepted = [int(line) for line in output.read_text().splitlines(keepends=True) if line.endswith("\n")]
    in_flight = server.requests[-1].items if server.requests else []
    delivery = make()
    append(delivery, [-1])
    assert delivery.flush(20).complete
    arrived = Counter(numbers(server.accepted))
    assert set(accepted) <= set(arrived)
    twice = {number for number, times in arrived.items() if times > 1}
    assert twice <= set(numbers(in_flight))
    assert max(arrived.values()) <= 2
    assert list(arrived)[:-1] == sorted(number for number in arrived if number >= 0)


def test_a_script_that_simply_ends_delivers(server: Server, tmp_path: Path) -> None:
    """Without flush or close everything arrives within the exit budget, and stderr stays empty."""
    _, seconds = run("script", server, tmp_path / "state", 1000)
    assert numbers(server.accepted) == list(range(1000))
    assert seconds < 10
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == ["lease.lock", "outbox.db"]


def test_exit_does_not_wait_for_a_failing_endpoint(server: Server, tmp_path: Path) -> None:
    """A server that fails costs the exit one attempt, not the budget."""
    server.decide = lambda _items: Reply(503)
    run("script", server, tmp_path / "state", 10)
    assert len(server.requests) == 1


def test_a_fork_does_not_wait_long_for_a_busy_outbox(server: Server, tmp_path: Path) -> None:
    """A child forked in the middle of a write keeps its hands off the database; others deliver its records."""
    said, _ = run("fork_stuck", server, tmp_path / "state")
    assert said == "0 True True"
    assert sorted(numbers(server.accepted)) == [1, 2]


def test_forks_in_the_middle_of_everything(server: Server, tmp_path: Path) -> None:
    """Forks while other threads append, send and hold locks: no child hangs, nothing is lost or doubled."""
    said, _ = run("fork_busy", server, tmp_path / "state", 15)
    count, codes, complete = said.split(" ", 1)[0], said[said.index("[") : said.index("]") + 1], said.split()[-1]
    assert codes == str([0] * 15)
    assert complete == "True"
    arrived = numbers(server.accepted)
    children = [1_000_000 * number + index for number in range(1, 16) for index in range(20)]
    assert sorted(arrived) == sorted([*range(int(count)), *children])


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_children_of_multiprocessing(make: Make, server: Server, tmp_path: Path, method: str) -> None:
    """Children deliver at their end although multiprocessing runs no exit handlers there."""
    said, _ = run("processes", server, tmp_path / "state", method)
    assert said == "[0, 0, 0]"
    assert sorted(numbers(server.accepted)) == [0, 1, 2, 3]


def test_many_processes_on_one_directory(make: Make, server: Server, tmp_path: Path) -> None:
    """Six scripts at once on one directory: every record arrives exactly once."""
    processes = [start("script", server, tmp_path / "state", 300) for _ in range(6)]
    for process in processes:
        assert process.communicate(timeout=60)[1] == ""
    make().flush(10)
    assert Counter(numbers(server.accepted)) == Counter(dict.fromkeys(range(300), 6))


@pytest.mark.parametrize("limit", [0, 100, 3000, 5000, 30_000])
def test_a_full_disk_loses_nothing(server: Server, tmp_path: Path, limit: int) -> None:
    """With real short writes and errors at any point of the way, all that was accepted is delivered once."""
    said, _ = run("disk_limit", server, tmp_path / "state", limit)
    assert said == "500 500 0"
    assert sorted(numbers(server.accepted)) == list(range(500))


@pytest.mark.parametrize("limit", [50_000, 80_000])
def test_killed_with_a_full_disk_what_was_on_it_is_not_lost(
    make: Make, server: Server, tmp_path: Path, limit: int
) -> None:
    """Going on in memory and trying to come back to disk never takes a record off the disk that is not sent."""
    server.decide = lambda _items: Reply(503)
    process = start("killed_with_a_full_disk", server, tmp_path / "state", limit)
    assert process.communicate(timeout=60)[1] == ""
    assert process.returncode == -signal.SIGKILL
    (journal,) = (tmp_path / "state").glob("*.journal")
    frames, _ = parse_frames(journal.read_bytes())
    written = {json.loads(frame[1:])["n"] for frame in frames}
    assert len(written) > 100
    server.decide = lambda _items: Reply()
    delivery = make()
    assert delivery.flush(20).complete
    assert written <= set(numbers(server.accepted))


def test_memory_stays_bounded_while_offline(server: Server, tmp_path: Path) -> None:
    """Twenty megabytes of records against a dead endpoint cost a fraction of that in memory."""
    server.decide = lambda _items: Reply(503)
    said, _ = run("memory_budget", server, tmp_path / "state", 40_000)
    assert int(said) < 12 * 1024
