"""Log records as events: which of them, and what of them."""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Iterator

import pytest

from mparticle_kit_braze import InvalidArgumentError, MParticle
from mparticle_kit_braze.integrations import EventLogHandler
from mparticle_kit_braze.sandbox import Sandbox


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """A logger of the app; its handlers go after the test."""
    logger = logging.getLogger("shop.checkout")
    logger.setLevel(logging.DEBUG)
    yield logger
    logger.handlers.clear()


def test_what_an_event_tells(client: MParticle, sandbox: Sandbox, logger: logging.Logger) -> None:
    """The template, the level, the logger and the chosen extras; no argument, no other extra, no exception text."""
    logger.addHandler(EventLogHandler(client, extras=["order", "amount", "late", "due", "basket", "missing"]))
    due = dt.datetime(2026, 1, 2, tzinfo=dt.timezone.utc)
    extra = {"order": "o" * 300, "amount": 4.5, "late": True, "due": due, "basket": ["tea"], "password": "secret"}
    try:
        int("secret")
    except ValueError:
        logger.exception("order of %s failed", "ada@example.com", extra=extra)
    (event,) = sandbox.assert_event("Log Record", user="process", times=1)
    due_text = event.properties["due"]
    assert event.properties == {
        "level": "ERROR",
        "logger": "shop.checkout",
        "message": "order of %s failed",
        "order": "o" * 255,
        "amount": 4.5,
        "late": True,
        "due": due_text,
    }
    assert due_text.startswith("2026-01-02")


def test_messages_without_arguments_are_kept_back(client: MParticle, sandbox: Sandbox, logger: logging.Logger) -> None:
    """A finished message may hold anything, so it is sent only if the app says that its messages never do."""
    logger.addHandler(EventLogHandler(client, event_name="Careful"))
    logger.addHandler(EventLogHandler(client, event_name="Plain", plain_messages=True))
    logger.error("ada@example.com was refused")
    logger.error(ValueError("ada@example.com"))
    careful = sandbox.assert_event("Careful", times=2)
    assert not any("message" in event.properties for event in careful)
    plain = sandbox.assert_event("Plain", times=2)
    assert [event.properties.get("message") for event in plain] == ["ada@example.com was refused", None]


def test_which_records(client: MParticle, sandbox: Sandbox, logger: logging.Logger) -> None:
    """Level and filters choose, as for any handler; the time is the record's, the user the scope's."""
    handler = EventLogHandler(client, "WARNING", event_name="Warned")
    handler.addFilter(lambda record: "noise" not in str(record.msg))
    logger.addHandler(handler)
    logger.info("%s", "too little")
    logger.error("noise %s", 1)
    with client.user_scope(customer_id="ada-1815"):
        logger.warning("careful with %s", "this")
    sandbox.assert_event("Warned", message="careful with %s", user="ada-1815", times=1)
    sandbox.assert_no_event("Warned", user="process")


def test_its_own_records_cause_no_events(client: MParticle, sandbox: Sandbox) -> None:
    """With a handler for everything on the root logger, delivery and refusals make no events of themselves."""
    root = logging.getLogger()
    handler = EventLogHandler(client, logging.DEBUG)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        client.log_event("Refused Value", attributes={"nested": {"a": 1}, "nan": float("nan")})
        for _ in range(3):
            client.flush(5)  # urllib3 has a word to say about each request
        logging.getLogger("app").error("failed %s", 1)
        client.flush(5)
        client.flush(5)
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    sandbox.assert_event("Log Record", times=1, logger="app")
    sandbox.assert_no_event("Log Record", logger="urllib3.connectionpool")


def test_a_callback_that_logs_is_no_recursion(sandbox: Sandbox, logger: logging.Logger) -> None:
    """An app whose error callback logs an error, while the handler logs an event that is refused, goes on."""
    from mparticle_kit_braze.server import BrazeServerKit

    told = []

    def on_error(problem: object) -> None:
        told.append(problem)
        logger.error("problem: %s", problem)

    with MParticle([BrazeServerKit("rest-key", sandbox.url)], storage=":memory:", on_error=on_error) as client:
        logger.addHandler(EventLogHandler(client))
        logger.error("nobody is %s", "here")  # the client has no user: refused, and told
        client.flush(5)
        assert told
        client.identify(customer_id="process")
        sandbox.attach(client)
        logger.error("again %s", 1)
        sandbox.assert_event("Log Record", message="again %s", times=1)


def test_a_storm_is_bounded(client: MParticle, sandbox: Sandbox) -> None:
    """So many events a minute and no more; how many were left out the next one tells."""
    handler = EventLogHandler(client, most_per_minute=2)
    start = time.time()
    for second in (0, 1, 2, 30, 59.9, 60.1, -100):
        record = logging.LogRecord("shop", logging.ERROR, "", 0, "failed after %s", (second,), None)
        record.created = start + second
        handler.handle(record)
    found = sandbox.assert_event("Log Record", message="failed after %s", times=4)
    assert [event.properties.get("suppressed") for event in found] == [None, None, 3, None]


def test_the_end_of_the_client_is_silent(
    client: MParticle, logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    """Logging goes on after the client is closed, without events and without a word."""
    logger.addHandler(EventLogHandler(client))
    client.close()
    logger.error("late %s", 1)
    assert capsys.readouterr().err == ""


def test_wrong_settings_raise(client: MParticle) -> None:
    """A text for the extras, no event name and no room are told where the handler is made."""
    with pytest.raises(InvalidArgumentError):
        EventLogHandler(client, extras="order")
    with pytest.raises(InvalidArgumentError):
        EventLogHandler(client, event_name="")
    with pytest.raises(InvalidArgumentError):
        EventLogHandler(client, most_per_minute=0)
