"""What one row of the table of routes says, to the router and to the API's document."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiohttp import web
from marshmallow import Schema

from service.errors import CloudFoundryError

Errors = tuple[type[CloudFoundryError], ...]


@dataclass(frozen=True)
class Operation:
    """What the document says of a route."""

    id: str
    """What generated clients call it."""
    summary: str
    tag: str
    answer: str | None
    """The schema of what it answers with, by its name in service.api.answers; None: nothing but the status."""
    status: int = 200
    """Of success."""
    query: type[Schema] | None = None
    """None: the query is not looked at."""
    body: Callable[[Mapping[str, int]], Schema] | None = None
    """The schema of what may be sent, made with the uids that stand for names of users."""
    errors: Errors = ()
    """Beyond those that any request can end in."""
    token: bool = True
    """Whether it is answered only to who shows one."""


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    operation: Operation | None = None
    """None: not part of the API's document."""
