"""The end of a client, of a process's copy of it, and of streams."""

from __future__ import annotations

import gc
import os
import threading
import warnings
import weakref
from collections.abc import Callable

import pytest

from mparticle_kit_braze.braze import Braze
from mparticle_kit_braze.braze.messaging.in_app_messages import ModalMessage
from mparticle_kit_braze.braze.messaging.streams import MAX_WAITING, MessageStream
from mparticle_kit_braze.clock import SYSTEM_CLOCK
from mparticle_kit_braze.errors import ClosedError
from mparticle_kit_braze.sandbox import Reply, SandboxRequest
from tests.support import wait_until

from .conftest import Lab, shown


def test_after_close(lab: Lab) -> None:
    """Streams end, analytics and requests say that the client was closed."""
    lab.sandbox.add_in_app_message(event="show", id="t1")
    braze = lab.client()
    message = shown(braze, lab)
    stream = braze.in_app_messages.stream()
    braze.close()
    assert list(stream) == []
    calls: list[Callable[[], object]] = [
        lambda: braze.in_app_messages.log_impression(message),
        braze.content_cards.request_refresh,
        braze.feature_flags.refresh,
        lambda: braze.banners.request_refresh(["p"]),
    ]
    for call in calls:
        with pytest.raises(ClosedError):
            call()


def test_a_forgotten_client_is_collected(lab: Lab) -> None:
    """Subscriptions and held messages keep no client alive."""
    lab.sandbox.add_in_app_message(event="show", id="t1")
    made = Braze("app-key-1", lab.sandbox.url, storage=lab._directory)
    made.in_app_messages.subscribe(lambda _message: None)
    shown(made, lab)
    made.flush(5)
    reference = weakref.ref(made)
    del made
    lab.until(lambda: gc.collect() >= 0 and reference() is None)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_its_own(lab: Lab) -> None:
    """A child can ask for and be told of messages although the parent had requests and callbacks under way."""
    lab.sandbox.add_in_app_message(event="show", id="t1", re_eligibility=0, min_seconds_since_last_trigger=0)
    lab.sandbox.add_content_card("a")
    braze = lab.client(clock=SYSTEM_CLOCK)
    shown(braze, lab)
    braze.flush(5)
    reached = threading.Event()

    def slow(request: SandboxRequest) -> Reply | None:
        if "content_cards" not in request.path or reached.is_set():
            return None
        reached.set()
        return Reply(delay=0.3)

    lab.sandbox.fault = slow
    braze.content_cards.request_refresh()
    assert reached.wait(5)
    braze.content_cards.request_refresh()  # waits behind the first
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of forking with threads
        child = os.fork()
    if child == 0:
        code = 1
        try:
            done: list[bool] = []
            braze.content_cards.request_refresh(done.append)
            message = shown(braze, lab)
            wait_until(lambda: done == [True])
            code = 0 if braze.in_app_messages.log_impression(message) else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_stream_is_bounded() -> None:
    """At most 100 messages wait; the oldest give way."""
    stream = MessageStream()
    for number in range(MAX_WAITING + 5):
        stream.put(ModalMessage(trigger_id=str(number)))
    stream.close()
    ids = [message.trigger_id for message in stream]
    assert (len(ids), ids[0], ids[-1]) == (MAX_WAITING, "5", str(MAX_WAITING + 4))


def test_a_stream_after_close_is_at_its_end(lab: Lab) -> None:
    """Nobody waits for messages that can never come."""
    braze = lab.client()
    braze.close()
    stream = braze.in_app_messages.stream()
    assert stream.take() is None
    assert list(stream) == []
