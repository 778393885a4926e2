"""The apps that there are, kept in step with processes: whoever changes a process says so here in the same moment.

Adding, changing or removing one process of an app costs the same however many processes the app has: anybody may give
thousands of Deployments one app GUID.
"""

from collections.abc import Callable, Iterator

import msgspec
from sortedcontainers import SortedList

from service.model.apps import APPS, SHOWN, App, app_key, is_started, lead_of
from service.model.collection import Collection
from service.model.derive import DEFAULT_TYPE
from service.model.process import Metadata, Process

Age = tuple[int, str]


class AppIndex:
    def __init__(self, processes: Collection[Process], app_guids: str) -> None:
        """`processes` are all that there are, and `app_guids` the facet of those by which they are found."""
        self.apps: Collection[App] = Collection(APPS)
        self._processes = processes
        self._app_guids = app_guids
        self._crowds: dict[str, _Crowd] = {}
        """The processes of apps that have more than SHOWN, by the key of the app."""
        self._waits = False
        """Whether those that come are to be made later."""
        self._coming: dict[str, None] = {}
        """The keys of those that are not made yet."""

    def is_there(self, key: str) -> bool:
        """Whether there is an app of this key, be it made yet or not."""
        return self.apps.get(key) is not None or key in self._coming

    def wait(self) -> None:
        """Make no apps until `fill`: many processes come, and nobody looks."""
        self._waits = True

    def fill(self, stored_of: Callable[[str, str], Metadata | None]) -> Iterator[None]:
        """Make all apps that have come since `wait`, step by step. What changes meanwhile is made as it always is."""
        self._waits = False
        while self._coming:
            # NB: to look for a key that is left takes quadratic time.
            key, _ = self._coming.popitem()
            namespace, _, app_guid = key.partition("/")
            found = self._processes.having(self._app_guids, app_guid, frozenset((namespace,)))
            if len(found) > SHOWN:
                yield from self._fill_crowd(key, found, stored_of)
            elif found:
                self._serve(key, tuple(sorted(found, key=_age)), stored_of(namespace, app_guid))
            yield

    def _fill_crowd(
        self, key: str, found: list[Process], stored_of: Callable[[str, str], Metadata | None]
    ) -> Iterator[None]:
        # Until all of it is made: what is broken off in between begins anew.
        self._coming[key] = None
        for uid in [each.workload.uid for each in found]:
            # As it is by now.
            if (process := self._processes.get(uid)) is not None:
                self.put(process, stored_of(process.workload.namespace, process.workload.app_guid))
            yield
        del self._coming[key]

    def put(self, process: Process, stored: Metadata | None) -> None:
        """A process was added or changed; it was in the same app before, if it was known. `stored` is of the app."""
        workload = process.workload
        key = app_key(workload.namespace, workload.app_guid)
        if self._waits:
            self._coming[key] = None
            return
        former = self.apps.get(key)
        if (crowd := self._crowds.get(key)) is not None:
            crowd.put(process)
        else:
            others = former.processes if former is not None else ()
            processes = (*(each for each in others if each.workload.uid != workload.uid), process)
            processes = tuple(sorted(processes, key=_age)) if len(processes) > 1 else processes
            if len(processes) <= SHOWN:
                self._serve(former.key if former is not None else key, processes, stored)
                return
            crowd = self._crowds[key] = _Crowd(processes)
        self._serve_crowd(key, crowd, stored)

    def remove(self, process: Process) -> None:
        """A process was removed."""
        workload = process.workload
        key = app_key(workload.namespace, workload.app_guid)
        former = self.apps.get(key)
        if former is None:
            return
        if (crowd := self._crowds.get(key)) is not None:
            crowd.remove(workload.uid)
            if len(crowd) > SHOWN:
                self._serve_crowd(key, crowd, former.stored)
                return
            del self._crowds[key]
            processes = crowd.oldest()
        else:
            processes = tuple(each for each in former.processes if each.workload.uid != workload.uid)
        if processes:
            self._serve(former.key, processes, former.stored)
        else:
            self.apps.remove(key)

    def put_metadata(self, namespace: str, app_guid: str, stored: Metadata | None) -> None:
        """What is stored of an app has changed; whether or not there is such an app."""
        former = self.apps.get(app_key(namespace, app_guid))
        if former is not None:
            self.apps.put(msgspec.structs.replace(former, stored=stored))

    def _serve(self, key: str, processes: tuple[Process, ...], stored: Metadata | None) -> None:
        started = any(is_started(each.workload) for each in processes)
        app = App(key=key, processes=processes, lead=lead_of(processes), stored=stored, is_started=started)
        self.apps.put(app)

    def _serve_crowd(self, key: str, crowd: "_Crowd", stored: Metadata | None) -> None:
        processes = crowd.oldest()
        lead = crowd.web or processes[0]
        self.apps.put(App(key=key, processes=processes, lead=lead, stored=stored, is_started=bool(crowd.started)))


class _Crowd:
    """The processes of an app that has many."""

    def __init__(self, processes: tuple[Process, ...]) -> None:
        self._processes: dict[str, Process] = {}
        """By uid."""
        self._ages: SortedList[Age] = SortedList()
        self.started = 0
        """How many are."""
        self.web: Process | None = None
        for process in processes:
            self.put(process)

    def __len__(self) -> int:
        return len(self._processes)

    def oldest(self) -> tuple[Process, ...]:
        """SHOWN of them, or all."""
        return tuple(self._processes[uid] for _, uid in self._ages.islice(0, SHOWN))

    def put(self, process: Process) -> None:
        uid = process.workload.uid
        if uid in self._processes:
            self.remove(uid)
        self._processes[uid] = process
        self._ages.add(_age(process))
        self.started += is_started(process.workload)
        if process.workload.type == DEFAULT_TYPE:
            self.web = process

    def remove(self, uid: str) -> None:
        process = self._processes.pop(uid)
        self._ages.remove(_age(process))
        self.started -= is_started(process.workload)
        if self.web is process:
            self.web = None


def _age(process: Process) -> Age:
    return process.workload.created_at, process.workload.uid
