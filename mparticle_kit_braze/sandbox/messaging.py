"""Campaigns of the sandbox: in-app messages, content cards, feature flags and banners, over the SDK's paths.

Set up from Python, served as the real endpoint serves them, their requests checked as strictly as the data path's.
Analytics are counted from the events that arrive. Written from the observed wire format, not from this package's
client.
"""

from __future__ import annotations

import copy
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from email.message import Message
from typing import Any

from .checks import RequestProblem, check_body, check_headers, parse_json
from .recorder import SandboxRequest
from .replies import Reply
from .values import JsonObject, is_number, is_text, shown, user_id_problem

__all__ = ["CampaignSetup", "MessagingApi", "messaging_path"]

TemplateMessage = Mapping[str, Any] | Callable[[JsonObject], "Mapping[str, Any] | None"]

_OWN_HEADERS: Mapping[str, frozenset[str]] = {
    "content_cards/sync": frozenset({"x-braze-contentcardsrequest", "x-braze-datarequest", "braze-sync-retry-count"}),
    "feature_flags/sync": frozenset({"x-braze-featureflagsrequest", "x-braze-datarequest"}),
    "banners/sync": frozenset(),
    "template": frozenset(),
    "push/unregister": frozenset(),
}
_SPECIAL_HEADERS = frozenset().union(*_OWN_HEADERS.values(), {"x-braze-triggersrequest"})


def messaging_path(path: str) -> str | None:
    """The endpoint below any prefix, if the path is one of these."""
    trimmed = "" if "//" in path else path.rstrip("/")
    return next((endpoint for endpoint in _OWN_HEADERS if trimmed.endswith(f"/{endpoint}")), None)


# -- checks ---------------------------------------------------------------------------------------------------------


def _is_list_of(value: object, check: Callable[[Any], bool]) -> bool:
    return type(value) is list and all(type(item) is dict and check(item) for item in value)


def _is_template(value: object) -> bool:
    if type(value) is not dict or not is_text(value.get("trigger_id")):
        return False
    kind, data = value.get("trigger_event_type"), value.get("data")
    if kind in ("custom_event", "purchase"):
        return type(data) is dict and data.get("name") == {"custom_event": "ce", "purchase": "p"}[kind]
    return kind in ("open", "push_click", "iam_click", "test") and data is None


_MEMBERS: Mapping[str, Mapping[str, Callable[[Any], bool]]] = {
    "content_cards/sync": {"last_full_sync_at": is_number, "last_card_updated_at": is_number},
    "feature_flags/sync": {},
    "banners/sync": {
        "time_ms": is_number,
        "placements": lambda value: _is_list_of(value, lambda item: item.keys() == {"id"} and is_text(item["id"])),
        "pending_dismissals": lambda value: _is_list_of(
            value, lambda item: is_text(item.get("banner_id")) and is_number(item.get("dismissal_time"))
        ),
    },
    "template": {"template": _is_template},
    "push/unregister": {"push_token": is_text},
}
"""The members each endpoint needs beside the common ones, and what they must be."""


def _problems(endpoint: str, headers: Mapping[str, str], body: Any, api_key: str | None) -> list[RequestProblem]:
    if type(body) is not dict:
        return [RequestProblem("body", None, f"must be an object, not {shown(body)}")]
    own = _MEMBERS[endpoint]
    responds = endpoint == "template"
    common = {key: value for key, value in body.items() if key not in own}
    reasons = [f"{key} must not be sent to {endpoint}" for key in ("events", "attributes") if key in body]
    if responds != ("respond_with" in body):
        reasons.append(f"respond_with {'is missing' if responds else 'is not for ' + endpoint}")
    if "user_id" in body and (responds or user_id_problem(body["user_id"])):
        reasons.append(f"user_id is not for {endpoint}" if responds else "user_id is malformed")
    for key, check in own.items():
        if key not in body:
            reasons.append(f"lacks {key}")
        elif not check(body[key]):
            reasons.append(f"{key} is malformed: {shown(body[key])}")
    return [
        *_header_problems(endpoint, headers, common, api_key),
        *(RequestProblem("body", None, reason) for reason in reasons),
        *check_body(common),
    ]


def _header_problems(
    endpoint: str, headers: Mapping[str, str], common: JsonObject, api_key: str | None
) -> list[RequestProblem]:
    plain = Message()
    special: dict[str, str] = {}
    for name, value in headers.items():
        if name.lower() in _SPECIAL_HEADERS:
            special[name.lower()] = value
        else:
            plain[name] = value
    reasons = []
    if special.keys() != _OWN_HEADERS[endpoint]:
        wanted = ", ".join(sorted(_OWN_HEADERS[endpoint])) or "none"
        reasons.append(f"{endpoint} goes with {wanted} of the announcing headers, not {', '.join(sorted(special))}")
    for name, value in special.items():
        if not (value.isdigit() if name == "braze-sync-retry-count" else value == "true"):
            reasons.append(f"{name} is {value!r}")
    return [
        *check_headers(plain, common, api_key),  # type: ignore[arg-type]  # looks names up in any case
        *(RequestProblem("headers", None, reason) for reason in reasons),
    ]


