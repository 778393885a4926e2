"""Feeds of what routes are made of: Ingresses, HTTPRoutes and Services. One that cannot be understood leads nowhere."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Generic, Protocol, TypeVar

import msgspec

from service.cluster.optional_watch import OptionalKind
from service.cluster.skips import SkippingFeed, Skips
from service.model.manifests import ObjectMeta
from service.model.route_index import RouteIndex
from service.model.route_manifests import HTTPRoute, Ingress, ServiceObject
from service.model.routes import Rule, derive_http_route, derive_ingress, derive_origin, derive_service

INGRESSES = OptionalKind("ingresses", "/apis/networking.k8s.io/v1/ingresses", "routes of Ingresses")
HTTP_ROUTES = OptionalKind("httproutes", "/apis/gateway.networking.k8s.io/v1/httproutes", "routes of HTTPRoutes")
SERVICES = OptionalKind("services", "/api/v1/services", "all routes")
ROUTE_KINDS = INGRESSES, HTTP_ROUTES, SERVICES


class _Object(Protocol):
    metadata: ObjectMeta


Kind = TypeVar("Kind", bound=_Object)


class RuleFeed(Generic[Kind]):
    """The objects of one kind become rules."""

    def __init__(
        self, index: RouteIndex, kind: str, decoder: type[Kind], derive: Callable[[Kind], Iterable[Rule | None]]
    ) -> None:
        self._index = index
        self._kind = kind
        self._decode = msgspec.json.Decoder(decoder).decode
        self._derive = derive
        self.skips = Skips(kind)

    def upsert(self, uid: str, version: int, raw: bytes | msgspec.Raw) -> Iterator[None]:
        try:
            found = self._decode(raw)
            origin = derive_origin(self._kind, found.metadata)
        except (ValueError, OverflowError) as error:
            # Decoding errors are ValueErrors too. An old state of it must not stay in the lists.
            self.skips.add(uid, raw, str(error))
            yield from self._index.remove_origin(uid)
            return
        self.skips.discard(uid)
        rules: list[Rule] = []
        for rule in self._derive(found):
            if rule is not None:
                rules.append(rule)
            yield
        yield from self._index.put_rules(origin, rules)

    def delete(self, uid: str, version: int) -> Iterator[None]:
        self.skips.discard(uid)
        yield from self._index.remove_origin(uid)

    def retain(self, uids: set[str]) -> Iterator[None]:
        self.skips.retain(uids)
        yield from self._index.retain_origins(self._kind, uids)

    def advance(self, version: int, *, listed: bool = False) -> None:
        """Nothing to do: the service writes nothing of this kind, so that no read waits for a version of it."""


class ServiceFeed:
    """Services say which Pods a rule leads to."""

    def __init__(self, index: RouteIndex) -> None:
        self._index = index
        self._decode = msgspec.json.Decoder(ServiceObject).decode
        self.skips = Skips("Service")

    def upsert(self, uid: str, version: int, raw: bytes | msgspec.Raw) -> Iterable[None]:
        try:
            service = derive_service(self._decode(raw))
        except ValueError as error:
            self.skips.add(uid, raw, str(error))
            self._index.remove_service(uid)
        else:
            self.skips.discard(uid)
            self._index.put_service(service)
        return ()

    def delete(self, uid: str, version: int) -> Iterable[None]:
        self.skips.discard(uid)
        self._index.remove_service(uid)
        return ()

    def retain(self, uids: set[str]) -> Iterator[None]:
        self.skips.retain(uids)
        yield from self._index.retain_services(uids)

    def advance(self, version: int, *, listed: bool = False) -> None:
        """As of Ingresses."""


def route_feeds(index: RouteIndex) -> Mapping[OptionalKind, SkippingFeed]:
    """Where each kind leads."""
    return {
        INGRESSES: RuleFeed(index, "Ingress", Ingress, derive_ingress),
        HTTP_ROUTES: RuleFeed(index, "HTTPRoute", HTTPRoute, derive_http_route),
        SERVICES: ServiceFeed(index),
    }
