"""What is wrong with what a caller may see: Deployments that are not served, not understood, or not told apart by a
GUID, and metadata that is not understood."""

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from service.access import Access, Caller
from service.cache import BoundedCache, memory_of
from service.cluster.feeds import DeploymentFeed, Skipped
from service.model.index import Index
from service.model.process import Workload
from service.model.views import Visible
from service.pacing import Turns
from service.store.mirror import MirrorState

SHOWN = 100
"""Shared GUIDs that are named; beyond, they are only counted."""
KEPT_S = 2.0
"""How long a search for shared GUIDs is good enough: it looks at each there is."""
KEPT_BYTES = 4 << 20
"""What is remembered of shared GUIDs, and of who saw them."""


@dataclass(frozen=True)
class Lost:
    """A Deployment that is not served, and the older one of its namespace that is."""

    workload: Workload
    rival: Workload | None


@dataclass(frozen=True)
class UnreadableRow:
    """A row of metadata that cannot be understood, and counts as if there were none."""

    namespace: str
    app_guid: str
    type: str
    reason: str


@dataclass(frozen=True)
class SharedGuid:
    """A GUID that means several things, as it is used in several namespaces that the caller sees."""

    guid: str
    kind: str
    """`process` or `app`."""
    namespaces: Sequence[str]


@dataclass(frozen=True)
class Found:
    """What is wrong, as far as the caller may see it."""

    conflicts: Sequence[Lost] = ()
    skipped: Sequence[Skipped] = ()
    shared: Sequence[SharedGuid] = ()
    more_shared: int = 0
    """Shared GUIDs that are not named."""
    unreadable: Sequence[UnreadableRow] = ()

    def __len__(self) -> int:
        named = (self.conflicts, self.skipped, self.shared, self.unreadable)
        return sum(map(len, named)) + self.more_shared


class Problems:
    def __init__(self, index: Index, access: Access, deployments: DeploymentFeed, mirror: MirrorState) -> None:
        self._mirror = mirror
        self._index = index
        self._access = access
        self._deployments = deployments
        self._turns = Turns()
        self._shared: BoundedCache[Visible, tuple[float, list[SharedGuid]]] = BoundedCache(KEPT_BYTES)

    async def find(self, caller: Caller) -> Found:
        """What is wrong in the namespaces whose Deployments the caller may list. Raises ServiceUnavailable."""
        lost, skipped = list(self._index.conflicts.values()), list(self._deployments.skipped.values())
        unreadable = [UnreadableRow(*key, reason) for key, reason in self._mirror.unreadable.items()]
        namespaces = {each.namespace for each in lost} | {each.namespace for each in skipped}
        namespaces |= {each.namespace for each in unreadable}
        visible = await self._access.visible(caller, namespaces | self._index.processes.namespaces())
        shared = await self._shared_guids(visible)
        return Found(
            sorted(
                (
                    Lost(workload, self._index.rival(workload))
                    for workload in lost
                    if visible is None or workload.namespace in visible
                ),
                key=lambda each: (each.workload.namespace, each.workload.name),
            ),
            sorted(
                (each for each in skipped if visible is None or each.namespace in visible),
                key=lambda each: (each.namespace, each.name),
            ),
            shared[:SHOWN],
            len(shared[SHOWN:]),
            sorted(
                (each for each in unreadable if visible is None or each.namespace in visible),
                key=lambda each: (each.namespace, each.app_guid, each.type),
            ),
        )

    async def _shared_guids(self, visible: Visible) -> list[SharedGuid]:
        kept = self._shared.get(visible)
        if kept is not None and time.monotonic() < kept[0]:
            return kept[1]
        found = await self._turns.run(self._search(visible))
        self._shared.put(visible, (time.monotonic() + KEPT_S, found), memory_of(found))
        return found

    def _search(self, visible: Visible) -> Generator[None, None, list[SharedGuid]]:
        found = []
        for kind, sharing in (("app", self._index.shared_app_guids), ("process", self._index.shared_guids)):
            for guid, namespaces in (yield from sharing.seen(visible)).items():
                found.append(SharedGuid(guid, kind, sorted(namespaces)))
        return sorted(found, key=lambda each: (each.kind, each.guid))
