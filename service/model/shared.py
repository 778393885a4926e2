"""Which GUIDs several namespaces use: as an address, such a GUID means several items to whoever sees them."""

from collections import Counter
from collections.abc import Iterator, Set
from typing import Generic, TypeVar

from service.model.collection import Collection

Item = TypeVar("Item")


class Shared(Generic[Item]):
    """The values of one facet that items of several namespaces have.

    A change costs O(1), and what only one namespace uses takes no place: that is nearly everything.
    """

    def __init__(self, collection: Collection[Item], facet: str) -> None:
        self.version = 0
        """Another whenever a namespace is added or taken away somewhere here."""
        self._collection = collection
        self._facet = facet
        self._users: dict[str, Counter[str]] = {}
        """By value: how many items of each namespace have it."""
        self._namespaces: Counter[str] = Counter()
        """How many of the values each namespace uses."""

    def __len__(self) -> int:
        return len(self._users)

    def __iter__(self) -> Iterator[str]:
        """The values, those first that have been shared longest."""
        return iter(self._users)

    def users(self, value: str) -> Set[str]:
        """The namespaces that use a value; none for one that is not shared."""
        users = self._users.get(value)
        return frozenset() if users is None else users.keys()

    def namespaces(self) -> Set[str]:
        """Those that use any of the values."""
        return self._namespaces.keys()

    def enter(self, item: Item) -> None:
        """Take note of an item that has just entered the collection."""
        namespace = self._collection.shape.namespace(item)
        for value in self._collection.shape.facets[self._facet](item):
            if value in self._users:
                self._count(value, namespace, 1)
                continue
            # Until now all who have it are of one namespace: any of them tells which.
            holders = self._collection.values(self._facet).having(value)
            key = self._collection.shape.key(item)
            other = self._collection.get(next((holder for holder in holders if holder != key), key))
            if other is not None and (former := self._collection.shape.namespace(other)) != namespace:
                self._users[value] = Counter()
                self._count(value, former, len(holders) - 1)
                self._count(value, namespace, 1)

    def leave(self, item: Item) -> None:
        """Take note of an item that leaves the collection."""
        for value in self._collection.shape.facets[self._facet](item):
            users = self._users.get(value)
            if users is None:
                continue
            self._count(value, self._collection.shape.namespace(item), -1)
            if len(users) == 1:
                ((last, number),) = users.items()
                self._count(value, last, -number)
                del self._users[value]

    def _count(self, value: str, namespace: str, number: int) -> None:
        users = self._users[value]
        before = users[namespace]
        users[namespace] += number
        if not users[namespace]:
            del users[namespace]
        if before and namespace in users:
            return
        self.version += 1
        self._namespaces[namespace] += -1 if before else 1
        if not self._namespaces[namespace]:
            del self._namespaces[namespace]
