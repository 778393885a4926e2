"""Routes, as rows of a table, and how the router takes them."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from aiohttp import web

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


async def _expect(_: web.Request) -> None:
    """Nothing yet: a body is asked for when it is wanted (service.http.receiving), and other expectations are ignored.

    aiohttp's own asks for it before anybody knows who sends it, and refuses others before the error envelope could.
    """
