"""The index: the join of Deployments, metadata and Namespaces into processes.

It is fed with workloads and spaces (by the cluster's watches) and metadata (by the store's mirror), in any order; what
they make together stands in a collection, which is what everybody reads. One Deployment is one process, unless an older
one of its namespace claims the same (service.model.claims): those are conflicts, known and counted, and never merged.
Whatever changes a process changes its app (service.model.app_index) and its space (service.model.spaces) at once.

What may take long is an iterator of steps. It must be exhausted; between steps others may use and change the index.
"""

from collections.abc import Iterable, Iterator, Mapping, Set

from service.model.app_index import AppIndex
from service.model.apps import APP_TYPE, App, app_key
from service.model.claims import Claims, Conflict
from service.model.collection import Collection
from service.model.derive import merge
from service.model.merged import Merged
from service.model.process import DEFAULT_ORGANIZATION, Key, Metadata, Process, Space, Workload
from service.model.route_index import RouteIndex
from service.model.routes import Route
from service.model.selection import CREATED_AT, UPDATED_AT
from service.model.shape import GUIDS, Shape
from service.model.sharing import Sharing
from service.model.sidecars import SIDECARS, Sidecar, put_sidecars, remove_sidecars
from service.model.spaces import OrganizationPart, SpacePart, Spaces

TYPES, APP_GUIDS, SPACE_GUIDS, ORGANIZATION_GUIDS = "types", "app_guids", "space_guids", "organization_guids"
HOSTS, PATHS = "hosts", "paths"

PROCESSES: Shape[Process] = Shape(
    key=lambda process: process.workload.uid,
    guid=lambda process: process.workload.guid,
    namespace=lambda process: process.workload.namespace,
    orders={
        CREATED_AT: lambda process: process.workload.created_at,
        UPDATED_AT: lambda process: process.updated_at,
    },
    facets={
        GUIDS: lambda process: (process.workload.guid,),
        TYPES: lambda process: (process.workload.type,),
        APP_GUIDS: lambda process: (process.workload.app_guid,),
        SPACE_GUIDS: lambda process: (process.space_guid,),
        ORGANIZATION_GUIDS: lambda process: (process.organization_guid,),
    },
    placed=(SPACE_GUIDS, ORGANIZATION_GUIDS),
    parents=(APP_GUIDS,),
    made_of=lambda process: (process.key,),
    labels=lambda process: process.metadata.labels,
    text=lambda process: _mentioned(process),
)

ROUTES: Shape[Route] = Shape(
    key=lambda route: route.guid,
    guid=lambda route: route.guid,
    namespace=lambda route: route.namespace,
    orders={
        CREATED_AT: lambda route: route.rule.origin.created_at,
        UPDATED_AT: lambda route: route.rule.origin.updated_at,
    },
    facets={
        GUIDS: lambda route: (route.guid,),
        APP_GUIDS: lambda route: route.app_guids,
        SPACE_GUIDS: lambda route: (route.space_guid,),
        ORGANIZATION_GUIDS: lambda route: (route.organization_guid,),
        HOSTS: lambda route: (route.host,),
        PATHS: lambda route: (route.rule.path,),
    },
    placed=(SPACE_GUIDS, ORGANIZATION_GUIDS),
)


