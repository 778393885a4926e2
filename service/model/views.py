"""Sorted views: any page of a total order, for a caller who sees everything or only some namespaces.

A view keeps every item in one sorted list and again in one list a namespace. Finding the items at ranks
`start`…`stop` costs, for n items:

* seen whole: O(log n) to the position, then the page;
* seen through k namespaces, or through all but k: O(k log² n): bisect the whole list for the item that has `start`
  visible items before it, counting those in the k lists, then merge from there;
* where k is large both ways: one pass over the whole list, kept until the view changes.

None depends on how deep the page is.
"""

import heapq
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from itertools import islice
from typing import Any, cast

import msgspec
from sortedcontainers import SortedList

SortKey = int | str
"""What an order goes by; all keys of one order are of one type."""


class Position(msgspec.Struct, order=True, frozen=True, gc=False):
    """Where an item stands in an order. No two items are at one position.

    A struct on purpose: it compares as fast as a tuple, takes a little more than half of the memory, and is nothing
    that the garbage collector follows.
    """

    sort_key: Any
    guid: str
    namespace: str
    key: str
    """In the collection."""


Visible = frozenset[str] | None
"""The namespaces a caller sees; None: all there are, now and later."""

RUN = 5_000
"""Positions sorted in one step."""
SHORT = 1_000
"""Positions of a namespace up to which putting one in its place in a plain list costs next to nothing."""
FEW = 64
"""Lists up to which bisecting each of them costs less than a pass over everything."""
KEPT_PASSES = 8


class _Short(list[Position]):
    """A sorted list that is short: it takes a tenth of the memory of a SortedList, which there is one of otherwise for
    each namespace and each order."""

    __slots__ = ()

    def add(self, position: Position) -> None:
        insort(self, position)

    def remove(self, position: Position) -> None:
        """Raises ValueError for one that is not there."""
        at = self.bisect_left(position)
        if at == len(self) or self[at] != position:
            raise ValueError(f"{position} is not there")
        del self[at]

    def bisect_left(self, position: Position) -> int:
        return bisect_left(self, position)

    def irange(self, first: Position) -> Iterator[Position]:
        return islice(self, self.bisect_left(first), None)

    def islice(self, start: int, stop: int) -> Iterable[Position]:
        return self[start:stop]


_Part = _Short | SortedList[Position]


