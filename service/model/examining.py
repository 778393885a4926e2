"""Filters for which items have to be looked at one by one, as nothing is kept by which they could be found."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from service.model.selection import Filters
from service.model.selectors import Range
from service.model.views import SortKey

Item = TypeVar("Item")


def tests_of(
    filters: Filters,
    traits: Mapping[str, Callable[[Item], Sequence[str]]],
    sorts: Mapping[str, Callable[[Item], SortKey]],
    text: Callable[[Item], str],
) -> list[Callable[[Item], bool]]:
    """All of which an item must pass; what the filters ask beyond the traits, sorts and text is not tested here."""
    tests: list[Callable[[Item], bool]] = []
    for name, values in filters.facets:
        if name in traits:
            tests.append(_has_any(traits[name], values))
    for order, ranges in filters.times:
        if order in sorts:
            tests.append(_is_within(sorts[order], ranges))
    if filters.words:
        tests.append(_mentions(text, filters.words))
    return tests


def _has_any(trait: Callable[[Item], Sequence[str]], values: frozenset[str]) -> Callable[[Item], bool]:
    return lambda item: not values.isdisjoint(trait(item))


def _is_within(sort: Callable[[Item], SortKey], ranges: tuple[Range, ...]) -> Callable[[Item], bool]:
    return lambda item: any(sort(item) in each for each in ranges)


def _mentions(text: Callable[[Item], str], words: tuple[str, ...]) -> Callable[[Item], bool]:
    def test(item: Item) -> bool:
        mentioned = text(item)
        return all(word in mentioned for word in words)

    return test