# -- the endpoints --------------------------------------------------------------------------------------------------


class MessagingApi:
    """What the campaigns serve.

    Args:
        scripted: Gives the scripted reply to a request, if there is one.
        record: Remembers a request.
        api_key: The only app key that is known; ``None`` takes any.
    """

    def __init__(
        self,
        scripted: Callable[[SandboxRequest], Reply | None],
        record: Callable[[SandboxRequest], object],
        api_key: str | None,
    ) -> None:
        self._scripted = scripted
        self._record = record
        self._api_key = api_key
        self._lock = threading.RLock()
        self.clear()

    def clear(self) -> None:
        """Forget every campaign."""
        with self._lock:
            self.cards: dict[str, JsonObject] = {}
            self.flags: dict[str, JsonObject] = {}
            self.banners: dict[str, JsonObject] = {}
            self.templates: dict[str, TemplateMessage] = {}
            self.withdrawn_tokens: list[str] = []
            self._changed_at: dict[str, int] = {}
            self._version = 0

    def receive(self, endpoint: str, path: str, headers: Mapping[str, str], raw: bytes) -> tuple[Reply, int, Any]:
        """Take one request in, or not, and say how to answer it."""
        now = time.time()
        try:
            body = parse_json(raw)
        except (ValueError, RecursionError) as error:
            body, problems = None, [RequestProblem("body", None, f"is not JSON: {error}")]
        else:
            problems = _problems(endpoint, headers, body, self._api_key)
        status = 400 if problems else 200

        def seen(status: int, found: list[RequestProblem], *, recorded: bool) -> SandboxRequest:
            return SandboxRequest("POST", path, headers, body, raw, now, status, tuple(found), recorded)

        reply = self._scripted(seen(status, problems, recorded=False)) or Reply()
        answered = 0 if reply.hang or reply.close else (reply.status or status)
        if reply.records:
            self._record(seen(answered, problems, recorded=not problems))
        else:
            self._record(seen(answered, [], recorded=False))
        if problems:
            return reply, status, {"message": f"refused: {problems[0]}"}
        return reply, status, self._answer(endpoint, body)

    def _answer(self, endpoint: str, body: JsonObject) -> JsonObject:
        with self._lock:
            if endpoint == "content_cards/sync":
                return self._cards_since(body["last_full_sync_at"], body["last_card_updated_at"])
            if endpoint == "feature_flags/sync":
                return {"feature_flags": copy.deepcopy(list(self.flags.values()))}
            if endpoint == "banners/sync":
                return self._banners_for(body)
            if endpoint == "template":
                return self._rendered(body["template"])
            self.withdrawn_tokens.append(body["push_token"])
            return {}

    def _cards_since(self, last_full_sync_at: float, last_card_updated_at: float) -> JsonObject:
        full = last_full_sync_at == 0
        since = 0 if full else last_card_updated_at
        changed = [card_id for card_id, version in self._changed_at.items() if version > since]
        cards = [self.cards.get(card_id, {"id": card_id, "r": True}) for card_id in changed]
        return {
            "full_sync": full,
            "last_full_sync_at": max(1, self._version) if full else last_full_sync_at,
            "last_card_updated_at": self._version,
            "cards": copy.deepcopy([card for card in cards if not (full and "r" in card)]),
        }

    def _banners_for(self, body: JsonObject) -> JsonObject:
        for dismissal in body["pending_dismissals"]:
            self.banners = {key: one for key, one in self.banners.items() if one["id"] != dismissal["banner_id"]}
        wanted = dict.fromkeys(placement["id"] for placement in body["placements"])
        found = [{"banner": self.banners[placement]} for placement in wanted if placement in self.banners]
        return {"request_time": body["time_ms"], "banners": copy.deepcopy(found), "dismissals": []}

    def _rendered(self, template: JsonObject) -> JsonObject:
        message = self.templates.get(template["trigger_id"])
        rendered = message(template) if callable(message) else message
        if rendered is None:
            return {}
        return {"templated_message": {"type": "inapp", "data": copy.deepcopy(dict(rendered))}}

    def change_card(self, card_id: str, card: JsonObject | None) -> None:
        """Set a card, or take it away."""
        with self._lock:
            self._version += 1
            self._changed_at[card_id] = self._version
            if card is None:
                self.cards.pop(card_id, None)
            else:
                self.cards[card_id] = {"ca": self._version, **card}


# -- setting up and reading -----------------------------------------------------------------------------------------

_ID_LISTS = {"si": "trigger_ids", "iec": "trigger_ids", "sc": "trigger_ids", "sbc": "trigger_ids"} | dict.fromkeys(
    ("cci", "ccc", "ccd", "bi"), "ids"
)
_IDS = {"ffi": "fid", "bc": "id", "bd": "id", "pc": "cid"}


