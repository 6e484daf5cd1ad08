"""The inspector over HTTP: the page, the stream of events, profiles, the export, and what clients post."""

from __future__ import annotations

import importlib
import json
import socket
import threading
from collections.abc import Callable, Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from ..._version import __version__
from ..checks import parse_json
from ..replies import Reply
from .guard import SECURITY_HEADERS
from .told import MAX_TOLD_BYTES, read_told

if TYPE_CHECKING:
    from ..server import Sandbox

__all__ = ["InspectorPages"]

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_STREAM_HEAD = {"content-type": "text/event-stream; charset=utf-8", "connection": "close", **SECURITY_HEADERS}
_MAX_STREAMS = 32
_HEARTBEAT = 15.0
_SEND_TIMEOUT = 20.0
_MAX_PROFILES = 200
_EXPLAIN = "mparticle_kit_braze.commands.explain"


class InspectorPages:
    """What a sandbox serves below ``/`` and ``/inspector/``.

    Args:
        sandbox: The sandbox to show.

    Attributes:
        open_streams: How many consumers are connected.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._lock = threading.Lock()
        self.open_streams: int = 0

    # -- reading ----------------------------------------------------------------------------------------------------
    def get(self, path: str, query: str) -> Reply | None:
        """The answer to a GET; ``None`` when there is no such path."""
        if path == "/":
            return _static("index.html")
        name = path.removeprefix("/inspector/")
        if name == path:
            return None
        read = {"about": self._about, "profiles": self._profiles, "profile": self._profile}.get(name)
        if read is not None:
            return read(parse_qs(query))
        if name == "records.jsonl":
            return _answer(self._sandbox.inspector.stream.lines(), "application/jsonl; charset=utf-8")
        return _static(name)

    def _about(self, _query: Mapping[str, list[str]]) -> Reply:
        return _json_answer(
            {
                "url": self._sandbox.url,
                "api_key": self._sandbox.api_key,
                "version": __version__,
                "explain": _explainer() is not None,
            }
        )

    def _profiles(self, query: Mapping[str, list[str]]) -> Reply:
        found, total = self._sandbox.find_profiles(query.get("search", [""])[0], _MAX_PROFILES)
        return _json_answer({"profiles": found, "total": total})

    def _profile(self, query: Mapping[str, list[str]]) -> Reply:
        try:
            if "user" in query:
                profile = self._sandbox.profile(query["user"][0])
            else:
                profile = self._sandbox.anonymous_profile(query["device"][0])
        except KeyError:
            return _json_answer({"message": "nothing of this user has arrived"}, 404)
        return _json_answer(profile.to_json())

    # -- the stream -------------------------------------------------------------------------------------------------
    def stream(self, connection: socket.socket, last_event_id: str) -> None:
        """Send server-sent events until the consumer goes, is too slow, or the sandbox stops."""
        with self._lock:
            if self.open_streams >= _MAX_STREAMS:
                connection.sendall(_head(503, {"content-length": "0", "connection": "close"}))
                return
            self.open_streams += 1
        try:
            connection.settimeout(_SEND_TIMEOUT)
            connection.sendall(_head(200, _STREAM_HEAD) + b"retry: 500\n\n")
            log, released = self._sandbox.inspector.stream, self._sandbox.released
            epoch, number = log.place(last_event_id)
            while not released.is_set():
                epoch, number, event = log.read(epoch, number, _HEARTBEAT, released)
                connection.sendall(event)
        finally:
            with self._lock:
                self.open_streams -= 1

    # -- what is posted ---------------------------------------------------------------------------------------------
    def post(self, path: str, raw: bytes) -> Reply | None:
        """The answer to a POST; ``None`` when there is no such path."""
        takers = {"calls": self._calls, "explain": self._explain, "forget": self._forget}
        take = takers.get(path.removeprefix("/inspector/")) if path.startswith("/inspector/") else None
        if take is None:
            return None
        if len(raw) > MAX_TOLD_BYTES:
            return _json_answer({"message": f"at most {MAX_TOLD_BYTES} bytes are taken"}, 413)
        try:
            return take(parse_json(raw))
        except (ValueError, RecursionError) as error:
            return _json_answer({"message": str(error)}, 400)

    def _calls(self, value: Any) -> Reply:
        self._sandbox.inspector.tell(read_told(value))
        return _json_answer({})

    def _forget(self, _value: Any) -> Reply:
        self._sandbox.forget()
        return _json_answer({})

    def _explain(self, value: Any) -> Reply:
        explain = _explainer()
        if explain is None:
            return _json_answer({"message": "this installation cannot compare profiles"}, 501)
        try:
            return _json_answer(explain(value))
        except Exception as error:  # noqa: BLE001  # the call is somebody's text; whatever is wrong with it is the answer
            return _json_answer({"message": str(error)}, 400)


def _explainer() -> Callable[[Mapping[str, Any]], Any] | None:
    """The function behind ``explain``. By name: the sandbox imports nothing of the client, the program may."""
    try:
        found: Any = importlib.import_module(_EXPLAIN).explain
    except (ImportError, AttributeError):
        return None
    return found  # type: ignore[no-any-return]  # checked by its answer


def _static(name: str) -> Reply | None:
    kind = _TYPES.get(name.rpartition(".")[2])
    if kind is None or "/" in name or "\\" in name:
        return None
    file = resources.files(__package__) / "static" / name
    return _answer(file.read_bytes(), kind) if file.is_file() else None


def _json_answer(value: Any, status: int = 200) -> Reply:
    return _answer(json.dumps(value, default=str).encode(), "application/json", status)


def _answer(content: bytes, kind: str, status: int = 200) -> Reply:
    return Reply(status, headers={**SECURITY_HEADERS, "content-type": kind}, body=content)


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {'OK' if status == 200 else 'Service Unavailable'}"]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items()), "\r\n"]).encode("latin-1")
