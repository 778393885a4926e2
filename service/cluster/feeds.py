"""From watched objects to the indices: what each kind of object means for them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from service.cluster.recent import Recent
from service.cluster.versions import Versions, version_number
from service.model.derive import Unparsable, derive_space, derive_workload
from service.model.index import Index
from service.model.labels import Keys
from service.model.manifests import Deployment, Namespace, PodObject, ReplicaSetObject
from service.model.pod_index import PodIndex
from service.model.pods import State, derive_pods
from service.model.process import Workload
from service.model.replica_sets import derive_replica_set
from service.telemetry import get_logger

log = get_logger(__name__)

DEPLOYMENTS, REPLICA_SETS = "/apis/apps/v1/deployments", "/apis/apps/v1/replicasets"
NAMESPACES, PODS = "/api/v1/namespaces", "/api/v1/pods"


@dataclass(frozen=True)
class Skipped:
    """A Deployment that is in no list because it could not be understood."""

    namespace: str
    name: str
    reason: str


class _Named(msgspec.Struct, gc=False):
    class Meta(msgspec.Struct, gc=False):
        name: str = ""
        namespace: str = ""
        uid: str = ""
        resourceVersion: str = ""

    metadata: Meta


_decode_name = msgspec.json.Decoder(_Named).decode


class DeploymentFeed:
    """Deployments become workloads. One that cannot be understood is skipped, logged once and counted."""

    def __init__(self, index: Index, keys: Keys) -> None:
        self._index = index
        self._keys = keys
        self._decode = msgspec.json.Decoder(Deployment).decode
        self._skipped: dict[str, Skipped] = {}
        self.versions: Versions[tuple[str, str]] = Versions()
        """Writes are about (app GUID, type)."""
        self.recent = Recent()

    @property
    def skipped(self) -> Mapping[str, Skipped]:
        """By Deployment uid."""
        return self._skipped

    def put(self, uid: str, version: int, raw: bytes | msgspec.Raw) -> Iterable[None]:
        if self.versions.tell(uid, version):
            self._put(uid, version, raw)
        return ()

    def take(self, raw: bytes | msgspec.Raw, *, as_of: int = 0) -> None:
        """A Deployment as an answer has just shown it: it may be ahead of the watch.

        `as_of` is the version of the whole answer, where that is later than the object's own.
        """
        meta = _decode_name(raw).metadata
        version = version_number(meta.resourceVersion)
        if self.versions.take(meta.uid, max(as_of, version)):
            self._put(meta.uid, version, raw)

    def take_workload(self, workload: Workload, version: int) -> None:
        """The same of one that has been understood already."""
        if self.versions.take(workload.uid, version):
            self._show(workload)

    def _put(self, uid: str, version: int, raw: bytes | msgspec.Raw) -> None:
        try:
            workload = derive_workload(self._decode(raw), self._keys)
        except (Unparsable, msgspec.DecodeError, OverflowError) as error:
            self._skip(uid, raw, str(error))
        else:
            self._show(workload)
            self.recent.refresh(workload, version, raw)

    def _show(self, workload: Workload) -> None:
        self._skipped.pop(workload.uid, None)
        for conflict in self._index.put_workload(workload):
            log.warning(
                "two Deployments claim one process",
                namespace=conflict.workload.namespace,
                deployment=conflict.workload.name,
                served_namespace=conflict.winner.namespace,
                served_deployment=conflict.winner.name,
                app_guid=conflict.workload.app_guid,
                process_type=conflict.workload.type,
            )

    def delete(self, uid: str, version: int) -> Iterable[None]:
        # Not deleted, maybe, but without its label for a while, before it was shown with it.
        if self.versions.tell(uid, version, gone=True):
            self._skipped.pop(uid, None)
            self._index.remove_workload(uid)
        return ()

    def reach(self, version: int, *, listed: bool = False) -> None:
        if self.versions.advance(version, listed=listed):
            # Of another history: what was kept may never have been.
            self.recent.clear()

    def retain(self, uids: set[str]) -> Iterator[None]:
        uids = uids | self.versions.ahead
        for uid in self._skipped.keys() - uids:
            del self._skipped[uid]
        yield from self._index.retain_workloads(uids)

    def _skip(self, uid: str, raw: bytes | msgspec.Raw, reason: str) -> None:
        # What it said before is out of date: an old state must not stay in the lists under its name.
        self._index.remove_workload(uid)
        name = _decode_name(raw).metadata
        skipped = Skipped(name.namespace, name.name, reason)
        if self._skipped.get(uid) != skipped:
            self._skipped[uid] = skipped
            log.warning("Deployment skipped", namespace=name.namespace, deployment=name.name, reason=reason)


class NamespaceFeed:
    """Namespaces become spaces."""

    def __init__(self, index: Index, keys: Keys) -> None:
        self._index = index
        self._keys = keys
        self._decode = msgspec.json.Decoder(Namespace).decode
        self._names: dict[str, str] = {}
        """By uid: a deletion names the uid."""

    def put(self, uid: str, version: int, raw: bytes | msgspec.Raw) -> Iterator[None]:
        try:
            space = derive_space(self._decode(raw), self._keys)
        except msgspec.DecodeError as error:
            log.warning("Namespace skipped", namespace=_decode_name(raw).metadata.name, reason=str(error))
            return
        self._names[uid] = space.namespace
        yield from self._index.put_space(space)

    def delete(self, uid: str, version: int) -> Iterator[None]:
        name = self._names.pop(uid, None)
        # A namespace deleted and made again may be reported new before it is reported gone.
        if name is not None and name not in self._names.values():
            yield from self._index.remove_space(name)

    def retain(self, uids: set[str]) -> Iterator[None]:
        for uid in self._names.keys() - uids:
            yield from self.delete(uid, 0)

    def reach(self, version: int, *, listed: bool = False) -> None:
        """Nothing is written to Namespaces here: no read waits for them."""


class PodFeed:
    """Pods become the instances they run, of whatever owns their ReplicaSet. Others are none of ours."""

    def __init__(self, pods: PodIndex, stopping: State = State.DOWN) -> None:
        """`stopping` is the state of an instance whose Pod is being deleted."""
        self._pods = pods
        self._stopping = stopping
        self._decode = msgspec.json.Decoder(PodObject).decode
        self.versions: Versions[tuple[str, str]] = Versions()
        """Writes are about (app GUID, type)."""

    def put(self, uid: str, version: int, raw: bytes | msgspec.Raw) -> Iterable[None]:
        if self.versions.tell(uid, version):
            self._put(uid, version, raw)
        return ()

    def take(self, raw: bytes | msgspec.Raw, *, as_of: int = 0) -> str:
        """A Pod as an answer has just shown it, as `DeploymentFeed.take`. Returns its uid."""
        meta = _decode_name(raw).metadata
        version = version_number(meta.resourceVersion)
        if self.versions.take(meta.uid, max(as_of, version)):
            self._put(meta.uid, version, raw)
        return meta.uid

    def take_absence(self, uid: str, as_of: int) -> None:
        """The same of one that an answer has not shown among those it would be."""
        if self.versions.take(uid, as_of):
            self._pods.remove(uid, as_of)

    def _put(self, uid: str, version: int, raw: bytes | msgspec.Raw) -> None:
        try:
            pods = derive_pods(self._decode(raw), self._pods.app_container, self._stopping)
        except (ValueError, OverflowError) as error:
            # Decoding errors are ValueErrors too.
            meta = _decode_name(raw).metadata
            log.warning("Pod skipped", namespace=meta.namespace, pod=meta.name, reason=str(error))
            pods = ()
        if pods:
            self._pods.put(pods, version)
        else:
            self._pods.remove(uid, version)

    def delete(self, uid: str, version: int) -> Iterable[None]:
        if self.versions.tell(uid, version, gone=True):
            self._pods.remove(uid, version)
        return ()

    def retain(self, uids: set[str]) -> Iterator[None]:
        yield from self._pods.retain(uids | self.versions.ahead)

    def reach(self, version: int, *, listed: bool = False) -> None:
        self.versions.advance(version, listed=listed)


class ReplicaSetFeed:
    """ReplicaSets say whose Pods are whose. One that cannot be understood is as good as gone."""

    def __init__(self, pods: PodIndex) -> None:
        self._pods = pods
        self._decode = msgspec.json.Decoder(ReplicaSetObject).decode

    def put(self, uid: str, version: int, raw: bytes | msgspec.Raw) -> Iterable[None]:
        try:
            replica_set = derive_replica_set(self._decode(raw))
        except ValueError as error:
            # Decoding errors are ValueErrors too.
            meta = _decode_name(raw).metadata
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

    def reach(self, version: int, *, listed: bool = False) -> None:
        """Nothing is written to ReplicaSets here: no read waits for them."""