class Index:
    def __init__(self, default_organization: str = DEFAULT_ORGANIZATION) -> None:
        """`default_organization` is the GUID of that of all namespaces that name none."""
        self.processes: Collection[Process] = Collection(PROCESSES)
        """What is served, by the uid of the Deployment."""
        self.shared_guids = Sharing(self.processes, GUIDS)
        self.shared_app_guids = Sharing(self.processes, APP_GUIDS)
        self._default_organization = default_organization
        self._apps = AppIndex(self.processes, APP_GUIDS)
        self._spaces = Spaces(default_organization)
        self.sidecars: Collection[Sidecar] = Collection(SIDECARS)
        """Those of the processes that are served."""
        self.routes: Collection[Route] = Collection(ROUTES)
        """Those that are served, by GUID."""
        self.routing = RouteIndex(self.processes, self.routes)
        self._claims = Claims(self._served)
        self._metadata: dict[Key, Metadata] = {}

    @property
    def apps(self) -> Collection[App]:
        return self._apps.apps

    @property
    def spaces(self) -> Merged[SpacePart]:
        return self._spaces.spaces

    @property
    def organizations(self) -> Merged[OrganizationPart]:
        return self._spaces.organizations

    @property
    def conflicts(self) -> Mapping[str, Workload]:
        """Workloads that are no process because an older one is, by their uid."""
        return self._claims.losers

    def rival(self, workload: Workload) -> Workload | None:
        """The Deployment that a conflict is lost to; None for one that is served."""
        return self._claims.rival(workload)

    def is_claimed(self, key: Key) -> bool:
        """Whether a Deployment claims this key, be it served or not; of an app, whether a process of it is served."""
        namespace, app_guid, process_type = key
        if process_type == APP_TYPE:
            return self._apps.is_there(app_key(namespace, app_guid))
        return self._claims.oldest(key) is not None

    def find(self, key: Key) -> Process | None:
        """The process of that namespace, app and type."""
        uid = self._claims.oldest(key)
        return None if uid is None else self.processes.get(uid)

    def workload(self, uid: str) -> Workload | None:
        """A Deployment, served or not."""
        return self._claims.get(uid)

    def workloads_of(self, namespace: str, app_guid: str) -> list[Workload]:
        """The Deployments of an app in a namespace, served or not."""
        served = self.processes.having(APP_GUIDS, app_guid, frozenset((namespace,)))
        lost = [each for each in self.conflicts.values() if (each.namespace, each.app_guid) == (namespace, app_guid)]
        return [*(process.workload for process in served), *lost]

    def metadata(self, key: Key) -> Metadata | None:
        """What is stored of a process, whether or not there is one; None: nothing."""
        return self._metadata.get(key)

    def space(self, namespace: str) -> Space | None:
        return self._spaces.of(namespace)

    def merged(self, workload: Workload, metadata: Metadata | None) -> Process:
        """The process of a Deployment and of what is stored of it, as they are given, in the space as it is now."""
        return merge(workload, metadata, self._spaces.of(workload.namespace), self._default_organization)

    def await_workloads(self) -> None:
        """All Deployments are to come, and nobody reads before `retain_workloads`: apps are made then, once each."""
        self._apps.wait()

    def put_workload(self, workload: Workload) -> list[Conflict]:
        """Add a Deployment or replace its former state. Returns the conflicts that this brought about."""
        if self._claims.get(workload.uid) == workload:
            return []
        verdict = self._claims.put(workload)
        self._apply(verdict.losers, verdict.winners)
        return verdict.conflicts

    def remove_workload(self, uid: str) -> None:
        """Forget a Deployment. An unknown uid is no error."""
        if self._claims.get(uid) is not None:
            verdict = self._claims.remove(uid)
            self._apply(verdict.losers, verdict.winners)

    def retain_workloads(self, uids: Set[str]) -> Iterator[None]:
        """Forget all Deployments but these, step by step. Then there is nothing left to do before anyone reads."""
        for uid in [*self.processes.keys(), *self._claims.losers]:
            if uid not in uids:
                self.remove_workload(uid)
            yield
        yield from self._apps.fill(self._stored_of_app)
        yield from self.processes.settle()
        yield from self.apps.settle()

    def put_space(self, space: Space) -> Iterator[None]:
        """Add or replace a namespace, and step by step move its processes to the space it is now."""
        if self._spaces.of(space.namespace) != space:
            yield from self._spaces.put(space)
            yield from self._refresh_namespace(space.namespace)

    def remove_space(self, namespace: str) -> Iterator[None]:
        """Forget a namespace, step by step."""
        if self._spaces.of(namespace) is not None:
            yield from self._spaces.remove(namespace)
            yield from self._refresh_namespace(namespace)

    def put_metadata(self, metadata: Metadata) -> None:
        """Add or replace a row. It is kept whether or not a Deployment claims its key now."""
        key = metadata.key
        if metadata == Metadata(namespace=metadata.namespace, app_guid=metadata.app_guid, type=metadata.type):
            # It says nothing, which needs no place.
            if self._metadata.pop(key, None) is not None:
                self._refresh(key)
        elif self._metadata.get(key) != metadata:
            self._metadata[key] = metadata
            self._refresh(key)

    def retain_metadata(self, keys: Set[Key]) -> Iterator[None]:
        """Forget the rows of all other keys, step by step; none may be put meanwhile."""
        for key in list(self._metadata):
            if key not in keys:
                del self._metadata[key]
                self._refresh(key)
            yield

    def _stored_of_app(self, namespace: str, app_guid: str) -> Metadata | None:
        return self._metadata.get((namespace, app_guid, APP_TYPE))

    def _served(self, uid: str) -> Workload | None:
        process = self.processes.get(uid)
        return None if process is None else process.workload

    def _apply(self, losers: Iterable[Workload], winners: Iterable[Workload]) -> None:
        for workload in losers:
            if (gone := self.processes.remove(workload.uid)) is not None:
                for sharing in (self.shared_guids, self.shared_app_guids):
                    sharing.left(gone)
                self._apps.remove(gone)
                self._spaces.left(gone.workload)
                self.routing.remove_process(gone)
                remove_sidecars(self.sidecars, gone)
        for workload in winners:
            self._serve(workload)

    def _refresh(self, key: Key) -> None:
        namespace, app_guid, process_type = key
        if process_type == APP_TYPE:
            self._apps.put_metadata(namespace, app_guid, self._metadata.get(key))
        elif (process := self.find(key)) is not None:
            self._serve(process.workload)

    def _refresh_namespace(self, namespace: str) -> Iterator[None]:
        for listed in self.processes.of_namespace(namespace):
            process = self.processes.get(listed.workload.uid)
            if process is not None and process.workload.namespace == namespace:
                self._serve(process.workload)
            yield

    def _serve(self, workload: Workload) -> None:
        """Show the workload's process, merged as of now."""
        process = self.merged(workload, self._metadata.get(workload.key))
        former = self.processes.get(workload.uid)
        self.processes.put(process)
        put_sidecars(self.sidecars, former, process)
        self._apps.put(process, self._stored_of_app(workload.namespace, workload.app_guid))
        if former is None:
            # One that changes keeps its namespace and GUIDs: what changes those goes first, and comes back as another.
            for sharing in (self.shared_guids, self.shared_app_guids):
                sharing.entered(process)
            self._spaces.entered(workload)
        elif former.workload.space_guid != workload.space_guid:
            self._spaces.left(former.workload)
            self._spaces.entered(workload)
        self.routing.put_process(process)


def _mentioned(process: Process) -> str:
    workload = process.workload
    names = workload.app_guid, workload.guid, workload.type, workload.name, workload.namespace, process.space_guid
    return "\n".join((*names, process.organization_guid)).lower()
