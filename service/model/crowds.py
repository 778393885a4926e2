"""Items that have one value, by namespace, where a crowd has it.

Anybody may label thousands of Deployments with the GUID of somebody else's app. Whoever then asks for that app, and
sees one namespace, must not look through all of them. Few values have so many items, and only those take a place here.
"""

from collections.abc import Callable, Iterable, Mapping, Set

from service.model.facets import Facet

CROWD = 64
"""Items from which looking through all of them takes longer than a look-up."""


class Crowds:
    """The keys of items by namespace, for each value of one facet that a crowd has."""

    def __init__(self, namespace_of: Callable[[str], str]) -> None:
        """`namespace_of` tells the namespace of an item by its key."""
        self._namespace_of = namespace_of
        self._crowds: dict[str, dict[str, set[str]]] = {}

    def of(self, value: str) -> Mapping[str, Set[str]] | None:
        """The keys by namespace; None: no crowd has this value."""
        return self._crowds.get(value)

    def entered(self, value: str, key: str, facet: Facet) -> None:
        """An item has the value now; `facet` knows all that have it."""
        crowd = self._crowds.get(value)
        if crowd is not None:
            crowd.setdefault(self._namespace_of(key), set()).add(key)
        elif facet.count(value) > CROWD:
            crowd = self._crowds[value] = {}
            for holder in facet.having(value):
                crowd.setdefault(self._namespace_of(holder), set()).add(holder)

    def moved(self, value: str, key: str, former: str) -> None:
        """An item that has the value is in another namespace than before."""
        crowd = self._crowds.get(value)
        if crowd is not None:
            _discard(crowd, former, key)
            crowd.setdefault(self._namespace_of(key), set()).add(key)

    def left(self, value: str, key: str, namespace: str, facet: Facet) -> None:
        """An item of this namespace has the value no longer."""
        crowd = self._crowds.get(value)
        if crowd is None:
            return
        _discard(crowd, namespace, key)
        # Less than what makes a crowd, so that one item that comes and goes does not make it anew each time.
        if facet.count(value) < CROWD // 2:
            del self._crowds[value]


def _discard(crowd: dict[str, set[str]], namespace: str, key: str) -> None:
    crowd[namespace].discard(key)
    if not crowd[namespace]:
        del crowd[namespace]


def within(crowd: Mapping[str, Set[str]], namespaces: Iterable[str]) -> Set[str]:
    """The keys of those of a crowd that are in the namespaces."""
    found: set[str] = set()
    return found.union(*(crowd.get(namespace, ()) for namespace in namespaces))
