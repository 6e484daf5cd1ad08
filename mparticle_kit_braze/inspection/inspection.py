"""Showing a client's calls in the inspector of a sandbox on this machine: for development, off unless asked for.

What a sandbox sees is the wire. An :class:`Inspection` tells it the rest: each call with the place in the program that
made it, what filters and the kit did with it, the records it became and by which rule, warnings, and the queue. It
notes, never waits; a thread of its own posts to the sandbox, and what does not fit a bounded queue is counted.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import json
import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

from .._version import __version__
from ..diagnostics import Problem, Reporter
from ..errors import ConfigurationError, MParticleError
from ..urls import check_url, is_loopback
from .texts import call_text, outermost, place_of

if TYPE_CHECKING:
    from ..braze import Braze
    from ..braze_kit import BrazeKit
    from ..kits.manager import KitManager
    from ..kits.reports import ForwardingReport
    from ..kits.statistics import ClientStats

__all__ = ["Inspection"]

JsonObject = dict[str, Any]

_LOGGER = logging.getLogger(__name__)

KIT = "Braze"
MAX_NOTES = 20_000
BATCH = 1000
GATHER = 0.05
"""Seconds: a call has become its records by then, and a burst of calls makes one request."""
POLL = 1.0
"""Seconds between two looks at the queue while something is in it, and between attempts while nobody answers."""
TIMEOUT = 2.0
"""Seconds for each part of a request to the sandbox."""

_CALLS = {
    "on_user_attribute_set": "set_user_attribute",
    "on_user_attribute_cleared": "set_user_attribute",
    "on_user_attribute_list_set": "set_user_attribute_list",
    "on_user_tag_set": "set_user_tag",
    "on_user_attribute_incremented": "increment_user_attribute",
    "on_user_attribute_removed": "remove_user_attribute",
    "on_consent_changed": "set_consent",
}


class Inspection:
    """Tells a sandbox what a client does, until :meth:`close`. Made by :meth:`MParticle.inspect`.

    It keeps the client alive until one of the two is closed. A forked child is not followed.

    Args:
        url: The sandbox's URL, on this machine.
        kits: The client's kits.
        reporter: The client's reporter.
        stats: The client's statistics.

    Raises:
        ConfigurationError: The URL is none, or of another machine.
    """

    def __init__(self, url: str, kits: KitManager, reporter: Reporter, stats: Callable[[], ClientStats]) -> None:
        self._host, self._port = local_address(url)
        self._kits = kits
        self._reporter = reporter
        self._stats = stats
        self._pid = os.getpid()
        self._id = os.urandom(8).hex()
        self._numbers = itertools.count(1)
        self._now = threading.local()
        self._notes: deque[tuple[str, JsonObject]] = deque(maxlen=MAX_NOTES)
        self._lost = 0
        self._braze: Braze | None = None
        self._told_stats: JsonObject | None = None
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._connection: Any = None
        self._thread = threading.Thread(target=self._run, name="mparticle_kit_braze-inspection", daemon=True)
        reporter.add_listener(self._warned)
        kits.add_listener(self._reported)
        self._tap()
        self._thread.start()
        atexit.register(self.close)
        self._wake.set()

    def close(self, timeout: float = 1.0) -> None:
        """Tell what is left, within ``timeout`` seconds, and let go of the client. Later calls do nothing."""
        atexit.unregister(self.close)
        if self._ended.is_set() or os.getpid() != self._pid:
            return
        self._kits.remove_listener(self._reported)
        self._reporter.remove_listener(self._warned)
        if self._braze is not None:
            self._braze.observe_records(None)
        self._ended.set()
        self._wake.set()
        self._thread.join(timeout)

    # -- on the caller's threads: note and return -------------------------------------------------------------------
    def _reported(self, report: ForwardingReport) -> None:
        """A call is about to be handed to a kit, or not."""
        if report.kit != KIT or report.outcome == "failed" or os.getpid() != self._pid:
            return
        self._tap()
        inside, outside = outermost(sys._getframe(1))  # noqa: SLF001  # the only way to the place of the call
        name = report.name if report.call == "on_identity_completed" else _CALLS.get(report.call, report.call)
        self._note_call(
            name,
            report.name,
            call_text(inside) or f"client.{name}({report.name!r}, ...)",
            place_of(outside),
            outcome=report.outcome,
            reason=report.reason,
            hidden=report.hidden,
            projected=report.projected,
        )

    def _recorded(self, payload: bytes) -> None:
        """The Braze client queued a record."""
        if os.getpid() != self._pid:
            return
        inside, outside = outermost(sys._getframe(1))  # noqa: SLF001  # as above
        if inside is not None and is_direct(inside):
            self._note_call("", inside.f_code.co_name, call_text(inside), place_of(outside), outcome="forwarded")
        call = getattr(self._now, "call", None) or {"number": None, "call": "", "name": ""}
        self._note("record", {"call": call["number"], "by": call["call"], "key": call["name"], "payload": payload})

    def _warned(self, problem: Problem) -> None:
        if os.getpid() != self._pid:
            return
        call = getattr(self._now, "call", None)
        warning = {"code": problem.code, "message": problem.message, "count": problem.count, "time": time.time()}
        self._note("warning", {"call": call and call["number"], **warning})

    def _note_call(self, call: str, name: str, text: str, place: str, **more: Any) -> None:
        number = next(self._numbers)
        noted = {
            "number": number,
            "time": time.time(),
            "call": call,
            "name": name,
            "text": text,
            "place": place,
            **more,
        }
        self._now.call = noted
        self._note("call", noted)

    def _note(self, kind: str, value: JsonObject) -> None:
        if len(self._notes) == MAX_NOTES:
            self._lost += 1
        self._notes.append((kind, value))
        if not self._wake.is_set():
            self._wake.set()

    def _tap(self) -> None:
        """Watch the records of the kit's Braze client, which comes with its start and may change later."""
        kit = self._kit()
        braze: Any = None if kit is None else kit.instance
        if braze not in (kit, self._braze):  # before its start a kit is its own instance
            self._braze = braze
            braze.observe_records(self._recorded)

    def _kit(self) -> BrazeKit | None:
        try:
            return self._kits.find(KIT)  # type: ignore[return-value]  # the name is its
        except MParticleError:
            return None

    # -- on our own thread ------------------------------------------------------------------------------------------
    def _run(self) -> None:
        while not self._ended.is_set():
            waiting = self._told_stats is None or bool(self._told_stats["queued"])
            if self._wake.wait(POLL if waiting else None):
                self._ended.wait(GATHER)
                self._wake.clear()
            self._try_to_tell()
        self._try_to_tell()
        if self._connection is not None:
            self._connection.close()

    def _try_to_tell(self) -> None:
        try:
            self._tell()
        except Exception:  # a tool of the developer must not write to the program's stderr
            _LOGGER.debug("the inspector could not be told", exc_info=True)

    def _tell(self) -> None:
        """Post what was noted, and the queue if it changed."""
        while True:
            notes = list(self._taken())
            stats = self._read_stats()
            lost, self._lost = self._lost, 0
            if not notes and not lost and stats == self._told_stats:
                return
            if not self._post(self._message(notes, stats, lost)):
                self._lost += lost + sum(kind == "call" for kind, _ in notes)
                self._ended.wait(POLL)
                return
            self._told_stats = stats

    def _taken(self) -> Iterator[tuple[str, JsonObject]]:
        # Only this thread takes; a full queue drops its oldest while it does, but is not empty then.
        for _ in range(min(BATCH, len(self._notes))):
            yield self._notes.popleft()

    def _message(self, notes: list[tuple[str, JsonObject]], stats: JsonObject | None, lost: int) -> JsonObject:
        kit, braze = self._kit(), self._braze
        profile = kit.profile if kit is not None else ""
        who = {"id": self._id, "process": self._pid, "version": __version__, "profile": profile}
        return {
            "client": {**who, "device": None if braze is None else braze.device_id},
            "calls": [value for kind, value in notes if kind == "call"],
            "records": [told_record(value, profile) for kind, value in notes if kind == "record"],
            "warnings": [value for kind, value in notes if kind == "warning"],
            "stats": stats,
            "lost": lost,
        }

    def _read_stats(self) -> JsonObject | None:
        stats = self._stats()
        found, points = stats.kits.get(KIT), stats.data_points.get(KIT)
        if found is None:
            return None
        return {
            "queued": found.queued,
            "bytes": found.bytes,
            "sent": found.sent,
            "retried": found.retried,
            "dropped": sum(found.dropped.values()),
            "dead": found.dead,
            "last_error": found.last_error,
            "next_attempt": found.next_attempt,
            "gate": stats.gates.get(KIT, ""),
            "points_saved": 0 if points is None else points.saved,
        }

    def _post(self, message: JsonObject) -> bool:
        import http.client  # noqa: PLC0415  # not in the caller's way

        body = json.dumps(message, default=str)
        for _ in range(2):  # a kept-alive connection may have ended
            if self._connection is None:
                self._connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT)
            with contextlib.suppress(OSError, http.client.HTTPException):
                self._connection.request("POST", "/inspector/calls", body, {"Content-Type": "application/json"})
                with self._connection.getresponse() as response:
                    response.read()
                    return bool(response.status == 200)
            self._connection.close()
            self._connection = None
        return False


