"""An operation of the API: a route, and what the API's document says of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from marshmallow import Schema

from service.api.jsonschema import JSONSchema
from service.errors import CloudFoundryError
from service.http.routing import Route

JSON = "application/json"
Errors = tuple[type[CloudFoundryError], ...]


@dataclass(frozen=True, kw_only=True)
class Operation(Route):
    id: str
    """What generated clients call it."""
    summary: str
    tag: str
    answer: str | None
    """The name of the schema of its answer; None: it answers with nothing but a status."""
    media: str = JSON
    """The type of its answer."""
    status: int = 200
    """The HTTP status of success."""
    query: type[Schema] | None = None
    """None: the query is not looked at."""
    body: Callable[[Mapping[str, int]], Schema] | None = None
    """Makes the schema of what may be sent, from the uids that stand for names of users."""
    errors: Errors = ()
    """Errors it may end in, beyond those that any request can."""
    example: Mapping[str, Any] = field(default_factory=dict)
    """An example of each variable part of the path, by its name."""
    token: bool = True
    """Whether it is answered only to callers who show a token."""
    permission: bool = True
    """Whether, of those, only to callers who may use the API."""


@dataclass(frozen=True, kw_only=True)
class Documented:
    """What one resource adds to the API and its document: THE table is made of these."""

    operations: tuple[Operation, ...]
    schemas: Mapping[str, JSONSchema] = field(default_factory=dict)
    """The schemas of what it answers with, by name."""
    answers: Mapping[str, Any] = field(default_factory=dict)
    """An example of an answer, by the name of its schema."""
    bodies: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Examples of what may be sent, by the name of the schema and then of the example."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """An example of a parameter of a query, by its name."""
