"""``explain``: what a call becomes in each of the four profiles, by which rule, and where they differ."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from typing_extensions import Self

from ..braze import Braze
from ..braze_kit import BrazeKit
from ..braze_kit.mapping import rule_of, why_nothing
from ..client import MParticle
from ..diagnostics import Problem
from ..errors import InvalidArgumentError, MParticleError
from ..overriding import override
from .arguments import Parser, add_json
from .calls import Script, make_call, read_script
from .console import write, write_json
from .inputs import read_document, read_settings
from .kit_settings import PROFILES, add_settings, kit_configuration
from .running import Exit
from .side_by_side import shown

__all__ = ["PROFILES", "explain", "main"]

NOBODY = "http://127.0.0.1:9"
"""The endpoint; nothing is ever sent to it."""

JsonObject = dict[str, Any]

EXAMPLES = """\
what the file holds:
  one call, a list of calls, or an object with "calls", and perhaps "identities" of the user
  before the first of them, and "settings". A call is its name and its arguments:

    {"call": "log_event", "name": "Played Song", "attributes": {"genre": "Jazz"}}
    {"call": "log_commerce_event", "product_action": "purchase",
     "products": [{"name": "Tea", "sku": "SKU-1", "price": 4.5}], "transaction": {"id": "t-1"}}
    {"call": "set_user_attribute", "key": "$FirstName", "value": "Ada"}
    {"call": "identify", "identities": {"customer_id": "ada-1815"}}

  All methods of the client that send something are calls. {"$date": "2020-01-02T03:04:05Z"}
  is a date-time. A star marks what differs; - is nothing.

settings:
  by Python's name with Python's values (bundle_commerce_event_data=true), or by mParticle's
  with its texts (bundleCommerceEventData=True), which each platform reads in its own way.

