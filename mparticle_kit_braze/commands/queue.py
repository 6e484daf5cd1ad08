"""``queue``: look into stored queues, and see to their dead letters."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from ..delivery.options import DeadLetter
from .arguments import Arguments, Parser, add_json
from .console import clean, colour, pieces, terminal_width, write, write_json
from .running import Exit, UsageError
from .stored_queue import Item, StoredQueue, decoded, find_queues, mutable, storage_directory

__all__ = ["main"]

EXAMPLES = """\
A record is queued from the call until Braze has taken it. What Braze refuses while it takes
other records becomes a dead letter. Every process that uses the directory sends what is queued.

examples:
  $ export MPARTICLE_STORAGE=state
  $ python -m mparticle_kit_braze queue list
  Braze  2 waiting, 145 bytes, 1 dead
         4     0s  event Played Song
         5     0s  attributes level
  $ python -m mparticle_kit_braze queue count --max 1000
         2  Braze
  $ python -m mparticle_kit_braze queue age --max 3600
         0  Braze
  $ python -m mparticle_kit_braze queue dead
  Braze  1 dead
         1  2026-11-21 22:38:48Z  event Refused Song
            HTTP 400: name too long
  $ python -m mparticle_kit_braze queue export --dead --output dead.jsonl
  1 records written to dead.jsonl
  $ python -m mparticle_kit_braze queue retry 1 --queue Braze
  1 dead letter queued again, to be sent by the next process that uses the directory
  $ python -m mparticle_kit_braze queue delete --all
  no dead letters
