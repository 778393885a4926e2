"""A collection: all items of one resource in memory, to be listed in any of its orders by anyone, page by page.

What items are sorted and found by is said once, by the Shape of the resource. A change costs O(log n); a page without
filters costs what service.model.views says; a filter costs set algebra over the keys of the items that have the wanted
values, then one pass or one small sort. What a shape calls traits and sorts takes no memory, and costs a look at each
item that the other filters leave.

What may take long is a generator of steps. It must be exhausted; between steps others may read and change all of it.
"""

from collections.abc import Callable, Generator, Iterator, Sequence, Set
from typing import Generic, TypeVar

from service.model.examining import tests_of
from service.model.facets import Facet, LabelFacets
from service.model.lookup import STEP, Lookup
from service.model.selection import NO_FILTERS, Filters, Selection, Slice
from service.model.selectors import Operator, Range
from service.model.shape import Shape
from service.model.views import Position, SortedView, Visible

Item = TypeVar("Item")

SMALL_PART = 50
"""Sorting m keys alone beats one pass over all n in order as long as m is a smaller part of n than this."""
SOUGHT = 1_000
"""Items looked at in one step."""


class Collection(Generic[Item]):
    def __init__(self, shape: Shape[Item]) -> None:
        self.shape = shape
        self.version = 0
        """Another with every change."""
        self._items: dict[str, Item] = {}
        """By key."""
        self._views = {order: SortedView() for order in shape.orders}
        self._first_view = next(iter(self._views.values()))
        self._found = Lookup(shape, self._items, self._first_view)
        self._labels = LabelFacets()

    # Reading

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: str) -> Item | None:
        return self._items.get(key)

    def keys(self) -> Set[str]:
        return self._items.keys()

    def having(self, facet: str, value: str, visible: Visible = None) -> list[Item]:
        """All visible items with this value, in no particular order."""
        return [self._items[key] for key in self.keys_having(facet, value, visible)]

    def keys_having(self, facet: str, value: str, visible: Visible) -> Set[str]:
        """The keys of the visible items with this value, to be looked at now: the set may change later."""
        return self._found.keys_having(facet, value, visible)

    def namespaces_having(self, facet: str, value: str) -> Set[str]:
        """The namespaces of all items with this value."""
        return self._found.namespaces_having(facet, value)

    def values(self, facet: str) -> Facet:
        """A facet as a whole, of those that are not placed."""
        return self._found.facets[facet]

    def namespaces(self) -> Set[str]:
        """Those that hold an item."""
        return self._first_view.namespaces()

    def of_namespace(self, namespace: str) -> list[Item]:
        """All items of one namespace."""
        return [self._items[key] for key in self._first_view.keys(frozenset((namespace,)))]

    def page(self, visible: Visible, part: Slice) -> Selection[Item]:
        """A page of all that is visible, in total order: sort key, GUID, namespace."""
        view = self._views[part.order]
        keys = view.page(visible, part.start, part.size, part.descending)
        return Selection(view.count(visible), [self._items[key] for key in keys])

    def glance(self, part: Slice, visible: Visible) -> Selection[Item] | None:
        """What a search without filters finds, if that is known at once."""
        return self.page(visible, part) if part.order in self._views else None

    def page_having(
        self, facet: str, value: str, visible: Visible, part: Slice, *, most: int
    ) -> Selection[Item] | None:
        """A page of what is visible and has a value, sorted on the spot; None: more than `most` items have it."""
        keys = self.keys_having(facet, value, visible)
        if len(keys) > most:
            return None
        found = [self._items[key] for key in keys]
        if len(found) > 1:
            found.sort(key=lambda item: self._position(item, part.order), reverse=part.descending)
        return Selection(len(found), found[part.start : part.start + part.size])

    def combined(self, items: Sequence[Item]) -> Sequence[Item]:
        """What these items come to for someone who sees no others: here, themselves."""
        return items

    def search(self, filters: Filters, visible: Visible, part: Slice) -> Generator[None, None, Selection[Item]]:
        """A page of what is visible and matches the filters. What comes or goes meanwhile may or may not be in it."""
        if filters == NO_FILTERS and part.order in self._views:
            return self.page(visible, part)
        version = self.version
        matching = yield from self._matching(filters, visible)
        if len(matching) > SOUGHT:
            yield
        if version != self.version:
            matching = matching & self._items.keys()
        keys = yield from self._cut(matching, part)
        # Looked at again: an item may have moved meanwhile to where the caller sees nothing.
        items = (self._items.get(key) for key in keys)
        found = [item for item in items if item is not None and self._is_visible(item, visible)]
        return Selection(len(matching) - (len(keys) - len(found)), found)

    def _is_visible(self, item: Item, visible: Visible) -> bool:
        return visible is None or self.shape.namespace(item) in visible

    def _matching(self, filters: Filters, visible: Visible) -> Generator[None, None, Set[str]]:
        """The keys of all that match and are visible."""
        wanted: list[Set[str]] = []
        excluded: list[Set[str]] = []
        for name, values in filters.facets:
            if name in self.shape.facets:
                wanted.append((yield from self._found.gather(name, values, visible)))
                yield
        for requirement in filters.labels:
            if requirement.operator in (Operator.EXISTS, Operator.NOT_EXISTS):
                having = self._labels.having(requirement.key)
            else:
                having = self._labels.having_any(requirement.key, requirement.values)
            (wanted if requirement.operator in (Operator.EXISTS, Operator.IN) else excluded).append(having)
            yield
        for order, ranges in filters.times:
            if order in self._views:
                wanted.append((yield from self._within(order, ranges)))
        matching = yield from self._visible(wanted, excluded, visible)
        if tests := tests_of(filters, self.shape.traits, self.shape.sorts, self.shape.text):
            matching = yield from self._passing(matching, tests)
        return matching

    def _within(self, order: str, ranges: tuple[Range, ...]) -> Generator[None, None, Set[str]]:
        """The keys of all whose sort key is in one of the spans."""
        fitting: set[str] = set()
        for each in ranges:
            positions, ranks = self._views[order].positions(), self._views[order].between(each.start, each.end)
            for first in ranks[::STEP]:
                fitting.update([position.key for position in positions[first : min(first + STEP, ranks.stop)]])
                yield
        return fitting

    def _passing(self, keys: Set[str], tests: list[Callable[[Item], bool]]) -> Generator[None, None, frozenset[str]]:
        found = set()
        for number, key in enumerate(keys, 1):
            item = self._items.get(key)
            if item is not None and all(test(item) for test in tests):
                found.add(key)
            if number % SOUGHT == 0:
                yield
        return frozenset(found)

    def _visible(
        self, sets: list[Set[str]], excluded: list[Set[str]], visible: Visible
    ) -> Generator[None, None, Set[str]]:
        """What is visible of the intersection of the sets, without the excluded ones; without sets, of everything."""
        matching: frozenset[str] | None = None
        for each in sorted(sets, key=len):
            matching = frozenset(each) if matching is None else matching & each
            yield
        if matching is not None and visible is None:
            return matching.difference(*excluded) if excluded else matching
        found: set[str] = set()
        if matching is None or self._first_view.count(visible) < len(matching):
            for keys in self._first_view.chunks(visible, STEP):
                found |= (keys if matching is None else keys & matching).difference(*excluded)
                yield
            return found
        everything = list(matching)
        for first in range(0, len(everything), SOUGHT):
            items = ((key, self._items.get(key)) for key in everything[first : first + SOUGHT])
            found.update(key for key, item in items if item is not None and self._is_visible(item, visible))
            yield
        return found.difference(*excluded)

    def _cut(self, keys: Set[str], part: Slice) -> Generator[None, None, list[str]]:
        """Those at the ranks wanted, of the keys in order."""
        start, stop = part.start, min(part.start + part.size, len(keys))
        if start >= stop:
            return []
        if part.order in self.shape.sorts:
            positions = yield from self._sorted(keys, part)
            return [position.key for position in positions[start:stop]]
        if len(keys) <= SMALL_PART or len(keys) * SMALL_PART <= len(self._items):
            items = (self._items.get(key) for key in keys)
            found = sorted(self._position(item, part.order) for item in items if item is not None)
            return [position.key for position in (found[::-1] if part.descending else found)[start:stop]]
        everything = self._views[part.order].positions()
        # From whichever end is nearer.
        backwards = part.descending
        if start > len(keys) - stop:
            start, stop, backwards = len(keys) - stop, len(keys) - start, not part.descending
        cut: list[str] = []
        for first in range(0, len(everything), STEP):
            yield
            last = len(everything) - first
            step = everything[max(0, last - STEP) : last][::-1] if backwards else everything[first : first + STEP]
            cut += [position.key for position in step if position.key in keys]
            if len(cut) >= stop:
                break
        cut = cut[start:stop]
        return cut if backwards == part.descending else cut[::-1]

    def _sorted(self, keys: Set[str], part: Slice) -> Generator[None, None, list[Position]]:
        """The positions of all of the keys in an order that nothing is kept in."""
        everything = list(keys)
        positions: list[Position] = []
        for first in range(0, len(everything), SOUGHT):
            items = (self._items.get(key) for key in everything[first : first + SOUGHT])
            positions += sorted(self._position(item, part.order) for item in items if item is not None)
            yield
        # Of parts that are sorted already: some comparisons an item, and no more.
        positions.sort(reverse=part.descending)
        return positions

    def settle(self) -> Iterator[None]:
        """Have all that has just come in ready to be read, step by step. Who reads it before waits for as long."""
        for view in self._views.values():
            yield from view.settle()

    # Writing: each change leaves the collection whole

    def put(self, item: Item) -> None:
        """Add an item, or replace the one of the same key."""
        key = self.shape.key(item)
        former = self._items.get(key)
        self.version += 1
        self._items[key] = item
        if former is None:
            shape = self.shape
            guid, namespace = shape.guid(item), shape.namespace(item)
            for order, view in self._views.items():
                view.add(Position(shape.orders[order](item), guid, namespace, key))
            self._found.enter(key, item, namespace)
            if labels := shape.labels(item):
                self._labels.add(labels.items(), key)
        else:
            self._replace(key, former, item)

    def _replace(self, key: str, former: Item, item: Item) -> None:
        shape = self.shape
        moved = shape.guid(former) != shape.guid(item) or shape.namespace(former) != shape.namespace(item)
        for order, view in self._views.items():
            sort_key = shape.orders[order]
            if moved or sort_key(former) != sort_key(item):
                view.remove(self._position(former, order))
                view.add(self._position(item, order))
        self._found.replace(key, former, item)
        if (unlabelled := self.shape.labels(former)) is not (labelled := self.shape.labels(item)):
            self._labels.discard(unlabelled.items(), key)
            self._labels.add(labelled.items(), key)

    def remove(self, key: str) -> Item | None:
        """Take an item out, and return it. An unknown key is no error."""
        item = self._items.pop(key, None)
        if item is None:
            return None
        self.version += 1
        for order, view in self._views.items():
            view.remove(self._position(item, order))
        self._found.leave(key, item)
        self._labels.discard(self.shape.labels(item).items(), key)
        return item

    def _position(self, item: Item, order: str) -> Position:
        shape = self.shape
        sort_key = shape.orders[order] if order in shape.orders else shape.sorts[order]
        return Position(sort_key(item), shape.guid(item), shape.namespace(item), shape.key(item))
