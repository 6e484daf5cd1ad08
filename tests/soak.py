"""A soak: random faults, kills and forks over many processes, and a sum that must come out even.

``python -m tests.soak --minutes 10 --seed 7``. Not collected by pytest.

Some workers share one storage directory, others have one each. Every worker notes an id in a file of its own after
``log_event`` has returned: what is in those files was accepted. All the while the endpoint answers at random as real
ones do on bad days, and workers are killed at random. In the end clients on the same directories deliver
the rest, and every accepted event must have been delivered, or be a dead letter, or have been counted as dropped.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mparticle_kit_braze import MParticle
from mparticle_kit_braze.sandbox import Reply, Sandbox
from mparticle_kit_braze.sandbox.recorder import SandboxRequest
from tests.faults.support import KEY, QUICK, Problems, ids_of_request, log, make_client
from tests.support import python_process

STRIDE = 10_000_000
"""Each process numbers its events from a multiple of this."""

BAD = 997
"""Events whose id divides by this are refused by the endpoint: they belong among the dead letters."""

BOUNDED = "bounded"
"""The storage directory with a queue so small that it overflows. Processes on it are not killed outright: one that dies
between dropping records and saying so cannot count them."""

MAX_RECORDS = 1000
"""Its bound."""

OPTIONS: dict[str, Any] = {
    "flush_interval": 0.05,
    "max_batch_records": 400,
    "connect_timeout": 1.0,
    "read_timeout": 0.5,
    "exit_timeout": 1.0,
}


# -- a worker -------------------------------------------------------------------------------------------------------
class Notes:
    """What a process accepted and dropped, in files of its own that outlive its death."""

    def __init__(self, directory: Path, place: str, first: int) -> None:
        self._accepted = (directory / f"{place}-{first}.accepted").open("ab", buffering=0)
        self._dropped = (directory / f"{place}-{first}.dropped").open("ab", buffering=0)

    def accepted(self, number: int) -> None:
        """``log_event`` returned."""
        self._accepted.write(b"%d\n" % number)

    def problem(self, problem: Any) -> None:
        """``on_error``: drops are counted."""
        if problem.code == "record_dropped":
            self._dropped.write(b"%d\n" % problem.count)


def options_for(storage: Path) -> dict[str, Any]:
    """The options of delivery on a storage directory."""
    return {**OPTIONS, "max_records": MAX_RECORDS} if storage.name == BOUNDED else OPTIONS


def work(url: str, storage: Path, notes: Path, first: int, seed: int) -> None:
    """Log at random, fork at random, until killed or told to end by SIGTERM."""
    chance = random.Random(seed)
    noted = [Notes(notes, storage.name, first)]
    client = make_client(url, storage, on_error=lambda problem: noted[0].problem(problem), **options_for(storage))  # noqa: PLW0108  (a forked child has its own)
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    numbers = itertools.count(first)
    children = 0
    while not ending.is_set():
        for _ in range(chance.randrange(1, 30)):
            number = next(numbers)
            log(client, [number])
            noted[0].accepted(number)
        roll = chance.random()
        if roll < 0.05:
            client.set_user_attribute("mood", chance.random())
        elif roll < 0.07:
            client.identify(customer_id=f"user-{chance.randrange(20)}")
        elif roll < 0.09:
            client.flush(timeout=chance.random())
        elif roll < 0.10 and children < 40:
            children += 1
            fork(client, noted, (notes, storage.name, first + children * (STRIDE // 50)), chance)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
        ending.wait(chance.uniform(0.001, 0.05))
    client.close(timeout=2)


def fork(client: MParticle, noted: list[Notes], own: tuple[Path, str, int], chance: random.Random) -> None:
    """A child that logs a little and ends: in good order, at once, or by a kill."""
    if os.fork():
        return
    with contextlib.suppress(BaseException):
        noted[0] = Notes(*own)
        _, place, first = own
        for number in range(first, first + chance.randrange(1, 200)):
            log(client, [number])
            noted[0].accepted(number)
        end = chance.random()
        if end < 0.3 and place != BOUNDED:
            os.kill(os.getpid(), signal.SIGKILL)
        elif end < 0.7 or place == BOUNDED:
            client.close(timeout=chance.random())
    os._exit(0)


# -- the endpoint ---------------------------------------------------------------------------------------------------
class Weather:
    """What the endpoint does to each request; calm and storm take turns."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        self.calm = False
        self.storm = False
        self.answers: Counter[str] = Counter()

    def __call__(self, request: SandboxRequest) -> Reply | None:
        """Answer one request."""
        if any(number % BAD == 0 for number in ids_of_request(request)):
            self.answers["400 for a record"] += 1
            return Reply(status=400, body={"message": "a bad record"})
        with self._lock:
            roll = self._chance.random()
        if self.calm or (roll > 0.35 and not self.storm):
            self.answers["accepted"] += 1
            return None
        name, reply = self._fault(request, roll)
        self.answers[name] += 1
        return reply

    def _fault(self, request: SandboxRequest, roll: float) -> tuple[str, Reply]:
        faults = {
            "500": Reply(status=500),
            "503 with Retry-After": Reply(status=503, headers={"Retry-After": "0.2"}),
            "429": Reply(status=429, headers={"Retry-After": "0.1"}),
            "no answer": Reply(hang=True),
            "connection closed": Reply(close=True),
            "slow": Reply(delay=0.1),
            "gateway page": Reply(status=502, body="<html>"),
            "error status 404": Reply(status=404),
            "HTML instead of JSON": Reply(body="<html>"),
            "cut body": Reply(body='{"config": {}}', cut=4),
        }
        if len(ids_of_request(request)) > 50:
            faults["413"] = Reply(status=413)
        names = sorted(faults)
        name = names[int(roll * 10_000) % len(names)]
        if self.storm and faults[name].records:
            name = "500"
        return name, faults[name]