"""

JsonObject = dict[str, Any]


def main(arguments: Sequence[str]) -> int:
    """Run the command; see ``--help``."""
    options = _parser().parse_args(arguments)
    storage = storage_directory(options.storage)
    queues = find_queues(storage, options.queue)
    return int(options.action(options, queues))


def _parser() -> Parser:
    parser = Parser(
        "queue",
        "Look into the queues of a storage directory, also while a client uses it: list, count, age, dead and export "
        "take no lock and change no file. retry and delete concern dead letters only: records that Braze refused.",
        EXAMPLES,
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION", parser_class=Arguments)
    _add(actions, "list", _list, "the records that wait, oldest first").add_argument(
        "--limit", type=_count, default=20, metavar="N", help="records to show of each queue (default: 20)"
    )
    _add(actions, "count", _count_records, "how many records wait").add_argument(
        "--max", type=_count, metavar="N", help="exit with 1 if more wait in all"
    )
    _add(actions, "age", _age, "how long the oldest record has waited, in seconds").add_argument(
        "--max", type=_count, metavar="SECONDS", help="exit with 1 if one has waited longer"
    )
    _add(actions, "dead", _dead, "the dead letters, and why they were refused")
    for name, action, what in (
        ("retry", _retry, "queue dead letters again, behind what waits"),
        ("delete", _delete, "discard dead letters for good"),
    ):
        _add_choice(_add(actions, name, action, what))
    export = _add(actions, "export", _export, "everything that waits, or the dead letters, as JSON lines")
    export.add_argument("--dead", action="store_true", help="the dead letters")
    export.add_argument("--output", metavar="FILE", help="a new file, for you alone (default: standard output)")
    return parser


def _add(actions: Any, name: str, action: Callable[..., int], what: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
    parser.add_argument(
        "--storage",
        metavar="DIR",
        help="the storage directory (default: that of MPARTICLE_STORAGE, or else the user's data directory)",
    )
    parser.add_argument("--queue", metavar="NAME", help="this queue only, such as Braze (default: all)")
    add_json(parser)
    parser.set_defaults(action=action)
    return parser


def _add_choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", nargs="*", type=_count, help="the number of a dead letter, as dead shows it")
    parser.add_argument("--reason", help="all with exactly this reason")
    parser.add_argument("--all", action="store_true", help="all dead letters")
    parser.add_argument(
        "--wait", type=float, default=3.0, metavar="SECONDS", help="how long to wait for a process that is sending"
    )


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("takes a whole number from 0 up")
    return number


# -- what waits -----------------------------------------------------------------------------------------------------
def _list(options: argparse.Namespace, queues: Mapping[str, Path]) -> int:
    now = time.time()
    found: JsonObject = {}
    for name, directory in queues.items():
        with StoredQueue(directory) as queue:
            records = list(islice(queue.records(), options.limit))
            waiting, size = queue.count()
            found[name] = {
                "directory": str(directory),
                "waiting": waiting,
                "bytes": size,
                "dead": queue.count_dead(),
                "records": [_record(item, now) for item in records],
            }
    if options.json:
        write_json(found)
        return Exit.OK
    if not found:
        write("no queues")
    for name, one in found.items():
        write(f"{colour(clean(name), 'bold')}  {one['waiting']} waiting, {one['bytes']} bytes, {one['dead']} dead")
        for record in one["records"]:
            number = "-" if record["id"] is None else record["id"]
            write(_fitted(f"  {number:>6}  {_duration(record['age']):>5}  {_summary(record['record'])}"))
        if one["waiting"] > len(one["records"]):
            write(f"  and {one['waiting'] - len(one['records'])} more")
    return Exit.OK


def _record(item: Item, now: float) -> JsonObject:
    return {"id": item.id, "time": item.time, "age": _since(item.time, now), "kind": item.kind, "record": item.value}


def _count_records(options: argparse.Namespace, queues: Mapping[str, Path]) -> int:
    counts = {}
    for name, directory in queues.items():
        with StoredQueue(directory) as queue:
            counts[name] = queue.count()[0]
    total = sum(counts.values())
    if options.json:
        write_json({"queues": counts, "total": total})
    else:
        write(f"{count:>8}  {clean(name)}" for name, count in counts.items())
        if len(counts) != 1:
            write(f"{total:>8}  in all")
    return Exit.OK if options.max is None or total <= options.max else Exit.FAILED


def _age(options: argparse.Namespace, queues: Mapping[str, Path]) -> int:
    now = time.time()
    ages: dict[str, int | None] = {}
    for name, directory in queues.items():
        with StoredQueue(directory) as queue:
            oldest = queue.oldest()
            ages[name] = None if oldest is None else _since(oldest, now)
    known = [age for age in ages.values() if age is not None]
    if options.json:
        write_json({"queues": ages, "oldest": max(known, default=None)})
    else:
        write(f"{'-' if age is None else age:>8}  {clean(name)}" for name, age in ages.items())
        if not ages:
            write("no queues")
    return Exit.OK if options.max is None or max(known, default=0) <= options.max else Exit.FAILED


def _since(then: float, now: float) -> int:
    return max(0, int(now - then))


# -- dead letters ---------------------------------------------------------------------------------------------------
def _dead(options: argparse.Namespace, queues: Mapping[str, Path]) -> int:
    found: dict[str, list[JsonObject]] = {}
    for name, directory in queues.items():
        with StoredQueue(directory) as queue:
            found[name] = [_letter(letter) for letter in queue.dead()]
    if options.json:
        write_json(found)
        return Exit.OK
    if not any(found.values()):
        write("no dead letters")
    for name, letters in found.items():
        if letters:
            write(f"{colour(clean(name), 'bold')}  {len(letters)} dead")
        for letter in letters:
            write(_fitted(f"  {letter['id']:>6}  {_moment(letter['time'])}  {_summary(letter['record'])}"))
            write(f"          {line}" for line in pieces(clean(letter["reason"]), max(20, terminal_width() - 10)))
    return Exit.OK


def _letter(letter: DeadLetter) -> JsonObject:
    record = decoded(letter.payload)
    return {"id": letter.id, "time": letter.time, "reason": letter.reason, "kind": letter.kind, "record": record}


def _retry(options: argparse.Namespace, queues: Mapping[str, Path]) -> int:
    return _change(options, queues, "queued again, to be sent by the next process that uses the directory")


def _delete(options: argparse.Namespace, queues: Mapping[str, Path]) -> int:
    return _change(options, queues, "deleted")


def _change(options: argparse.Namespace, queues: Mapping[str, Path], done: str) -> int:
    if sum((bool(options.id), options.reason is not None, options.all)) != 1:
        raise UsageError("say which: numbers, --reason TEXT or --all")
    if options.id and len(queues) > 1:
        raise UsageError(f"numbers need --queue, as there are several: {', '.join(queues)}")
    ids = set(options.id) if options.id else None
    changed = {}
    for name, directory in queues.items():
        with StoredQueue(directory) as queue:
            dead = queue.count_dead()
        if not dead:
            changed[name] = 0
            continue
        with mutable(directory, options.wait) as outbox:
            if options.action is _retry:
                changed[name] = outbox.revive_dead_letters(time.time(), options.reason, ids=ids)
            else:
                changed[name] = outbox.delete_dead_letters(options.reason, ids=ids)
    total = sum(changed.values())
    if options.json:
        write_json({"queues": changed, "total": total})
    else:
        write(f"{total} dead letter{'' if total == 1 else 's'} {done}" if total else "no dead letters")
    return Exit.OK if total or options.all else Exit.FAILED


# -- export ---------------------------------------------------------------------------------------------------------
def _export(options: argparse.Namespace, queues: Mapping[str, Path]) -> int:
    count = 0
    with _output(options.output) as file:
        for name, directory in queues.items():
            with StoredQueue(directory) as queue:
                for line in _lines(name, queue, dead=options.dead):
                    file.write(json.dumps(line) + "\n")
                    count += 1
    if options.output is not None:
        if options.json:
            write_json({"file": options.output, "records": count})
        else:
            write(f"{count} records written to {clean(options.output)}")
    return Exit.OK


def _lines(name: str, queue: StoredQueue, *, dead: bool) -> Iterator[JsonObject]:
    if dead:
        for letter in queue.dead():
            yield {"queue": name, **_letter(letter)}
    else:
        for item in queue.records():
            yield {"queue": name, "id": item.id, "time": item.time, "kind": item.kind, "record": item.value}


@contextmanager
def _output(name: str | None) -> Iterator[TextIO]:
    if name is None:
        yield sys.stdout
        return
    try:
        descriptor = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        raise UsageError(f"{name} exists already; name a new file") from None
    with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
        yield file


# -- texts ----------------------------------------------------------------------------------------------------------
KINDS: Mapping[str, tuple[str, str]] = {
    "ce": ("event", "n"),
    "p": ("purchase", "pid"),
    "set": ("array attribute", "key"),
    "add": ("array attribute", "key"),
    "rem": ("array attribute", "key"),
    "inc": ("increment", "key"),
    "sgu": ("subscription group", "group_id"),
    "ss": ("session start", ""),
    "se": ("session end", ""),
}
"""What events of the SDK endpoint are called, and which member of their data names them."""


def _summary(record: Any) -> str:
    """A record in a few words: what it is, not what it says about anybody."""
    if not isinstance(record, dict):
        return "a record of unknown form"
    data = record.get("data")
    if isinstance(data, dict):
        kind, key = KINDS.get(str(record.get("name")), (str(record.get("name")), "n"))
        return clean(f"{kind} {data[key]}" if key in data else kind)
    names = [str(key) for key in record if key not in ("user_id", "custom", "device_id")]
    custom = record.get("custom")
    names += map(str, custom) if isinstance(custom, dict) else []
    return clean(f"attributes {', '.join(names)}")


def _duration(seconds: int) -> str:
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%SZ")


def _fitted(line: str) -> str:
    return pieces(line, terminal_width())[0]
