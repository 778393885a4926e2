"""What a page offers to do: what its viewer may do, as far as Kubernetes says so beforehand."""

from dataclasses import dataclass

from aiohttp import web

from service.access import DELETE_PODS, PATCH_DEPLOYMENTS, Caller, Permission
from service.errors import ServiceUnavailable
from service.http.keys import ACCESS
from service.model.process import Workload


@dataclass(frozen=True)
class Offer:
    """Whether to show what begins a change."""

    change: bool
    """Whether the Deployment may be changed."""
    terminate: bool
    """Its Pods."""


class Offers:
    """What one page offers to whoever looks at it. What has been asked once is remembered for as long as it is open.

    An offer is no permission: Kubernetes is asked again when it is taken up.
    """

    def __init__(self, app: web.Application, caller: Caller) -> None:
        self._access = app[ACCESS]
        self._caller = caller
        self._known: dict[tuple[Permission, str, str], bool] = {}

    async def change(self, workload: Workload) -> bool:
        """Whether to offer changes of a Deployment."""
        return await self._may(PATCH_DEPLOYMENTS, workload.namespace, workload.name)

    async def of(self, workload: Workload) -> Offer:
        """What to offer of a process."""
        return Offer(await self.change(workload), await self._may(DELETE_PODS, workload.namespace, ""))

    async def _may(self, permission: Permission, namespace: str, name: str) -> bool:
        key = permission, namespace, name
        if key not in self._known:
            try:
                self._known[key] = await self._access.may_change(self._caller, permission, namespace, name)
            except ServiceUnavailable:
                # The page is shown as last known, and whoever takes the offer up is told why it fails.
                return True
        return self._known[key]
