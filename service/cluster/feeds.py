"""Feeds: each takes in the objects of one kind, from a watch and from answers, and keeps an index of them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from service.cluster.deployment_cache import DeploymentCache
from service.cluster.versions import Versions, version_number
from service.model.claims import Conflict
from service.model.derive import Unparsable, derive_space, derive_workload
from service.model.index import Index
from service.model.joins import Joins
from service.model.labels import Keys
from service.model.manifests import Deployment, Namespace
from service.model.process import Key, Workload
from service.model.texts import LONGEST_REASON, shortened
from service.telemetry import get_logger

log = get_logger(__name__)

DEPLOYMENTS, REPLICA_SETS = "/apis/apps/v1/deployments", "/apis/apps/v1/replicasets"
NAMESPACES, PODS = "/api/v1/namespaces", "/api/v1/pods"

App = tuple[str, str]
"""A namespace and the GUID of an app there."""


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


decode_name = msgspec.json.Decoder(_Named).decode


def _log_conflict(conflict: Conflict) -> None:
    log.warning(
        "two Deployments claim one process",
        namespace=conflict.workload.namespace,
        deployment=conflict.workload.name,
        served_deployment=conflict.winner.name,
        app_guid=conflict.workload.app_guid,
        process_type=conflict.workload.type,
    )


class DeploymentFeed:
    """Deployments become workloads. One that cannot be understood is skipped, logged once and counted."""

    def __init__(self, index: Index, keys: Keys) -> None:
        self._keys = keys
        self._decode = msgspec.json.Decoder(Deployment).decode
        self._skipped: dict[str, Skipped] = {}
        self._absent: dict[str, tuple[App, int]] = {}
        """Uid → the app that an answer has shown to be without it, and as of when; until the watch is there."""
        self._restored = False
        """Whether the last list was of another history than all before."""
        self.joins = Joins(index, _log_conflict)
        """Where workloads go, and from there into the index."""
        self.versions: Versions[Key] = Versions()
        """By the key of the process that was written."""
        self.cache = DeploymentCache()
        self.on_list: Callable[[], None] = lambda: None
        """Called when all Deployments have been listed."""

    @property
    def skipped(self) -> Mapping[str, Skipped]:
        """The Deployments that could not be understood, by their uid."""
        return self._skipped

    def upsert(self, uid: str, version: int, raw: bytes | msgspec.Raw) -> Iterable[None]:
        if self.versions.accept_event(uid, version):
            self._apply(uid, version, raw)
        return ()

    def accept_answer(self, raw: bytes | msgspec.Raw, *, as_of: int = 0) -> str:
        """Take in a Deployment as an answer has shown it, unless something newer is known of it. Returns its uid.

        `as_of` is the version of the whole answer, where that is later than the object's own.
        """
        meta = decode_name(raw).metadata
        version = version_number(meta.resourceVersion)
        if self.versions.accept_answer(meta.uid, max(as_of, version)):
            self._apply(meta.uid, version, raw, as_of)
        return meta.uid

    def accept_workload(self, workload: Workload, version: int) -> None:
        """Take in what an answer has shown and somebody has understood already, unless something newer is known."""
        if self.versions.accept_answer(workload.uid, version):
            self._skipped.pop(workload.uid, None)
            self._show(workload, version, version)

    def _show(self, workload: Workload, version: int, as_of: int) -> None:
        # Names are unique: one made anew shows that the former of its name is gone. A list tells of that only later.
        if self.versions.reached and not self.joins.knows(workload.uid):
            namesakes = self.joins.namesakes_of(workload)
            if any(self.versions.is_past(uid, max(version, as_of)) for uid in namesakes):
                # An answer has shown the next one of its name: what the late watch tells of this one is history.
                return
            for former in namesakes:
                self.accept_absence(former, workload.key[:2], version)
        self.joins.put_workload(workload, version, as_of=as_of)

    def accept_absence(self, uid: str, app: App, as_of: int) -> None:
        """Take a Deployment out of an app that an answer as of this version does not have it in, unless something newer
        is known of it.

        Older events that show it there are refused. One that shows it in another app is not: its labels have changed.
        """
        if self.versions.is_news(uid, as_of):
            self._absent[uid] = app, as_of
            self._skipped.pop(uid, None)
            self.joins.remove_workload(uid)

    def _apply(self, uid: str, version: int, raw: bytes | msgspec.Raw, as_of: int = 0) -> None:
        try:
            deployment = self._decode(raw)
            # A list remembers the uids of all that it has brought: of each there is to be one object.
            deployment.metadata.uid = uid
            workload = derive_workload(deployment, self._keys)
        except (Unparsable, msgspec.DecodeError, OverflowError) as error:
            self._skip(uid, raw, str(error))
        else:
            app, absent_as_of = self._absent.get(uid, (None, 0))
            if app == workload.key[:2] and version <= absent_as_of:
                return
            self._skipped.pop(uid, None)
            self._show(workload, version, as_of)
            self.cache.refresh(workload, version, raw)

    def delete(self, uid: str, version: int) -> Iterable[None]:
        # It may be older than what is known: the label was taken off and put back, and an answer has shown it with it.
        if self.versions.accept_event(uid, version, deleted=True):
            self._skipped.pop(uid, None)
            self.joins.remove_workload(uid)
        return ()

    def advance(self, version: int, *, listed: bool = False) -> None:
        restored = self.versions.advance(version, listed=listed)
        if listed:
            # The list tells of those that are gone only in the end: until then what it shows may be half of a change.
            self._restored = restored
        else:
            self.joins.advance(self.versions.reached)
        if restored:
            # The list is of another history: what is kept may never have been.
            self.cache.clear()
            self._absent.clear()
        elif self._absent:
            self._absent = {uid: each for uid, each in self._absent.items() if each[1] > version}

    def retain(self, uids: set[str]) -> Iterator[None]:
        uids = uids | self.versions.ahead
        for uid in self._skipped.keys() - uids:
            del self._skipped[uid]
        yield from self.joins.retain_workloads(uids)
        self.joins.advance(self.versions.reached, restored=self._restored)
        self.on_list()

    def _skip(self, uid: str, raw: bytes | msgspec.Raw, reason: str) -> None:
        # An old state of it must not stay in the lists.
        self.joins.remove_workload(uid)
        name, reason = decode_name(raw).metadata, shortened(reason, LONGEST_REASON)
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
        """The names of namespaces by uid, as a deletion names the uid."""

    def upsert(self, uid: str, version: int, raw: bytes | msgspec.Raw) -> Iterator[None]:
        try:
            space = derive_space(self._decode(raw), self._keys)
        except msgspec.DecodeError as error:
            log.warning("Namespace skipped", namespace=decode_name(raw).metadata.name, reason=str(error))
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

    def advance(self, version: int, *, listed: bool = False) -> None:
        """Nothing to do: the service writes no Namespaces, so that no read waits for a version of them."""
