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
from ..braze_kit.settings import SETTING_NAMES
from ..client import MParticle
from ..diagnostics import Problem
from ..errors import InvalidArgumentError, MParticleError
from ..overriding import override
from .calls import Script, make_call, read_script
from .console import Exit, Parser, write, write_json
from .inputs import read_document, read_settings
from .side_by_side import shown

__all__ = ["PROFILES", "explain", "main"]

PROFILES = ("native", "web", "android", "ios")

NOBODY = "http://127.0.0.1:9"
"""The endpoint; nothing is ever sent to it."""

JsonObject = dict[str, Any]

EXAMPLES = """\
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
    parser.add_argument(
        "--setting",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the kit, by Python's or mParticle's name; may be given several times",
    )
    parser.add_argument("--settings", metavar="FILE", help="a JSON file of settings, or mParticle's kit configuration")
    parser.add_json()
    return parser


def explain(call: Mapping[str, Any] | Sequence[Any], settings: Mapping[str, Any] | None = None) -> JsonObject:
    """Say what calls become in each profile, without sending or storing anything.

    Args:
        call: One call (``{"call": "log_event", "name": "Played", "attributes": {...}}``), a list of calls, or an object
            with ``calls`` and perhaps ``identities`` (of the user before the first call) and ``settings``. Later calls
            see what earlier ones did.
        settings: Kit settings by Python's or mParticle's name, or mParticle's whole kit configuration (with ``as``).

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
    configuration = kit_configuration({**script.settings, **(settings or {})})
    entries: list[JsonObject] = [{"call": each, "profiles": {}, "silent": {}, "warnings": []} for each in script.calls]
    warnings: list[JsonObject] = []
    for profile in PROFILES:
        with _Explainer(profile, configuration) as explainer:
            explainer.prepare(script)
            warnings += explainer.warnings()
            for number, entry in enumerate(entries, 1):
                explainer.run(number, entry)
    for entry in entries:
        entry["rows"] = side_by_side(entry["profiles"])
        entry["differences"] = list(differences(entry["profiles"], entry["rows"]))
    return {"calls": entries, "warnings": warnings}


def kit_configuration(given: Mapping[str, Any]) -> JsonObject:
    """MParticle's kit configuration from settings by either name, or from a configuration; key and host are not real.

    Raises:
        InvalidArgumentError: Its settings are no object.
    """
    whole = {key: given[key] for key in given if key in _CONFIGURATION_KEYS}
    form = "settings" if "moduleId" in whole else "as"
    own = whole.pop(form, {})
    if not isinstance(own, Mapping):
        raise InvalidArgumentError(f"{form!r} of a kit configuration must be an object")
    beside = {SETTING_NAMES.get(key, key): given[key] for key in given if key not in _CONFIGURATION_KEYS}
    settings = {"userIdentificationType": "CustomerId", **own, **beside}
    for elsewhere in _NO_EFFECT:
        settings.pop(elsewhere, None)
    settings.update(apiKey="explain", host=NOBODY)
    return {"id": 28, **whole, form: settings}


_CONFIGURATION_KEYS = frozenset(
    {"id", "as", "hs", "bk", "pr", "avf", "crvf", "eau", "moduleId", "settings", "name", "isDebug", "isVisible"}
    | {"eventTypeFilters", "eventNameFilters", "attributeFilters", "screenNameFilters", "screenAttributeFilters"}
    | {"userAttributeFilters", "userIdentityFilters", "filteringEventAttributeValue", "filteringUserAttributeValue"}
    | {"filteringConsentRuleValues", "excludeAnonymousUser"}
)
_NO_EFFECT = ("cluster", "dataCenterLocation", "app_version", "sdk_authentication")
"""Settings that decide where data goes or how the app presents itself, not what it becomes."""


# -- one profile ----------------------------------------------------------------------------------------------------
class _SilentBraze(Braze):
    """Keeps its records instead of queueing them, and makes no request."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.delivery.pause()
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
        braze = self.braze
        records = braze.records if isinstance(braze, _SilentBraze) else []
        taken = records.copy()
        records.clear()
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
        self._kit = _SilentKit.from_configuration(configuration, profile=profile)  # type: ignore[arg-type]
        self._client = MParticle([self._kit], storage=":memory:", on_error=self._problems.append)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close(timeout=0)

    def prepare(self, script: Script) -> None:
        """Bring about what holds before the first call."""
        if script.identities:
            make_call(self._client, {"call": "identify", "identities": script.identities})
        self._taken()

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
            raise InvalidArgumentError(f"call {number} ({call['call']}): {error}") from None
        found = [self._explained(call, record) for record in self._taken() if _belongs(call["call"], record)]
        entry["profiles"][self._profile] = found
        warned = self.warnings()
        entry["warnings"] += warned
        if not found:
            entry["silent"][self._profile] = (
                warned[-1]["message"] if warned else why_nothing(call["call"], self._profile)
            )

    def _taken(self) -> list[JsonObject]:
        return self._kit.take() if self._client.kit_is_active(self._kit.name) else []

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
