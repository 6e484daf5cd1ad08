"""A headless Chromium driven over WebDriver's own HTTP interface, with nothing but requests."""

from __future__ import annotations

import base64
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

__all__ = ["Browser", "missing", "open_browser"]

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
START_TIMEOUT = 60.0
"""Seconds; generous, for a machine under load."""


def missing() -> str:
    """What there is not, of what a browser test needs; empty if all is there."""
    lacking = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"no {' and no '.join(lacking)} on this machine" if lacking else ""


class Browser:
    """One window.

    Args:
        session: The WebDriver session's URL.
    """

    def __init__(self, session: str) -> None:
        self._session = session
        self._http = requests.Session()
        self._http.trust_env = False

    def command(self, method: str, path: str, **value: Any) -> Any:
        """A WebDriver command; fails the test with the driver's words when it is refused."""
        body = value if method == "POST" else None
        answer = self._http.request(method, self._session + path, json=body, timeout=60)
        found = answer.json()["value"]
        if not answer.ok:
            raise AssertionError(f"{method} {path}: {found.get('error')}: {found.get('message')}")
        return found

    def open(self, url: str) -> None:
        """Load a page."""
        self.command("POST", "/url", url=url)

    def run(self, script: str, *arguments: Any) -> Any:
        """The value of a function body in the page."""
        return self.command("POST", "/execute/sync", script=script, args=list(arguments))

    def wait(self, script: str, *arguments: Any, timeout: float = 30.0) -> Any:
        """Wait until a function body gives something true, and return it."""
        deadline = time.monotonic() + timeout
        while not (found := self.run(script, *arguments)):
            if time.monotonic() > deadline:
                raise AssertionError(f"within {timeout} s not true in the page: {script}")
            time.sleep(0.02)
        return found

    def text(self, selector: str) -> str:
        """The text of the first element that fits."""
        return str(self.run("return document.querySelector(arguments[0])?.textContent ?? ''", selector))

    def click(self, selector: str) -> None:
        """Click as a user does: it must be in sight and on top."""
        self.command("POST", f"/element/{self._find(selector)}/click")

    def type(self, selector: str, text: str) -> None:
        """Type into an element."""
        self.command("POST", f"/element/{self._find(selector)}/value", text=text)

    def keys(self, *keys: str) -> None:
        """Press keys, each for itself, wherever the focus is."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.command("POST", "/actions", actions=[{"type": "key", "id": "keyboard", "actions": actions}])

    def resize(self, width: int, height: int) -> None:
        """Show the page at a size, as a device of that size would."""
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def cdp(self, name: str, **parameters: Any) -> Any:
        """A command of Chromium's own protocol."""
        return self.command("POST", "/goog/cdp/execute", cmd=name, params=parameters)

    def screenshot(self, path: Path) -> None:
        """Save what is in sight."""
        path.write_bytes(base64.b64decode(self.command("GET", "/screenshot")))

    def log(self) -> list[str]:
        """What the page wrote to its console, errors and refusals of the content security policy among it."""
        return [entry["message"] for entry in self.command("POST", "/se/log", type="browser")]

    def _find(self, selector: str) -> str:
        found = self.command("POST", "/element", using="css selector", value=selector)
        return str(found[ELEMENT])


@contextmanager
def open_browser(directory: Path) -> Iterator[Browser]:
    """Start a browser with a profile of its own in ``directory``, and end it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    driver = subprocess.Popen(
        ["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=directory
    )
    url = f"http://127.0.0.1:{port}"
    session = ""
    http = requests.Session()
    http.trust_env = False
    try:
        _wait_until_ready(http, url)
        options = {"args": [*FLAGS, f"--user-data-dir={directory / 'profile'}"]}
        wanted = {
            "browserName": "chrome",
            "pageLoadStrategy": "eager",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        answer = http.post(f"{url}/session", json={"capabilities": {"alwaysMatch": wanted}}, timeout=START_TIMEOUT)
        value = answer.json()["value"]
        if not answer.ok:
            raise AssertionError(f"no browser session: {value.get('message')}")
        session = f"{url}/session/{value['sessionId']}"
        yield Browser(session)
    finally:
        if session:
            http.delete(session, timeout=START_TIMEOUT)
        driver.terminate()
        driver.wait(START_TIMEOUT)
        http.close()


def _wait_until_ready(http: requests.Session, url: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        try:
            if http.get(f"{url}/status", timeout=5).json()["value"]["ready"]:
                return
        except requests.RequestException:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.02)
