"""The feeds of what runs: Pods, and the ReplicaSets that say whose they are."""

from collections.abc import Iterable, Iterator

import msgspec

from service.cluster.feeds import decode_name
from service.cluster.versions import Versions, version_number
from service.model.manifests import PodObject, ReplicaSetObject
from service.model.pod_index import PodIndex
from service.model.pods import State, derive_pods
from service.model.process import Key
from service.model.replica_sets import derive_replica_set
from service.telemetry import get_logger

log = get_logger(__name__)


class PodFeed:
    """Pods become the instances of the Deployment that their ReplicaSet belongs to. Other Pods are left out."""

    def __init__(self, pods: PodIndex, stopping: State = State.DOWN) -> None:
        """`stopping` is the state of an instance whose Pod is being deleted."""
        self._pods = pods
        self._stopping = stopping
        self._decode = msgspec.json.Decoder(PodObject).decode
        self.versions: Versions[Key] = Versions()
        """By the key of the process that was written."""

    def upsert(self, uid: str, version: int, raw: bytes | msgspec.Raw) -> Iterable[None]:
        if self.versions.accept_event(uid, version):
            self._apply(uid, version, raw)
        return ()

    def accept_answer(self, raw: bytes | msgspec.Raw, *, as_of: int = 0) -> str:
        """Take in a Pod as an answer has shown it, as `DeploymentFeed.accept_answer` does. Returns its uid."""
        meta = decode_name(raw).metadata
        version = version_number(meta.resourceVersion)
        if self.versions.accept_answer(meta.uid, max(as_of, version)):
            self._apply(meta.uid, version, raw)
        return meta.uid

    def accept_absence(self, uid: str, as_of: int) -> None:
        """Take out a Pod that an answer as of this version does not have, unless something newer is known of it."""
        if self.versions.accept_answer(uid, as_of):
            self._pods.remove(uid, as_of)

    def _apply(self, uid: str, version: int, raw: bytes | msgspec.Raw) -> None:
        try:
            pods = derive_pods(self._decode(raw), self._pods.app_container, self._stopping)
        except (ValueError, OverflowError) as error:
            # Decoding errors are ValueErrors too.
            meta = decode_name(raw).metadata
            log.warning("Pod skipped", namespace=meta.namespace, pod=meta.name, reason=str(error))
            pods = ()
        if pods:
            self._pods.put(pods, version)
        else:
            self._pods.remove(uid, version)

    def delete(self, uid: str, version: int) -> Iterable[None]:
        if self.versions.accept_event(uid, version, deleted=True):
            self._pods.remove(uid, version)
        return ()

    def retain(self, uids: set[str]) -> Iterator[None]:
        yield from self._pods.retain(uids | self.versions.ahead)

    def advance(self, version: int, *, listed: bool = False) -> None:
        if self.versions.advance(version, listed=listed):
            self._pods.forget_versions(version)


class ReplicaSetFeed:
    """ReplicaSets say whose Pods are whose. One that cannot be understood is as good as gone."""

    def __init__(self, pods: PodIndex) -> None:
        self._pods = pods
        self._decode = msgspec.json.Decoder(ReplicaSetObject).decode

    def upsert(self, uid: str, version: int, raw: bytes | msgspec.Raw) -> Iterable[None]:
        try:
            replica_set = derive_replica_set(self._decode(raw))
        except ValueError as error:
            # Decoding errors are ValueErrors too.
            meta = decode_name(raw).metadata
            log.warning("ReplicaSet skipped", namespace=meta.namespace, replica_set=meta.name, reason=str(error))
            self._pods.remove_set(uid)
        else:
            self._pods.put_set(replica_set)
        return ()

    def delete(self, uid: str, version: int) -> Iterable[None]:
        self._pods.remove_set(uid)
        return ()

    def retain(self, uids: set[str]) -> Iterator[None]:
        yield from self._pods.retain_sets(uids)

    def advance(self, version: int, *, listed: bool = False) -> None:
        """Nothing is written to ReplicaSets here: no read waits for them."""
