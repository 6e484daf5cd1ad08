"""A web backend that tracks many users at once: one client for the process, one light handle for each request.

Runs as it is, against a local Braze: ``python examples/server_backend.py``. In Flask the body of ``application`` is a
view function, in FastAPI an ``async def`` endpoint: no call here waits for the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs
from wsgiref.util import setup_testing_defaults

from mparticle_kit_braze import CommerceEvent, MParticle, Product, ProductAction, TransactionAttributes
from mparticle_kit_braze.sandbox import Sandbox
from mparticle_kit_braze.server import BrazeServerKit


def make_application(client: MParticle) -> Callable[..., Iterable[bytes]]:
    """A WSGI application with a shop's checkout in it."""

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        form = parse_qs(environ.get("QUERY_STRING", ""))
        with client.for_user(customer_id=form["user"][0], email=form["email"][0]) as user:
            user.set_user_attribute("$FirstName", form["name"][0])
            user.increment_user_attribute("orders")
            user.log_event("Checkout Completed", attributes={"path": environ["PATH_INFO"]})
            user.log_commerce_event(
                CommerceEvent(
                    ProductAction.PURCHASE,
                    products=[Product("Tea", "SKU-1", 4.5, quantity=2)],
                    transaction=TransactionAttributes(id="t-1", revenue=9.0),
                    currency="EUR",
                )
            )
        start_response("204 No Content", [])
        return []

    return application


def main() -> None:
    """Serve two requests and show what Braze has."""
    with Sandbox() as sandbox:
        # In production: BrazeServerKit(os.environ["BRAZE_REST_API_KEY"], "US-03")
        with MParticle([BrazeServerKit("rest-key", sandbox.url)], storage=":memory:") as client:
            application = make_application(client)
            for name in ("ada", "grace"):
                environ: dict[str, Any] = {"QUERY_STRING": f"user={name}&email={name}@example.com&name={name.title()}"}
                setup_testing_defaults(environ)
                application(environ, lambda status, _headers: print(name, "->", status))  # noqa: B023 - called at once
            client.flush(timeout=5)
        for name in ("ada", "grace"):
            user = sandbox.rest.user(name)
            print(name, user.attributes, dict(user.events), dict(user.revenue))


if __name__ == "__main__":
    main()
