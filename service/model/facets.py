"""Facets: which items of a collection have a value, for each value there is."""

from collections.abc import Iterable, Iterator, Set

_NOTHING: frozenset[str] = frozenset()


FEW = 8
"""Keys up to which a tuple of them does what a set does, in a fraction of the memory."""


Value = str | int
"""What items have, or a number of it (service.model.lookup)."""


class Facet:
    """The keys of items by value. Most values are of one item alone, which is kept bare, or of a few."""

    def __init__(self) -> None:
        self._holders: dict[Value, str | tuple[str, ...] | set[str]] = {}

    def __iter__(self) -> Iterator[str]:
        """The values that some item has, of those that are kept themselves."""
        return (value for value in self._holders if isinstance(value, str))

    def __len__(self) -> int:
        return len(self._holders)

    def having(self, value: Value) -> Set[str]:
        """The keys of the items that have a value, to be looked at now: the set may change later."""
        held = self._holders.get(value)
        if held is None:
            return _NOTHING
        if isinstance(held, set):
            return held
        return frozenset((held,) if isinstance(held, str) else held)

    def having_any(self, values: Iterable[Value]) -> Set[str]:
        """The keys of the items that have any of several values, to be looked at now."""
        found = [held for value in values if (held := self.having(value))]
        return found[0] if len(found) == 1 else _NOTHING.union(*found)

    def count(self, value: Value) -> int:
        """How many items have a value."""
        held = self._holders.get(value)
        return 0 if held is None else 1 if isinstance(held, str) else len(held)

    def another(self, value: Value, key: str) -> str | None:
        """The key of some item with the value that is not this one; None: no other has it."""
        held = self._holders.get(value)
        if held is None or isinstance(held, str):
            return None if held == key else held
        return next((each for each in held if each != key), None)

    def add(self, value: Value, key: str) -> None:
        held = self._holders.get(value)
        if held is None:
            self._holders[value] = key
        elif isinstance(held, set):
            held.add(key)
        elif isinstance(held, str):
            if held != key:
                self._holders[value] = (held, key)
        elif key not in held:
            self._holders[value] = (*held, key) if len(held) < FEW else {*held, key}

    def discard(self, value: Value, key: str) -> None:
        """Take a key away that has the value."""
        held = self._holders[value]
        if isinstance(held, str):
            del self._holders[value]
        elif isinstance(held, tuple):
            rest = tuple(each for each in held if each != key)
            self._holders[value] = rest if len(rest) > 1 else rest[0]
        else:
            held.discard(key)
            if len(held) <= FEW // 2:
                # Not popped: whoever searches may hold the set, and would find nothing in it any more.
                self._holders[value] = tuple(held)


class LabelFacets:
    """Facets of the labels of items: by key and value, and by key alone."""

    def __init__(self) -> None:
        self._values: dict[str, Facet] = {}
        """By label key."""
        self._labelled = Facet()
        """Which items have the label, whatever its value."""

    def having(self, label: str) -> Set[str]:
        """The keys of the items that have the label."""
        return self._labelled.having(label)

    def having_any(self, label: str, values: Iterable[str]) -> Set[str]:
        """The keys of the items that have the label with one of the values."""
        facet = self._values.get(label)
        return _NOTHING if facet is None else facet.having_any(values)

    def add(self, labels: Iterable[tuple[str, str]], key: str) -> None:
        for label, value in labels:
            self._values.setdefault(label, Facet()).add(value, key)
            self._labelled.add(label, key)

    def discard(self, labels: Iterable[tuple[str, str]], key: str) -> None:
        for label, value in labels:
            self._values[label].discard(value, key)
            self._labelled.discard(label, key)
            if not self._labelled.having(label):
                del self._values[label]