def _merged(runs: list[list[Position]]) -> Iterator[list[Position]]:
    """All of what is in sorted runs, in order, in pieces of about RUN."""
    apart = max(1, RUN // len(runs))
    samples = sorted(position for run in runs for position in run[:: len(runs)])
    taken = [0] * len(runs)
    for pivot in (*samples[apart::apart], None):
        piece: list[Position] = []
        for number, run in enumerate(runs):
            stop = len(run) if pivot is None else bisect_left(run, pivot)
            piece += run[taken[number] : stop]
            taken[number] = stop
        piece.sort()
        yield piece


def in_order(ordered: list[Position]) -> SortedList[Position]:
    """A SortedList of what is in order: it would compare all of it once more, which takes long."""
    made: Any = SortedList()
    made._lists = [ordered[first : first + made._load] for first in range(0, len(ordered), made._load)]
    made._maxes = [each[-1] for each in made._lists]
    made._len = len(ordered)
    return cast(SortedList[Position], made)


class SortedView:
    """All items in the order of one sort key."""

    def __init__(self) -> None:
        self._placed: SortedList[Position] = SortedList()
        """All, but for what is new. Read `_all`."""
        self._new: list[Position] = []
        """Added since the whole was last looked at, in any order: while much is added, nobody looks."""
        self._taken_back = 0
        """How many of these were removed again."""
        self._namespaces: dict[str, _Part] = {}
        self._whole: Sequence[Position] | None = None
        """All in order, copied for those who go through it step by step; None: not since the last change."""
        self._passes: dict[frozenset[str], list[Position]] = {}
        """What a pass over everything found, for the visible sets asked about since the last change."""

    @property
    def _all(self) -> SortedList[Position]:
        if self._new:
            self._placed.update(self._new)
            self._new = []
        return self._placed

    def settle(self) -> Iterator[None]:
        """Have the whole ready to be looked at, step by step, when it has just been filled."""
        new, count, taken_back = self._new, len(self._new), self._taken_back
        if self._placed or count <= RUN:
            return
        runs: list[list[Position]] = []
        for first in range(0, count, RUN):
            runs.append(sorted(new[first : min(first + RUN, count)]))
            yield
        ordered: list[Position] = []
        for piece in _merged(runs):
            ordered += piece
            yield
        if self._new is new and self._taken_back == taken_back:
            # Nobody has looked meanwhile, and all of them are there still.
            self._placed = in_order(ordered)
            self._new = new[count:]

    def add(self, position: Position) -> None:
        self._forget()
        self._new.append(position)
        part = self._namespaces.get(position.namespace)
        if part is None:
            part = self._namespaces[position.namespace] = _Short()
        elif len(part) == SHORT and isinstance(part, _Short):
            part = self._namespaces[position.namespace] = SortedList(part)
        part.add(position)

    def remove(self, position: Position) -> None:
        self._forget()
        if self._new and self._new[-1] == position:
            self._new.pop()
            self._taken_back += 1
        else:
            self._all.remove(position)
        part = self._namespaces[position.namespace]
        part.remove(position)
        if not part:
            del self._namespaces[position.namespace]

    def namespaces(self) -> Set[str]:
        """Those that hold an item."""
        return self._namespaces.keys()

    def count(self, visible: Visible) -> int:
        if self._is_whole(visible):
            return len(self._all)
        return sum(map(len, self._parts(visible or frozenset())))

    def keys(self, visible: frozenset[str]) -> set[str]:
        """The keys of all that is visible."""
        return {position.key for part in self._parts(visible) for position in part}

    def chunks(self, visible: Visible, size: int) -> Iterator[set[str]]:
        """The same, `size` at most at a time; what changes meanwhile may or may not be in it."""
        for part in [self._all] if visible is None else self._parts(visible):
            positions = self.positions() if part is self._placed else list(part)
            for first in range(0, len(positions), size):
                yield {position.key for position in positions[first : first + size]}

    def between(self, start: SortKey | None, end: SortKey | None) -> range:
        """The ranks of the positions with start ≤ sort key < end, as of now."""
        # An empty GUID stands before every real one of the same sort key.
        low = 0 if start is None else self._all.bisect_left(Position(start, "", "", ""))
        high = len(self._all) if end is None else self._all.bisect_left(Position(end, "", "", ""))
        return range(low, high)

    def positions(self) -> Sequence[Position]:
        """Everything in ascending order, as of now: it stays as it is when the view changes."""
        if self._whole is None:
            self._whole = list(self._all)
        return self._whole

    def page(self, visible: Visible, start: int, size: int, descending: bool) -> list[str]:
        """The keys at ranks start … start + size of what is visible; fewer or none past the end."""
        total = self.count(visible)
        stop = min(start + size, total)
        if start >= stop:
            return []
        low, high = (total - stop, total - start) if descending else (start, stop)
        found = [position.key for position in self._ascending(visible, low, high)]
        return found[::-1] if descending else found

    def _ascending(self, visible: Visible, low: int, high: int) -> Iterable[Position]:
        if visible is None or self._is_whole(visible):
            return self._all.islice(low, high)
        parts = self._parts(visible)
        if len(parts) == 1:
            return parts[0].islice(low, high)
        if len(parts) <= FEW:
            first = self._first(low, lambda position, _: sum(part.bisect_left(position) for part in parts))
            return islice(heapq.merge(*(part.irange(first) for part in parts)), high - low)
        if len(self._namespaces) - len(parts) <= FEW:
            hidden = [part for namespace, part in self._namespaces.items() if namespace not in visible]
            first = self._first(low, lambda position, rank: rank - sum(part.bisect_left(position) for part in hidden))
            return islice((each for each in self._all.irange(first) if each.namespace in visible), high - low)
        return islice(self._pass(visible), low, high)

    def _pass(self, visible: frozenset[str]) -> list[Position]:
        found = self._passes.get(visible)
        if found is None:
            if len(self._passes) == KEPT_PASSES:
                del self._passes[next(iter(self._passes))]
            found = self._passes[visible] = [position for position in self._all if position.namespace in visible]
        return found

    def _first(self, visible_before: int, count: Callable[[Position, int], int]) -> Position:
        """The last position with at most `visible_before` visible ones before it: the page starts there."""
        low, high = 0, len(self._all) - 1
        while low < high:
            middle = (low + high + 1) // 2
            if count(self._all[middle], middle) <= visible_before:
                low = middle
            else:
                high = middle - 1
        return self._all[low]

    def _is_whole(self, visible: Visible) -> bool:
        """Whether there is nothing else than what is visible."""
        return visible is None or (len(visible) >= len(self._namespaces) and visible >= self._namespaces.keys())

    def _forget(self) -> None:
        self._passes.clear()
        self._whole = None

    def _parts(self, visible: frozenset[str]) -> list["_Part"]:
        if len(visible) <= len(self._namespaces):
            return [part for namespace in visible if (part := self._namespaces.get(namespace)) is not None]
        return [part for namespace, part in self._namespaces.items() if namespace in visible]
