"""``braze.in_app_messages``: messages that come up for what the user does, handed to the app, and their analytics."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from typing import Any

from ...errors import InvalidArgumentError
from .arguments import checked
from .callbacks import Subscribers
from .context import Context
from .fields import identifier
from .in_app_messages import Button, ControlMessage, HtmlMessage, InAppMessage, parse_message
from .streams import MessageStream
from .syncs import Answer, Syncs
from .trigger_watch import Firing, TriggerWatch
from .triggers import CUSTOM_EVENT, PURCHASE, Occurrence, message_click

__all__ = ["InAppMessages"]

TEMPLATE_ATTEMPTS = 4
EVENT_CODES: Mapping[str, str] = {CUSTOM_EVENT: "ce", PURCHASE: "p"}


class InAppMessages:
    """In-app messages for an app that presents them itself. Not made by apps: see :attr:`Braze.in_app_messages`.

    Messages come up only while somebody listens, by :meth:`subscribe` or :meth:`stream`: one that nobody would see is
    not used up. Triggers come with each session, and are kept over restarts for the current user; which one fires, and
    how often, is decided as in the Web SDK. Impressions and clicks are the app's to tell.

    Attributes:
        watched: Whether anybody has listened yet; while not, events need not be told of.
    """

    def __init__(self, context: Context, syncs: Syncs) -> None:
        self._context = context
        self._syncs = syncs
        self._watch = TriggerWatch(context)
        self._subscribers: Subscribers[InAppMessage] = Subscribers(context.callbacks)
        self._dismissals: Subscribers[InAppMessage] = Subscribers(context.callbacks)
        self._streams: tuple[MessageStream, ...] = ()
        self._closed = False
        self.watched: bool = False

    # -- listening ----------------------------------------------------------------------------------------------
    def subscribe(self, callback: Callable[[InAppMessage], object]) -> Callable[[], None]:
        """Call ``callback`` with each message that comes up.

        Callbacks of all features are called one after another, on one thread that is neither the app's nor delivery's.
        They may use the client as they like; one that blocks holds up the others and nothing else. What one raises is
        reported as ``callback_failed``.

        Args:
            callback: A plain function; an asyncio app passes ``loop.call_soon_threadsafe`` a call of its own from it.

        Returns:
            A function that ends the subscription.

        Raises:
            InvalidArgumentError: ``callback`` cannot be called, or is a coroutine function.
        """
        unsubscribe = self._subscribers.add(callback)
        self._begin_listening()
        return unsubscribe

    def stream(self) -> MessageStream:
        """Messages to be taken one by one, from now on; close it when done.

        Iterating, or :meth:`MessageStream.take`, waits for the next message and ends when the stream or the client is
        closed. In asyncio: ``await asyncio.to_thread(stream.take)``.
        """
        stream = MessageStream()
        stream.attach(lambda: self._detach(stream))
        self._streams = (*self._streams, stream)
        if self._closed:
            stream.close()
        else:
            self._begin_listening()
        return stream

    def subscribe_to_dismissals(self, callback: Callable[[InAppMessage], object]) -> Callable[[], None]:
        """Call ``callback`` with each message given to :meth:`dismiss`, for whoever has it on the screen.

        Returns:
            A function that ends the subscription.

        Raises:
            InvalidArgumentError: ``callback`` cannot be called, or is a coroutine function.
        """
        return self._dismissals.add(callback)

    @property
    def listening(self) -> bool:
        """Whether anybody would see a message."""
        return bool(self._subscribers or self._streams)

    def _begin_listening(self) -> None:
        self.watched = True
        firing = self._watch.opened_unseen()
        if firing is not None:
            self._bring_up(firing)

    def _detach(self, stream: MessageStream) -> None:
        self._streams = tuple(known for known in self._streams if known is not stream)

    # -- analytics ----------------------------------------------------------------------------------------------
    def log_impression(self, message: InAppMessage) -> bool:
        """The user sees the message. Counted once for each time it came up.

        Control messages need not be told of: theirs are counted by themselves.

        Returns:
            Whether it was logged: not again, nor for a message without a trigger id, nor while disabled.

        Raises:
            InvalidArgumentError: ``message`` is no in-app message.
            ClosedError: The client was closed.
        """
        code = "iec" if isinstance(checked(message, InAppMessage), ControlMessage) else "si"
        return self._log_once(message, code, {})

    def log_click(self, message: InAppMessage) -> bool:
        """The user clicked the message itself. Counted once, in HTML messages each time (as the Web SDK).

        Messages that wait for this click come up.

        Returns:
            Whether it was logged: as for :meth:`log_impression`.

        Raises:
            InvalidArgumentError: ``message`` is no in-app message.
            ClosedError: The client was closed.
        """
        logged = self._log_once(checked(message, InAppMessage), "sc", {}, repeats=isinstance(message, HtmlMessage))
        if logged:
            self._clicked(message, None)
        return logged

    def log_button_click(self, message: InAppMessage, button: Button | int | str) -> bool:
        """The user clicked a button. Counted once a button, in HTML messages each time.

        Args:
            message: The message.
            button: One of its buttons or its id; in HTML messages the id is text.

        Returns:
            Whether it was logged: as for :meth:`log_impression`, and not for a button the message does not have.

        Raises:
            InvalidArgumentError: ``message`` is no in-app message, or ``button`` neither a button nor an id.
            ClosedError: The client was closed.
        """
        is_html = isinstance(checked(message, InAppMessage), HtmlMessage)
        button_id = button.id if isinstance(button, Button) else button
        if isinstance(button_id, bool) or not isinstance(button_id, int | str):
            raise InvalidArgumentError(f"button must be a Button or its id, not {type(button).__name__}")
        if is_html:
            button_id = str(button_id)
        elif button_id not in [known.id for known in getattr(message, "buttons", ())]:
            return False
        logged = self._log_once(message, f"sbc {button_id}", {"bid": button_id}, repeats=is_html)
        if logged:
            self._clicked(message, str(button_id))
        return logged

    def dismiss(self, message: InAppMessage) -> bool:
        """The message is to go from the screen: tells those of :meth:`subscribe_to_dismissals`. Braze counts nothing.

        Returns:
            Whether it was the first time.

        Raises:
            InvalidArgumentError: ``message`` is no in-app message.
        """
        if not checked(message, InAppMessage).mark("dismissed"):
            return False
        self._dismissals.tell(message)
        return True

    def _log_once(self, message: InAppMessage, mark: str, data: Mapping[str, Any], *, repeats: bool = False) -> bool:
        if message.trigger_id is None or not self._context.accepts():
            return False
        if not repeats and not message.mark(mark):
            return False
        return self._context.log(mark.partition(" ")[0], {"trigger_ids": [message.trigger_id], **data})

    def _clicked(self, message: InAppMessage, button: str | None) -> None:
        occurrence = message_click(message.trigger_id or "", button)
        if occurrence is not None:
            self.happened(occurrence)

    # -- told by the client -------------------------------------------------------------------------------------
    def logged(self, kind: str, name: str, properties: Mapping[Any, Any] | None, data: str, at: float) -> None:
        """An event or a purchase was logged.

        Args:
            kind: ``custom_event`` or ``purchase``.
            name: The event's name, or the product id.
            properties: As the app gave them.
            data: The event's data as it was queued.
            at: The time it was queued under, seconds since the epoch.
        """
        if not self.listening or not self._watch.concerns(kind, name):
            return
        session_id, user = self._context.state.session_id, self._context.user_member()

        def event() -> dict[str, Any]:
            return {
                "name": EVENT_CODES[kind],
                "time": round(at, 3),
                "data": json.loads(data),
                "session_id": session_id,
                **(user or self._context.alias_member()),
            }

        # A copy: the event may have to wait, and the app goes on with its own.
        self.happened(Occurrence(kind, name, dict(properties) if properties else {}), event)

    def happened(self, occurrence: Occurrence, event: Callable[[], dict[str, Any]] | None = None) -> None:
        """Something happened that may bring up a message."""
        if self.listening:
            firing = self._watch.happened(occurrence, event)
            if firing is not None:
                self._bring_up(firing)

    def session_began(self, *, new_session: bool) -> None:
        """Triggers are asked for with the next request."""
        self._watch.expect(new_session=new_session)

    def triggers_answered(self, raw: object) -> None:
        """The answer to that came; anything but a list means that it brought no triggers."""
        if self.listening:
            self._bring_up_all(self._watch.answered(raw))
        else:
            self._watch.take_silently(raw)

    def triggers_failed(self) -> None:
        """The request failed: what waited goes by the triggers that are held."""
        firings = self._watch.given_up() if self.listening else []
        self._bring_up_all(firings)

    def forget_user(self) -> None:
        """The user changed."""
        self._watch.forget()

    def close(self) -> None:
        """End the streams."""
        self._closed = True
        for stream in self._streams:
            stream.close()

    # -- bringing up --------------------------------------------------------------------------------------------
    def _bring_up_all(self, firings: list[Firing]) -> None:
        for firing in firings:
            self._bring_up(firing)

    def _bring_up(self, firing: Firing) -> None:
        trigger = firing.trigger
        if trigger.templated:
            template = Template(self._context, self._syncs, firing, lambda raw: self._fetched(firing, raw))
            template.send()
        else:
            self._show_later(firing, trigger.data)

    def _fetched(self, firing: Firing, raw: object) -> None:
        if isinstance(raw, dict):
            self._show_later(firing, raw)
        else:
            self._watch.unfired(firing)

    def _show_later(self, firing: Firing, raw: Mapping[str, Any]) -> None:
        delay = firing.time + firing.trigger.delay - self._context.clock.time()
        self._context.callbacks.post(lambda: self._show(firing, raw), max(0.0, delay))

    def _show(self, firing: Firing, raw: Mapping[str, Any]) -> None:
        trigger = firing.trigger
        if firing.epoch != self._context.state.epoch or self._context.state.disabled:
            return
        late = self._context.clock.time() - firing.time - trigger.delay
        if trigger.timeout is not None and late > trigger.timeout:
            self._watch.unfired(firing)
            return
        message = parse_message(raw)
        if message is None:
            self._context.reporter.report(
                "message_unreadable", "An in-app message is of no known type and was left out"
            )
        elif isinstance(message, ControlMessage):
            # There is nothing to show, so the app need not know; that it would have come up is what counts.
            self.log_impression(message)
        else:
            self._subscribers.tell(message)
            for stream in self._streams:
                stream.put(message)


class Template:
    """Fetches the message of a templated trigger; a :class:`~.syncs.Sync`."""

    path: str = "template/"
    header: str | None = None
    responds: bool = True
    waits_for_signature: bool = False  # it is tried again by itself, and nobody waits for it long

    def __init__(self, context: Context, syncs: Syncs, firing: Firing, done: Callable[[object], object]) -> None:
        self._context = context
        self._syncs = syncs
        self._firing = firing
        self._done = done
        self._attempts = 0

    def send(self) -> None:
        """Ask for it, unless the user changed since."""
        if self._firing.epoch != self._context.state.epoch or not self._syncs.send(self):
            self._done(None)

    def members(self) -> Mapping[str, Any] | None:
        """What fired, and how; nothing once it is too late to show it."""
        trigger, occurrence = self._firing.trigger, self._firing.occurrence
        late = self._context.clock.time() - self._firing.time - trigger.delay
        if trigger.timeout is not None and late > trigger.timeout:
            return None
        template: dict[str, Any] = {
            "trigger_id": identifier(trigger.data, "trigger_id") or trigger.id,
            "trigger_event_type": occurrence.kind,
        }
        if self._firing.event is not None:
            template["data"] = self._firing.event()
        return {"template": template}

    def headers(self) -> Mapping[str, str]:
        """None of its own."""
        return {}

    def answered(self, answer: Answer) -> None:
        """The message; as the Web SDK, an error status is tried again after 1 to 3 s, an empty answer shows nothing."""
        self._attempts += 1
        if not answer.ok and answer.status != 0 and self._attempts < TEMPLATE_ATTEMPTS:
            self._context.callbacks.post(self.send, random.uniform(1, 3))  # noqa: S311 - jitter, not a secret
            return
        templated = answer.body.get("templated_message")
        self._done(templated.get("data") if isinstance(templated, dict) else None)
