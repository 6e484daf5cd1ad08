"""Receiving Braze Currents: each event once, typed, handed on to mParticle's clients or to a function.

Serve ``application`` with any WSGI server (``gunicorn examples.server_currents:application``) and give Braze its
address. Run as a script it takes one batch and prints the event.
"""

from __future__ import annotations

import os

from mparticle_kit_braze.server import CurrentsApp, CurrentsEvent, CurrentsReceiver


def handle(event: CurrentsEvent) -> None:
    """Whatever should happen on an event; raise, and Braze sends it again."""
    plain = event.to_event()
    print(event.customer_id, event.braze_type, plain.name, plain.attributes)


receiver = CurrentsReceiver(handle)
application = CurrentsApp(receiver, {os.environ.get("FEED_KEY", "key"): os.environ.get("FEED_SECRET", "secret")})

if __name__ == "__main__":
    receiver.receive(
        {
            "schema_version": 2,
            "environment": "production",
            "user_identities": {"customerid": "ada-1815", "email": "ada@example.com"},
            "events": [
                {
                    "event_type": "custom_event",
                    "data": {
                        "event_name": "Email Opens",
                        "source_message_id": "m-1",
                        "timestamp_unixtime_ms": 1767323045000,
                        "custom_attributes": {"campaign_name": "Spring", "machine_open": False},
                    },
                }
            ],
        }
    )
