"""Which Pod is which instance. A Deployment numbers nothing, so the numbers are ours, and they are stable.

The oldest Pod without an index takes the lowest free one, and keeps it for life. Only a Pod at an index beyond the
number of instances moves, when a lower index becomes free: that is how a rolling update ends. A Pod that is already
going away when it is first seen takes none, and one beyond the number does not move any more. A Pod that carries the
label `apps.kubernetes.io/pod-index` has that index.
"""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass

import msgspec

from service.model.pods import Pod, State
from service.model.process import Key

Slots = tuple[str, ...]
"""The uid of the Pod at each index; empty where there is none."""

SHOWN = 5000
"""Rows that are made however little runs. Kubernetes takes two thousand million as a number of replicas."""
SHOWN_IN_LISTS = 100
"""The same for each process of a list: a list has thousands of them."""


class Instance(msgspec.Struct, frozen=True, gc=False):
    """One index. `pod` None: nothing runs there."""

    index: int
    pod: Pod | None


def assign(slots: Slots, pods: Iterable[Pod], desired: int) -> Slots:
    """The slots as they are to be for these Pods (oldest first), of which `desired` are wanted. Idempotent."""
    by_uid = {pod.uid: pod for pod in pods}
    taken: dict[int, str] = {}
    for pod in by_uid.values():
        if pod.index is not None:
            taken[pod.index] = pod.uid
    labelled = set(taken.values())
    for index, uid in enumerate(slots):
        if uid in by_uid and uid not in labelled and index not in taken:
            taken[index] = uid
    placed = set(taken.values())
    free = _Free(taken)
    for pod in by_uid.values():
        if pod.uid not in placed and pod.state is not State.STOPPING:
            taken[free.lowest()] = pod.uid
    for index in sorted(index for index in taken if index >= desired):
        uid = taken[index]
        if uid not in labelled and by_uid[uid].state is not State.STOPPING and free.lowest() < desired:
            taken[free.lowest()] = taken.pop(index)
    return tuple(taken.get(index, "") for index in range(max(taken, default=-1) + 1))


class _Free:
    """Free indices, lowest first. Those below the last answer are all taken, and stay so: only high ones are freed."""

    def __init__(self, taken: dict[int, str]) -> None:
        self._taken = taken
        self._from = 0

    def lowest(self) -> int:
        while self._from in self._taken:
            self._from += 1
        return self._from


def instances(slots: Slots, pods: Iterable[Pod], desired: int, shown: int = SHOWN) -> Sequence[Instance]:
    """One row an index below `desired`, in order; of those beyond `shown` only as far as something runs there."""
    if not desired:
        # Most processes of a large page may be asleep, and each list is one more thing for the garbage collector.
        return ()
    by_uid = {pod.uid: pod for pod in pods}
    shown = min(desired, max(len(slots), shown))
    found = (by_uid.get(slots[index]) if index < len(slots) else None for index in range(shown))
    return [Instance(index, pod) for index, pod in enumerate(found)]


@dataclass(frozen=True, slots=True)
class Numbered:
    """The slots of a process as all replicas have agreed, and the resourceVersion of the Pods it was agreed upon at."""

    slots: Slots = ()
    pod_version: int = 0


class Numbering:
    """What has been agreed, by process."""

    def __init__(self) -> None:
        self._numbered: dict[Key, Numbered] = {}

    def of(self, key: Key) -> Numbered:
        return self._numbered.get(key, _NOTHING)

    def put(self, key: Key, numbered: Numbered) -> None:
        if numbered != _NOTHING:
            self._numbered[key] = numbered
        else:
            self._numbered.pop(key, None)

    def retain(self, keys: Set[Key]) -> None:
        """Forget all but these."""
        for key in self._numbered.keys() - keys:
            del self._numbered[key]


_NOTHING = Numbered()