examples:
  $ cat event.json
  {"name": "Played Song", "attributes": {"genre": "Jazz", "plays": 3}}
  $ python -m mparticle_kit_braze explain event.json
  1  log_event "Played Song"

     custom event   rule: event
            native         web            android        ios
     name   "Played Song"  "Played Song"  "Played Song"  "Played Song"
     genre  "Jazz"         "Jazz"         "Jazz"         "Jazz"
   * plays  3              3              "3"            "3"

  Rules
     event: A custom event of the same name with the attributes as properties.
       native   leading $ off names; Python's types kept; arrays and objects left
                out [mParticle's documentation of the Braze integration, custom
                events]
       web      leading $ off names and text values; types kept; arrays and
                objects left out [Braze web kit, BrazeKit-dev.js, custom events]
       android  names as given; every value as Java's text, typed again only with
                enable_type_detection [mparticle-android-sdk, AppboyKit.kt
                logEvent(MPEvent)]
       ios      one leading $ off property names; every value as text, typed again
                only with enable_type_detection [mparticle-apple-sdk, MPKitBraze.m
                logBrazeCustomEvent:eventType:]

  $ cat tag.json
  {"call": "set_user_tag", "key": "vip"}
  $ python -m mparticle_kit_braze explain tag.json --setting user_tags_value=null
  1  set_user_tag "vip"

   * attributes   rule: tag
                 native  web     android  ios
     custom.vip  null    null    -       -

                android: nothing is sent: the Android kit has no tags
                ios: nothing is sent: the Apple kit has no tags

  Rules
     tag: A tag is a custom attribute.
       native   true (user_tags_value) [mParticle's documentation of the Braze
                integration, user attributes]
       web      null [Braze web kit, BrazeKit-dev.js, user attributes]
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command; see ``--help``."""
    options = _parser().parse_args(arguments)
    found = explain(read_document(options.file), read_settings(options.settings, options.setting))
    if options.json:
        write_json(found)
    else:
        write(shown(found, PROFILES))
    return Exit.OK


def _parser() -> Parser:
    parser = Parser(
        "explain",
        "Show what calls become in each of the four profiles, side by side, and by which rule. "
        "Nothing is sent, and nothing is stored.",
        EXAMPLES,
    )
    parser.add_argument("file", help="a JSON file with a call, a list of calls or JSON lines; - for standard input")
    add_settings(parser)
    add_json(parser)
    return parser


def explain(
    call: Mapping[str, Any] | Sequence[Any],
    settings: Mapping[str, Any] | None = None,
    *,
    profiles: Sequence[str] = PROFILES,
) -> JsonObject:
    """Say what calls become in each profile, without sending or storing anything.

    Args:
        call: One call (``{"call": "log_event", "name": "Played", "attributes": {...}}``), a list of calls, or an object
            with ``calls`` and perhaps ``identities`` (of the user before the first call) and ``settings``. Later calls
            see what earlier ones did.
        settings: Kit settings by Python's or mParticle's name, or mParticle's whole kit configuration (with ``as``).
        profiles: Which profiles to look at.

    Returns:
        Plain JSON data: ``calls``, a list of objects, and ``warnings`` about the settings. Each call has

        - ``call``: the call, its name spelt out;
        - ``profiles``: profile -> what Braze gets, in order, each ``record`` with its ``rule``, what the rule says
          (``text``), what is particular about the profile (``particular``) and its ``source``;
        - ``silent``: profile -> why it gets nothing;
        - ``warnings``: ``profile``, ``code`` and ``message`` of what was left out or changed;
        - ``rows``: which records stand side by side, profile -> index, ``None`` for no counterpart;
        - ``differences``: ``row``, ``path`` in the record, and ``values`` by profile; a profile that has the record
          but not the path is not in ``values``. An empty path: some profiles lack the record.

        Times, session ids and session events of other calls than identity calls are left out.

    Raises:
        InvalidArgumentError: A call is none, or the client would not take it.
        ConfigurationError: A setting is malformed.
    """
    script = read_script(call)
    configuration = kit_configuration({**script.settings, **(settings or {})}, "explain", NOBODY)
    entries: list[JsonObject] = [{"call": each, "profiles": {}, "silent": {}, "warnings": []} for each in script.calls]
    warnings: list[JsonObject] = []
    for profile in profiles:
        with _Explainer(profile, configuration) as explainer:
            explainer.prepare(script)
            warnings += explainer.warnings()
            for number, entry in enumerate(entries, 1):
                explainer.run(number, entry)
    for entry in entries:
        entry["rows"] = side_by_side(entry["profiles"])
        entry["differences"] = list(differences(entry["profiles"], entry["rows"]))
    return {"calls": entries, "warnings": warnings}


# -- one profile ----------------------------------------------------------------------------------------------------
class _SilentBraze(Braze):
    """Keeps its records instead of queueing them, and makes no request."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.delivery.close(timeout=0)  # before it began: no thread, no request
        self.records: list[JsonObject] = []
        self._recorder.divert(self._keep)

    def _keep(self, _kind: str, payload: bytes) -> bool:
        self.records.append(json.loads(payload))
        return True


class _SilentKit(BrazeKit):
    """A Braze kit over a :class:`_SilentBraze`."""

    @override
    def _braze_class(self) -> type[Braze]:
        return _SilentBraze

    def take(self) -> list[JsonObject]:
        """What was recorded since this was last asked for."""
        if not isinstance(self._braze, _SilentBraze):  # not started: a rule of the configuration keeps it off
            return []
        taken, self._braze.records = self._braze.records, []
        return taken

    @property
    def session_id(self) -> str:
        """What stands in for ids that recommended events need; another one in each run."""
        return self._session_id.current


