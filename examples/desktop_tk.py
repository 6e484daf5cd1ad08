"""A desktop app that shows Braze's content cards and in-app messages in its own windows.

Run it with nothing but the package and Tk installed: ``python examples/desktop_tk.py``. It starts a Braze of its own
with some campaigns; ``--endpoint`` and ``--api-key`` talk to a real one. ``--seconds`` closes the window by itself.
"""

from __future__ import annotations

import argparse
import queue
import sys
import tempfile
import tkinter as tk
import webbrowser
from tkinter import ttk

from mparticle_kit_braze import BrazeKit, MParticle
from mparticle_kit_braze.braze import Braze
from mparticle_kit_braze.braze.messaging import (
    Button,
    CaptionedImageCard,
    ClassicCard,
    ClickAction,
    Color,
    ContentCard,
    DismissType,
    InAppMessage,
    ModalMessage,
    SlideupMessage,
)
from mparticle_kit_braze.sandbox import Sandbox

POLL_MS = 50


class App:
    """The window: a list of cards, a button that logs an event, and room for messages.

    Tk belongs to one thread. So nothing here is called by Braze: what came is fetched in a timer of Tk.

    Args:
        root: The window.
        client: Takes the events.
        braze: Has the cards and the messages.
    """

    def __init__(self, root: tk.Tk, client: MParticle, braze: Braze) -> None:
        self.root = root
        self.client = client
        self.braze = braze
        self.messages = braze.in_app_messages.stream()
        self.updates: queue.SimpleQueue[tuple[ContentCard, ...]] = queue.SimpleQueue()
        braze.content_cards.subscribe_to_updates(self.updates.put)
        root.title("Songs")
        root.geometry("420x360")
        ttk.Button(root, text="Play a song", command=self.play).pack(fill="x", padx=12, pady=12)
        self.cards = ttk.Frame(root)
        self.cards.pack(fill="both", expand=True, padx=12)
        self.show_cards(braze.content_cards.cards)
        root.after(POLL_MS, self.poll)

    def play(self) -> None:
        """What the app is for."""
        self.client.log_event("Played Song", attributes={"genre": "Jazz"})

    def poll(self) -> None:
        """Show what came."""
        while not self.updates.empty():
            self.show_cards(self.updates.get())
        message = self.messages.take(timeout=0)
        if message is not None:
            self.show_message(message)
        self.root.after(POLL_MS, self.poll)

    # -- content cards ----------------------------------------------------------------------------------------------
    def show_cards(self, cards: tuple[ContentCard, ...]) -> None:
        """Fill the list; every card on the screen counts as seen."""
        for old in self.cards.winfo_children():
            old.destroy()
        for card in cards:
            if isinstance(card, ClassicCard | CaptionedImageCard):
                self.add_card(card)
        self.braze.content_cards.log_impressions(cards)

    def add_card(self, card: ClassicCard | CaptionedImageCard) -> None:
        """One card with a title, a text, a link and a way to put it away."""
        frame = ttk.LabelFrame(self.cards, text=("★ " if card.pinned else "") + card.title)
        frame.pack(fill="x", pady=4)
        ttk.Label(frame, text=card.description, wraplength=260).pack(side="left", padx=6, pady=6)
        if card.dismissible:
            ttk.Button(frame, text="✕", width=3, command=lambda: self.dismiss(card)).pack(side="right")
        if card.url is not None:
            ttk.Button(frame, text=card.link_text or "Open", command=lambda: self.open_card(card)).pack(side="right")

    def dismiss(self, card: ContentCard) -> None:
        """Put a card away."""
        self.braze.content_cards.dismiss(card)
        self.show_cards(self.braze.content_cards.cards)

    def open_card(self, card: ContentCard) -> None:
        """Follow a card's link."""
        self.braze.content_cards.log_click(card)
        webbrowser.open(card.url or "")

    # -- in-app messages --------------------------------------------------------------------------------------------
    def show_message(self, message: InAppMessage) -> None:
        """A modal as a window of its own, a slideup as a bar; other kinds are not for this app."""
        if isinstance(message, ModalMessage):
            self.show_modal(message)
        elif isinstance(message, SlideupMessage):
            self.show_slideup(message)
        else:
            return
        self.braze.in_app_messages.log_impression(message)

    def show_modal(self, message: ModalMessage) -> None:
        """Header, text, and the campaign's buttons in its colours."""
        back = hex_of(message.background_color, "#ffffff")
        front = hex_of(message.text_color, "#222222")
        window = tk.Toplevel(self.root, background=back)
        window.title(message.header or "")
        window.transient(self.root)
        window.geometry(f"+{self.root.winfo_rootx() + 60}+{self.root.winfo_rooty() + 190}")
        header = tk.Label(window, text=message.header or "", background=back, foreground=front)
        header.configure(font=("TkDefaultFont", 16, "bold"))
        header.pack(padx=24, pady=12)
        tk.Label(window, text=message.message, wraplength=280, background=back, foreground=front).pack(padx=24)
        row = tk.Frame(window, background=back)
        row.pack(pady=12)
        for button in message.buttons:
            self.add_button(row, window, message, button)

    def add_button(self, row: tk.Frame, window: tk.Toplevel, message: ModalMessage, button: Button) -> None:
        """A button that counts its click, does what it is for, and closes the message."""

        def press() -> None:
            self.braze.in_app_messages.log_button_click(message, button)
            window.destroy()
            if button.click_action is ClickAction.URI and button.uri:
                webbrowser.open(button.uri)

        tk.Button(
            row,
            text=button.text,
            command=press,
            background=hex_of(button.background_color, "#dddddd"),
            foreground=hex_of(button.text_color, "#000000"),
        ).pack(side="left", padx=6)

    def show_slideup(self, message: SlideupMessage) -> None:
        """A bar at the bottom that goes by itself if the campaign says so."""
        bar = tk.Label(self.root, text=message.message, background="#333333", foreground="#ffffff", pady=8)
        bar.pack(side="bottom", fill="x")
        bar.bind("<Button-1>", lambda _event: self.braze.in_app_messages.log_click(message))
        if message.dismiss_type is DismissType.AUTO_DISMISS:
            self.root.after(int(message.duration * 1000), bar.destroy)


