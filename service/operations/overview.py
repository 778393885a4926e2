"""What surrounds apps, spaces and organizations: how many instances run, where apps are reached, what scales them."""

import time
from collections import Counter
from collections.abc import Generator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from heapq import nsmallest

from service.access import Access, Caller
from service.cache import BoundedCache, Numbers
from service.model.apps import ORGANIZATION_GUIDS, SPACE_GUIDS, App, app_key
from service.model.autoscalers import Autoscaler, Autoscalers
from service.model.index import APP_GUIDS, Index
from service.model.pod_index import PodIndex
from service.model.pods import State
from service.model.process import Process
from service.model.routes import Route
from service.model.selection import Filters
from service.model.spaces import SpacePart
from service.model.views import Visible
from service.operations.reads import Reads
from service.pacing import Turns

KEPT_S = 2.0
"""For how long a sum is good enough: Pods come and go all the time, and it takes a look at each app."""
KEPT_BYTES, SIGHTS_BYTES = 32 << 20, 2 << 20
"""What is kept of sums, and of who saw what then."""
SUM_BYTES = 1000
"""What is kept of one space or organization."""
STEP = 200
ROUTES_SHOWN = 100
"""Routes of an app that are shown with it."""


@dataclass(slots=True)
class Tally:
    """Instances: how many are to run, and in which states those are that there are."""

    desired: int = 0
    running: int = 0
    """Instances that run, of each process no more than are to: a rollout runs more for a while."""
    states: Counter[State] = field(default_factory=Counter)
    is_known: bool = True
    """Whether it is known of all that are to run what they do."""

    def add(self, other: "Tally") -> None:
        self.desired += other.desired
        self.running += other.running
        self.states.update(other.states)
        self.is_known = self.is_known and other.is_known

    @property
    def crashed(self) -> int:
        return self.states[State.CRASHED]


@dataclass(frozen=True)
class Surroundings:
    """What belongs to an app, and is not said by itself."""

    tally: Tally
    routes: Sequence[Route]
    """The first by host and path."""
    more_routes: int
    """Those beyond."""


@dataclass(slots=True)
class Sums:
    """What a space or an organization comes to, for someone who sees some of its apps."""

    spaces: int = 0
    """How many spaces an organization has."""
    apps: int = 0
    started: int = 0
    tally: Tally = field(default_factory=Tally)


class Overview:
    def __init__(
        self,
        *,
        access: Access,
        spaces: Reads[SpacePart],
        apps: Reads[App],
        index: Index,
        pods: PodIndex,
        autoscalers: Autoscalers,
    ) -> None:
        self._access = access
        self._spaces = spaces
        self._apps = apps
        self._index = index
        self._pods = pods
        self._autoscalers = autoscalers
        self._turns = Turns()
        self._sums: BoundedCache[tuple[str, Set[str], int], tuple[float, Mapping[str, Sums]]] = BoundedCache(KEPT_BYTES)
        self._sights: Numbers[Visible] = Numbers(SIGHTS_BYTES)

    async def listed(self, caller: Caller, app: App) -> bool:
        """Whether the caller may see what lists say of an app's namespace, and not the app's own Deployment alone.

        Raises ServiceUnavailable.
        """
        visible = await self._access.visible(caller, {app.namespace})
        return visible is None or app.namespace in visible

    async def around(self, apps: Sequence[App], *, routes: int = ROUTES_SHOWN) -> Sequence[Surroundings]:
        """What is around each app, with so many routes at most: for callers who may list what is in its namespace."""
        return await self._turns.run(self._around(apps, routes))

    def tally(self, processes: Sequence[Process]) -> Tally:
        """The instances of some processes."""
        tally = Tally()
        for process in processes:
            workload = process.workload
            tally.desired += workload.replicas
            tally.is_known = tally.is_known and (workload.pods_labelled or not workload.replicas)
            states = Counter(pod.state for pod in self._pods.of(workload.namespace, workload.uid))
            tally.running += min(workload.replicas, states[State.RUNNING])
            tally.states.update(states)
        return tally

    def app_name(self, process: Process) -> str:
        """What the app of a process is called."""
        workload = process.workload
        app = self._index.apps.get(app_key(workload.namespace, workload.app_guid))
        return workload.app_guid if app is None else app.name

    def autoscaler(self, process: Process) -> Autoscaler | None:
        """What sets the number of instances of a process."""
        return self._autoscalers.of(process.workload.namespace, process.workload.name)

    async def of_spaces(self, caller: Caller, guids: Set[str]) -> Mapping[str, Sums]:
        """The sums over those apps of the spaces that the caller sees, by space. Raises ServiceUnavailable."""
        return await self._summed(caller, SPACE_GUIDS, frozenset(guids))

    async def of_organizations(self, caller: Caller, guids: Set[str]) -> Mapping[str, Sums]:
        """The sums of organizations, by their GUIDs."""
        return await self._summed(caller, ORGANIZATION_GUIDS, frozenset(guids))

    async def _summed(self, caller: Caller, facet: str, guids: frozenset[str]) -> Mapping[str, Sums]:
        wanted = Filters(((facet, guids),))
        look, visible, _ = await self._apps.everything(caller, wanted)
        key = facet, guids, self._sights.of(visible)
        kept = self._sums.get(key)
        if kept is not None and time.monotonic() < kept[0]:
            return kept[1]
        spaces: Sequence[SpacePart] = ()
        if facet == ORGANIZATION_GUIDS:
            look_at_spaces, _, _ = await self._spaces.everything(caller, wanted)
            spaces = (await look_at_spaces()).items
        sums = await self._turns.run(self._sum((await look()).items, spaces, facet))
        self._sums.put(key, (time.monotonic() + KEPT_S, sums), SUM_BYTES * (1 + len(sums)))
        return sums

    def _sum(
        self, apps: Sequence[App], spaces: Sequence[SpacePart], facet: str
    ) -> Generator[None, None, Mapping[str, Sums]]:
        sums: dict[str, Sums] = {}
        for space in spaces:
            sums.setdefault(space.organization_guid, Sums()).spaces += 1
        yield
        for number, app in enumerate(apps, 1):
            guid = app.lead.space_guid if facet == SPACE_GUIDS else app.lead.organization_guid
            each = sums.setdefault(guid, Sums())
            each.apps += 1
            each.started += app.is_started
            each.tally.add(self.tally(app.processes))
            if number % STEP == 0:
                yield
        yield
        return sums

    def _around(self, apps: Sequence[App], most: int) -> Generator[None, None, Sequence[Surroundings]]:
        found = []
        for app in apps:
            routes = self._index.routes.having(APP_GUIDS, app.guid, frozenset((app.namespace,)))
            first = nsmallest(most, routes, key=lambda route: (route.rule.host, route.rule.path, route.guid))
            found.append(Surroundings(self.tally(app.processes), first, len(routes) - len(first)))
            yield
        return found
