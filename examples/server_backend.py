"""A web backend that tracks many users at once: one client for the process, and in each request its user.

Runs as it is, against a local Braze: ``python examples/server_backend.py``; with Flask if it is installed, else with a
plain WSGI application that does the same. For FastAPI and Django there are ``UserScopeASGI`` and
``user_scope_for_django``. No call here waits for the network.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs
from wsgiref.util import setup_testing_defaults

from mparticle_kit_braze import CommerceEvent, MParticle, Product, ProductAction, TransactionAttributes
from mparticle_kit_braze.integrations import UserScopeWSGI
from mparticle_kit_braze.sandbox import Sandbox
from mparticle_kit_braze.server import BrazeServerKit

WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def check_out(client: MParticle, name: str) -> None:
    """Somewhere deep in the shop's code, where nobody knows of requests and users."""
    client.set_user_attribute("$FirstName", name)
    client.increment_user_attribute("orders")
    client.log_event("Checkout Completed", attributes={"items": 2})
    client.log_commerce_event(
        CommerceEvent(
            ProductAction.PURCHASE,
            products=[Product("Tea", "SKU-1", 4.5, quantity=2)],
            transaction=TransactionAttributes(id="t-1", revenue=9.0),
            currency="EUR",
        )
    )


def with_flask(client: MParticle) -> WSGIApplication:
    """The shop in Flask; ``who`` could look into ``flask.session`` as well."""
    flask = importlib.import_module("flask")  # in an app of yours: import flask
    app = flask.Flask(__name__)

    @app.get("/checkout")  # type: ignore[untyped-decorator]  # Flask may be absent
    def checkout() -> tuple[str, int]:
        check_out(client, flask.request.args["name"])
        return "", 204

    app.wsgi_app = UserScopeWSGI(app.wsgi_app, client, who)
    return app  # type: ignore[no-any-return]  # Flask may be absent


def without_flask(client: MParticle) -> WSGIApplication:
    """The same as a bare WSGI application."""

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        check_out(client, parse_qs(environ["QUERY_STRING"])["name"][0])
        start_response("204 NO CONTENT", [])
        return []

    return UserScopeWSGI(application, client, who)


def who(environ: dict[str, Any]) -> dict[str, str | None] | None:
    """Whose request it is, here by the server's own login; ``None`` would be nobody."""
    user = environ.get("REMOTE_USER")
    return {"customer_id": user, "email": f"{user}@example.com"} if user else None


def main() -> int:
    """Serve two requests and show what Braze has."""
    make_application = with_flask if importlib.util.find_spec("flask") else without_flask
    with Sandbox() as sandbox:
        # In production: BrazeServerKit(os.environ["BRAZE_REST_API_KEY"], "US-03"), and no storage=":memory:"
        with MParticle([BrazeServerKit("rest-key", sandbox.url)], storage=":memory:") as client:
            application = make_application(client)
            for name in ("ada", "grace"):
                print(name, "->", get(application, f"name={name.title()}", name))
        for name in ("ada", "grace"):
            user = sandbox.rest.user(name)
            print(name, user.attributes, dict(user.events), dict(user.revenue))
    return 0


def get(application: WSGIApplication, query: str, user: str) -> str:
    """One request, as a WSGI server would make it; gives the status."""
    statuses: list[str] = []
    environ: dict[str, Any] = {"PATH_INFO": "/checkout", "QUERY_STRING": query, "REMOTE_USER": user}
    setup_testing_defaults(environ)
    body = application(environ, lambda status, _headers, _error=None: statuses.append(status))
    close = getattr(body, "close", None)
    if close is not None:
        close()
    return statuses[0]


if __name__ == "__main__":
    sys.exit(main())
