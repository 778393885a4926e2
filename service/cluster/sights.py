"""Sights: for each caller, the set of namespaces that they may see.

They are made of reviews. Looking up thousands of those for each request would cost more than the page asked for.

At 2,000 namespaces a set takes 131 KiB and its names as much again, so one object stands for all equal sets, whoever
they are of: most callers are asked about the same namespaces, and those of one team may see the same. All of it is
bounded in bytes.
"""

from collections import OrderedDict
from dataclasses import dataclass

from service.cache import memory_of

ENTRY_BYTES = 500
"""What an entry takes, its sets apart."""
SET_BYTES = 300
"""What a set takes beside itself and its names: its places in our tables, when they have just grown."""


@dataclass(frozen=True, slots=True)
class Sight:
    """The answers of reviews by one verb for one caller."""

    seen: frozenset[str]
    """The namespaces they may see."""
    asked: frozenset[str]
    """The namespaces that were asked about."""
    until: float
    """When the first of the answers is to be asked for again, by whatever clock they were dated with."""


@dataclass(slots=True)
class _Shared:
    """A set that stands for all equal ones."""

    names: frozenset[str]
    size: int
    """Bytes, names included."""
    holders: int = 0


class Sights:
    """Sights by `review_key`, no more than `capacity` bytes of them: those not used for the longest time go first."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._sights: OrderedDict[bytes, Sight] = OrderedDict()
        self._sets: dict[frozenset[str], _Shared] = {}
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes of all that is kept."""
        return self._size

    def get(self, key: bytes) -> Sight | None:
        """The sight kept, however old it is."""
        sight = self._sights.get(key)
        if sight is not None:
            self._sights.move_to_end(key)
        return sight

    def put(self, key: bytes, sight: Sight) -> Sight:
        """Keep a sight in place of the key's former one. Returns an equal one, whose sets are those that are shared."""
        shared = Sight(self._hold(sight.seen), self._hold(sight.asked), sight.until)
        self._remove(key)
        self._sights[key] = shared
        self._size += ENTRY_BYTES
        while self._size > self._capacity:
            self._remove(next(iter(self._sights)))
        return shared

    def _remove(self, key: bytes) -> None:
        sight = self._sights.pop(key, None)
        if sight is not None:
            self._size -= ENTRY_BYTES
            self._release(sight.seen)
            self._release(sight.asked)

    def _hold(self, names: frozenset[str]) -> frozenset[str]:
        """The one object for this set."""
        shared = self._sets.get(names)
        if shared is None:
            shared = self._sets[names] = _Shared(names, SET_BYTES + memory_of(names))
            self._size += shared.size
        shared.holders += 1
        return shared.names

    def _release(self, names: frozenset[str]) -> None:
        shared = self._sets[names]
        shared.holders -= 1
        if not shared.holders:
            del self._sets[names]
            self._size -= shared.size
