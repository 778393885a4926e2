"""THE table of what the API answers. Whatever is not here is an unknown request."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from aiohttp import HttpVersion11, hdrs, web

from service.api import handlers


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]


ROUTES = (
    Route("GET", "/", handlers.root),
    Route("GET", "/v3/processes", handlers.list_processes),
    Route("GET", "/v3/processes/{guid}/process_instances", handlers.list_instances),
    Route("GET", "/v3/apps/{guid}/processes", handlers.list_app_processes),
    *(
        Route(method, address + path, handler)
        for address in ("/v3/processes/{guid}", "/v3/apps/{guid}/processes/{type}")
        for method, path, handler in (
            ("GET", "", handlers.get_process),
            ("PATCH", "", handlers.update_process),
            ("GET", "/stats", handlers.get_stats),
            ("POST", "/actions/scale", handlers.scale_process),
            ("DELETE", "/instances/{index}", handlers.terminate_instance),
        )
    ),
)


def add_routes(app: web.Application, routes: Iterable[Route]) -> None:
    for route in routes:
        methods = ("GET", "HEAD") if route.method == "GET" else (route.method,)
        resource = app.router.add_resource(route.path)
        for method in methods:
            resource.add_route(method, route.handler, expect_handler=_expect)


async def _expect(request: web.Request) -> None:
    """aiohttp's own refuses any other expectation before the error envelope could; to ignore it is allowed."""
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue" and request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
