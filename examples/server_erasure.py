"""An OpenDSR endpoint whose erasure requests delete the users in Braze.

Runs as it is, against a local Braze: ``python examples/server_erasure.py``.
"""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from mparticle_kit_braze.sandbox import Sandbox
from mparticle_kit_braze.server import BrazeRest, DSRResponse, ErasureForwarder, ErasureService, ServerSettings


class LaterClock:
    """The machine's clock, an hour on: the example does not want to wait."""

    ahead = 0.0

    def time(self) -> float:
        """Wall-clock seconds."""
        return time.time() + self.ahead

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic() + self.ahead


def post_requests(service: ErasureService, body: bytes) -> DSRResponse:
    """``POST /requests`` of your endpoint."""
    request: dict[str, Any] = json.loads(body)
    return service.request(request)


def main() -> None:
    """Take a request in, wait for the hour, and show its state."""
    settings = ServerSettings.from_python(erasure_forwarding=True)
    clock = LaterClock()
    # Give the forwarder values=storage.key_values("erasures") to keep its queue over restarts.
    forwarder = ErasureForwarder(settings, clock=clock, controller_id="1234")
    with (
        Sandbox() as sandbox,
        BrazeRest("rest-key", sandbox.url, storage=":memory:") as rest,
        ErasureService(forwarder, rest) as service,
    ):
        request_id = str(uuid.uuid4())
        body = {
            "regulation": "gdpr",
            "subject_request_id": request_id,
            "subject_request_type": "erasure",
            "submitted_time": "2026-01-02T03:04:05Z",
            "subject_identities": {"controller_customer_id": {"value": "ada-1815", "encoding": "raw"}},
        }
        receipt = post_requests(service, json.dumps(body).encode())
        print(receipt.status, receipt.body["expected_completion_time"])
        clock.ahead = 3600
        service.send_due()  # a timer does this in a running service
        rest.flush(timeout=10)
        print(service.lookup(request_id).body["request_status"], sandbox.rest.deleted)


if __name__ == "__main__":
    main()
