"""The way past FastAPI's router, for routes that read their request themselves."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from replank.system.errors import ReplankError
from replank_serve.http.errors import known_error_response


class DirectRoutes:
    """Calls the function of a POST route by its path; everything else goes on to the router.

    What FastAPI does around such a function, to find it, to catch its errors and to close what it opened, takes as long
    as the function itself.

    :param routes: by their paths, which have no parameters.
    """

    def __init__(self, app: ASGIApp, routes: Mapping[str, APIRoute]) -> None:
        self._app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        route = self._routes.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        # Spans get their names in the router, which also knows where an application is mounted.
        if route is None or scope["root_path"] or "fastapi.telemetry" in scope:
            return await self._app(scope, receive, send)
        scope["route"] = route
        try:
            response: Response = await route.endpoint(Request(scope, receive, send))
        except ReplankError as error:
            response = known_error_response(scope, error)
        return await response(scope, receive, send)
