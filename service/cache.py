"""Caches that are bounded by the size of what they hold, and the size of some of it."""

import sys
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class BoundedCache(Generic[Key, Value]):
    """Values by key, of a total size in any unit; the oldest go first. A look-up is a dict's and no more."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._size = 0
        self._values: OrderedDict[Key, tuple[Value, int]] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        found = self._values.get(key)
        return None if found is None else found[0]

    @property
    def size(self) -> int:
        """The size of all that is held."""
        return self._size

    def put(self, key: Key, value: Value, size: int) -> None:
        """Keep a value in place of the key's former one, unless it is larger than the whole capacity."""
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


class RecencyCache(BoundedCache[Key, Value]):
    """A BoundedCache in which those that have not been looked up for the longest time go first."""

    def get(self, key: Key) -> Value | None:
        value = super().get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value


def memory_of(value: object) -> int:
    """The bytes that strings, bytes, and tuples or sets of them take, as if nothing else held any of them."""
    inside = sum(map(memory_of, value)) if isinstance(value, tuple | frozenset) else 0
    return sys.getsizeof(value) + inside
