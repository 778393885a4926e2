"""Routes: what an Ingress or an HTTPRoute says, as rules, and what a rule and a Service make of an app.

A rule is one host and one path of one object, with the Services behind it. It is a route if they lead to an app
(service.model.route_index). All times are in the model's unit.
"""

from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec

from service.model.derive import changed_at
from service.model.guids import derived_guid
from service.model.manifests import ObjectMeta
from service.model.route_manifests import HTTPRoute, HTTPRouteRule, Ingress, IngressBackend, ServiceObject, ServicePort
from service.model.texts import MOST_LABELS, MOST_PORTS
from service.model.times import microseconds

CLEARTEXT_HTTP2 = "kubernetes.io/h2c"
HTTP1, HTTP2 = "http1", "http2"
MOST_BACKENDS = 250
"""Services behind one host and path that are followed: all rules of an Ingress that name these may name others."""


class Port(msgspec.Struct, frozen=True, gc=False):
    """A port of a Service, and where in the Pods it leads: to a number, or to the container's port of a name."""

    number: int
    name: str
    target: int | str
    protocol: str


class Service(msgspec.Struct, frozen=True, gc=False):
    """Which Pods of its namespace are meant by the name of a Service."""

    uid: str
    namespace: str
    name: str
    selector: tuple[tuple[str, str], ...]
    """The labels that its Pods have; none: it has no Pods of its own."""
    ports: tuple[Port, ...]

    def port(self, wanted: int | str | None) -> Port | None:
        """The port of this number or name."""
        for port in self.ports:
            if wanted and wanted in (port.number, port.name):
                return port
        return None


class Backend(msgspec.Struct, frozen=True, gc=False):
    """Where a rule sends requests to: a Service of its own namespace."""

    service: str
    port: int | str | None
    """The Service's, by number or name."""
    weight: int | None = None
    """Its share, where several have one."""


class Origin(msgspec.Struct, frozen=True, gc=False):
    """The object that rules are of."""

    uid: str
    kind: str
    namespace: str
    name: str
    created_at: int
    updated_at: int

    @property
    def key(self) -> tuple[str, str, str]:
        """What no two objects share at one time."""
        return self.namespace, self.kind, self.name


class Rule(msgspec.Struct, frozen=True, gc=False):
    """One host and one path of an object."""

    origin: Origin
    host: str
    """The whole name, `*.example.com` for all names of a domain; empty: any."""
    path: str
    """Empty: all paths."""
    backends: tuple[Backend, ...]

    def guid(self) -> str:
        """The GUID of the route; it does not change when the object is made anew."""
        namespace, kind, name = self.origin.key
        return derived_guid(f"route/{namespace}/{kind}/{name}/{self.host}/{self.path}")


class Destination(msgspec.Struct, frozen=True, gc=False):
    """A process that a route leads to."""

    app_guid: str
    type: str
    port: int | None
    """The port of the container; None: its Pods have no port of the name that the Service gives."""
    weight: int | None
    protocol: str

    def guid(self, route: str) -> str:
        """Its GUID, as one of the route with that GUID."""
        return derived_guid(f"destination/{route}/{self.app_guid}/{self.type}/{self.port}")


class Route(msgspec.Struct, frozen=True, gc=False):
    """A rule that leads to apps."""

    guid: str
    rule: Rule
    destinations: tuple[Destination, ...]
    """There is at least one."""
    space_guid: str
    organization_guid: str

    @property
    def namespace(self) -> str:
        return self.rule.origin.namespace

    @property
    def host(self) -> str:
        """The first label of the host's name."""
        return self.rule.host.partition(".")[0]

    @property
    def domain(self) -> str:
        """The rest of it."""
        return self.rule.host.partition(".")[2]

    @property
    def app_guids(self) -> tuple[str, ...]:
        """The app GUIDs of its destinations, each once."""
        return tuple(dict.fromkeys(each.app_guid for each in self.destinations))


