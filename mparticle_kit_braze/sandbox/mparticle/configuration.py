"""The configuration that mParticle's SDKs fetch: one document for each form, with ETag and 304."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from email.utils import formatdate, parsedate_to_datetime
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from ..recorder import SandboxRequest
from .part import Answer, ApiPart, RefusedError, require

__all__ = ["ConfigurationApi"]

PATHS: Mapping[Literal["mobile", "web"], re.Pattern[str]] = {
    "mobile": re.compile(r"(?:/config)?(/v4/([^/]+)/config)"),
    "web": re.compile(r"(/JS/v2/([^/]+)/config)"),
}


class ConfigurationApi(ApiPart):
    """Serves configurations; see :class:`ApiPart` for the arguments."""

    @staticmethod
    def takes(method: str, path: str) -> bool:
        """Whether a request is for this API."""
        return method == "GET" and any(pattern.fullmatch(path) for pattern in PATHS.values())

    def reset(self) -> None:
        """Forget requests and scripts, and serve empty configurations."""
        super().reset()
        with self._lock:
            self._documents: dict[str, bytes] = {}
            self._changed: dict[str, str] = {}
            self.set([], "mobile")
            self.set([], "web")

    def set(self, document: Mapping[str, Any] | Sequence[Any] | bytes, form: Literal["mobile", "web"]) -> None:
        """Serve another document.

        Args:
            document: The whole of it; a list of kits makes one of them; bytes are served as they are.
            form: ``mobile`` (kits in ``eks``) or ``web`` (kits in ``kitConfigs``).
        """
        if form not in PATHS:
            raise ValueError(f"form must be 'mobile' or 'web', not {form!r}")
        if not isinstance(document, bytes):
            if not isinstance(document, Mapping):
                document = {"eks" if form == "mobile" else "kitConfigs": list(document)}
            document = json.dumps(document, separators=(",", ":")).encode()
        with self._lock:
            self._documents[form] = document
            self._changed[form] = formatdate(usegmt=True)

    def _serve(self, request: SandboxRequest) -> Answer:
        parts, headers = urlsplit(request.path), request.headers
        query = parse_qs(parts.query)
        for form, pattern in PATHS.items():
            found = pattern.fullmatch(parts.path)
            if found is None:
                continue
            key = unquote(found[2])
            self.keys.find(key, status=400)  # a bad request here
            if form == "mobile":
                # Signed is the path on mParticle's own host; pages sign nothing.
                self.keys.verify(key, headers, f"{request.method}\n{found[1]}?{parts.query}".encode())
                require(headers.get("x-mp-env") in ("1", "2"), "x-mp-env is 1 or 2")
                require(re.fullmatch(r"(\d+(,\d+)*)?", headers.get("x-mp-kits") or ""), "x-mp-kits lists kit ids")
                require(query.get("av") and query.get("sv"), "av and sv are given")
            else:
                require(query.get("env") in (["0"], ["1"]), "env is 0 or 1")
            return self._document(form, headers)
        raise RefusedError("no such path", 404, "NOT_FOUND_ERROR")

    def _document(self, form: str, headers: Mapping[str, str]) -> Answer:
        content, date = self._documents[form], self._changed[form]
        etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        about = {"ETag": etag, "Last-Modified": date}
        known = headers.get("If-None-Match")
        since = None if known is not None else headers.get("If-Modified-Since")
        unchanged = known == etag or (since is not None and parsedate_to_datetime(since) >= parsedate_to_datetime(date))
        return Answer(304, b"", about) if unchanged else Answer(200, content, about)
