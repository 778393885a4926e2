"""All Pods there are, by the Deployment they belong to: through the ReplicaSet that owns them, and by nothing else.

Two watches feed it, in any order. A Pod whose ReplicaSet has not been told of yet waits, and belongs to nobody until it
is. A ReplicaSet is kept while it has Pods or wants some: of each Deployment there may be ten more that do neither, and
that nobody asks for. One without Pods that is told of again, as a rollback goes back to it, is told of before its Pods.
"""

from collections.abc import Iterator, Set

import msgspec

from service.model.pods import Pod
from service.model.replica_sets import ReplicaSet

_NONE: frozenset[str] = frozenset()


class _Set(msgspec.Struct, gc=False, eq=False):
    """A ReplicaSet with the Pods that name it as their owner."""

    told: ReplicaSet | None = None
    """What it last said; None: it has not been told of yet."""
    spent: bool = False
    """Whether it is done with, or gone, so that it goes with its last Pod."""
    pods: dict[str, Pod] = msgspec.field(default_factory=dict)
    version: int = 0


class _Owner(msgspec.Struct, gc=False, eq=False):
    """A Deployment with its ReplicaSets."""

    sets: tuple[_Set, ...] = ()
    version: int = 0


class PodIndex:
    """A `version` is the latest resourceVersion heard of any Pod of a Deployment."""

    def __init__(self) -> None:
        self._pods: dict[str, Pod] = {}
        self._waiting: dict[str, tuple[Pod, ...]] = {}
        """By uid, the Pods whose ReplicaSet has not been told of: each as it would be with each app container."""
        self._sets: dict[str, _Set] = {}
        self._owners: dict[str, _Owner] = {}

    def __len__(self) -> int:
        return len(self._pods)

    # Reading

    def of(self, namespace: str, deployment: str) -> list[Pod]:
        """The Pods of a Deployment, by its uid; oldest first.

        A Pod may name whatever owner it likes. One of another namespace is not believed.
        """
        owner = self._owners.get(deployment)
        if owner is None:
            return []
        found = [pod for each in owner.sets for pod in each.pods.values() if pod.namespace == namespace]
        return sorted(found, key=lambda pod: (pod.created_at, pod.uid)) if len(found) > 1 else found

    def outdated(self, deployment: str, rollout: int) -> Set[str]:
        """The uids of those ReplicaSets of a Deployment that are older than this revision of it.

        Where none of that revision is known, none is known to be older either: a rollout back gives an old one the new
        revision, and the watch of ReplicaSets may be behind that of Deployments.
        """
        owner = self._owners.get(deployment)
        told = [each.told for each in owner.sets if each.told] if owner is not None else []
        if not any(each.revision >= rollout for each in told):
            return _NONE
        return {each.uid for each in told if each.revision < rollout} or _NONE

    def lives(self, namespace: str, uid: str) -> bool:
        """Whether there is such a Pod in the namespace, whosever it is."""
        pod = self._pods.get(uid)
        return pod is not None and pod.namespace == namespace

    @property
    def any_waiting(self) -> bool:
        return bool(self._waiting)

    def waiting(self, namespace: str, uid: str) -> Pod | None:
        """A Pod of which nobody knows yet whose it is."""
        pods = self._waiting.get(uid)
        return pods[0] if pods and pods[0].namespace == namespace else None

    def app_container(self, replica_set: str) -> str | None:
        """The name of the app container in the Pods of a ReplicaSet; None: it has not been told of."""
        known = self._sets.get(replica_set)
        return known.told.container if known is not None and known.told is not None else None

    def version(self, deployment: str) -> int:
        owner = self._owners.get(deployment)
        return 0 if owner is None else owner.version

    def forget_versions(self, latest: int) -> None:
        """All later versions are of a history that has ended, and no measure for what comes."""
        for known in self._sets.values():
            known.version = min(known.version, latest)
        for owner in self._owners.values():
            owner.version = min(owner.version, latest)

    # Pods

    def put(self, pods: tuple[Pod, ...], version: int) -> None:
        """Add a Pod or replace its former state; it is given as it would be with each of its containers as the app."""
        pod = pods[0]
        former = self._pods.get(pod.uid)
        if former is not None and former.replica_set != pod.replica_set:
            self.remove(pod.uid, version)
        owner = self._sets.get(pod.replica_set)
        if owner is None:
            owner = self._sets[pod.replica_set] = _Set()
        if owner.told is None:
            self._waiting[pod.uid] = pods
        else:
            pod = _chosen(pods, owner.told)
        self._pods[pod.uid] = owner.pods[pod.uid] = pod
        self._heard(owner, version)

    def remove(self, uid: str, version: int) -> None:
        """Forget a Pod. An unknown uid is no error."""
        pod = self._pods.pop(uid, None)
        if pod is None:
            return
        self._waiting.pop(uid, None)
        owner = self._sets[pod.replica_set]
        del owner.pods[uid]
        self._heard(owner, version)
        self._tidy(pod.replica_set, owner)

    def retain(self, uids: Set[str]) -> Iterator[None]:
        """Forget all Pods but these, step by step."""
        for uid in list(self._pods):
            if uid not in uids:
                self.remove(uid, 0)
            yield

    # ReplicaSets

    def put_set(self, told: ReplicaSet) -> None:
        """Add a ReplicaSet or replace its former state: its Pods follow it to the Deployment that owns it now."""
        known = self._sets.get(told.uid)
        if known is None:
            if told.spent:
                return
            known = self._sets[told.uid] = _Set()
        known.spent = told.spent
        if known.told != told:
            former, known.told = known.told, told
            if former is None:
                for uid in known.pods:
                    self._pods[uid] = known.pods[uid] = _chosen(self._waiting.pop(uid), told)
            self._move(known, None if former is None else former.deployment, told.deployment)
        self._tidy(told.uid, known)

    def remove_set(self, uid: str) -> None:
        """A ReplicaSet is gone. What is left of its Pods stays what it was, until that is gone too."""
        known = self._sets.get(uid)
        if known is not None:
            known.spent = True
            self._tidy(uid, known)

    def retain_sets(self, uids: Set[str]) -> Iterator[None]:
        """All ReplicaSets but these are gone; step by step."""
        for uid in list(self._sets):
            if uid not in uids:
                self.remove_set(uid)
            yield

    def _heard(self, owner: _Set, version: int) -> None:
        owner.version = max(owner.version, version)
        if owner.told is not None and owner.told.deployment is not None:
            deployment = self._owners[owner.told.deployment]
            deployment.version = max(deployment.version, version)

    def _tidy(self, uid: str, known: _Set) -> None:
        """Forget a ReplicaSet that nobody needs."""
        if not known.pods and (known.spent or known.told is None):
            del self._sets[uid]
            self._move(known, None if known.told is None else known.told.deployment, None)

    def _move(self, known: _Set, former: str | None, deployment: str | None) -> None:
        if former == deployment:
            return
        if former is not None:
            owner = self._owners[former]
            owner.sets = tuple(each for each in owner.sets if each is not known)
            if not owner.sets:
                del self._owners[former]
        if deployment is not None:
            owner = self._owners.setdefault(deployment, _Owner())
            owner.sets = (*owner.sets, known)
            owner.version = max(owner.version, known.version)


def _chosen(pods: tuple[Pod, ...], told: ReplicaSet) -> Pod:
    return next((pod for pod in pods if pod.container == told.container), pods[0])
