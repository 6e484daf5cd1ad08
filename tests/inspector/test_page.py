"""The page as files: what is served, under which policy, to whom."""

from __future__ import annotations

import json
import re
import sys
import types
from pathlib import Path

import pytest

import mparticle_kit_braze.sandbox.inspector as inspector_package
from mparticle_kit_braze.sandbox import Sandbox
from mparticle_kit_braze.sandbox.inspector.guard import refusal_of
from tests.sandbox.requests_of_a_client import Client, body, event

from .support import ask

STATIC = Path(inspector_package.__file__).parent / "static"
FILES = sorted(path.name for path in STATIC.iterdir())


@pytest.mark.parametrize("path", ["/", *(f"/inspector/{name}" for name in FILES)])
def test_files_are_served_under_a_strict_policy(sandbox: Sandbox, path: str) -> None:
    """Every file comes with its type, and a policy that lets nothing in from elsewhere and nothing become script."""
    status, headers, content = ask(sandbox, path)
    assert status == 200
    assert content == (STATIC / (path.rpartition("/")[2] or "index.html")).read_bytes()
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert {policy[name] for name in ("script-src", "style-src", "connect-src", "img-src")} == {"'self'"}
    assert policy["require-trusted-types-for"] == "'script'"
    assert policy["frame-ancestors"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers.get("access-control-allow-origin") is None


@pytest.mark.parametrize("name", FILES)
def test_the_page_asks_nobody_else(name: str) -> None:
    """No file names another host, has inline script or style, or makes markup of text."""
    text = (STATIC / name).read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[\w.:-]+", text)) <= {"http://www.w3.org"}  # the name of SVG
    for forbidden in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        ' style="',
        "onclick=",
    ):
        assert forbidden not in text, forbidden


def test_the_page_is_small() -> None:
    """Everything together stays below 100 kB, to be read in one sitting and to weigh nothing in the wheel."""
    assert sum(path.stat().st_size for path in STATIC.iterdir()) < 100_000


@pytest.mark.parametrize(
    "path", ["/inspector/", "/inspector/web.py", "/inspector/../web.py", "/inspector/..%2fweb.py", "/inspector/none.js"]
)
def test_nothing_else_is_served(sandbox: Sandbox, path: str) -> None:
    """Only files of the page, and only by their names."""
    assert ask(sandbox, path)[0] == 404


@pytest.mark.parametrize("path", ["/", "/inspector/stream", "/inspector/records.jsonl", "/sandbox/profiles"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:{port}"},
        {"Host": "192.0.2.1:{port}"},
        {"Host": ""},
        {"Host": "[::1"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_strangers_are_refused(sandbox: Sandbox, path: str, headers: dict[str, str]) -> None:
    """A name pointed at this machine, another origin and another site all get nothing."""
    given = {name: value.format(port=sandbox.port) for name, value in headers.items()}
    status, answer, content = ask(sandbox, path, headers=given)
    assert status == 403
    assert answer.get("access-control-allow-origin") is None
    assert set(json.loads(content)) == {"message"}


@pytest.mark.parametrize("path", ["/inspector/calls", "/inspector/explain", "/sandbox/reset"])
def test_other_origins_cannot_post(sandbox: Sandbox, client: Client, path: str) -> None:
    """A form on another site changes nothing."""
    client.post(body(events=[event(user_id="u")]))
    status, _, _ = ask(sandbox, path, {}, {"Origin": "http://evil.example", "Content-Type": "text/plain"})
    assert (status, sandbox.counts.requests) == (403, 1)


@pytest.mark.parametrize(
    ("host", "bound_to", "ours"),
    [
        ("127.0.0.1:8321", "127.0.0.1", True),
        ("localhost:8321", "127.0.0.1", True),
        ("[::1]:8321", "::1", True),
        ("192.0.2.1:8321", "127.0.0.1", False),
        ("192.0.2.1:8321", "0.0.0.0", True),
        ("box.lan", "box.lan", True),
        ("evil.example", "0.0.0.0", False),
    ],
)
def test_which_hosts_are_ours(host: str, bound_to: str, ours: bool) -> None:
    """Loopback always, other addresses only for who listens beyond it, names never but the one given."""
    assert (refusal_of({"Host": host}, bound_to) is None) is ours


def test_the_sdk_paths_stay_open(client: Client) -> None:
    """Clients behind a proxy say another host; what they send is taken."""
    assert client.post(body(events=[event(user_id="u")]), head={"Host": "sdk.example"})[0] == 200


def test_users_are_found_and_read(sandbox: Sandbox, client: Client) -> None:
    """Users are listed by any of their ids, latest first, and one is read as Braze would show them."""
    client.post(body(attributes=[{"user_id": "ada", "email": "ada@example.com"}]))
    client.post(body(events=[event(user_id="bob")], device_id="device-2"))
    client.post(body(events=[event()], device_id="device-3"))

    def found(search: str) -> list[str | None]:
        return [
            user["user"] for user in json.loads(ask(sandbox, f"/inspector/profiles?search={search}")[2])["profiles"]
        ]

    assert found("") == ["bob", "ada", None]
    assert found("EXAMPLE.com") == ["ada"]
    assert found("device-3") == [None]
    assert json.loads(ask(sandbox, "/inspector/profile?user=ada")[2])["attributes"] == {"email": "ada@example.com"}
    assert json.loads(ask(sandbox, "/inspector/profile?device=device-3")[2])["external_id"] is None
    assert ask(sandbox, "/inspector/profile?user=nobody")[0] == 404
    assert ask(sandbox, "/inspector/profile")[0] == 404


def test_explaining_a_call(sandbox: Sandbox) -> None:
    """The four profiles are asked; a call that is none gets a sentence."""
    call = {"call": "log_event", "name": "Played", "attributes": {"plays": 3}}
    status, _, content = ask(sandbox, "/inspector/explain", call)
    assert status == 200
    (explained,) = json.loads(content)["calls"]
    assert set(explained["profiles"]) == {"native", "web", "android", "ios"}
    assert "data.p.plays" in {difference["path"] for difference in explained["differences"]}
    status, _, content = ask(sandbox, "/inspector/explain", {"call": "no such call"})
    assert status == 400
    assert "no such call" in json.loads(content)["message"]


def test_an_installation_without_explain_says_so(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox works without the command line's modules; comparing is then not implemented."""
    monkeypatch.setitem(sys.modules, "mparticle_kit_braze.commands.explain", types.ModuleType("empty"))
    assert ask(sandbox, "/inspector/explain", {})[0] == 501
    assert json.loads(ask(sandbox, "/inspector/about")[2])["explain"] is False


def test_a_sandbox_that_nobody_looks_at_keeps_nothing_for_it(sandbox: Sandbox, client: Client) -> None:
    """The inspector begins when somebody looks, with what is remembered."""
    client.post(body(events=[event(user_id="u")]))
    assert sandbox._inspector is None
    assert len(sandbox.inspector.stream.entries(1)) == 2
