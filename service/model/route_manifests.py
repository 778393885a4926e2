"""What this service reads of Services, Ingresses and HTTPRoutes, as service.model.manifests does of other objects."""

import msgspec

from service.model.manifests import ObjectMeta


class ServicePort(msgspec.Struct, gc=False):
    port: int
    name: str | None = None
    targetPort: int | str | None = None
    appProtocol: str | None = None


class ServiceSpec(msgspec.Struct, gc=False):
    selector: dict[str, str] | None = None
    ports: list[ServicePort] | None = None
    type: str | None = None


class ServiceObject(msgspec.Struct, gc=False):
    metadata: ObjectMeta
    spec: ServiceSpec


class IngressPort(msgspec.Struct, gc=False):
    name: str | None = None
    number: int | None = None


class IngressService(msgspec.Struct, gc=False):
    name: str
    port: IngressPort | None = None


class IngressBackend(msgspec.Struct, gc=False):
    service: IngressService | None = None


class IngressPath(msgspec.Struct, gc=False):
    backend: IngressBackend
    path: str | None = None


class IngressPaths(msgspec.Struct, gc=False):
    paths: list[IngressPath] | None = None


class IngressRule(msgspec.Struct, gc=False):
    host: str | None = None
    http: IngressPaths | None = None


class IngressSpec(msgspec.Struct, gc=False):
    defaultBackend: IngressBackend | None = None
    rules: list[IngressRule] | None = None


class Ingress(msgspec.Struct, gc=False):
    metadata: ObjectMeta
    spec: IngressSpec


class PathMatch(msgspec.Struct, gc=False):
    value: str | None = None


class RouteMatch(msgspec.Struct, gc=False):
    path: PathMatch | None = None


class BackendRef(msgspec.Struct, gc=False):
    name: str
    kind: str | None = None
    group: str | None = None
    namespace: str | None = None
    port: int | None = None
    weight: int | None = None


class HTTPRouteRule(msgspec.Struct, gc=False):
    matches: list[RouteMatch] | None = None
    backendRefs: list[BackendRef] | None = None


class HTTPRouteSpec(msgspec.Struct, gc=False):
    hostnames: list[str] | None = None
    rules: list[HTTPRouteRule] | None = None


class HTTPRoute(msgspec.Struct, gc=False):
    metadata: ObjectMeta
    spec: HTTPRouteSpec
