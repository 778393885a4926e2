"""What can be asked of any resource: a page of a list, or what an address means."""

from collections.abc import Sequence
from typing import Generic, TypeVar

import msgspec

from service.model.paging import PageRequest
from service.model.selection import CREATED_AT, NO_FILTERS, Filters, Slice

FIRST_PAGE = PageRequest()

Item = TypeVar("Item")


class ListRequest(msgspec.Struct, frozen=True, cache_hash=True):
    """Which items, in which order, and which page of them."""

    filters: Filters = NO_FILTERS
    order: str = CREATED_AT
    descending: bool = False
    page: PageRequest = FIRST_PAGE

    @property
    def slice(self) -> Slice:
        return Slice(self.order, self.descending, self.page.offset, self.page.per_page)


class Step(msgspec.Struct, frozen=True):
    """A part of an address: the items that have this value of a facet. `missing` is said where there are none."""

    facet: str
    value: str
    missing: str


Conditions = Sequence[tuple[str, frozenset[str]]]
"""Facets, and the values of which an item must have one."""

Address = tuple[Step, ...]
"""Narrows down, step by step, which item is meant: by its GUID, or by its app and then its type."""


class Meaning(msgspec.Struct, Generic[Item], frozen=True):
    """What an address means to a caller: the oldest item there that they may see, and the others, oldest first."""

    item: Item
    others: Sequence[Item] = ()
    namespaces: Sequence[str] = ()
    """Where they are, in the same order."""

    @property
    def items(self) -> list[Item]:
        return [self.item, *self.others]
