"""Routes, as rows of a table, and how the router takes them."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from aiohttp import HttpVersion11, hdrs, web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    """As aiohttp writes it, with `{name}` for what varies."""
    handler: Handler


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
