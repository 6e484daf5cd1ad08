"""The page in a real browser: what a person sees, with the keyboard and with ten thousand records."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mparticle_kit_braze import BrazeKit, EventType, MParticle
from mparticle_kit_braze.sandbox import Reply, Sandbox
from tests.sandbox.requests_of_a_client import API_KEY, Client, body, event
from tests.support import wait_until

from .browser import Browser, missing, open_browser
from .support import ask

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"the page is driven in Chromium: {missing()}")

ENTER, ESCAPE, HOME, DOWN = "\ue007", "\ue00c", "\ue011", "\ue015"

NAMED = frozenset(
    {"button", "link", "textbox", "searchbox", "combobox", "grid", "table", "image", "region", "complementary"}
)
"""Roles that mean nothing without a name."""
SHOWN = "[...document.querySelectorAll('#rows .row:not([hidden])')]"
ROWS = f"return {SHOWN}.map((row) => row.textContent)"
FIND = f"{SHOWN}.find((row) => row.textContent.includes(arguments[0]))"
MANY = 10_000


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests here: its start is most of what they take."""
    with open_browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def page(window: Browser, sandbox: Sandbox) -> Iterator[Browser]:
    """The page of a fresh sandbox, connected; afterwards nothing may have been refused or have failed in it."""
    window.resize(1280, 800)
    window.open(sandbox.url)
    window.run("localStorage.clear()")
    window.wait("return document.querySelector('#status').dataset.state === 'live'")
    window.log()
    yield window
    assert window.log() == []


def row_with(page: Browser, text: str) -> str:
    """The text of a row, once it is there."""
    return str(page.wait(f"return {FIND}?.textContent", text))


def choose(page: Browser, text: str) -> None:
    """Click on a row."""
    row_with(page, text)
    page.run(f"{FIND}.click()", text)


def test_a_call_appears_with_its_record(page: Browser, sandbox: Sandbox) -> None:
    """A newcomer's first event: the row, and in its details the call, the rule, the profile and the wire."""
    assert "Nothing has arrived yet" in page.text("#empty")
    with MParticle([BrazeKit(API_KEY, sandbox.url)], storage=":memory:") as client:
        client.inspect(sandbox.url)
        client.log_event("Played Song", EventType.NAVIGATION, {"genre": "Jazz"})
        client.flush(10)
        row_with(page, "genre: Jazzanonymousclient.log_event('Played Song'")
        choose(page, "genre: Jazz")
        details = page.text("#detail")
    for expected in (
        "client.log_event('Played Song', EventType.NAVIGATION, {'genre': 'Jazz'})",
        "test_browser.py:",
        "A custom event of the same name with the attributes as properties.",
        "native: ",
        '"genre": "Jazz"',
        "1 (custom events)",
    ):
        assert expected in details


def test_data_stays_text(page: Browser, client: Client) -> None:
    """Whatever a record holds is shown, never run or rendered, in rows, details, users and charts."""
    attack = "<img src=x onerror=document.title='owned'><script>document.title='owned'</script>"
    properties = {attack: attack}
    client.post(
        body(
            events=[event(data={"n": attack.replace('"', ""), "p": properties}, user_id=attack)],
            attributes=[{"user_id": attack, "custom": {attack: attack}, "first_name": attack}],
        )
    )
    choose(page, "<img")
    assert attack in page.text("#detail")
    for view in ("users", "delivery", "points"):
        page.run("location.hash = arguments[0]", view)
        page.wait("return !document.querySelector(`#view-${arguments[0]}`).hidden", view)
    page.run("location.hash = 'users'")
    page.wait("return document.querySelector('#view-users').textContent.includes('<img')")
    assert page.run("return document.querySelectorAll('main img, main script').length") == 0
    assert "owned" not in page.run("return document.title")


def test_filters_search_and_states(page: Browser, sandbox: Sandbox, client: Client) -> None:
    """Kinds, states and words narrow the rows down, each announced in the summary."""
    sandbox.respond_next(Reply(status=503))
    client.post(body(events=[event(user_id="u")]))
    purchase = {"pid": "SKU-1", "c": "EUR", "p": 4.5, "q": 2, "pr": {}}
    client.post(
        body(events=[event(user_id="ada"), event("p", purchase, user_id="bob"), event("ss", {}, user_id="bob")])
    )
    client.post(body(events=[event(data={"n": "bad\nname", "p": {}})]))
    page.wait("return document.querySelector('#summary').textContent.startsWith('6 rows')")
    assert "1 request refused · 1 request failed" in page.text("#summary")

    page.type("#search", "eur BOB")
    page.wait("return document.querySelector('#summary').textContent.startsWith('1 row ')")
    assert "2 \u00d7 4.5 EUR" in page.run(ROWS)[0]
    page.keys(ESCAPE)
    page.wait("return document.querySelector('#summary').textContent.startsWith('6 rows')")

    page.click("#kinds [data-kind=session]")
    assert not any("Session start" in row for row in page.run(ROWS))
    assert page.run("return document.querySelector('#kinds [data-kind=session]').ariaPressed") == "false"
    page.run(
        "const states = document.querySelector('#states'); states.value = 'refused';"
        "states.dispatchEvent(new Event('change'))"
    )
    assert len(page.run(ROWS)) == 3


