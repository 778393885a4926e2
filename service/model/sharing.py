"""Which values of a facet are used in more than one namespace: addresses by them may mean several items."""

from collections.abc import Generator, Set
from typing import Generic, TypeVar

from service.model.collection import Collection
from service.model.views import Visible

Item = TypeVar("Item")
STEP = 1_000
"""Items looked at in one step."""


class Sharing(Generic[Item]):
    """Of one facet of a collection. Whoever adds or removes an item says so."""

    def __init__(self, collection: Collection[Item], facet: str) -> None:
        self._collection = collection
        self._facet = facet
        self._shared: set[str] = set()

    def __len__(self) -> int:
        return len(self._shared)

    def changed(self, item: Item) -> None:
        """An item was added, or has gone."""
        for value in self._collection.shape.facets[self._facet](item):
            if self._collection.is_spread(self._facet, value):
                self._shared.add(value)
            else:
                self._shared.discard(value)

    def seen(self, visible: Visible) -> Generator[None, None, dict[str, Set[str]]]:
        """The namespaces that use each value, of those that are visible, where these are two or more; step by step."""
        if not self._shared:
            return {}
        found: dict[str, set[str]] = {}
        namespace, values = self._collection.shape.namespace, self._collection.shape.facets[self._facet]
        for number, key in enumerate(self._collection.keys(visible), 1):
            item = self._collection.get(key)
            for value in values(item) if item is not None else ():
                if value in self._shared and item is not None:
                    found.setdefault(value, set()).add(namespace(item))
            if number % STEP == 0:
                yield
        return {value: namespaces for value, namespaces in found.items() if len(namespaces) > 1}
