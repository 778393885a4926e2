"""The index of routes: the join of rules, Services and processes.

It is fed with the rules of Ingresses and HTTPRoutes, with Services, and with processes, in any order. A rule is a route
as long as one of its Services selects Pods of a process. Pods are not looked at: the labels of a Deployment's template
say which it will have, also while there are none.

What a change makes stale is noted at once, and made good by `settle`, step by step. So a change costs little whatever
follows from it, and what follows from several changes is done once. Processes are kept by their labels only in those
namespaces that have rules: elsewhere they cost nothing.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Set
from heapq import nsmallest

import msgspec

from service.model.collection import Collection
from service.model.pod_labels import PodLabels, Selectors
from service.model.process import Process
from service.model.routes import Backend, Destination, Origin, Route, Rule, Service
from service.model.services import Services

MOST_DESTINATIONS = 100
"""Processes that one route, and one Service, is shown to lead to; the first by app GUID and type."""


class _Target(msgspec.Struct, frozen=True, gc=False):
    """What a route needs to know of a process."""

    app_guid: str
    type: str
    ports: tuple[tuple[str, int], ...]
    space_guid: str
    organization_guid: str


class _Reference:
    """A name of a Service that rules of the namespace have, whether or not there is a Service of that name."""

    def __init__(self) -> None:
        self.rules: set[str] = set()
        """Their GUIDs."""
        self.service: Service | None = None
        """As it was when its targets were looked for."""
        self.targets: tuple[_Target, ...] = ()


class _Place:
    """A namespace that has rules."""

    def __init__(self) -> None:
        self.rules = 0
        self.references: dict[str, _Reference] = {}
        self.selectors = Selectors()
        """The selectors of the Services that rules refer to."""
        self.pods = PodLabels()


class RouteIndex:
    def __init__(self, processes: Collection[Process], routes: Collection[Route]) -> None:
        """`processes` are all there are: whoever changes them tells of it. What is a route is kept in `routes`."""
        self.on_stale: Callable[[], None] = lambda: None
        """Called when there is something to settle."""
        self._processes = processes
        self._routes = routes
        self._places: dict[str, _Place] = {}
        self._rules: dict[str, Rule] = {}
        """By GUID."""
        self._origins: dict[str, tuple[Origin, frozenset[str]]] = {}
        """By uid, with the GUIDs of its rules."""
        self._uids: dict[tuple[str, str, str], str] = {}
        """The uid of each origin, by what no two origins share."""
        self._services = Services()
        self._new_places: dict[str, None] = {}
        self._stale_references: dict[tuple[str, str], None] = {}
        self._stale_rules: dict[str, None] = {}

    # What is told

    def put_rules(self, origin: Origin, rules: Iterable[Rule]) -> Iterator[None]:
        """Add an object or replace its former state, step by step."""
        there = self._uids.get(origin.key)
        if there is not None and there != origin.uid:
            # Deleted and made again under the same name; the new one may be reported before the old one is gone.
            yield from self.remove_origin(there)
        put = {}
        for rule in rules:
            put[rule.guid()] = rule
            yield
        _, former = self._origins.get(origin.uid, (origin, frozenset()))
        self._uids[origin.key] = origin.uid
        self._origins[origin.uid] = origin, former | put.keys()
        for guid in former - put.keys():
            self._remove_rule(guid)
            yield
        for guid, rule in put.items():
            self._put_rule(guid, rule)
            yield
        self._origins[origin.uid] = origin, frozenset(put)

    def remove_origin(self, uid: str) -> Iterator[None]:
        """Forget an object, step by step. An unknown uid is no error."""
        origin, guids = self._origins.pop(uid, (None, frozenset[str]()))
        if origin is not None:
            del self._uids[origin.key]
        for guid in guids:
            self._remove_rule(guid)
            yield

    def retain_origins(self, kind: str, uids: Set[str]) -> Iterator[None]:
        """Forget all objects of a kind but these, step by step."""
        for uid, (origin, _) in list(self._origins.items()):
            if origin.kind == kind and uid not in uids:
                yield from self.remove_origin(uid)
            yield

    def put_service(self, service: Service) -> None:
        """Add a Service or replace its former state."""
        if self._services.put(service):
            self._service_changed(service.namespace, service.name)

    def remove_service(self, uid: str) -> None:
        """Forget a Service. An unknown uid is no error."""
        if (service := self._services.remove(uid)) is not None:
            self._service_changed(service.namespace, service.name)

    def retain_services(self, uids: Set[str]) -> Iterator[None]:
        """Forget all Services but these, step by step."""
        for uid in self._services.uids():
            if uid not in uids:
                self.remove_service(uid)
            yield

    def put_process(self, process: Process) -> None:
        """A process is there, or has changed."""
        place = self._places.get(process.workload.namespace)
        if place is None:
            return
        former = place.pods.get(process.workload.uid)
        place.pods.put(process)
        if former is not None and _has_labels_of(former, process):
            if _target(former) == _target(process):
                return
        elif former is not None:
            self._targets_changed(place, former)
        self._targets_changed(place, process)

    def remove_process(self, process: Process) -> None:
        """A process is gone."""
        place = self._places.get(process.workload.namespace)
        if place is not None:
            place.pods.remove(process.workload.uid)
            self._targets_changed(place, process)

    # What follows from it

    def settle(self) -> Iterator[None]:
        """Make good all that is stale, step by step. What becomes stale meanwhile is made good too."""
        # NB: the last of each first. Taking the first one of a dictionary again and again takes quadratic time.
        while self._new_places or self._stale_references or self._stale_rules:
            if self._new_places:
                yield from self._fill(self._new_places.popitem()[0])
            elif self._stale_references:
                yield from self._refresh_reference(*self._stale_references.popitem()[0])
            else:
                self._refresh_rule(self._stale_rules.popitem()[0])
                yield
        yield from self._routes.settle()

    def _put_rule(self, guid: str, rule: Rule) -> None:
        former = self._rules.get(guid)
        if former == rule:
            return
        self._rules[guid] = rule
        namespace = rule.origin.namespace
        place = self._places.get(namespace)
        if place is None:
            place = self._places[namespace] = _Place()
            self._new_places[namespace] = None
        place.rules += former is None
        gone = {each.service for each in former.backends} if former is not None else set()
        come = {each.service for each in rule.backends}
        for service in come - gone:
            self._refer(place, guid, namespace, service)
        for service in gone - come:
            self._unrefer(place, guid, service)
        self._stale_rules[guid] = None
        self.on_stale()

    def _remove_rule(self, guid: str) -> None:
        rule = self._rules.pop(guid)
        namespace = rule.origin.namespace
        place = self._places[namespace]
        for service in {each.service for each in rule.backends}:
            self._unrefer(place, guid, service)
        place.rules -= 1
        if not place.rules:
            del self._places[namespace]
        self._routes.remove(guid)

    def _refer(self, place: _Place, guid: str, namespace: str, service: str) -> None:
        reference = place.references.get(service)
        if reference is None:
            reference = place.references[service] = _Reference()
            self._service_changed(namespace, service)
        reference.rules.add(guid)

    def _unrefer(self, place: _Place, guid: str, service: str) -> None:
        reference = place.references[service]
        reference.rules.discard(guid)
        if not reference.rules:
            del place.references[service]
            place.selectors.remove(service)

    def _service_changed(self, namespace: str, name: str) -> None:
        place = self._places.get(namespace)
        if place is None or name not in place.references:
            return
        service = self._services.get(namespace, name)
        place.selectors.put(name, () if service is None else service.selector)
        self._stale_references[namespace, name] = None
        self.on_stale()

    def _targets_changed(self, place: _Place, process: Process) -> None:
        """Another process than before is meant by the selectors that mean this one."""
        for name in place.selectors.meaning(process):
            self._stale_references[process.workload.namespace, name] = None
        if self._stale_references:
            self.on_stale()

    def _fill(self, namespace: str) -> Iterator[None]:
        """Take in the processes of a namespace that has rules since now."""
        for listed in self._processes.of_namespace(namespace):
            place, process = self._places.get(namespace), self._processes.get(listed.workload.uid)
            # One that has come or changed since this began has been told of.
            if place is not None and process is not None and place.pods.get(process.workload.uid) is None:
                self.put_process(process)
            yield

    def _refresh_reference(self, namespace: str, name: str) -> Generator[None, None, None]:
        """Find what a Service leads to now; its rules are stale if that, or anything of the Service, has changed."""
        place, service = self._places.get(namespace), self._services.get(namespace, name)
        if place is None or name not in place.references:
            return
        found: list[Process] = []
        if service is not None:
            found = yield from place.pods.matching(service.selector, place.selectors.keys())
        reference = place.references.get(name)
        if reference is None:
            return
        targets = tuple(nsmallest(MOST_DESTINATIONS, map(_target, found), key=lambda each: (each.app_guid, each.type)))
        if (reference.service, reference.targets) == (service, targets):
            return
        reference.service, reference.targets = service, targets
        for guid in list(reference.rules):
            self._stale_rules[guid] = None
            yield

    def _refresh_rule(self, guid: str) -> None:
        """Show what a rule leads to now."""
        rule = self._rules.get(guid)
        if rule is None:
            return
        found: dict[Destination, _Target] = {}
        for backend in rule.backends:
            self._lead(rule.origin.namespace, backend, found)
        if not found:
            self._routes.remove(guid)
            return
        first = next(iter(found.values()))
        route = Route(guid, rule, tuple(found), first.space_guid, first.organization_guid)
        if self._routes.get(guid) != route:
            self._routes.put(route)

    def _lead(self, namespace: str, backend: Backend, found: dict[Destination, _Target]) -> None:
        """Add what a backend leads to, while there is room."""
        service = self._services.get(namespace, backend.service)
        port = None if service is None else service.port(backend.port)
        if port is None:
            return
        for target in self._places[namespace].references[backend.service].targets:
            if len(found) >= MOST_DESTINATIONS:
                return
            number = port.target if isinstance(port.target, int) else dict(target.ports).get(port.target)
            found.setdefault(Destination(target.app_guid, target.type, number, backend.weight, port.protocol), target)


def _has_labels_of(one: Process, other: Process) -> bool:
    return list(one.workload.labels_of_pods) == list(other.workload.labels_of_pods)


def _target(process: Process) -> _Target:
    workload = process.workload
    return _Target(
        workload.app_guid, workload.type, workload.named_ports, process.space_guid, process.organization_guid
    )