def hex_of(color: Color | None, otherwise: str) -> str:
    """A colour as Tk writes it."""
    return otherwise if color is None else color.hex


def campaigns(sandbox: Sandbox) -> None:
    """Something to show."""
    sandbox.add_content_card("welcome", tt="Welcome", ds="Three songs a day keep the doctor away.", p=True)
    sandbox.add_content_card("concert", tt="Concert", ds="Ada plays on Friday.", u="https://example.com", dm="Tickets")
    sandbox.add_in_app_message(
        {
            "header": "You like Jazz",
            "message": "Shall we tell you of new records?",
            "bg_color": 0xFFFFF8E1,
            "btns": [
                {"id": 0, "text": "Not now", "click_action": "NONE"},
                {"id": 1, "text": "Yes", "click_action": "NONE", "bg_color": 0xFF2E7D32, "text_color": 0xFFFFFFFF},
            ],
        },
        event="Played Song",
    )


def run(endpoint: str, api_key: str, seconds: float | None) -> None:
    """Show the window until it is closed."""
    root = tk.Tk()
    with (
        tempfile.TemporaryDirectory() as storage,
        MParticle(kits=[BrazeKit(api_key, endpoint)], storage=storage) as client,
    ):
        app = App(root, client, client.kit("Braze"))
        client.identify(customer_id="ada-1815")
        if seconds is not None:
            root.after(500, app.play)
            root.after(int(seconds * 1000), root.destroy)
        root.mainloop()
        app.messages.close()


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint", help="a real SDK endpoint instead of a local one")
    parser.add_argument("--api-key", default="your-app-identifier-key", help="the app identifier key")
    parser.add_argument("--seconds", type=float, help="close the window after so many seconds")
    given = parser.parse_args()
    if given.endpoint:
        run(given.endpoint, given.api_key, given.seconds)
        return 0
    with Sandbox() as sandbox:
        campaigns(sandbox)
        run(sandbox.url, given.api_key, given.seconds)
        print({code: dict(counts) for code, counts in sandbox.analytics.items()})
        return 1 if sandbox.problems else 0


if __name__ == "__main__":
    sys.exit(main())
