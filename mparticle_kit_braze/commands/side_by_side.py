"""What ``explain`` found, as text: a table of the profiles for each record, differences marked with a star."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from .console import clean, colour, pad, pieces, terminal_width, width_of

__all__ = ["shown"]

JsonObject = dict[str, Any]

KINDS: Mapping[str, str] = {
    "ce": "custom event",
    "p": "purchase",
    "set": "array attribute set",
    "add": "added to an array attribute",
    "rem": "removed from an array attribute",
    "inc": "increment",
    "sgu": "subscription group",
    "ss": "a session begins",
}
LABELS: Mapping[str, str] = {
    "data.n": "name",
    "data.pid": "product id",
    "data.c": "currency",
    "data.p": "price",
    "data.q": "quantity",
}
LEAST_TABLE = 72
"""With fewer columns the profiles stand below each other."""

INDENT = 3
ABSENT = "-"


def shown(found: JsonObject, profiles: Sequence[str]) -> Iterator[str]:
    """The lines to print.

    Args:
        found: What ``explain`` returned.
        profiles: Their names, in order.
    """
    width = terminal_width()
    for warning in _grouped(found["warnings"]):
        yield from _hanging("setting    ", warning, width)
        yield ""
    rules: dict[str, dict[str, JsonObject]] = {}
    for number, entry in enumerate(found["calls"], 1):
        if number > 1:
            yield ""
        yield colour(pieces(f"{number}  {_title(entry['call'])}", width)[0], "bold")
        for index, row in enumerate(entry["rows"]):
            yield ""
            yield from _record(entry, index, row, profiles, width)
            for profile, at in row.items():
                if at is not None:
                    explained = entry["profiles"][profile][at]
                    rules.setdefault(explained["rule"], {}).setdefault(profile, explained)
        yield from _remarks(entry, width)
    if rules:
        yield ""
        yield colour("Rules", "bold")
        for name, said in rules.items():
            yield from _rule(name, said, profiles, width)


def _title(call: JsonObject) -> str:
    subject = call.get("name", call.get("key"))
    if subject is None:
        rest = {key: value for key, value in call.items() if key != "call"}
        subject = next((value for value in rest.values() if isinstance(value, str)), None)
    if call["call"] == "log_commerce_event" and isinstance(call["event"], dict):
        event = call["event"]
        subject = event.get("product_action") or event.get("promotion_action") or "impressions"
    return clean(call["call"] if subject is None else f"{call['call']} {_text(subject)}")


def _text(value: Any) -> str:
    return clean(json.dumps(value, ensure_ascii=False))


# -- one record -----------------------------------------------------------------------------------------------------
def _record(
    entry: JsonObject, index: int, row: Mapping[str, int | None], profiles: Sequence[str], width: int
) -> Iterator[str]:
    records = {
        profile: _fields(entry["profiles"][profile][at]["record"]) for profile, at in row.items() if at is not None
    }
    explained = next(entry["profiles"][profile][at] for profile, at in row.items() if at is not None)
    differing = {_label(each["path"]) for each in entry["differences"] if each["row"] == index}
    kind = KINDS.get(explained["record"].get("name", ""), "event") if "data" in explained["record"] else "attributes"
    yield f"{' * ' if '' in differing else ' ' * INDENT}{colour(kind, 'bold')}   rule: {explained['rule']}"
    labels = list(dict.fromkeys(label for fields in records.values() for label in fields))
    cells = {
        label: [_text(records[each][label]) if label in records.get(each, {}) else ABSENT for each in profiles]
        for label in labels
    }
    if width >= LEAST_TABLE:
        yield from _table(cells, differing, profiles, width)
    else:
        yield from _stacked(cells, differing, profiles, width)


def _fields(record: JsonObject) -> dict[str, Any]:
    """The leaves of a record by the label they are shown under."""
    found: dict[str, Any] = {}
    for path, value in _leaves(record, ""):
        if path != "name" or "data" not in record:
            found[_label(path)] = value
    return found


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and (value or not path):
        for key, member in value.items():
            yield from _leaves(member, f"{path}.{key}" if path else key)
    elif value != {}:
        yield path, value


def _label(path: str) -> str:
    if path in LABELS:
        return LABELS[path]
    for prefix in ("data.p.", "data.pr.", "data."):
        if path.startswith(prefix):
            return path.removeprefix(prefix)
    return path


def _table(cells: Mapping[str, list[str]], differing: set[str], profiles: Sequence[str], width: int) -> Iterator[str]:
    label_width = min(max([4, *(width_of(clean(label)) for label in cells)]), width // 4)
    column = (width - INDENT - label_width) // len(profiles) - 2
    used = max([6, *(width_of(cell) for row in cells.values() for cell in row)])
    column = min(column, used)
    yield (" " * (INDENT + label_width) + "".join(f"  {pad(profile, column)}" for profile in profiles)).rstrip()
    for label, row in cells.items():
        columns = [pieces(clean(label), label_width), *(pieces(cell, column) for cell in row)]
        for line in range(max(map(len, columns))):
            parts = [each[line] if line < len(each) else "" for each in columns]
            mark = " * " if label in differing and line == 0 else " " * INDENT
            text = mark + pad(parts[0], label_width) + "".join(f"  {pad(part, column)}" for part in parts[1:])
            yield colour(text.rstrip(), "yellow") if label in differing else text.rstrip()


def _stacked(cells: Mapping[str, list[str]], differing: set[str], profiles: Sequence[str], width: int) -> Iterator[str]:
    for label, row in cells.items():
        together: dict[str, list[str]] = {}
        for profile, cell in zip(profiles, row, strict=True):
            together.setdefault(cell, []).append(profile)
        name = clean(label)
        if len(together) == 1:
            yield from _hanging(f"{' ' * INDENT}{name}  ", row[0], width)
            continue
        yield colour(f" * {name}" if label in differing else f"{' ' * INDENT}{name}", "yellow")
        for cell, those in together.items():
            yield from _hanging(f"     {', '.join(those)}: ", cell, width)


# -- what else there is to say --------------------------------------------------------------------------------------
def _remarks(entry: JsonObject, width: int) -> Iterator[str]:
    lines = [("warning    ", text) for text in _grouped(entry["warnings"])]
    warned = {each["profile"] for each in entry["warnings"]}
    silent = [
        {"profile": profile, "message": f"nothing is sent: {why}"}
        for profile, why in entry["silent"].items()
        if profile not in warned
    ]
    lines += [("           ", text) for text in _grouped(silent)]
    if lines:
        yield ""
    for head, text in lines:
        yield from _hanging(f"{' ' * INDENT}{head}", text, width)


def _grouped(warnings: Iterable[JsonObject]) -> list[str]:
    """Each message once, with the profiles it concerns."""
    found: dict[str, list[str]] = {}
    for warning in warnings:
        concerned = found.setdefault(warning["message"], [])
        if warning["profile"] not in concerned:
            concerned.append(warning["profile"])
    return [f"{', '.join(concerned)}: {clean(message)}" for message, concerned in found.items()]


def _rule(name: str, said: Mapping[str, JsonObject], profiles: Sequence[str], width: int) -> Iterator[str]:
    text = next(iter(said.values()))["text"]
    yield from _hanging(f"{' ' * INDENT}{name}: ", text, width, least=INDENT + 2)
    for profile in profiles:
        if profile in said:
            explained = said[profile]
            particular = f"{explained['particular']} " if explained["particular"] else ""
            yield from _hanging(f"     {pad(profile, 8)} ", f"{particular}[{explained['source']}]", width)


def _hanging(head: str, text: str, width: int, *, least: int | None = None) -> Iterator[str]:
    """A text behind a head, its further lines indented as far (or by ``least``)."""
    indent = width_of(head) if least is None else least
    if width_of(head) > width // 2:
        indent = INDENT + 2
    lines = pieces(text, max(10, width - width_of(head)))
    yield (head + lines[0]).rstrip()
    rest = " ".join(lines[1:])
    if rest:
        for line in pieces(rest, max(10, width - indent)):
            yield " " * indent + line
