"""A resource that can be read: what its Readable says once, service.api.reading makes everything else of.

That is its list, its lists within parents, its single items, their queries, what comes along with them, and their part
of the API's document. A resource that is only read needs nothing more.
"""

from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, TypeVar

from aiohttp import web

from service.api.jsonschema import JSONSchema
from service.api.pages import RowKind
from service.api.queries import Extra, ListQuery
from service.errors import CloudFoundryError
from service.freshness import Freshness
from service.model.collection import Collection
from service.model.index import Index
from service.model.shape import GUIDS, Shape
from service.operations.questions import Address, Step
from service.operations.reads import Reads

Item = TypeVar("Item")
Match = Mapping[str, str]
"""The variable parts of a path, by name."""

READS: web.AppKey[Mapping[str, Reads[Any]]] = web.AppKey("reads", dict)
"""The reads of each resource, by its plural."""


@dataclass(frozen=True)
class Shown:
    """How an item is shown at an address where something else of it is looked at."""

    name: str
    """The name of its schema in the API's document."""
    present: Callable[[Any, str], dict[str, Any]]
    """From an item and the base URL (before `/v3`)."""
    schema: JSONSchema


@dataclass(frozen=True)
class At:
    """A path at which a single item is, and what the path means."""

    path: str
    address: Callable[[Match], Address]
    suffix: str = ""
    """Behind the names of the operations there, in the API's document."""
    words: str = ""
    """Behind the summaries of the operations there, likewise."""
    example: Match = field(default_factory=dict)
    """An example of each variable part of the path."""
    shown: Shown | None = None
    """None: the item itself."""


@dataclass(frozen=True)
class Parent:
    """A path at which those items are listed that belong to another resource."""

    path: str
    step: Callable[[Match], Step]
    of: str
    """What the items belong to, in the words of the API's document, such as `an app`."""
    id: str
    """The name of the operation, in the API's document."""
    known_by: str = ""
    """The plural of the resource whose items show that the parent is there; empty: those that are listed do."""
    known_as: str = ""
    """The facet that has the parent's GUID in that resource; empty: the same as in what is listed."""
    without: tuple[str, ...] = ()
    """Facets that make no sense within one parent."""
    example: Match = field(default_factory=dict)
    """An example of each variable part of the path."""


@dataclass(frozen=True)
class Embed(Generic[Item]):
    """What can be shown within each item, where `embed` asks for it."""

    name: str
    before: str
    """The field before which it stands."""
    find: Callable[[web.Application, Sequence[Item], Freshness], Awaitable[tuple[Mapping[str, Any], Freshness]]]
    """What to show, by the key of the item; it may be less fresh than the items. Raises CloudFoundryError."""
    errors: tuple[type[CloudFoundryError], ...] = ()
    """What finding it may raise."""


@dataclass(frozen=True)
class Include(Generic[Item]):
    """Items of another resource that can come along, where `include` asks for them."""

    plural: str
    guid: Callable[[Item], str | None]
    """The GUID of the one that belongs to an item; None: none does."""


def nothing_left_out(_: web.Application) -> str | None:
    """Of lists that always have all there is."""
    return None


@dataclass(frozen=True, kw_only=True)
class Readable(Generic[Item]):
    plural: str
    singular: str
    shape: Shape[Item]
    collection: Callable[[Index], Collection[Item]]
    """Where its items are."""
    present: Callable[[Item, str], dict[str, Any]]
    """From an item and the base URL (before `/v3`) to what a list shows of it."""
    schema: JSONSchema
    """The schema of what is shown, for the API's document."""
    example: Item
    encode: Callable[[Item, str], bytes] | None = None
    """What `present` gives as JSON, where there is a faster way to it."""
    present_single: Callable[[Item, str], dict[str, Any]] | None = None
    """From an item and the base URL to what is shown of a single item, where that is more than in a list."""
    at: tuple[At, ...] = ()
    """Where single items are; none: at their GUID alone."""
    parents: tuple[Parent, ...] = ()
    includes: Mapping[str, tuple[Include[Item], ...]] = field(default_factory=dict)
    """By what `include` calls them."""
    facets: Mapping[str, str] | None = None
    """The facets and traits of the shape that it is found by, by what clients call them; None: all, by their names."""
    orders: Mapping[str, str] | None = None
    """The orders and sorts of the shape, likewise; None: all orders."""
    guid: Callable[[Item], str] | None = None
    """What it is called in addresses; None: what the shape says."""
    labelled: bool = True
    """Whether it has labels: another resource that is made of the same items may have them instead."""
    embed: Embed[Item] | None = None
    unshown: Callable[[Item], object] = lambda _: None
    """What is held with an item that a list does not show, and is as large as somebody likes: it counts as memory."""
    listed: bool = True
    """Whether there is a list of all its items; no: only lists within parents, and single items."""
    warn: Callable[[Item], Sequence[str]] = lambda _: ()
    """What people are to know who look at a single item."""
    incomplete: Callable[[web.Application], str | None] = nothing_left_out
    """What people are to know of lists that lack something now; None: they lack nothing."""

    @cached_property
    def path(self) -> str:
        return f"/v3/{self.plural}"

    @property
    def schema_name(self) -> str:
        return self.singular.title().replace("_", "")

    @cached_property
    def addresses(self) -> tuple[At, ...]:
        if self.at:
            return self.at
        example = {"guid": self.guid_of(self.example)}
        return (At(f"{self.path}/{{guid}}", lambda match: self.by_guid(match["guid"]), example=example),)

    @cached_property
    def extra(self) -> Extra:
        return Extra(self.embed.name if self.embed else "", tuple(self.includes))

    @property
    def guid_of(self) -> Callable[[Item], str]:
        return self.guid or self.shape.guid

    @cached_property
    def found_by(self) -> Mapping[str, str]:
        """Facets and traits of the shape by what clients call them."""
        return {name: name for name in (*self.shape.facets, *self.shape.traits)} if self.facets is None else self.facets

    @cached_property
    def list_query(self) -> ListQuery:
        """What its list takes."""
        return self._query(f"{self.schema_name}ListQuery", ())

    def query_of(self, parent: Parent) -> ListQuery:
        """What its list within a parent takes."""
        return self._query(f"{parent.id.removeprefix('list')}Query", parent.without)

    def _query(self, name: str, without: Container[str]) -> ListQuery:
        facets = {name: facet for name, facet in self.found_by.items() if name not in without}
        orders = {name: name for name in self.shape.orders} if self.orders is None else self.orders
        return ListQuery(name, facets=facets, orders=orders, labelled=self.labelled, extra=self.extra)

    @cached_property
    def row_kind(self) -> RowKind[Item]:
        before = self.embed.before if self.embed else ""
        return RowKind(self.plural, self.shape.key, self.present, self.encode, self.unshown, before)

    def single_kind(self, at: At) -> RowKind[Item]:
        present = at.shown.present if at.shown else self.present_single or self.present
        return RowKind(self.plural, self.shape.key, present, embed_before=self.embed.before if self.embed else "")

    @cached_property
    def not_found(self) -> str:
        """What is said where there is none."""
        return f"{self.singular.capitalize().replace('_', ' ')} not found"

    def by_guid(self, guid: str) -> Address:
        """The address of an item by its GUID."""
        return (Step(self.found_by[GUIDS], guid, self.not_found),)

    def reads(self, app: web.Application) -> Reads[Item]:
        return app[READS][self.plural]
