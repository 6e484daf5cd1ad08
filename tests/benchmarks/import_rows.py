"""What importing a file costs, end to end: ``python -m tests.benchmarks.import_rows [--rows N] [--kill]``.

The importer is the command line itself and the sandbox a process of its own. Every event of a user has a name of its
own, so that the sandbox can tell what was lost and what came twice. ``--kill`` ends the importer with SIGKILL halfway
and runs the same command again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mparticle_kit_braze.sandbox import Sandbox
from mparticle_kit_braze.server.importing import GROUP
from tests.support import child_environment

EVENTS_PER_USER = 10

MOST_DOUBLED = 75 + GROUP
"""After a kill: the batch in flight, and (in the instant between two steps) the rows that were just being queued."""


class Run(NamedTuple):
    """What one run of the importer took."""

    seconds: float
    cpu_seconds: float
    peak_mib: float
    status: int
    output: str


def write_rows(path: Path, rows: int) -> int:
    """Write the file; returns how many users it has."""
    users = max(1, rows // EVENTS_PER_USER)
    csv = path.suffix == ".csv"
    with path.open("w", encoding="utf-8") as file:
        if csv:
            file.write("customer_id,event,time,genre,plays\n")
        for row in range(rows):
            user, number = f"user-{row % users:06d}", row // users
            stamp = f"2026-01-{1 + number % 28:02d}T03:04:05Z"
            if csv:
                file.write(f"{user},Played Song {number},{stamp},jazz,{row % 100}\n")
            else:
                item = {"customer_id": user, "event": f"Played Song {number}", "time": stamp}
                file.write(json.dumps({**item, "attributes": {"genre": "jazz", "plays": row % 100}}) + "\n")
    return users


def serve() -> None:
    """The sandbox's process: its URL, then figures for each line read."""
    with Sandbox(keep_requests=1) as sandbox:
        print(sandbox.url, flush=True)
        for line in sys.stdin:
            if line.strip() == "count":
                answer: dict[str, Any] = {"events": sandbox.rest.counts["events"]}
            else:
                used = resource.getrusage(resource.RUSAGE_SELF)
                wanted = json.loads(line)
                names = [f"Played Song {number}" for number in range(wanted["rows"] // wanted["users"])]
                lost = doubled = 0
                for user in range(wanted["users"]):
                    events = sandbox.rest.user(f"user-{user:06d}").events
                    lost += sum(not events[name] for name in names)
                    doubled += sum(events[name] - 1 for name in names if events[name])
                answer = {
                    "events": sandbox.rest.counts["events"],
                    "requests": sandbox.rest.counts["requests"],
                    "lost": lost,
                    "doubled": doubled,
                    "cpu": used.ru_utime + used.ru_stime,
                }
            print(json.dumps(answer), flush=True)


class SandboxProcess:
    """The sandbox, elsewhere."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.url = self._read().strip()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def ask(self, question: str) -> dict[str, Any]:
        """Put one question."""
        assert self._process.stdin is not None
        self._process.stdin.write(question + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._read())
        return answer


@contextlib.contextmanager
def sandbox_process() -> Iterator[SandboxProcess]:
    """Start it, and end it."""
    command = [sys.executable, "-m", "tests.benchmarks.import_rows", "--serve"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=child_environment(), stdin=pipe, stdout=pipe, text=True) as process:
        yield SandboxProcess(process)
        assert process.stdin is not None
        process.stdin.close()


def run_import(path: Path, sandbox: SandboxProcess, state: Path, kill_after: int | None = None) -> Run:
    """Run the command line once, to its end or until the sandbox has taken ``kill_after`` events."""
    command = [sys.executable, "-m", "mparticle_kit_braze", "import", str(path)]
    command += ["--instance", sandbox.url, "--state", str(state)]
    environment = child_environment({"BRAZE_REST_API_KEY": "rest-key-1"})
    start, peak = time.perf_counter(), 0.0
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            peak = max(peak, peak_mib(process.pid))
            if kill_after is not None and sandbox.ask("count")["events"] >= kill_after:
                process.send_signal(signal.SIGKILL)
                kill_after = None
            time.sleep(0.05)
        seconds = time.perf_counter() - start
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        output = process.stdout.read() if process.stdout is not None else ""
        status = process.wait()
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    return Run(seconds, cpu, peak, status, output.strip())


def peak_mib(pid: int) -> float:
    """The most memory a process has had, as far as the system tells."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


def measure(rows: int, suffix: str, *, kill: bool) -> int:
    """Make the file, import it, print the figures; returns the exit status."""
    with tempfile.TemporaryDirectory() as directory, sandbox_process() as sandbox:
        path = Path(directory) / f"events{suffix}"
        users = write_rows(path, rows)
        print(f"{rows:,} events of {users:,} users, {path.stat().st_size / 1e6:.0f} MB of {suffix[1:]}")
        state = Path(directory) / "state"
        runs = [run_import(path, sandbox, state, rows // 2)] if kill else []
        if runs:
            taken = sandbox.ask("count")["events"]
            print(f"killed (status {runs[0].status}) with {taken:,} events taken, after {runs[0].seconds:.1f} s")
        runs.append(run_import(path, sandbox, state))
        figures = sandbox.ask(json.dumps({"rows": rows, "users": users}))
        seconds, cpu = sum(run.seconds for run in runs), sum(run.cpu_seconds for run in runs)
        peak = max(run.peak_mib for run in runs)
        print(runs[-1].output)
        print(f"{seconds:.1f} s, {rows / seconds:,.0f} events/s, {figures['requests']:,} requests")
        print(f"importer: {cpu / rows * 1e6:.1f} us CPU a row, peak memory {peak:.0f} MiB")
        print(f"sandbox: {figures['cpu'] / rows * 1e6:.1f} us CPU a row")
        print(f"lost {figures['lost']:,}, doubled {figures['doubled']:,}")
        good = not figures["lost"] and figures["doubled"] <= (MOST_DOUBLED if kill else 0) and runs[-1].status == 0
        return 0 if good else 1


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--format", choices=["csv", "jsonl"], default="csv")
    parser.add_argument("--kill", action="store_true", help="end the importer with SIGKILL halfway and go on")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
        return 0
    return measure(options.rows, f".{options.format}", kill=options.kill)


if __name__ == "__main__":
    sys.exit(main())
