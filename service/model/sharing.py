"""Which values of a facet are used in more than one namespace: addresses by them may mean several items.

A change costs the same however many items have the value, and what one namespace alone uses takes no place here: that
is nearly everything.
"""

from collections import Counter
from collections.abc import Generator, Set
from typing import Generic, TypeVar

from service.model.collection import Collection
from service.model.views import Visible

Item = TypeVar("Item")
STEP = 1_000
"""Values looked at in one step."""


class Sharing(Generic[Item]):
    """The shared values of one facet of a collection. Whoever adds or removes an item says so here."""

    def __init__(self, collection: Collection[Item], facet: str) -> None:
        self._collection = collection
        self._values = collection.shape.facets[facet]
        self._held = collection.values(facet)
        self._users: dict[str, Counter[str]] = {}
        """How many items of each namespace have a value, for those that are shared."""

    def __len__(self) -> int:
        return len(self._users)

    def entered(self, item: Item) -> None:
        """An item was added to the collection."""
        for value in self._values(item):
            if (count := self._held.count(value)) > 1:
                self._noted(item, value, count)

    def _noted(self, item: Item, value: str, count: int) -> None:
        """One that others have too."""
        shape = self._collection.shape
        namespace = shape.namespace(item)
        if (users := self._users.get(value)) is not None:
            users[namespace] += 1
            return
        # Until now all who have it are of one namespace, which any of them tells.
        another = self._held.another(value, shape.key(item))
        other = None if another is None else self._collection.get(another)
        if other is not None and (first := shape.namespace(other)) != namespace:
            self._users[value] = Counter({first: count - 1, namespace: 1})

    def left(self, item: Item) -> None:
        """An item was removed from the collection."""
        shape = self._collection.shape
        namespace = shape.namespace(item)
        for value in self._values(item):
            if (users := self._users.get(value)) is None:
                continue
            users[namespace] -= 1
            if not users[namespace]:
                del users[namespace]
            if len(users) == 1:
                del self._users[value]

    def seen(self, visible: Visible) -> Generator[None, None, dict[str, Set[str]]]:
        """The namespaces that use each value, of those that are visible, where these are two or more; step by step."""
        found: dict[str, Set[str]] = {}
        for number, (value, users) in enumerate(list(self._users.items()), 1):
            namespaces = frozenset(users) if visible is None else visible & users.keys()
            if len(namespaces) > 1:
                found[value] = namespaces
            if number % STEP == 0:
                yield
        return found