def domain_guid(domain: str) -> str:
    return derived_guid(f"domain/{domain}")


def derive_origin(kind: str, meta: ObjectMeta) -> Origin:
    """Raises OverflowError for a time that is not in the years 1 to 9999."""
    created_at = microseconds(meta.creationTimestamp)
    return Origin(meta.uid, kind, meta.namespace, meta.name, created_at, max(created_at, changed_at(meta)))


def derive_service(found: ServiceObject) -> Service:
    """What a Service selects."""
    meta, spec = found.metadata, found.spec
    pairs = spec.selector or {}
    # Kubernetes follows no selector of an ExternalName.
    selector = () if spec.type == "ExternalName" or len(pairs) > MOST_LABELS else tuple(sorted(pairs.items()))
    ports = tuple(map(_port, islice(spec.ports or (), MOST_PORTS)))
    return Service(meta.uid, meta.namespace, meta.name, selector, ports)


def _port(found: ServicePort) -> Port:
    protocol = HTTP2 if found.appProtocol == CLEARTEXT_HTTP2 else HTTP1
    return Port(found.port, found.name or "", found.targetPort or found.port, protocol)


def derive_ingress(ingress: Ingress) -> Iterator[Rule | None]:
    """The rules of an Ingress, step by step: None is a step in which nothing was found."""
    origin = derive_origin("Ingress", ingress.metadata)
    backends: dict[tuple[str, str], list[Backend]] = {}
    default = ingress.spec.defaultBackend
    for host, path, backend in _ingress_paths(ingress):
        backends.setdefault((host, path), []).extend(_ingress_backends(backend))
        yield None
    if default is not None:
        # What no rule is for; a rule for any host and all paths leaves nothing to it.
        backends.setdefault(("", ""), _ingress_backends(default))
    yield from _rules(origin, backends.items())


def _ingress_paths(ingress: Ingress) -> Iterator[tuple[str, str, IngressBackend]]:
    default = ingress.spec.defaultBackend
    for rule in ingress.spec.rules or ():
        host = rule.host or ""
        if rule.http is None and default is not None:
            yield host, "", default
        for each in (rule.http and rule.http.paths) or ():
            yield host, _path(each.path), each.backend


def _ingress_backends(backend: IngressBackend) -> list[Backend]:
    service = backend.service
    if service is None:
        return []
    port = service.port
    return [Backend(service.name, None if port is None else port.name or port.number)]


def derive_http_route(route: HTTPRoute) -> Iterator[Rule | None]:
    """The rules of an HTTPRoute: of each of its hosts with each of its paths; steps as of an Ingress."""
    origin = derive_origin("HTTPRoute", route.metadata)
    backends: dict[tuple[str, str], list[Backend]] = {}
    for rule in route.spec.rules or ():
        behind = _route_backends(rule, origin.namespace)
        paths = dict.fromkeys(_path(match.path.value if match.path else None) for match in rule.matches or ()) or {
            "": None
        }
        for host in route.spec.hostnames or ("",):
            for path in paths:
                backends.setdefault((host, path), []).extend(behind)
                yield None
    yield from _rules(origin, backends.items())


def _route_backends(rule: HTTPRouteRule, namespace: str) -> list[Backend]:
    """The Services of the namespace; one of another is no destination, nor is one without a share."""
    references = rule.backendRefs or ()
    return [
        Backend(each.name, each.port, each.weight if len(references) > 1 else None)
        for each in references
        if (each.group or "", each.kind or "Service", each.namespace or namespace) == ("", "Service", namespace)
        and each.weight != 0
    ]


def _path(written: str | None) -> str:
    return "" if written in (None, "/") else str(written)


def _rules(origin: Origin, backends: Iterable[tuple[tuple[str, str], list[Backend]]]) -> Iterator[Rule | None]:
    for (host, path), behind in backends:
        yield Rule(origin, host, path, tuple(islice(dict.fromkeys(behind), MOST_BACKENDS))) if behind else None
