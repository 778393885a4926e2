"""What the API's document says of a route."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from marshmallow import Schema

from service.errors import CloudFoundryError
from service.http import routing

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
class Route(routing.Route):
    operation: Operation
