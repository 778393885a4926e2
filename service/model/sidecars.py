"""Sidecars: what runs beside an app in each of its Pods, seen through the process that it is beside.

A sidecar holds no more than its process and its container: what changes of the process changes of all its sidecars in
the same step.
"""

from functools import lru_cache

import msgspec

from service.model.collection import Collection
from service.model.guids import derived_guid
from service.model.process import Process, SidecarContainer
from service.model.selection import CREATED_AT, UPDATED_AT
from service.model.shape import GUIDS, Shape

APP_GUIDS, PROCESS_GUIDS = "app_guids", "process_guids"


class Sidecar(msgspec.Struct, frozen=True, gc=False, eq=False):
    """A container beside the app's. Compared by identity, as a process is."""

    guid: str
    process: Process
    container: SidecarContainer


SIDECARS: Shape[Sidecar] = Shape(
    key=lambda sidecar: _key(sidecar.process, sidecar.container),
    guid=lambda sidecar: sidecar.guid,
    namespace=lambda sidecar: sidecar.process.workload.namespace,
    orders={
        CREATED_AT: lambda sidecar: sidecar.process.workload.created_at,
        UPDATED_AT: lambda sidecar: sidecar.process.updated_at,
    },
    facets={
        GUIDS: lambda sidecar: (sidecar.guid,),
        APP_GUIDS: lambda sidecar: (sidecar.process.workload.app_guid,),
        PROCESS_GUIDS: lambda sidecar: (sidecar.process.workload.guid,),
    },
)


def put_sidecars(sidecars: Collection[Sidecar], former: Process | None, process: Process) -> None:
    """Show the sidecars of a process as it is now; `former` is what it was until now, None: it was not there."""
    containers = process.workload.sidecars
    if former is not None and former.workload.sidecars:
        _remove(sidecars, former, keep=frozenset(each.name for each in containers))
    for container in containers:
        sidecars.put(Sidecar(sidecar_guid(process.workload.guid, container.name), process, container))


def remove_sidecars(sidecars: Collection[Sidecar], process: Process) -> None:
    """Take out the sidecars of a process that is gone."""
    _remove(sidecars, process, keep=frozenset())


def _remove(sidecars: Collection[Sidecar], process: Process, *, keep: frozenset[str]) -> None:
    for container in process.workload.sidecars:
        if container.name not in keep:
            sidecars.remove(_key(process, container))


def _key(process: Process, container: SidecarContainer) -> str:
    return f"{process.workload.uid}/{container.name}"


@lru_cache(maxsize=4096)
def sidecar_guid(process_guid: str, name: str) -> str:
    """The GUID of a sidecar; it does not change when the Deployment is made anew."""
    return derived_guid(f"sidecar/{process_guid}/{name}")
