"""Adapters to logging and to web frameworks; none of them is imported, nothing of it is loaded unless used.

* :class:`UserScopeWSGI`: Flask and every other WSGI application.
* :class:`UserScopeASGI`: FastAPI, Starlette and every other ASGI application.
* :func:`user_scope_for_django`: a Django middleware, for sync and async views.
* :class:`EventLogHandler`: chosen log records as events.
"""

from __future__ import annotations

from .log_handler import EventLogHandler
from .web import UserScopeASGI, UserScopeWSGI, user_scope_for_django

__all__ = ["EventLogHandler", "UserScopeASGI", "UserScopeWSGI", "user_scope_for_django"]
