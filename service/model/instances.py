"""Which Pod is which instance. A Deployment numbers nothing, so the numbers are ours, and they are stable.

A live Pod, one that is not being deleted, takes the lowest index that no live Pod has, the oldest first, and keeps it
for life. Only a Pod at an index beyond the number of instances moves, when a lower index becomes free: that is how a
rolling update ends. A Pod that carries the label `apps.kubernetes.io/pod-index` has that index.

There may be more Pods than instances: during a rollout, or while a Deployment is scaled down. Then those of the newest
ReplicaSet come first, and of the others, the outdated ones, those that are ready, and then the oldest.

Where two promises cannot both hold, this one gives way:

* That a live Pod keeps its index gives way to the newest ReplicaSet: a Pod of that which finds no index free below the
  number takes one of an outdated Pod, of one that is not ready if there is any, and of the youngest of those. Nothing
  else takes an index from a live Pod but a label. So no Pod loses its index to one that is as new as it is, nor because
  it is not ready.
* That a Pod keeps its index for life ends when its deletion begins. From then on it is shown there as long as no live
  Pod takes that index, takes no other one, and once it has lost it, does not get it back.
"""

from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass

import msgspec

from service.model.pods import Pod, State
from service.model.process import Key

Slots = tuple[str, ...]
"""The uid of the Pod at each index; empty where there is none."""

SHOWN = 5000
"""Rows that are made however little runs. Kubernetes takes two thousand million as a number of replicas."""
SHOWN_IN_LISTS = 100
"""Rows that are made for each process of a list: a list has thousands of them."""
NOTHING: Set[str] = frozenset()


class Instance(msgspec.Struct, frozen=True, gc=False):
    """One index. `pod` None: nothing runs there."""

    index: int
    pod: Pod | None


def assign(
    slots: Slots,
    pods: Sequence[Pod],
    desired: int,
    outdated: Set[str] = NOTHING,
    lives: Callable[[str], bool] = lambda _: False,
) -> Slots:
    """The slots as they are to be for these Pods (oldest first), of which `desired` are wanted. Idempotent.

    `outdated` are the uids of the ReplicaSets that are not the newest. `lives` says of Pods in the slots that are not
    the process's now whether they live: those keep their places where nobody else needs them. A ReplicaSet that one
    Deployment leaves and another takes over has no owner for a moment, and its Pods come back to where they were.
    """
    plain = {pod.uid for pod in pods if not pod.deleting and pod.index is None}
    if len(plain) == len(pods) == len(slots) <= desired and plain.issuperset(slots):
        # Nearly always: all Pods are live, and all have the index they had.
        return slots
    live: dict[str, Pod] = {}
    going: set[str] = set()
    taken: dict[int, str] = {}
    for pod in pods:
        if pod.deleting:
            going.add(pod.uid)
            continue
        live[pod.uid] = pod
        if pod.index is not None:
            taken[pod.index] = pod.uid
    labelled = set(taken.values())
    for index, uid in enumerate(slots):
        if uid in live and uid not in labelled and index not in taken:
            taken[index] = uid
    places = _Places(taken)
    homeless = [pod for uid, pod in live.items() if uid not in labelled and places.of(uid, desired) >= desired]
    if homeless:
        holders = [pod for uid, pod in live.items() if uid not in labelled and places.of(uid, desired) < desired]
        _admit(homeless, holders, places, desired, outdated)
    for index, uid in enumerate(slots):
        if uid in going or (uid not in live and lives(uid)):
            taken.setdefault(index, uid)
    return tuple(taken.get(index, "") for index in range(max(taken, default=-1) + 1))


def _admit(homeless: list[Pod], holders: list[Pod], places: "_Places", desired: int, outdated: Set[str]) -> None:
    """Give each Pod without an index below `desired` one there, if it can have it, or else one beyond.

    `holders` have one, and have lost it if they are outdated and a Pod that is not needs it.
    """

    def rank(pod: Pod) -> tuple[int, int, str]:
        if pod.replica_set not in outdated:
            return 0, pod.created_at, pod.uid
        return 1 + 2 * (not pod.ready) + (pod.state is not State.RUNNING), pod.created_at, pod.uid

    yielding = sorted((pod for pod in holders if pod.replica_set in outdated), key=rank)
    for pod in sorted(homeless, key=rank):
        if places.lowest() < desired:
            places.move(pod.uid, places.lowest())
        elif yielding and pod.replica_set not in outdated:
            places.swap(pod.uid, yielding.pop().uid)
        elif places.of(pod.uid, -1) < 0:
            places.move(pod.uid, places.lowest())


class _Places:
    """Who is at which index."""

    def __init__(self, taken: dict[int, str]) -> None:
        self._taken = taken
        self._of = {uid: index for index, uid in taken.items()}
        self._from = 0

    def of(self, uid: str, default: int) -> int:
        return self._of.get(uid, default)

    def lowest(self) -> int:
        """The lowest free index."""
        while self._from in self._taken:
            self._from += 1
        return self._from

    def move(self, uid: str, index: int) -> None:
        former = self._of.get(uid)
        if former is not None:
            del self._taken[former]
            self._from = min(self._from, former)
        self._taken[index] = uid
        self._of[uid] = index

    def swap(self, uid: str, other: str) -> None:
        """Put one at the index of another, which takes what the one has had, or else the lowest that is free."""
        index, former = self._of[other], self._of.get(uid)
        former = self.lowest() if former is None else former
        self._taken[index], self._of[uid] = uid, index
        self._taken[former], self._of[other] = other, former


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
