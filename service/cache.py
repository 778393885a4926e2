"""A cache that is bounded by the size of what it holds."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class BoundedCache(Generic[Key, Value]):
    """Values by key, of a total size in whatever unit; the oldest go first. A look-up is a dict's and no more."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._size = 0
        self._values: OrderedDict[Key, tuple[Value, int]] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        found = self._values.get(key)
        return None if found is None else found[0]

    def put(self, key: Key, value: Value, size: int) -> None:
        """A value larger than everything is not kept."""
        _, former = self._values.pop(key, (None, 0))
        self._size -= former
        if size > self._capacity:
            return
        self._values[key] = value, size
        self._size += size
        while self._size > self._capacity:
            _, (_, oldest) = self._values.popitem(last=False)
            self._size -= oldest

    def clear(self) -> None:
        self._values.clear()
        self._size = 0