class CampaignSetup:
    """The part of a sandbox that sets campaigns up and counts what comes of them."""

    messaging: MessagingApi
    config: JsonObject
    triggers: list[JsonObject]
    configure: Callable[..., None]

    @property
    def events(self) -> list[JsonObject]:
        """Every event taken in."""
        raise NotImplementedError

    def add_in_app_message(
        self,
        message: Mapping[str, Any] | None = None,
        *,
        event: str | None = None,
        conditions: Iterable[Mapping[str, Any]] | None = None,
        template: TemplateMessage | None = None,
        **members: Any,
    ) -> str:
        """Have an in-app message ready for every user.

        Args:
            message: The message; what it leaves out makes a modal. ``trigger_id`` is filled in.
            event: The custom event that triggers it.
            conditions: Trigger conditions as on the wire; without these and ``event``, the start of a session.
            template: Makes it a templated message: this message, or what a function gives for the request's
                ``template`` object.
            members: Members of the trigger, such as ``priority``, ``delay``, ``re_eligibility``, ``id``.

        Returns:
            The trigger's id.
        """
        if conditions is None:
            opened = {"type": "open", "data": {}}
            conditions = [{"type": "custom_event", "data": {"event_name": event}} if event else opened]
        trigger_id = str(members.pop("id", f"trigger-{len(self.triggers) + 1}"))
        data = {
            "type": "MODAL",
            "message": "Hello",
            "message_close": "SWIPE",
            **(message or {}),
            "trigger_id": trigger_id,
        }
        trigger: JsonObject = {
            "id": trigger_id,
            "type": "inapp" if template is None else "templated_iam",
            "priority": 1,
            "delay": 0,
            "timeout": None,
            "start_time": 0,
            "end_time": None,
            "re_eligibility": -1,
            "min_seconds_since_last_trigger": None,
            **members,
            "trigger_condition": [dict(condition) for condition in conditions],
            "data": data if template is None else {"trigger_id": trigger_id},
        }
        if template is not None:
            self.messaging.templates[trigger_id] = template
        self.triggers.append(trigger)
        return trigger_id

    def add_content_card(self, card_id: str, **members: Any) -> None:
        """Give every user a card (or change it); what ``members`` leave out makes a classic card that never expires."""
        self._switch_on("content_cards", {"enabled": True})
        card = {
            "tp": "short_news",
            "tt": "Title",
            "ds": "Text",
            "ea": -1,
            "p": False,
            "db": True,
            "v": False,
            "cl": False,
        }
        self.messaging.change_card(card_id, {"id": card_id, **card, **members})

    def remove_content_card(self, card_id: str) -> None:
        """Take a card away."""
        self.messaging.change_card(card_id, None)

    def add_feature_flag(
        self,
        flag_id: str,
        *,
        enabled: bool = True,
        properties: Mapping[str, Any] | None = None,
        tracking: str | None = None,
    ) -> None:
        """Give every user a flag (or change it).

        Args:
            flag_id: Its id.
            enabled: Whether it is on.
            properties: As on the wire: ``{"key": {"type": "string", "value": "x"}}``.
            tracking: Makes it part of an experiment.
        """
        self._switch_on("feature_flags", {"enabled": True, "refresh_rate_limit": 0})
        flag = {"id": flag_id, "enabled": enabled, "properties": dict(properties or {})}
        self.messaging.flags[flag_id] = flag if tracking is None else {**flag, "fts": tracking}

    def add_banner(self, placement_id: str, **members: Any) -> str:
        """Fill a placement; gives the banner's id."""
        self._switch_on("banners", {"enabled": True, "max_placements": 10})
        banner_id = str(members.pop("id", f"banner-{placement_id}"))
        banner = {
            "html": "<p>Hello</p>",
            "is_control": False,
            "expires_at": -1,
            "properties": {},
            "is_test_send": False,
        }
        own = {"id": banner_id, "placement_id": placement_id, "stable_key": f"key-{banner_id}"}
        self.messaging.banners[placement_id] = {**banner, **own, **members}
        return banner_id

    def _switch_on(self, feature: str, settings: JsonObject) -> None:
        if not self.config.get(feature, {}).get("enabled"):
            self.configure(**{feature: settings})

    @property
    def analytics(self) -> dict[str, Counter[str]]:
        """Impressions, clicks and dismissals that arrived: by event code and id; buttons as ``id/button``."""
        counts: dict[str, Counter[str]] = {}
        for event in self.events:
            code, data = event["name"], event["data"]
            ids = data[_ID_LISTS[code]] if code in _ID_LISTS else [data.get(_IDS[code])] if code in _IDS else []
            button = f"/{data['bid']}" if "bid" in data else ""
            for found in ids:
                counts.setdefault(code, Counter())[f"{found}{button}"] += 1
        return counts
