"""Caches that are bounded in bytes, of keys and values both: callers and tenants choose how long some keys are."""

import random
import sys
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import fields, is_dataclass
from itertools import count
from typing import Generic, TypeVar

import msgspec

ENTRY_BYTES = 250
"""What an entry takes, its key and its value apart: its places in the cache's tables, when these have just grown."""
NEWCOMERS = 8
"""Of so many that are not kept yet one takes the place of others, where a cache is full."""

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class BoundedCache(Generic[Key, Value]):
    """Values by key; the oldest go first. A look-up is a dict's and no more."""

    def __init__(self, capacity: int) -> None:
        """`capacity` is in bytes."""
        self._capacity = capacity
        self._size = 0
        self._values: OrderedDict[Key, tuple[Value, int]] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        found = self._values.get(key)
        return None if found is None else found[0]

    @property
    def size(self) -> int:
        """Bytes of all that is held."""
        return self._size

    def put(self, key: Key, value: Value, size: int, *, alone: bool = False, evict: bool = True) -> bool:
        """Keep a value in place of the key's former one, unless it is larger than the whole capacity; whether it is.

        `size` is what the value takes in bytes, and all that lives only as long as it is kept. `alone`: one that is
        larger is kept too, in place of all others, for it costs the most to make anew. No `evict`: only if there is
        room, and in place of no other.
        """
        size += ENTRY_BYTES + memory_of(key)
        _, former = self._values.pop(key, (None, 0))
        self._size -= former
        if size > self._capacity:
            if not alone:
                return False
            size = self._capacity
        if not evict and self._size + size > self._capacity:
            return False
        self._values[key] = value, size
        self._size += size
        while self._size > self._capacity:
            _, (_, oldest) = self._values.popitem(last=False)
            self._size -= oldest
        return True

    def clear(self) -> None:
        self._values.clear()
        self._size = 0


def takes_a_place() -> bool:
    """Whether something new is to be kept in place of others, in a cache of what is asked for again and again.

    Who asks for more in turn than is kept would otherwise find each gone when its turn comes again, and have cost all
    others theirs.
    """
    return random.random() * NEWCOMERS < 1


class RecencyCache(BoundedCache[Key, Value]):
    """A BoundedCache in which those that have not been looked up for the longest time go first."""

    def get(self, key: Key) -> Value | None:
        # As BoundedCache does, and not through it: each request looks up ten.
        found = self._values.get(key)
        if found is None:
            return None
        self._values.move_to_end(key)
        return found[0]


class Numbers(Generic[Key]):
    """Numbers that stand for large keys, so that many entries of another cache can have one of them.

    A key that was pushed out gets a new number when it comes again. What is kept under the old one is not found any
    more, and goes as all that is old does.
    """

    def __init__(self, capacity: int) -> None:
        """`capacity` is in bytes."""
        self._numbers: RecencyCache[Key, int] = RecencyCache(capacity)
        self._next = count(1)

    def of(self, key: Key) -> int:
        number = self._numbers.get(key)
        if number is None:
            number = next(self._next)
            self._numbers.put(key, number, 32)
        return number


_FLAT = frozenset((str, bytes, int, bool, float, type(None)))
"""Types of values that hold no others."""
_SEVERAL = (tuple, frozenset, list, set)


def memory_of(value: object) -> int:
    """The bytes that a value takes with all that is inside of it, as if nothing else held any of that.

    It looks into tuples, lists, sets, dictionaries, dataclasses and msgspec's structs.
    """
    if type(value) in _FLAT:
        # Most of what is inside of anything: writes come through here.
        return sys.getsizeof(value)
    inside = 0
    if isinstance(value, _SEVERAL):
        inside = sum(map(memory_of, value))
    elif isinstance(value, dict):
        inside = sum(memory_of(key) + memory_of(each) for key, each in value.items())
    elif isinstance(value, msgspec.Struct):
        inside = sum(memory_of(getattr(value, name)) for name in value.__struct_fields__)
    elif is_dataclass(value) and not isinstance(value, type):
        inside = sum(memory_of(getattr(value, each.name)) for each in fields(value))
        inside += sys.getsizeof(getattr(value, "__dict__", None))
    return sys.getsizeof(value) + inside
