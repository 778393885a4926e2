"""Which namespaces hold items that have a value: for facets of which a namespace's items mostly have the same value.

So of a hundred thousand processes it takes no more than of their namespaces to know which are in which space. The items
themselves are found through the namespaces, and looked at only where not all of them have the value.
"""

from collections.abc import Iterator, Mapping


class PlacedFacet:
    def __init__(self) -> None:
        self._counts: dict[str, dict[str, int]] = {}
        """By value and namespace, how many items have it."""

    def __iter__(self) -> Iterator[str]:
        """The values that some item has."""
        return iter(self._counts)

    def __len__(self) -> int:
        return len(self._counts)

    def counts(self, value: str) -> Mapping[str, int]:
        """How many items have the value, by namespace: to be looked at now."""
        return self._counts.get(value, {})

    def add(self, value: str, namespace: str) -> None:
        counts = self._counts.get(value)
        if counts is None:
            counts = self._counts[value] = {}
        counts[namespace] = counts.get(namespace, 0) + 1

    def discard(self, value: str, namespace: str) -> None:
        """Of an item there that has the value."""
        counts = self._counts[value]
        counts[namespace] -= 1
        if not counts[namespace]:
            del counts[namespace]
            if not counts:
                del self._counts[value]
