"""Middleware that gives each web request its user: calls on the client inside of it are about that user.

Who the user is, a function says; it is asked when a request makes its first call on the client, not before. So it may
look at what the framework has only found out by then (the session, the logged-in user), and requests that log nothing
cost next to nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from typing import Any

from ..client import MParticle
from ..kits.user_scope import Identities, UserScope

__all__ = ["UserScopeASGI", "UserScopeWSGI", "user_scope_for_django"]

Who = Identities | None
Environ = dict[str, Any]
Scope = MutableMapping[str, Any]


class UserScopeWSGI:
    """WSGI middleware, for Flask: ``app.wsgi_app = UserScopeWSGI(app.wsgi_app, client, who)``.

    A body that the application makes bit by bit belongs to the request as well.

    Args:
        application: What it wraps.
        client: Whose calls are meant; it has a kit for many users.
        who: Gives the identities for a WSGI environment: ``{"customer_id": "ada-1815"}``, ``None`` for nobody. In
            Flask it may use ``flask.session``, ``flask.g`` and the like.
    """

    def __init__(
        self,
        application: Callable[[Environ, Callable[..., Any]], Iterable[bytes]],
        client: MParticle,
        who: Callable[[Environ], Who],
    ) -> None:
        self._application = application
        self._client = client
        self._who = who

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Serve a request."""
        scope = self._client.user_scope(lambda: self._who(environ))
        try:
            with scope.part():
                body = self._application(environ, start_response)
        except BaseException:
            scope.end()
            raise
        if isinstance(body, list | tuple):  # all there; servers take the length from it
            scope.end()
            return body
        return _Body(body, scope)


class _Body:
    """A body that is made within a scope."""

    def __init__(self, body: Iterable[bytes], scope: UserScope) -> None:
        self._body = body
        self._scope = scope

    def __iter__(self) -> Iterator[bytes]:
        with self._scope.part():
            pieces = iter(self._body)
        while True:
            with self._scope.part():
                piece = next(pieces, None)
            if piece is None:
                return
            yield piece

    def close(self) -> None:
        """The server has done with it."""
        close = getattr(self._body, "close", None)
        try:
            if close is not None:
                with self._scope.part():
                    close()
        finally:
            self._scope.end()


class UserScopeASGI:
    """ASGI middleware, for FastAPI and Starlette: ``app.add_middleware(UserScopeASGI, client=client, who=who)``.

    Args:
        app: What it wraps.
        client: Whose calls are meant; it has a kit for many users.
        who: Gives the identities for an ASGI scope: ``{"customer_id": "ada-1815"}``, ``None`` for nobody. What inner
            middleware adds (``scope["user"]``, ``scope["session"]``) is there.
    """

    def __init__(
        self,
        app: Callable[[Scope, Callable[..., Any], Callable[..., Any]], Awaitable[Any]],
        client: MParticle,
        who: Callable[[Scope], Who],
    ) -> None:
        self._app = app
        self._client = client
        self._who = who

    async def __call__(self, scope: Scope, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        """Serve a request or a WebSocket; what concerns the server's life passes through."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        with self._client.user_scope(lambda: self._who(scope)):
            await self._app(scope, receive, send)


def user_scope_for_django(
    client: MParticle, who: Callable[[Any], Who]
) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    """Make a Django middleware; put its dotted name into ``MIDDLEWARE``, at any place.

    ::

        def who(request):
            return {"customer_id": str(request.user.pk)} if request.user.is_authenticated else None

        user_scope = user_scope_for_django(client, who)  # MIDDLEWARE = [..., "shop.tracking.user_scope"]

    Bodies of streaming responses are made after the middleware, outside of the scope.

    Args:
        client: Whose calls are meant; it has a kit for many users.
        who: Gives the identities for a request, ``None`` for nobody. In async views of Django that must not wait, so
            take what needs the database (``await request.auser()``) beforehand.
    """

    def middleware(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
        if _is_async(get_response):

            async def respond_async(request: Any) -> Any:
                with client.user_scope(lambda: who(request)):
                    return await get_response(request)

            return respond_async

        def respond(request: Any) -> Any:
            with client.user_scope(lambda: who(request)):
                return get_response(request)

        return respond

    middleware.sync_capable = middleware.async_capable = True  # type: ignore[attr-defined]  # what Django looks for
    return middleware


def _is_async(function: Callable[..., Any]) -> bool:
    """Whether Django made a function a coroutine function; before Python 3.12 by a mark of asyncio's."""
    return inspect.iscoroutinefunction(function) or hasattr(function, "_is_coroutine")
