"""Routes, as rows of a table, and how the router takes them.

aiohttp looks up where a path begins, and then tries all that begin there, one after the other: of an app that is thirty
by now. So those that begin alike are one resource to aiohttp, a branch, which looks up how the path ends.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    """As aiohttp writes it, with `{name}` for what varies."""
    handler: Handler


def add_routes(app: web.Application, routes: Iterable[Route]) -> None:
    branches: dict[str, _Branch] = {}
    for route in routes:
        methods = ("GET", "HEAD") if route.method == "GET" else (route.method,)
        resource = _resource(app, branches, route.path)
        for method in methods:
            resource.add_route(method, route.handler, expect_handler=_expect)


def _resource(app: web.Application, branches: "dict[str, _Branch]", path: str) -> web.Resource:
    if "{" not in path or ":" in path:
        # What a variable part may be is told by an expression: that may span any number of parts.
        return app.router.add_resource(path)
    start = path.partition("{")[0]
    if start not in branches:
        branches[start] = _Branch(start)
        app.router.register_resource(branches[start])
    return branches[start].resource(path)


class _Branch(web.AbstractResource):
    """All paths of one start that have variable parts, each with a resource of its own."""

    def __init__(self, start: str) -> None:
        super().__init__()
        self._start = start
        self._resources: dict[str, web.DynamicResource] = {}
        self._ends: dict[tuple[int, str], list[web.DynamicResource]] = {}
        """By the number of parts and the last one; "" where that varies."""

    def resource(self, path: str) -> web.DynamicResource:
        """The resource of a path, made where there is none yet."""
        found = self._resources.get(path)
        if found is None:
            found = self._resources[path] = web.DynamicResource(path)
            *others, last = path.split("/")
            self._ends.setdefault((len(others), "" if "{" in last else last), []).append(found)
        return found

    async def resolve(self, request: web.Request) -> tuple[web.UrlMappingMatchInfo | None, set[str]]:
        *others, last = request.rel_url.path_safe.split("/")
        allowed: set[str] = set()
        for end in (last, ""):
            for resource in self._ends.get((len(others), end), ()):
                match, methods = await resource.resolve(request)
                if match is not None:
                    return match, methods
                allowed |= methods
        return None, allowed

    @property
    def canonical(self) -> str:
        return f"{self._start}{{any}}"

    def __len__(self) -> int:
        return sum(map(len, self._resources.values()))

    def __iter__(self) -> Iterator[web.AbstractRoute]:
        for resource in self._resources.values():
            yield from resource

    def raw_match(self, path: str) -> bool:
        """Whether what is added for this path can be added here: that is decided above."""
        return False

    def get_info(self) -> Any:
        return {"path": self.canonical}

    def url_for(self, **kwargs: str) -> NoReturn:
        raise NotImplementedError

    def add_prefix(self, prefix: str) -> NoReturn:
        raise NotImplementedError


async def _expect(_: web.Request) -> None:
    """Nothing yet: a body is asked for when it is wanted (service.http.receiving), and other expectations are ignored.

    aiohttp's own asks for it before anybody knows who sends it, and refuses others before the error envelope could.
    """
