"""Deployments that carry an app's GUID and are no process: they lost to an older one, or cannot be understood."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.access import Access, Caller
from service.cluster.feeds import DeploymentFeed, Skipped
from service.model.index import Index
from service.model.process import Workload


@dataclass(frozen=True)
class Lost:
    """A Deployment that is not served, and the older one that is; None: the caller may not see that one."""

    workload: Workload
    rival: Workload | None


@dataclass(frozen=True)
class Found:
    """What is not served of all that the caller may see."""

    conflicts: Sequence[Lost] = ()
    skipped: Sequence[Skipped] = ()

    def __len__(self) -> int:
        return len(self.conflicts) + len(self.skipped)


class Problems:
    def __init__(self, index: Index, access: Access, deployments: DeploymentFeed) -> None:
        self._index = index
        self._access = access
        self._deployments = deployments

    async def list(self, caller: Caller) -> Found:
        """Of the namespaces whose Deployments the caller may list, by name. Raises ServiceUnavailable."""
        lost, skipped = self._index.conflicts, self._deployments.skipped
        if not lost and not skipped:
            return Found()
        found = [Lost(workload, self._index.rival(workload)) for workload in lost.values()]
        named = list(skipped.values())
        namespaces = {each.namespace for each in _workloads(found)} | {each.namespace for each in named}
        visible = await self._access.visible(caller, namespaces)
        seen = namespaces if visible is None else namespaces & visible
        return Found(
            sorted(
                (
                    Lost(each.workload, each.rival if each.rival and each.rival.namespace in seen else None)
                    for each in found
                    if each.workload.namespace in seen
                ),
                key=lambda each: (each.workload.namespace, each.workload.name),
            ),
            sorted((each for each in named if each.namespace in seen), key=lambda each: (each.namespace, each.name)),
        )


def _workloads(found: Sequence[Lost]) -> list[Workload]:
    return [workload for each in found for workload in (each.workload, each.rival) if workload is not None]
