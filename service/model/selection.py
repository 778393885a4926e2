"""What is selected of a collection: which items, in which order, which part of them; and what was found."""

from typing import Generic, TypeVar

import msgspec

from service.model.selectors import Range, Requirement

Item = TypeVar("Item")

CREATED_AT, UPDATED_AT = "created_at", "updated_at"
"""The orders that each resource has, by the names that clients give them."""


class Filters(msgspec.Struct, frozen=True, cache_hash=True):
    """Which items are wanted. Every condition must hold; within one, any of its values."""

    facets: tuple[tuple[str, frozenset[str]], ...] = ()
    """Wanted values by the name of the facet."""
    labels: tuple[Requirement, ...] = ()
    times: tuple[tuple[str, tuple[Range, ...]], ...] = ()
    """Spans by the name of the order; the same order may be there several times."""
    words: tuple[str, ...] = ()
    """In lower case: each occurs in the item's text."""

    def narrowed(self, facet: str, value: str) -> "Filters":
        """These, and one condition more."""
        return Filters((*self.facets, (facet, frozenset((value,)))), self.labels, self.times, self.words)


NO_FILTERS = Filters()


class Selection(msgspec.Struct, Generic[Item], frozen=True):
    """One page of what matched, and how much matched in all."""

    total_results: int
    items: list[Item]


class Slice(msgspec.Struct, frozen=True):
    """Which part of which order: `size` items from rank `start`, counted from 0."""

    order: str = CREATED_AT
    descending: bool = False
    start: int = 0
    size: int = 50
