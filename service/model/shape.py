"""What the items of a resource are sorted and found by, said once for each resource."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from service.model.process import Key
from service.model.views import SortKey

Item = TypeVar("Item")

GUIDS = "guids"
"""The facet that each resource has: what its items are called in addresses."""


@dataclass(frozen=True, kw_only=True)
class Shape(Generic[Item]):
    """What the items of a resource are sorted and found by."""

    key: Callable[[Item], str]
    """What no two items share. A GUID may be: another namespace can use the same."""
    guid: Callable[[Item], str]
    namespace: Callable[[Item], str]
    """Who may see an item is decided by its namespace."""
    orders: Mapping[str, Callable[[Item], SortKey]]
    """By the name that clients give them."""
    facets: Mapping[str, Callable[[Item], Sequence[str]]]
    """The values by which items are found, by the name of the facet; `guids` is always there."""
    parents: Sequence[str] = ()
    """The facets by which items are addressed, or listed by what they belong to; `guids` always is one."""
    made_of: Callable[[Item], Sequence[Key]] | None = None
    """The processes that an item shows; None: any may be."""
    sorts: Mapping[str, Callable[[Item], SortKey]] = field(default_factory=dict)
    """Orders that are seldom asked for: nothing is kept in them, and who asks has the items sorted."""
    traits: Mapping[str, Callable[[Item], Sequence[str]]] = field(default_factory=dict)
    """Facets that most items have the same few values of: they are not kept, and the items are looked at."""
    placed: Sequence[str] = ()
    """The facets of which all items of a namespace have the same value, but for a few: they take next to no memory."""
    hashed: Mapping[str, Callable[[Item], object]] = field(default_factory=dict)
    """The facets of long values that an item can make anew: of these a number is kept, and the item is asked. With what
    the values are made of: where that is the same, so are they."""
    labels: Callable[[Item], Mapping[str, str]] = lambda _: {}
    text: Callable[[Item], str] = lambda _: ""
    """In lower case, what words are looked for in."""
