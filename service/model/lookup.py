"""How items of a collection are found by their values: in facets, in crowds where many have one, or by namespace."""

from collections.abc import Generator, Iterable, Mapping, Set
from typing import Generic, Protocol, TypeVar

from service.model.crowds import Crowds, within
from service.model.facets import Facet
from service.model.placed import PlacedFacet
from service.model.shape import GUIDS, Shape
from service.model.views import SortedView, Visible

Item = TypeVar("Item")
LARGEST_NUMBER = (1 << 60) - 1
"""Of those that take the least memory."""
STEP = 5_000
"""Keys gathered in one step."""


class Lookup(Generic[Item]):
    """All facets of a collection, and the crowds in those by which items are addressed."""

    def __init__(self, shape: Shape[Item], items: Mapping[str, Item], view: SortedView) -> None:
        """`items` are those of the collection by key, and `view` any view of them: both as they are at any time."""
        self._shape = shape
        self._items = items
        self._view = view
        kept = [name for name in shape.facets if name not in shape.placed]
        self.facets = {name: Facet() for name in kept}
        self.placed = {name: PlacedFacet() for name in shape.placed}
        self._crowds = {name: Crowds(self._namespace_of) for name in kept if name in (GUIDS, *shape.parents)}
        self._by_values = [(values, name, self._notes(name)) for name, values in shape.facets.items()]

    def crowds(self) -> Iterable[Crowds]:
        return self._crowds.values()

    # Reading

    def keys_having(self, name: str, value: str, visible: Visible) -> Set[str]:
        """The keys of the visible items with this value, to be looked at now: the set may change later."""
        if name in self.placed:
            found: set[str] = set()
            return found.union(*self._in_places(name, value, visible))
        if name in self._shape.hashed:
            held: Set[str] = self._asked(name, value)
        else:
            held = self.facets[name].having(value)
        if visible is None:
            return held
        if (crowd := self._crowd(name, value)) is not None:
            return within(crowd, visible & crowd.keys())
        return {key for key in held if self._namespace_of(key) in visible}

    def gather(self, name: str, values: Iterable[str], visible: Visible) -> Generator[None, None, Set[str]]:
        """The keys of those with any of the values, step by step; of some facets no others than visible ones."""
        if name in self._shape.hashed:
            return {key for value in values for key in self._asked(name, value)}
        if name in self.facets:
            return self.facets[name].having_any(values)
        found: set[str] = set()
        for value in values:
            taken = 0
            for keys in self._in_places(name, value, visible):
                found |= keys
                taken += len(keys)
                if taken >= STEP:
                    taken = 0
                    yield
        return found

    def namespaces_having(self, name: str, value: str) -> Set[str]:
        """The namespaces of all items with this value."""
        if name in self.placed:
            return self.placed[name].counts(value).keys()
        if (crowd := self._crowd(name, value)) is not None:
            return crowd.keys()
        return {self._namespace_of(key) for key in self.keys_having(name, value, None)}

    def _asked(self, name: str, value: str) -> Set[str]:
        """The keys of the items with a value of which only a number is kept."""
        values = self._shape.facets[name]
        return {key for key in self.facets[name].having(_number(value)) if value in values(self._items[key])}

    def _in_places(self, name: str, value: str, visible: Visible) -> Iterable[Set[str]]:
        """The keys of the visible items with this value, namespace by namespace."""
        values = self._shape.facets[name]
        counts = self.placed[name].counts(value)
        for namespace in list(counts):
            if visible is None or namespace in visible:
                keys = self._view.keys(frozenset((namespace,)))
                if counts.get(namespace, 0) < len(keys):
                    keys = {key for key in keys if value in values(self._items[key])}
                yield keys

    def _crowd(self, name: str, value: str) -> Mapping[str, Set[str]] | None:
        return self._crowds[name].of(value) if name in self._crowds else None

    def _namespace_of(self, key: str) -> str:
        return self._shape.namespace(self._items[key])

    # Writing

    def enter(self, key: str, item: Item, namespace: str) -> None:
        """Note all values of an item that is in the collection now, in this namespace."""
        for values, _, notes in self._by_values:
            for value in values(item):
                notes.add(value, key, namespace)

    def leave(self, key: str, item: Item) -> None:
        """Forget all values of an item that is in the collection no longer."""
        namespace = self._shape.namespace(item)
        for values, _, notes in self._by_values:
            for value in values(item):
                notes.discard(value, key, namespace)

    def replace(self, key: str, former: Item, item: Item) -> None:
        """Note what is other in an item."""
        namespace, now = self._shape.namespace(former), self._shape.namespace(item)
        for values, name, notes in self._by_values:
            made_of = self._shape.hashed.get(name)
            if made_of is not None and made_of(former) == made_of(item):
                continue
            old, new = values(former), values(item)
            if old != new or (now != namespace and name in self.placed):
                for value in old:
                    notes.discard(value, key, namespace)
                for value in new:
                    notes.add(value, key, now)
            elif now != namespace and (crowds := self._crowds.get(name)) is not None:
                # Whoever searches meanwhile may hold the set of those that have a value: it stays as it is.
                for value in new:
                    crowds.moved(value, key, namespace)

    def _notes(self, name: str) -> "_Notes":
        """Where it is noted who has which values of a facet."""
        if name in self.placed:
            return _Placed(self.placed[name])
        if name in self._shape.hashed:
            return _Numbered(self.facets[name])
        if name in self._crowds:
            return _Crowded(self.facets[name], self._crowds[name])
        return _Plain(self.facets[name])


class _Notes(Protocol):
    """Of one facet, who has which values."""

    def add(self, value: str, key: str, namespace: str) -> None:
        """An item of this key and namespace has the value now."""

    def discard(self, value: str, key: str, namespace: str) -> None:
        """It has it no longer."""


class _Plain:
    def __init__(self, facet: Facet) -> None:
        self._facet = facet

    def add(self, value: str, key: str, namespace: str) -> None:
        self._facet.add(value, key)

    def discard(self, value: str, key: str, namespace: str) -> None:
        self._facet.discard(value, key)


class _Crowded:
    def __init__(self, facet: Facet, crowds: Crowds) -> None:
        self._facet = facet
        self._crowds = crowds

    def add(self, value: str, key: str, namespace: str) -> None:
        self._facet.add(value, key)
        self._crowds.entered(value, key, self._facet)

    def discard(self, value: str, key: str, namespace: str) -> None:
        self._facet.discard(value, key)
        self._crowds.left(value, key, namespace, self._facet)


class _Numbered:
    def __init__(self, facet: Facet) -> None:
        self._facet = facet

    def add(self, value: str, key: str, namespace: str) -> None:
        self._facet.add(_number(value), key)

    def discard(self, value: str, key: str, namespace: str) -> None:
        self._facet.discard(_number(value), key)


class _Placed:
    def __init__(self, facet: PlacedFacet) -> None:
        self._facet = facet

    def add(self, value: str, key: str, namespace: str) -> None:
        self._facet.add(value, namespace)

    def discard(self, value: str, key: str, namespace: str) -> None:
        self._facet.discard(value, namespace)


def _number(value: str) -> int:
    """What stands for a text in a third of its memory.

    The hash of a text has a key that is drawn anew in each process: nobody can make two texts of one number. If two
    have one by accident, the items are asked all the same.
    """
    return hash(value) & LARGEST_NUMBER
