"""Deployments changed lately, as they are now: the next change of one can be made without a look at it.

What is kept may be behind. Whoever makes a patch of it names its version, and Kubernetes refuses what is for another.
"""

from dataclasses import dataclass

import msgspec

from service.cache import BoundedCache
from service.model.process import Workload

CAPACITY = 4 << 20
"""Bytes of JSON: about a thousand Deployments."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A Deployment as a change has left it, or as the watch has brought it since."""

    workload: Workload
    version: int
    """Its resourceVersion."""
    raw: bytes
    """Kubernetes' JSON, with all the Deployment holds: for making patches, not for showing."""


class Recent:
    def __init__(self) -> None:
        self._kept: BoundedCache[str, Seen] = BoundedCache(CAPACITY)

    def get(self, uid: str) -> Seen | None:
        return self._kept.get(uid)

    def put(self, workload: Workload, version: int, raw: bytes | msgspec.Raw) -> None:
        """A change has left it so. By the time that is known, the watch may have brought what came after."""
        found = self._kept.get(workload.uid)
        if found is None or version > found.version:
            # A copy: what the watch brings is a part of all that has come with it.
            self._kept.put(workload.uid, Seen(workload, version, bytes(raw)), len(raw))

    def refresh(self, workload: Workload, version: int, raw: bytes | msgspec.Raw) -> None:
        """It has been seen so. It is kept if it was."""
        if self._kept.get(workload.uid) is not None:
            self.put(workload, version, raw)

    def clear(self) -> None:
        """Forget all: versions are those of another history now."""
        self._kept = BoundedCache(CAPACITY)
