"""Middleware for web frameworks, tried with their protocols themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from mparticle_kit_braze import MParticle
from mparticle_kit_braze.integrations import UserScopeASGI, UserScopeWSGI, user_scope_for_django
from mparticle_kit_braze.sandbox import Sandbox
from tests.support import run_python


def wsgi_user(environ: dict[str, Any]) -> dict[str, str | None] | None:
    name = environ.get("REMOTE_USER")
    return {"customer_id": name} if name else None


def get(application: Callable[..., Iterable[bytes]], **members: str) -> bytes:
    """One request, as a server makes it."""
    environ: dict[str, Any] = {"REQUEST_METHOD": "GET", "QUERY_STRING": "", **members}
    setup_testing_defaults(environ)
    body = application(environ, lambda _status, _headers, _error=None: lambda _data: None)
    try:
        return b"".join(body)
    finally:
        if hasattr(body, "close"):
            body.close()


def test_wsgi_requests_have_their_users(client: MParticle, sandbox: Sandbox) -> None:
    """Calls in the view, in a body made bit by bit, and at its close are about the request's user; later ones not."""

    class Streamed:
        def __iter__(self) -> Iterator[bytes]:
            client.log_event("First Piece")
            yield b"one"
            client.log_event("Second Piece")
            yield b""
            yield b"two"

        def close(self) -> None:
            client.log_event("Closed")

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        client.log_event("Viewed")
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Streamed()

    wrapped = validator(UserScopeWSGI(validator(application), client, wsgi_user))
    assert get(wrapped, REMOTE_USER="ada") == b"onetwo"
    client.log_event("Outside")
    for name in ("Viewed", "First Piece", "Second Piece", "Closed"):
        sandbox.assert_event(name, user="ada", times=1)
    sandbox.assert_event("Outside", user="process")


def test_wsgi_streams_may_take_turns(client: MParticle, sandbox: Sandbox) -> None:
    """A server that works at two bodies in turns on one thread mixes nothing up, nor does one given up halfway."""

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [])

        def pieces() -> Iterator[bytes]:
            for number in range(3):
                client.log_event(f"Piece {number}", attributes={"of": environ["REMOTE_USER"]})
                yield b"x"

        return pieces()

    wrapped = UserScopeWSGI(application, client, wsgi_user)
    bodies: list[Any] = [wrapped({"REMOTE_USER": name}, lambda *_: None) for name in ("ada", "grace")]
    ada, grace = (iter(body) for body in bodies)
    for stream in (ada, grace, grace, ada):
        next(stream)
    for body in bodies:
        body.close()
    client.log_event("Outside")
    for number in (0, 1):
        for name in ("ada", "grace"):
            sandbox.assert_event(f"Piece {number}", of=name, user=name, times=1)
    sandbox.assert_no_event("Piece 2")
    sandbox.assert_event("Outside", user="process")


def test_wsgi_lists_pass_and_errors_too(client: MParticle, sandbox: Sandbox) -> None:
    """A finished body reaches the server as it is, an exception leaves the scope, and a silent request asks nobody."""
    asked: list[None] = []

    def who(environ: dict[str, Any]) -> dict[str, str | None]:
        asked.append(None)
        return {"customer_id": "ada"}

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [])
        if environ["PATH_INFO"] == "/error":
            client.log_event("Failing")
            raise LookupError
        return [b"all"]

    wrapped = UserScopeWSGI(application, client, who)
    assert wrapped({"PATH_INFO": "/"}, lambda *_: None) == [b"all"]
    assert not asked
    with pytest.raises(LookupError):
        wrapped({"PATH_INFO": "/error"}, lambda *_: None)
    client.log_event("Outside")
    sandbox.assert_event("Failing", user="ada")
    sandbox.assert_event("Outside", user="process")


async def nothing(*_arguments: Any) -> None:
    """Neither receives nor sends."""


def test_asgi_requests_have_their_users(client: MParticle, sandbox: Sandbox) -> None:
    """Requests and WebSockets that take turns keep their users, also one found by inner middleware; lifespan passes."""
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])
        if scope["type"] == "lifespan":
            client.log_event("Started")
            return
        scope["user"] = scope["path"]  # as inner middleware does
        for step in range(3):
            client.log_event(f"Step {step}", attributes={"of": scope["path"]})
            await asyncio.sleep(0)
        await asyncio.to_thread(client.log_event, "In Thread", attributes={"of": scope["path"]})

    wrapped = UserScopeASGI(app, client, lambda scope: {"customer_id": scope["user"]})

    async def serve() -> None:
        await wrapped({"type": "lifespan"}, nothing, nothing)
        requests = [{"type": kind, "path": f"{kind}-{number}"} for kind in ("http", "websocket") for number in range(5)]
        await asyncio.gather(*(wrapped(request, nothing, nothing) for request in requests))
        client.log_event("Outside")

    asyncio.run(serve())
    assert len(seen) == 11
    for name in ("http-0", "http-4", "websocket-2"):
        for event in ("Step 0", "Step 1", "Step 2", "In Thread"):
            sandbox.assert_event(event, of=name, user=name, times=1)
    sandbox.assert_event("Started", user="process")
    sandbox.assert_event("Outside", user="process")


class Request:
    """As much of Django's request as a function needs that names its user."""

    def __init__(self, user: str | None) -> None:
        self.user = user


