"""THE table of what this service answers. Whatever is not here is an unknown request."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from service.api import handlers


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]


ROUTES = (
    Route("GET", "/", handlers.root),
    Route("GET", "/livez", handlers.livez),
    Route("GET", "/readyz", handlers.readyz),
    Route("GET", "/v3/processes", handlers.list_processes),
    Route("GET", "/v3/processes/{guid}", handlers.get_process),
    Route("GET", "/v3/apps/{guid}/processes", handlers.list_app_processes),
    Route("GET", "/v3/apps/{guid}/processes/{type}", handlers.get_process),
)


def add_routes(app: web.Application) -> None:
    for route in ROUTES:
        if route.method == "GET":
            app.router.add_get(route.path, route.handler, allow_head=True)
        else:
            app.router.add_route(route.method, route.path, route.handler)