class _Explainer:
    """A client with one profile, call by call."""

    def __init__(self, profile: str, configuration: JsonObject) -> None:
        self._profile = profile
        self._problems: list[Problem] = []
        self._kit = _SilentKit.from_configuration(configuration, profile=profile)  # type: ignore[arg-type]  # one of those there are
        self._client = MParticle([self._kit], storage=":memory:", on_error=self._problems.append)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close(timeout=0)

    def prepare(self, script: Script) -> None:
        """Bring about what holds before the first call."""
        if script.identities:
            make_call(self._client, {"call": "identify", "identities": script.identities})
        self._kit.take()

    def warnings(self) -> list[JsonObject]:
        """What was reported since this was last asked for."""
        found = [
            {"profile": self._profile, "code": problem.code, "message": problem.message} for problem in self._problems
        ]
        self._problems.clear()
        return found

    def run(self, number: int, entry: JsonObject) -> None:
        """Make a call and enter what came of it."""
        call = entry["call"]
        try:
            make_call(self._client, call)
        except MParticleError as error:
            raise InvalidArgumentError(f"call {number}: {error}") from None
        found = [self._explained(call, record) for record in self._kit.take() if _belongs(call["call"], record)]
        entry["profiles"][self._profile] = found
        warned = self.warnings()
        entry["warnings"] += warned
        if not found:
            entry["silent"][self._profile] = (
                warned[-1]["message"] if warned else why_nothing(call["call"], self._profile)
            )

    def _explained(self, call: JsonObject, record: JsonObject) -> JsonObject:
        random = {self._kit.session_id: "<session id>"}
        if (user := self._client.current_user) is not None:
            random[str(user.mpid)] = "<mpid>"
        kept = {key: value for key, value in record.items() if key not in ("time", "session_id")}
        rule = rule_of(call["call"], record, key=str(call.get("key", "")))
        return {
            "record": _replaced(kept, random),
            "rule": rule.name,
            "text": rule.text,
            "particular": rule.profiles.get(self._profile, ""),
            "source": rule.sources[self._profile],
        }


def _belongs(call: str, record: JsonObject) -> bool:
    """Whether a record is the call's own, not the end of a session or the beginning of one that came with it."""
    code = record.get("name")
    return code not in ("ss", "se") or (code == "ss" and call in ("identify", "login", "logout", "modify"))


def _replaced(value: Any, names: Mapping[str, str]) -> Any:
    """The value with texts that another run would not have replaced by what they are."""
    if isinstance(value, dict):
        return {key: _replaced(member, names) for key, member in value.items()}
    if isinstance(value, list):
        return [_replaced(member, names) for member in value]
    return names.get(value, value) if isinstance(value, str) else value


# -- side by side ---------------------------------------------------------------------------------------------------
def side_by_side(profiles: Mapping[str, list[JsonObject]]) -> list[dict[str, int | None]]:
    """Which records of the profiles are each other's counterparts, in the order of the first that has one."""
    alone = all(len(entries) <= 1 for entries in profiles.values())
    rows: dict[tuple[str, str, int], dict[str, int | None]] = {}
    for profile, entries in profiles.items():
        seen: Counter[tuple[str, str]] = Counter()
        for index, entry in enumerate(entries):
            key = ("", "") if alone else _likeness(entry["record"])
            row = rows.setdefault((*key, seen[key]), dict.fromkeys(profiles))
            row[profile] = index
            seen[key] += 1
    return list(rows.values())


def _likeness(record: JsonObject) -> tuple[str, str]:
    """What counterparts have in common: the kind, and the name of an event, which may have lost dollar signs."""
    if "data" not in record:
        return "attributes", ""
    data = record["data"]
    return record["name"], str(data.get("n", data.get("key", ""))).lstrip("$")


def differences(
    profiles: Mapping[str, list[JsonObject]], rows: Sequence[Mapping[str, int | None]]
) -> Iterator[JsonObject]:
    """Where records that stand side by side differ."""
    for number, row in enumerate(rows):
        records = {
            profile: dict(flat(profiles[profile][index]["record"]))
            for profile, index in row.items()
            if index is not None
        }
        if len(records) < len(profiles):
            yield {"row": number, "path": "", "values": dict.fromkeys(records, "sent")}
        for path in dict.fromkeys(path for record in records.values() for path in record):
            values = {profile: record[path] for profile, record in records.items() if path in record}
            if len(values) < len(records) or len({_comparable(value) for value in values.values()}) > 1:
                yield {"row": number, "path": path, "values": values}


def flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of an object, each with its path, the keys joined by points."""
    if isinstance(value, dict) and (value or not path):
        for key, member in value.items():
            yield from flat(member, f"{path}.{key}" if path else key)
    else:
        yield path, value


def _comparable(value: Any) -> str:
    """A text that is the same for values that Braze takes for the same: 9 and 9.0, but not 1 and true."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, sort_keys=True)
