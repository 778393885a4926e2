"""A cache of Deployments that were changed lately, so that the next change of one needs no read of it.

An entry may be out of date. A patch made from one names its resourceVersion, and Kubernetes refuses a patch that names
any other than the present one.
"""

from dataclasses import dataclass

import msgspec

from service.cache import BoundedCache, memory_of
from service.model.process import Workload

CAPACITY = 4 << 20
"""Bytes: some 600 Deployments."""


class _Planned(msgspec.Struct, gc=False):
    """What plans are made from. The rest, which is most of a Deployment, would take the room of other entries."""

    metadata: dict[str, msgspec.Raw]
    spec: msgspec.Raw


_decode = msgspec.json.Decoder(_Planned).decode


@dataclass(frozen=True, slots=True)
class CachedDeployment:
    workload: Workload
    """The process that it runs."""
    version: int
    """Its resourceVersion."""
    raw: bytes
    """Kubernetes' JSON of its metadata and spec, without managedFields: for making patches, not for showing."""


class DeploymentCache:
    """Entries by the uid of the Deployment. The oldest go first when there is no room."""

    def __init__(self) -> None:
        self._kept: BoundedCache[str, CachedDeployment] = BoundedCache(CAPACITY)

    def get(self, uid: str) -> CachedDeployment | None:
        return self._kept.get(uid)

    def put(self, workload: Workload, version: int, raw: bytes | msgspec.Raw) -> None:
        """Store the state that a change has left, unless the watch has brought a later one meanwhile."""
        found = self._kept.get(workload.uid)
        if found is None or version > found.version:
            planned = _decode(raw)
            planned.metadata.pop("managedFields", None)
            # A copy: what the watch brings is a slice of a large buffer, which it would keep alive.
            entry = CachedDeployment(workload, version, msgspec.json.encode(planned))
            self._kept.put(workload.uid, entry, memory_of(entry))

    def refresh(self, workload: Workload, version: int, raw: bytes | msgspec.Raw) -> None:
        """Store a later state of a Deployment that has an entry; of others nothing is stored."""
        if self._kept.get(workload.uid) is not None:
            self.put(workload, version, raw)

    def clear(self) -> None:
        """Remove all entries: the versions known are those of another history."""
        self._kept = BoundedCache(CAPACITY)
