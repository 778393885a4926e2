"""What is wrong with Deployments that carry an app's GUID, as far as the caller may see them.

Some are no process: they lost to an older one, or cannot be understood. Others are, and share a GUID with those of
another namespace: then an address means several.
"""

from collections.abc import Generator, Sequence, Set
from dataclasses import dataclass
from itertools import islice

from service.access import Access, Caller
from service.cache import BoundedCache
from service.cluster.feeds import DeploymentFeed, Skipped
from service.model.claims import Conflict
from service.model.collection import GUIDS
from service.model.index import Index
from service.model.process import Workload
from service.model.views import Visible
from service.operations.processes import named
from service.pacing import Turns

SHOWN = 100
"""Shared GUIDs that are shown: as many as one likes may be stamped from one manifest."""
KEPT = 100_000
"""Shared GUIDs that are remembered for callers, in all."""
STEP = 500


@dataclass(frozen=True)
class SharedGuid:
    """A GUID that is used in several of the namespaces that the caller sees."""

    guid: str
    of: str
    """What it is called by: `process` or `app`."""
    namespaces: str
    """Their names; of many, some."""


@dataclass(frozen=True)
class Sharing:
    """The GUIDs that are shared before the caller's eyes: those that are shown, and how many there are."""

    shown: Sequence[SharedGuid] = ()
    total: int = 0


@dataclass(frozen=True)
class Found:
    """What is wrong of all that the caller may see."""

    conflicts: Sequence[Conflict] = ()
    skipped: Sequence[Skipped] = ()
    sharing: Sharing = Sharing()

    def __len__(self) -> int:
        return len(self.conflicts) + len(self.skipped) + self.sharing.total


class Problems:
    def __init__(self, index: Index, access: Access, deployments: DeploymentFeed) -> None:
        self._index = index
        self._access = access
        self._deployments = deployments
        self._turns = Turns()
        self._sharings: BoundedCache[Visible, Sharing] = BoundedCache(KEPT)
        self._shared_at: tuple[int, ...] = ()
        """The versions of what is shared, of which the sharings are."""

    async def list(self, caller: Caller) -> Found:
        """Of the namespaces whose Deployments the caller may list. Raises ServiceUnavailable."""
        concerned = self._concerned()
        if not concerned:
            return Found()
        visible = await self._access.visible(caller, concerned)
        sharing = await self._sharing(visible)
        lost, skipped = self._index.conflicts.values(), self._deployments.skipped.values()
        found = [Conflict(each, rival) for each in lost if _sees(visible, each) and (rival := self._index.rival(each))]
        return Found(
            sorted(found, key=lambda each: (each.workload.namespace, each.workload.name)),
            sorted((each for each in skipped if _sees(visible, each)), key=lambda each: (each.namespace, each.name)),
            sharing,
        )

    def _concerned(self) -> Set[str]:
        """The namespaces in which anything is wrong."""
        found = {each.namespace for each in self._index.conflicts.values()}
        found.update(each.namespace for each in self._deployments.skipped.values())
        return found.union(*(shared.namespaces() for shared in self._index.shared.values()))

    async def _sharing(self, visible: Visible) -> Sharing:
        """While nothing else is shared, the same caller is told the same, without a look at each GUID."""
        versions = tuple(shared.version for shared in self._index.shared.values())
        if versions != self._shared_at:
            self._sharings.clear()
            self._shared_at = versions
        if (kept := self._sharings.get(visible)) is not None:
            return kept
        sharing = await self._turns.take(self._look(visible))
        if versions == tuple(shared.version for shared in self._index.shared.values()):
            self._sharings.put(visible, sharing, 1 + len(sharing.shown))
        return sharing

    def _look(self, visible: Visible) -> Generator[None, None, Sharing]:
        shown: list[SharedGuid] = []
        total = 0
        for facet, shared in self._index.shared.items():
            for number, guid in enumerate(list(shared), 1):
                users = shared.users(guid)
                if _several(users, visible):
                    total += 1
                    if len(shown) < SHOWN:
                        seen = users if visible is None else visible & users
                        shown.append(SharedGuid(guid, "process" if facet == GUIDS else "app", named(seen)))
                if number % STEP == 0:
                    yield
        return Sharing(shown, total)


def _sees(visible: Visible, workload: Workload | Skipped) -> bool:
    return visible is None or workload.namespace in visible


def _several(users: Set[str], visible: Visible) -> bool:
    """Whether more than one of the namespaces is visible. Nothing is looked at that need not be."""
    if visible is None:
        return len(users) > 1
    fewer, more = (users, visible) if len(users) < len(visible) else (visible, users)
    return len(list(islice((namespace for namespace in fewer if namespace in more), 2))) == 2
