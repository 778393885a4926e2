"""Which processes of a namespace a selector means, and which selectors mean a process: both by label pairs.

Neither question compares each process with each selector. A selector is kept under one of its pairs, the one with the
fewest others, and looked at only for a process that has this pair.
"""

from collections.abc import Generator, Iterator, Set

from service.model.facets import Facet
from service.model.process import Process

Pair = tuple[str, str]
Selector = tuple[Pair, ...]
"""Label pairs, all of which must be there. One without any means nothing."""

STEP = 500
"""Processes looked at in one step."""


class PodLabels:
    """The processes of a namespace by the labels of their Pods."""

    def __init__(self) -> None:
        self._processes: dict[str, Process] = {}
        """By the uid of the Deployment."""
        self._facets: dict[str, Facet] = {}
        """By the label's key."""

    def get(self, uid: str) -> Process | None:
        return self._processes.get(uid)

    def put(self, process: Process) -> None:
        """Add a process or replace its former state."""
        uid, labels = process.workload.uid, list(process.workload.labels_of_pods)
        former = self._processes.get(uid)
        self._processes[uid] = process
        if former is not None:
            if list(former.workload.labels_of_pods) == labels:
                return
            self._take_out(former)
        for key, value in labels:
            self._facets.setdefault(key, Facet()).add(value, uid)

    def remove(self, uid: str) -> None:
        """Forget a process. An unknown uid is no error."""
        if (former := self._processes.pop(uid, None)) is not None:
            self._take_out(former)

    def _take_out(self, process: Process) -> None:
        for key, value in process.workload.labels_of_pods:
            facet = self._facets[key]
            facet.discard(value, process.workload.uid)
            if not facet:
                del self._facets[key]

    def matching(self, selector: Selector) -> Generator[None, None, list[Process]]:
        """The processes that a selector means, step by step. What changes meanwhile may or may not be in it."""
        having = sorted((self._having(pair) for pair in selector), key=len)
        if not having:
            return []
        found = []
        for number, uid in enumerate(list(having[0]), 1):
            process = self._processes.get(uid)
            if process is not None and _means(selector, process):
                found.append(process)
            if number % STEP == 0:
                yield
        return found

    def _having(self, pair: Pair) -> Set[str]:
        facet = self._facets.get(pair[0])
        return frozenset() if facet is None else facet.having(pair[1])


def _means(selector: Selector, process: Process) -> bool:
    return set(selector) <= set(process.workload.labels_of_pods)


class Selectors:
    """The selectors of a namespace, by the names of the Services that have them."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Pair, Selector]] = {}
        """By name, and with each the pair that it is kept under."""
        self._names: dict[Pair, set[str]] = {}

    def put(self, name: str, selector: Selector) -> None:
        """Add a selector, or replace the one of that name."""
        self.remove(name)
        if selector:
            under = min(selector, key=lambda pair: len(self._names.get(pair, ())))
            self._kept[name] = under, selector
            self._names.setdefault(under, set()).add(name)

    def remove(self, name: str) -> None:
        """An unknown name is no error."""
        if (kept := self._kept.pop(name, None)) is not None:
            names = self._names[kept[0]]
            names.discard(name)
            if not names:
                del self._names[kept[0]]

    def meaning(self, process: Process) -> Iterator[str]:
        """The names of those that mean a process."""
        labels = set(process.workload.labels_of_pods)
        for pair in labels & self._names.keys():
            for name in self._names[pair]:
                if labels.issuperset(self._kept[name][1]):
                    yield name