def local_address(url: str) -> tuple[str, int]:
    """Host and port of a sandbox on this machine.

    Raises:
        ConfigurationError: The URL is none, or of another machine.
    """
    from urllib.parse import urlsplit  # noqa: PLC0415  # slow to import

    parts = urlsplit(check_url(url, "the inspector's URL"))
    host = parts.hostname or ""
    if parts.scheme != "http" or not is_loopback(host):
        raise ConfigurationError("the inspector's URL must be http:// to this machine: calls hold personal data")
    return host, parts.port or 80


def is_direct(inside: FrameType) -> bool:
    """Whether a record was made by a call to the Braze client itself, past the kits."""
    return inside.f_globals["__name__"].startswith("mparticle_kit_braze.braze.") and inside.f_code.co_name[0] != "_"


def told_record(noted: JsonObject, profile: str) -> JsonObject:
    """A record as it will be on the wire, and the rule it was made by."""
    from ..braze_kit.mapping import rule_of  # noqa: PLC0415  # a long table, loaded on our own thread

    record = json.loads(noted["payload"])
    told = {"call": noted["call"], "record": record, "rule": "", "text": "", "particular": "", "source": ""}
    if not noted["by"] or record.get("name") in ("ss", "se"):
        return told
    rule = rule_of(noted["by"], record, key=noted["key"])
    particular, source = rule.profiles.get(profile, ""), rule.sources.get(profile, "")
    return {**told, "rule": rule.name, "text": rule.text, "particular": particular, "source": source}