def test_requests_to_mparticle_have_rows(page: Browser, sandbox: Sandbox) -> None:
    """They hold no records that would stand for them: each is a row of its own, and its details have the body."""
    ask(sandbox, "/v1/identify", {"known_identities": {"customerid": "ada"}}, {"x-mp-key": "key"})
    ask(sandbox, "/v4/key/config?av=1&sv=2", headers={"x-mp-env": "1"})
    row_with(page, "200 /v4/key/config?av=1&sv=2")
    choose(page, "400 /v1/identify")
    assert '"customerid": "ada"' in page.text("#detail")
    page.run("location.hash = 'delivery'")
    page.wait("return document.querySelector('#view-delivery').textContent.includes('/v1/identify')")


def test_pausing_holds_the_rows_still(page: Browser, client: Client) -> None:
    """While paused nothing moves and what comes is counted; going on shows it."""
    client.post(body(events=[event(data={"n": "First", "p": {}}, user_id="u")]))
    row_with(page, "First")
    page.keys("p")
    assert page.text("#status-text") == "Paused"
    client.post(body(events=[event(data={"n": "Second", "p": {}}, user_id="u")]))
    page.wait("return document.querySelector('#summary').textContent.includes('paused, 1 new')")
    assert len(page.run(ROWS)) == 1
    page.keys("p")
    row_with(page, "Second")


def test_the_keyboard_is_enough(page: Browser, client: Client) -> None:
    """Rows, details, views, theme and help are reached by keys, and screen readers are told which row is active."""
    client.post(body(events=[event(data={"n": f"Event {number}", "p": {}}, user_id="u") for number in range(3)]))
    row_with(page, "Event 2")
    page.run("document.querySelector('#grid').focus()")
    page.keys(HOME, DOWN)
    active = page.run(
        "const grid = document.querySelector('#grid');"
        "const row = document.getElementById(grid.getAttribute('aria-activedescendant'));"
        "return [row.textContent, row.ariaSelected, row.ariaRowIndex, grid.ariaRowCount]"
    )
    assert "Event 1" in active[0]
    assert active[1:] == ["true", "3", "4"]
    page.keys(ENTER)
    assert page.run("return document.activeElement.id") == "detail"
    page.keys(ESCAPE)
    assert page.run("return [document.activeElement.id, document.querySelector('#detail').hidden]") == ["grid", True]
    page.keys("?")
    assert page.run("return document.querySelector('#shortcuts').open") is True
    page.keys(ESCAPE)
    page.keys("t", "t")
    assert page.run("return document.documentElement.dataset.theme") == "dark"
    dark = page.run("return getComputedStyle(document.body).backgroundColor")
    page.keys("t")
    assert page.run("return getComputedStyle(document.body).backgroundColor") != dark
    page.keys("4")
    page.wait("return document.querySelector('#tab-points').getAttribute('aria-current') === 'page'")
    page.keys("/")
    assert page.run("return document.activeElement.id") == "search"


def test_everything_has_a_name_for_assistive_technology(page: Browser, client: Client) -> None:
    """Each control, row, table and picture of every view has a role and an accessible name; the landmarks are there."""
    client.post(body(events=[event(user_id="u")]))
    choose(page, "Played")
    seen = set()
    for view in ("stream", "users", "delivery", "points", "compare"):
        page.run("location.hash = arguments[0]", view)
        page.wait("return !document.querySelector(`#view-${arguments[0]}`).hidden", view)
        for node in page.cdp("Accessibility.getFullAXTree")["nodes"]:
            role, name = node.get("role", {}).get("value"), node.get("name", {}).get("value", "")
            seen.add(role)
            if role in NAMED and not node["ignored"]:
                assert name.strip(), f"{view}: a {role} without a name"
    assert seen >= {
        "banner",
        "navigation",
        "main",
        "search",
        "grid",
        "row",
        "gridcell",
        "columnheader",
        "complementary",
    }


def test_users_points_and_delivery(page: Browser, sandbox: Sandbox) -> None:
    """The other views tell of users, data points and the queue."""
    with MParticle([BrazeKit(API_KEY, sandbox.url)], storage=":memory:") as client:
        client.inspect(sandbox.url)
        client.identify(customer_id="ada-1815")
        client.set_user_attribute("plan", "gold")
        client.log_event("Played Song")
        client.flush(10)
    page.run("location.hash = 'users'")
    page.wait("return document.querySelector('#view-users').textContent.includes('gold')")
    assert "Played Song" in page.text("#view-users")
    page.run("location.hash = 'points'")
    page.wait("return document.querySelectorAll('#view-points tr[data-kind]').length > 4")
    kinds = page.run(
        "return [...document.querySelectorAll('#view-points table')[0].querySelectorAll('tbody tr')]"
        ".map((row) => [...row.children].map((cell) => cell.textContent))"
    )
    assert [(row[0], row[2]) for row in kinds] == [
        ("Custom events", "1"),
        ("Purchases", "0"),
        ("Attributes", "1"),
        ("Sessions", "1"),
    ]
    page.run("location.hash = 'delivery'")
    page.wait("return document.querySelector('#view-delivery').textContent.includes('native')")
    assert page.run("return document.querySelector('#view-delivery .columns').ariaLabel").startswith("Records in each")


