"""Which processes of a namespace a selector means, and which selectors mean a process: both by label pairs.

Neither question compares each process with each selector. A selector is kept under one of its pairs, the one with the
fewest others, and looked at only for a process that has this pair.
"""

from collections import Counter
from collections.abc import Generator, Iterator, Set

from service.model.facets import Facet
from service.model.process import Process

Pair = tuple[str, str]
Selector = tuple[Pair, ...]
"""Label pairs, all of which must be there. One without any means nothing."""

STEP = 50
"""Processes looked at in one step, each with up to MOST_LABELS labels."""


class PodLabels:
    """The processes of a namespace by those labels of their Pods that selectors ask about."""

    def __init__(self) -> None:
        self._processes: dict[str, Process] = {}
        """By the uid of the Deployment."""
        self._facets: dict[str, Facet] = {}
        """By the label's key."""

    def get(self, uid: str) -> Process | None:
        return self._processes.get(uid)

    def put(self, process: Process) -> None:
        """Add a process or replace its former state."""
        uid = process.workload.uid
        former = self._processes.get(uid)
        self._processes[uid] = process
        if not self._facets:
            return
        labels = list(process.workload.labels_of_pods)
        if former is not None:
            if list(former.workload.labels_of_pods) == labels:
                return
            self._take_out(former)
        for key, value in labels:
            if (facet := self._facets.get(key)) is not None:
                facet.add(value, uid)

    def remove(self, uid: str) -> None:
        """Forget a process. An unknown uid is no error."""
        if (former := self._processes.pop(uid, None)) is not None:
            self._take_out(former)

    def _take_out(self, process: Process) -> None:
        uid = process.workload.uid
        for key, value in process.workload.labels_of_pods:
            facet = self._facets.get(key)
            # One that is being filled may not have come to this process yet.
            if facet is not None and uid in facet.having(value):
                facet.discard(value, uid)

    def matching(self, selector: Selector, asked: Set[str]) -> Generator[None, None, list[Process]]:
        """The processes that a selector means, step by step. What changes meanwhile may or may not be in it.

        `asked` are the label keys that all selectors ask about: nothing is kept of others. One at a time may be looked
        for.
        """
        if not selector:
            return []
        for key in self._facets.keys() - asked:
            del self._facets[key]
        for key, _ in selector:
            if key not in self._facets:
                yield from self._fill(key)
                yield
        having = min((self._facets[key].having(value) for key, value in selector), key=len)
        found = []
        for number, uid in enumerate(list(having), 1):
            process = self._processes.get(uid)
            if process is not None and _means(selector, process):
                found.append(process)
            if number % STEP == 0:
                yield
        return found

    def _fill(self, key: str) -> Iterator[None]:
        """Find all processes by one more label."""
        facet = self._facets[key] = Facet()
        for number, uid in enumerate(list(self._processes), 1):
            process = self._processes.get(uid)
            value = None if process is None else dict(process.workload.labels_of_pods).get(key)
            if value is not None:
                facet.add(value, uid)
            if number % STEP == 0:
                yield


def _means(selector: Selector, process: Process) -> bool:
    return set(selector) <= set(process.workload.labels_of_pods)


class Selectors:
    """The selectors of a namespace, by the names of the Services that have them."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Pair, Selector]] = {}
        """By name, and with each the pair that it is kept under."""
        self._names: dict[Pair, set[str]] = {}
        self._keys: Counter[str] = Counter()
        """How many ask about a label key."""

    def put(self, name: str, selector: Selector) -> None:
        """Add a selector, or replace the one of that name."""
        self.remove(name)
        if selector:
            under = min(selector, key=lambda pair: len(self._names.get(pair, ())))
            self._kept[name] = under, selector
            self._keys.update(key for key, _ in selector)
            self._names.setdefault(under, set()).add(name)

    def remove(self, name: str) -> None:
        """An unknown name is no error."""
        if (kept := self._kept.pop(name, None)) is not None:
            under, selector = kept
            for key, _ in selector:
                self._keys[key] -= 1
                if not self._keys[key]:
                    del self._keys[key]
            names = self._names[under]
            names.discard(name)
            if not names:
                del self._names[under]

    def keys(self) -> Set[str]:
        """The label keys that they ask about."""
        return self._keys.keys()

    def meaning(self, process: Process) -> Iterator[str]:
        """The names of those that mean a process."""
        labels = set(process.workload.labels_of_pods)
        for pair in labels & self._names.keys():
            for name in self._names[pair]:
                if labels.issuperset(self._kept[name][1]):
                    yield name
