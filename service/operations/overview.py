"""The spaces and apps a caller sees, summed up over their processes."""

import time
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

from service.access import Caller
from service.cache import BoundedCache, Numbers
from service.freshness import Freshness
from service.model.pod_index import PodIndex
from service.model.pods import State
from service.model.process import Process
from service.model.selection import NO_FILTERS, Filters, Selection
from service.model.views import Visible
from service.operations.reads import Reads
from service.pacing import Turns

KEPT_S = 2.0
"""For how long a sum is good enough: Pods come and go all the time, and it takes a pass over everything."""
KEPT_BYTES, SIGHTS_BYTES = 32 << 20, 2 << 20
"""What is kept of sums, and of who saw what then."""
PROCESS_BYTES = 500
"""What a process takes in a sum, if it is the only one of its app."""
STEP = 200


@dataclass(slots=True)
class Tally:
    """Instances: wanted, running and crashed."""

    desired: int = 0
    running: int = 0
    crashed: int = 0

    def add(self, other: "Tally") -> None:
        self.desired += other.desired
        self.running += other.running
        self.crashed += other.crashed


@dataclass(slots=True)
class App:
    """An app: what carries its GUID."""

    guid: str
    space_guid: str
    namespace: str
    processes: list[tuple[Process, Tally]] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)


@dataclass(slots=True)
class Space:
    """A space: what names it."""

    guid: str
    organization_guid: str
    namespaces: set[str] = field(default_factory=set)
    apps: set[str] = field(default_factory=set)
    processes: int = 0
    tally: Tally = field(default_factory=Tally)


@dataclass(frozen=True)
class Sums:
    """All that a caller sees, spaces by the name of a namespace of theirs, apps by namespace and then by GUID."""

    spaces: Sequence[Space]
    apps: Sequence[App]
    types: Sequence[str]
    """Of processes, the most frequent first."""
    processes: int


class Overview:
    def __init__(self, reads: Reads[Process], pods: PodIndex) -> None:
        self._reads = reads
        self._pods = pods
        self._turns = Turns()
        self._sums: BoundedCache[tuple[Filters, int], tuple[float, Sums]] = BoundedCache(KEPT_BYTES)
        self._sights: Numbers[Visible] = Numbers(SIGHTS_BYTES)

    async def get(self, caller: Caller, filters: Filters = NO_FILTERS) -> tuple[Sums, Freshness]:
        """The sums over all processes that the caller sees and that match. Raises ServiceUnavailable."""
        look, visible, freshness = await self._reads.everything(caller, filters)
        key = filters, self._sights.of(visible)
        kept = self._sums.get(key)
        if kept is not None and time.monotonic() < kept[0]:
            return kept[1], freshness
        sums = await self._turns.run(self._sum(await look()))
        self._sums.put(key, (time.monotonic() + KEPT_S, sums), PROCESS_BYTES * (1 + sums.processes))
        return sums, freshness

    def _sum(self, selection: Selection[Process]) -> Generator[None, None, Sums]:
        spaces: dict[str, Space] = {}
        apps: dict[tuple[str, str], App] = {}
        types: Counter[str] = Counter()
        for number, process in enumerate(selection.items, 1):
            workload = process.workload
            tally = self._tally(process)
            types[workload.type] += 1
            space = spaces.get(process.space_guid)
            if space is None:
                space = spaces[process.space_guid] = Space(process.space_guid, process.organization_guid)
            space.namespaces.add(workload.namespace)
            space.apps.add(workload.app_guid)
            space.processes += 1
            space.tally.add(tally)
            key = workload.app_guid, workload.namespace
            app = apps.get(key)
            if app is None:
                app = apps[key] = App(workload.app_guid, process.space_guid, workload.namespace)
            app.processes.append((process, tally))
            app.tally.add(tally)
            if number % STEP == 0:
                yield
        yield
        for app in apps.values():
            app.processes.sort(key=lambda each: each[0].workload.type)
        yield
        return Sums(
            sorted(spaces.values(), key=lambda space: min(space.namespaces)),
            sorted(apps.values(), key=lambda app: (app.namespace, app.processes[0][0].workload.name, app.guid)),
            [process_type for process_type, _ in types.most_common()],
            selection.total_results,
        )

    def _tally(self, process: Process) -> Tally:
        workload = process.workload
        states = [pod.state for pod in self._pods.of(workload.namespace, workload.uid)]
        return Tally(workload.replicas, states.count(State.RUNNING), states.count(State.CRASHED))
