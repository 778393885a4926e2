"""Facets: which items of a collection have a value, for each value there is."""

from collections.abc import Iterable, Iterator, Set

_NOTHING: frozenset[str] = frozenset()


class Facet:
    """The keys of items by value. Most values are of one item alone: it is then kept bare, and not in a set."""

    def __init__(self) -> None:
        self._holders: dict[str, str | set[str]] = {}

    def __iter__(self) -> Iterator[str]:
        """The values that some item has."""
        return iter(self._holders)

    def __len__(self) -> int:
        return len(self._holders)

    def having(self, value: str) -> Set[str]:
        """The keys of the items that have a value, to be looked at now: the set may change later."""
        held = self._holders.get(value)
        if held is None:
            return _NOTHING
        return frozenset((held,)) if isinstance(held, str) else held

    def having_any(self, values: Iterable[str]) -> Set[str]:
        """The keys of the items that have any of several values, to be looked at now."""
        found = [held for value in values if (held := self.having(value))]
        return found[0] if len(found) == 1 else _NOTHING.union(*found)

    def add(self, value: str, key: str) -> None:
        held = self._holders.get(value)
        if held is None:
            self._holders[value] = key
        elif isinstance(held, set):
            held.add(key)
        elif held != key:
            self._holders[value] = {held, key}

    def discard(self, value: str, key: str) -> None:
        """Take a key away that has the value."""
        held = self._holders[value]
        if isinstance(held, str):
            del self._holders[value]
            return
        held.discard(key)
        if len(held) == 1:
            # Not popped: whoever searches may hold the set, and would find nothing in it any more.
            (self._holders[value],) = held


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
