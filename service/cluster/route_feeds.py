"""Feeds of what routes are made of: Ingresses, HTTPRoutes and Services. One that cannot be understood leads nowhere."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

import msgspec

from service.cluster.optional_watch import OptionalKind
from service.cluster.skips import SkippingFeed
from service.model.manifests import ObjectMeta
from service.model.route_index import RouteIndex
from service.model.route_manifests import HTTPRoute, Ingress, ServiceObject
from service.model.routes import Origin, Rule, Service, derive_http_route, derive_ingress, derive_origin, derive_service

INGRESSES = OptionalKind("ingresses", "/apis/networking.k8s.io/v1/ingresses", "routes of Ingresses")
HTTP_ROUTES = OptionalKind("httproutes", "/apis/gateway.networking.k8s.io/v1/httproutes", "routes of HTTPRoutes")
SERVICES = OptionalKind("services", "/api/v1/services", "all routes")
ROUTE_KINDS = INGRESSES, HTTP_ROUTES, SERVICES


class _Object(Protocol):
    metadata: ObjectMeta


Kind = TypeVar("Kind", bound=_Object)


class RuleFeed(SkippingFeed[tuple[Origin, Kind]]):
    """The objects of one kind become rules."""

    def __init__(
        self, index: RouteIndex, kind: str, decoder: type[Kind], derive: Callable[[Kind], Iterable[Rule | None]]
    ) -> None:
        super().__init__(kind)
        self._index = index
        self._kind = kind
        self._decode = msgspec.json.Decoder(decoder).decode
        self._derive = derive

    def understand(self, raw: bytes | msgspec.Raw) -> tuple[Origin, Kind]:
        found = self._decode(raw)
        return derive_origin(self._kind, found.metadata), found

    def put(self, uid: str, understood: tuple[Origin, Kind]) -> Iterator[None]:
        origin, found = understood
        rules: list[Rule] = []
        for rule in self._derive(found):
            if rule is not None:
                rules.append(rule)
            yield
        yield from self._index.put_rules(origin, rules)

    def remove(self, uid: str) -> Iterator[None]:
        yield from self._index.remove_origin(uid)

    def retain_only(self, uids: set[str]) -> Iterator[None]:
        yield from self._index.retain_origins(self._kind, uids)


class ServiceFeed(SkippingFeed[Service]):
    """Services say which Pods a rule leads to."""

    def __init__(self, index: RouteIndex) -> None:
        super().__init__("Service")
        self._index = index
        self._decode = msgspec.json.Decoder(ServiceObject).decode

    def understand(self, raw: bytes | msgspec.Raw) -> Service:
        return derive_service(self._decode(raw))

    def put(self, uid: str, understood: Service) -> Iterator[None]:
        self._index.put_service(understood)
        yield

    def remove(self, uid: str) -> Iterator[None]:
        self._index.remove_service(uid)
        yield

    def retain_only(self, uids: set[str]) -> Iterator[None]:
        yield from self._index.retain_services(uids)


def route_feeds(index: RouteIndex) -> Mapping[OptionalKind, SkippingFeed[Any]]:
    """Where each kind leads."""
    return {
        INGRESSES: RuleFeed(index, "Ingress", Ingress, derive_ingress),
        HTTP_ROUTES: RuleFeed(index, "HTTPRoute", HTTPRoute, derive_http_route),
        SERVICES: ServiceFeed(index),
    }
