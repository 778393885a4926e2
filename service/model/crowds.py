"""Items that have one value, by namespace, where a crowd has it.

Anybody may label thousands of Deployments with the GUID of somebody else's app. Whoever then asks for that app, and
sees one namespace, must not look through all of them. Few values have so many items, and only those take a place here.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Generic, TypeVar

from service.model.facets import Facet
from service.model.views import Visible

Item = TypeVar("Item")
CROWD = 64
"""Items from which looking through all of them takes longer than a look-up."""


class Crowds:
    """The keys of items by namespace, for each value of one facet that a crowd has."""

    def __init__(self, namespace_of: Callable[[str], str]) -> None:
        """`namespace_of` tells the namespace of an item by its key."""
        self._namespace_of = namespace_of
        self._crowds: dict[str, dict[str, set[str]]] = {}

    def of(self, value: str) -> Mapping[str, Set[str]] | None:
        """The keys by namespace; None: no crowd has this value."""
        return self._crowds.get(value)

    def entered(self, value: str, key: str, holders: Set[str]) -> None:
        """An item has the value now; `holders` are the keys of all that have it."""
        crowd = self._crowds.get(value)
        if crowd is not None:
            crowd.setdefault(self._namespace_of(key), set()).add(key)
        elif len(holders) > CROWD:
            crowd = self._crowds[value] = {}
            for holder in holders:
                crowd.setdefault(self._namespace_of(holder), set()).add(holder)

    def moved(self, value: str, key: str, former: str) -> None:
        """An item that has the value is in another namespace than before."""
        crowd = self._crowds.get(value)
        if crowd is not None:
            _discard(crowd, former, key)
            crowd.setdefault(self._namespace_of(key), set()).add(key)

    def left(self, value: str, key: str, namespace: str, holders: Set[str]) -> None:
        """An item of this namespace has the value no longer."""
        crowd = self._crowds.get(value)
        if crowd is None:
            return
        _discard(crowd, namespace, key)
        # Less than what makes a crowd, so that one item that comes and goes does not make it anew each time.
        if len(holders) < CROWD // 2:
            del self._crowds[value]


def _discard(crowd: dict[str, set[str]], namespace: str, key: str) -> None:
    crowd[namespace].discard(key)
    if not crowd[namespace]:
        del crowd[namespace]


def within(crowd: Mapping[str, Set[str]], namespaces: Iterable[str]) -> Set[str]:
    """The keys of those of a crowd that are in the namespaces."""
    found: set[str] = set()
    return found.union(*(crowd.get(namespace, ()) for namespace in namespaces))


class CrowdedFacets(Generic[Item]):
    """All facets of a collection, and the crowds in those by which items are addressed."""

    def __init__(
        self, values: Mapping[str, Callable[[Item], Sequence[str]]], namespace_of: Callable[[str], str]
    ) -> None:
        """`values` are those of an item, by the name of the facet; `namespace_of` tells an item's by its key."""
        self._values = values
        self._namespace_of = namespace_of
        self.facets = {name: Facet() for name in values}
        self._crowds: dict[str, Crowds] = {}

    def follow(self, names: Iterable[str]) -> None:
        """Look out for crowds in these facets, before anything is added."""
        self._crowds = {name: Crowds(self._namespace_of) for name in names if name in self.facets}

    def crowds(self) -> Iterable[Crowds]:
        return self._crowds.values()

    def keys_having(self, name: str, value: str, visible: Visible) -> Set[str]:
        """The keys of the visible items with this value, to be looked at now: the set may change later."""
        held = self.facets[name].having(value)
        if visible is None:
            return held
        if (crowd := self._crowd(name, value)) is not None:
            return within(crowd, visible & crowd.keys())
        return {key for key in held if self._namespace_of(key) in visible}

    def namespaces_having(self, name: str, value: str) -> Set[str]:
        """The namespaces of all items with this value."""
        if (crowd := self._crowd(name, value)) is not None:
            return crowd.keys()
        return {self._namespace_of(key) for key in self.facets[name].having(value)}

    def _crowd(self, name: str, value: str) -> Mapping[str, Set[str]] | None:
        return self._crowds[name].of(value) if name in self._crowds else None

    def enter(self, key: str, item: Item) -> None:
        """Note all values of an item that is in the collection now."""
        for name in self.facets:
            self._enter(name, key, item)

    def leave(self, key: str, item: Item, namespace: str) -> None:
        """Forget all values of an item that was in this namespace."""
        for name in self.facets:
            self._leave(name, key, item, namespace)

    def replace(self, key: str, former: Item, item: Item, namespace: str) -> None:
        """Note what is other in an item, which was in this namespace."""
        moved = self._namespace_of(key) != namespace
        for name, values in self._values.items():
            if values(former) != values(item):
                self._leave(name, key, former, namespace)
                self._enter(name, key, item)
            elif moved and (crowds := self._crowds.get(name)) is not None:
                # Whoever searches meanwhile may hold the set of those that have a value: it stays as it is.
                for value in values(item):
                    crowds.moved(value, key, namespace)

    def _enter(self, name: str, key: str, item: Item) -> None:
        facet, crowds = self.facets[name], self._crowds.get(name)
        for value in self._values[name](item):
            facet.add(value, key)
            if crowds is not None:
                crowds.entered(value, key, facet.having(value))

    def _leave(self, name: str, key: str, item: Item, namespace: str) -> None:
        facet, crowds = self.facets[name], self._crowds.get(name)
        for value in self._values[name](item):
            facet.discard(value, key)
            if crowds is not None:
                crowds.left(value, key, namespace, facet.having(value))