# -- the whole ------------------------------------------------------------------------------------------------------
@dataclass
class Fleet:
    """The workers and the places they work on."""

    root: Path
    sandbox: Sandbox
    chance: random.Random
    running: list[tuple[subprocess.Popen[str], Path]] = field(default_factory=list)
    started: int = 0
    killed: int = 0
    ended: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def places(self) -> list[Path]:
        """Storage directories: one that is shared, and two that are not (by more than one worker at a time or so)."""
        return [
            self.root / "shared",
            self.root / "shared",
            self.root / "shared",
            self.root / "one",
            self.root / BOUNDED,
        ]

    def start(self) -> None:
        """One more worker."""
        self.started += 1
        place = self.places[self.started % len(self.places)]
        arguments = [self.sandbox.url, place, self.root / "notes", self.started * STRIDE, self.chance.randrange(10**9)]
        options = ("-W", "ignore::DeprecationWarning")
        self.running.append((python_process(Path(__file__), "--worker", *map(str, arguments), options=options), place))

    def end_one(self) -> None:
        """Kill a worker, or tell it to end."""
        process, place = self.running.pop(self.chance.randrange(len(self.running)))
        if place.name != BOUNDED and self.chance.random() < 0.7:
            process.kill()
            self.killed += 1
        else:
            process.terminate()
            self.ended += 1
        try:
            _, err = process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self.failures.append(f"a worker did not end within 30 s of signal {process.returncode}")
            process.kill()
            _, err = process.communicate()
        if err:
            self.failures.append(f"a worker printed {err[-1500:]}")

    def end_all(self) -> None:
        """End those that run."""
        while self.running:
            self.end_one()


def arrivals(sandbox: Sandbox) -> list[int]:
    """The ids of events as they are taken in: ten minutes of whole requests would be too much to keep."""
    arrived: list[int] = []
    remember = sandbox._recorder.add

    def add(request: SandboxRequest) -> None:
        if request.recorded:
            arrived.extend(ids_of_request(request))
        remember(request)

    sandbox._recorder.add = add  # type: ignore[method-assign]  # counts what the sandbox records
    return arrived


def numbers_in(directory: Path, place: str, suffix: str) -> Iterator[int]:
    """The numbers noted of a place in all files of a kind; a line that was cut short does not count."""
    for path in directory.glob(f"{place}-*.{suffix}"):
        for line in path.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n"):
                yield int(line)