def test_comparing_profiles(page: Browser) -> None:
    """A call's four forms side by side; where they differ is marked, in more than colour."""
    page.run("location.hash = 'compare'")
    call = {"call": "log_event", "name": "Played", "attributes": {"plays": 3, "genre": "Jazz"}}
    page.run("document.querySelector('#compare-input').value = arguments[0]", json.dumps(call))
    page.click("#compare-run")
    page.wait("return document.querySelectorAll('.profile').length === 4")
    marked = page.run("return [...document.querySelectorAll('.leaf.differs')].map((leaf) => leaf.textContent)")
    assert sorted(marked) == sorted([*["data.p.plays: 3 (differs)"] * 2, *['data.p.plays: "3" (differs)'] * 2])
    page.run("document.querySelector('#compare-input').value = '{'")
    page.click("#compare-run")
    page.wait(
        "return document.querySelector('#compare-result [role=alert]')?.textContent.startsWith('This is no JSON')"
    )


def test_the_stream_is_taken_up_again(page: Browser, sandbox: Sandbox, client: Client) -> None:
    """After a break of the connection the page goes on where it was, with nothing twice."""
    client.post(body(events=[event(data={"n": "Before", "p": {}}, user_id="u")]))
    row_with(page, "Before")
    sandbox.stop()
    page.wait("return document.querySelector('#status').dataset.state === 'reconnecting'")
    sandbox.start()
    with_new_connection = Client(sandbox.port)
    with_new_connection.post(body(events=[event(data={"n": "After", "p": {}}, user_id="u")]))
    with_new_connection.close()
    row_with(page, "After")
    assert [sum(name in row for row in page.run(ROWS)) for name in ("Before", "After")] == [1, 1]
    page.log()  # the browser writes down that it was turned away meanwhile


def test_ten_thousand_records(page: Browser, client: Client) -> None:
    """All are there, few are in the document, and scrolling to any place fills the window."""
    events = [event(data={"n": f"Event {number}", "p": {"n": number}}, user_id="u") for number in range(MANY)]
    for start in range(0, MANY, 2500):
        client.post(body(events=events[start : start + 2500]))
    page.wait("return document.querySelector('#summary').textContent.startsWith('10,000 rows')")
    assert any("Event 9999" in row for row in page.run(ROWS))  # it follows the end
    assert page.run("return document.querySelectorAll('*').length") < 1000
    page.run("document.querySelector('#grid').scrollTop = 5000 * 34")
    row_with(page, "Event 5000")
    outside = page.run(
        "const { top, bottom } = document.querySelector('#grid').getBoundingClientRect();"
        f"const rows = {SHOWN}.map((row) => row.getBoundingClientRect());"
        "return [Math.min(...rows.map((row) => row.top)) - top, bottom - Math.max(...rows.map((row) => row.bottom))]"
    )
    assert max(outside) <= 0


def test_a_narrow_window(page: Browser, client: Client) -> None:
    """At 360 pixels nothing sticks out sideways in any view, however long names and values are."""
    client.post(body(events=[event(data={"n": "A name " * 20, "p": {"t": "long " * 99}}, user_id="u" * 90)]))
    page.resize(360, 740)
    for view, content in [
        ("stream", "#rows .row"),
        ("users", "li"),
        ("delivery", ".card"),
        ("points", ".bar"),
        ("compare", "textarea"),
    ]:
        page.run("location.hash = arguments[0]", view)
        page.wait("return document.querySelector(`.view:not([hidden]) ${arguments[0]}`) !== null", content)
        boxes = "[document.documentElement, document.querySelector('.view:not([hidden])')]"
        assert max(page.run(f"return {boxes}.map((box) => box.scrollWidth)")) <= 360, view


def test_saving_what_is_shown(page: Browser, client: Client, tmp_path: Path) -> None:
    """The export holds the rows that match, one JSON object a line."""
    client.post(body(events=[event(data={"n": name, "p": {}}, user_id="u") for name in ("Kept", "Left", "Kept")]))
    row_with(page, "Left")
    page.cdp("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    page.type("#search", "kept")
    page.wait("return document.querySelector('#summary').textContent.startsWith('2 rows')")
    page.click("#export")
    saved = tmp_path / "records.jsonl"
    page.wait("return document.querySelector('#announcer').textContent === '2 rows exported'")
    wait_until(lambda: saved.exists() and saved.stat().st_size > 0, timeout=20)
    assert [json.loads(line)["name"] for line in saved.read_text(encoding="utf-8").splitlines()] == ["Kept", "Kept"]