def test_django_middleware_for_sync_and_async(client: MParticle, sandbox: Sandbox) -> None:
    """One middleware serves both kinds of views; the user may be found out by middleware further in."""

    def who(request: Request) -> dict[str, str | None] | None:
        return {"customer_id": request.user} if request.user else None

    def view(request: Request) -> str:
        request.user = "ada"
        client.log_event("Viewed")
        return "response"

    async def async_view(request: Request) -> str:
        request.user = "grace"
        await asyncio.sleep(0)
        client.log_event("Viewed")
        return "response"

    middleware = user_scope_for_django(client, who)
    assert (middleware.sync_capable, middleware.async_capable) == (True, True)  # type: ignore[attr-defined]  # Django reads them off the function
    assert middleware(view)(Request(None)) == "response"
    assert asyncio.run(middleware(async_view)(Request(None))) == "response"
    client.log_event("Outside")
    sandbox.assert_event("Viewed", user="ada", times=1)
    sandbox.assert_event("Viewed", user="grace", times=1)
    sandbox.assert_event("Outside", user="process")


def test_nothing_is_imported_for_them() -> None:
    """The adapters load no framework, nor asyncio."""
    code = """
        import sys
        import mparticle_kit_braze.integrations
        sys.exit(bool({"flask", "django", "fastapi", "starlette", "asyncio", "requests"} & set(sys.modules)))
    """
    assert run_python(code).returncode == 0


def test_with_flask(client: MParticle, sandbox: Sandbox) -> None:
    """In Flask the function may look into the session, which is known within the request only."""
    flask = pytest.importorskip("flask", reason="needs Flask")
    app = flask.Flask("shop")
    app.secret_key = "secret"

    @app.get("/login/<name>")  # type: ignore[untyped-decorator]  # the framework may be absent
    def login(name: str) -> str:
        flask.session["user"] = name
        client.log_event("Login")
        return "ok"

    @app.get("/song")  # type: ignore[untyped-decorator]  # the framework may be absent
    def song() -> Any:
        def pieces() -> Iterator[str]:
            client.log_event("Streamed Song")
            yield "la"

        return flask.Response(flask.stream_with_context(pieces()))

    def who(_environ: Any) -> dict[str, str | None] | None:
        return {"customer_id": flask.session["user"]} if "user" in flask.session else None

    app.wsgi_app = UserScopeWSGI(app.wsgi_app, client, who)
    with app.test_client() as browser:
        browser.get("/login/ada")
        assert browser.get("/song").text == "la"
    sandbox.assert_event("Login", user="ada")
    sandbox.assert_event("Streamed Song", user="ada")


def test_with_fastapi(client: MParticle, sandbox: Sandbox) -> None:
    """In FastAPI both kinds of endpoints and background tasks are about the request's user."""
    fastapi = pytest.importorskip("fastapi", reason="needs FastAPI")
    testing = pytest.importorskip("fastapi.testclient", reason="needs FastAPI's test client")
    starlette = pytest.importorskip("starlette.background", reason="needs FastAPI")
    app = fastapi.FastAPI()
    app.add_middleware(
        UserScopeASGI,
        client=client,
        who=lambda scope: {"customer_id": dict(scope["headers"])[b"x-user"].decode()},
    )

    @app.get("/async")  # type: ignore[untyped-decorator]  # the framework may be absent
    async def async_view() -> Any:
        client.log_event("Async View")
        task = starlette.BackgroundTask(client.log_event, "Background")
        return fastapi.Response("ok", background=task)

    @app.get("/sync")  # type: ignore[untyped-decorator]  # the framework may be absent
    def sync_view() -> str:
        client.log_event("Sync View")
        return "ok"

    with testing.TestClient(app) as browser:
        assert browser.get("/async", headers={"X-User": "ada"}).status_code == 200
        assert browser.get("/sync", headers={"X-User": "grace"}).status_code == 200
    sandbox.assert_event("Async View", user="ada")
    sandbox.assert_event("Background", user="ada")
    sandbox.assert_event("Sync View", user="grace")


def test_with_django() -> None:
    """In Django the middleware works before sync and async views, over WSGI and over ASGI."""
    pytest.importorskip("django", reason="needs Django")
    code = """
        import asyncio, sys, types
        import django
        from django.conf import settings
        from mparticle_kit_braze import MParticle
        from mparticle_kit_braze.integrations import user_scope_for_django
        from mparticle_kit_braze.sandbox import Sandbox
        from mparticle_kit_braze.server import BrazeServerKit

        sandbox = Sandbox(limiter=False)
        client = MParticle([BrazeServerKit("rest-key", sandbox.url)], storage=":memory:")
        sandbox.attach(client)
        shop = types.ModuleType("shop")
        shop.middleware = user_scope_for_django(client, lambda request: {"customer_id": request.headers["X-User"]})
        sys.modules["shop"] = shop
        settings.configure(ROOT_URLCONF="shop", MIDDLEWARE=["shop.middleware"], ALLOWED_HOSTS=["*"], SECRET_KEY="x")
        django.setup()
        from django.http import HttpResponse
        from django.test import AsyncClient, Client
        from django.urls import path

        def view(request):
            client.log_event("Viewed", attributes={"kind": "sync"})
            return HttpResponse("ok")

        async def async_view(request):
            client.log_event("Viewed", attributes={"kind": "async"})
            return HttpResponse("ok")

        shop.urlpatterns = [path("sync", view), path("async", async_view)]
        for kind in ("sync", "async"):
            assert Client().get(f"/{kind}", headers={"X-User": f"wsgi-{kind}"}).content == b"ok"
            answer = asyncio.run(AsyncClient().get(f"/{kind}", headers={"X-User": f"asgi-{kind}"}))
            assert answer.content == b"ok"
            for server in ("wsgi", "asgi"):
                sandbox.assert_event("Viewed", kind=kind, user=f"{server}-{kind}", times=1)
        client.close()
        sandbox.close()
    """
    result = run_python(code, options=())
    assert result.returncode == 0, result.stderr