def deliver_the_rest(fleet: Fleet, notes: Path) -> set[int]:
    """Clients on the same directories deliver what is left; gives the ids among the dead letters."""
    dead: set[int] = set()
    for place in sorted(set(fleet.places)):
        problems = Problems()
        client = make_client(fleet.sandbox, place, on_error=problems, **options_for(place))
        deadline = time.monotonic() + 120
        while not client.flush(timeout=10).complete and time.monotonic() < deadline:
            pass
        for letter in client.kit("Braze").delivery.dead_letters():
            dead.update(event["data"]["p"]["id"] for event in [json.loads(letter.payload)] if event["name"] == "ce")
        left = client.stats().queued
        if left:
            fleet.failures.append(f"{left} records are left in {place.name}: {client.stats().kits['Braze']}")
        client.close(timeout=5)
        with (notes / f"{place.name}-final.dropped").open("w") as file:
            file.write(f"{problems.count('record_dropped')}\n")
    return dead


def soak(minutes: float, seed: int, root: Path) -> int:
    """Run it; gives the exit code."""
    notes = root / "notes"
    notes.mkdir()
    chance = random.Random(seed)
    weather = Weather(seed)
    with Sandbox(KEY, QUICK, keep_requests=10) as sandbox:
        sandbox.fault = weather
        arrived = arrivals(sandbox)
        fleet = Fleet(root, sandbox, chance)
        end = time.monotonic() + minutes * 60
        while time.monotonic() < end:
            while len(fleet.running) < 5:
                fleet.start()
            time.sleep(chance.uniform(0.2, 1.5))
            roll = chance.random()
            weather.storm = roll < 0.15
            if 0.15 < roll < 0.2:
                sandbox.stop()
                time.sleep(chance.uniform(0.1, 2.0))
                sandbox.start()
            fleet.end_one()
        weather.calm = True
        fleet.end_all()
        dead = deliver_the_rest(fleet, notes)
        return report(fleet, weather, arrived, dead, notes)


def report(fleet: Fleet, weather: Weather, arrived: list[int], dead: set[int], notes: Path) -> int:
    """Print the sums; gives the exit code."""
    print(f"workers    {fleet.started} started, {fleet.killed} killed, {fleet.ended} told to end")
    print(f"answers    {dict(weather.answers)}")
    problems = list(fleet.failures)
    delivered = set(arrived)
    for place in sorted({place.name for place in fleet.places}):
        accepted = set(numbers_in(notes, place, "accepted"))
        dropped = sum(numbers_in(notes, place, "dropped"))
        missing = accepted - delivered - dead
        sums = f"{len(accepted)} accepted = {len(accepted & delivered)} delivered + {len(accepted & dead)} dead"
        print(f"{place:10} {sums} + {len(missing)} missing; {dropped} records were counted as dropped")
        # Session starts and attributes are dropped as well: where there are drops, no more than those may be missing.
        if len(missing) > dropped:
            problems.append(f"{len(missing) - dropped} events were lost in {place}: {sorted(missing)[:20]}")
    print(f"twice      {len(arrived) - len(delivered)} (in flight at a kill, or the answer was lost)")
    if odd := {number for number in dead if number % BAD}:
        problems.append(f"{len(odd)} dead letters were not bad: {sorted(odd)[:20]}")
    if delivered & dead:
        problems.append(f"{len(delivered & dead)} events were delivered and are dead: {sorted(delivered & dead)[:20]}")
    for problem in problems:
        print("FAILED    ", problem)
    print("NOT OK" if problems else "OK")
    return 1 if problems else 0


def main() -> int:
    """The command line."""
    if sys.argv[1:2] == ["--worker"]:
        url, storage, notes, first, seed = sys.argv[2:]
        work(url, Path(storage), Path(notes), int(first), int(seed))
        return 0
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    arguments = parser.parse_args()
    print(f"seed       {arguments.seed}", flush=True)
    root = Path(tempfile.mkdtemp(prefix="soak-"))
    code = soak(arguments.minutes, arguments.seed, root)
    if code:
        print("kept       ", root)
    else:
        shutil.rmtree(root, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
